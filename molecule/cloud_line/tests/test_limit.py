"""What VMs and their pods send to the data centre keeps to the limit; what the cluster says itself goes first."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest

from tests.flows import cloud, line, proof
from tests.flows.drive import eventually, kubectl, objects, ssh

from .conftest import DATA_CENTRE, FIRST, LIMIT_MBIT, LIMITED, LINE_MBIT, SECOND, measure, run, sized

UNIT = "hybridk8s-egress-limit"
CROWD = "crowd"


def is_held(mbit):
    return LIMIT_MBIT * 0.95 <= mbit <= LIMIT_MBIT * 1.05


def test_a_limit_keeps_the_line_free_for_the_cluster(idle, free, limited):
    held = measure(FIRST)
    print(f"\nline {LINE_MBIT} Mbit/s\nidle: {idle}\nwithout a limit: {free}\nlimit {LIMIT_MBIT}: {held}")
    assert free.mbit > LINE_MBIT * 0.9
    assert is_held(held.mbit)
    for quiet, waited, quick in ((idle.api, free.api, held.api), (idle.kubelet, free.kubelet, held.kubelet)):
        assert waited.median > quiet.median + 10
        assert quick.median < quiet.median + 5


def test_a_vm_has_its_limit_before_it_is_a_node(limited):
    since = ssh(SECOND, f"systemctl show {UNIT} --property=ActiveEnterTimestamp --value --timestamp=unix").strip()
    nodes = {node["metadata"]["name"]: node["metadata"]["creationTimestamp"] for node in objects("nodes")}
    assert int(since.lstrip("@")) <= datetime.fromisoformat(nodes[SECOND]).timestamp()


@pytest.mark.parametrize("vm", [FIRST, SECOND])
def test_a_pod_on_an_interface_of_the_cloud_is_limited_with_its_vm(web, vm):
    assert line.way_of(web[vm]) == "eth1"
    with line.sinks(DATA_CENTRE), line.sending(vm, to=DATA_CENTRE, pod=web[vm]):
        alone = line.most(DATA_CENTRE)
        with line.sending(vm, to=DATA_CENTRE):
            both = line.most(DATA_CENTRE)
    print(f"\na pod of {vm}: {alone:.1f} Mbit/s, with its VM {both:.1f}")
    assert is_held(alone)
    assert is_held(both)


def test_what_stays_inside_the_vpc_is_not_limited(limited):
    with line.sinks(SECOND), line.sending(FIRST, to=SECOND):
        rate = line.most(SECOND)
    print(f"\n{FIRST} to {SECOND}: {rate:.0f} Mbit/s")
    assert rate > 5 * LIMIT_MBIT


def test_an_interface_that_comes_later_is_limited(limited):
    before = len([eni for eni in cloud.state()["enis"] if eni["role"] == "Secondary"])
    pods = crowd(FIRST, 6)
    ways = {line.way_of(pod): pod for pod in pods}
    assert "eth2" in ways
    assert len([eni for eni in cloud.state()["enis"] if eni["role"] == "Secondary"]) > before
    assert line.is_limited(FIRST, "eth2")
    with line.sinks(DATA_CENTRE), line.sending(FIRST, to=DATA_CENTRE, pod=ways["eth2"]):
        rate = line.most(DATA_CENTRE)
    print(f"\na pod by eth2: {rate:.1f} Mbit/s")
    assert is_held(rate)


def crowd(vm, count):
    """So many more pods on a VM, once all of them run."""
    labels = {"app.kubernetes.io/name": CROWD}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "nodeName": vm,
            "containers": [{"name": "web", "image": "estate-lab/web:1"}],
            "terminationGracePeriodSeconds": 1,
        },
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CROWD, "namespace": proof.NAMESPACE},
        "spec": {"replicas": count, "selector": {"matchLabels": labels}, "template": template},
    }
    kubectl("apply", "--filename=-", stdin=json.dumps(deployment))

    def running():
        pods = objects("pods", f"--namespace={proof.NAMESPACE}", f"--selector=app.kubernetes.io/name={CROWD}")
        up = [pod for pod in pods if pod["status"]["phase"] == "Running" and pod["status"].get("podIP")]
        return up if len(up) == count else None

    return eventually(running, 90, f"{count} pods run on {vm}")


def test_an_operator_sees_how_much_of_the_line_is_used(limited, tmp_path):
    report = tmp_path / "line.json"
    with line.sinks(DATA_CENTRE), line.sending(FIRST, to=DATA_CENTRE), line.sending(SECOND, to=DATA_CENTRE):
        done = run("line_usage", "--extra-vars", f"line_report={report}", of=sized(2, LIMITED))
        rate = line.most(DATA_CENTRE)
    said = json.loads(report.read_text())
    print(f"\n{said['message']} At the other end {rate:.1f} Mbit/s arrive.")
    assert said["message"] in done.output.replace("\n", " ")
    assert said["capacity_mbit"] == LINE_MBIT
    assert said["hosts"].keys() == {FIRST, SECOND}
    assert all(LIMIT_MBIT * 0.5 < mbit <= LIMIT_MBIT * 1.05 for mbit in said["hosts"].values())
    assert rate <= 2 * LIMIT_MBIT * 1.05
    assert said["unknown"] == []
    assert done.hosts_with("changed") == set()


def test_the_limit_holds_after_a_reboot(limited):
    was = ssh(FIRST, "cat /proc/sys/kernel/random/boot_id; cat /run/systemd/container 2>/dev/null; stat -c %Y /proc/1")
    cloud.reboot(FIRST)
    began = time.monotonic()

    def is_up_again():
        return ssh(FIRST, "stat -c %Y /proc/1", timeout=10).strip() not in was

    eventually(is_up_again, 60, f"{FIRST} has booted")
    eventually(lambda: line.is_limited(FIRST, "eth0"), 30, f"{FIRST} has its limit")
    print(f"\nlimited {time.monotonic() - began:.1f} s after the reboot was asked for")
    with line.sinks(DATA_CENTRE), line.sending(FIRST, to=DATA_CENTRE):
        assert is_held(line.most(DATA_CENTRE))
    pod = next(pod for pod in proof.web_pods() if pod["spec"]["nodeName"] == FIRST)
    eventually(lambda: line.is_limited(FIRST, line.way_of(pod)), 60, "the way of the pods is limited")
    with line.sinks(DATA_CENTRE), line.sending(FIRST, to=DATA_CENTRE, pod=pod):
        assert is_held(line.most(DATA_CENTRE))
