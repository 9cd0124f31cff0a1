from __future__ import annotations

from ansible_collections.hybridk8s.estate.plugins.module_utils._summary import lines, summarise


def node(name: str, **other: object) -> dict[str, object]:
    return {"name": name, "exists": True, "ready": True, "schedulable": True, "version": "v1.36.3", **other}


def test_all_ready_and_reached() -> None:
    summaries = summarise([node("w1"), node("w2")], ["w1", "w2"], ["w1", "w2"])
    assert all(summary.complete for summary in summaries)
    assert lines(summaries) == [
        "w1  Ready, v1.36.3",
        "w2  Ready, v1.36.3",
        "2 of 2 hosts are Ready nodes, as the inventory has them",
    ]


def test_a_ready_node_that_was_not_reached_is_named() -> None:
    summaries = summarise([node("w1"), node("w2")], ["w1", "w2"], ["w1"])
    assert [summary.complete for summary in summaries] == [True, False]
    assert "w2  Ready, v1.36.3, FAILED in this run" in lines(summaries)[1]
    assert lines(summaries)[-1].startswith("1 of 2 hosts")


def test_missing_not_ready_and_cordoned() -> None:
    nodes = [node("w1", exists=False), node("w2", ready=False), node("long-name", schedulable=False)]
    summaries = summarise(nodes, ["w1", "w2", "long-name"], ["w1", "w2", "long-name"])
    assert lines(summaries)[:3] == [
        "w1         no node in the cluster",
        "w2         not Ready, v1.36.3",
        "long-name  Ready, v1.36.3, cordoned",
    ]
    assert [summary.complete for summary in summaries] == [False, False, True]


def test_a_host_that_the_api_was_not_asked_about() -> None:
    assert not summarise([], ["w1"], ["w1"])[0].complete
