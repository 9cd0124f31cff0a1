"""The module node_remove against a real API server."""

from __future__ import annotations

from ansible_collections.hybridk8s.estate.plugins.modules import node_remove

NODES = "/api/v1/nodes"


def make(cluster, name):
    cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})


def test_removes_those_that_exist_and_no_other(cluster, run_module):
    for name in ("gone-1", "gone-2", "stays"):
        make(cluster, name)
    planned = run_module(node_remove, names=["gone-1", "gone-2", "never-was"], check=True)
    assert (planned["changed"], planned["removed"]) == (True, ["gone-1", "gone-2"])
    assert cluster.get(f"{NODES}/gone-1") is not None

    removed = run_module(node_remove, names=["gone-1", "gone-2", "never-was"])
    assert removed["steps"] == planned["steps"]
    assert cluster.get(f"{NODES}/gone-1") is None
    assert cluster.get(f"{NODES}/stays") is not None

    again = run_module(node_remove, names=["gone-1", "gone-2", "never-was"])
    assert (again["changed"], again["removed"]) == (False, [])


def test_without_a_cluster_the_plan_is_empty(run_module):
    planned = run_module(node_remove, names=["w1"], check=True, kubeconfig=None)
    assert planned["changed"] is False
