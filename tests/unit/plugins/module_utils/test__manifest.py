# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _manifest
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest import Identity, ManifestError, Resource


def document(kind, name="x", namespace="", api_version="v1", **more):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


MERGES = {
    "maps deep": ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3, "d": 4}}, {"a": {"b": 1, "c": 3, "d": 4}}),
    "null deletes": ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    "null of what is not there": ({"b": 2}, {"a": None, "c": {"d": None}}, {"b": 2, "c": {}}),
    "a map replaces a scalar": ({"a": 1}, {"a": {"b": None, "c": 2}}, {"a": {"c": 2}}),
    "a scalar replaces a map": ({"a": {"b": 1}}, {"a": ""}, {"a": ""}),
    "false and zero are values": ({"a": True, "b": 1}, {"a": False, "b": 0}, {"a": False, "b": 0}),
    "plain lists are replaced": ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    "an empty list replaces": ({"a": [{"name": "x"}]}, {"a": []}, {"a": []}),
    "lists without names are replaced": ({"a": [{"key": 1}]}, {"a": [{"key": 2}]}, {"a": [{"key": 2}]}),
    "a mixed list is replaced": ({"a": [{"name": "x"}, {"k": 1}]}, {"a": [{"name": "y"}]}, {"a": [{"name": "y"}]}),
    "named items are merged in place and new ones added": (
        {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
        {"env": [{"name": "C", "value": "3"}, {"name": "A", "value": "9"}]},
        {"env": [{"name": "A", "value": "9"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}]},
    ),
    "a value becomes a reference": (
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "value": None, "valueFrom": {"x": 1}}]},
        {"env": [{"name": "A", "valueFrom": {"x": 1}}]},
    ),
    "a named item is removed": (
        {"env": [{"name": "A"}, {"name": "B"}]},
        {"env": [{"name": "A", "$patch": "delete"}, {"name": "Z", "$patch": "delete"}]},
        {"env": [{"name": "B"}]},
    ),
    "containers in containers": (
        {"spec": {"containers": [{"name": "c", "image": "i:1", "env": [{"name": "A", "value": "1"}]}]}},
        {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "2"}]}]}},
        {"spec": {"containers": [{"name": "c", "image": "i:1", "env": [{"name": "A", "value": "2"}]}]}},
    ),
    "nothing": ({"a": [1]}, {}, {"a": [1]}),
}


@pytest.mark.parametrize(("base", "overlay", "expected"), MERGES.values(), ids=MERGES.keys())
def test_merged(base, overlay, expected):
    before = copy.deepcopy((base, overlay))
    result = _manifest.merged(base, overlay)
    assert result == expected
    assert (base, overlay) == before, "the arguments are left alone"
    assert _manifest.merged(result, overlay) == expected, "laying it over once more changes nothing"


def test_merged_keeps_the_order_of_keys():
    assert list(_manifest.merged({"b": 1, "a": 2, "c": 3}, {"d": 4, "a": 5, "b": None})) == ["a", "c", "d"]


def test_parse_opens_lists_skips_empty_documents_and_drops_status():
    text = """
# a comment
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
---
---
apiVersion: v1
kind: Namespace
metadata: {name: c}
status: {phase: Active}
"""
    parsed = _manifest.parse(text, "x")
    assert [(each["kind"], each["metadata"]["name"]) for each in parsed] == [
        ("ConfigMap", "a"),
        ("ConfigMap", "b"),
        ("Namespace", "c"),
    ]
    assert "status" not in parsed[2]


def test_parse_reads_scalars_as_kubectl_does():
    data = "{day: 2026-11-23, sign: =, mode: 0644, 'off': 'on', 1: x}"
    text = f"{{apiVersion: v1, kind: C, metadata: {{name: a}}, data: {data}}}"
    (parsed,) = _manifest.parse(text, "x")
    assert parsed["data"] == {"day": "2026-11-23", "sign": "=", "mode": 420, "off": "on", "1": "x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "x is not YAML"),
        ("- 1", "document 1 of x is not a mapping but list"),
        ("---\nkind: A\nmetadata: {name: a}", "document 1 of x has no apiVersion"),
        ("{}\n---\nfoo: 1", "document 2 of x has no apiVersion and no kind"),
        ("{apiVersion: v1, kind: A}", "document 1 of x, a A, has no metadata.name"),
        ("{apiVersion: v1, kind: A, metadata: {generateName: a-}}", "has no metadata.name"),
        ("{apiVersion: v1, kind: A, metadata: {name: a}, x: !!binary YQ==}", "document 1 of x holds what JSON cannot"),
        ("{apiVersion: v1, kind: 3, metadata: {name: a}}", "has no kind"),
        ("{apiVersion: v1, kind: List, items: [{kind: A}]}", "the List that is document 1 of x has no apiVersion"),
    ],
)
def test_documents_that_make_no_sense(text, said):
    with pytest.raises(ManifestError) as caught:
        _manifest.parse(text, "x")
    assert said in str(caught.value)


