"""The module node_drain on a whole cluster: real controllers and scheduler, kwok for the kubelets, the audit log."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import node_drain

from tests.integration.control_plane import WORKLOAD_CONTROLLERS, ControlPlane
from tests.integration.kwok_estate import KwokEstate, even_workloads

TIGHT = {"maxUnavailable": "10%"}


@pytest.fixture
def fresh_plane(tmp_path):
    """A cluster that no other test has touched."""
    with ControlPlane(tmp_path / "plane", WORKLOAD_CONTROLLERS, scheduler=True, kwok=True, audit=True) as running:
        yield running


def evictions(events):
    return [event for event in events if event.resource == "pods/eviction"]


def workload_of(pod_name, estate):
    """The workload whose pods have such names: the longest that fits."""
    fitting = [made.name for made in estate.workloads if pod_name.startswith(f"{made.name}-")]
    return max(fitting, key=len)


def assert_kept_to_budgets(events, estate, ready_seconds):
    """Of each workload with a budget of one, pods were evicted no faster than new ones became ready."""
    granted = {}
    for event in evictions(events):
        if event.status == 201:
            granted.setdefault(workload_of(event.name, estate), []).append((event.name, event.ended))
    assert granted
    for name, times in granted.items():
        once = list(dict(times).values())  # a repeated request for the same pod evicts nobody else
        for earlier, later in zip(once, once[1:]):
            assert (later - earlier).total_seconds() >= ready_seconds, f"{name}: {times}"


def assert_orderly_marks(events):
    """Each node was marked and unmarked with one content each, in this order, and nothing of ours deletes a pod."""
    for name in {event.name for event in events if event.resource == "nodes" and event.verb == "patch"}:
        bodies = [event.body for event in events if event.resource == "nodes" and event.name == name and event.body]
        kinds = [json.dumps(body, sort_keys=True) for body in map(_without_version, bodies)]
        in_order = list(dict.fromkeys(kinds))
        assert len(in_order) <= 2, f"{name}: {in_order}"
        assert kinds == sorted(kinds, key=in_order.index), f"{name}: {kinds}"
    assert not [event for event in events if event.resource == "pods" and event.verb not in ("get", "list", "watch")]


def _without_version(body):
    if isinstance(body, list):
        return body
    metadata = {key: value for key, value in body.get("metadata", {}).items() if key != "resourceVersion"}
    return {**body, "metadata": metadata}


def test_a_drain_alone_is_refused_nothing_and_keeps_to_the_budgets(fresh_plane, run_module):
    estate = KwokEstate(fresh_plane)
    names = estate.add_nodes(10)
    estate.add(*even_workloads(100, 10, TIGHT))
    estate.settle()
    fresh_plane.set_ready_delay(3)
    mark = fresh_plane.audit_mark()
    result = run_module(node_drain, kubeconfig=fresh_plane.kubeconfig, names=names[:3], timeout=300)
    assert result["drained"] == names[:3], result
    events = fresh_plane.audit(mark)
    assert Counter(event.status for event in evictions(events)) == {201: sum(b["pods"] for b in result["budgets"])}
    assert_kept_to_budgets(events, estate, ready_seconds=3)
    assert_orderly_marks(events)
    assert result["at_least_seconds"] <= 3 * (max(budget["rounds"] for budget in result["budgets"]) - 1)
