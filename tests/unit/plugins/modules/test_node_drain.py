# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain import Drain, Interrupted, Rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError
from ansible_collections.hybridk8s.estate.plugins.modules import node_drain

from tests.unit.plugins.modules.cluster_fake import Answer, MemoryPool, cluster_on, run

OWNER = [{"kind": "ReplicaSet", "controller": True, "name": "o"}]
DRAINING = "estate.hybridk8s.io/draining"


class Pods(MemoryPool):
    """Nodes with pods; an eviction is answered by `evict`, by default the pod is gone at once."""

    def __init__(self, nodes, evict=None, refuse=lambda method, path: 0):
        items = [(f"/api/v1/nodes/{name}", {"metadata": {"name": name}, "spec": {}}) for name in nodes]
        super().__init__(items, refuse)
        self.pods = {pod: name for name, pods in nodes.items() for pod in pods}
        self.evict = evict
        self.owners = OWNER

    def request(self, method, url, body=None, **options):
        path, _mark, query = url.removeprefix("https://memory").partition("?")
        if path == "/api/v1/pods" and not self.refuse(method, path):
            self.log.append((method, path))
            on = next(name for name in self._names() if f"%3D{name}&" in f"{query}&")
            return Answer(200, {"items": [self._pod(pod) for pod, node in self.pods.items() if node == on]})
        return super().request(method, url, body, **options)

    def _names(self):
        return [path.rpartition("/")[2] for path in self.objects]

    def _pod(self, name):
        return {"metadata": {"name": name, "namespace": "n", "uid": name, "ownerReferences": self.owners}, "spec": {}}

    def post(self, path, body):
        name = path.split("/")[-2]
        answer = self.evict(name) if self.evict else None
        if answer is not None:
            return answer
        assert body["deleteOptions"]["preconditions"] == {"uid": name}
        self.pods.pop(name, None)
        return Answer(201, {})

    def state(self, name):
        item = self.objects[f"/api/v1/nodes/{name}"]
        return not item["spec"].get("unschedulable", False), DRAINING in item["metadata"].get("annotations", {})


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def drain(pool, timeout=60, **rules):
    clock = Clock()
    running = Drain(cluster_on(pool), Rules(**rules), clock=clock, sleep=clock.sleep)
    plans = running.observe(pool._names())
    return running, clock, lambda: running.run(plans, timeout)


def test_all_pods_leave_and_the_mark_is_taken_off():
    pool = Pods({"w1": ["a", "b"], "w2": ["c"]})
    running, clock, go = drain(pool)
    go()
    assert (running.drained, running.failed, pool.pods) == (["w1", "w2"], {}, {})
    assert pool.state("w1") == pool.state("w2") == (False, False)
    assert sorted(step.action for step in running.done) == ["cordon", "cordon", "evict", "evict", "evict"]
    assert clock.now == 0.0, "nothing waited for"


def test_a_budget_is_asked_again_with_growing_pauses_while_others_go():
    asked = []

    def evict(name):
        if name != "guarded":
            return None
        asked.append(clock.now)
        return Answer(429, {"message": "no room"}) if clock.now < 20 else None

    pool = Pods({"w1": ["guarded", "free"]}, evict)
    running, clock, go = drain(pool, timeout=60)
    go()
    assert running.drained == ["w1"]
    pauses = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert pauses == [1, 2, 4, 5, 5, 5]


def test_retry_after_of_an_eviction_is_honoured():
    asked = []

    def evict(_name):
        asked.append(clock.now)
        return Answer(429, {}, {"Retry-After": "7"}) if len(asked) == 1 else None

    running, clock, go = drain(Pods({"w1": ["a"]}, evict))
    go()
    assert asked == [0.0, 7.0]
    assert running.drained == ["w1"]


