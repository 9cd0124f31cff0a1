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
