# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

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
    peers = {peer.name: peer.spec for peer in objects.switch_peers(topology)}
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


def test_a_switch_that_a_rack_no_longer_names_has_no_neighbours() -> None:
    estate = with_racks(two_racks(), {"r1": replace(two_racks().racks["r1"], switches=())})
    side = switch_side(estate, "tor1")
    assert (side["as_number"], side["neighbours"]) == (0, [])


def test_a_switch_that_is_none_and_one_with_two_as_numbers() -> None:
    with pytest.raises(TopologyError, match="tor9 is no switch"):
        switch_side(two_racks(), "tor9")
    shared = with_racks(two_racks(), {"r2": replace(two_racks().racks["r2"], switches=("tor1",))})
    with pytest.raises(TopologyError, match="r1, r2"):
        switch_side(shared, "tor1")


def test_a_topology_survives_json() -> None:
    topology = topology_of(with_bgp(timers=model.Timers(keepalive=5), services=SERVICES, password="s3cret"))
    hybrid = replace(topology, vpc=(IPv4Network("172.20.0.0/16"),))
    for each in (topology, hybrid):
        assert from_dict(json.loads(json.dumps(as_dict(each)))) == each


@pytest.mark.parametrize(
    "change",
    [
        {"speakers": None},
        {"speakers": [{"name": "w1", "address": "10.20.1.300"}]},
        {"as_number": "many"},
        {"imports": ["10.20.1.0/24"]},
        {"pools": [{"name": "p"}]},
        {"services": {"vips": []}},
        {"imports": ["0.0.0.0/0"], "speakers": []},
        {"sessions": [{**as_dict(topology_of(two_racks()))["sessions"][0], "timers": {"keepaliv": 5}}]},
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


SERVICES = model.Services(
    cluster_ips=True, external_ips=(IPv4Network("192.0.2.0/24"),), load_balancer_ips=(IPv4Network("198.51.100.0/24"),)
)


def test_announced_services_pass_both_ends_and_nothing_else_does() -> None:
    estate = with_bgp(services=SERVICES)
    networks = ["10.22.0.0/16", "192.0.2.0/24", "198.51.100.0/24"]
    (rules,) = [wanted.spec for wanted in objects.filters(topology_of(estate))]
    assert rules["exportV4"] == [
        *({"cidr": network, "matchOperator": "In", "action": "Accept"} for network in networks),
        {"cidr": "10.21.0.0/16", "matchOperator": "NotIn", "action": "Reject"},
    ]
    side = switch_side(estate, "tor1")
    assert side["import_prefixes"][1:] == [{"prefix": network, "le": 32} for network in networks]
    assert side["max_prefix"] == 2 * 1024 + 3 + 512


def test_the_configuration_announces_what_the_inventory_says() -> None:
    wanted = objects.configuration(topology_of(with_bgp(services=SERVICES)))
    assert wanted.spec == {
        "asNumber": 64512,
        "serviceClusterIPs": [{"cidr": "10.22.0.0/16"}],
        "serviceExternalIPs": [{"cidr": "192.0.2.0/24"}],
        "serviceLoadBalancerIPs": [{"cidr": "198.51.100.0/24"}],
    }
    assert objects.manifest(wanted, "lab")["metadata"]["annotations"][objects.ANNOUNCES_ANNOTATION] == "lab"


def test_services_that_others_announce_stay() -> None:
    found = {
        "metadata": {"name": "default"},
        "spec": {"asNumber": 64512, "serviceClusterIPs": [{"cidr": "10.0.0.0/8"}]},
    }
    assert objects.patch(objects.configuration(topology_of(two_racks()), found), found, "lab") == {}


def test_nothing_is_imported_where_the_inventory_says_nothing() -> None:
    topology = replace(topology_of(two_racks()), imports=())
    assert objects.filters(topology)[0].spec["importV4"] == [{"action": "Reject"}]


def schema(*fields: str) -> objects.Calico:
    properties = {"spec": {"properties": {name: {} for name in fields}}}
    definition = {"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": properties}}}]}}
    return objects.Calico(peer_fields=objects.peer_fields(definition))


def test_the_schema_decides_how_the_next_hop_is_kept() -> None:
    topology = topology_of(two_racks())
    old = objects.switch_peers(topology, schema("peerIP", "keepOriginalNextHop"))[0].spec
    assert old["keepOriginalNextHop"] is True
    assert "nextHopMode" not in old
    for newer in (schema("peerIP", "nextHopMode"), objects.Calico(peer_fields=objects.peer_fields(None))):
        assert objects.switch_peers(topology, newer)[0].spec["nextHopMode"] == "Keep"


CLASSIC, V3 = objects.CLASSIC_API, objects.V3_API


