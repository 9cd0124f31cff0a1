# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _nodes
from ansible_collections.hybridk8s.estate.plugins.module_utils._nodes import NodeWish, Taint

GPU = Taint("nvidia.com/gpu", "NoSchedule", "present")


def node(labels=None, annotations=None, taints=None, owned=None, unschedulable=None, version="7"):
    kept = dict(annotations or {})
    if owned is not None:
        kept[_nodes.OWNED] = owned if isinstance(owned, str) else json.dumps(owned)
    spec = {"taints": taints} if taints else {}
    if unschedulable is not None:
        spec["unschedulable"] = unschedulable
    return {
        "metadata": {"name": "w1", "resourceVersion": version, "labels": labels or {}, "annotations": kept},
        "spec": spec,
    }


def taint(key, effect="NoSchedule", **more):
    return {"key": key, "effect": effect, **more}


def owned_of(plan):
    text = plan.patch["metadata"]["annotations"][_nodes.OWNED]
    return None if text is None else json.loads(text)


PATCHES = {
    "nothing wanted": (NodeWish("w1"), node(labels={"a": "1"}), {}),
    "a new label": (
        NodeWish("w1", labels={"rack": "r1"}),
        node(),
        {"labels": {"rack": "r1"}, "owned": {"labels": ["rack"]}},
    ),
    "a label that is ours and right": (
        NodeWish("w1", labels={"rack": "r1"}),
        node(labels={"rack": "r1"}, owned={"labels": ["rack"]}),
        {},
    ),
    "a label that is ours and was changed": (
        NodeWish("w1", labels={"rack": "r1"}),
        node(labels={"rack": "x"}, owned={"labels": ["rack"]}),
        {"labels": {"rack": "r1"}},
    ),
    "a label that is ours and was removed": (
        NodeWish("w1", labels={"rack": "r1"}),
        node(owned={"labels": ["rack"]}),
        {"labels": {"rack": "r1"}},
    ),
    "a label that is ours and no longer wanted": (
        NodeWish("w1", labels={}),
        node(labels={"rack": "r1", "theirs": "x"}, owned={"labels": ["rack"]}),
        {"labels": {"rack": None}, "owned": None},
    ),
    "a label that is ours, not wanted and gone": (
        NodeWish("w1", labels={}),
        node(owned={"labels": ["rack"], "annotations": ["note"]}),
        {"owned": {"annotations": ["note"]}},
    ),
    "labels not mentioned": (
        NodeWish("w1", annotations={"note": "x"}),
        node(labels={"rack": "r1"}, owned={"labels": ["rack"]}),
        {"annotations": {"note": "x"}, "owned": {"annotations": ["note"], "labels": ["rack"]}},
    ),
    "a label that has the wanted value already": (
        NodeWish("w1", labels={"rack": "r1"}),
        node(labels={"rack": "r1"}),
        {"owned": {"labels": ["rack"]}},
    ),
    "a label of others with another value": (NodeWish("w1", labels={"rack": "r1"}), node(labels={"rack": "x"}), {}),
    "a protected key in the record is not removed": (
        NodeWish("w1", labels={}),
        node(labels={"kubernetes.io/hostname": "w1"}, owned={"labels": ["kubernetes.io/hostname"]}),
        {"owned": None},
    ),
    "an annotation with any text": (
        NodeWish("w1", annotations={"note": "ä\n"}),
        node(),
        {"annotations": {"note": "ä\n"}, "owned": {"annotations": ["note"]}},
    ),
    "a taint beside those of others": (
        NodeWish("w1", taints=(GPU,)),
        node(taints=[taint("theirs", "NoExecute", timeAdded="t")]),
        {
            "taints": [taint("theirs", "NoExecute", timeAdded="t"), taint(GPU.key, value="present")],
            "owned": {"taints": ["nvidia.com/gpu:NoSchedule"]},
        },
    ),
    "the same key with another effect is another taint": (
        NodeWish("w1", taints=(GPU,)),
        node(taints=[taint(GPU.key, "NoExecute")]),
        {
            "taints": [taint(GPU.key, "NoExecute"), taint(GPU.key, value="present")],
            "owned": {"taints": ["nvidia.com/gpu:NoSchedule"]},
        },
    ),
    "a taint of ours with a new value keeps its place": (
        NodeWish("w1", taints=(GPU,)),
        node(taints=[taint(GPU.key, value="old"), taint("b")], owned={"taints": ["nvidia.com/gpu:NoSchedule"]}),
        {"taints": [taint(GPU.key, value="present"), taint("b")]},
    ),
    "the last taint goes": (
        NodeWish("w1", taints=()),
        node(taints=[taint("a")], owned={"taints": ["a:NoSchedule"]}),
        {"taints": [], "owned": None},
    ),
    "a taint of others with another value": (
        NodeWish("w1", taints=(GPU,)),
        node(taints=[taint(GPU.key, value="x")]),
        {},
    ),
    "a node that joined is admitted with what it should have": (
        NodeWish("w1", labels={"rack": "r1"}, taints=(GPU,), admit=True),
        node(taints=[taint(GPU.key, value="present"), taint("estate.hybridk8s.io/joining")]),
        {
            "labels": {"rack": "r1"},
            "taints": [taint(GPU.key, value="present")],
            "owned": {"labels": ["rack"], "taints": ["nvidia.com/gpu:NoSchedule"]},
        },
    ),
    "admission alone": (
        NodeWish("w1", admit=True),
        node(taints=[taint("estate.hybridk8s.io/joining")]),
        {"taints": []},
    ),
    "a node that is not admitted yet": (
        NodeWish("w1", taints=()),
        node(taints=[taint("estate.hybridk8s.io/joining")]),
        {},
    ),
    "a node that was admitted before": (NodeWish("w1", admit=True), node(taints=[taint("theirs")]), {}),
    "cordon": (NodeWish("w1", schedulable=False), node(), {"unschedulable": True}),
    "cordoned already": (NodeWish("w1", schedulable=False), node(unschedulable=True), {}),
    "uncordon": (NodeWish("w1", schedulable=True), node(unschedulable=True), {"unschedulable": None}),
    "schedulable is false, not absent": (NodeWish("w1", schedulable=True), node(unschedulable=False), {}),
    "an explicit wish takes a drain's mark off": (
        NodeWish("w1", schedulable=True),
        node(unschedulable=True, annotations={_nodes.DRAINING: "was schedulable"}),
        {"unschedulable": None, "annotations": {_nodes.DRAINING: None}},
    ),
}


