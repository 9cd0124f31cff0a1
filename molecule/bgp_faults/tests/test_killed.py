"""The change from the mesh to reflectors and switches is killed at each of its steps: nobody notices, and the next run
ends it."""

from __future__ import annotations

import pytest

from tests.flows import fabric, proof
from tests.flows.drive import booted, eventually, playbook
from tests.flows.estates import estate, mesh
from tests.flows.interrupt import KillPoint, Sight, run_until
from tests.flows.traffic import probing

SWITCHES = "hybridk8s.estate.switch_bgp : Peer with the reflectors of the rack"
POINTS = (
    KillPoint(SWITCHES, 1, 0.5),
    KillPoint(SWITCHES, 2, 0.1),
    Sight("there is a peer", lambda: bool(fabric.peers())),
    Sight("there is a reflector", lambda: bool(fabric.reflectors())),
    Sight("all reflectors are there", lambda: fabric.reflectors() == set(booted("route_reflectors"))),
    Sight("the mesh is off", lambda: not fabric.mesh_is_on()),
    Sight("nodes have peers that are switches", lambda: any("peerIP" in spec for spec in fabric.peers().values())),
)


@pytest.fixture
def in_mesh(full):
    """The cluster as it was before, with static routes on its switches."""
    fabric.static_routes()
    run = playbook("bgp", estate=estate("mesh", mesh))
    assert run.status == 0, run.output
    assert fabric.mesh_is_on()
    assert not fabric.reflectors()
    fabric.turning_back(allowed=False)
    yield
    fabric.turning_back(allowed=True)
    fabric.static_routes(wanted=False)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed(point, in_mesh, full):
    with probing() as traffic:
        run_until(point, "bgp", estate=full)
        run = playbook("bgp", estate=full)
    print(f"killed {point}, and run again: {run.seconds:.0f} s\n{traffic.result}")

    assert run.status == 0, run.output
    # A node that becomes a reflector starts all of its sessions anew, killed or not.
    others = traffic.result.without(*booted("route_reflectors"))
    assert others.lost == 0, str(others)
    for switch in booted("switches"):
        eventually(lambda switch=switch: not proof.missing_blocks(switch), 30, f"{switch} has every pod block")
    again = playbook("bgp", estate=full)
    assert again.hosts_with("changed") == set(), again.output
