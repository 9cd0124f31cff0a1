"""ECS: instances switched on and off, and what can be changed about one."""

from __future__ import annotations

import base64

from tests.fakecloud import lifecycle, moments
from tests.fakecloud.actions import Answer, Call, action, dry_run, page
from tests.fakecloud.errors import ApiError, incorrect_instance_status
from tests.fakecloud.lookup import own_instance
from tests.fakecloud.model import Instance
from tests.fakecloud.parameters import DRY_RUN, PAGES, REGION, Many, One

INSTANCE = One("InstanceId", required=True)
INSTANCES = Many("InstanceId", 100, required=True)
BATCH = One("BatchOptimization", choices=("AllTogether", "SuccessFirst"))
STOPPED_MODE = One("StoppedMode", choices=("StopCharging", "KeepCharging", "Not-applicable"))


@action("ecs", "StartInstance", INSTANCE, DRY_RUN, writes=True)
def start_instance(call: Call) -> Answer:
    _start(call, [own_instance(call, call.values["InstanceId"])])
    return {}


@action("ecs", "StartInstances", REGION, INSTANCES, BATCH, DRY_RUN, writes=True)
def start_instances(call: Call) -> Answer:
    return _start(call, [own_instance(call, identifier) for identifier in call.values["InstanceId"]])


def _start(call: Call, instances: list[Instance]) -> Answer:
    for instance in instances:
        _need_status(instance, "Stopped")
        if instance.locks:
            raise ApiError(403, "InstanceLockedForSecurity", f"The instance {instance.id} is locked: {instance.locks}.")
    if call.values["DryRun"]:
        raise dry_run()
    for instance in instances:
        lifecycle.start(call.cloud, instance, call.now)
    return _responses(instances, "Stopped")


@action("ecs", "GetInstanceConsoleOutput", REGION, INSTANCE, One("RemoveSymbols", "boolean"))
def get_instance_console_output(call: Call) -> Answer:
    instance = own_instance(call, call.values["InstanceId"])
    is_on = instance.status == "Running"
    text = call.cloud.machines.console(call.cloud.machine(instance)) if is_on else ""
    return {
        "InstanceId": instance.id,
        "ConsoleOutput": base64.b64encode(text.encode()).decode(),
        "LastUpdateTime": moments.seconds(call.now),
    }


@action(
    "ecs",
    "StopInstance",
    INSTANCE,
    One("ForceStop", "boolean"),
    One("ConfirmStop", "boolean"),
    STOPPED_MODE,
    DRY_RUN,
    writes=True,
)
def stop_instance(call: Call) -> Answer:
    _stop(call, [own_instance(call, call.values["InstanceId"])])
    return {}


@action(
    "ecs", "StopInstances", REGION, INSTANCES, One("ForceStop", "boolean"), STOPPED_MODE, BATCH, DRY_RUN, writes=True
)
def stop_instances(call: Call) -> Answer:
    return _stop(call, [own_instance(call, identifier) for identifier in call.values["InstanceId"]])


def _stop(call: Call, instances: list[Instance]) -> Answer:
    for instance in instances:
        _need_status(instance, "Running")
    if call.values["DryRun"]:
        raise dry_run()
    for instance in instances:
        instance.stopped_mode = call.values["StoppedMode"] or "KeepCharging"
        lifecycle.stop(call.cloud, instance, call.now, force=bool(call.values["ForceStop"]))
    return _responses(instances, "Running")


@action("ecs", "RebootInstance", INSTANCE, One("ForceStop", "boolean"), DRY_RUN, writes=True)
def reboot_instance(call: Call) -> Answer:
    instance = own_instance(call, call.values["InstanceId"])
    _need_status(instance, "Running")
    if call.values["DryRun"]:
        raise dry_run()
    lifecycle.reboot(call.cloud, instance, call.now, force=bool(call.values["ForceStop"]))
    return {}


def _need_status(instance: Instance, status: str) -> None:
    if instance.status != status:
        raise incorrect_instance_status()


def _responses(instances: list[Instance], previous: str) -> Answer:
    rows = [
        {
            "InstanceId": instance.id,
            "PreviousStatus": previous,
            "CurrentStatus": instance.status,
            "Code": "200",
            "Message": "success",
        }
        for instance in instances
    ]
    return {"InstanceResponses": {"InstanceResponse": rows}}


@action(
    "ecs",
    "ModifyInstanceAttribute",
    INSTANCE,
    One("InstanceName"),
    One("HostName"),
    One("Description"),
    One("DeletionProtection", "boolean"),
    Many("SecurityGroupIds", 16),
    writes=True,
)
def modify_instance_attribute(call: Call) -> Answer:
    instance, values = own_instance(call, call.values["InstanceId"]), call.values
    if values["DeletionProtection"] and instance.charge_type == "PrePaid":
        text = "Deletion protection is only valid for postPaid instance, not for prePaid or spot instance."
        raise ApiError(403, "InvalidChargeType.ValueNotSupported", text)
    for attribute, name in (
        ("name", "InstanceName"),
        ("host_name", "HostName"),
        ("description", "Description"),
        ("deletion_protection", "DeletionProtection"),
    ):
        if values[name] is not None:
            setattr(instance, attribute, values[name])
    if values["SecurityGroupIds"]:
        instance.security_groups = list(values["SecurityGroupIds"])
    call.cloud.save(instance)
    return {}


@action("ecs", "DescribeInstanceStatus", REGION, Many("InstanceId", 100), One("ZoneId"), *PAGES)
def describe_instance_status(call: Call) -> Answer:
    wanted = call.values["InstanceId"]
    found = [
        instance
        for instance in call.own(call.cloud.instances)
        if instance.visible <= call.now
        and (not wanted or instance.id in wanted)
        and call.values["ZoneId"] in (None, instance.zone)
    ]
    part, pages = page(call, found)
    rows = [{"InstanceId": instance.id, "Status": instance.status} for instance in part]
    return {**pages, "InstanceStatuses": {"InstanceStatus": rows}}


@action("ecs", "DescribeUserData", REGION, INSTANCE)
def describe_user_data(call: Call) -> Answer:
    instance = own_instance(call, call.values["InstanceId"])
    return {"InstanceId": instance.id, "RegionId": instance.region, "UserData": instance.user_data}


@action("ecs", "DescribeInstanceAttribute", INSTANCE)
def describe_instance_attribute(call: Call) -> Answer:
    instance = own_instance(call, call.values["InstanceId"])
    return {
        "InstanceId": instance.id,
        "InstanceName": instance.name,
        "HostName": instance.host_name,
        "Status": instance.status,
        "RegionId": instance.region,
        "ZoneId": instance.zone,
        "InstanceType": instance.instance_type,
        "ImageId": instance.image,
        "InstanceChargeType": instance.charge_type,
        "CreationTime": moments.minutes(instance.created),
        "SecurityGroupIds": {"SecurityGroupId": instance.security_groups},
    }
