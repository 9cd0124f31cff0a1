"""From the mesh to reflectors and switches, and from there to others: one edit of the inventory and one run each."""

from __future__ import annotations

import json

import pytest

from tests.flows import fabric, proof
from tests.flows.drive import address, booted, eventually, inventory, kubectl, outside, playbook
from tests.flows.estates import bgp, estate, looked_up, mesh, rack, reflectors
from tests.flows.traffic import probing

PEERS = "bgppeers.crd.projectcalico.org"


@pytest.fixture(scope="module")
def before():
    """A running cluster whose nodes speak with each other only; its switches have static routes."""
    run = playbook("site", estate=estate("mesh", mesh))
    assert run.status == 0, run.output
    proof.deploy()
    proof.web_pods()
    fabric.static_routes()
    fabric.turning_back(allowed=False)
    assert fabric.mesh_is_on()
    assert not fabric.reflectors()


def changed_without_loss(what, wanted, but=()):
    """Nothing is lost, ``but`` of pods on some nodes."""
    with probing() as traffic:
        run = playbook("bgp", estate=wanted)
    print(f"{what}: {run.seconds:.0f} s\n{traffic.result.without(*but)}")
    if but:
        print(f"with pods on {', '.join(but)}:\n{traffic.result.of(ends=but)}")
    assert run.status == 0, run.output
    assert traffic.result.without(*but).lost == 0, str(traffic.result.without(*but))
    again = playbook("bgp", estate=wanted)
    assert again.status == 0, again.output
    assert again.hosts_with("changed") == set(), again.output
    return run


@pytest.fixture(scope="module")
def full(before):
    """Reflectors and switches, after a change that nobody noticed. A node that becomes a reflector starts all of its
    sessions anew, so it has no work yet."""
    whole = estate("full")
    changed_without_loss("mesh to reflectors and switches", whole, but=booted("route_reflectors"))
    assert not fabric.mesh_is_on()
    fabric.turning_back(allowed=True)
    return whole


def test_from_the_mesh_to_reflectors_and_switches(full):
    assert fabric.reflectors() == set(booted("route_reflectors"))
    assert all(session.established for session in proof.sessions())


def test_switches_need_their_static_routes_no_longer(full):
    for switch in booted("switches"):
        eventually(lambda switch=switch: not proof.missing_blocks(switch), 30, f"{switch} has every pod block")
    with probing() as traffic:
        fabric.static_routes(wanted=False)
    print(f"static routes gone:\n{traffic.result}")
    assert traffic.result.lost == 0, str(traffic.result)


def test_what_hands_did_is_seen_and_put_right(full):
    foreign = {
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "BGPPeer",
        "metadata": {"name": "monitoring"},
        "spec": {"nodeSelector": "kubernetes.io/hostname == 'nobody'", "peerIP": "10.30.1.250", "asNumber": 65000},
    }
    with probing() as traffic:
        kubectl("delete", PEERS, "fabric-r1-left")
        kubectl("apply", "--filename=-", stdin=json.dumps(foreign))
        fabric.configure("right", "router bgp 64901", f"neighbor {address('a2')} ebgp-multihop 7")
        ill = fabric.bgp_status(estate=full)
        run = playbook("bgp", estate=full)
        well = fabric.bgp_status(estate=full)
    print(f"put right by hand's work:\n{traffic.result}")

    assert (ill.run.status, ill.ok) == (2, False), ill.run.output
    assert {(one["where"], one["target"]) for one in ill.drift} == {
        ("cluster", "BGPPeer/fabric-r1-left"),
        ("right", f"neighbour/{address('a2')}"),
    }
    assert any("monitoring" in finding for finding in ill.findings)
    assert run.status == 0, run.output
    assert (well.run.status, well.ok, well.drift) == (0, True, []), well.run.output
    assert any("monitoring" in finding for finding in well.findings), "what others made stays, and is told"
    assert set(fabric.peers()) >= {"monitoring", "fabric-r1-left"}
    kubectl("delete", PEERS, "monitoring")


# Edits, and the nodes that start their sessions anew.
ONE_EDIT = {
    "a reflector less": ((reflectors("a2", "b1"),), ["a1"]),
    "a reflector more": ((), ["a1"]),
    "a rack on one switch": ((rack("r1", switches=["left"]),), []),
    "a rack on another switch": ((rack("r1", switches=["right"]),), []),
    "a rack on both switches": ((), []),
    "another AS for a rack": ((rack("r1", **{"as": 64911}),), []),
    "its former AS": ((), []),
    "a password for every session": ((bgp(password=looked_up("of-the-fabric")),), []),
    "another password": ((bgp(password=looked_up("a-newer-one")),), []),
    "no password": ((), []),
}


@pytest.mark.parametrize("what", ONE_EDIT)
def test_one_edit_and_one_run(full, what):
    edits, but = ONE_EDIT[what]
    changed_without_loss(what, estate("edited", *edits), but)
    for switch in booted("switches"):
        eventually(lambda switch=switch: not proof.missing_blocks(switch), 30, f"{switch} has every pod block")


def test_the_outside_reaches_a_service(full):
    network = inventory().shared("estate_networks")["services"]

    def known_to_switches():
        return {network in proof.switch_routes(switch) for switch in booted("switches")}

    changed_without_loss("services for the outside", estate("edited", bgp(services={"cluster_ips": True})))
    eventually(lambda: known_to_switches() == {True}, 30, "switches route the services' network")
    url = f"http://{proof.service_address()}/"
    eventually(lambda: outside("curl", "--silent", "--max-time", "5", url), 30, "the service answers")
    changed_without_loss("no services for the outside", full)
    eventually(lambda: known_to_switches() == {False}, 30, "switches no longer do")
