"""The module node_remove when the API server is in trouble, and when its run is ended midway."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import connect
from ansible_collections.hybridk8s.estate.plugins.modules import node_remove

from tests.integration.faults import Outage, RotatedToken, applied_differently, storm
from tests.integration.faulty_proxy import FaultyProxy
from tests.integration.module_process import OURS, result_of, start

NODES = "/api/v1/nodes"
PODS = "/api/v1/namespaces/default/pods"
REMOVING = "estate.hybridk8s.io/removing"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def make_node(cluster, name):
    cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})


def make_pod(cluster, name, on):
    spec = {"nodeName": on, "containers": [{"name": "c", "image": "x"}]}
    cluster.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def marks(cluster, name):
    node = cluster.get(f"{NODES}/{name}")
    tainted = any(taint["key"] == OUT_OF_SERVICE for taint in node["spec"].get("taints", ()))
    return tainted, REMOVING in node["metadata"].get("annotations", {})


MARKED, BARE = (True, True), (False, False)


@pytest.fixture
def collector(plane):
    """Deletes the pods of nodes that are out of service, as the cluster's pod garbage collector does."""
    ended = threading.Event()
    cluster = connect(plane.kubeconfig_for("collector", ("system:masters", "test:components")))
    at_once = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}

    def collect():
        while not ended.wait(0.3):
            out = {
                node["metadata"]["name"]
                for node in cluster.list(NODES)
                if any(taint["key"] == OUT_OF_SERVICE for taint in node["spec"].get("taints", ()))
            }
            for pod in cluster.list(PODS):
                name = pod["metadata"]["name"]
                if pod["spec"].get("nodeName") in out and not name.startswith("stuck"):
                    cluster.request("DELETE", f"{PODS}/{name}", body=at_once, allow=(404,))

    thread = threading.Thread(target=collect)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.usefixtures("collector")
def test_throttled_broken_cut_offline_and_with_an_expired_token(plane, cluster, run_module, tmp_path):
    names = [f"storm-{number}" for number in range(60)]
    for number, name in enumerate(names):
        make_node(cluster, name)
        if number % 2:
            make_pod(cluster, f"on-{name}", name)
    mark = plane.audit_mark()
    with FaultyProxy(plane, tmp_path) as proxy:
        outage = Outage(after=60, seconds=30)
        tokens = RotatedToken(proxy.kubeconfig, tmp_path / "config", after=120)
        proxy.rule = storm(2, outage, tokens)
        result = run_module(node_remove, kubeconfig=str(tokens.path), names=names, batch="20")
    assert "failed" not in result, result
    assert {name: one["state"] for name, one in result["nodes"].items()} == dict.fromkeys(names, "removed")
    statuses = Counter(status for _method, _path, status in proxy.log)
    assert all(statuses[status] for status in (0, 401, 429, 500)), statuses
    assert outage.over

    events = [event for event in plane.audit(mark) if event.user != "collector"]
    deleted = Counter(event.name for event in events if event.verb == "delete" and event.status == 200)
    assert deleted == dict.fromkeys(names, 1), "a lost answer is not sent again"
    assert {event.resource for event in events if event.verb not in ("get", "list")} == {"nodes"}, "no pod is touched"
    assert applied_differently(events) == {}
    tainted = Counter(event.name for event in events if event.verb == "patch" and event.status == 200)
    assert tainted == dict.fromkeys(names[1::2], 1)
    assert run_module(node_remove, names=names)["changed"] is False


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_takes_its_taint_back(plane, cluster, tmp_path, number):
    name = f"ended-{number.name.lower()}"
    make_node(cluster, name)
    make_pod(cluster, f"stuck-{name}", name)
    running = start(f"{OURS}node_remove", tmp_path, kubeconfig=plane.kubeconfig, names=[name])
    until(lambda: marks(cluster, name) == MARKED)
    running.send_signal(number)
    result = result_of(running)
    assert f"interrupted by {number.name}" in result["msg"]
    assert result["nodes"][name]["state"] == "failed"
    assert marks(cluster, name) == BARE


@pytest.mark.usefixtures("collector")
def test_after_a_kill_the_next_run_goes_on_or_repairs(plane, cluster, run_module, tmp_path):
    for name in ("killed-gone", "killed-back"):
        make_node(cluster, name)
        make_pod(cluster, f"stuck-{name}", name)
    names = ["killed-gone", "killed-back"]
    running = start(f"{OURS}node_remove", tmp_path, kubeconfig=plane.kubeconfig, names=names)
    until(lambda: {marks(cluster, name) for name in names} == {MARKED})
    running.kill()
    running.communicate()
    assert {marks(cluster, name) for name in names} == {MARKED}

    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    cluster.merge(f"{NODES}/killed-back/status", {"status": {"conditions": [ready]}})
    cluster.request("DELETE", f"{PODS}/stuck-killed-gone", body={"gracePeriodSeconds": 0})
    result = run_module(node_remove, names=names, on_failure="report")
    assert {name: one["state"] for name, one in result["nodes"].items()} == {
        "killed-gone": "removed",
        "killed-back": "refused",
    }
    assert marks(cluster, "killed-back") == BARE
    assert ("untaint", "node/killed-back") in [(step["action"], step["target"]) for step in result["steps"]]


def test_with_too_many_failures_no_further_batch_is_begun(cluster, run_module):
    names = [f"budget-{number}" for number in range(6)]
    for name in names:
        make_node(cluster, name)
    for name in names[:3]:
        make_pod(cluster, f"stuck-{name}", name)
    result = run_module(node_remove, names=names, timeout=1, batch="2", max_fail="1")
    assert result["failed"] is True
    assert [one["state"] for one in result["nodes"].values()] == ["failed"] * 2 + ["not_started"] * 4
    assert "max_fail is 1" in result["nodes"]["budget-5"]["message"]
    assert all(marks(cluster, name) == BARE for name in names)
