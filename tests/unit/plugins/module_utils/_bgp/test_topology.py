# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import (
    Speaker,
    TopologyError,
    as_dict,
    from_dict,
    switch_side,
    topology_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model

from tests.unit.plugins.module_utils.estates import host, two_racks, with_racks


def test_every_reflector_peers_with_the_switches_of_its_rack() -> None:
    topology = topology_of(two_racks())
    assert [(s.node, s.switch, s.node_as, s.switch_as, s.rack) for s in topology.sessions] == [
        ("w1", "tor1", 64512, 64901, "r1"),
        ("w3", "tor2", 64512, 64902, "r2"),
    ]
    assert [(r.name, str(r.cluster_id)) for r in topology.reflectors] == [("w1", "244.0.0.1"), ("w3", "244.0.0.2")]
    assert [speaker.name for speaker in topology.speakers] == ["cp1", "w1", "w2", "w3", "w4"]


def test_cloud_vms_speak_no_bgp() -> None:
    cloud = host("c1", "172.20.0.5", "", "workers", node_class="cloud_vm")
    assert "c1" not in {speaker.name for speaker in topology_of(two_racks(extra=[cloud])).speakers}


def test_two_switches_and_two_reflectors_in_a_rack_make_four_sessions() -> None:
    estate = two_racks(("w1", "w2"), extra=[host("tor1b", "10.20.1.2", "r1", "switches")])
    rack = replace(estate.racks["r1"], switches=("tor1", "tor1b"))
    sessions = topology_of(with_racks(estate, {"r1": rack})).sessions
    assert {(s.node, s.switch) for s in sessions} == {("w1", "tor1"), ("w1", "tor1b"), ("w2", "tor1"), ("w2", "tor1b")}


def test_both_ends_of_a_session_are_the_same_session() -> None:
    estate = two_racks(("w1", "w2", "w3"))
    topology = topology_of(estate)
    peers = {peer.name: peer.spec for peer in objects.switch_peers(topology, True)}
    for session in topology.sessions:
        switch = switch_side(estate, session.switch)
        assert switch["as_number"] == session.switch_as
        neighbours = {entry["address"]: entry["remote_as"] for entry in switch["neighbours"]}
        assert neighbours[str(session.node_address)] == session.node_as == topology.as_number
        peer = peers[objects.peer_name(topology, session)]
        assert (peer["peerIP"], peer["asNumber"]) == (str(session.switch_address), session.switch_as)
        assert f"== '{session.rack}'" in peer["nodeSelector"]


def test_the_switch_takes_blocks_of_the_pools_and_gives_the_imports() -> None:
    switch = switch_side(two_racks(), "tor1")
    assert switch["import_prefixes"] == [{"prefix": "10.21.0.0/16", "ge": 26, "le": 32}]
    assert switch["export_prefixes"] == [{"prefix": "10.99.0.0/16", "le": 32}]
    assert switch["max_prefix"] == 2048


def test_the_switch_side_needs_only_switches_and_reflectors() -> None:
    estate = two_racks()
    few = replace(estate, hosts={name: estate.hosts[name] for name in ("tor1", "tor2", "w1", "w3")})
    assert switch_side(few, "tor2") == switch_side(estate, "tor2")


@pytest.mark.parametrize(
    ("estate", "named"),
    [
        (replace(two_racks(), bgp=None), "estate_bgp.as"),
        (with_racks(two_racks(), {"r1": replace(two_racks().racks["r1"], as_number=None)}), "estate_racks.r1.as"),
        (two_racks(extra=[host("w9", "10.20.9.9", "r9", "workers", "route_reflectors")]), "w9"),
        (replace(two_racks(), bgp=model.Bgp(64512, (IPv4Network("10.20.0.0/16"),))), "10.20.0.0/16"),
        (replace(two_racks(), bgp=model.Bgp(64512, (IPv4Network("0.0.0.0/0"),))), "0.0.0.0/0"),
    ],
)
def test_an_inventory_that_does_not_work_is_refused(estate: model.Estate, named: str) -> None:
    with pytest.raises(TopologyError, match=named.replace(".", r"\.")):
        topology_of(estate)


def test_a_switch_without_a_rack_and_one_with_two_as_numbers() -> None:
    with pytest.raises(TopologyError, match="tor9: no rack"):
        switch_side(two_racks(), "tor9")
    shared = with_racks(two_racks(), {"r2": replace(two_racks().racks["r2"], switches=("tor1",))})
    with pytest.raises(TopologyError, match="r1, r2"):
        switch_side(shared, "tor1")


