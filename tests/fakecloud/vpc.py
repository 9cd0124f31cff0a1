"""VPC: networks and their vSwitches."""

from __future__ import annotations

from tests.fakecloud.actions import Answer, Call, action, page
from tests.fakecloud.parameters import DRY_RUN, REGION, One
from tests.fakecloud.world import VSwitch

PAGES = (One("PageNumber", "integer", low=1), One("PageSize", "integer", low=1, high=50))


@action(
    "vpc",
    "DescribeVSwitches",
    *PAGES,
    One("RegionId"),
    One("VSwitchId"),
    One("VpcId"),
    One("ZoneId"),
    One("VSwitchName"),
    One("IsDefault", "boolean"),
    One("ResourceGroupId"),
    DRY_RUN,
)
def describe_vswitches(call: Call) -> Answer:
    values, world = call.values, call.cloud.world
    wanted = values["VSwitchId"].split(",") if values["VSwitchId"] else None
    found = [
        vswitch
        for vswitch in world.vswitches.values()
        if (wanted is None or vswitch.id in wanted)
        and values["VpcId"] in (None, vswitch.vpc)
        and values["ZoneId"] in (None, vswitch.zone)
        and (values["RegionId"] is None or vswitch.zone in world.regions[call.region])
    ]
    part, pages = page(call, found)
    return {**pages, "VSwitches": {"VSwitch": [_vswitch(call, vswitch) for vswitch in part]}}


def _vswitch(call: Call, vswitch: VSwitch) -> Answer:
    return {
        "VSwitchId": vswitch.id,
        "VSwitchName": vswitch.id,
        "VpcId": vswitch.vpc,
        "ZoneId": vswitch.zone,
        "CidrBlock": vswitch.cidr,
        "AvailableIpAddressCount": call.cloud.available_addresses(vswitch),
        "Status": "Available",
        "IsDefault": False,
        "Tags": {"Tag": []},
    }


@action("vpc", "DescribeVpcs", REGION, *PAGES, One("VpcId"), One("VpcName"), One("IsDefault", "boolean"), DRY_RUN)
def describe_vpcs(call: Call) -> Answer:
    wanted = call.values["VpcId"].split(",") if call.values["VpcId"] else None
    world, region = call.cloud.world, call.region
    found = [vpc for vpc in world.vpcs.values() if vpc.region == region and (wanted is None or vpc.id in wanted)]
    part, pages = page(call, found)
    rows = [
        {
            "VpcId": vpc.id,
            "VpcName": vpc.id,
            "RegionId": vpc.region,
            "CidrBlock": vpc.cidr,
            "SecondaryCidrBlocks": {"SecondaryCidrBlock": list(vpc.secondary_cidrs)},
            "Status": "Available",
            "IsDefault": False,
            "VSwitchIds": {"VSwitchId": [each.id for each in world.vswitches.values() if each.vpc == vpc.id]},
        }
        for vpc in part
    ]
    return {**pages, "Vpcs": {"Vpc": rows}}