DOCUMENTS = [
    document("DaemonSet", "agent", "a", "apps/v1"),
    document("DaemonSet", "agent", "b", "apps/v1"),
    document("ConfigMap", "agent", "a"),
]


@pytest.mark.parametrize(
    ("entry", "hits"),
    [
        ({"kind": "DaemonSet", "name": "agent"}, [0, 1]),
        ({"kind": "DaemonSet", "name": "agent", "namespace": "b"}, [1]),
        ({"kind": "DaemonSet", "name": "agent", "api_version": "apps/v1", "namespace": None}, [0, 1]),
        ({"kind": "ConfigMap", "name": "agent"}, [2]),
        ({"kind": "DaemonSet", "name": "other"}, []),
        ({"kind": "DaemonSet", "name": "agent", "api_version": "apps/v2"}, []),
        ({"kind": "DaemonSet", "name": "agent", "namespace": "c"}, []),
    ],
)
def test_overlays_and_omissions_name_documents(entry, hits):
    if not hits:
        with pytest.raises(ManifestError, match=r"overlays: no document is (apps/v2/)?DaemonSet/(c/)?(other|agent)\."):
            _manifest.overlaid(DOCUMENTS, [{**entry, "overlay": {"spec": 1}}])
        with pytest.raises(ManifestError, match="omit: no document is"):
            _manifest.select(DOCUMENTS, [entry])
        return
    patched = _manifest.overlaid(DOCUMENTS, [{**entry, "overlay": {"spec": 1}}])
    assert [place for place, each in enumerate(patched) if "spec" in each] == hits
    left = _manifest.select(DOCUMENTS, [entry])
    assert left == [each for place, each in enumerate(DOCUMENTS) if place not in hits]


def test_omit_by_kind_alone_and_overlays_in_order():
    assert _manifest.select(DOCUMENTS, [{"kind": "DaemonSet"}]) == [DOCUMENTS[2]]
    entry = {"kind": "ConfigMap", "name": "agent"}
    first, second = ({**entry, "overlay": {"data": {"x": value, value: "1"}}} for value in ("a", "b"))
    assert _manifest.overlaid(DOCUMENTS, [first, second])[2]["data"] == {"x": "b", "a": "1", "b": "1"}


def test_marked():
    bare = document("ConfigMap")
    assert _manifest.marked(bare)["metadata"] == {
        "name": "x",
        "labels": {"app.kubernetes.io/managed-by": "hybridk8s.estate"},
    }
    full = _manifest.marked(bare, "lab", "calico")
    assert full["metadata"]["annotations"] == {
        "estate.hybridk8s.io/estate": "lab",
        "estate.hybridk8s.io/set": "calico",
    }
    assert bare == document("ConfigMap")


def test_ordered():
    kinds = [
        "ValidatingWebhookConfiguration",
        "DaemonSet",
        "IPPool",
        "Service",
        "ConfigMap",
        "ClusterRoleBinding",
        "ServiceAccount",
        "PriorityClass",
        "CustomResourceDefinition",
        "Namespace",
        "Deployment",
        "FelixConfiguration",
    ]
    groups = _manifest.ordered([document(kind) for kind in kinds])
    assert [[each["kind"] for each in group] for group in groups] == [
        ["Namespace"],
        ["CustomResourceDefinition"],
        ["PriorityClass"],
        ["ClusterRoleBinding", "ServiceAccount"],
        ["ConfigMap"],
        ["Service"],
        ["IPPool", "FelixConfiguration"],
        ["DaemonSet", "Deployment"],
        ["ValidatingWebhookConfiguration"],
    ]


