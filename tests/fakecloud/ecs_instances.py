"""ECS: instances and their disks."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.fakecloud import lifecycle, moments
from tests.fakecloud.actions import (
    Answer,
    Call,
    action,
    dry_run,
    either_page,
    has_tags,
    one_of,
    tag_list,
    tags_of,
)
from tests.fakecloud.errors import (
    ApiError,
    charge_type_violation,
    incorrect_instance_status,
    invalid_parameter,
    malformed,
    missing_parameter,
    no_stock,
    not_found,
    vcpus_exhausted,
)
from tests.fakecloud.lookup import RENEWALS, own_instance, period, release_time
from tests.fakecloud.model import Disk, Instance
from tests.fakecloud.networking import check_address, check_groups, new_interface
from tests.fakecloud.parameters import CLIENT_TOKEN, DRY_RUN, PAGES, REGION, TAGS, TOKEN_PAGES, Many, One, Records
from tests.fakecloud.world import InstanceType, VSwitch, allows

CATEGORIES = ("cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_ssd", "cloud_efficiency", "cloud")
UNKNOWN_TYPE = "The specified InstanceType does not exist or beyond the permitted range."
USER_DATA_LIMIT = 32 * 1024
NAME = re.compile(r"[^\W\d_][\w.:\-]{1,127}")
HOST_NAME = re.compile(r"(?=.{2,64}$)[A-Za-z0-9]+([.-][A-Za-z0-9]+)*")
SEQUENCE = re.compile(r"\[(\d{0,6})(?:,(\d?))?\]")

DISK_FIELDS = (
    One("Category", choices=CATEGORIES),
    One("Size", "integer", low=20, high=65536),
    One("PerformanceLevel", choices=("PL0", "PL1", "PL2", "PL3")),
    One("DiskName"),
    One("Description"),
    One("DeleteWithInstance", "boolean"),
    One("Device"),
    One("Encrypted", "boolean"),
)


@dataclass(frozen=True)
class Order:
    """What a call of RunInstances asks for, looked up."""

    vswitch: VSwitch
    kind: InstanceType
    groups: tuple[str, ...]
    amount: int
    least: int


@action(
    "ecs",
    "RunInstances",
    REGION,
    CLIENT_TOKEN,
    DRY_RUN,
    TAGS,
    One("ImageId"),
    One("InstanceType"),
    One("VSwitchId"),
    One("SecurityGroupId"),
    Many("SecurityGroupIds", 16),
    One("ZoneId"),
    One("PrivateIpAddress"),
    One("InstanceName"),
    One("HostName"),
    One("Description"),
    One("UniqueSuffix", "boolean"),
    One("Amount", "integer", low=1, high=100),
    One("MinAmount", "integer", low=1, high=100),
    One("SystemDisk.Category", choices=CATEGORIES),
    One("SystemDisk.Size", "text"),
    One("SystemDisk.PerformanceLevel"),
    One("SystemDisk.DiskName"),
    One("SystemDisk.Description"),
    Records("DataDisk", DISK_FIELDS, 16),
    One("InstanceChargeType", choices=("PostPaid", "PrePaid")),
    One("Period", "integer"),
    One("PeriodUnit", choices=("Week", "Month")),
    One("AutoRenew", "boolean"),
    One("AutoRenewPeriod", "integer"),
    One("AutoPay", "boolean"),
    One("SpotStrategy", choices=("NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo")),
    One("AutoReleaseTime"),
    One("KeyPairName"),
    One("RamRoleName"),
    One("UserData"),
    One("HttpEndpoint", choices=("enabled", "disabled")),
    One("HttpTokens", choices=("optional", "required")),
    One("DeletionProtection", "boolean"),
    One("ResourceGroupId"),
    One("InternetMaxBandwidthOut", "integer", low=0, high=0),
    One("SecurityEnhancementStrategy", choices=("Active", "Deactive")),
    One("IoOptimized", choices=("none", "optimized")),
    writes=True,
)
def run_instances(call: Call) -> Answer:
    order = _order(call)
    _check_names(call)
    _check_charge(call)
    tags_of(call)
    amount = _obtainable(call, order)
    if call.values["DryRun"]:
        raise dry_run()
    made = [_create(call, order, index) for index in range(amount)]
    return {"InstanceIdSets": {"InstanceIdSet": [instance.id for instance in made]}}


def _order(call: Call) -> Order:
    values, world = call.values, call.cloud.world
    for name in ("ImageId", "InstanceType", "VSwitchId"):
        if not values[name]:
            raise missing_parameter(name)
    one_of(call, "SecurityGroupId", "SecurityGroupIds")
    if values["ImageId"] not in world.images:
        raise not_found("ImageId", values["ImageId"])
    kind = world.instance_types.get(values["InstanceType"])
    if kind is None:
        raise ApiError(403, "InvalidInstanceType.ValueNotSupported", UNKNOWN_TYPE)
    vswitch = world.vswitches.get(values["VSwitchId"])
    if vswitch is None or vswitch.zone not in world.regions[call.region]:
        raise not_found("VSwitchId", values["VSwitchId"])
    if values["ZoneId"] not in (None, vswitch.zone):
        raise ApiError(404, "InvalidVSwitchId.NotFound", "The specified VSwitch is not in the specified zone.")
    groups = tuple(values["SecurityGroupIds"] or [values["SecurityGroupId"]])
    check_groups(call, groups, vswitch)
    if values["KeyPairName"] and values["KeyPairName"] not in world.key_pairs:
        raise not_found("KeyPairName", values["KeyPairName"])
    role = world.roles.get(values["RamRoleName"] or "")
    if values["RamRoleName"] and (role is None or role.account != call.account):
        raise ApiError(404, "InvalidRamRole.NotFound", "The specified RAMRoleName does not exist.")
    if role is not None and not allows(call.identity.allow, "ram", "PassRole"):
        text = "The RAM user does not have the privilege to pass a RAM role."
        raise ApiError(403, "InvalidUser.PassRoleForbidden", text)
    _check_disks(call)
    amount = values["Amount"] or 1
    least = values["MinAmount"] or amount
    if least > amount:
        raise invalid_parameter("MinAmount", "is greater than Amount")
    if values["PrivateIpAddress"]:
        if amount > 1:
            raise invalid_parameter("PrivateIpAddress", "cannot be given for several instances")
        check_address(call, vswitch, values["PrivateIpAddress"])
    return Order(vswitch, kind, groups, amount, least)


def _check_disks(call: Call) -> None:
    size, image = call.values["SystemDisk.Size"], call.cloud.world.images[call.values["ImageId"]]
    if size is not None and not size.isdigit():
        raise ApiError(404, "InvalidSystemDiskSize", "The specified parameter SystemDisk.Size is invalid.")
    if size is not None and int(size) < max(20, image.size_gb):
        text = "The specified parameter SystemDisk.Size is less than the image size."
        raise ApiError(404, "InvalidSystemDiskSize.LessThanImageSize", text)
    if size is not None and int(size) > 2048:
        text = "The specified SystemDisk.Size parameter exceeds the maximum size."
        raise ApiError(404, "InvalidSystemDiskSize.MoreThanMaxSize", text)
    for disk in call.values["DataDisk"]:
        if disk["Size"] is None:
            raise missing_parameter("DataDisk.N.Size")


def _check_names(call: Call) -> None:
    for index in range(call.values["Amount"] or 1):
        name, host = _name(call, "InstanceName", index), _name(call, "HostName", index)
        if name and (not NAME.fullmatch(name) or name.startswith(("http://", "https://"))):
            raise malformed("InstanceName")
        if host and not HOST_NAME.fullmatch(host):
            raise malformed("HostName")
    data = call.values["UserData"]
    if not data:
        return
    try:
        decoded = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ApiError(403, "InvalidUserData.Base64FormatInvalid", "UserData is not base64.") from None
    if len(decoded) > USER_DATA_LIMIT:
        raise ApiError(403, "InvalidUserData.SizeExceeded", "UserData exceeds 32 KB.")


def _check_charge(call: Call) -> None:
    values = call.values
    if values["AutoReleaseTime"]:
        release_time(call, values["AutoReleaseTime"])
    if values["InstanceChargeType"] != "PrePaid":
        return
    _count, unit = period(call)
    if values["AutoReleaseTime"]:
        raise charge_type_violation()
    if values["DeletionProtection"]:
        text = "Deletion protection is only valid for postPaid instance, not for prePaid or spot instance."
        raise ApiError(403, "InvalidChargeType.ValueNotSupported", text)
    if values["AutoRenew"] and values["AutoRenewPeriod"] not in (None, *RENEWALS[unit]):
        raise ApiError(400, "InvalidAutoRenewPeriod", "The specified AutoRenewPeriod is not valid.")


def _obtainable(call: Call, order: Order) -> int:
    """How many of the instances there can be now; an error if that is less than the call wants at least."""
    limits = (
        (_in_stock(call, order), no_stock()),
        (_within_quota(call, order), vcpus_exhausted()),
        (call.cloud.available_addresses(order.vswitch), _no_addresses(order.vswitch)),
    )
    for available, error in limits:
        if available < order.least:
            raise error
    return min(order.amount, *(available for available, _error in limits))


def _no_addresses(vswitch: VSwitch) -> ApiError:
    text = f"The private IP addresses of the specified VSwitch {vswitch.id} are not enough."
    return ApiError(403, "QuotaExceeded.PrivateIpAddress", text)


def _in_stock(call: Call, order: Order) -> int:
    left = call.cloud.stock_left(order.vswitch.zone, order.kind.id)
    return order.amount if left is None else left


def _within_quota(call: Call, order: Order) -> int:
    used = sum(
        call.cloud.world.instance_types[instance.instance_type].cpus
        for instance in call.cloud.instances.values()
        if call.mine(instance) and instance.region == call.region
    )
    return (call.cloud.world.quotas.vcpus - used) // order.kind.cpus


def _name(call: Call, parameter: str, index: int) -> str:
    """NAME[BEGIN,DIGITS] counts up; UniqueSuffix counts from 001 for more than one."""
    pattern = call.values[parameter] or ""
    found = SEQUENCE.search(pattern)
    if found:
        begin, digits = int(found[1] or 0), int(found[2] or 6)
        return f"{pattern[: found.start()]}{begin + index:0{digits}d}{pattern[found.end() :]}"
    if pattern and call.values["UniqueSuffix"] and (call.values["Amount"] or 1) > 1:
        return f"{pattern}{index + 1:03d}"
    return pattern


def _create(call: Call, order: Order, index: int) -> Instance:
    values, cloud, now = call.values, call.cloud, call.now
    identifier = cloud.identifier("i")
    prepaid = values["InstanceChargeType"] == "PrePaid"
    unit = values["PeriodUnit"] or "Month"
    instance = Instance(
        id=identifier,
        number=cloud.number(),
        account=call.account,
        region=call.region,
        created=now,
        zone=order.vswitch.zone,
        vpc=order.vswitch.vpc,
        vswitch=order.vswitch.id,
        instance_type=order.kind.id,
        image=values["ImageId"],
        name=_name(call, "InstanceName", index) or identifier,
        host_name=_name(call, "HostName", index) or identifier.replace("-", "Z"),
        description=values["Description"] or "",
        security_groups=list(order.groups),
        key_pair=values["KeyPairName"] or "",
        ram_role=values["RamRoleName"] or "",
        user_data=values["UserData"] or "",
        http_tokens=values["HttpTokens"] or "optional",
        tags=tags_of(call),
        due=now + cloud.world.timings.pending,
        visible=now + cloud.world.timings.visible,
        charge_type="PrePaid" if prepaid else "PostPaid",
        expires=moments.add_period(now, values["Period"], unit) if prepaid else None,
        auto_release=release_time(call, values["AutoReleaseTime"]) if values["AutoReleaseTime"] else None,
        renewal="AutoRenewal" if prepaid and values["AutoRenew"] else "Normal",
        renewal_period=values["AutoRenewPeriod"] or 1,
        renewal_unit=unit,
        spot_strategy=values["SpotStrategy"] or "NoSpot",
        deletion_protection=bool(values["DeletionProtection"]),
        resource_group=values["ResourceGroupId"] or "",
    )
    cloud.save(instance)
    cloud.begin_billing(instance, "instance", identifier, call.cause, type=order.kind.id, charge=instance.charge_type)
    for disk in _disks(call, instance):
        cloud.save(disk)
        cloud.begin_billing(disk, "disk", disk.id, call.cause, instance=identifier, size=disk.size)
    new_interface(call, order.vswitch, order.groups, instance=instance, primary_address=values["PrivateIpAddress"])
    return instance


def _disks(call: Call, instance: Instance) -> Iterator[Disk]:
    values = call.values
    size = values["SystemDisk.Size"] or max(40, call.cloud.world.images[instance.image].size_gb)
    wanted: list[dict[str, Any]] = [{"Category": values["SystemDisk.Category"], "Size": int(size)}, *values["DataDisk"]]
    for index, disk in enumerate(wanted):
        yield Disk(
            id=call.cloud.identifier("d"),
            number=call.cloud.number(),
            account=call.account,
            region=instance.region,
            created=call.now,
            instance=instance.id,
            zone=instance.zone,
            role="data" if index else "system",
            category=disk["Category"] or "cloud_essd",
            size=disk["Size"],
            device=f"/dev/xvd{chr(ord('a') + index)}",
            delete_with_instance=disk.get("DeleteWithInstance") is not False,
            tags=dict(instance.tags),
        )


@action(
    "ecs",
    "DescribeInstances",
    REGION,
    *PAGES,
    *TOKEN_PAGES,
    TAGS,
    One("InstanceIds", "json"),
    One("VpcId"),
    One("VSwitchId"),
    One("ZoneId"),
    One("InstanceName"),
    One("Status", choices=("Pending", "Starting", "Running", "Stopping", "Stopped")),
    One("PrivateIpAddresses", "json"),
    One("InstanceType"),
    One("InstanceTypeFamily"),
    One("SecurityGroupId"),
    One("ImageId"),
    One("KeyPairName"),
    One("InstanceChargeType", choices=("PostPaid", "PrePaid")),
    One("InstanceNetworkType", choices=("vpc",)),
    One("ResourceGroupId"),
    Many("AdditionalAttributes"),
)
def describe_instances(call: Call) -> Answer:
    for name in ("InstanceIds", "PrivateIpAddresses"):
        if len(call.values[name] or []) > 100:
            raise malformed(name)
    own = call.own(call.cloud.instances)
    found = [instance for instance in own if instance.visible <= call.now and _is_asked_for(call, instance)]
    part, pages = either_page(call, found, most=100)
    return {**pages, "Instances": {"Instance": [_shown(call, instance) for instance in part]}}


def _is_asked_for(call: Call, instance: Instance) -> bool:
    values = call.values
    same = {
        "VpcId": instance.vpc,
        "VSwitchId": instance.vswitch,
        "ZoneId": instance.zone,
        "Status": instance.status,
        "InstanceType": instance.instance_type,
        "ImageId": instance.image,
        "KeyPairName": instance.key_pair,
        "InstanceChargeType": instance.charge_type,
        "ResourceGroupId": instance.resource_group,
        "InstanceTypeFamily": instance.instance_type.rpartition(".")[0],
    }
    if any(values[name] not in (None, value) for name, value in same.items()):
        return False
    if values["InstanceIds"] is not None and instance.id not in values["InstanceIds"]:
        return False
    if values["InstanceName"] and not fnmatchcase(instance.name, values["InstanceName"]):
        return False
    if values["SecurityGroupId"] and values["SecurityGroupId"] not in instance.security_groups:
        return False
    if values["PrivateIpAddresses"] is not None:
        own = call.cloud.primary_address(instance.id)
        if own not in values["PrivateIpAddresses"]:
            return False
    return has_tags(instance.tags, values["Tag"])


def _shown(call: Call, instance: Instance) -> Answer:
    kind = call.cloud.world.instance_types[instance.instance_type]
    enis = call.cloud.enis_of(instance.id)
    address = enis[0].addresses[0] if enis else ""
    return {
        "InstanceId": instance.id,
        "InstanceName": instance.name,
        "HostName": instance.host_name,
        "Description": instance.description,
        "RegionId": instance.region,
        "ZoneId": instance.zone,
        "Status": instance.status,
        "InstanceType": kind.id,
        "InstanceTypeFamily": kind.family,
        "Cpu": kind.cpus,
        "Memory": int(kind.memory_gib * 1024),
        "GPUAmount": kind.gpus,
        "GPUSpec": kind.gpu,
        "ImageId": instance.image,
        "OSType": "linux",
        "KeyPairName": instance.key_pair,
        "InstanceChargeType": instance.charge_type,
        "InternetChargeType": "PayByTraffic",
        "SpotStrategy": instance.spot_strategy,
        "StoppedMode": instance.stopped_mode,
        "CreationTime": moments.minutes(instance.created),
        "StartTime": moments.minutes(instance.started) if instance.started else "",
        "ExpiredTime": moments.minutes(instance.expires) if instance.expires else moments.NEVER,
        "AutoReleaseTime": moments.whole_minutes(instance.auto_release) if instance.auto_release else "",
        "DeletionProtection": instance.deletion_protection,
        "InstanceNetworkType": "vpc",
        "ResourceGroupId": instance.resource_group,
        "SecurityGroupIds": {"SecurityGroupId": instance.security_groups},
        "VpcAttributes": {
            "VpcId": instance.vpc,
            "VSwitchId": instance.vswitch,
            "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": [address] if address else []},
        },
        "NetworkInterfaces": {
            "NetworkInterface": [
                {
                    "NetworkInterfaceId": eni.id,
                    "MacAddress": eni.mac,
                    "Type": eni.role,
                    "PrimaryIpAddress": eni.addresses[0],
                    "PrivateIpSets": {
                        "PrivateIpSet": [
                            {"PrivateIpAddress": each, "Primary": each == eni.addresses[0]} for each in eni.addresses
                        ]
                    },
                }
                for eni in enis
            ]
        },
        "PublicIpAddress": {"IpAddress": []},
        "InnerIpAddress": {"IpAddress": []},
        "EipAddress": {"AllocationId": "", "IpAddress": "", "InternetChargeType": ""},
        "OperationLocks": {"LockReason": [{"LockReason": reason} for reason in instance.locks]},
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": instance.http_tokens},
        "Tags": {"Tag": tag_list(instance.tags)},
    }


DELETING = (One("Force", "boolean"), One("ForceStop", "boolean"), One("TerminateSubscription", "boolean"), DRY_RUN)


@action("ecs", "DeleteInstances", REGION, CLIENT_TOKEN, Many("InstanceId", 100, required=True), *DELETING, writes=True)
def delete_instances(call: Call) -> Answer:
    instances = [own_instance(call, identifier) for identifier in call.values["InstanceId"]]
    return _delete(call, instances)


@action("ecs", "DeleteInstance", One("InstanceId", required=True), *DELETING, writes=True)
def delete_instance(call: Call) -> Answer:
    return _delete(call, [own_instance(call, call.values["InstanceId"])])


def _delete(call: Call, instances: list[Instance]) -> Answer:
    for instance in instances:
        _check_deletable(call, instance)
    if call.values["DryRun"]:
        raise dry_run()
    for instance in instances:
        lifecycle.release(call.cloud, instance, call.now, call.cause)
    return {}


def _check_deletable(call: Call, instance: Instance) -> None:
    if instance.is_deleting:
        raise incorrect_instance_status()
    if instance.deletion_protection:
        text = "The operation is not allowed because the instance has deletion protection."
        raise ApiError(403, "InvalidOperation.DeletionProtection", text)
    if instance.status == "Pending":
        raise ApiError(
            403, "IncorrectInstanceStatus.Initializing", "The specified instance status does not support this."
        )
    if instance.status != "Stopped" and not call.values["Force"]:
        raise incorrect_instance_status()
    if instance.charge_type == "PostPaid":
        return
    if instance.expires is not None and instance.expires > call.now:
        raise charge_type_violation()
    if not call.values["TerminateSubscription"]:
        raise charge_type_violation()