@pytest.mark.parametrize(("wish", "live", "expected"), PATCHES.values(), ids=PATCHES.keys())
def test_patch(wish, live, expected):
    patch = _nodes.plan(wish, live).patch
    metadata, spec = patch.get("metadata", {}), patch.get("spec", {})
    annotations = dict(metadata.get("annotations", {}))
    found = {}
    if _nodes.OWNED in annotations:
        text = annotations.pop(_nodes.OWNED)
        found["owned"] = None if text is None else json.loads(text)
    found.update({"labels": metadata["labels"]} if metadata.get("labels") else {})
    found.update({"annotations": annotations} if annotations else {})
    found.update(spec)
    assert found == expected
    # Taints and the record are replaced whole, so they must not be written over a newer node.
    assert ("resourceVersion" in metadata) == ("taints" in spec or "owned" in found)


@pytest.mark.parametrize(("wish", "live", "expected"), PATCHES.values(), ids=PATCHES.keys())
def test_a_patched_node_needs_nothing_more(wish, live, expected):
    first = _nodes.plan(wish, live)
    assert bool(first.steps) == bool(expected)
    again = _nodes.plan(wish, applied(live, first.patch))
    assert (again.patch, again.steps) == ({}, ())
    assert again.findings == first.findings


def applied(live, patch):
    """RFC 7386, enough of it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


def test_foreign_values_are_findings_and_adopted_on_request():
    live = node(labels={"rack": "x"}, annotations={"note": "y"}, taints=[taint(GPU.key, value="z")])
    wish = NodeWish("w1", labels={"rack": "r1"}, annotations={"note": "n"}, taints=(GPU,))
    plan = _nodes.plan(wish, live)
    assert plan.patch == {}
    assert [(finding.code, finding.host, finding.variable) for finding in plan.findings] == [
        ("ND001-foreign-value", "w1", "labels"),
        ("ND001-foreign-value", "w1", "annotations"),
        ("ND001-foreign-value", "w1", "taints"),
    ]
    assert "rack has the value 'x'" in plan.findings[0].message
    adopted = _nodes.plan(wish, live, adopt=True)
    assert adopted.findings == ()
    assert adopted.patch["metadata"]["labels"] == {"rack": "r1"}
    assert adopted.patch["spec"]["taints"] == [taint(GPU.key, value="present")]
    assert owned_of(adopted) == {"labels": ["rack"], "annotations": ["note"], "taints": ["nvidia.com/gpu:NoSchedule"]}


@pytest.mark.parametrize("record", ["nonsense", "[]", "3", '{"labels": 3}', '"x"'])
def test_an_unreadable_record_owns_nothing_and_is_written_anew(record):
    plan = _nodes.plan(NodeWish("w1", labels={"new": "1"}), node(labels={"rack": "r1"}, owned=record))
    assert [finding.code for finding in plan.findings] == ["ND002-unreadable-record"]
    assert plan.patch["metadata"]["labels"] == {"new": "1"}
    assert owned_of(plan) == {"labels": ["new"]}


def test_the_step_shows_what_changes_and_nothing_else():
    live = node(labels={"rack": "r0", "same": "s", "old": "o"}, owned={"labels": ["rack", "same", "old"]})
    wish = NodeWish("w1", labels={"rack": "r1", "same": "s"}, taints=(GPU,), schedulable=False)
    (step,) = _nodes.plan(wish, live).steps
    assert (step.action, step.target) == ("update", "node/w1")
    assert step.reason == "label old, rack; taint nvidia.com/gpu:NoSchedule; cordon"
    assert step.before == "label old=o\nlabel rack=r0\nschedulable: true\n"
    assert step.after == "label rack=r1\ntaint nvidia.com/gpu=present:NoSchedule\nschedulable: false\n"


def test_a_node_that_does_not_exist_yet_is_planned_as_bare():
    plan = _nodes.plan(NodeWish("w1", labels={"rack": "r1"}, taints=(GPU,)), _nodes.bare("w1"))
    assert "resourceVersion" not in plan.patch["metadata"]
    assert plan.steps[0].before == ""


PROBLEMS = {
    "not a string": ({"labels": {"gpu": True}}, "the value of label gpu is True and not a string; quote it"),
    "a number": ({"annotations": {"n": 1}}, "the value of annotation n is 1 and not a string"),
    "a key that is none": ({"labels": {"a b": "x"}}, "label key 'a b' is not of the form"),
    "a key with two slashes": ({"labels": {"a/b/c": "x"}}, "label key 'a/b/c'"),
    "a key that is too long": ({"labels": {"a" * 64: "x"}}, "is not of the form"),
    "a value that is too long": ({"labels": {"a": "x" * 64}}, "is not up to 63"),
    "a value with a space": ({"labels": {"a": "x y"}}, "the value 'x y' of label a"),
    "a trailing line break": ({"labels": {"a": "x\n"}}, "of label a"),
    "hostname": ({"labels": {"kubernetes.io/hostname": "x"}}, "kubernetes.io/hostname is not ours to set: the kubelet"),
    "beta": ({"labels": {"beta.kubernetes.io/arch": "x"}}, "the kubelet writes it"),
    "role": ({"labels": {"node-role.kubernetes.io/control-plane": ""}}, "kubeadm writes it"),
    "our record": ({"annotations": {_nodes.OWNED: ""}}, "own record"),
    "calico's address": ({"annotations": {"projectcalico.org/IPv4Address": "1.2.3.4"}}, "calico-node writes it"),
    "controller's taint": ({"taints": [taint("node.kubernetes.io/unschedulable")]}, "use schedulable"),
    "cloud taint": ({"taints": [taint("node.cloudprovider.kubernetes.io/uninitialized")]}, "cloud controller"),
    "an effect that is none": ({"taints": [taint("a", "Never")]}, "one of NoSchedule, PreferNoSchedule, NoExecute"),
    "a taint twice": ({"taints": [taint("a"), taint("a", value="b")]}, "taint a:NoSchedule is listed twice"),
    "a taint's value": ({"taints": [taint("a", value="b c")]}, "the value 'b c' of taint a"),
    "a name that is none": ({"name": "W_1"}, "'W_1' is not a DNS name"),
}


@pytest.mark.parametrize(("entry", "said"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_problems(entry, said):
    _wishes, problems = _nodes.wishes([{"name": "w1", **entry}])
    assert len(problems) == 1
    assert said in problems[0]


GOOD = {
    "labels": {
        "node-role.kubernetes.io/worker": "",
        "topology.kubernetes.io/zone": "r1",
        "a": "A-b_c.9",
        "route-reflector": "true",
    },
    "annotations": {"projectcalico.org/RouteReflectorClusterID": "244.0.0.1", "note": "any text, even {}"},
    "taints": [
        taint("node.kubernetes.io/out-of-service", "NoExecute", value="nodeshutdown"),
        taint("a"),
        taint("a", "NoExecute"),
    ],
    "schedulable": False,
}


def test_good_entries_have_no_problem_and_keep_what_is_not_said():
    (full, empty), problems = _nodes.wishes([{"name": "w1.example", **GOOD}, {"name": "w2", "labels": None}])
    assert problems == ()
    assert (full.labels, full.annotations, full.schedulable) == (GOOD["labels"], GOOD["annotations"], False)
    assert len(full.taints) == 3
    assert empty == NodeWish("w2")


def test_a_node_listed_twice_and_all_problems_at_once():
    _wishes, problems = _nodes.wishes([{"name": "w1"}, {"name": "w1", "labels": {"a": 1, "b": 2}}])
    assert len(problems) == 3
    assert "w1 is listed twice" in problems[0]


def condition(status, **more):
    return {
        "status": {
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": status, **more}]
        }
    }


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (condition("True", message="fine"), (True, "")),
        (condition("False", message="no network", reason="R"), (False, "no network")),
        (condition("Unknown", reason="NodeStatusUnknown"), (False, "NodeStatusUnknown")),
        (condition("False"), (False, "no message")),
        ({"status": {}}, (False, "the kubelet has not reported yet")),
        ({}, (False, "the kubelet has not reported yet")),
    ],
)
def test_ready(live, expected):
    assert _nodes.ready(live) == expected


def test_not_ready_names_nodes_that_do_not_exist():
    assert _nodes.not_ready({"a": condition("True")}, ["a", "b"]) == {"b": "there is no such node"}


def test_describe():
    live = {
        **node(labels={"rack": "r1"}, taints=[taint("a")], owned={"labels": ["rack"]}, unschedulable=True),
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastHeartbeatTime": "t"}
            ],
            "addresses": [
                {"type": "Hostname", "address": "w1"},
                {"type": "InternalIP", "address": "10.20.1.21"},
                {"type": "InternalIP", "address": "fd00::1"},
            ],
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
        },
    }
    described = _nodes.describe("w1", live)
    assert (described["ready"], described["schedulable"]) == (True, False)
    assert (described["internal_ip"], described["version"]) == ("10.20.1.21", "v1.36.3")
    assert described["taints"] == [{"key": "a", "value": "", "effect": "NoSchedule"}]
    assert described["owned"]["labels"] == ["rack"]
    assert described["conditions"]["Ready"] == {"status": "True", "reason": "R", "message": "m"}
    assert _nodes.describe("w9", None) == {"name": "w9", "exists": False, "ready": False}


DATASETS = f"{_nodes.OWNED}-by-datasets"


def test_an_owner_removes_its_own_labels_and_not_those_of_the_inventory():
    live = node(
        labels={"rack": "r1", "dataset.pets": "1"},
        annotations={DATASETS: json.dumps({"labels": ["dataset.pets"]})},
        owned={"labels": ["rack"]},
    )
    theirs = _nodes.plan(NodeWish("w1", labels={"dataset.cats": "2"}, owner="datasets"), live)
    assert theirs.patch["metadata"]["labels"] == {"dataset.pets": None, "dataset.cats": "2"}
    assert theirs.patch["metadata"]["annotations"] == {DATASETS: json.dumps({"labels": ["dataset.cats"]})}
    inventory = _nodes.plan(NodeWish("w1", labels={}), live)
    assert inventory.patch["metadata"]["labels"] == {"rack": None}
    assert inventory.patch["metadata"]["annotations"] == {_nodes.OWNED: None}


def test_an_owner_is_one_word():
    assert _nodes.wishes([{"name": "w1"}], "datasets")[1] == ()
    assert "owner 'Data sets'" in _nodes.wishes([{"name": "w1"}], "Data sets")[1][0]
