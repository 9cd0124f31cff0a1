# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import queue
import re
import threading
from urllib.parse import parse_qs

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.course import Drain
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.limits import Limits
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.plan import Rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._interruption import Interrupted
from ansible_collections.hybridk8s.estate.plugins.modules import node_drain

from tests.unit.plugins.modules.cluster_fake import Answer, MemoryPool, cluster_on, run

OWNER = [{"kind": "ReplicaSet", "controller": True, "name": "o"}]
DRAINING = "estate.hybridk8s.io/draining"
SPARE = "spare"


class Stream:
    """A watch: what is told is read, until the server has gone."""

    status = 200

    def __init__(self):
        self.chunks = queue.Queue()

    def read1(self, _amount):
        return self.chunks.get()

    def close(self):
        return None

    def shutdown(self):
        self.chunks.put(b"")


class Pods(MemoryPool):
    """Nodes with pods, and one to spare; an eviction is answered by `evict`, by default the pod is gone at once."""

    def __init__(self, nodes, evict=None, refuse=lambda method, path: 0):
        self.names = list(nodes)
        items = [(f"/api/v1/nodes/{name}", {"metadata": {"name": name}, "spec": {}}) for name in [*nodes, SPARE]]
        super().__init__(items, refuse)
        self.pods = {pod: name for name, pods in nodes.items() for pod in pods}
        self.evict = evict
        self.owners = OWNER
        self.streams = []
        self.lock = threading.Lock()

    def request(self, method, url, body=None, **options):
        path, _mark, query = url.removeprefix("https://memory").partition("?")
        asked = parse_qs(query)
        if "watch" in asked:
            self.streams.append(Stream())
            return self.streams[-1]
        if path == "/api/v1/pods" and not self.refuse(method, path):
            self.log.append((method, path))
            on = asked.get("fieldSelector", ["="])[0].partition("=")[2]
            found = [self._pod(pod) for pod, node in self.pods.items() if node == on]
            return Answer(200, {"metadata": {"resourceVersion": "1"}, "items": found})
        return super().request(method, url, body, **options)

    def _pod(self, name):
        metadata = {"name": name, "namespace": "n", "uid": name, "ownerReferences": self.owners}
        return {"metadata": metadata, "spec": {"nodeName": self.pods[name]}}

    def go(self, name):
        """The pod is gone, and watches tell."""
        with self.lock:
            if name not in self.pods:
                return
            gone = json.dumps({"type": "DELETED", "object": self._pod(name)}, separators=(",", ":")) + "\n"
            del self.pods[name]
            for stream in self.streams:
                stream.chunks.put(gone.encode())

    def post(self, path, body):
        if path.endswith("/leases"):
            self.objects[f"{path}/{body['metadata']['name']}"] = body
            return Answer(201, body)
        name = path.split("/")[-2]
        answer = self.evict(name) if self.evict else None
        if answer is not None:
            return answer
        assert body["deleteOptions"]["preconditions"] == {"uid": name}
        self.go(name)
        return Answer(201, {})

    def delete(self, path, _body):
        return Answer(200 if self.objects.pop(path, None) else 404, {})

    def state(self, name):
        item = self.objects[f"/api/v1/nodes/{name}"]
        return not item["spec"].get("unschedulable", False), DRAINING in item["metadata"].get("annotations", {})

    def leases(self):
        return [path for path in self.objects if "/leases/" in path]


def drain(pool, timeout=60, **rules):
    running = Drain(cluster_on(pool), Rules(**rules), Limits(timeout=timeout, node_timeout=timeout))
    running.observe(pool.names)
    return running


def states(running):
    return {name: result["state"] for name, result in running.results().items()}


def why(running, name):
    return running.results()[name]["message"]


def test_all_pods_leave_and_the_mark_is_taken_off():
    pool = Pods({"w1": ["a", "b"], "w2": ["c"], "w3": []})
    running = drain(pool)
    running.run()
    assert states(running) == {"w1": "drained", "w2": "drained", "w3": "drained"}
    assert pool.pods == {}
    assert {pool.state(name) for name in pool.names} == {(False, False)}
    assert pool.leases() == []
    assert sorted(step.action for step in running.done) == ["cordon"] * 3 + ["evict"] * 3
    assert running.results()["w1"] == {
        "state": "drained",
        "message": "",
        "changed": True,
        "pods": {"n/a": "evicted", "n/b": "evicted"},
    }


