# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _admission
from ansible_collections.hybridk8s.estate.plugins.module_utils._admission import Trial
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
RUNS = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
ENDED = {"phase": "Succeeded"}
BROKEN = {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]}
NO_IMAGE = {
    "phase": "Pending",
    "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}],
}
BECOMES_READY = Trial("pause")
MUST_END = Trial("cuda", command=("vectoradd",))


@pytest.mark.parametrize(
    ("trial", "status", "passed"),
    [
        (BECOMES_READY, {}, None),
        (BECOMES_READY, RUNS, None),
        (BECOMES_READY, READY, True),
        (BECOMES_READY, ENDED, False),
        (BECOMES_READY, BROKEN, False),
        (MUST_END, READY, None),
        (MUST_END, ENDED, True),
        (MUST_END, BROKEN, False),
        (MUST_END, NO_IMAGE, None),
    ],
)
def test_when_a_test_is_passed(trial, status, passed):
    assert _admission.passed(trial, {"status": status}) is passed


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (BROKEN, "the test pod ended with exit code 3: Error"),
        (NO_IMAGE, "the test pod waits: no such image"),
        ({}, "the test pod is Pending: its kubelet has not reported"),
        ({"phase": "Failed", "reason": "OutOfnvidia.com/gpu"}, "the test pod is Failed: OutOfnvidia.com/gpu"),
    ],
)
def test_what_a_person_is_told(status, said):
    assert _admission.trouble({"status": status}) == said


def test_the_pod_goes_to_its_node_past_every_taint_and_leaves_nothing():
    made = _admission.pod(Trial("cuda", ("x",), {"nvidia.com/gpu": "1"}), "g1", "run")
    spec = made["spec"]
    assert spec["nodeName"] == "g1"
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["restartPolicy"] == "Never"
    assert spec["automountServiceAccountToken"] is False
    assert spec["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}


class FakeCluster:
    """Nodes with the taint, and pods whose status is what the test says for their node."""

    def __init__(self, statuses, refuse=()):
        self.statuses = statuses
        self.refuse = refuse
        self.pods = {}
        self.nodes = {name: _node(name) for name in statuses}
        self.deleted = []
        self.admitted = []

    def list(self, path, query):
        key, _is, value = query["labelSelector"].partition("=")
        return [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(key, "") == value or not value]

    def create(self, path, body):
        node = body["spec"]["nodeName"]
        if node in self.refuse:
            raise KubeError("quota", 403)
        self.pods[node] = {
            **body,
            "metadata": {**body["metadata"], "name": f"test-{node}"},
            "status": self.statuses[node],
        }
        return self.pods[node]

    def delete(self, path):
        self.deleted.append(path.rpartition("/")[2])
        self.pods = {node: pod for node, pod in self.pods.items() if not path.endswith(pod["metadata"]["name"])}
        return True

    def get(self, path):
        return self.nodes[path.rpartition("/")[2]]

    def merge(self, path, patch):
        assert patch["spec"]["taints"] == [{"key": "theirs", "effect": "NoSchedule"}]
        assert patch["metadata"]["resourceVersion"] == "1"
        self.admitted.append(path.rpartition("/")[2])


def _node(name):
    taints = [{"key": "theirs", "effect": "NoSchedule"}, {"key": "estate.hybridk8s.io/joining", "effect": "NoSchedule"}]
    return {"metadata": {"name": name, "resourceVersion": "1"}, "spec": {"taints": taints}}


def test_a_node_is_joining_while_it_has_the_taint():
    assert _admission.joining(_node("w1"))
    assert not _admission.joining({"spec": {"taints": [{"key": "theirs", "effect": "NoSchedule"}]}})
    assert not _admission.joining({"spec": {}})


def test_each_node_is_admitted_or_named_and_no_pod_stays():
    cluster = FakeCluster({"w1": READY, "w2": BROKEN, "w3": RUNS, "w4": READY}, refuse=("w4",))

    verdicts = _admission.admit(cluster, BECOMES_READY, list(cluster.statuses), timeout=0)

    assert {name: verdict.state for name, verdict in verdicts.items()} == {
        "w1": "admitted",
        "w2": "failed",
        "w3": "failed",
        "w4": "failed",
    }
    assert "exit code 3" in verdicts["w2"].message
    assert "waited to the end" in verdicts["w3"].message
    assert "quota" in verdicts["w4"].message
    assert cluster.admitted == ["w1"]
    assert cluster.pods == {}


def test_a_pod_is_awaited(monkeypatch):
    cluster = FakeCluster({"w1": dict(RUNS)})
    verdicts = _admission.admit(
        cluster, BECOMES_READY, ["w1"], timeout=60, sleep=lambda _seconds: cluster.statuses["w1"].update(READY)
    )
    assert verdicts["w1"].state == "admitted"


def test_what_a_killed_run_left_goes_first():
    cluster = FakeCluster({"w1": READY})
    labels = {_admission.TEST_LABEL: "older"}
    cluster.pods["old"] = {"metadata": {"name": "old", "labels": labels}, "spec": {"nodeName": "w1"}, "status": BROKEN}
    foreign = {"metadata": {"name": "theirs", "labels": labels}, "spec": {"nodeName": "w9"}, "status": RUNS}
    cluster.pods["theirs"] = foreign

    assert _admission.admit(cluster, BECOMES_READY, ["w1"], timeout=0)["w1"].state == "admitted"
    assert cluster.deleted == ["old", "test-w1"]
    assert cluster.pods == {"theirs": foreign}


def test_a_pod_that_somebody_deleted_is_no_success():
    cluster = FakeCluster({"w1": READY})
    cluster.create = lambda path, body: {}
    assert "deleted by somebody else" in _admission.admit(cluster, BECOMES_READY, ["w1"], timeout=5)["w1"].message
