"""The module node_drain against a real API server; a thread plays the kubelet that lets pods end, the tests play the
controllers. What takes a whole cluster is in test_node_drain_cluster.py."""

from __future__ import annotations

import json
import signal
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Patience, connect
from ansible_collections.hybridk8s.estate.plugins.modules import node, node_drain

from tests.integration.faulty_proxy import Fault, FaultyProxy
from tests.integration.module_process import OURS, result_of, start

NODES = "/api/v1/nodes"
PODS = "/api/v1/namespaces/default/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
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
        running = start(f"{OURS}node_drain", tmp_path, kubeconfig=plane.kubeconfig, names=[name], timeout=60)
        while cluster.get(f"{PODS}/stuck-{name}")["metadata"].get("deletionTimestamp") is None:
            time.sleep(0.1)
        until(lambda: state_of(cluster, name) == MID_DRAIN)
        running.send_signal(sent)
        if sent == signal.SIGKILL:
            running.communicate()
            continue
        assert f"interrupted by {number.name}" in result_of(running)["msg"]
        assert state_of(cluster, name) == SCHEDULABLE
    assert state_of(cluster, name) == MID_DRAIN
    remove(cluster, f"stuck-{name}")


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


@pytest.mark.usefixtures("kubelet")
def test_groups_leave_one_after_the_other(cluster, run_module):
    make_node(cluster, "l1")
    make_pod(cluster, "stuck-l-front", "l1", labels={"tier": "front"})
    make_pod(cluster, "l-back", "l1", owner="StatefulSet")
    order = [{"labels": {"tier": "front"}}, {"kinds": ["StatefulSet"]}]
    result = run_module(node_drain, names=["l1"], order=order, timeout=3)
    assert result["nodes"]["l1"]["pods"] == {
        "default/stuck-l-front": "evicted, but not gone",
        "default/l-back": "not evicted",
    }
    assert is_there(cluster, "l-back")
    remove(cluster, "stuck-l-front")
    assert run_module(node_drain, names=["l1"], order=order, timeout=60)["drained"] == ["l1"]


def make_attachment(cluster, name, on):
    source = {"persistentVolumeName": f"pv-{name}"}
    spec = {"attacher": "csi.example.com", "nodeName": on, "source": source}
    cluster.create(
        ATTACHMENTS,
        {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name}, "spec": spec},
    )


@pytest.mark.usefixtures("kubelet")
def test_volumes_have_to_be_detached(cluster, run_module):
    """The test plays the attacher that detaches."""
    make_node(cluster, "m1")
    make_pod(cluster, "m-data", "m1", owner="StatefulSet")
    make_attachment(cluster, "m-here", "m1")
    make_attachment(cluster, "m-elsewhere", "elsewhere")
    failed = run_module(node_drain, names=["m1"], timeout=3)
    assert "volume pv-m-here (still attached)" in failed["nodes"]["m1"]["message"]
    assert state_of(cluster, "m1") == SCHEDULABLE

    make_pod(cluster, "m-more", "m1")
    detached = []

    def detach():
        until(lambda: cluster.get(f"{PODS}/m-more") is None)
        time.sleep(2)
        detached.append(state_of(cluster, "m1"))
        cluster.delete(f"{ATTACHMENTS}/m-here")

    attacher = threading.Thread(target=detach)
    attacher.start()
    result = run_module(node_drain, names=["m1"], timeout=60)
    attacher.join()
    assert result["drained"] == ["m1"], result
    assert detached == [MID_DRAIN], "not done before"
    cluster.delete(f"{ATTACHMENTS}/m-elsewhere")


def make_run(cluster, name, renewed):
    """The lease of a run on another machine."""
    metadata = {
        "name": name,
        "labels": {"estate.hybridk8s.io/run": "node-drain"},
        "annotations": {"estate.hybridk8s.io/process": "another 1 1"},
    }
    spec = {"renewTime": time_text(renewed)}
    cluster.create(
        LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    )


def time_text(seconds_ago):
    return (datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def mark(cluster, node, run):
    annotation = json.dumps({"run": run, "by": "another pid 1"})
    cluster.merge(f"{NODES}/{node}", {"metadata": {"annotations": {DRAINING: annotation}}})


@pytest.mark.usefixtures("kubelet")
def test_a_node_of_a_run_that_lives_is_left_alone_and_that_of_a_dead_one_is_repaired(cluster, run_module):
    for name in ("n1", "n2", "n3"):
        make_node(cluster, name, unschedulable=name != "n3")
    make_run(cluster, "alive", 0)
    make_run(cluster, "dead", 3600)
    mark(cluster, "n1", "alive")
    mark(cluster, "n2", "dead")
    ended = threading.Event()

    def renew():
        while not ended.wait(1):
            cluster.merge(f"{LEASES}/alive", {"spec": {"renewTime": time_text(0)}})

    other = threading.Thread(target=renew)
    other.start()
    try:
        refused = run_module(node_drain, names=["n1"])
        assert [finding["code"] for finding in refused["findings"]] == ["DR012-drained-by-another-run"]
        assert "another pid 1 (alive)" in refused["msg"]
        result = run_module(node_drain, names=["n3"])
        assert (result["drained"], result["repaired"]) == (["n3"], ["n2"])
    finally:
        ended.set()
        other.join()
    assert [state_of(cluster, name) for name in ("n1", "n2")] == [MID_DRAIN, SCHEDULABLE]
    assert [lease["metadata"]["name"] for lease in leases(cluster)] == ["alive"]
    cluster.delete(f"{LEASES}/alive")
    assert run_module(node_drain, names=["n3"])["repaired"] == ["n1"]


@pytest.mark.usefixtures("kubelet")
def test_a_watch_that_is_cut_or_too_old_loses_nothing(plane, cluster, run_module, tmp_path):
    """Every watch ends after a second; the second one is answered as if it asked for what is long forgotten."""
    make_node(cluster, "o1")
    make_budget(cluster, "o", "o", allowed=0)
    for number in range(3):
        make_pod(cluster, f"o-{number}", "o1", labels={"app": "o"})
    watches = []

    def rule(request):
        if "watch=1" in request.path:
            watches.append(request.path)
            return Fault(410, message="too old") if len(watches) in (3, 4) else None
        return None

    def cut():
        while not ended.wait(1):
            proxy.cut_watches()
            allow(cluster, "o", 1)

    ended = threading.Event()
    with FaultyProxy(plane, tmp_path, rule) as proxy:
        cutter = threading.Thread(target=cut)
        cutter.start()
        try:
            result = run_module(node_drain, kubeconfig=proxy.kubeconfig, names=["o1"], timeout=60)
        finally:
            ended.set()
            cutter.join()
    assert result["drained"] == ["o1"], result
    assert len(watches) > 4
