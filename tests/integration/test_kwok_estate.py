"""The test bed itself: what tests of drains and removals stand on."""

from __future__ import annotations

import time

from tests.integration.kwok import DELETE_DELAY
from tests.integration.kwok_estate import DEFAULT, KwokEstate, Workload, even_workloads


def eviction(pod):
    metadata = {"name": pod["metadata"]["name"], "namespace": "default"}
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}


def evict(estate, pod):
    path = f"/api/v1{DEFAULT}/pods/{pod['metadata']['name']}/eviction"
    return estate.cluster.request("POST", path, body=eviction(pod), allow=(429,)).status


def test_pods_run_and_budgets_bind_until_the_replacement_is_ready(kwok_plane):
    estate = KwokEstate(kwok_plane)
    estate.add_nodes(10)
    estate.add(*even_workloads(pods=60, each=10, budget={"maxUnavailable": "10%"}))
    estate.add(Workload("slow-to-go", 1, annotations={DELETE_DELAY: "3s"}), Workload("agent", kind="DaemonSet"))
    estate.settle(120)
    assert len(estate.pods()) == 71
    assert {pod["status"]["phase"] for pod in estate.pods()} == {"Running"}

    kwok_plane.set_ready_delay(3)
    mark, began = kwok_plane.audit_mark(), time.monotonic()
    first, second, *_others = [pod for pod in estate.pods() if pod["metadata"]["labels"]["app"] == "web-0"]
    assert evict(estate, first) == 201
    assert evict(estate, second) == 429, "the budget is used until the replacement is Ready"
    while evict(estate, second) == 429:
        assert time.monotonic() - began < 30
        time.sleep(0.2)
    assert time.monotonic() - began > 3

    slow = next(pod for pod in estate.pods() if pod["metadata"]["labels"]["app"] == "slow-to-go")
    assert evict(estate, slow) == 201
    assert slow["metadata"]["uid"] in {pod["metadata"]["uid"] for pod in estate.pods()}

    asked = [event for event in kwok_plane.audit(mark) if event.resource == "pods/eviction"]
    assert [event.status for event in asked][:2] == [201, 429]
    assert asked[0].body["metadata"]["name"] == first["metadata"]["name"]
    assert {event.user for event in kwok_plane.audit(mark)} == {"admin"}
