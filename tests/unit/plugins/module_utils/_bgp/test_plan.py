# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, gates, objects, observed, traffic
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import plan as planning
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import (
    Speaker,
    Topology,
    TopologyError,
    topology_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model

from tests.unit.plugins.module_utils._bgp.fake_calico import Clock, FakeCalico, run, settled
from tests.unit.plugins.module_utils.estates import REFLECTORS, host, two_racks, with_racks

LAB = topology_of(two_racks())
TOR1 = frozenset(("w1", "10.20.1.1"))


def unchanged(api: FakeCalico, topology: Topology) -> bool:
    return not planning.plan(topology, apply.observe(api, topology)).writes


def test_the_mesh_goes_only_after_every_node_has_its_routes_from_reflectors() -> None:
    api = FakeCalico(LAB)
    runner = run(api, LAB)
    assert [line for line in api.writes if "caliconodestatuses" not in line] == [
        "create bgpfilters/lab-switches",
        "create ippools/bare-metal",
        "create bgpconfigurations/default",
        "create bgppeers/lab-clients",
        "create bgppeers/lab-reflectors",
        "patch nodes/w1",
        "patch nodes/w3",
        "patch bgpconfigurations/default",
        "create bgppeers/lab-r1-tor1",
        "create bgppeers/lab-r2-tor2",
    ]
    assert [passed.gate for passed in runner.passed] == [
        "sessions-with-w1",
        "reflectors-carry-all-routes",
        "all-sessions",
    ]
    assert all(passed.seconds > 0 for passed in runner.passed)
    assert api.mesh is False


def test_a_second_run_writes_nothing_and_waits_for_nothing() -> None:
    api = settled(LAB)
    runner = run(api, LAB)
    assert api.writes == []
    assert [(passed.gate, passed.seconds) for passed in runner.passed] == [("all-sessions", 0.0)]
    assert apply.sessions(LAB, runner.seen or apply.nothing(LAB))["established"] == 4 * 2 + 2


def test_only_nodes_that_become_reflectors_blink() -> None:
    api = FakeCalico(LAB)
    run(api, LAB)
    assert {pair for pair in api.lost if not set(pair) & set(REFLECTORS)} == set()


def test_a_session_that_never_comes_up_leaves_the_mesh_and_is_named_with_both_ends() -> None:
    api = FakeCalico(LAB)
    api.broken = {frozenset(("w4", "w1"))}
    with pytest.raises(apply.GateShut) as shut:
        run(api, LAB)
    assert "w4 (10.20.2.22, AS 64512) <-> reflector w1 (10.20.1.21, AS 64512)" in str(shut.value)
    assert "w4 sees Active, w1 sees Active" in str(shut.value)
    assert "sessions-with-w1 did not open within 20 s" in str(shut.value)
    assert "w1 was put back" in str(shut.value)
    assert api.mesh is True
    assert "patch nodes/w3" not in api.writes
    api.settle()
    assert api.missing == set()

    api.broken = set()
    run(api, LAB)
    assert api.mesh is False
    assert unchanged(api, LAB)


def test_a_reflector_that_fails_the_others_is_put_back_and_they_stay() -> None:
    api = FakeCalico(LAB)
    api.broken = {frozenset(("w4", "w3"))}
    with pytest.raises(apply.GateShut, match="w3 was put back"):
        run(api, LAB)
    api.settle()
    assert (api.mesh, api.missing) == (True, set())
    assert api.nodes["w1"]["metadata"]["labels"][objects.REFLECTOR_LABEL] == "true"
    assert objects.REFLECTOR_LABEL not in api.nodes["w3"]["metadata"]["labels"]
    api.broken = set()
    run(api, LAB)
    assert unchanged(api, LAB)


def test_a_switch_that_does_not_answer_is_named_and_the_rest_is_done() -> None:
    api = FakeCalico(LAB)
    api.broken = {TOR1}
    with pytest.raises(apply.GateShut) as shut:
        run(api, LAB)
    message = str(shut.value)
    assert "w1 (10.20.1.21, AS 64512) <-> switch tor1 (10.20.1.1, AS 64901): w1 sees Active" in message
    assert "tor2" not in message
    assert api.mesh is False
    api.broken = set()
    run(api, LAB)
    assert unchanged(api, LAB)


def test_a_broken_session_is_reported_by_a_run_that_has_nothing_to_change() -> None:
    api = settled(LAB)
    api.broken = {TOR1}
    with pytest.raises(apply.GateShut, match="all-sessions"):
        run(api, LAB)
    assert api.writes == []


def test_a_dead_worker_is_left_out_at_once_and_named() -> None:
    api = FakeCalico(LAB)
    api.ready("w4", "Unknown")
    runner = run(api, LAB)
    assert api.mesh is False
    assert runner.left_out() == {"w4": "is down (its kubelet does not answer)"}
    assert max(passed.seconds for passed in runner.passed) < 8


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda api: api.silent.add("w4"), "has not reported its BGP state"),
        (lambda api: api.ready("w4", "False"), "is not Ready"),
    ],
)
def test_a_node_that_says_nothing_is_waited_for_once(break_it: Callable[[FakeCalico], None], reason: str) -> None:
    api = FakeCalico(LAB)
    break_it(api)
    runner = run(api, LAB, report=8)
    assert runner.left_out() == {"w4": reason}
    assert [passed.seconds >= 8 for passed in runner.passed] == [True, False, False]


