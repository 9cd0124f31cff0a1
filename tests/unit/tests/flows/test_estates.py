from __future__ import annotations

import pytest
import yaml

from tests.flows import estates
from tests.flows.drive import REPOSITORY


@pytest.fixture(autouse=True)
def of_the_flow(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_INVENTORY", "molecule/bgp/inventory")
    monkeypatch.setattr(estates, "_MADE", tmp_path)


def read(path):
    hosts = yaml.safe_load((path / "hosts.yml").read_text())["all"]
    return hosts, yaml.safe_load((path / "group_vars" / "all" / "estate.yml").read_text())


def test_without_an_edit_it_is_the_inventory_of_the_lab_without_hosts_of_others():
    hosts, variables = read(estates.estate("full"))

    assert "hosts" not in hosts
    original = REPOSITORY / "molecule" / "bgp" / "inventory"
    assert variables == yaml.safe_load((original / "group_vars" / "all" / "estate.yml").read_text())
    assert (estates._MADE / "full" / "group_vars" / "all" / "machine.yml").read_text().startswith("# What")


def test_an_edit_changes_what_it_names():
    hosts, variables = read(
        estates.estate("edited", estates.reflectors("a2", "b1"), estates.rack("r1", switches=["right"]))
    )

    assert list(hosts["children"]["route_reflectors"]["hosts"]) == ["a2", "b1"]
    assert variables["estate_racks"]["r1"]["switches"] == ["right"]
    assert variables["estate_racks"]["r1"]["as"] == 64901


def test_a_mesh_has_neither_reflectors_nor_switches():
    hosts, variables = read(estates.estate("mesh", estates.mesh))

    assert set(hosts["children"]) == {"kubernetes", "bare_metal"}
    assert "import" not in variables["estate_bgp"]
    assert not any("switches" in body for body in variables["estate_racks"].values())


def test_a_second_cluster_has_its_host_and_the_switches_of_its_rack():
    hosts, variables = read(estates.estate("other", estates.alone("solo", "other", {"estate_bgp": {"as": 64513}})))

    assert list(hosts["children"]["kubernetes"]["children"]["control_plane"]["hosts"]) == ["solo"]
    assert list(hosts["children"]["switches"]["hosts"]) == ["single"]
    assert (variables["estate_name"], list(variables["estate_racks"])) == ("other", ["r2"])
    assert variables["estate_bgp"] == {"as": 64513}


def test_workers_have_profiles(monkeypatch):
    monkeypatch.setenv("LAB_INVENTORY", "inventories/lab")
    hosts, variables = read(estates.estate("online", estates.profiles({"online": {"max_pods": 50}}, {"w2": "online"})))

    assert variables["estate_runtime_profiles"] == {"online": {"max_pods": 50}}
    workers = hosts["children"]["kubernetes"]["children"]["workers"]["hosts"]
    assert (workers["w2"]["runtime_profile"], workers["w2"]["rack"]) == ("online", "r1")
    assert not any("runtime_profile" in body for name, body in workers.items() if name != "w2")


def test_a_line_without_a_limit_and_variables_of_its_vms(monkeypatch):
    monkeypatch.setenv("LAB_INVENTORY", "inventories/lab_hybrid")
    edits = (estates.line(limit_mbit=None, capacity_mbit=100), estates.of_vms(a=1), estates.of_vms(b=2))
    hosts, variables = read(estates.estate("slow", *edits))

    described = variables["estate_cloud"]["line"]
    assert (described["capacity_mbit"], "limit_mbit" in described) == (100, False)
    assert hosts["children"]["cloud_vms"] == {"vars": {"a": 1, "b": 2}}
