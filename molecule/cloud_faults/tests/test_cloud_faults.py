"""VMs come and go while the cloud throttles, VMs die, services are away, controllers are killed, and two run at once.

The next run ends each of these as if nothing had been, and nothing is paid for that no VM of the pool has.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from tests.flows import cloud, interrupt, pools, proof
from tests.flows.drive import Run, eventually, inventory, kubectl, lab, playbook

INTERRUPTIONS = int(os.environ.get("HYBRIDK8S_INTERRUPTIONS", "1"))
SEED = int(os.environ.get("HYBRIDK8S_SEED", "1"))
LONGEST_DELAY = 3.0
JOIN = interrupt.KillPoint("hybridk8s.estate.kubernetes_node : Join the cluster", 1, 1.0)


def names(count: int) -> list[str]:
    return sorted(pools.vms(count))


def cloud_run(count: int, what: str) -> Run:
    run = pools.succeeded("cloud", pools.sized(count))
    print(f"{what}: {run.seconds:.0f} s")
    return run


def failed_hosts(run: Run) -> set[str]:
    return run.hosts_with("failed") | run.hosts_with("unreachable")


def assert_settled(count: int) -> None:
    """The pool is as large as it should be, each VM is a Ready node of its own, and nothing is paid for beside."""
    instances = {instance["name"]: instance for instance in cloud.state()["instances"]}
    assert sorted(instances) == names(count)
    assert {instance["status"] for instance in instances.values()} <= {"Running"}
    region = inventory().shared("estate_cloud")["region"]
    assert cloud.vm_nodes() == {name: f"{region}.{instance['id']}" for name, instance in instances.items()}
    assert pools.nodes() == {*inventory().hosts_of("kubernetes"), *names(count)}
    eventually(lambda: not cloud.unaccounted(), 60, "nothing is paid for that no VM has; Terway may be at work on some")


def begin_with(count: int) -> None:
    """The pool has so many VMs; if it has not yet, a run sees to that."""
    if sorted(instance["name"] for instance in cloud.state()["instances"]) != names(count):
        cloud_run(count, f"to {count} VMs")
    assert_settled(count)


@dataclass
class Cycle:
    """What a run that makes VMs does, and one that ends some."""

    growing: tuple[str, ...]
    shrinking: tuple[str, ...]


@dataclass
class Lost:
    """What a first `site` said that lost two of its three VMs, how many instances there were, and who was Ready."""

    status: int
    summary: str
    billed: int
    ready: set[str]


@pytest.fixture(scope="module")
def lost() -> Lost:
    """While three VMs join, one loses its power, and the cloud takes another one back."""
    _whole, powerless, taken_back = names(3)

    def lose() -> None:
        lab("kill", powerless)
        cloud.ask("interrupt", instance=cloud.named(taken_back)["id"])

    status, output = interrupt.run_through(JOIN, lose, "site", estate=pools.sized(3))
    summary = output.rpartition("PLAY RECAP")[0].rpartition("TASK [")[2]
    return Lost(status, summary, cloud.ever_billed(), {node.name for node in proof.nodes() if node.ready})


@pytest.fixture(scope="module")
def running(lost: Lost) -> Run:
    """The estate with three VMs: the power is back, and `site` has run again."""
    cloud.reboot(names(3)[1])
    run = pools.succeeded("site", pools.sized(3))
    print(f"after two were lost: {run.seconds:.0f} s")
    return run


@pytest.fixture(scope="module")
def cycle(running: Run) -> Cycle:
    """A VM comes while the cloud refuses each third request and breaks at some others, Terway's too; and goes."""
    begin_with(1)
    assert cloud.ask("faults", clear=True) == []
    before, began = cloud.ever_billed(), time.time()
    for product in ("ecs", "vpc"):
        # Terway tries again at once only where this is the code; Throttling.User it leaves to the kubelet.
        cloud.ask("fault", action=f"{product}:*", code="Throttling", share=0.3, seed=SEED)
        cloud.ask("fault", action=f"{product}:*", code="InternalError", status=500, share=0.1, seed=SEED)
    growing = cloud_run(2, "to 2 VMs while the cloud throttles")
    proof.deploy()
    for pod in proof.web_pods(seconds=300):
        if pod["spec"]["nodeName"] in names(2):
            assert any(IPv4Address(cloud.address_of(pod)) in network for network in cloud.pod_networks())
    log = [entry for entry in cloud.requests() if entry["time"] >= began and entry["product"] in ("ecs", "vpc")]
    refused = [entry for entry in log if entry["status"] != 200]
    print(f"{len(refused)} of {len(log)} requests were refused: {', '.join(sorted({e['action'] for e in refused}))}")
    assert len(refused) > len(log) / 5
    assert {"RunInstances", "CreateNetworkInterface"} <= {entry["action"] for entry in log}
    assert_settled(2)
    shrinking = cloud_run(1, "back to 1 VM while it throttles")
    cloud.ask("faults", clear=True)
    assert_settled(1)
    assert cloud.ever_billed() == before + 1
    kubectl("delete", "namespace", proof.NAMESPACE)
    return Cycle(*(interrupt.interruptible(interrupt.tasks_of(run.output)) for run in (growing, shrinking)))


