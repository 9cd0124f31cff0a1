# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, objects, traffic
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import plan as planning
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology, passwords_of, topology_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model

from tests.unit.plugins.module_utils._bgp.fake_calico import FakeCalico, settled
from tests.unit.plugins.module_utils.estates import host, two_racks, with_racks

PLAIN = two_racks()
LAB = topology_of(PLAIN)
RACK = PLAIN.racks["r1"]
RESTART = "sessions of tor1 with w1 start anew; from outside the pods are reached through tor2 meanwhile"
BLINK = "some seconds while its sessions start anew; all others keep their paths"


def noticed(start: Topology, end: Topology) -> dict[str, str]:
    """What the steps from one topology to the other say, by their targets."""
    plan = planning.plan(end, apply.observe(settled(start), end))
    return {write.step.target: write.step.traffic for write in plan.writes}


def bgp(**changes: object) -> Topology:
    assert PLAIN.bgp is not None
    return topology_of(replace(PLAIN, bgp=replace(PLAIN.bgp, **changes)))


def rack(estate: model.Estate = PLAIN, **changes: object) -> Topology:
    return topology_of(with_racks(estate, {"r1": replace(RACK, **changes)}))


def test_from_the_mesh_only_those_who_become_reflectors_notice() -> None:
    plan = planning.plan(LAB, apply.observe(FakeCalico(LAB), LAB))
    told = {stage.step.target: stage.step.traffic for stage in plan.writes if not stage.step.traffic.startswith("none")}
    assert told == {"Node/w1": f"pods on w1: {BLINK}", "Node/w3": f"pods on w3: {BLINK}"}
    gates = [stage for stage in plan.stages if isinstance(stage, planning.Gate)]
    assert [gate.traffic for gate in gates] == [
        "none while it waits; if it stays shut, w1 is put back",
        "none while it waits; if it stays shut, w3 is put back",
        traffic.WAITS,
    ]


@pytest.mark.parametrize(
    ("end", "target", "said"),
    [
        (rack(as_number=64999), "BGPPeer/lab-r1-tor1", RESTART),
        (rack(switches=()), "BGPPeer/lab-r1-tor1", traffic.SUCCEEDED),
        (bgp(imports=()), "BGPFilter/lab-switches", traffic.FILTERS_AT_ONCE),
        (replace(LAB, as_number=64600), "BGPConfiguration/default", traffic.EVERY_SESSION),
        (bgp(services=model.Services(cluster_ips=True)), "BGPConfiguration/default", traffic.ANNOUNCES),
        (topology_of(two_racks(("w1", "w2", "w3"))), "Node/w2", f"pods on w2: {BLINK}"),
        (topology_of(two_racks(("w3",))), "Node/w1", f"pods on w1: {BLINK}"),
        (
            topology_of(two_racks(())),
            "BGPPeer/lab-r1-tor1",
            "no pod is reachable from outside through 10.20.1.1 any more",
        ),
        (topology_of(two_racks(())), "BGPConfiguration/default", traffic.ADDS_SESSIONS),
        (topology_of(two_racks(())), "BGPFilter/lab-switches", traffic.NO_LONGER_USED),
    ],
)
def test_a_step_says_what_traffic_could_notice(end: Topology, target: str, said: str) -> None:
    assert noticed(LAB, end)[target] == said


def test_a_rack_that_moves_notices_nothing() -> None:
    moved = rack(two_racks(extra=[host("tor1b", "10.20.1.2", "r1", "switches")]), switches=("tor1b",))
    assert noticed(LAB, moved) == {
        "BGPPeer/lab-r1-tor1b": "none: it adds a path from outside, through 10.20.1.2",
        "BGPPeer/lab-r1-tor1": traffic.SUCCEEDED,
    }


def test_where_there_is_no_other_switch_that_is_said() -> None:
    alone = topology_of(with_racks(two_racks(("w1",)), {"r2": replace(PLAIN.racks["r2"], switches=())}))
    assert "no pod is reachable from outside until it is up again" in traffic.restart(alone, alone.sessions)


def test_switches_of_the_same_rack_are_named_first() -> None:
    estate = two_racks(extra=[host("zor", "10.20.1.2", "r1", "switches")])
    both = topology_of(with_racks(estate, {"r1": replace(RACK, switches=("tor1", "zor"))}))
    mine = [session for session in both.sessions if session.switch == "tor1"]
    assert "through zor, tor2 meanwhile" in traffic.restart(both, mine)


def test_a_changed_password_restarts_the_sessions_of_its_switch() -> None:
    assert PLAIN.bgp is not None
    estate = replace(PLAIN, bgp=replace(PLAIN.bgp, password="old"))
    secret = topology_of(estate)
    api = settled(secret, passwords_of(estate))
    new = {**passwords_of(estate), "r1-tor1": "new"}
    (write,) = planning.plan(secret, apply.observe(api, secret), passwords=new).writes
    assert write.step.traffic == RESTART

    del api.store[objects.ROLES]["lab-bgp-passwords"]
    (write,) = planning.plan(secret, apply.observe(api, secret), passwords=passwords_of(estate)).writes
    assert write.step.traffic == traffic.GAIN_PASSWORDS


def test_a_mark_of_ours_is_noticed_by_nobody() -> None:
    api = settled(LAB)
    peer = api.store[objects.PEERS]["lab-r1-tor1"]
    peer["metadata"] = {"name": "lab-r1-tor1"}
    (write,) = planning.plan(LAB, apply.observe(api, LAB)).writes
    assert write.step.traffic == traffic.MARKED
