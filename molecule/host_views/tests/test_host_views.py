"""Inside a pod of an opted-in namespace /proc shows the pod's limits, through whatever happens to lxcfs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.flows.drive import booted, eventually, kubectl, objects, playbook, ssh

NAMESPACE = "views"
LABEL = "estate.hybridk8s.io/lxcfs"
LIMITS = {"cpu": "500m", "memory": "256Mi"}
MEMORY = "262144 kB"
# Each tenth of a second for a quarter of a minute, what a reader is told.
READER = (
    "for i in $(seq 150); do cat /proc/meminfo /proc/cpuinfo /proc/uptime /proc/stat >/dev/null; sleep 0.1; done 2>&1"
)


def pod(name, **labels):
    image = objects("daemonsets", "--namespace=kube-system", "--selector=k8s-app=kube-proxy")[0]["spec"]["template"][
        "spec"
    ]["containers"][0]["image"]
    container = {"name": "main", "image": image, "command": ["sleep", "infinity"], "resources": {"limits": LIMITS}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


@pytest.fixture(scope="module")
def pods():
    """A pod that its namespace opts in, and one that opts out."""
    metadata = {"name": NAMESPACE, "labels": {LABEL: "true"}}
    made = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
        pod("seeing"),
        pod("blind", **{LABEL: "false"}),
    ]
    kubectl("apply", "--filename=-", stdin="\n---\n".join(map(json.dumps, made)))
    kubectl("wait", "pods", "--all", f"--namespace={NAMESPACE}", "--for=condition=Ready", "--timeout=120s", timeout=150)
    yield {one["metadata"]["name"]: one for one in objects("pods", f"--namespace={NAMESPACE}")}
    kubectl("delete", "namespace", NAMESPACE)


@pytest.fixture(scope="module")
def node(pods):
    return pods["seeing"]["spec"]["nodeName"]


def inside(script, name="seeing"):
    return kubectl("exec", name, f"--namespace={NAMESPACE}", "--", "bash", "-c", script)


def memory(name="seeing"):
    return inside("grep MemTotal /proc/meminfo", name).split(":")[1].strip()


def sees_its_limits():
    return memory() == MEMORY and inside("grep -c ^processor /proc/cpuinfo").strip() == "1"


def restarts():
    return [
        status["restartCount"]
        for one in objects("pods", f"--namespace={NAMESPACE}")
        for status in one["status"]["containerStatuses"]
    ]


def test_it_runs_where_lxcfs_is(node):
    assert node in booted("lxcfs")


def test_memory_processors_and_time_are_its_own(pods, node):
    host = float(ssh(node, "cat /proc/uptime").split()[0])

    assert memory() == MEMORY
    assert inside("grep -c ^processor /proc/cpuinfo").strip() == "1"
    assert float(inside("cat /proc/uptime").split()[0]) < min(host, 600)


def test_a_pod_that_opts_out_sees_the_host(pods):
    assert memory("blind") != MEMORY


def test_a_reload_is_not_noticed(pods, node):
    ssh(node, "systemctl reload lxcfs")

    assert sees_its_limits()


def test_a_restart_gives_no_reader_an_error(pods, node):
    with ThreadPoolExecutor() as threads:
        reading = threads.submit(inside, READER)
        ssh(node, "sleep 2; systemctl restart lxcfs")
        assert reading.result() == ""
    eventually(sees_its_limits, 20, "the pod sees its limits after a restart of lxcfs")


def test_after_its_death_they_come_back(pods, node):
    before = ssh(node, "systemctl show --property=MainPID lxcfs")
    ssh(node, "systemctl kill --signal=KILL lxcfs")

    eventually(lambda: ssh(node, "systemctl show --property=MainPID lxcfs") != before, 20, "lxcfs is back")
    eventually(sees_its_limits, 20, "the pod sees its limits after the death of lxcfs")
    assert inside(READER.replace("150", "10")) == ""


def test_no_container_was_restarted(pods):
    assert restarts() == [0, 0]


def test_a_second_run_changes_nothing():
    run = playbook("policies")

    assert run.status == 0, run.output
    assert run.hosts_with("changed") == set(), run.output
