# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _removal as removal
from ansible_collections.hybridk8s.estate.plugins.module_utils._removal import Seen, Standing

SINCE = "2026-11-23T09:00:00Z"
BEFORE = "2026-11-23T08:59:20.123456Z"
AFTER = "2026-11-23T09:00:00.5Z"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def node(status="", since=SINCE, uid="u1", **metadata):
    condition = {"type": "Ready", "status": status, "lastTransitionTime": since}
    conditions = [{"type": "DiskPressure", "status": "Unknown"}, *([condition] if status else [])]
    return {
        "metadata": {"name": "w1", "uid": uid, "resourceVersion": "7", **metadata},
        "spec": {},
        "status": {"conditions": conditions},
    }


def lease(renewed, owner="u1"):
    owners = [{"kind": "Node", "name": "w1", "uid": owner}] if owner else []
    return {"metadata": {"name": "w1", "ownerReferences": owners}, "spec": {"renewTime": renewed}}


@pytest.mark.parametrize(
    ("of", "held", "said"),
    [
        (node("True"), lease(BEFORE), f"Ready is True, its lease was renewed at {BEFORE}"),
        (node("False"), lease(BEFORE), "Ready is False"),
        (node("True"), None, "Ready is True, it has no lease"),
        (node("Unknown"), lease(BEFORE), ""),
        (node("Unknown"), None, ""),
        (node("Unknown"), lease(AFTER), f"renewed at {AFTER}, after Ready became Unknown at {SINCE}"),
        (node("Unknown"), lease(AFTER, owner="another"), ""),
        (node("Unknown"), lease(AFTER, owner=""), "after Ready became Unknown"),
        (node("Unknown", since=None), lease(AFTER), ""),
        (node(), None, ""),
        (node(), lease(BEFORE), f"its lease was renewed at {BEFORE}"),
        (node(), lease(BEFORE, owner="another"), ""),
        (node("Unknown"), lease(None), ""),
    ],
)
def test_a_host_is_dead_when_ready_is_unknown_and_its_lease_was_not_renewed_since(of, held, said):
    answer = removal.answers(of, held)
    assert said in answer
    assert bool(answer) == bool(said)


def pod(owner="ReplicaSet", tolerations=(), phase="Running", leaving=False, mirror=False):
    metadata = {"namespace": "n", "name": "p", "ownerReferences": [{"kind": owner}] if owner else []}
    if leaving:
        metadata["deletionTimestamp"] = SINCE
    if mirror:
        metadata["annotations"] = {"kubernetes.io/config.mirror": "x"}
    return {"metadata": metadata, "spec": {"tolerations": list(tolerations)}, "status": {"phase": phase}}


EVERYTHING = {"operator": "Exists"}