def test_a_topology_survives_json() -> None:
    topology = topology_of(two_racks())
    assert from_dict(json.loads(json.dumps(as_dict(topology)))) == topology


@pytest.mark.parametrize(
    "change",
    [
        {"speakers": None},
        {"speakers": [{"name": "w1", "address": "10.20.1.300"}]},
        {"as_number": "many"},
        {"imports": ["10.20.1.0/24"]},
        {"pools": [{"name": "p"}]},
    ],
)
def test_a_topology_made_by_hand_is_checked(change: dict[str, object]) -> None:
    with pytest.raises(TopologyError):
        from_dict({**as_dict(topology_of(two_racks())), **change})


def test_nodes_import_only_outside_prefixes_and_export_only_pools() -> None:
    (rules,) = [wanted.spec for wanted in objects.filters(topology_of(two_racks()))]
    assert rules["importV4"] == [
        {"cidr": "10.99.0.0/16", "matchOperator": "In", "action": "Accept"},
        {"action": "Reject"},
    ]
    assert rules["exportV4"] == [{"cidr": "10.21.0.0/16", "matchOperator": "NotIn", "action": "Reject"}]


def test_nothing_is_imported_where_the_inventory_says_nothing() -> None:
    topology = replace(topology_of(two_racks()), imports=())
    assert objects.filters(topology)[0].spec["importV4"] == [{"action": "Reject"}]


def test_the_schema_decides_how_the_next_hop_is_kept() -> None:
    topology = topology_of(two_racks())
    assert objects.switch_peers(topology, True)[0].spec["nextHopMode"] == "Keep"
    old = objects.switch_peers(topology, False)[0].spec
    assert old["keepOriginalNextHop"] is True
    assert "nextHopMode" not in old

    def definition(*fields: str) -> dict[str, object]:
        properties = {"spec": {"properties": {name: {} for name in fields}}}
        return {"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": properties}}}]}}

    assert objects.has_next_hop_mode(definition("peerIP", "nextHopMode"))
    assert not objects.has_next_hop_mode(definition("peerIP", "keepOriginalNextHop"))
    assert objects.has_next_hop_mode(None)


def test_reports_of_a_large_estate_are_small_and_rare() -> None:
    topology = topology_of(two_racks())
    many = tuple(Speaker(f"n{i}", IPv4Address(f"10.30.{i // 200}.{i % 200 + 1}"), "r1") for i in range(1000))
    small = objects.statuses(topology)[0].spec
    large = objects.statuses(replace(topology, speakers=many))[0].spec
    assert (small["classes"], small["updatePeriodSeconds"]) == (["Agent", "BGP", "Routes"], 2)
    assert (large["classes"], large["updatePeriodSeconds"]) == (["Agent", "BGP"], 50)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"a": 1, "b": False}, {}),
        ({"a": 1}, {}),
        ({"a": 2, "b": False}, {"spec": {"a": 1}}),
        ({"a": 1, "z": 5}, {"spec": {"z": None}}),
        ({}, {"spec": {"a": 1}}),
    ],
)
def test_a_patch_says_only_what_differs(spec: dict[str, object], expected: dict[str, object]) -> None:
    wanted = objects.Wanted(objects.PEERS, "p", {"a": 1, "b": False})
    assert objects.patch(wanted, {"metadata": objects.ownership("lab"), "spec": spec}, "lab") == expected


@pytest.mark.parametrize(
    ("metadata", "ours"),
    [
        (objects.ownership("lab"), True),
        (objects.ownership("lab-2"), False),
        ({"annotations": {"projectcalico.org/metadata": json.dumps(objects.ownership("lab"))}}, True),
        ({"annotations": {"projectcalico.org/metadata": json.dumps(objects.ownership("lab-2"))}}, False),
        ({"annotations": {"projectcalico.org/metadata": "{"}}, False),
        ({"annotations": {"projectcalico.org/metadata": "[]"}}, False),
        ({"labels": None, "annotations": None}, False),
        ({}, False),
    ],
)
def test_ours_is_what_says_so_even_after_calico_wrote_it(metadata: dict[str, object], ours: bool) -> None:
    assert objects.is_ours({"metadata": metadata}, "lab") is ours