def test_a_node_that_starts_to_report_in_time_is_not_left_out() -> None:
    api = FakeCalico(LAB)
    api.silent.add("w4")
    heard = []
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 4:
            heard.append(clock.now)
            api.silent.clear()

    runner = apply.Runner(api, LAB, apply.Patience(20, 15), clock, sleep)
    runner.run(planning.plan(LAB, apply.observe(api, LAB)))
    assert heard
    assert runner.left_out() == {}


def test_a_dead_reflector_is_left_out_while_another_lives() -> None:
    api = FakeCalico(LAB)
    api.ready("w1", "Unknown")
    runner = run(api, LAB)
    assert api.mesh is False
    assert "w1" in runner.left_out()
    # The living one goes first: the dead one alone could never open the gate.
    assert api.writes.index("patch nodes/w3") < api.writes.index("patch nodes/w1")
    assert not {pair for pair in api.lost if "w3" not in pair and "w1" not in pair}


def test_the_mesh_stays_when_no_reflector_lives() -> None:
    api = FakeCalico(LAB)
    api.ready("w1", "Unknown")
    api.ready("w3", "Unknown")
    with pytest.raises(apply.GateShut, match="no reflector is alive: w1 is down"):
        run(api, LAB)
    assert api.mesh is True


def test_the_mesh_stays_when_no_reflector_has_joined_yet() -> None:
    api = FakeCalico(LAB)
    for name in REFLECTORS:
        del api.nodes[name]
    plan = planning.plan(LAB, apply.observe(api, LAB))
    assert "reflector w1 is no node of the cluster; a later run adds it." in plan.warnings
    with pytest.raises(apply.GateShut, match="w1 is not a node of the cluster"):
        run(api, LAB)
    assert api.mesh is True


def test_a_node_that_has_not_joined_yet_is_no_news() -> None:
    api = FakeCalico(LAB)
    del api.nodes["w4"]
    runner = run(api, LAB)
    assert runner.left_out() == {}
    assert runner.passed[0].left_out == {"w4": "is not a node of the cluster"}
    assert unchanged(api, LAB)


def test_the_mesh_stays_when_routes_are_held_as_unreachable() -> None:
    api = FakeCalico(LAB)
    api.network.hidden = {("w4", "w2")}
    with pytest.raises(apply.GateShut, match=r"w4 holds \S+ of w2 as unreachable"):
        run(api, LAB)
    assert api.mesh is True


