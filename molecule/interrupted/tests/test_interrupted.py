"""Each interrupted first installation is made whole by the next run, to the state of one that was never interrupted."""

from __future__ import annotations

import os

import pytest

from tests.flows import interrupt, proof, state
from tests.flows.drive import booted, lab, limit, playbook, racks

SEED = int(os.environ.get("HYBRIDK8S_SEED", "20261123"))
POINTS = int(os.environ.get("HYBRIDK8S_INTERRUPTIONS", "2"))


def fresh_hosts():
    """Every host that is powered on, as the lab first booted it."""
    hosts = booted("all")
    for host in hosts:
        lab("wipe", host)
    lab("up", *hosts)


@pytest.fixture(scope="module")
def uninterrupted():
    """The end state of what `converge` made, after the run that has nothing to do: it records the kubelets."""
    playbook("site", f"--limit={limit()}")
    return state.finished()


@pytest.fixture(scope="module")
def points(uninterrupted):
    fresh_hosts()
    return interrupt.kill_points(interrupt.planned_tasks(f"--limit={limit()}"), POINTS, SEED)


@pytest.mark.parametrize("number", range(POINTS))
def test_the_next_run_finishes_what_a_killed_one_began(number, points, uninterrupted):
    fresh_hosts()
    print(f"seed {SEED}, point {number + 1} of {POINTS}: killed {points[number]}")
    interrupt.run_until(points[number], "site", f"--limit={limit()}")

    run = playbook("site", f"--limit={limit()}")

    assert run.status == 0, run.output
    assert {node.name for node in proof.nodes() if node.ready} == set(booted("kubernetes"))
    again = playbook("site", f"--limit={limit()}")
    assert again.status == 0, again.output
    assert again.hosts_with("changed") == set(), again.output
    differences = state.differences(uninterrupted, state.finished())
    assert differences == [], "\n".join(differences)


def test_traffic_flows_in_the_end():
    proof.deploy()

    assert {proof.ask(pod).rack for pod in proof.web_pods()} == set(racks())
