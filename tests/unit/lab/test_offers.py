from __future__ import annotations

import pytest

from tests.fakecloud import world
from tests.lab.errors import InventoryError
from tests.lab.inventory import parse
from tests.lab.offers import world_of
from tests.unit.lab.lab_inventories import hybrid


def test_the_cloud_has_what_the_inventory_wants_of_it() -> None:
    made = world.parse(world_of(parse(hybrid())))
    assert made.regions == {"cn-lab": ("cn-lab-a", "cn-lab-b")}
    assert made.vpcs["vpc-lab"].cidr == "172.20.0.0/16"
    assert {each.id: (each.zone, each.cidr) for each in made.vswitches.values()} == {
        "vsw-node-a": ("cn-lab-a", "172.20.1.0/24"),
        "vsw-pod-a": ("cn-lab-a", "172.20.2.0/24"),
        "vsw-pod-b": ("cn-lab-b", "172.20.3.0/24"),
    }
    assert set(made.instance_types) == {"ecs.g7.xlarge", "ecs.g6.xlarge"}
    assert (set(made.images), made.key_pairs) == ({"m-lab"}, ("lab",))
    assert made.security_groups["sg-lab"].vpc == "vpc-lab"
    assert made.roles["KubernetesNodeRole"].account == made.keys["LTAIlab"].account
    assert made.keys["LTAIlab"].secret == "lab-secret"


def test_what_the_cloud_cannot_do_without_is_named() -> None:
    described = hybrid()
    for variables in described["_meta"]["hostvars"].values():
        del variables["estate_cloud"]["vpc"]
        variables["estate_cloud"]["credentials"] = {"access_key_id": "x", "access_key_secret": {"__ansible_vault": "…"}}
    with pytest.raises(InventoryError) as caught:
        world_of(parse(described))
    assert str(caught.value).endswith("estate_cloud.vpc, estate_cloud.credentials.access_key_secret")
