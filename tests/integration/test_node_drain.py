"""The module node_drain against a real API server; a thread plays the kubelet that lets pods end, the tests play the
controllers. What takes a whole cluster is in test_node_drain_cluster.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Patience, connect
from ansible_collections.hybridk8s.estate.plugins.modules import node, node_drain

from tests.integration.faulty_proxy import Fault, FaultyProxy

NODES = "/api/v1/nodes"
PODS = "/api/v1/namespaces/default/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
DRAINING = "estate.hybridk8s.io/draining"
CONTROLLER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}


def make_node(cluster, name, **spec):
    cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec})


def make_pod(cluster, name, on, owner="ReplicaSet", labels=None, annotations=None, volumes=()):
    metadata = {"name": name, "namespace": "default", "labels": labels or {}, "annotations": annotations or {}}
    if owner:
        metadata["ownerReferences"] = [{**CONTROLLER, "kind": owner}]
    containers = [{"name": "c", "image": "x"}]
    spec = {"nodeName": on, "containers": containers, "volumes": list(volumes), "terminationGracePeriodSeconds": 1}
    cluster.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    # A budget only guards pods that are up; those are the ones that matter here.
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    cluster.merge(f"{PODS}/{name}/status", {"status": status})


def make_budget(cluster, name, label, allowed):
    selector = {"matchLabels": {"app": label}}
    spec = {"minAvailable": 1, "selector": selector}
    cluster.create(
        BUDGETS, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
    )
    allow(cluster, name, allowed)


def allow(cluster, name, count):
    """What the disruption controller does."""
    counts = {"disruptionsAllowed": count, "currentHealthy": 5, "desiredHealthy": 1, "expectedPods": 5}
    cluster.merge(f"{BUDGETS}/{name}/status", {"status": {**counts, "observedGeneration": 1}})


def remove(cluster, name):
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
    cluster.request("DELETE", f"{PODS}/{name}", body=body, allow=(404,))


def is_there(cluster, name):
    pod = cluster.get(f"{PODS}/{name}")
    return pod is not None and not pod["metadata"].get("deletionTimestamp")


def state_of(cluster, name):
    live = cluster.get(f"{NODES}/{name}")
    return not live["spec"].get("unschedulable", False), DRAINING in live["metadata"].get("annotations", {})


def leases(cluster):
    return cluster.list(LEASES, {"labelSelector": "estate.hybridk8s.io/run=node-drain"})


SCHEDULABLE, CORDONED, MID_DRAIN = (True, False), (False, False), (False, True)


@pytest.fixture(scope="module", autouse=True)
def elsewhere(plane):
    """A node that nobody drains: pods that leave have to have a place."""
    opened = connect(plane.kubeconfig)
    make_node(opened, "elsewhere")
    opened.merge(f"{NODES}/elsewhere", {"spec": {"taints": None}})


@pytest.fixture
def kubelet(plane):
    """Removes pods that are being deleted, but those whose name starts with stuck."""
    ended = threading.Event()
    cluster = connect(plane.kubeconfig)

    def play():
        while not ended.wait(0.1):
            for pod in cluster.list(PODS):
                leaving = pod["metadata"].get("deletionTimestamp") and not pod["metadata"]["name"].startswith("stuck")
                if leaving:
                    remove(cluster, pod["metadata"]["name"])

    thread = threading.Thread(target=play)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.usefixtures("kubelet")
def test_two_nodes_are_emptied_but_for_what_belongs_to_them(cluster, run_module):
    for name in ("a1", "a2"):
        make_node(cluster, name)
        for number in range(5):
            make_pod(cluster, f"{name}-web-{number}", name)
        make_pod(cluster, f"{name}-agent", name, owner="DaemonSet")
        make_pod(cluster, f"{name}-static", name, owner="", annotations={"kubernetes.io/config.mirror": "x"})
    planned = run_module(node_drain, names=["a1", "a2", "a3"], check=True)
    assert state_of(cluster, "a1") == SCHEDULABLE
    result = run_module(node_drain, names=["a1", "a2", "a3"], timeout=120)
    assert "failed" not in result, result
    assert result["drained"] == ["a1", "a2"]
    assert result["missing"] == ["a3"]
    assert sorted(map(str, planned["steps"])) == sorted(map(str, result["steps"]))
    assert [step["action"] for step in result["steps"]].count("evict") == 10
    assert {name: node["state"] for name, node in result["nodes"].items()} == {
        "a1": "drained",
        "a2": "drained",
        "a3": "missing",
    }
    assert set(result["nodes"]["a1"]["pods"].values()) == {"evicted"}
    assert leases(cluster) == []
    left = {pod["metadata"]["name"] for pod in cluster.list(PODS) if pod["spec"]["nodeName"] in ("a1", "a2")}
    assert left == {"a1-agent", "a1-static", "a2-agent", "a2-static"}
    assert state_of(cluster, "a1") == CORDONED

    again = run_module(node_drain, names=["a1", "a2"])
    assert again["changed"] is False
    run_module(node, nodes=[{"name": "a1", "schedulable": True}])
    assert state_of(cluster, "a1") == SCHEDULABLE


@pytest.mark.usefixtures("kubelet")
def test_blockers_are_all_found_before_anything_is_touched(cluster, run_module):
    make_node(cluster, "b1")
    make_node(cluster, "b2")
    make_pod(cluster, "b-lone", "b1", owner="")
    make_pod(cluster, "b-data", "b1", volumes=[{"name": "scratch", "emptyDir": {}}])
    make_pod(cluster, "b-fine", "b2")
    for check in (True, False):
        result = run_module(node_drain, names=["b1", "b2"], check=check)
        assert [(f["code"], f["host"]) for f in result["findings"]] == [
            ("DR001-unmanaged-pod", "b1"),
            ("DR002-local-data", "b1"),
        ]
        assert result.get("failed", False) is not check
        assert is_there(cluster, "b-fine")
        assert state_of(cluster, "b1") == SCHEDULABLE
    assert "default/b-lone" in result["msg"]
    assert "set force" in result["msg"]
    forced = run_module(node_drain, names=["b1", "b2"], force=True, delete_emptydir_data=True, timeout=120)
    assert forced["drained"] == ["b1", "b2"], forced


@pytest.mark.usefixtures("kubelet")
def test_a_budget_is_waited_for_and_the_others_go_on(cluster, run_module):
    make_node(cluster, "c1")
    make_pod(cluster, "c-guarded", "c1", labels={"app": "c"})
    make_pod(cluster, "c-free", "c1")
    make_budget(cluster, "c", "c", allowed=0)
    freed = []

    def room():
        while is_there(cluster, "c-free"):
            time.sleep(0.1)
        freed.append(is_there(cluster, "c-guarded"))
        time.sleep(1.0)
        allow(cluster, "c", 1)

    waiting = threading.Thread(target=room)
    waiting.start()
    result = run_module(node_drain, names=["c1"], timeout=120)
    waiting.join()
    assert result["drained"] == ["c1"], result
    assert freed == [True], "the free pod left while the guarded one had to stay"


@pytest.mark.usefixtures("kubelet")
def test_a_node_that_is_not_empty_in_time_is_given_back_and_the_other_stays_drained(cluster, run_module):
    make_node(cluster, "d1")
    make_node(cluster, "d2")
    make_pod(cluster, "d-guarded", "d1", labels={"app": "d"})
    make_pod(cluster, "d-free", "d2")
    make_budget(cluster, "d", "d", allowed=0)
    result = run_module(node_drain, names=["d1", "d2"], timeout=8)
    assert result["failed"] is True
    assert "default/d-guarded (PodDisruptionBudget default/d has no room)" in result["msg"]
    assert list(result["failed_nodes"]) == ["d1"]
    assert result["drained"] == ["d2"]
    assert is_there(cluster, "d-guarded"), "never past a budget"
    assert state_of(cluster, "d1") == SCHEDULABLE
    assert state_of(cluster, "d2") == CORDONED


@pytest.mark.usefixtures("kubelet")
def test_a_node_that_was_cordoned_before_stays_so_after_a_failure(cluster, run_module):
    make_node(cluster, "e1", unschedulable=True)
    make_pod(cluster, "stuck-e", "e1")
    result = run_module(node_drain, names=["e1"], timeout=2)
    assert "default/stuck-e (evicted, but not gone)" in result["msg"]
    assert state_of(cluster, "e1") == CORDONED
    remove(cluster, "stuck-e")


@pytest.mark.usefixtures("kubelet")
def test_a_mark_left_by_a_killed_run_tells_how_the_node_was(cluster, run_module):
    make_node(cluster, "f1", unschedulable=True)
    cluster.merge(f"{NODES}/f1", {"metadata": {"annotations": {DRAINING: "was schedulable"}}})
    make_pod(cluster, "stuck-f", "f1")
    assert run_module(node_drain, names=["f1"], timeout=1)["failed"] is True
    assert state_of(cluster, "f1") == SCHEDULABLE
    remove(cluster, "stuck-f")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_gives_the_nodes_back_and_a_killed_one_leaves_its_mark(plane, cluster, tmp_path, number):
    name = f"g-{number.name.lower()}"
    make_node(cluster, name)
    make_pod(cluster, f"stuck-{name}", name)
    for sent in (number, signal.SIGKILL):
        running = spawn(plane, tmp_path, names=[name], timeout=60)
        while cluster.get(f"{PODS}/stuck-{name}")["metadata"].get("deletionTimestamp") is None:
            time.sleep(0.1)
        until(lambda: state_of(cluster, name) == MID_DRAIN)
        running.send_signal(sent)
        output, _errors = running.communicate(timeout=60)
        if sent == number:
            result = json.loads(output)
            assert f"interrupted by {number.name}" in result["msg"]
            assert state_of(cluster, name) == SCHEDULABLE
    assert state_of(cluster, name) == MID_DRAIN
    remove(cluster, f"stuck-{name}")


def spawn(plane, tmp_path, **params):
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"kubeconfig": plane.kubeconfig, "_ansible_remote_tmp": str(tmp_path), **params}))
    code = (
        "import json, sys; from ansible.module_utils.testing import patch_module_args;"
        "from ansible_collections.hybridk8s.estate.plugins.modules import node_drain;"
        f"patched = patch_module_args(json.load(open({str(arguments)!r}))); patched.__enter__(); node_drain.main()"
    )
    path = os.pathsep.join(part for part in sys.path if part)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("kubelet")
def test_a_pod_of_the_same_name_that_came_later_is_not_evicted(plane, cluster, run_module, tmp_path):
    make_node(cluster, "h1")
    make_pod(cluster, "h-0", "h1", owner="StatefulSet")
    replaced = []

    def rule(request):
        if request.path.startswith(f"{PODS}/h-0/eviction") and not replaced:
            replaced.append(request.json["deleteOptions"]["preconditions"]["uid"])
            remove(cluster, "h-0")
            make_node(cluster, "h2")
            make_pod(cluster, "h-0", "h2", owner="StatefulSet")
        return

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        result = run_module(node_drain, kubeconfig=proxy.kubeconfig, names=["h1"], timeout=120)
    assert result["drained"] == ["h1"], result
    assert is_there(cluster, "h-0")
    assert cluster.get(f"{PODS}/h-0")["metadata"]["uid"] != replaced[0]


@pytest.mark.usefixtures("kubelet")
def test_evictions_survive_throttling_cuts_and_errors(plane, cluster, run_module, tmp_path):
    make_node(cluster, "i1")
    for number in range(12):
        make_pod(cluster, f"i-{number}", "i1")
    faults = iter([Fault(429, {"Retry-After": "0"}), Fault(500), Fault(), Fault(forwarded=True), Fault(503)])

    def rule(request):
        return next(faults, None) if request.path.endswith("/eviction") else None

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        result = run_module(node_drain, kubeconfig=proxy.kubeconfig, names=["i1"], timeout=120)
    assert result["drained"] == ["i1"], result


@pytest.mark.usefixtures("kubelet")
def test_a_refused_cordon_touches_no_pod(plane, cluster, run_module, tmp_path):
    make_node(cluster, "j1")
    make_node(cluster, "j2")
    make_pod(cluster, "j-1", "j1")
    make_pod(cluster, "j-2", "j2")

    def rule(request):
        return Fault(403, message="not you") if request.method == "PATCH" and "/j1" in request.path else None

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        result = run_module(node_drain, kubeconfig=proxy.kubeconfig, names=["j1", "j2"], timeout=120)
    assert result["failed"] is True
    assert list(result["failed_nodes"]) == ["j1"]
    assert result["drained"] == ["j2"]
    assert is_there(cluster, "j-1")
    assert [step["action"] for step in result["steps"] if step["target"] == "node/j1"] == []


@pytest.mark.usefixtures("kubelet")
def test_an_api_server_that_goes_away_ends_in_an_error_that_says_what_stays(
    plane, cluster, run_module, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        node_drain, "open_cluster", lambda module: connect(module.params["kubeconfig"], (), Patience(1.0))
    )
    make_node(cluster, "k1")
    make_pod(cluster, "k-1", "k1")
    gone = []

    def rule(request):
        if request.path.endswith("/eviction"):
            gone.append(True)
        return Fault() if gone else None

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        result = run_module(node_drain, kubeconfig=proxy.kubeconfig, names=["k1"], timeout=120)
    assert result["failed"] is True
    assert "stays cordoned" in json.dumps(result)
    assert state_of(cluster, "k1") == MID_DRAIN, "the mark is there for the next run"
    # In use the run's process ends with it; here it is this one.
    cluster.delete(f"{LEASES}/{leases(cluster)[0]['metadata']['name']}")
    assert run_module(node_drain, names=["k1"], timeout=120)["drained"] == ["k1"]