@pytest.mark.parametrize(
    ("served", "defined", "mode"),
    [
        ([CLASSIC], [CLASSIC], objects.Mode.CLASSIC),
        ([CLASSIC, V3], [CLASSIC], objects.Mode.AGGREGATED),
        ([V3], [], objects.Mode.AGGREGATED),
        ([V3], [V3], objects.Mode.NATIVE),
        # The classic definitions stay when a cluster has moved to native ones.
        ([CLASSIC, V3], [CLASSIC, V3], objects.Mode.NATIVE),
        # Terway brings some definitions of Calico's group, but no BGPPeer.
        ([CLASSIC], [], None),
        ([], [CLASSIC], None),
        ([], [V3], None),
        ([], [], None),
    ],
)
def test_what_the_api_server_lists_decides_how_calico_is_written(
    served: list[str], defined: list[str], mode: objects.Mode | None
) -> None:
    listing = {"groups": [{"name": v.split("/")[0], "versions": [{"groupVersion": v}]} for v in ["apps/v1", *served]]}
    assert objects.mode_of(listing, defined) is mode
    assert objects.mode_of(None, defined) is None


def with_bgp(**changes: Any) -> model.Estate:
    estate = two_racks()
    assert estate.bgp is not None
    return replace(estate, bgp=replace(estate.bgp, **changes))


def test_both_ends_have_the_timers_of_the_inventory() -> None:
    estate = with_bgp(timers=model.Timers(keepalive=20, hold=90))
    (peer, _other) = objects.switch_peers(topology_of(estate), schema("nextHopMode", "keepaliveTime"))
    assert peer.spec["keepaliveTime"] == "20s"
    assert switch_side(estate, "tor1")["timers"] == {"keepalive": 20, "hold": 90, "connect": 10}


@pytest.mark.parametrize(
    ("timers", "fields"),
    [(model.Timers(keepalive=20, hold=90), ("nextHopMode",)), (model.Timers(hold=90), ("keepaliveTime",))],
)
def test_a_keepalive_time_needs_a_schema_that_has_it_and_an_inventory_that_says_it(
    timers: model.Timers, fields: tuple[str, ...]
) -> None:
    for peer in objects.switch_peers(topology_of(with_bgp(timers=timers)), schema(*fields)):
        assert "keepaliveTime" not in peer.spec


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (7265, "2h1m5s")]
)
def test_durations_are_written_as_calico_writes_them(seconds: int, text: str) -> None:
    assert objects.duration(seconds) == text


def test_a_switch_of_its_own_as_has_it_on_both_ends() -> None:
    estate = two_racks(extra=[replace(host("tor1b", "10.20.1.2", "r1", "switches"), bgp_as=64999)])
    estate = with_racks(estate, {"r1": replace(estate.racks["r1"], switches=("tor1", "tor1b"))})
    topology = topology_of(estate)
    assert {(s.switch, s.switch_as) for s in topology.sessions} == {("tor1", 64901), ("tor1b", 64999), ("tor2", 64902)}
    assert {peer.name: peer.spec["asNumber"] for peer in objects.switch_peers(topology)}["lab-r1-tor1b"] == 64999
    assert switch_side(estate, "tor1b")["as_number"] == 64999


def test_a_rack_without_an_as_needs_none_where_its_switches_have_their_own() -> None:
    estate = two_racks(extra=[replace(host("tor1b", "10.20.1.2", "r1", "switches"), bgp_as=64999)])
    estate = with_racks(estate, {"r1": replace(estate.racks["r1"], switches=("tor1b",), as_number=None)})
    assert {session.switch_as for session in topology_of(estate).sessions} == {64999, 64902}


def test_a_given_limit_is_the_limit() -> None:
    assert switch_side(with_bgp(max_prefix=500), "tor1")["max_prefix"] == 500


def test_a_rack_keeps_its_cluster_id() -> None:
    racks = {
        name: replace(rack, cluster_id=IPv4Address(f"244.1.0.{n}"))
        for n, (name, rack) in enumerate(two_racks().racks.items(), 1)
    }
    topology = topology_of(with_racks(two_racks(), racks))
    assert [str(reflector.cluster_id) for reflector in topology.reflectors] == ["244.1.0.1", "244.1.0.2"]


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


def test_two_estates_on_one_fabric_share_no_name_and_no_object() -> None:
    def everything(name: str) -> tuple[set[str], list[objects.Object]]:
        topology = topology_of(replace(with_bgp(password="s3cret"), name=name))
        wanted = [*objects.filters(topology), *objects.node_peers(topology), *objects.switch_peers(topology)]
        names = {f"{item.resource}/{item.name}" for item in wanted} | {f"secrets/{objects.secret_name(topology)}"}
        return names, [objects.manifest(item, name) for item in wanted]

    north, objects_of_north = everything("north")
    south, objects_of_south = everything("south")
    assert not north & south
    assert not any(objects.is_ours(found, "south") for found in objects_of_north)
    assert not any(objects.is_ours(found, "north") for found in objects_of_south)


def test_a_switch_serves_two_estates_with_an_as_each() -> None:
    north = replace(with_bgp(as_number=64512), name="north")
    south = replace(with_bgp(as_number=64513), name="south")
    sides = [switch_side(estate, "tor1") for estate in (north, south)]
    assert [side["estate"] for side in sides] == ["north", "south"]
    assert {side["as_number"] for side in sides} == {64901}
    assert [side["neighbours"][0]["remote_as"] for side in sides] == [64512, 64513]


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
