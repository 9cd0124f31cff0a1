from __future__ import annotations

from pathlib import Path

from tests.lab.inventory import listing_of, parse
from tests.unit.lab.lab_inventories import two_racks

CHECKOUT = Path(__file__).parents[3]


def test_a_group_has_the_hosts_of_its_children() -> None:
    inventory = parse(two_racks())
    assert inventory.hosts_of("kubernetes") == ("cp1", "w1", "w2")
    assert inventory.hosts_of("nosuch") == ()


def test_every_host_has_variables_even_when_it_has_none() -> None:
    inventory = parse({"_meta": {"hostvars": {}}, "ungrouped": {"hosts": ["bare"]}})
    assert inventory.variables_of("bare") == {}
    assert list(inventory.hostvars) == ["bare"]


def test_a_shared_variable_comes_from_whichever_host_has_it() -> None:
    listing = two_racks()
    del listing["_meta"]["hostvars"]["cp1"]["estate_bgp"]
    assert parse(listing).shared("estate_bgp") == {"as": 64512, "import": ["10.99.0.0/16"]}
    assert parse(listing).shared("nosuch") is None


def test_hosts_that_a_plugin_finds_are_none_of_the_lab(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {w1: {}}}\n")
    (tmp_path / "found.yml").write_text(
        "plugin: ansible.builtin.generator\nhosts: {name: 'online-{{ n }}'}\nlayers: {n: [1, 2]}\n"
    )
    assert list(parse(listing_of(tmp_path, CHECKOUT)).hostvars) == ["w1"]
