# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.observed import missing_routes
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.plan import plan
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.status import lines, no_nodes, sessions_in, status
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology, topology_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

from tests.unit.plugins.module_utils._bgp.fake_calico import FakeCalico, settled
from tests.unit.plugins.module_utils.estates import two_racks

LAB = topology_of(two_racks())


def cluster(api: FakeCalico, topology: Topology = LAB) -> dict[str, Any]:
    """What module bgp_info returns."""
    observed = apply.observe(api, topology)
    foreseen = plan(topology, observed)
    returned = {
        **result([write.step for write in foreseen.writes]),
        "sessions": [session.as_dict() for session in sessions_in(topology, observed)],
        "routes_missing": missing_routes(topology, observed, sorted(observed.reports)),
        "findings": list(foreseen.warnings),
    }
    as_json: dict[str, Any] = json.loads(json.dumps(returned))
    return as_json


def switch(*seen: tuple[str, str, int], steps: tuple[dict[str, str], ...] = ()) -> dict[str, Any]:
    """What module frr_bgp returns in check mode."""
    sessions = [
        {"neighbour": address, "state": state, "remote_as": 64512, "prefixes_received": received, "uptime": 1.0}
        for address, state, received in seen
    ]
    return {"sessions": sessions, "steps": list(steps)}


TOR1 = switch(("10.20.1.21", "Established", 5))
TOR2 = switch(("10.20.2.21", "Established", 4))


def test_all_is_well() -> None:
    found = status("lab", cluster(settled(LAB)), {"tor1": TOR1, "tor2": TOR2})
    assert found["ok"] is True
    assert found["counts"] == {"sessions": 9, "down": 0, "drift": 0}
    assert lines(found) == ["9 of 9 sessions are up; all as the inventory has it."]
    to_switch = {session["peer"]["name"]: session for session in found["sessions"] if session["kind"] == "switch"}
    assert to_switch["tor1"]["peer"] == {
        "name": "tor1",
        "address": "10.20.1.1",
        "as_number": 64901,
        "sees": "Established",
        "received": 5,
    }


def test_a_session_between_two_nodes_comes_once_reflector_or_mesh() -> None:
    for topology in (LAB, topology_of(two_racks(()))):
        pairs = [
            frozenset((one["node"]["name"], one["peer"]["name"]))
            for one in cluster(settled(topology), topology)["sessions"]
        ]
        assert len(pairs) == len(set(pairs))
    assert len(pairs) == 5 * 4 / 2


def test_a_host_that_is_no_node_yet_has_no_sessions() -> None:
    api = settled(LAB)
    observed = apply.observe(api, LAB)
    less = replace(observed, nodes={name: node for name, node in observed.nodes.items() if name not in ("w2", "w3")})
    ends = {end for one in sessions_in(LAB, less) for end in (one.node.name, one.peer.name)}
    assert ends == {"cp1", "w1", "w4", "tor1"}
    assert no_nodes(LAB, less) == [f"{name} is in the inventory, but no node of the cluster." for name in ("w2", "w3")]


def test_a_session_that_is_down_is_named_with_what_each_end_sees() -> None:
    api = settled(LAB)
    api.broken = {frozenset(("w4", "w1"))}
    api.settle()
    found = status("lab", cluster(api), {"tor1": TOR1, "tor2": TOR2})
    assert found["ok"] is False
    assert lines(found)[:2] == [
        "Sessions that are not up:",
        "  w4 (10.20.2.22, AS 64512) <-> reflector w1 (10.20.1.21, AS 64512): w4 sees Active, w1 sees Active",
    ]


def test_one_end_is_not_enough() -> None:
    found = status("lab", cluster(settled(LAB)), {"tor1": switch(("10.20.1.21", "Idle", 0)), "tor2": TOR2})
    assert found["counts"]["down"] == 1
    assert "switch tor1 (10.20.1.1, AS 64901): w1 sees Established, tor1 sees Idle" in lines(found)[1]
    forgotten = status("lab", cluster(settled(LAB)), {"tor1": switch(), "tor2": TOR2})
    assert "tor1 sees no such session" in lines(forgotten)[1]


def test_a_switch_that_could_not_be_asked_is_said_and_not_taken_for_well() -> None:
    found = status("lab", cluster(settled(LAB)), {"tor1": None, "tor2": TOR2})
    assert (found["ok"], found["counts"]["down"]) == (False, 0)
    assert found["findings"] == ["switch tor1 could not be asked."]


def test_drift_is_named_by_place_and_what_is_foreign_is_only_told() -> None:
    api = settled(LAB)
    del api.store["bgppeers"]["lab-r1-tor1"]
    to_nobody = {"nodeSelector": "route-reflector == 'none'", "peerIP": "192.0.2.1"}
    api.store["bgppeers"]["theirs"] = {"metadata": {"name": "theirs"}, "spec": to_nobody}
    step = {"action": "change", "target": "neighbour/10.20.2.21", "reason": "differs from the inventory"}
    found = status("lab", cluster(api), {"tor1": TOR1, "tor2": switch(("10.20.2.21", "Established", 4), steps=(step,))})
    assert [(drift["where"], drift["target"]) for drift in found["drift"]] == [
        ("cluster", "BGPPeer/lab-r1-tor1"),
        ("tor2", "neighbour/10.20.2.21"),
    ]
    assert found["findings"] == ["BGPPeer/theirs is not ours and stays as it is."]
    foreign_only = settled(LAB)
    foreign_only.store["bgppeers"]["theirs"] = api.store["bgppeers"]["theirs"]
    assert status("lab", cluster(foreign_only), {"tor1": TOR1, "tor2": TOR2})["ok"] is True


def test_a_block_that_leads_nowhere_is_no_success() -> None:
    api = settled(LAB)
    api.network.hidden = {("w4", "w2")}
    found = status("lab", cluster(api), {"tor1": TOR1, "tor2": TOR2})
    assert found["ok"] is False
    assert "w4 holds" in found["routes_missing"][0]


def test_long_lists_end_with_a_count() -> None:
    api = settled(LAB)
    api.silent = {"w1", "w2", "w3", "w4", "cp1"}
    api.settle()
    found = status("lab", cluster(api), {"tor1": None, "tor2": None})
    assert any(line.startswith("  and ") for line in lines(found, most=1))
