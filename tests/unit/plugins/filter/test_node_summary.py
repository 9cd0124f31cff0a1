from __future__ import annotations

from ansible_collections.hybridk8s.estate.plugins.filter.node_summary import node_summary


def node(name: str, **other: object) -> dict[str, object]:
    return {"name": name, "exists": True, "ready": True, "schedulable": True, "version": "v1.36.3", **other}


def test_all_ready_and_reached() -> None:
    summary = node_summary([node("w1"), node("w2")], ["w1", "w2"], ["w1", "w2"])
    assert summary["complete"] is True
    assert summary["lines"] == [
        "w1  Ready, v1.36.3",
        "w2  Ready, v1.36.3",
        "2 of 2 hosts are Ready nodes and as the inventory has them",
    ]


def test_a_ready_node_that_was_not_reached_is_named() -> None:
    summary = node_summary([node("w1"), node("w2")], ["w1", "w2"], ["w1"])
    assert summary["complete"] is False
    assert "w2  Ready, v1.36.3, FAILED in this run" in summary["lines"][1]
    assert summary["lines"][-1].startswith("1 of 2 hosts")


def test_missing_not_ready_and_cordoned() -> None:
    nodes = [node("w1", exists=False), node("w2", ready=False), node("long-name", schedulable=False)]
    summary = node_summary(nodes, ["w1", "w2", "long-name"], ["w1", "w2", "long-name"])
    assert summary["lines"][:3] == [
        "w1         no node in the cluster",
        "w2         not Ready, v1.36.3",
        "long-name  Ready, v1.36.3, cordoned",
    ]
    assert summary["complete"] is False


def test_a_host_that_the_api_was_not_asked_about() -> None:
    assert node_summary([], ["w1"], ["w1"])["complete"] is False
