from __future__ import annotations

from ansible_collections.hybridk8s.estate.plugins.modules import node


def make(cluster, name, **fields):
    cluster.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, **fields})


def test_change_then_nothing(cluster, run_module):
    make(cluster, "a1")
    wish = {
        "name": "a1",
        "labels": {"rack": "r1"},
        "annotations": {"note": "x"},
        "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
        "schedulable": False,
    }
    first = run_module(node, nodes=[wish], diff=True)
    assert first["changed"], first
    print(first)
    live = cluster.get("/api/v1/nodes/a1")
    assert live["metadata"]["labels"]["rack"] == "r1"
    second = run_module(node, nodes=[wish])
    assert second["changed"] is False
    assert second["requests"] == 1
