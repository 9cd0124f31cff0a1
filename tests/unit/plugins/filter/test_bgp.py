# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible.template import trust_as_template
from ansible_collections.hybridk8s.estate.plugins.filter.bgp_passwords import bgp_passwords
from ansible_collections.hybridk8s.estate.plugins.filter.bgp_topology import bgp_topology
from ansible_collections.hybridk8s.estate.plugins.filter.route_reflectors import route_reflectors
from ansible_collections.hybridk8s.estate.plugins.filter.switch_bgp import switch_bgp
from ansible_collections.hybridk8s.estate.plugins.filter.switch_bgp_arguments import switch_bgp_arguments
from ansible_collections.hybridk8s.estate.plugins.filter.switch_waves import switch_waves

ESTATE: dict[str, Any] = {
    "estate_name": "lab",
    "estate_kubernetes_version": "1.36.3",
    "estate_networks": {"services": "10.22.0.0/16", "pods": {"bare_metal": "10.21.0.0/16"}},
    "estate_bgp": {"as": 64512, "import": ["10.99.0.0/16"]},
    "estate_racks": {"r1": {"subnet": "10.20.1.0/24", "switches": ["tor1"], "as": 64901}},
}
HOSTS: dict[str, dict[str, Any]] = {
    "cp1": {**ESTATE, "ansible_host": "10.20.1.11", "rack": "r1"},
    "w1": {**ESTATE, "ansible_host": "10.20.1.21", "rack": "r1"},
    "tor1": {**ESTATE, "ansible_host": "10.20.1.1"},
}
GROUPS = {
    "all": ["cp1", "w1", "tor1"],
    "kubernetes": ["cp1", "w1"],
    "control_plane": ["cp1"],
    "workers": ["w1"],
    "bare_metal": ["cp1", "w1"],
    "route_reflectors": ["w1"],
    "switches": ["tor1"],
}


class Watched(dict[str, Any]):
    """Hostvars that note whose variables were read."""

    def __init__(self, hosts: dict[str, Any]) -> None:
        super().__init__(hosts)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


def test_both_filters_tell_of_the_same_session() -> None:
    (session,) = bgp_topology(HOSTS, GROUPS)["sessions"]
    switch = switch_bgp(HOSTS, GROUPS, "tor1")
    assert switch["as_number"] == session["switch_as"] == 64901
    assert switch["neighbours"] == [
        {"address": session["node_address"], "remote_as": session["node_as"], "description": "w1"}
    ]
    assert switch["timers"] == {"keepalive": 10, "hold": 30, "connect": 10}


def test_a_switch_has_the_as_of_its_host_variable() -> None:
    hosts = {**HOSTS, "tor1": {**HOSTS["tor1"], "bgp_as": 64999}}
    assert switch_bgp(hosts, GROUPS, "tor1")["as_number"] == 64999
    assert bgp_topology(hosts, GROUPS)["sessions"][0]["switch_as"] == 64999


CHOSEN = {"estate_bgp": {"as": 64512, "reflectors_per_rack": 1}}


def test_reflectors_by_count_are_on_both_ends() -> None:
    hosts = {name: {**host, **CHOSEN} for name, host in HOSTS.items()}
    groups = {name: members for name, members in GROUPS.items() if name != "route_reflectors"}
    assert route_reflectors(hosts, groups) == ["w1"]
    (session,) = bgp_topology(hosts, groups)["sessions"]
    (neighbour,) = switch_bgp(hosts, groups, "tor1")["neighbours"]
    assert (session["node"], neighbour["address"]) == ("w1", "10.20.1.21")


def test_the_reflectors_of_the_group_are_known_without_reading_other_nodes() -> None:
    hosts = Watched(HOSTS)
    assert route_reflectors(hosts, GROUPS) == ["w1"]
    assert hosts.read == {"cp1", "w1"}
    assert route_reflectors({}, {}) == []


def test_both_filters_know_the_same_password() -> None:
    racks = {"r1": {**ESTATE["estate_racks"]["r1"], "password": "s3cret"}}
    hosts = Watched({name: {**host, "estate_racks": racks} for name, host in HOSTS.items()})
    assert bgp_passwords(hosts, GROUPS) == {"r1-tor1": "s3cret"}
    assert hosts.read == {"tor1"}
    assert switch_bgp(hosts, GROUPS, "tor1")["neighbours"][0]["password"] == "s3cret"
    topology = bgp_topology(hosts, GROUPS)
    assert topology["sessions"][0]["password_key"] == "r1-tor1"
    assert "s3cret" not in str(topology)


