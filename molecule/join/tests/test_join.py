"""A host joins that booted later than the others, while another worker has no power."""

from __future__ import annotations

import time

import pytest

from tests.flows import proof
from tests.flows.drive import address, booted, eventually, inventory, kubectl, lab, playbook, rack


@pytest.fixture(scope="module")
def newcomer():
    """The worker that `./lab up` leaves alone; never a node before."""
    absent = [host for host in inventory().hosts_of("workers") if host not in booted("workers")]
    assert len(absent) == 1, f"exactly one worker must be powered off: {absent}"
    lab("boot", absent[0])
    return absent[0]


@pytest.fixture(scope="module")
def powerless(newcomer):
    """Another worker in the same rack, without power while the newcomer joins."""
    others = [host for host in booted("workers") if host not in (newcomer, *inventory().hosts_of("route_reflectors"))]
    victim = [host for host in others if rack(host) == rack(newcomer)][0]  # noqa: RUF015, a generator may not raise StopIteration
    lab("kill", victim)
    yield victim
    lab("boot", victim)
    eventually(lambda: _ready(victim), 120, f"{victim} is Ready again after its power came back")


@pytest.fixture(scope="module")
def join(newcomer, powerless):
    run = playbook("join", f"--limit={newcomer}")
    ready_after = time.monotonic()
    eventually(lambda: _ready(newcomer), 60, f"{newcomer} is Ready")
    print(f"join of {newcomer}: {run.seconds:.0f} s, Ready {time.monotonic() - ready_after:.0f} s later")
    return run


def _ready(name):
    return any(node.ready for node in proof.nodes() if node.name == name)


def test_join_succeeds_and_touches_only_the_newcomer(join, newcomer):
    assert join.status == 0, join.output
    assert join.hosts_with("changed") == {newcomer}, join.output
    assert set(join.recap) - {"localhost"} == {newcomer}, join.output


def test_the_newcomer_has_what_the_inventory_says(join, newcomer):
    node = next(node for node in proof.nodes() if node.name == newcomer)

    assert node.ready
    assert node.schedulable
    assert node.address == address(newcomer)


def test_the_outside_reaches_a_pod_on_the_newcomer(join, newcomer):
    proof.deploy()
    pod = next(pod for pod in proof.web_pods() if pod["spec"]["nodeName"] == newcomer)

    assert proof.ask(pod).node == newcomer


def test_no_join_token_is_left(join):
    assert _tokens() == []


def _tokens():
    selector = "--field-selector=type=bootstrap.kubernetes.io/token"
    return kubectl("get", "secrets", "--namespace=kube-system", selector, "--output=name").split()


def test_a_second_join_changes_nothing(join, newcomer):
    again = playbook("join", f"--limit={newcomer}")

    assert again.status == 0, again.output
    assert again.hosts_with("changed") == set(), again.output


def test_site_without_the_powerless_worker_names_it_and_finishes_the_others(join, powerless):
    run = playbook("site")

    assert run.status != 0
    assert run.hosts_with("unreachable") == {powerless}, run.output
    assert run.hosts_with("changed") == set(), run.output
    assert powerless in run.output.rpartition("PLAY RECAP")[0].rpartition("TASK [")[2], "the summary names it"
