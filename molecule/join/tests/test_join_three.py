"""Three hosts join at once, and the first of them loses its power midway."""

from __future__ import annotations

import pytest

from tests.flows import interrupt, proof
from tests.flows.drive import inventory, kubectl, lab, objects, playbook, recap

JOINING = "estate.hybridk8s.io/joining"


@pytest.fixture(scope="module")
def hosts():
    """Three workers that left the cluster. Reflectors stay: the other nodes need them."""
    reflectors = inventory().hosts_of("route_reflectors")
    three = [host for host in inventory().hosts_of("workers") if host not in reflectors]
    assert len(three) == 3
    lab("boot", three[-1])
    confirmed = f"--extra-vars=confirm_estate={inventory().shared('estate_name')}"
    run = playbook("reset", f"--limit={','.join(three)}", confirmed)
    assert run.status == 0, run.output
    assert set(three).isdisjoint(node.name for node in proof.nodes())
    return three


@pytest.fixture(scope="module")
def join(hosts):
    victim, limit = hosts[0], f"--limit={','.join(hosts)}"
    midway = interrupt.KillPoint("hybridk8s.estate.kubernetes_node : Join the cluster", 1, 1.0)
    status, output = interrupt.run_through(midway, lambda: lab("kill", victim), "join", limit)
    return status, output


def test_two_are_ready_nodes_that_take_pods(join, hosts):
    found = {node.name: node for node in proof.nodes()}

    assert all(found[host].ready and found[host].schedulable for host in hosts[1:])
    taints = {one["metadata"]["name"]: one["spec"].get("taints", []) for one in objects("nodes")}
    assert JOINING not in {taint["key"] for host in hosts[1:] for taint in taints[host]}
    assert JOINING in {taint["key"] for taint in taints.get(hosts[0], [{"key": JOINING}])}, "nobody admits a dead node"


def test_the_third_is_named(join, hosts):
    status, output = join

    assert status != 0
    assert {host for host, counts in recap(output).items() if counts["unreachable"]} == {hosts[0]}
    assert hosts[0] in output.rpartition("PLAY RECAP")[0].rpartition("TASK [")[2], "the summary names it"


def test_the_token_is_revoked_all_the_same(join):
    selector = "--field-selector=type=bootstrap.kubernetes.io/token"
    assert kubectl("get", "secrets", "--namespace=kube-system", selector, "--output=name").split() == []


def test_run_again_it_does_what_remains(join, hosts):
    lab("boot", hosts[0])

    again = playbook("join", f"--limit={','.join(hosts)}")

    assert again.status == 0, again.output
    assert again.hosts_with("changed") <= {hosts[0]}, again.output
    assert {node.name for node in proof.nodes() if node.ready} >= set(hosts)
    assert playbook("join", f"--limit={','.join(hosts)}").hosts_with("changed") == set()