def test_vms_that_are_lost_are_named_and_the_others_become_nodes(lost: Lost) -> None:
    assert lost.status != 0
    assert all(vm in lost.summary for vm in names(3)[1:]), lost.summary
    assert {*inventory().hosts_of("kubernetes"), names(3)[0]} <= lost.ready
    assert lost.billed == 3


def test_the_next_run_finds_one_again_and_has_another_one(running: Run) -> None:
    assert_settled(3)
    assert cloud.ever_billed() == 4
    pools.unchanged(cloud_run(3, "again"))


def test_throttling(cycle: Cycle) -> None:
    assert JOIN.task in cycle.growing


def test_without_metadata_no_vm_joins(running: Run) -> None:
    begin_with(1)
    cloud.ask("fault", action="meta:*", status=503, code="ServiceUnavailable")
    run = playbook("cloud", estate=pools.sized(2))
    assert run.status != 0, run.output
    assert names(2)[-1] in failed_hosts(run), run.output
    assert "metadata" in run.output
    assert list(cloud.vm_nodes()) == names(1)
    cloud.ask("faults", clear=True)
    cloud_run(2, "after the metadata service is back")
    assert_settled(2)


def test_the_api_server_goes_while_nodes_are_drained(running: Run) -> None:
    begin_with(2)
    control_plane = inventory().hosts_of("control_plane")[0]
    draining = interrupt.KillPoint("hybridk8s.estate.nodes : Cordon the nodes and evict their pods", 1, 0.5)
    status, output = interrupt.run_through(
        draining, lambda: lab("cut", control_plane), "cloud", estate=pools.sized(1), timeout=900
    )
    lab("heal", control_plane)
    assert status != 0, output
    eventually(proof.nodes, 60, "the API server answers")
    assert {instance["name"] for instance in cloud.state()["instances"]} == pools.vms(2), "a VM that holds a node stays"
    cloud_run(1, "after the API server was away")
    assert_settled(1)


@pytest.mark.parametrize("count", [1, 3])
def test_two_controllers_at_once(running: Run, count: int) -> None:
    begin_with(4 - count)
    before, grown = cloud.ever_billed(), max(0, count - (4 - count))
    wanted = pools.sized(count)
    with ThreadPoolExecutor(2) as both:
        runs = list(both.map(lambda each: playbook("cloud", estate=each), [wanted, wanted]))
    print(f"two at once: {[run.status for run in runs]}, {max(run.seconds for run in runs):.0f} s")
    assert 0 in [run.status for run in runs], runs[0].output + runs[1].output
    cloud_run(count, "after two controllers at once")
    assert_settled(count)
    assert cloud.ever_billed() == before + grown


@pytest.mark.parametrize("grows", [True, False], ids=["growing", "shrinking"])
@pytest.mark.parametrize("number", range(INTERRUPTIONS))
def test_killed(cycle: Cycle, number: int, grows: bool) -> None:
    """Anywhere in a run: what it began is finished by the next one, not done anew."""
    tasks = cycle.growing if grows else cycle.shrinking
    point = interrupt.kill_points(tasks, INTERRUPTIONS, SEED, LONGEST_DELAY)[number]
    count = 2 if grows else 1
    begin_with(3 - count)
    before = cloud.ever_billed()
    interrupt.run_until(point, "cloud", estate=pools.sized(count))
    began = time.monotonic()
    run = cloud_run(count, f"after a kill {point}")
    assert_settled(count)
    assert cloud.ever_billed() == before + grows, run.output
    print(f"{point}: whole {time.monotonic() - began:.0f} s later")


def test_nothing_is_left(running: Run) -> None:
    cloud_run(0, "to no VM")
    assert not cloud.leftovers()
    assert cloud.ask("billing", open=True) == []
    pools.unchanged(cloud_run(0, "again"))