RESOURCES = {
    ("v1", "ConfigMap"): Resource("configmaps", True),
    ("v1", "Namespace"): Resource("namespaces", False),
    ("apps/v1", "DaemonSet"): Resource("daemonsets", True),
}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (document("ConfigMap", "a"), "/api/v1/namespaces/default/configmaps/a"),
        (document("ConfigMap", "a", "kube-system"), "/api/v1/namespaces/kube-system/configmaps/a"),
        (document("Namespace", "a", "wrong"), "/api/v1/namespaces/a"),
        (document("DaemonSet", "a:b", "n", "apps/v1"), "/apis/apps/v1/namespaces/n/daemonsets/a%3Ab"),
        (document("Other", "a", "n"), None),
    ],
)
def test_places(given, path):
    placed = _manifest.placed(given, RESOURCES, "default")
    if path:
        assert ("namespace" in placed["metadata"]) == ("/namespaces/" in path.rpartition("/")[0])
    assert _manifest.path_of(_manifest.identity(placed), RESOURCES) == path


def test_declared():
    definition = document(
        "CustomResourceDefinition",
        spec={
            "group": "g.io",
            "scope": "Cluster",
            "names": {"plural": "pools", "kind": "Pool"},
            "versions": [{"name": "v1"}, {"name": "v2"}],
        },
    )
    resource = Resource("pools", False)
    assert _manifest.declared([definition, document("A")]) == {
        ("g.io/v1", "Pool"): resource,
        ("g.io/v2", "Pool"): resource,
    }


@pytest.mark.parametrize("spec", [None, {}, {"names": {"plural": "p", "kind": "P"}}, {"names": 3}, {"versions": 3}])
def test_a_definition_that_is_none(spec):
    with pytest.raises(ManifestError, match="CustomResourceDefinition/x is no definition"):
        _manifest.declared([document("CustomResourceDefinition", spec=spec)])


def test_twins_are_the_same_object_in_any_version():
    documents = [
        document("A", api_version="g/v1"),
        document("A", api_version="g/v2"),
        document("A", api_version="h/v1"),
    ]
    assert _manifest.twins(documents) == [Identity("g/v2", "A", "", "x")]


def managed(content, fields=None, **metadata):
    entries = [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"z": {}}}]
    if fields is not None:
        entries.append({"manager": "hybridk8s.estate", "operation": "Apply", "fieldsV1": fields, "time": "t"})
    return document("ConfigMap", data=content) | {"metadata": {"name": "x", "managedFields": entries, **metadata}}


@pytest.mark.parametrize(
    ("live", "dry", "expected"),
    [
        (managed({"a": 1}, {"f": {}}, resourceVersion="1"), managed({"a": 1}, {"f": {}}, resourceVersion="2"), False),
        (managed({"a": 1}, {"f": {}}, generation=1), managed({"a": 1}, {"f": {}}, generation=2), False),
        (managed({"a": 1}, {}) | {"status": {"x": 1}}, managed({"a": 1}, {}) | {"status": {"x": 2}}, False),
        (managed({"a": 1}, {}), managed({"a": 2}, {}), True),
        (managed({"a": 1}), managed({"a": 1}, {"f": {}}), True),
        (managed({"a": 1}, {"f": {}, "g": {}}), managed({"a": 1}, {"f": {}}), True),
        (managed({"a": 1}, {}, labels={"a": "b"}), managed({"a": 1}, {}), True),
    ],
)
def test_differs(live, dry, expected):
    assert _manifest.differs(live, dry) is expected


def test_changed_paths():
    before = {"a": {"b": 1, "c": [1]}, "same": 1, "gone": 1}
    after = {"a": {"b": 2, "c": [2]}, "same": 1, "new": {"x": 1}}
    assert _manifest.changed_paths(before, after) == ["a.b", "a.c", "gone", "new"]
    assert _manifest.changed_paths(before, after, depth=1) == ["a", "gone", "new"]
    assert _manifest.changed_paths(before, before) == []


def test_text_hides_what_a_secret_holds():
    secret = document("Secret", data={"a": "c2VjcmV0"}, stringData={"b": "secret"}, type="Opaque")
    shown = _manifest.text(secret)
    assert "c2VjcmV0" not in shown
    assert "secret" not in shown
    assert "a: (hidden)" in shown
    assert "b: (hidden)" in shown
    assert "type: Opaque" in shown
    assert _manifest.text(None) == ""


def workload(kind, spec=None, generation=2, **status):
    return {"kind": kind, "metadata": {"generation": generation}, "spec": spec or {}, "status": status}


