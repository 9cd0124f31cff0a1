# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
import yaml
from ansible import constants as C
from ansible.errors import AnsibleParserError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import fragment_loader
from ansible.utils.plugin_docs import add_fragments
from ansible_collections.hybridk8s.estate.plugins.inventory import ecs

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.unit.plugins.module_utils._ecs.ecs_estate import KEY, Estate

AT_ONCE = {"visible": 0.0, "pending": 0.0, "starting": 0.0, "stopping": 0.0}


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    with FakeCloud(tmp_path_factory.mktemp("cloud"), world.parse({"timings": AT_ONCE})) as fake:
        made = Estate(fake)
        made.run(120)
        made.admin("faults", clear=True)
        yield made


@pytest.fixture(scope="module")
def options():
    """What the plugin loader makes of the documentation; it would have to be the first to import the collection."""
    documentation = yaml.safe_load(ecs.DOCUMENTATION)
    fragments = documentation["extends_documentation_fragment"]
    documentation["extends_documentation_fragment"] = [each.rpartition(".")[2] for each in fragments]
    add_fragments(documentation, ecs.__file__, fragment_loader)
    C.config.initialize_plugin_configuration_definitions(
        "inventory", ecs.InventoryModule.NAME, documentation["options"]
    )


@pytest.fixture
def read(estate, options, tmp_path, monkeypatch):
    monkeypatch.setenv("ESTATE_TEST_SECRET", KEY["secret"])

    def with_settings(name="cloud.ecs.yml", **settings):
        path = tmp_path / name
        account = {
            "regions": ["cn-shenzhen"],
            "credentials": {
                "access_key_id": KEY["id"],
                "access_key_secret": "{{ lookup('env', 'ESTATE_TEST_SECRET') }}",
            },
            "endpoints": {"ecs": estate.fake.endpoint, "scheme": "http"},
        }
        path.write_text(json.dumps({"plugin": "hybridk8s.estate.ecs", "accounts": [account], **settings}))
        inventory = InventoryManager(DataLoader())
        plugin = ecs.InventoryModule()
        plugin._load_name = plugin.NAME
        assert plugin.verify_file(str(path))
        plugin.parse(inventory._inventory, DataLoader(), str(path))
        if settings.get("cache"):
            plugin.update_cache_if_changed()
        return inventory

    return with_settings


def test_instances_become_hosts(read, estate):
    inventory = read(estate="lab")
    assert len(inventory.hosts) == 120
    shown = next(one for one in estate.instances if one["name"] == "online-7")
    variables = inventory.hosts["online-7"].vars
    assert variables["ansible_host"].startswith("172.20.")
    assert variables["ecs_provider_id"] == f"cn-shenzhen.{shown['id']}"
    assert (variables["ecs_zone"], variables["ecs_vswitch"]) == (shown["zone"], shown["vswitch"])
    assert (variables["ecs_pool"], variables["ecs_expires"], variables["ecs_spot"]) == ("online", "", "NoSpot")
    assert len(inventory.groups["cloud_vms"].hosts) == len(inventory.groups["pool_online"].hosts) == 120


def test_constructed_groups_and_variables(read):
    inventory = read(
        estate="lab",
        compose={"where": "ecs_zone ~ '/' ~ ecs_instance_type", "me": "ecs_instance_id"},
        groups={
            "ours": "ecs_tags['estate.hybridk8s.io/owner'] == 'team-a' and ansible_host is defined",
            "none": "false",
        },
        keyed_groups=[{"key": "ecs_zone", "prefix": "zone"}],
    )
    variables = inventory.hosts["online-1"].vars
    assert variables["where"] == f"{variables['ecs_zone']}/ecs.g7.xlarge"
    assert {host.vars["me"] == host.vars["ecs_instance_id"] for host in inventory.hosts.values()} == {True}
    assert len(inventory.groups["ours"].hosts) == 120
    zones = {zone: len(inventory.groups[f"zone_cn_shenzhen_{zone}"].hosts) for zone in "de"}
    assert zones == {"d": 60, "e": 60}
    for host in inventory.hosts.values():
        group = f"zone_{host.vars['ecs_zone']}".replace("-", "_")
        assert host.name in {each.name for each in inventory.groups[group].hosts}


def test_only_those_that_are_asked_for(read):
    assert len(read(estate="other").hosts) == 0
    assert len(read(tags={"estate.hybridk8s.io/owner": "team-a"}).hosts) == 120
    assert len(read(estate="lab", statuses=["Stopped"]).hosts) == 0


def test_the_cache_spares_the_cloud_and_holds_no_secret(read, estate, tmp_path):
    settings = {
        "estate": "lab",
        "cache": True,
        "cache_plugin": "jsonfile",
        "cache_connection": str(tmp_path / "cache"),
        "cache_timeout": 300,
    }
    first = read(**settings)
    asked = len(estate.asked("DescribeInstances"))
    again = read(**settings)
    assert len(estate.asked("DescribeInstances")) == asked
    assert {name: host.vars for name, host in again.hosts.items()} == {
        name: host.vars for name, host in first.hosts.items()
    }
    kept = "".join(file.read_text() for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert "online-1" in kept
    assert KEY["secret"] not in kept


def test_what_the_cloud_refuses_is_said(read, estate):
    estate.admin("fault", action="ecs:DescribeInstances", code="Forbidden.RAM", count=1)
    with pytest.raises(AnsibleParserError, match=r"Grant the RAM user or role the action DescribeInstances\."):
        read(estate="lab")


def test_several_regions_and_accounts(read, estate):
    account = {
        "credentials": {"access_key_id": KEY["id"], "access_key_secret": KEY["secret"]},
        "endpoints": {"ecs": estate.fake.endpoint, "scheme": "http"},
    }
    twice = read(accounts=[{**account, "regions": ["cn-shenzhen"]}, {**account, "regions": ["cn-shenzhen"]}])
    # The second account's have the names of the first's: they are called by their ids.
    assert len(twice.hosts) == 240
    with pytest.raises(AnsibleParserError, match="each is a mapping with its regions"):
        read(accounts=[account])


def test_released_ones_are_no_hosts(read, estate):
    gone = next(one for one in estate.instances if one["name"] == "online-120")
    estate.cloud().call(
        "TagResources",
        ResourceType="instance",
        ResourceId=[gone["id"]],
        Tag=[{"Key": "estate.hybridk8s.io/released", "Value": "2027-01-10T00:00:00Z"}],
    )
    assert "online-120" not in read(estate="lab").hosts
    assert "online-120" in read(estate="lab", released=True).hosts


class Counting:
    available_variables: dict = {}

    def __init__(self):
        self.asked = []

    def evaluate_expression(self, expression):
        self.asked.append(expression)
        return len(self.asked)


@pytest.mark.parametrize(
    ("expression", "evaluations"),
    [
        ("zone", 2),
        ("zone ~ name", 3),
        ("zone | random", 3),
        ("lookup('x') ~ zone", 3),
        ("zone ~ missing", 3),
        ("1 +", 3),
    ],
)
def test_expressions_are_evaluated_once_for_those_that_are_alike(expression, evaluations):
    counting = Counting()
    templar = ecs.RememberingTemplar(counting)
    for zone, name in (("d", "one"), ("d", "two"), ("e", "three")):
        templar.available_variables = {"zone": zone, "name": name}
        templar.evaluate_expression(expression)
    assert len(counting.asked) == evaluations
