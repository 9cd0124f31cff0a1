"""ECS: disks."""

from __future__ import annotations

from tests.fakecloud import moments
from tests.fakecloud.actions import Answer, Call, action, either_page, has_tags, tag_list
from tests.fakecloud.errors import ApiError, not_found
from tests.fakecloud.model import Disk
from tests.fakecloud.parameters import PAGES, REGION, TAGS, TOKEN_PAGES, One


@action(
    "ecs",
    "DescribeDisks",
    REGION,
    *PAGES,
    *TOKEN_PAGES,
    TAGS,
    One("DiskIds", "json"),
    One("InstanceId"),
    One("ZoneId"),
    One("DiskType", choices=("all", "system", "data")),
    One("Category"),
    One("Status", choices=("In_use", "Available", "All")),
)
def describe_disks(call: Call) -> Answer:
    found = [disk for disk in call.own(call.cloud.disks) if _is_asked_for(call, disk)]
    part, pages = either_page(call, found, most=500)
    return {**pages, "Disks": {"Disk": [_shown(disk) for disk in part]}}


@action("ecs", "DeleteDisk", One("DiskId", required=True), writes=True)
def delete_disk(call: Call) -> Answer:
    disk = call.cloud.disks.get(call.values["DiskId"])
    if disk is None or not call.mine(disk):
        raise not_found("DiskId", call.values["DiskId"])
    if disk.instance:
        raise ApiError(403, "IncorrectDiskStatus", "The current disk status does not support this operation.")
    call.cloud.remove(disk)
    call.cloud.end_billing("disk", disk.id, call.now, call.cause)
    return {}


def _is_asked_for(call: Call, disk: Disk) -> bool:
    values = call.values
    if values["DiskIds"] is not None and disk.id not in values["DiskIds"]:
        return False
    same = {"InstanceId": disk.instance, "ZoneId": disk.zone, "Category": disk.category}
    if any(values[name] not in (None, value) for name, value in same.items()):
        return False
    if values["DiskType"] not in (None, "all", disk.role):
        return False
    if values["Status"] not in (None, "All", _status(disk)):
        return False
    return has_tags(disk.tags, values["Tag"])


def _status(disk: Disk) -> str:
    return "In_use" if disk.instance else "Available"


def _shown(disk: Disk) -> Answer:
    return {
        "DiskId": disk.id,
        "InstanceId": disk.instance,
        "RegionId": disk.region,
        "ZoneId": disk.zone,
        "Type": disk.role,
        "Category": disk.category,
        "Size": disk.size,
        "Device": disk.device,
        "Status": _status(disk),
        "DeleteWithInstance": disk.delete_with_instance,
        "CreationTime": moments.seconds(disk.created),
        "Tags": {"Tag": tag_list(disk.tags)},
    }