def test_the_mesh_stays_when_a_route_is_missing() -> None:
    gate = planning.Gate("g", "r", tuple(observed.reflector_links(LAB, LAB.reflectors)), routes=True)
    seen = apply.watch(settled(LAB))
    assert gates.judge(gate, LAB, seen, patient=False).unmet == ()
    poor = replace(seen.reports["w2"], learned=frozenset())
    verdict = gates.judge(gate, LAB, replace(seen, reports={**seen.reports, "w2": poor}), patient=False)
    assert len(verdict.unmet) == 4
    assert all(line.startswith("w2 has no route to 10.21.") for line in verdict.unmet)


def test_a_mesh_session_is_no_session_with_a_reflector() -> None:
    seen = apply.watch(settled(LAB))
    meshed = replace(seen.reports["w2"], peers={}, mesh={"10.20.1.21": "Established", "10.20.2.21": "Established"})
    seen = replace(seen, reports={**seen.reports, "w2": meshed})
    gate = planning.Gate("g", "r", tuple(observed.reflector_links(LAB, LAB.reflectors)))
    assert len(gates.judge(gate, LAB, seen, patient=False).unmet) == 2


def test_a_report_tells_sessions_blocks_and_routes_apart() -> None:
    found = {
        "spec": {"node": "w2", "classes": ["Agent", "BGP", "Routes"]},
        "status": {
            "lastUpdated": "2026-11-23T05:00:00Z",
            "bgp": {
                "peersV4": [
                    {"peerIP": "10.20.1.21", "type": "NodePeer", "state": "Established"},
                    {"peerIP": "10.20.1.22", "type": "NodeMesh", "state": "Active"},
                ]
            },
            "routes": {
                "routesV4": [
                    _route("10.21.0.64/26", "blackhole", "Static"),
                    _route("10.21.0.65/32", "cali1", "Kernel"),
                    _route("10.21.0.128/26", "eth0", "BGPPeer", "RIB", "10.20.1.21"),
                    _route("10.21.0.192/26", "eth0", "NodeMesh", peer="10.20.1.22"),
                    _route("10.21.1.0/26", "unreachable", "BGPPeer", peer="10.20.1.21"),
                ]
            },
        },
    }
    assert observed.report_of(found) == observed.Report(
        peers={"10.20.1.21": "Established"},
        mesh={"10.20.1.22": "Active"},
        blocks=frozenset({"10.21.0.64/26"}),
        learned=frozenset({"10.21.0.128/26", "10.21.1.0/26"}),
        unreachable=frozenset({"10.21.1.0/26"}),
        routes=True,
        received={"10.20.1.21": 2, "10.20.1.22": 1},
        updated="2026-11-23T05:00:00Z",
    )
    assert observed.report_of({"spec": {"node": "w2"}, "status": {}}) is None


def _route(destination: str, interface: str, source: str, kind: str = "FIB", peer: str = "") -> dict[str, object]:
    learned = {"sourceType": source, **({"peerIP": peer} if peer else {})}
    return {"destination": destination, "interface": interface, "type": kind, "learnedFrom": learned}


def test_routes_outside_the_pools_are_no_matter() -> None:
    gate = planning.Gate("g", "r", tuple(observed.reflector_links(LAB, LAB.reflectors)), routes=True)
    seen = apply.watch(settled(LAB))
    odd = replace(seen.reports["w2"], blocks=seen.reports["w2"].blocks | {"10.22.0.0/16", "nonsense"})
    assert not gates.judge(gate, LAB, replace(seen, reports={**seen.reports, "w2": odd}), False).unmet


def test_adding_a_reflector_keeps_every_path_between_other_nodes() -> None:
    api = settled(LAB)
    more = topology_of(two_racks(("w1", "w2", "w3")))
    api.wire(more)
    runner = run(api, more)
    assert api.writes == ["patch nodes/w2"]
    assert [passed.gate for passed in runner.passed] == ["reflectors-serve", "sessions-with-w2", "all-sessions"]
    assert {pair for pair in api.lost if "w2" not in pair} == set()


