"""ECS: what can be had: regions, zones, types, images, key pairs, security groups."""

from __future__ import annotations

from fnmatch import fnmatchcase

from tests.fakecloud.actions import Answer, Call, action, page
from tests.fakecloud.errors import ApiError
from tests.fakecloud.parameters import PAGES, REGION, TAGS, Many, One
from tests.fakecloud.world import InstanceType


@action(
    "ecs",
    "DescribeInstanceTypes",
    Many("InstanceTypes", 100),
    One("InstanceTypeFamily"),
    One("MaxResults", "integer", low=1, high=1600),
    One("NextToken"),
)
def describe_instance_types(call: Call) -> Answer:
    names, family = call.values["InstanceTypes"], call.values["InstanceTypeFamily"]
    found = [
        kind
        for kind in call.cloud.world.instance_types.values()
        if (not names or kind.id in names) and family in (None, kind.family)
    ]
    size = call.values["MaxResults"] or 1600
    start = _offset(call.values["NextToken"])
    rest = found[start : start + size]
    token = str(start + size) if len(found) > start + size else ""
    return {"InstanceTypes": {"InstanceType": [_type(kind) for kind in rest]}, "NextToken": token}


def _offset(token: str | None) -> int:
    if token and not token.isdigit():
        raise ApiError(400, "InvalidNextToken.ValueNotSupported", "The specified NextToken is not valid.")
    return int(token or 0)


def _type(kind: InstanceType) -> Answer:
    return {
        "InstanceTypeId": kind.id,
        "InstanceTypeFamily": kind.family,
        "CpuCoreCount": kind.cpus,
        "MemorySize": kind.memory_gib,
        "GPUAmount": kind.gpus,
        "GPUSpec": kind.gpu,
        "EniQuantity": kind.eni_quantity,
        "EniTotalQuantity": kind.eni_quantity,
        "EniTrunkSupported": False,
        "EniPrivateIpAddressQuantity": kind.addresses_per_eni,
        "EniIpv6AddressQuantity": 0,
        "EriQuantity": 0,
        "InstanceBandwidthRx": 0,
        "InstanceBandwidthTx": 0,
        "CpuArchitecture": "X86",
    }


@action("ecs", "DescribeRegions", One("AcceptLanguage"), One("InstanceChargeType"), One("ResourceType"))
def describe_regions(call: Call) -> Answer:
    rows = [
        {"RegionId": name, "LocalName": name, "RegionEndpoint": f"ecs.{name}.aliyuncs.com", "Status": "available"}
        for name in call.cloud.world.regions
    ]
    return {"Regions": {"Region": rows}}


@action("ecs", "DescribeZones", REGION, One("AcceptLanguage"), One("InstanceChargeType"), One("Verbose", "boolean"))
def describe_zones(call: Call) -> Answer:
    types = list(call.cloud.world.instance_types)
    rows = [
        {"ZoneId": zone, "LocalName": zone, "AvailableInstanceTypes": {"InstanceTypes": types}}
        for zone in call.cloud.world.regions[call.region]
    ]
    return {"Zones": {"Zone": rows}}


@action(
    "ecs",
    "DescribeAvailableResource",
    REGION,
    One("ZoneId"),
    One("InstanceType"),
    One("DestinationResource", required=True, choices=("InstanceType",)),
    One("InstanceChargeType", choices=("PostPaid", "PrePaid")),
    One("ResourceType", choices=("instance",)),
    One("NetworkCategory", choices=("vpc",)),
    One("IoOptimized"),
    One("SpotStrategy"),
    One("SystemDiskCategory"),
)
def describe_available_resource(call: Call) -> Answer:
    zones = [zone for zone in call.cloud.world.regions[call.region] if call.values["ZoneId"] in (None, zone)]
    return {"AvailableZones": {"AvailableZone": [_zone(call, zone) for zone in zones]}}


def _zone(call: Call, zone: str) -> Answer:
    """What a zone says of its stock; that may be over when the instances are asked for."""
    rows = []
    for kind in call.cloud.world.instance_types.values():
        if call.values["InstanceType"] in (None, kind.id):
            left = call.cloud.stock_left(zone, kind.id)
            there = left is None or left > 0
            rows.append(
                {
                    "Value": kind.id,
                    "Status": "Available" if there else "SoldOut",
                    "StatusCategory": "WithStock" if there else "WithoutStock",
                }
            )
    open_ = any(row["Status"] == "Available" for row in rows)
    return {
        "ZoneId": zone,
        "RegionId": call.region,
        "Status": "Available" if open_ else "SoldOut",
        "StatusCategory": "WithStock" if open_ else "WithoutStock",
        "AvailableResources": {
            "AvailableResource": [{"Type": "InstanceType", "SupportedResources": {"SupportedResource": rows}}]
        },
    }


@action(
    "ecs",
    "DescribeImages",
    REGION,
    *PAGES,
    One("ImageId"),
    One("ImageName"),
    One("Status"),
    One("ImageOwnerAlias"),
    One("InstanceType"),
    TAGS,
)
def describe_images(call: Call) -> Answer:
    wanted = call.values["ImageId"].split(",") if call.values["ImageId"] else None
    found = [image for image in call.cloud.world.images.values() if wanted is None or image.id in wanted]
    part, pages = page(call, found)
    rows = [
        {"ImageId": image.id, "ImageName": image.id, "Size": image.size_gb, "Status": "Available", "OSType": "linux"}
        for image in part
    ]
    return {**pages, "Images": {"Image": rows}}


@action("ecs", "DescribeKeyPairs", REGION, *PAGES, One("KeyPairName"), TAGS)
def describe_key_pairs(call: Call) -> Answer:
    found = [name for name in call.cloud.world.key_pairs if fnmatchcase(name, call.values["KeyPairName"] or "*")]
    part, pages = page(call, found)
    return {**pages, "KeyPairs": {"KeyPair": [{"KeyPairName": name} for name in part]}}


@action(
    "ecs",
    "DescribeSecurityGroups",
    REGION,
    *PAGES,
    One("SecurityGroupId"),
    One("SecurityGroupIds", "json"),
    One("VpcId"),
    One("SecurityGroupName"),
    One("NetworkType"),
    TAGS,
)
def describe_security_groups(call: Call) -> Answer:
    values, world = call.values, call.cloud.world
    found = [
        group
        for group in world.security_groups.values()
        if world.vpcs[group.vpc].region == call.region
        and values["SecurityGroupId"] in (None, group.id)
        and (values["SecurityGroupIds"] is None or group.id in values["SecurityGroupIds"])
        and values["VpcId"] in (None, group.vpc)
    ]
    part, pages = page(call, found)
    rows = [{"SecurityGroupId": group.id, "SecurityGroupName": group.id, "VpcId": group.vpc} for group in part]
    return {**pages, "RegionId": call.region, "SecurityGroups": {"SecurityGroup": rows}}