def test_time_is_over_for_one_node():
    pool = Pods(
        {"w1": ["a", "b"], "w2": ["c"]}, lambda name: Answer(429, {"message": "no room"}) if name == "a" else None
    )
    running, clock, go = drain(pool, timeout=30)
    go()
    assert running.failed == {"w1": "not empty after 30 s: n/a (no room)."}
    assert running.drained == ["w2"]
    assert (pool.state("w1"), pool.state("w2")) == ((True, False), (False, False))
    assert 30 <= clock.now <= 31
    assert running.done[-1].action == "uncordon"


def test_a_refused_eviction_fails_its_node_at_once():
    answers = {"a": Answer(403, {"message": "no rights"}), "b": Answer(429, {"message": "no room"})}
    pool = Pods({"w1": ["a", "b"], "w2": ["c"]}, answers.get)
    running, clock, go = drain(pool)
    go()
    assert "pod n/a cannot be evicted: no rights" in running.failed["w1"]
    assert running.drained == ["w2"]
    assert clock.now < 5
    assert pool.state("w1") == (True, False)


def test_a_namespace_that_is_being_deleted_is_waited_for():
    def evict(name):
        pool.pods.pop(name)
        return Answer(403, {"message": "unable to create new content in namespace n because it is being terminated"})

    pool = Pods({"w1": ["a"]}, evict)
    running, _clock, go = drain(pool)
    go()
    assert running.drained == ["w1"]


@pytest.mark.parametrize("error", [KubeError("the API is away", 422), Interrupted("SIGTERM"), RuntimeError("a bug")])
def test_whatever_ends_the_run_the_nodes_are_given_back(error):
    def evict(_name):
        raise error

    pool = Pods({"w1": ["a"], "w2": []}, evict)
    running, _clock, go = drain(pool)
    if isinstance(error, KubeError):
        go()
        assert "the API is away" in running.failed["w1"]
    else:
        with pytest.raises(type(error)):
            go()
        assert pool.state("w2") == (True, False)
    assert pool.state("w1") == (True, False)


def test_a_node_that_cannot_be_given_back_is_said_to_stay_cordoned():
    evicted = []

    def refuse(method, path):
        return 403 * (method == "PATCH" and bool(evicted))

    def evict(name):
        evicted.append(name)
        return Answer(403, {"message": "no rights"})

    running, _clock, go = drain(Pods({"w1": ["a"]}, evict, refuse))
    go()
    assert "It stays cordoned: nodes/w1: refused (HTTP 403)." in running.failed["w1"]


def test_pods_that_came_between_look_and_cordon_are_seen():
    pool = Pods({"w1": ["a"]})
    running, _clock, go = drain(pool)
    pool.pods["late"] = "w1"
    go()
    assert pool.pods == {}
    assert running.drained == ["w1"]


@pytest.mark.parametrize("check", [True, False])
def test_glue(monkeypatch, check):
    pool = Pods({"w1": ["a"]})
    monkeypatch.setattr(node_drain, "open_cluster", lambda _module: cluster_on(pool))
    monkeypatch.setattr(node_drain.signal, "signal", lambda *_arguments: None)
    result = run(node_drain, monkeypatch, check=check, names=["w1", "w9"])
    assert [step["action"] for step in result["steps"]] == ["cordon", "evict"]
    assert (result["changed"], result["missing"]) == (True, ["w9"])
    assert result["drained"] == ([] if check else ["w1"])
    assert pool.state("w1") == ((True, False) if check else (False, False))


@pytest.mark.parametrize("check", [True, False])
def test_blockers_end_a_run_before_it_begins(monkeypatch, check):
    pool = Pods({"w1": ["a", "b"]})
    pool.owners = []
    monkeypatch.setattr(node_drain, "open_cluster", lambda _module: cluster_on(pool))
    result = run(node_drain, monkeypatch, check=check, names=["w1"])
    assert [finding["code"] for finding in result["findings"]] == ["DR001-unmanaged-pod"] * 2
    assert result.get("failed", False) is not check
    assert {method for method, _path in pool.log} == {"GET"}