def test_removing_a_reflector_first_sees_the_others_carry_everything() -> None:
    api = settled(topology_of(two_racks(("w1", "w2", "w3"))))
    api.wire(LAB)
    runner = run(api, LAB)
    assert api.writes == ["patch nodes/w2"]
    assert [passed.gate for passed in runner.passed] == ["all-sessions", "w2-is-a-client"]
    labels = api.nodes["w2"]["metadata"]
    assert objects.REFLECTOR_LABEL not in labels["labels"]
    assert objects.CLUSTER_ID_ANNOTATION not in labels["annotations"]
    assert unchanged(api, LAB)


def test_a_reflector_stays_while_the_remaining_one_is_not_in_session_with_all() -> None:
    api = settled(LAB)
    single = topology_of(two_racks(("w3",)))
    api.wire(single)
    api.broken = {frozenset(("w2", "w3"))}
    with pytest.raises(apply.GateShut, match=r"w2 .* reflector w3"):
        run(api, single)
    assert api.writes == []


def test_without_reflectors_the_mesh_comes_back_before_they_go() -> None:
    api = settled(LAB)
    none = topology_of(two_racks(()))
    runner = run(api, none)
    assert [line for line in api.writes if "status" not in line] == [
        "patch bgpconfigurations/default",
        "delete bgppeers/lab-r1-tor1",
        "delete bgppeers/lab-r2-tor2",
        "patch nodes/w1",
        "patch nodes/w3",
        "delete bgppeers/lab-clients",
        "delete bgppeers/lab-reflectors",
        "delete bgpfilters/lab-switches",
    ]
    assert [passed.gate for passed in runner.passed] == ["mesh-is-up", "w1-joined-the-mesh", "w3-joined-the-mesh"]
    assert api.mesh is True
    assert unchanged(api, none)


def test_a_changed_as_number_patches_only_the_peer() -> None:
    api = settled(LAB)
    rack = replace(two_racks().racks["r1"], as_number=64999)
    changed = topology_of(with_racks(two_racks(), {"r1": rack}))
    api.wire(changed)
    run(api, changed)
    assert api.writes == ["patch bgppeers/lab-r1-tor1"]


def test_a_rack_moves_to_another_switch_before_the_old_one_goes() -> None:
    api = settled(LAB)
    estate = two_racks(extra=[host("tor1b", "10.20.1.2", "r1", "switches")])
    moved = topology_of(with_racks(estate, {"r1": replace(estate.racks["r1"], switches=("tor1b",))}))
    api.wire(moved)
    runner = run(api, moved)
    assert api.writes == ["create bgppeers/lab-r1-tor1b", "delete bgppeers/lab-r1-tor1"]
    assert [passed.gate for passed in runner.passed] == ["all-sessions"]


@pytest.mark.parametrize(
    ("option", "warnings"),
    [
        ("held_switches", ("tor1 is not configured as the inventory says; its sessions stay as they are.",)),
        ("later_switches", ()),
    ],
)
def test_a_switch_that_refused_or_whose_turn_comes_later_keeps_its_session(
    option: str, warnings: tuple[str, ...]
) -> None:
    api = settled(LAB)
    rack = replace(two_racks().racks["r1"], as_number=64999)
    changed = topology_of(with_racks(two_racks(), {"r1": rack}))
    plan = planning.plan(changed, apply.observe(api, changed), **{option: ["tor1"]})
    assert plan.writes == ()
    assert plan.warnings == warnings
    (gate,) = plan.stages
    assert isinstance(gate, planning.Gate)
    assert {link.peer for link in gate.links if link.to_switch} == {"tor2"}


