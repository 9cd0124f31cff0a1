from __future__ import annotations

from ansible_collections.hybridk8s.estate.plugins.module_utils._summary import lines, summarise


def test_all_ready_and_reached() -> None:
    summaries = summarise(["w1", "w2"], ["w1", "w2"], [], {})
    assert all(summary.complete for summary in summaries)
    assert lines(summaries) == ["w1  Ready", "w2  Ready", "2 of 2 hosts are Ready nodes, as the inventory has them"]


def test_a_host_that_was_not_reached_is_named_whatever_its_node_says() -> None:
    summaries = summarise(["w1", "w2"], ["w1"], [], {})
    assert [summary.complete for summary in summaries] == [True, False]
    assert lines(summaries)[1].startswith("w2  FAILED: unreachable")
    assert lines(summaries)[-1].startswith("1 of 2 hosts")


def test_missing_and_not_ready() -> None:
    summaries = summarise(["w1", "long-name"], ["w1", "long-name"], ["w1"], {"long-name": "no CNI"})
    assert lines(summaries)[:2] == ["w1         no node in the cluster", "long-name  not Ready: no CNI"]
    assert not any(summary.complete for summary in summaries)
