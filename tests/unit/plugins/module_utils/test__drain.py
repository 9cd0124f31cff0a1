# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _drain
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain import Rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._nodes import DRAINING


def node(unschedulable=False, marked=False):
    annotations = {DRAINING: "was schedulable"} if marked else {}
    return {"metadata": {"name": "w1", "annotations": annotations}, "spec": {"unschedulable": unschedulable}}


def pod(name="p", owner="ReplicaSet", volumes=(), phase="Running", leaving=False, mirror=False):
    metadata = {"name": name, "namespace": "n", "uid": f"uid-{name}"}
    if owner:
        metadata["ownerReferences"] = [{"kind": "Other", "name": "x"}, {"kind": owner, "controller": True, "name": "o"}]
    if leaving:
        metadata["deletionTimestamp"] = "2026-11-23T00:00:00Z"
    if mirror:
        metadata["annotations"] = {"kubernetes.io/config.mirror": "x"}
    return {"metadata": metadata, "spec": {"volumes": list(volumes)}, "status": {"phase": phase}}


SCRATCH = ({"name": "conf", "configMap": {}}, {"name": "scratch", "emptyDir": {}})
LONE = ("DR001-unmanaged-pod",)
DATA = ("DR002-local-data",)

PODS = {
    "of a ReplicaSet": (pod(), Rules(), True, ()),
    "of a DaemonSet": (pod(owner="DaemonSet", volumes=SCRATCH), Rules(), False, ()),
    "static": (pod(owner="", mirror=True), Rules(), False, ()),
    "static, owned by the node": (pod(owner="Node", mirror=True), Rules(), False, ()),
    "of a Job": (pod(owner="Job"), Rules(), True, ()),
    "without a controller": (pod(owner=""), Rules(), True, LONE),
    "without a controller, forced": (pod(owner=""), Rules(force=True), True, ()),
    "with local data": (pod(volumes=SCRATCH), Rules(), True, DATA),
    "with local data, allowed": (pod(volumes=SCRATCH), Rules(emptydir=True), True, ()),
    "with other volumes": (pod(volumes=SCRATCH[:1]), Rules(), True, ()),
    "both": (pod(owner="", volumes=SCRATCH), Rules(), True, LONE + DATA),
    "both, one allowed": (pod(owner="", volumes=SCRATCH), Rules(emptydir=True), True, LONE),
    "finished": (pod(owner="", volumes=SCRATCH, phase="Succeeded"), Rules(), True, ()),
    "failed": (pod(owner="", phase="Failed"), Rules(), True, ()),
    "leaving already": (pod(owner="", volumes=SCRATCH, leaving=True), Rules(), True, ()),
}


@pytest.mark.parametrize(("live", "rules", "moves", "codes"), PODS.values(), ids=PODS.keys())
def test_what_moves_and_what_blocks(live, rules, moves, codes):
    plan = _drain.plan(node(), [live], rules)
    assert bool(plan.pods) is moves
    assert tuple(finding.code for finding in plan.findings) == codes
    assert all(finding.host == "w1" and "n/p" in finding.message for finding in plan.findings)


def test_an_owner_that_is_no_controller_does_not_count():
    live = pod()
    del live["metadata"]["ownerReferences"][1]
    assert [finding.code for finding in _drain.plan(node(), [live], Rules()).findings] == list(LONE)


@pytest.mark.parametrize(
    ("live", "schedulable", "was"),
    [
        (node(), True, True),
        (node(unschedulable=True), False, False),
        (node(unschedulable=True, marked=True), False, True),
        (node(marked=True), True, True),
    ],
)
def test_how_the_node_was(live, schedulable, was):
    plan = _drain.plan(live, [], Rules())
    assert (plan.schedulable, plan.was_schedulable) == (schedulable, was)
    assert [step.action for step in plan.steps] == (["cordon"] if schedulable else [])


def test_steps_name_each_pod_that_is_evicted():
    plan = _drain.plan(node(), [pod("a"), pod("b", leaving=True), pod("c", owner="DaemonSet")], Rules())
    assert [(step.action, step.target, step.reason) for step in plan.steps] == [
        ("cordon", "node/w1", "2 pods have to leave"),
        ("evict", "pod/n/a", "w1 is drained"),
    ]


def test_a_refusal_names_all_and_says_each_remedy_once():
    plans = {"w1": _drain.plan(node(), [pod("a", owner=""), pod("b", owner="")], Rules())}
    said = str(_drain.refusal(_drain.blockers(plans)))
    assert "n/a" in said
    assert "n/b" in said
    assert said.count("or set force") == 1