@pytest.mark.parametrize("option", ["held_switches", "later_switches"])
def test_a_peer_whose_session_stays_gets_its_filters_back(option: str) -> None:
    api = settled(LAB)
    api.store[objects.PEERS]["lab-r1-tor1"]["spec"] |= {"filters": [], "asNumber": 64999}
    plan = planning.plan(LAB, apply.observe(api, LAB), **{option: ["tor1"]})
    (write,) = plan.writes
    assert (write.name, write.body) == ("lab-r1-tor1", {"spec": {"filters": ["lab-switches"]}})
    assert write.step.traffic == traffic.FILTERS_AT_ONCE


def test_what_others_made_stays_and_is_named() -> None:
    api = settled(LAB)
    foreign = {"metadata": {"name": "theirs"}, "spec": {"nodeSelector": "all", "peerIP": "10.20.1.77", "asNumber": 1}}
    foreign["spec"]["nodeSelector"] = "x == 'y'"
    api.store[objects.PEERS]["theirs"] = foreign
    other = {"metadata": {"name": "other", **objects.ownership("other-estate")}, "spec": foreign["spec"]}
    api.store[objects.PEERS]["other"] = other
    api.nodes["w2"]["metadata"]["labels"][objects.REFLECTOR_LABEL] = "true"
    plan = planning.plan(LAB, apply.observe(api, LAB))
    assert plan.writes == ()
    assert [warning.split()[0] for warning in plan.warnings] == ["BGPPeer/other", "BGPPeer/theirs", "w2"]


def test_drift_of_ours_is_repaired() -> None:
    api = settled(LAB)
    api.store[objects.PEERS]["lab-r1-tor1"]["spec"].update({"asNumber": 1, "ttlSecurity": 3})
    del api.store[objects.PEERS]["lab-clients"]
    api.store[objects.FILTERS]["lab-switches"]["spec"]["importV4"] = []
    run(api, LAB)
    assert sorted(api.writes) == [
        "create bgppeers/lab-clients",
        "patch bgpfilters/lab-switches",
        "patch bgppeers/lab-r1-tor1",
    ]
    assert "ttlSecurity" not in api.store[objects.PEERS]["lab-r1-tor1"]["spec"]
    assert unchanged(api, LAB)


def test_a_pool_with_our_network_is_taken_over_and_not_doubled() -> None:
    api = FakeCalico(LAB)
    api.store[objects.POOLS]["default-ipv4-ippool"] = {
        "metadata": {"name": "default-ipv4-ippool"},
        "spec": {
            "cidr": "10.21.0.0/16",
            "blockSize": 26,
            "ipipMode": "Always",
            "natOutgoing": True,
            "vxlanMode": "Never",
        },
    }
    run(api, LAB)
    assert list(api.store[objects.POOLS]) == ["default-ipv4-ippool"]
    spec = api.store[objects.POOLS]["default-ipv4-ippool"]["spec"]
    assert (spec["ipipMode"], spec["natOutgoing"], spec["allowedUses"]) == ("Never", False, ["Workload", "Tunnel"])


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("bare-metal", {"cidr": "10.77.0.0/16"}, "network of a pool cannot be changed"),
        ("other", {"cidr": "10.21.0.0/16", "blockSize": 24}, "block size of a pool cannot be changed"),
    ],
)
def test_what_a_pool_cannot_become_is_refused_before_the_first_write(
    name: str, spec: dict[str, object], said: str
) -> None:
    api = FakeCalico(LAB)
    api.store[objects.POOLS][name] = {"metadata": {"name": name}, "spec": spec}
    with pytest.raises(TopologyError, match=said):
        run(api, LAB)
    assert api.writes == []


def test_a_pool_that_is_no_longer_wanted_gives_out_no_more_addresses() -> None:
    api = settled(LAB)
    moved = replace(LAB, pools=(replace(LAB.pools[0], name="new", cidr=IPv4Network("10.31.0.0/16")),))
    plan = planning.plan(moved, apply.observe(api, moved))
    (write,) = [write for write in plan.writes if write.name == "bare-metal"]
    assert write.body == {"spec": {"disabled": True}}
    assert any("IPPool/bare-metal" in warning for warning in plan.warnings)


