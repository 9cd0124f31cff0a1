# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulated routers against what was seen of real ones (domain facts A4, A5; lab facts)."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import topology_of

from tests.unit.plugins.module_utils._bgp.fake_calico import FakeCalico, settled
from tests.unit.plugins.module_utils._bgp.routing import matches, reflected, selects
from tests.unit.plugins.module_utils.estates import two_racks

LAB = topology_of(two_racks())
TOR1 = "10.20.1.1"


def pairs(sessions: str, **ids: str) -> set[str]:
    """Who reaches whom over sessions such as ``r>a r-s``: a is a client of r, and r and s are not of each other."""
    directed = set()
    for one, kind, other in sessions.split():
        directed |= {(one, other, kind == ">"), (other, one, False)}
    names = {name for name, _other, _client in directed}
    found = reflected(frozenset(directed), frozenset((name, ids.get(name, "")) for name in names))
    return {f"{node}{owner}" for node, owner in found}


@pytest.mark.parametrize(
    ("sessions", "ids", "reached", "not_reached"),
    [
        ("a-b b-c", {}, "ab ba bc", "ac ca"),
        ("r>a r>b", {"r": "1"}, "ab ba ar ra", ""),
        ("r>a r-b", {"r": "1"}, "ab ba", ""),
        ("r-a r-b", {"r": "1"}, "ra rb", "ab ba"),
        ("r>a s>b r-s", {"r": "1", "s": "2"}, "ab ba as br", ""),
        ("r>a s>b r-s", {"r": "1", "s": "1"}, "rs sr", "ab ba sa rb"),
        ("r>a s-r t-s t>b", {"r": "1", "s": "2", "t": "3"}, "sa", "ab ba"),
    ],
)
def test_routes_are_reflected_as_bgp_has_it(sessions: str, ids: dict[str, str], reached: str, not_reached: str) -> None:
    found = pairs(" ".join(sessions.split()), **ids)
    assert set(reached.split()) <= found
    assert not set(not_reached.split()) & found


def test_a_node_with_a_cluster_id_leaves_the_mesh_on_both_sides_at_once() -> None:
    api = FakeCalico(LAB)
    assert ("w1", "w2") in api.network.paths
    api.nodes["w1"]["metadata"]["annotations"][objects.CLUSTER_ID_ANNOTATION] = "244.0.0.1"
    api.settle()
    assert not [pair for pair in api.network.paths if "w1" in pair]
    assert ("w2", "w3") in api.network.paths


def test_a_changed_peer_starts_its_sessions_anew_and_a_changed_filter_none() -> None:
    api = settled(LAB)
    peer = api.store[objects.PEERS]["lab-r1-tor1"]["spec"]
    peer["filters"] = []
    api.network.update()
    assert ("w1", TOR1) in api.network.up
    peer["maxRestartTime"] = "9m0s"
    api.network.update()
    assert ("w1", TOR1) not in api.network.up
    api.settle()
    assert ("w1", TOR1) in api.network.up


def test_without_a_filter_the_hosts_subnets_from_a_switch_hide_whole_racks() -> None:
    api = settled(LAB)
    api.network.switches[TOR1].leaks = (IPv4Network("10.20.1.0/24"), IPv4Network("10.20.2.0/24"))
    api.settle()
    assert not api.network.black_holes
    del api.store[objects.FILTERS]["lab-switches"]
    api.settle()
    assert api.network.black_holes == {("w1", "w3"), ("w1", "w4")}
    assert "unreachable" in str(api.network.report("w1"))


def test_the_outside_reaches_a_block_at_its_owner_or_through_who_hides_it() -> None:
    api = settled(LAB)
    (block,) = api.network.blocks["w2"]
    assert block in api.network.outside
    for name in ("lab-r1-tor1", "lab-r2-tor2"):
        api.store[objects.PEERS][name]["spec"]["nextHopMode"] = "Auto"
    api.settle()
    assert block in api.network.outside
    api.broken = {frozenset({"w2", reflector}) for reflector in ("w1", "w3")}
    api.settle()
    assert block not in api.network.outside


def test_a_switch_takes_what_its_lists_let_in_up_to_its_limit() -> None:
    api = settled(LAB)
    for switch in api.network.switches.values():
        switch.max_prefix = 4
    api.settle()
    assert not api.network.outside
    for switch in api.network.switches.values():
        switch.max_prefix, switch.takes = 0, ((IPv4Network("10.21.0.0/24"), 26, 32),)
    api.settle()
    assert len(api.network.outside) == 4


def test_selectors_and_rules() -> None:
    assert selects("all()", {})
    assert selects("has(a) && !has(b) && a == 'x' && c != 'y'", {"a": "x"})
    assert not selects("has(b)", {"a": "x"})
    prefix = IPv4Network("10.21.0.64/26")
    assert matches({"action": "Reject"}, prefix)
    assert matches({"cidr": "10.21.0.0/16", "matchOperator": "In", "prefixLength": {"min": 26}}, prefix)
    assert not matches({"cidr": "10.21.0.0/16", "matchOperator": "NotIn"}, prefix)
    assert not matches({"prefixLength": {"max": 24}}, prefix)
