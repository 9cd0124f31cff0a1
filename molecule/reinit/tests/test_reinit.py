"""A host that left Kubernetes shows no more of it than one that never saw it, however often it comes and goes."""

from __future__ import annotations

import os

import pytest

from tests.flows import proof, traces
from tests.flows.drive import booted, eventually, inventory, kubectl, lab, playbook

REINITS = int(os.environ.get("HYBRIDK8S_REINITS", "1"))
CONFIRM = f"confirm_estate={inventory().shared('estate_name')}"


@pytest.fixture(scope="module")
def host():
    """A worker on a disk that nothing was ever installed on."""
    spare = inventory().hosts_of("workers")[-1]
    kubectl("delete", "node", spare, "--ignore-not-found")
    lab("wipe", spare)
    lab("boot", spare)
    return spare


@pytest.fixture(scope="module")
def fresh(host):
    lines = traces.record(host)
    assert len(lines) > 1000, "a host that says nothing proves nothing"
    return lines


@pytest.fixture(scope="module")
def joined(host, fresh):
    run = playbook("join", f"--limit={host}")
    assert run.status == 0, run.output
    proof.deploy()
    assert host in {pod["spec"]["nodeName"] for pod in proof.web_pods()}
    return run


@pytest.fixture(scope="module")
def first_reset(host, joined):
    run = playbook("reset", f"--limit={host}", f"--extra-vars={CONFIRM}")
    assert run.status == 0, run.output
    return traces.record(host)


def test_a_reset_leaves_only_what_is_listed(first_reset, fresh):
    difference = traces.difference(fresh, first_reset, traces.kept())

    assert not difference, str(difference)


def test_a_reset_of_a_host_that_left_changes_nothing(host, first_reset):
    again = playbook("reset", f"--limit={host}", f"--extra-vars={CONFIRM}")

    assert again.status == 0, again.output
    assert again.hosts_with("changed") == set(), again.output


def test_without_a_confirmation_nothing_is_touched(host, first_reset):
    for arguments in ([f"--limit={host}"], [f"--limit={host}", "--extra-vars=confirm_estate=other"]):
        run = playbook("reinit", *arguments)
        assert run.status != 0
        assert "Nothing was changed: name the hosts and the estate" in run.output


@pytest.fixture(scope="module")
def reinits(host, first_reset):
    for number in range(REINITS):
        run = playbook("reinit", f"--limit={host}", f"--extra-vars={CONFIRM}")
        assert run.status == 0, run.output
        assert node(host).schedulable
        print(f"reinit {number + 1} of {REINITS}: {run.seconds:.0f} s, {run.cpu_seconds:.1f} CPU-s")


def node(name):
    return next((node for node in proof.nodes() if node.name == name and node.ready), None)


def test_each_time_it_is_a_node_that_answers(host, reinits):
    eventually(lambda: host in {pod["spec"]["nodeName"] for pod in proof.web_pods()}, 120, f"a web server on {host}")
    pod = next(pod for pod in proof.web_pods() if pod["spec"]["nodeName"] == host)

    assert proof.ask(pod).node == host


def test_nothing_is_left_and_nothing_has_grown_in_the_end(host, reinits, first_reset):
    run = playbook("reset", f"--limit={host}", f"--extra-vars={CONFIRM}")
    assert run.status == 0, run.output

    difference = traces.difference(first_reset, traces.record(host))

    assert not difference, str(difference)


def test_a_reflector_peers_again(reinits):
    reflector = booted("route_reflectors")[-1]
    run = playbook("reinit", f"--limit={reflector}", f"--extra-vars={CONFIRM}")

    assert run.status == 0, run.output
    eventually(lambda: all(session.established for session in proof.sessions()), 60, "every BGP session is up")
    for switch in booted("switches"):
        eventually(lambda switch=switch: not proof.missing_blocks(switch), 60, f"{switch} has every pod block")


@pytest.fixture(scope="module")
def replacement(host, reinits):
    """Two old workers, one of them dead, and two new ones: one is dead as well, and one is there already."""
    reflectors = inventory().hosts_of("route_reflectors")
    dead, living = (one for one in booted("workers") if one not in (host, *reflectors))
    for powerless in (dead, host):
        lab("kill", powerless)
    proof.await_silence(dead)
    limit = f"--limit={host},{booted('route_reflectors')[0]},{dead},{living}"
    return dead, living, [limit, f"--extra-vars={CONFIRM} retire={dead},{living} max_fail=1"]


def test_a_dead_host_goes_at_once_and_a_living_one_not_before_its_successor_is_there(host, replacement):
    dead, living, arguments = replacement

    run = playbook("replace", *arguments)

    print(f"replace, with one new host dead and one old: {run.seconds:.0f} s")
    assert run.status != 0
    assert run.hosts_with("unreachable") == {host}, f"nobody tried to reach {dead}\n{run.output}"
    assert dead not in {one.name for one in proof.nodes()}
    assert f"{living} was not touched: of the new hosts" in run.output
    assert node(living).schedulable


def test_run_again_it_replaces_the_rest(host, replacement):
    _dead, living, arguments = replacement
    lab("boot", host)

    run = playbook("replace", *arguments)

    print(f"replace of the other: {run.seconds:.0f} s")
    assert run.status == 0, run.output
    assert node(host).schedulable
    assert living not in {one.name for one in proof.nodes()}
    again = playbook("replace", *arguments)
    assert again.status == 0, again.output
    assert again.hosts_with("changed") == set(), again.output
