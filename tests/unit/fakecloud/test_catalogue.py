from __future__ import annotations

import inspect

import pytest
from alibabacloud_cs20151215 import models as cs_models
from alibabacloud_ecs20140526 import models as ecs_models
from alibabacloud_vpc20160428 import models as vpc_models

from tests.fakecloud import api
from tests.fakecloud.actions import ACTIONS
from tests.unit.fakecloud.accounts import REGION, Account

assert api.REGISTERED
MODELS = {"ecs": ecs_models, "vpc": vpc_models, "cs": cs_models}


@pytest.mark.parametrize(("product", "name"), list(ACTIONS))
def test_every_parameter_is_one_that_the_real_api_has(product: str, name: str) -> None:
    made = ACTIONS[product, name]
    request = getattr(MODELS[product], f"{made.name}Request", None)
    if request is None:
        assert product == "cs"
        return
    real = inspect.getsource(request.to_map) + inspect.getsource(request.from_map)
    aliases = {"RegionId": "region_id", "ClientToken": "client_token"} if product == "cs" else {}
    for parameter in made.parameters:
        if parameter.name == "ClusterId":
            continue
        head = aliases.get(parameter.name, parameter.name).partition(".")[0]
        assert f"'{head}'" in real, f"{made.name} has no {parameter.name}"


def test_what_can_be_had(account: Account) -> None:
    types = account.ecs.describe_instance_types(
        ecs_models.DescribeInstanceTypesRequest(instance_types=["ecs.g7.xlarge"])
    )
    kind = types.body.instance_types.instance_type[0]
    assert (kind.instance_type_id, kind.eni_quantity, kind.eni_private_ip_address_quantity) == ("ecs.g7.xlarge", 4, 15)
    zones = account.ecs.describe_zones(ecs_models.DescribeZonesRequest(region_id=REGION)).body.zones.zone
    assert [zone.zone_id for zone in zones] == ["cn-shenzhen-d", "cn-shenzhen-e"]
    regions = account.ecs.describe_regions(ecs_models.DescribeRegionsRequest()).body.regions.region
    assert [region.region_id for region in regions] == [REGION]
    images = account.ecs.describe_images(ecs_models.DescribeImagesRequest(region_id=REGION, image_id="m-debian12"))
    assert [image.image_id for image in images.body.images.image] == ["m-debian12"]
    pairs = account.ecs.describe_key_pairs(ecs_models.DescribeKeyPairsRequest(region_id=REGION))
    assert [pair.key_pair_name for pair in pairs.body.key_pairs.key_pair] == ["operations"]
    groups = account.ecs.describe_security_groups(ecs_models.DescribeSecurityGroupsRequest(region_id=REGION))
    assert [group.vpc_id for group in groups.body.security_groups.security_group] == ["vpc-1"]


def test_networks(account: Account) -> None:
    vpcs = account.vpc.describe_vpcs(vpc_models.DescribeVpcsRequest(region_id=REGION)).body.vpcs.vpc
    assert [(vpc.vpc_id, vpc.cidr_block) for vpc in vpcs] == [("vpc-1", "172.20.0.0/16")]
    request = vpc_models.DescribeVSwitchesRequest(region_id=REGION, zone_id="cn-shenzhen-e")
    found = account.vpc.describe_vswitches(request).body.v_switches.v_switch
    assert {each.v_switch_id for each in found} == {"vsw-node-e", "vsw-pod-e"}
