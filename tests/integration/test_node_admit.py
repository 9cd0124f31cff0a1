"""New nodes take no pod before they have what the inventory says and, if asked, a test pod has run on them."""

from __future__ import annotations

import time

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm
from ansible_collections.hybridk8s.estate.plugins.modules import node, node_admit

from tests.integration.kwok_estate import NODES, KwokEstate, Workload

GPU = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
TOLERANT = {"tolerations": [{"key": GPU["key"], "operator": "Exists"}]}


@pytest.fixture
def estate(kwok_plane):
    kwok_plane.set_ready_delay(0)
    return KwokEstate(kwok_plane)


def join(estate, prefix, *taints):
    """Two nodes that register as kubeadm has kubelets register them."""
    wanted = {"name": "any", "ip": "10.0.0.1", "taints": list(taints)}
    (document,) = _kubeadm.join_documents(_kubeadm.node_from(wanted))
    return estate.add_nodes(2, prefix, taints=document["nodeRegistration"]["taints"])


def bound(estate, workload):
    return {pod["spec"].get("nodeName") for pod in pods(estate, workload)} - {None}


def pods(estate, workload):
    return [pod for pod in estate.pods() if pod["metadata"]["labels"].get("app") == workload]


def eventually(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def refused_everywhere(estate, workload, nodes):
    """The scheduler has looked at these nodes and placed nothing."""
    conditions = [one for pod in pods(estate, workload) for one in pod["status"].get("conditions") or ()]
    said = [one.get("message", "") for one in conditions if one["type"] == "PodScheduled"]
    return len(said) > 0 and all(f"0/{nodes} nodes" in text and "untolerated taint" in text for text in said)


def taints(estate, name):
    return [taint["key"] for taint in estate.cluster.get(f"{NODES}/{name}")["spec"].get("taints") or ()]


def test_no_pod_comes_before_labels_and_taints_are_there(estate, run_module, kwok_plane):
    names = join(estate, "label", GPU)
    eventually(lambda: all("node.kubernetes.io/not-ready" not in taints(estate, name) for name in names))
    estate.add(Workload("early", 4, pod_spec=TOLERANT))
    eventually(lambda: refused_everywhere(estate, "early", len(estate.cluster.list(NODES))))
    assert bound(estate, "early") == set()
    entries = [{"name": name, "labels": {"node-role.kubernetes.io/gpu": ""}, "taints": [GPU]} for name in names]
    kept = run_module(node, nodes=entries, kubeconfig=kwok_plane.kubeconfig)
    assert kept["changed"]
    assert "estate.hybridk8s.io/joining" in taints(estate, names[0]), "labels alone admit nobody"
    done = run_module(node, nodes=[{**entry, "admit": True} for entry in entries], kubeconfig=kwok_plane.kubeconfig)

    assert done["changed"], done
    eventually(lambda: all(pod["spec"].get("nodeName") in names for pod in pods(estate, "early")))
    assert taints(estate, names[0]) == [GPU["key"]]
    again = run_module(node, nodes=[{**entry, "admit": True} for entry in entries], kubeconfig=kwok_plane.kubeconfig)
    assert not again["changed"], again


def test_a_test_pod_opens_the_node_and_goes(estate, run_module, kwok_plane):
    names = join(estate, "test")
    everyone = [*names, "test-none"]
    arguments = {"names": everyone, "image": "pause", "kubeconfig": kwok_plane.kubeconfig, "namespace": "default"}

    planned = run_module(node_admit, check=True, **arguments)
    assert planned["changed"]
    assert pods_of_tests(estate) == []
    done = run_module(node_admit, **arguments)

    states = {name: verdict["state"] for name, verdict in done["nodes"].items()}
    assert states == {names[0]: "admitted", names[1]: "admitted", "test-none": "missing"}, done
    assert planned["steps"] == done["steps"]
    assert all("estate.hybridk8s.io/joining" not in taints(estate, name) for name in names)
    eventually(lambda: pods_of_tests(estate) == [])
    again = run_module(node_admit, **arguments)
    assert not again["changed"], again
    assert again["requests"] == 3, "nodes that are admitted cost their reading"


def test_a_node_on_which_the_test_pod_does_not_run_stays_closed_and_is_named(estate, run_module, kwok_plane):
    names = join(estate, "slow")
    kwok_plane.set_ready_delay(600)
    arguments = {"names": names, "image": "pause", "kubeconfig": kwok_plane.kubeconfig, "timeout": 2}

    failed = run_module(node_admit, namespace="default", **arguments)

    assert failed["failed"]
    assert f"{names[0]}: the test pod " in failed["msg"]
    assert "Traceback" not in failed["msg"]
    reported = run_module(node_admit, namespace="default", on_failure="report", **arguments)
    assert {verdict["state"] for verdict in reported["nodes"].values()} == {"failed"}
    assert all("estate.hybridk8s.io/joining" in taints(estate, name) for name in names)
    kwok_plane.set_ready_delay(0)
    eventually(lambda: pods_of_tests(estate) == [])


def pods_of_tests(estate):
    return [pod for pod in estate.pods() if "estate.hybridk8s.io/test-run" in (pod["metadata"].get("labels") or {})]