def test_time_is_over_for_one_node():
    refused = Answer(429, {"message": "no room"})
    pool = Pods({"w1": ["a", "b"], "w2": ["c"]}, lambda name: refused if name == "a" else None)
    running = drain(pool, timeout=2)
    running.run()
    assert states(running) == {"w1": "failed", "w2": "drained"}
    # As long as it took, which is more on a loaded machine.
    assert re.fullmatch(r"not empty after \d+ s: n/a \(no room\)\.", why(running, "w1"))
    assert running.results()["w1"]["pods"] == {"n/a": "no room", "n/b": "evicted"}
    assert (pool.state("w1"), pool.state("w2")) == ((True, False), (False, False))
    assert running.done[-1].action == "uncordon"


def test_a_refused_eviction_fails_its_node_at_once():
    answers = {"a": Answer(403, {"message": "no rights"}), "b": Answer(429, {"message": "no room"})}
    pool = Pods({"w1": ["a", "b"], "w2": ["c"]}, answers.get)
    running = drain(pool)
    running.run()
    assert "pod n/a cannot be evicted: no rights" in why(running, "w1")
    assert states(running) == {"w1": "failed", "w2": "drained"}
    assert pool.state("w1") == (True, False)


@pytest.mark.parametrize("status", [403, 404, 409])
def test_a_pod_that_is_gone_or_goes_with_its_namespace_is_no_failure(status):
    def evict(name):
        pool.go(name)
        return Answer(status, {"message": "unable to create new content in namespace n because it is being terminated"})

    pool = Pods({"w1": ["a"]}, evict)
    running = drain(pool)
    running.run()
    assert running.results()["w1"]["pods"] == {"n/a": "gone"}
    assert states(running) == {"w1": "drained"}


@pytest.mark.parametrize("error", [Interrupted("SIGTERM"), RuntimeError("a bug")])
def test_whatever_ends_the_run_the_nodes_are_given_back(error):
    def evict(_name):
        raise error

    pool = Pods({"w1": ["a"], "w2": ["b"]}, evict)
    running = drain(pool)
    with pytest.raises(type(error)):
        running.run()
    assert (pool.state("w1"), pool.state("w2")) == ((True, False), (True, False))
    assert pool.leases() == []
    assert why(running, "w2") == "the run ended before its drain did."


def test_a_node_that_cannot_be_given_back_is_said_to_stay_cordoned():
    evicted = []

    def refuse(method, path):
        return 403 * (method == "PATCH" and bool(evicted))

    def evict(name):
        evicted.append(name)
        return Answer(403, {"message": "no rights"})

    running = drain(Pods({"w1": ["a"]}, evict, refuse))
    running.run()
    assert "It stays cordoned: nodes/w1: refused (HTTP 403)." in why(running, "w1")


def test_a_node_that_cannot_be_cordoned_fails_alone():
    pool = Pods({"w1": ["a"], "w2": ["b"]}, refuse=lambda method, path: 403 * (method == "PATCH" and "w1" in path))
    running = drain(pool)
    running.run()
    assert states(running) == {"w1": "failed", "w2": "drained"}
    assert list(pool.pods) == ["a"]


def test_pods_that_came_after_the_look_are_seen():
    pool = Pods({"w1": ["a"]})
    running = drain(pool)
    pool.pods["late"] = "w1"
    running.run()
    assert pool.pods == {}
    assert running.results()["w1"]["pods"] == {"n/a": "evicted", "n/late": "evicted"}


def test_a_late_pod_that_blocks_fails_its_node():
    pool = Pods({"w1": ["a"]})
    running = drain(pool)
    pool.owners = []
    pool.pods["late"] = "w1"
    running.run()
    assert "pod n/late has no controller" in why(running, "w1")
    assert pool.state("w1") == (True, False)


def mark(pool, name, text):
    pool.objects[f"/api/v1/nodes/{name}"]["metadata"]["annotations"] = {DRAINING: text}
    pool.objects[f"/api/v1/nodes/{name}"]["spec"]["unschedulable"] = True


