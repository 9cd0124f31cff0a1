"""ECS: how long instances are paid for, and when they go by themselves."""

from __future__ import annotations

from tests.fakecloud import lifecycle, moments
from tests.fakecloud.actions import Answer, Call, action, dry_run, page
from tests.fakecloud.errors import (
    ApiError,
    charge_type_violation,
    incorrect_instance_status,
    invalid_parameter,
    missing_parameter,
)
from tests.fakecloud.lookup import RENEWALS, own_instance, period, release_time
from tests.fakecloud.model import ChargeType, Instance
from tests.fakecloud.parameters import CLIENT_TOKEN, DRY_RUN, PAGES, REGION, One

INSTANCE = One("InstanceId", required=True)
UNIT = One("PeriodUnit", choices=("Week", "Month", "Year"))
MOST_INSTANCES = 100


@action("ecs", "ModifyInstanceAutoReleaseTime", INSTANCE, One("RegionId"), One("AutoReleaseTime"), writes=True)
def modify_instance_auto_release_time(call: Call) -> Answer:
    instance = own_instance(call, call.values["InstanceId"])
    if instance.charge_type != "PostPaid":
        raise charge_type_violation()
    if instance.is_deleting:
        raise incorrect_instance_status()
    text = call.values["AutoReleaseTime"]
    instance.auto_release = release_time(call, text) if text else None
    call.cloud.save(instance)
    return {}


@action(
    "ecs",
    "RenewInstance",
    INSTANCE,
    CLIENT_TOKEN,
    One("Period", "integer"),
    UNIT,
    One("ExpectedRenewDay", "integer", low=1, high=28),
    writes=True,
)
def renew_instance(call: Call) -> Answer:
    instance, day = own_instance(call, call.values["InstanceId"]), call.values["ExpectedRenewDay"]
    if instance.expires is None:
        raise charge_type_violation()
    if day and call.values["Period"]:
        raise invalid_parameter("ExpectedRenewDay", "cannot be given together with Period")
    if day:
        instance.expires = moments.next_day_of_month(instance.expires, day)
    else:
        instance.expires = moments.add_period(instance.expires, *period(call))
    if "financial" in instance.locks and instance.expires > call.now:
        instance.locks.remove("financial")
        lifecycle.start(call.cloud, instance, call.now)
    call.cloud.save(instance)
    return {"OrderId": str(call.cloud.number())}


@action(
    "ecs",
    "ModifyInstanceAutoRenewAttribute",
    REGION,
    INSTANCE,
    One("Duration", "integer"),
    UNIT,
    One("AutoRenew", "boolean"),
    One("RenewalStatus", choices=("AutoRenewal", "Normal", "NotRenewal")),
    writes=True,
)
def modify_instance_auto_renew_attribute(call: Call) -> Answer:
    values = call.values
    instances = [own_instance(call, identifier) for identifier in values["InstanceId"].split(",")]
    unit = values["PeriodUnit"] or "Month"
    status = values["RenewalStatus"] or ("AutoRenewal" if values["AutoRenew"] else "Normal")
    if any(instance.charge_type != "PrePaid" for instance in instances):
        raise charge_type_violation()
    if status == "AutoRenewal" and values["Duration"] is None:
        raise missing_parameter("Duration")
    if status == "AutoRenewal" and values["Duration"] not in RENEWALS[unit]:
        raise ApiError(400, "InvalidAutoRenewPeriod", "The specified Duration is not valid.")
    for instance in instances:
        instance.renewal = status
        if status == "AutoRenewal":
            instance.renewal_period, instance.renewal_unit = values["Duration"], unit
        call.cloud.save(instance)
    return {}


@action(
    "ecs",
    "DescribeInstanceAutoRenewAttribute",
    REGION,
    One("InstanceId"),
    One("RenewalStatus", choices=("AutoRenewal", "Normal", "NotRenewal")),
    *PAGES,
)
def describe_instance_auto_renew_attribute(call: Call) -> Answer:
    wanted = call.values["InstanceId"].split(",") if call.values["InstanceId"] else None
    if wanted is None and call.values["RenewalStatus"] is None:
        raise missing_parameter("InstanceId")
    found = [
        instance
        for instance in call.cloud.instances.values()
        if call.mine(instance)
        and instance.region == call.region
        and instance.charge_type == "PrePaid"
        and (wanted is None or instance.id in wanted)
        and call.values["RenewalStatus"] in (None, instance.renewal)
    ]
    part, pages = page(call, found)
    return {**pages, "InstanceRenewAttributes": {"InstanceRenewAttribute": [_renewal(each) for each in part]}}


def _renewal(instance: Instance) -> Answer:
    renews = instance.renewal == "AutoRenewal"
    return {
        "InstanceId": instance.id,
        "AutoRenewEnabled": renews,
        "RenewalStatus": instance.renewal,
        "Duration": instance.renewal_period if renews else 0,
        "PeriodUnit": instance.renewal_unit,
    }


@action(
    "ecs",
    "ModifyInstanceChargeType",
    REGION,
    CLIENT_TOKEN,
    DRY_RUN,
    One("InstanceIds", "json", required=True),
    One("InstanceChargeType", choices=("PostPaid", "PrePaid")),
    One("Period", "integer"),
    UNIT,
    One("IncludeDataDisks", "boolean"),
    One("AutoPay", "boolean"),
    One("IsDetailFee", "boolean"),
    writes=True,
)
def modify_instance_charge_type(call: Call) -> Answer:
    values = call.values
    wanted: ChargeType = values["InstanceChargeType"] or "PrePaid"
    if len(values["InstanceIds"]) > MOST_INSTANCES:
        raise invalid_parameter("InstanceIds", f"holds more than {MOST_INSTANCES} instances")
    instances = [own_instance(call, identifier) for identifier in values["InstanceIds"]]
    for instance in instances:
        if instance.status not in ("Running", "Stopped"):
            raise incorrect_instance_status()
        if instance.charge_type == wanted:
            raise charge_type_violation()
        if wanted == "PrePaid" and (instance.auto_release is not None or instance.deletion_protection):
            raise charge_type_violation()
    length = period(call) if wanted == "PrePaid" else None
    if values["DryRun"]:
        raise dry_run()
    for instance in instances:
        instance.charge_type = wanted
        instance.expires = moments.add_period(call.now, *length) if length else None
        call.cloud.save(instance)
    return {"OrderId": str(call.cloud.number())}
