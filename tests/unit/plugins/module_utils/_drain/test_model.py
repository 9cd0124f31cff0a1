# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import (
    Budget,
    Pod,
    budget_of,
    pod_of,
    quantity,
    requests_of,
)


def raw_pod(metadata=None, spec=None, status=None):
    return {
        "metadata": {"namespace": "n", "name": "p", "uid": "u", **(metadata or {})},
        "spec": spec or {},
        "status": status or {},
    }


def test_what_is_read_of_a_pod():
    owners = [{"kind": "Other", "name": "x"}, {"kind": "StatefulSet", "name": "o", "controller": True}]
    metadata = {
        "creationTimestamp": "2026-11-23T10:00:00Z",
        "deletionTimestamp": "2026-11-23T11:00:00Z",
        "ownerReferences": owners,
        "labels": {"app": "web"},
        "finalizers": ["batch.kubernetes.io/job-tracking", "example.com/hold"],
    }
    volumes = [
        {"name": "scratch", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-p"}},
        {"name": "temp", "ephemeral": {}},
        {"name": "conf", "configMap": {}},
    ]
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-23T10:00:20Z"}
    pod = pod_of(
        raw_pod(
            metadata,
            {"nodeName": "w1", "volumes": volumes, "terminationGracePeriodSeconds": 0},
            {"phase": "Running", "conditions": [condition]},
        )
    )
    assert (pod.controller, pod.node, pod.grace, pod.ready, pod.started) == ("StatefulSet", "w1", 0, True, 20.0)
    assert (pod.scratch, pod.claims, pod.finalizers) == (("scratch",), ("data-p", "p-temp"), ("example.com/hold",))
    assert pod.leaving_since == datetime(2026, 11, 23, 11, tzinfo=timezone.utc)
    assert str(pod) == "n/p"


def test_what_a_pod_lacks():
    pod = pod_of(raw_pod())
    assert (pod.controller, pod.stays, pod.ready, pod.leaving, pod.started, pod.grace) == (
        "",
        False,
        False,
        False,
        None,
        30,
    )


@pytest.mark.parametrize(
    ("metadata", "stays"),
    [
        ({"ownerReferences": [{"kind": "DaemonSet", "controller": True}]}, True),
        ({"ownerReferences": [{"kind": "DaemonSet"}]}, False),
        ({"annotations": {"kubernetes.io/config.mirror": "x"}}, True),
        ({"ownerReferences": [{"kind": "Job", "controller": True}]}, False),
    ],
)
def test_who_stays(metadata, stays):
    assert pod_of(raw_pod(metadata)).stays is stays


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"conditions": [UNSCHEDULABLE]}, "Unschedulable"),
        ({"conditions": [{**UNSCHEDULABLE, "status": "True"}]}, ""),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}, "CrashLoopBackOff"),
        ({"initContainerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff"),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        ({"containerStatuses": [{"state": {"running": {}}}]}, ""),
    ],
)
def test_who_will_not_become_ready(status, why):
    assert pod_of(raw_pod(status=status)).hopeless == why


def raw_budget(observed=3, generation=3, spec=None, **status):
    return {
        "metadata": {"namespace": "n", "name": "b", "generation": generation},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **(spec or {})},
        "status": {"observedGeneration": observed, **status},
    }


def test_what_is_read_of_a_budget():
    counts = {"disruptionsAllowed": 2, "currentHealthy": 9, "desiredHealthy": 7, "expectedPods": 10}
    budget = budget_of(raw_budget(**counts, disruptedPods={"p": "2026-11-23T10:00:00Z"}))
    assert (budget.key, budget.allowed, budget.spare, budget.seen) == (("n", "b"), 2, 3, True)
    assert budget.disrupted == {"p"}
    assert budget_of(raw_budget(observed=2, **counts)).allowed == 0, "its controller has not seen the change"
    assert budget_of({"metadata": {"namespace": "n", "name": "b"}}).allowed == 0


def budget(**changes):
    counts = {"allowed": 1, "healthy": 9, "desired": 9, "expected": 10, **changes}
    return Budget("n", "b", {"matchLabels": {"app": "web"}}, **counts)


def pod(**changes):
    return Pod("n", "p", "u", "w1", labels={"app": "web"}, **changes)


@pytest.mark.parametrize(
    ("made", "asked", "guarded"),
    [
        (pod(), budget(), True),
        (pod(phase="Pending", ready=False), budget(healthy=0), False),
        (pod(phase="Succeeded", ready=False), budget(), False),
        (pod(leaving_since=datetime.min), budget(), False),
        (pod(ready=False), budget(), False),
        (pod(ready=False), budget(healthy=8), True),
        (pod(ready=False), budget(healthy=0, desired=0), True),
        (pod(ready=False), budget(healthy=8, unready_always=True), False),
    ],
)
def test_whether_a_budget_is_asked(made, asked, guarded):
    assert asked.guards(made) is guarded


def test_whom_a_budget_covers():
    assert budget().covers(pod())
    assert not budget().covers(Pod("other", "p", "u", "w1", labels={"app": "web"}))
    assert not budget().covers(Pod("n", "p", "u", "w1"))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("2", 2),
        ("250m", 0.25),
        ("1.5", 1.5),
        ("4Gi", 4 * 2**30),
        ("1M", 1e6),
        ("2k", 2000),
        ("1e3", 1000),
        ("1E", 1e18),
    ],
)
def test_quantities(text, number):
    assert quantity(text) == number


def container(cpu, **more):
    return {"resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [container("1"), container("500m")]}, 1.5),
        ({"containers": [container("1")], "initContainers": [container("3"), container("2")]}, 3),
        ({"containers": [container("1")], "initContainers": [container("1", restartPolicy="Always")]}, 2),
        ({"containers": [container("1")], "overhead": {"cpu": "250m"}}, 1.25),
        ({"containers": [container("1")], "resources": {"requests": {"cpu": "4"}}}, 4),
    ],
)
def test_what_a_pod_asks_for(spec, cpu):
    assert requests_of(spec) == {"cpu": cpu, "pods": 1}


def test_a_pod_that_asks_for_nothing_takes_a_place():
    assert requests_of({"containers": [{}]}) == {"pods": 1}