def test_pods_that_are_hidden_from_the_world_are_visible_to_the_cloud() -> None:
    hybrid = replace(LAB, vpc=(IPv4Network("172.20.0.0/16"), IPv4Network("192.168.0.0/28")))
    api = settled(hybrid)
    assert list(api.store[objects.POOLS]) == ["bare-metal"], "nobody is hidden, so there is nothing to except"

    def planned(topology: Topology, nat_outgoing: bool) -> dict[str, str]:
        plan = planning.plan(topology, apply.observe(api, topology), nat_outgoing)
        for write in plan.writes:
            if write.verb == "create":
                api.store[write.resource][write.name] = dict(write.body)
        return {write.name: write.verb for write in plan.writes if write.resource == objects.POOLS}

    assert planned(hybrid, True) == {"vpc-1": "create", "vpc-2": "create", "bare-metal": "patch"}
    spec = api.store[objects.POOLS]["vpc-1"]["spec"]
    assert (spec["cidr"], spec["disabled"], spec["natOutgoing"]) == ("172.20.0.0/16", True, False)
    assert api.store[objects.POOLS]["vpc-2"]["spec"]["blockSize"] == 28
    assert planned(hybrid, True) == {"bare-metal": "patch"}
    assert planned(hybrid, False) == {"vpc-1": "delete", "vpc-2": "delete"}
    assert planned(LAB, True) == {"vpc-1": "delete", "vpc-2": "delete", "bare-metal": "patch"}


def test_another_cluster_as_is_a_warning() -> None:
    api = settled(LAB)
    plan = planning.plan(replace(LAB, as_number=64600), apply.observe(api, LAB))
    assert any("from 64512 to 64600" in warning for warning in plan.warnings)


def test_services_are_announced_and_withdrawn_again_and_those_of_others_stay() -> None:
    plain = two_racks()
    assert plain.bgp is not None
    services = model.Services(cluster_ips=True, external_ips=(IPv4Network("192.0.2.0/24"),))
    announcing = topology_of(replace(plain, bgp=replace(plain.bgp, services=services)))
    api = settled(LAB)
    spec = api.store[objects.CONFIGURATIONS]["default"]["spec"]
    spec["serviceLoadBalancerIPs"] = [{"cidr": "198.51.100.0/24"}]
    assert unchanged(api, LAB)

    run(api, announcing)
    assert api.writes == ["patch bgpfilters/lab-switches", "patch bgpconfigurations/default"]
    assert spec["serviceClusterIPs"] == [{"cidr": "10.22.0.0/16"}]
    assert "serviceLoadBalancerIPs" not in spec
    assert unchanged(api, announcing)

    api.writes.clear()
    run(api, LAB)
    assert api.writes == ["patch bgpfilters/lab-switches", "patch bgpconfigurations/default"]
    assert spec == {"asNumber": 64512, "nodeToNodeMeshEnabled": False}
    assert unchanged(api, LAB)


def test_mesh_settings_that_need_the_mesh_go_with_it() -> None:
    api = FakeCalico(LAB)
    api.store[objects.CONFIGURATIONS]["default"] = {
        "metadata": {"name": "default"},
        "spec": {"nodeMeshMaxRestartTime": "1m", "logSeverityScreen": "Info"},
    }
    run(api, LAB)
    spec = api.store[objects.CONFIGURATIONS]["default"]["spec"]
    assert spec == {"asNumber": 64512, "nodeToNodeMeshEnabled": False, "logSeverityScreen": "Info"}


def test_an_older_schema_keeps_the_next_hop_by_its_own_field() -> None:
    api = FakeCalico(LAB)
    api.schema = {"keepOriginalNextHop"}
    run(api, LAB)
    assert api.store[objects.PEERS]["lab-r1-tor1"]["spec"]["keepOriginalNextHop"] is True
    assert unchanged(api, LAB)


