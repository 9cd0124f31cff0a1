# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels, annotations, taints and schedulability of nodes: wishes, plan, patch; private to this collection.

What we put on a node is recorded in its annotation ``estate.hybridk8s.io/owned``, as JSON lists of label keys,
annotation keys and taints (``key:effect``). Only what is recorded there is ever changed or removed; a key that the
inventory names and somebody else has set to another value is a finding.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    OWN_PREFIX,
    Cluster,
    KubeError,
    Object,
    all_parallel,
    segment,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import JOINING_TAINT
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

NODES = "/api/v1/nodes"
OWNED = OWN_PREFIX + "owned"
# On a node that was schedulable and is being drained: what the drain has to give back if it fails.
DRAINING = OWN_PREFIX + "draining"
JOINING = f"{JOINING_TAINT.key}:{JOINING_TAINT.effect}"
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# One request a name costs less than reading a large estate up to about this many names.
_GET_UP_TO = 16
# The answer for a thousand nodes is about 10 MB.
_PAGE = 1000

# Who writes these keys; taking them over would start a fight, or cut a node off.
# https://kubernetes.io/docs/reference/labels-annotations-taints/
_PROTECTED = {
    "label": (
        ("kubernetes.io/hostname", "the kubelet writes it"),
        ("kubernetes.io/os", "the kubelet writes it"),
        ("kubernetes.io/arch", "the kubelet writes it"),
        ("beta.kubernetes.io/", "the kubelet writes it"),
        ("node-role.kubernetes.io/control-plane", "kubeadm writes it"),
        ("node-role.kubernetes.io/master", "kubeadm wrote it"),
    ),
    "annotation": (
        ("kubeadm.alpha.kubernetes.io/", "kubeadm writes it"),
        ("node.alpha.kubernetes.io/ttl", "the controller manager writes it"),
        ("volumes.kubernetes.io/controller-managed-attach-detach", "the kubelet writes it"),
        ("csi.volume.kubernetes.io/nodeid", "the kubelet writes it"),
        ("projectcalico.org/IPv4Address", "calico-node writes it"),
        ("projectcalico.org/IPv6Address", "calico-node writes it"),
        (OWN_PREFIX, "it is this collection's own record"),
    ),
    "taint": (
        ("node-role.kubernetes.io/control-plane", "kubeadm writes it"),
        ("node-role.kubernetes.io/master", "kubeadm wrote it"),
        ("node.kubernetes.io/not-ready", "the node controller writes it"),
        ("node.kubernetes.io/unreachable", "the node controller writes it"),
        ("node.kubernetes.io/unschedulable", "the node controller writes it; use schedulable"),
        ("node.kubernetes.io/memory-pressure", "the node controller writes it"),
        ("node.kubernetes.io/disk-pressure", "the node controller writes it"),
        ("node.kubernetes.io/pid-pressure", "the node controller writes it"),
        ("node.kubernetes.io/network-unavailable", "the network plugin's controller writes it"),
        ("node.cloudprovider.kubernetes.io/", "the cloud controller writes it"),
        (OWN_PREFIX, "it is this collection's own record"),
    ),
}

_DNS_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_NODE_NAME = re.compile(rf"{_DNS_NAME}\Z")
_KEY = re.compile(rf"({_DNS_NAME}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?\Z")
_OWNER = re.compile(r"[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")


@dataclass(frozen=True)
class Taint:
    """A taint; a node has at most one of the same key and effect."""

    key: str
    effect: str
    value: str = ""

    @property
    def identity(self) -> str:
        """Key and effect, as in the record of what is ours."""
        return f"{self.key}:{self.effect}"

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else self.identity


@dataclass(frozen=True)
class NodeWish:
    """What a node should have; None leaves that part of the node, and our record of it, alone.

    ``owner`` keeps a record of its own, and what other owners recorded is to it as what others made. ``admit`` takes
    off the taint that a node has since it joined.
    """

    name: str
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    taints: tuple[Taint, ...] | None = None
    schedulable: bool | None = None
    admit: bool = False
    owner: str = ""

    @property
    def record_key(self) -> str:
        """The annotation that has the record."""
        return f"{OWNED}-by-{self.owner}" if self.owner else OWNED