def test_marks_of_dead_runs_are_repaired_and_taken_over():
    pool = Pods({"w1": ["a"]}, lambda _name: Answer(403, {"message": "no rights"}))
    mark(pool, "w1", "was schedulable")
    mark(pool, SPARE, json.dumps({"run": "estate-drain-dead", "by": "elsewhere"}))
    running = drain(pool, accept=frozenset({"DR007-no-fitting-node"}))
    running.run()
    assert running.repaired == [SPARE]
    assert pool.state(SPARE) == (True, False)
    assert pool.state("w1") == (True, False), "as it was before the dead run"


def test_a_node_that_was_cordoned_before_stays_so():
    pool = Pods({"w1": ["a"]}, lambda _name: Answer(403, {"message": "no rights"}))
    pool.objects["/api/v1/nodes/w1"]["spec"]["unschedulable"] = True
    running = drain(pool)
    running.run()
    assert states(running) == {"w1": "failed"}
    assert pool.state("w1") == (False, False)


@pytest.fixture
def module(monkeypatch):
    def call(pool, check=False, **params):
        monkeypatch.setattr(node_drain, "open_cluster", lambda _module: cluster_on(pool))
        return run(node_drain, monkeypatch, check=check, **params)

    return call


@pytest.mark.parametrize("check", [True, False])
def test_glue(module, check):
    pool = Pods({"w1": ["a"]})
    mark(pool, SPARE, "was schedulable")
    result = module(pool, check, names=["w1", "w9", "w1"], accept=["DR007-no-fitting-node"])
    assert sorted(step["action"] for step in result["steps"]) == ["cordon", "evict", "uncordon"]
    assert (result["changed"], result["missing"], result["repaired"]) == (True, ["w9"], [SPARE])
    assert {name: node["state"] for name, node in result["nodes"].items()} == {
        "w1": "not_started" if check else "drained",
        "w9": "missing",
    }
    assert result["drained"] == ([] if check else ["w1"])
    assert [finding["severity"] for finding in result["findings"]] == ["warning"]
    assert pool.state("w1") == ((True, False) if check else (False, False))


@pytest.mark.parametrize("check", [True, False])
def test_blockers_end_a_run_before_it_begins(module, check):
    pool = Pods({"w1": ["a", "b"]})
    pool.owners = []
    result = module(pool, check, names=["w1"])
    assert [finding["code"] for finding in result["findings"]] == ["DR001-unmanaged-pod"] * 2
    assert result.get("failed", False) is not check
    assert result["nodes"]["w1"]["state"] == "failed"
    assert {method for method, _path in pool.log} == {"GET"}
    if not check:
        assert result["msg"].count("set force") == 1


@pytest.mark.parametrize(("max_fail", "state"), [("100%", "drained"), ("0", "not_started")])
def test_a_blocked_node_is_left_out_on_request(module, max_fail, state):
    pool = Pods({"w1": ["a"], "w2": []})
    pool.owners = []
    result = module(pool, names=["w1", "w2"], on_failure="report", max_fail=max_fail)
    assert "failed" not in result
    assert {name: node["state"] for name, node in result["nodes"].items()} == {"w1": "failed", "w2": state}
    assert pool.state("w1") == (True, False)
    assert pool.state("w2") == (state == "not_started", False)


def test_pods_that_are_left_on_request(module):
    pool = Pods({"w1": ["a", "b"]})
    result = module(pool, names=["w1"], leave_pods=["n/a"])
    assert result["nodes"]["w1"]["pods"] == {"n/a": "left", "n/b": "evicted"}
    assert list(pool.pods) == ["a"]


@pytest.mark.parametrize(("option", "text"), [("max_fail", "many"), ("batch", "0")])
def test_amounts_that_are_none(module, option, text):
    result = module(Pods({"w1": []}), names=["w1"], **{option: text})
    assert result["failed"]
    assert repr(text) in result["msg"]


def test_failed_nodes_fail_the_module_unless_it_is_to_report(module):
    pool = Pods({"w1": ["a"]}, lambda _name: Answer(403, {"message": "no rights"}))
    assert "1 nodes could not be drained: w1: " in module(pool, names=["w1"])["msg"]
    assert "failed" not in module(pool, names=["w1"], on_failure="report")