@pytest.mark.parametrize(
    "defined", [[], [objects.V3_API], [objects.CLASSIC_API]], ids=["other store", "native", "aggregated"]
)
def test_the_public_group_is_written_where_it_is_served(defined: list[str]) -> None:
    api = FakeCalico(LAB)
    api.served, api.defined = [objects.V3_API], defined
    run(api, LAB)
    bodies = {body["metadata"]["name"]: (path, body) for path, body in api.bodies}
    path, body = bodies["lab-r1-tor1"]
    assert path == "/apis/projectcalico.org/v3/bgppeers"
    assert body == {
        "apiVersion": "projectcalico.org/v3",
        "kind": "BGPPeer",
        "metadata": {
            "name": "lab-r1-tor1",
            "labels": {"app.kubernetes.io/managed-by": "hybridk8s.estate"},
            "annotations": {"estate.hybridk8s.io/estate": "lab"},
        },
        "spec": {
            "nodeSelector": "route-reflector == 'true' && estate.hybridk8s.io/rack == 'r1'",
            "peerIP": "10.20.1.1",
            "asNumber": 64901,
            "sourceAddress": "UseNodeIP",
            "maxRestartTime": "2m0s",
            "filters": ["lab-switches"],
            "nextHopMode": "Keep",
        },
    }
    assert {path.rsplit("/", 1)[0] for path, _body in api.bodies} == {"/apis/projectcalico.org/v3"}
    assert unchanged(api, LAB)


def test_the_classic_group_is_written_as_itself() -> None:
    api = FakeCalico(LAB)
    run(api, LAB)
    assert {(path.rsplit("/", 1)[0], body["apiVersion"]) for path, body in api.bodies} == {
        ("/apis/crd.projectcalico.org/v1", "crd.projectcalico.org/v1")
    }


def test_a_label_without_a_cluster_id_is_made_whole_in_one_patch() -> None:
    api = settled(LAB)
    del api.nodes["w1"]["metadata"]["annotations"][objects.CLUSTER_ID_ANNOTATION]
    run(api, LAB)
    assert api.writes == ["patch nodes/w1"]


def test_never_two_reflectors_of_a_rack_at_once_and_the_first_alone() -> None:
    def speaker(name: str, rack: str) -> Speaker:
        return Speaker(name, IPv4Address("10.0.0.1"), rack)

    waiting = [speaker("a1", "a"), speaker("a2", "a"), speaker("b1", "b"), speaker("b2", "b"), speaker("c1", "c")]
    waves = planning._waves(waiting, canary=True)
    assert [[s.name for s in wave] for wave in waves] == [["a1"], ["a2", "b1", "c1"], ["b2"]]
    assert [[s.name for s in wave] for wave in planning._waves(waiting, canary=False)] == [
        ["a1", "b1", "c1"],
        ["a2", "b2"],
    ]
    assert planning._waves([], canary=True) == []


def test_a_plan_for_a_cluster_that_is_still_to_be_made_is_the_plan_that_is_carried_out() -> None:
    foreseen = planning.plan(LAB, apply.nothing(LAB))
    api = FakeCalico(LAB)
    runner = run(api, LAB)
    assert [write.step for write in foreseen.writes] == [write.step for write in runner.done]


def test_a_long_complaint_is_cut() -> None:
    api = FakeCalico(LAB)
    api.broken = {frozenset((one, other)) for one in api.nodes for other in REFLECTORS if one != other}
    many = replace(LAB, speakers=(*LAB.speakers, *(_extra(n) for n in range(20))))
    big = FakeCalico(many)
    big.broken = {frozenset((one, "w1")) for one in big.nodes if one != "w1"}
    with pytest.raises(apply.GateShut, match="and 12 more"):
        run(big, many)


def _extra(number: int) -> Speaker:
    return Speaker(f"x{number}", IPv4Address("10.20.1.100") + number, "r1")


def test_of_many_nodes_a_line_names_the_first() -> None:
    assert planning.some(["a", "b"]) == ["a", "b"]
    assert planning.some([f"w{number}" for number in range(8)]) == ["w0", "w1", "w2", "w3", "w4", "3 more"]