@dataclass(frozen=True)
class NodePlan:
    """The merge patch that fulfils a wish (empty when nothing is to change) and what a person is told about it."""

    name: str
    patch: Object = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Record:
    labels: frozenset[str] = frozenset()
    annotations: frozenset[str] = frozenset()
    taints: frozenset[str] = frozenset()

    def text(self) -> str | None:
        kept = {name: sorted(keys) for name, keys in vars(self).items() if keys}
        return json.dumps(kept, sort_keys=True) if kept else None


@dataclass
class _Change:
    """One kind of key on one node, as it is worked out."""

    before: dict[str, str]
    after: dict[str, str]
    owned: frozenset[str]
    findings: list[Finding]

    @property
    def touched(self) -> list[str]:
        return sorted(key for key in {*self.before, *self.after} if self.before.get(key) != self.after.get(key))


def wishes(entries: Sequence[Mapping[str, Any]], owner: str = "") -> tuple[tuple[NodeWish, ...], tuple[str, ...]]:
    """The wishes of a module's ``nodes`` option, and every problem with them; a wish is usable when there is none."""
    problems: list[str] = []
    if owner and not _OWNER.match(owner):
        problems.append(f"owner {owner!r} is not one word of up to 20 lower case letters, digits and -.")
    seen: set[str] = set()
    made: list[NodeWish] = []
    for entry in entries:
        name = str(entry["name"])
        if not _NODE_NAME.match(name):
            problems.append(f"node name {name!r} is not a DNS name in lower case.")
        if name in seen:
            problems.append(f"{name} is listed twice; put all of it in one entry.")
        seen.add(name)
        problems.extend(_key_problems(name, "label", entry.get("labels") or {}, _LABEL_VALUE))
        problems.extend(_key_problems(name, "annotation", entry.get("annotations") or {}, None))
        raw_taints = entry.get("taints")
        taints = None if raw_taints is None else tuple(_taint(taint) for taint in raw_taints)
        problems.extend(_taint_problems(name, taints or ()))
        made.append(
            NodeWish(
                name,
                entry.get("labels"),
                entry.get("annotations"),
                taints,
                entry.get("schedulable"),
                bool(entry.get("admit")),
                owner,
            )
        )
    return tuple(made), tuple(problems)


def read(cluster: Cluster, names: Collection[str] | None) -> dict[str, Object]:
    """The nodes of these names that exist (None for all), by name: a request a name for few, one LIST for many.

    Only what is used here and by :mod:`_drain` is kept of each node.
    """
    if names is None or len(names) > _GET_UP_TO:
        wanted = None if names is None else frozenset(names)

        def keep(node: Object) -> Object | None:
            return _slim(node) if wanted is None or node["metadata"]["name"] in wanted else None

        found: Iterable[Object | None] = cluster.list(NODES, page=_PAGE, keep=keep)
    else:
        found = [node for _name, node in all_parallel(lambda name: cluster.get(path_of(name)), sorted(names))]
    return {node["metadata"]["name"]: node for node in found if node}


def path_of(name: str) -> str:
    """The API path of a node."""
    return f"{NODES}/{segment(name)}"


def bare(name: str) -> Object:
    """A node that has nothing yet, to plan against where the real one does not exist."""
    return {"metadata": {"name": name}, "spec": {}, "status": {}}


