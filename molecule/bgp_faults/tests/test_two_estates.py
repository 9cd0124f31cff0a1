"""Two clusters on one fabric: each has its own inventory, and neither takes the other's routes."""

from __future__ import annotations

import pytest

from tests.flows import fabric, proof
from tests.flows.drive import asking, booted, eventually, lab, playbook, ssh
from tests.flows.estates import alone, estate
from tests.flows.traffic import probing

PODS, SERVICES = "10.41.0.0/16", "10.42.0.0/16"
HOST = "solo"
OTHER = alone(
    HOST,
    "other",
    {
        "estate_networks": {
            "services": SERVICES,
            "pods": {"bare_metal": PODS},
            "reserved": ["100.64.0.0/10", "10.98.0.0/16", "10.31.0.0/16", "10.32.0.0/16"],
        },
        "estate_bgp": {"as": 64513, "import": ["10.99.0.0/16"]},
    },
)


@pytest.fixture(scope="module")
def other(full):
    inventory = estate("other", OTHER)
    lab("boot", HOST)
    with probing() as traffic:
        run = playbook("site", estate=inventory)
    print(f"site of a second cluster: {run.seconds:.0f} s; what the first one noticed:\n{traffic.result}")
    assert run.status == 0, run.output
    assert traffic.result.lost == 0, str(traffic.result)
    yield inventory
    lab("wipe", HOST)


def routes(host):
    return ssh(host, "ip route show").split()


def inside(words, prefix):
    return [word for word in words if word.startswith(prefix)]


def test_both_answer_the_outside(other, full):
    with asking(HOST):
        proof.deploy()
        pods = proof.web_pods()
        assert {proof.ask(pod).node for pod in pods} == {HOST}
    assert {proof.ask(pod).node for pod in proof.web_pods()} == set(booted("kubernetes"))


def test_neither_takes_the_others_routes(other, full):
    assert inside(routes(HOST), "10.41."), "a node without routes proves nothing"
    assert inside(routes(HOST), "10.31.") == []
    for node in booted("kubernetes"):
        assert inside(routes(node), "10.31."), node
        assert inside(routes(node), "10.41.") == [], node


def test_neither_has_anything_to_do_or_to_say_about_the_other(other, full):
    for inventory in (full, other):
        status = fabric.bgp_status(estate=inventory)
        assert (status.ok, status.findings) == (True, []), status.run.output
        again = playbook("bgp", estate=inventory)
        assert again.status == 0, again.output
        assert again.hosts_with("changed") == set(), again.output
    with probing() as traffic:
        playbook("bgp", estate=other)
    eventually(proof.web_pods, 30, "the first cluster's pods run")
    assert traffic.result.lost == 0, str(traffic.result)