LAGGING = {
    "not observed": (
        workload("Deployment", observedGeneration=1, replicas=1, updatedReplicas=1, availableReplicas=1),
        "seen it",
    ),
    "no status": (workload("DaemonSet"), "seen it"),
    "deployment done": (
        workload("Deployment", observedGeneration=2, replicas=1, updatedReplicas=1, availableReplicas=1),
        "",
    ),
    "updating": (
        workload(
            "Deployment", {"replicas": 3}, observedGeneration=2, replicas=3, updatedReplicas=2, availableReplicas=3
        ),
        "2 of 3 pods updated",
    ),
    "old ones left": (
        workload(
            "Deployment", {"replicas": 3}, observedGeneration=2, replicas=4, updatedReplicas=3, availableReplicas=4
        ),
        "1 old pods are still there",
    ),
    "not available": (
        workload(
            "Deployment", {"replicas": 3}, observedGeneration=2, replicas=3, updatedReplicas=3, availableReplicas=1
        ),
        "1 of 3 pods available",
    ),
    "scaled to zero": (workload("Deployment", {"replicas": 0}, observedGeneration=2), ""),
    "daemons done": (
        workload(
            "DaemonSet", observedGeneration=2, desiredNumberScheduled=2, updatedNumberScheduled=2, numberAvailable=2
        ),
        "",
    ),
    "daemons updating": (
        workload(
            "DaemonSet", observedGeneration=2, desiredNumberScheduled=2, updatedNumberScheduled=1, numberAvailable=2
        ),
        "1 of 2 pods updated",
    ),
    "no node for daemons": (workload("DaemonSet", observedGeneration=2, desiredNumberScheduled=0), ""),
    "stateful": (
        workload("StatefulSet", {"replicas": 2}, observedGeneration=2, replicas=2, updatedReplicas=2, readyReplicas=1),
        "1 of 2 pods available",
    ),
}


@pytest.mark.parametrize(("live", "said"), LAGGING.values(), ids=LAGGING.keys())
def test_lagging(live, said):
    why = _manifest.lagging(live)
    assert said in why
    assert bool(why) is bool(said)


def test_daemons_on_dead_nodes_are_not_waited_for():
    live = workload(
        "DaemonSet", observedGeneration=2, desiredNumberScheduled=3, updatedNumberScheduled=2, numberAvailable=2
    )
    assert _manifest.lagging(live) == "2 of 3 pods updated"
    assert _manifest.lagging(live, lost=1) == ""


def pod(*conditions, **status):
    return {"status": {"conditions": [{"type": t, "status": s, "message": m} for t, s, m in conditions], **status}}


def container(name, state, last=None):
    return {"name": name, "state": state, "lastState": {"terminated": last} if last else {}}


COMPLAINTS = {
    "ready": (pod(("Ready", "True", "")), ""),
    "unschedulable": (pod(("PodScheduled", "False", "0/3 nodes are available")), "0/3 nodes are available"),
    "image": (
        pod(containerStatuses=[container("c", {"waiting": {"reason": "ErrImagePull", "message": "not found"}})]),
        "c: ErrImagePull (not found)",
    ),
    "crash": (
        pod(containerStatuses=[container("c", {"waiting": {"reason": "CrashLoopBackOff"}}, {"exitCode": 3})]),
        "c: CrashLoopBackOff (exit code 3)",
    ),
    "init container first": (
        pod(
            initContainerStatuses=[container("i", {"waiting": {"reason": "ErrImagePull"}})],
            containerStatuses=[container("c", {"waiting": {"reason": "PodInitializing"}})],
        ),
        "i: ErrImagePull",
    ),
    "probe": (pod(("Ready", "False", ""), ("ContainersReady", "False", "unready: [c]")), "unready: [c]"),
    "nothing known": ({"status": {"phase": "Pending"}}, "Pending"),
    "no status": ({}, "no status yet"),
}


@pytest.mark.parametrize(("live", "said"), COMPLAINTS.values(), ids=COMPLAINTS.keys())
def test_complaint(live, said):
    assert _manifest.complaint(live) == said


def test_selector_of():
    expressions = [
        {"key": "a", "operator": "In", "values": ["x", "y"]},
        {"key": "b", "operator": "NotIn", "values": ["z"]},
        {"key": "c", "operator": "Exists"},
        {"key": "d", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"n": "2", "m": "1"}, "matchExpressions": expressions}
    assert _manifest.selector_of({"spec": {"selector": selector}}) == "m=1,n=2,a in (x,y),b notin (z),c,!d"