def plan(wish: NodeWish, live: Object, adopt: bool = False) -> NodePlan:
    """What to change on ``live`` so that it fulfils ``wish``.

    With ``adopt`` a key of the wish that others have set to another value is taken over instead of being a finding.
    """
    metadata = live["metadata"]
    labels = dict(metadata.get("labels") or {})
    annotations = dict(metadata.get("annotations") or {})
    raw_taints: list[Object] = list(live.get("spec", {}).get("taints") or ())
    key = wish.record_key
    record, findings = _record_of(wish.name, annotations.get(key))

    label = _reconcile("label", wish.name, labels, wish.labels, record.labels, adopt)
    annotation = _reconcile("annotation", wish.name, annotations, wish.annotations, record.annotations, adopt)
    taint = _reconcile(
        "taint",
        wish.name,
        {made.identity: made.value for made in map(_taint, raw_taints)},
        None if wish.taints is None else {taint.identity: taint.value for taint in wish.taints},
        record.taints,
        adopt,
    )
    if wish.admit:
        taint.after.pop(JOINING, None)
    now_owned = _Record(label.owned, annotation.owned, taint.owned)
    before_record, after_record = annotations.get(key), now_owned.text()

    patch: Object = {}
    changes: Object = {}
    if label.touched:
        changes["labels"] = {key: label.after.get(key) for key in label.touched}
    if annotation.touched or before_record != after_record:
        changes["annotations"] = {key: annotation.after.get(key) for key in annotation.touched}
        if before_record != after_record:
            changes["annotations"][key] = after_record
    if taint.touched:
        patch["spec"] = {"taints": _merged_taints(raw_taints, taint)}
    if (taint.touched or before_record != after_record) and metadata.get("resourceVersion"):
        # Both are lists that are replaced whole: on a node that moved on meanwhile they would undo what others did.
        changes["resourceVersion"] = metadata["resourceVersion"]
    was_schedulable = not live.get("spec", {}).get("unschedulable", False)
    if wish.schedulable is not None and wish.schedulable != was_schedulable:
        patch.setdefault("spec", {})["unschedulable"] = None if wish.schedulable else True
    if wish.schedulable is not None and DRAINING in annotations:
        changes.setdefault("annotations", {})[DRAINING] = None
    if changes:
        patch["metadata"] = changes
    found = (*findings, *label.findings, *annotation.findings, *taint.findings)
    if not patch:
        return NodePlan(wish.name, findings=found)

    switched = patch.get("spec", {}).get("unschedulable", "same") != "same"
    return NodePlan(wish.name, patch, (_step(wish, label, annotation, taint, switched, was_schedulable),), found)