def test_a_password_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    looked_up = trust_as_template(f"{{{{ lookup('file', '{tmp_path}/password') }}}}")
    racks = {"r1": {**ESTATE["estate_racks"]["r1"], "password": looked_up}}
    hosts = {name: {**host, "estate_racks": racks} for name, host in HOSTS.items()}
    assert bgp_passwords(hosts, GROUPS) == {"r1-tor1": "s3cret"}


def test_without_switches_there_are_no_passwords() -> None:
    assert bgp_passwords({}, {}) == {}


def test_the_switch_filter_reads_no_other_nodes() -> None:
    hosts = Watched(HOSTS)
    switch_bgp(hosts, GROUPS, "tor1")
    assert hosts.read == {"w1", "tor1"}


@pytest.mark.parametrize("switch", ["tor9", "w1"])
def test_a_switch_that_no_rack_has(switch: str) -> None:
    hosts = {**HOSTS, "tor9": {**ESTATE, "ansible_host": "10.20.9.1"}}
    with pytest.raises(AnsibleFilterError, match=f"{switch} is no switch of the inventory"):
        switch_bgp(hosts, GROUPS, switch)


def test_an_inventory_without_bgp() -> None:
    hosts = {name: {key: value for key, value in host.items() if key != "estate_bgp"} for name, host in HOSTS.items()}
    with pytest.raises(AnsibleFilterError, match="estate_bgp"):
        bgp_topology(hosts, GROUPS)


def test_waves_are_of_the_switches_that_said_so() -> None:
    racks = {"r1": {"switches": ["tor1", "tor2"]}, "r2": {"switches": ["tor3"]}}
    waiting = {"estate_racks": racks, "switch_bgp_result": {"pending": [{"neighbour": "10.20.1.21"}]}}
    ready = {"estate_racks": racks, "switch_bgp_result": {"pending": []}}
    hosts = {"tor1": waiting, "tor2": waiting, "tor3": ready, "tor4": {}}
    assert switch_waves(hosts, {"switches": list(hosts)}) == [["tor1"], ["tor2"]]
    assert switch_waves({"tor3": ready, "tor4": {}}, {"switches": ["tor3", "tor4"]}) == []
    assert switch_waves({}, {}) == []


def there(platform: str, as_number: int, *neighbours: str) -> Any:
    """A switch with neighbours that are not ours, as the modules of its platform show it."""
    if platform == "sonic":
        instance = {"bgp_as": str(as_number), "vrf_name": "default"}
        return [{**instance, "neighbors": [{"neighbor": address} for address in neighbours]}]
    key = "neighbors" if platform == "nxos" else "neighbor"
    return {"as_number": str(as_number), key: [{"neighbor_address": address} for address in neighbours]}


@pytest.mark.parametrize("platform", ["nxos", "eos", "sonic"])
def test_a_switch_that_is_not_as_declared_is_told_nothing(platform: str) -> None:
    wanted = switch_bgp(HOSTS, GROUPS, "tor1")
    address = wanted["neighbours"][0]["address"]
    assert switch_bgp_arguments(wanted, platform, there(platform, 64901, "10.20.1.99"))["pending"] == []
    with pytest.raises(AnsibleFilterError, match="set switch_bgp_router_as: 65000"):
        switch_bgp_arguments(wanted, platform, there(platform, 65000))
    with pytest.raises(AnsibleFilterError, match=f"neighbor {address} is configured outside"):
        switch_bgp_arguments(wanted, platform, there(platform, 64901, address))
    with pytest.raises(AnsibleFilterError, match=r"10\.20\.0\.0/16 holds the node address"):
        switch_bgp_arguments({**wanted, "export_prefixes": ["10.20.0.0/16"]}, platform, {})
    with pytest.raises(AnsibleFilterError, match="switch_bgp_platform: 'ios' is none of nxos, eos, sonic"):
        switch_bgp_arguments(wanted, "ios", {})


@pytest.mark.parametrize("platform", ["nxos", "eos", "sonic"])
def test_without_reflectors_ours_go_and_nothing_is_let_through(platform: str) -> None:
    wanted = {**switch_bgp(HOSTS, GROUPS, "tor1"), "neighbours": [], "import_prefixes": [], "export_prefixes": []}
    told = switch_bgp_arguments(wanted, platform, {})
    assert str(told["prefix_lists"]).count("deny") == 2
    assert "permit" not in str(told["prefix_lists"])
