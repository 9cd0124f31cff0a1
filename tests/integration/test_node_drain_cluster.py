"""The module node_drain on a whole cluster: real controllers and scheduler, kwok for the kubelets, the audit log."""

from __future__ import annotations

import json
import threading
from collections import Counter

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import node_drain

from tests.integration.control_plane import WORKLOAD_CONTROLLERS, ControlPlane
from tests.integration.faults import Outage, RotatedToken, storm
from tests.integration.faulty_proxy import FaultyProxy
from tests.integration.kwok_estate import NODES, KwokEstate, even_workloads

DRAINING = "estate.hybridk8s.io/draining"
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
            # A repeated request for the same pod, whose first answer was lost, evicts nobody else.
            granted.setdefault(workload_of(event.name, estate), {}).setdefault(event.name, event.ended)
    assert granted
    for name, times in granted.items():
        once = sorted(times.values())
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


class Disruptions:
    """What the disruption controller sees of the budgets meanwhile; `least` is how far above its need each stayed."""

    def __init__(self, estate):
        self.least = {}
        self._estate = estate
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._ended.set()
        self._thread.join()

    def _look(self):
        while not self._ended.wait(0.1):
            for budget in self._estate.budgets():
                name, status = budget["metadata"]["name"], budget["status"]
                spare = status["currentHealthy"] - status["desiredHealthy"]
                self.least[name] = min(spare, self.least.get(name, spare))


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


def test_a_storm_an_outage_and_a_token_that_expires(fresh_plane, run_module, tmp_path):
    """20 % 429, 5 % 500, 5 % cut connections, 30 s without an answer, and a token that is replaced halfway."""
    estate = KwokEstate(fresh_plane)
    names = estate.add_nodes(10)
    estate.add(*even_workloads(100, 10, TIGHT))
    estate.settle()
    fresh_plane.set_ready_delay(2)
    mark = fresh_plane.audit_mark()
    with FaultyProxy(fresh_plane, tmp_path) as proxy, Disruptions(estate) as seen:
        outage = Outage(after=45, seconds=30, begins=proxy.cut_watches)
        tokens = RotatedToken(proxy.kubeconfig, tmp_path / "kubeconfig", after=70)
        proxy.rule = storm(seed=4, outage=outage, tokens=tokens)
        result = run_module(node_drain, kubeconfig=str(tokens.path), names=names[:4], timeout=300)
    assert result["drained"] == names[:4], result
    assert outage.over
    assert tokens.rotated
    events = fresh_plane.audit(mark)
    assert_kept_to_budgets(events, estate, ready_seconds=2)
    # The controller may never see that one was used, when the new pod is ready as soon as it looks.
    assert min(seen.least.values()) == 0, "budgets were used, and none was exceeded"
    assert_orderly_marks(events)
    drained = [node for node in estate.cluster.list(NODES) if node["metadata"]["name"] in names[:4]]
    assert all(node["spec"]["unschedulable"] and DRAINING not in node["metadata"]["annotations"] for node in drained)