def ready(node: Object) -> tuple[bool, str]:
    """Whether the node is Ready, and what its Ready condition says when it is not."""
    for condition in node.get("status", {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            said = condition.get("message") or condition.get("reason") or "no message"
            return condition.get("status") == "True", "" if condition.get("status") == "True" else str(said)
    return False, "the kubelet has not reported yet"


def is_silent(node: Object) -> bool:
    """Whether the kubelet has said nothing for so long that the control plane calls Ready Unknown."""
    conditions = node.get("status", {}).get("conditions") or ()
    return any(entry["type"] == "Ready" and entry["status"] == "Unknown" for entry in conditions)


def describe(name: str, node: Object | None) -> dict[str, Any]:
    """A node as plain facts, for ``node_info``."""
    if node is None:
        return {"name": name, "exists": False, "ready": False}
    status, spec, metadata = node.get("status", {}), node.get("spec", {}), node["metadata"]
    is_ready, said = ready(node)
    info = status.get("nodeInfo") or {}
    addresses = {entry["type"]: entry["address"] for entry in reversed(status.get("addresses") or ())}
    record, _findings = _record_of(name, (metadata.get("annotations") or {}).get(OWNED))
    return {
        "name": name,
        "exists": True,
        "ready": is_ready,
        "message": said,
        "schedulable": not spec.get("unschedulable", False),
        "version": info.get("kubeletVersion", ""),
        "container_runtime": info.get("containerRuntimeVersion", ""),
        "kernel": info.get("kernelVersion", ""),
        "internal_ip": addresses.get("InternalIP", ""),
        "provider_id": spec.get("providerID", ""),
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "taints": [
            {"key": taint["key"], "value": taint.get("value", ""), "effect": taint["effect"]}
            for taint in spec.get("taints") or ()
        ],
        "owned": {kind: sorted(keys) for kind, keys in vars(record).items()},
        "conditions": {
            condition["type"]: {key: condition.get(key, "") for key in ("status", "reason", "message")}
            for condition in status.get("conditions") or ()
        },
        "allocatable": status.get("allocatable") or {},
        "created": metadata.get("creationTimestamp", ""),
        "uid": metadata.get("uid", ""),
    }


def not_ready(nodes: Mapping[str, Object], names: Iterable[str]) -> dict[str, str]:
    """Why each of these nodes is not Ready, by name; empty when all are."""
    reasons: dict[str, str] = {}
    for name in names:
        is_ready, said = ready(nodes[name]) if name in nodes else (False, "there is no such node")
        if not is_ready:
            reasons[name] = said
    return reasons


def await_ready(cluster: Cluster, names: Collection[str], deadline: float, poll: float) -> dict[str, str]:
    """Wait until these nodes are Ready, reading those that are not every ``poll`` seconds.

    Returns why each is not that is left when ``time.monotonic()`` has passed ``deadline``; empty when all are Ready.
    """
    while names:
        reasons = not_ready(read(cluster, names), names)
        if not reasons or time.monotonic() >= deadline:
            return reasons
        names = list(reasons)
        time.sleep(poll)
    return {}


def update(cluster: Cluster, wish: NodeWish, live: Object, adopt: bool, reread: bool) -> NodePlan:
    """Fulfil one wish with at most one PATCH; with ``reread`` on the node as it is now. Raises KubeError."""
    if reread:
        found = cluster.get(path_of(wish.name))
        if found is None:
            raise KubeError("the node was deleted meanwhile.", 404, f"nodes/{wish.name}")
        live = found
    made = plan(wish, live, adopt)
    if made.patch:
        cluster.merge(path_of(wish.name), made.patch)
    return made


def _slim(node: Object) -> Object:
    metadata, status = node["metadata"], node.get("status", {})
    return {
        "metadata": {key: metadata.get(key) for key in _METADATA if key in metadata},
        "spec": node.get("spec", {}),
        "status": {key: status[key] for key in _STATUS if key in status},
    }


_METADATA = ("name", "uid", "resourceVersion", "creationTimestamp", "labels", "annotations")
_STATUS = ("conditions", "addresses", "nodeInfo", "allocatable")


def _reconcile(
    kind: str,
    node: str,
    live: Mapping[str, str],
    wanted: Mapping[str, str] | None,
    owned: frozenset[str],
    adopt: bool,
) -> _Change:
    if wanted is None:
        return _Change(dict(live), dict(live), owned, [])
    foreign = {key for key, value in wanted.items() if not adopt and key not in owned and live.get(key, value) != value}
    dropped = {key for key in owned if key not in wanted and not protector(kind, key)}
    after = {key: value for key, value in live.items() if key not in dropped}
    after.update((key, value) for key, value in wanted.items() if key not in foreign)
    findings = [_foreign(kind, node, key, live[key], wanted[key]) for key in sorted(foreign)]
    return _Change(dict(live), after, frozenset(wanted) - foreign, findings)


def _foreign(kind: str, node: str, key: str, has: str, wanted: str) -> Finding:
    return Finding(
        code="ND001-foreign-value",
        severity="warning",
        host=node,
        variable=f"{kind}s",
        message=f"{kind} {key} has the value {has!r}, set by somebody else; {wanted!r} is wanted. It is left alone.",
        remedy="Take it out of the inventory, remove it from the node, or set adopt to take it over.",
    )


def _record_of(node: str, text: str | None) -> tuple[_Record, tuple[Finding, ...]]:
    if not text:
        return _Record(), ()
    try:
        lists = json.loads(text)
        return _Record(
            *(frozenset(map(str, lists.get(kind) or ())) for kind in ("labels", "annotations", "taints"))
        ), ()
    except (ValueError, AttributeError, TypeError):
        finding = Finding(
            code="ND002-unreadable-record",
            severity="warning",
            host=node,
            variable=OWNED,
            message=f"the record of what is ours cannot be read: {text[:80]!r}. Nothing on the node counts as ours.",
            remedy="The record is written anew; remove by hand what the inventory no longer has.",
        )
        return _Record(), (finding,)


def _merged_taints(raw: Sequence[Object], change: _Change) -> list[Object]:
    kept = []
    for taint in raw:
        made = _taint(taint)
        if made.identity not in change.after:
            continue
        wanted = change.after[made.identity]
        kept.append(taint if wanted == made.value else _taint_object(made.identity, wanted))
    present = {_taint(taint).identity for taint in raw}
    return kept + [_taint_object(key, value) for key, value in change.after.items() if key not in present]


def _taint_object(identity: str, value: str) -> Object:
    key, _colon, effect = identity.rpartition(":")
    return {"key": key, "effect": effect, **({"value": value} if value else {})}


def _taint(raw: Mapping[str, Any]) -> Taint:
    return Taint(str(raw.get("key") or ""), str(raw.get("effect") or ""), str(raw.get("value") or ""))


def _step(
    wish: NodeWish, label: _Change, annotation: _Change, taint: _Change, switched: bool, was_schedulable: bool
) -> Step:
    kinds = (("label", label), ("annotation", annotation), ("taint", taint))
    reasons = [f"{kind} {', '.join(change.touched)}" for kind, change in kinds if change.touched]
    before = [
        _line(kind, key, change.before[key]) for kind, change in kinds for key in change.touched if key in change.before
    ]
    after = [
        _line(kind, key, change.after[key]) for kind, change in kinds for key in change.touched if key in change.after
    ]
    if switched:
        reasons.append("cordon" if was_schedulable else "uncordon")
        before.append(f"schedulable: {str(was_schedulable).lower()}")
        after.append(f"schedulable: {str(not was_schedulable).lower()}")
    if not reasons:
        reasons.append("the record of what is ours")
    return Step("update", f"node/{wish.name}", "; ".join(reasons), _text(before), _text(after))


def _line(kind: str, key: str, value: str) -> str:
    return f"taint {_taint(_taint_object(key, value))}" if kind == "taint" else f"{kind} {key}={value}"


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def protector(kind: str, key: str) -> str:
    """Who writes this key, so that we don't; empty when we may. For taints ``key`` may be ``key:effect``."""
    plain = key.rpartition(":")[0] or key if kind == "taint" else key
    for pattern, reason in _PROTECTED[kind]:
        if plain == pattern or (pattern.endswith("/") and plain.startswith(pattern)):
            return reason
    return ""


def _key_problems(
    node: str, kind: str, entries: Mapping[Any, Any], value_form: re.Pattern[str] | None
) -> Iterable[str]:
    for key, value in entries.items():
        if not isinstance(key, str) or not _KEY.match(key):
            yield f"{node}: {kind} key {key!r} is not of the form [prefix/]name."
        elif protector(kind, key):
            yield f"{node}: {kind} {key} is not ours to set: {protector(kind, key)}."
        if not isinstance(value, str):
            yield f"{node}: the value of {kind} {key} is {value!r} and not a string; quote it."
        elif value_form and not value_form.match(value):
            yield f"{node}: the value {value!r} of {kind} {key} is not up to 63 letters, digits, '-', '_' and '.'."


def _taint_problems(node: str, taints: Sequence[Taint]) -> Iterable[str]:
    seen: set[str] = set()
    for taint in taints:
        if not _KEY.match(taint.key):
            yield f"{node}: taint key {taint.key!r} is not of the form [prefix/]name."
        elif protector("taint", taint.key):
            yield f"{node}: taint {taint.key} is not ours to set: {protector('taint', taint.key)}."
        if taint.effect not in EFFECTS:
            yield f"{node}: taint {taint.key} has the effect {taint.effect!r}; it is one of {', '.join(EFFECTS)}."
        if not _LABEL_VALUE.match(taint.value):
            yield f"{node}: the value {taint.value!r} of taint {taint.key} is not a label value."
        if taint.identity in seen:
            yield f"{node}: taint {taint.identity} is listed twice."
        seen.add(taint.identity)