@pytest.mark.parametrize(
    ("of", "held"),
    [
        (pod(), True),
        (pod(owner=""), True),
        (pod(owner="StatefulSet", phase="Pending"), True),
        (pod(phase="Succeeded"), False),
        (pod(phase="Failed"), False),
        (pod(owner="DaemonSet"), False),
        (pod(owner="Node", mirror=True), False),
        (pod(tolerations=[EVERYTHING]), False),
        (pod(tolerations=[EVERYTHING], leaving=True), True),
        (pod(tolerations=[{"operator": "Exists", "effect": "NoExecute"}]), False),
        (pod(tolerations=[{"operator": "Exists", "effect": "NoSchedule"}]), True),
        (pod(tolerations=[{"operator": "Exists", "key": OUT_OF_SERVICE}]), False),
        (pod(tolerations=[{"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}]), False),
        (pod(tolerations=[{"key": OUT_OF_SERVICE, "value": "other", "effect": "NoExecute"}]), True),
        (pod(tolerations=[{**EVERYTHING, "tolerationSeconds": 300}]), True),
        (pod(tolerations=[{"operator": "Exists", "key": "node.kubernetes.io/unreachable"}]), True),
    ],
)
def test_what_has_to_be_let_go_before_the_node(of, held):
    assert removal.holds(of) is held


def seen(name, answers="", control_plane=False, domains=frozenset(), ready=None, **more):
    ready = bool(answers) if ready is None else ready
    return Seen(Standing(name, ready, control_plane, domains), f"uid-{name}", answers, **more)


def planned(going, others=(), left=()):
    made = removal.plan(
        [each.standing.name for each in going], {each.standing.name: each for each in going}, others, left
    )
    return {name: (one.state, [finding.code for finding in one.findings]) for name, one in made.items()}


CP = {"control_plane": True}
RR = {"control_plane": False, "domains": frozenset({"r1"})}
UP = "Ready is True"


@pytest.mark.parametrize(
    ("going", "others", "left", "expected"),
    [
        ([seen("w1")], (), (), {"w1": ("removed", [])}),
        ([seen("w1", UP)], (), (), {"w1": ("refused", ["NR001-host-answers"])}),
        ([seen("w1", UP)], (), ("w1",), {"w1": ("removed", [])}),
        ([seen("w1", UP), seen("w2")], (), (), {"w1": ("refused", ["NR001-host-answers"]), "w2": ("removed", [])}),
        ([seen("m1", **CP)], (Standing("m2", True, **CP),), (), {"m1": ("removed", [])}),
        ([seen("m1", **CP)], (Standing("m2", False, **CP),), (), {"m1": ("refused", ["NR002-last-control-plane"])}),
        (
            [seen("m1", **CP), seen("m2", **CP)],
            (Standing("m1", False, **CP), Standing("m2", True, **CP)),
            (),
            {"m1": ("refused", ["NR002-last-control-plane"]), "m2": ("refused", ["NR002-last-control-plane"])},
        ),
        (
            [seen("m1", UP, **CP)],
            (),
            (),
            {"m1": ("refused", ["NR001-host-answers", "NR002-last-control-plane"])},
        ),
        ([seen("r1", UP, **RR)], (Standing("r2", True, **RR),), ("r1",), {"r1": ("removed", [])}),
        ([seen("r1", UP, **RR)], (Standing("r1", True, **RR),), ("r1",), {"r1": ("refused", ["NR003-last-reflector"])}),
        ([seen("r1", **RR)], (Standing("r2", False, **RR),), (), {"r1": ("removed", [])}),
    ],
)
def test_who_may_go(going, others, left, expected):
    assert planned(going, others, left) == expected


def test_a_name_without_a_node_is_absent_and_one_that_is_named_twice_goes_once():
    assert list(removal.plan(["w1", "w9", "w1"], {"w1": seen("w1")}, (), ())) == ["w1", "w9"]
    assert removal.plan(["w9"], {}, (), ())["w9"] == removal.Removal("w9", "absent")


@pytest.mark.parametrize(
    ("node_seen", "state", "actions"),
    [
        (seen("w1"), "removed", ["delete"]),
        (seen("w1", pods=("n/p",)), "removed", ["taint", "delete"]),
        (seen("w1", volumes=("csi-1",)), "removed", ["taint", "delete"]),
        (seen("w1", UP), "refused", []),
        (seen("w1", UP, marked=True), "refused", ["untaint"]),
        (seen("w1", marked=True), "refused", []),
        (None, "absent", []),
    ],
)
def test_the_steps(node_seen, state, actions):
    assert [step.action for step in removal.Removal("w1", state, node_seen).steps] == actions


def test_the_taint_is_put_on_beside_others_and_taken_off_alone():
    live = node("Unknown")
    live["spec"] = {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}
    patch = removal.mark_patch(live)
    assert patch["metadata"]["resourceVersion"] == "7"
    assert [taint["key"] for taint in patch["spec"]["taints"]] == ["gpu", OUT_OF_SERVICE]

    live["spec"], live["metadata"]["annotations"] = patch["spec"], patch["metadata"]["annotations"]
    assert removal.marked(live)
    assert removal.mark_patch(live) == {}
    back = removal.unmark_patch(live)
    assert back["spec"] == {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}
    assert back["metadata"]["annotations"] == {removal.REMOVING: None}


def test_a_persons_own_taint_is_left_alone():
    live = node("Unknown")
    live["spec"] = {"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]}
    assert removal.mark_patch(live) == {}
    assert removal.unmark_patch(live) == {}


def test_the_last_taint_leaves_no_empty_list():
    live = node("Unknown", annotations={removal.REMOVING: "x"})
    live["spec"] = {"taints": [removal.OUT_OF_SERVICE]}
    assert removal.unmark_patch(live)["spec"] == {"taints": None}
