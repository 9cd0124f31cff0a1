# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API's objects for admission policies; private to this collection.

What a pod must be like for a policy to act is said by label selectors where they can say it, so that other pods cost
nothing, and else by conditions in CEL. A policy that changes pods is, while it is only audited, a validating one of
the same conditions that refuses nothing: each pod that it would change gets a warning, an audit annotation, and counts
in the API server's metric ``apiserver_validating_admission_policy_check_total``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._admission_policies import settings as given
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import LXCFS_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Object

API_VERSION = "admissionregistration.k8s.io/v1"
PREFIX = "estate-"
LXCFS_ROOT = "/var/lib/lxcfs"
LXCFS_FILES = (
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/sys/devices/system/cpu/online",
)
_NAMESPACE = "kubernetes.io/metadata.name"
# Pods in namespaces that are held to these standards may not mount paths of the host.
_HOST_PATHS = {
    "key": "pod-security.kubernetes.io/enforce",
    "operator": "NotIn",
    "values": ["baseline", "restricted"],
}
_CREATED = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
_RESIZED = {**_CREATED, "operations": ["UPDATE"], "resources": ["pods/resize"]}
_NOT_STATIC = '!object.metadata.?annotations[?"kubernetes.io/config.mirror"].hasValue()'
_NOT_HOST_PID = "!object.spec.?hostPID.orValue(false)"
_NOT_WINDOWS = 'object.spec.?os.?name.orValue("") != "windows"'

Selectors = Mapping[str, Any]
Conditions = Mapping[str, str]


@dataclass(frozen=True)
class Mutation:
    """A policy that changes new pods: those of which every condition holds, in the places that ``where`` selects."""

    name: str
    says: str
    conditions: Conditions
    mutations: Sequence[Object]
    where: Mapping[str, Selectors]

    def documents(self, mode: str) -> list[Object]:
        """The policy with its bindings, or what stands for it while it is only audited."""
        if mode == given.ENFORCE:
            spec = {
                "failurePolicy": "Ignore",
                "reinvocationPolicy": "IfNeeded",
                "mutations": list(self.mutations),
            }
            return _policy("Mutating", self.name, [_CREATED], self.conditions, spec, self.where, {})
        validation = {"expression": "false", "message": f"not enforced yet: {self.says}"}
        spec = {"failurePolicy": "Ignore", "validations": [validation]}
        return _policy("Validating", self.name, [_CREATED], self.conditions, spec, self.where, _actions(mode))


def documents_of(settings: given.Settings) -> list[Object]:
    """Everything that the policies which are not off need."""
    made: list[Object] = []
    if settings.equal_requests.mode != given.OFF:
        made += equal_requests(settings.equal_requests)
    if settings.priority.mode != given.OFF:
        made += [_priority_class(one) for one in settings.priority.classes]
    mutations = (
        (settings.ephemeral_storage.mode, [ephemeral_storage(settings.ephemeral_storage, settings.excluded)]),
        (settings.anti_affinity.mode, [anti_affinity(settings.anti_affinity, settings.excluded)]),
        (
            settings.share_process_namespace.mode,
            [share_process_namespace(settings.share_process_namespace, settings.excluded)],
        ),
        (settings.priority.mode, priorities(settings.priority, settings.excluded)),
        (settings.lxcfs.mode, [lxcfs(settings.lxcfs, settings.excluded)]),
    )
    for mode, policies in mutations:
        for policy in policies if mode != given.OFF else ():
            made += policy.documents(mode)
    return made


def equal_requests(policy: given.EqualRequests) -> list[Object]:
    """Refuses pods that ask for less than they may use, or do not say what that is.

    A pod from before the policy may still be resized. Resources that a pod has as a whole stand for those of its
    containers, as they do for its quality of service.
    """
    resources = _cel(list(policy.resources))
    said = f"requests and limits of {' and '.join(policy.resources)} have to be given and equal; they are not for "
    spec = {
        "failurePolicy": "Fail",
        "variables": [
            {"name": "unequal", "expression": _unequal("object", resources)},
            {"name": "was_unequal", "expression": f"oldObject == null ? [] : {_unequal('oldObject', resources)}"},
        ],
        "validations": [
            {
                "expression": "variables.unequal.size() == 0 || variables.was_unequal.size() > 0",
                "messageExpression": f'{_cel(said)} + variables.unequal.join(", ")',
                "reason": "Forbidden",
            }
        ],
    }
    where = {"": {"namespaceSelector": {"matchExpressions": [_named("In", policy.namespaces)]}}}
    actions = _actions(policy.mode)
    conditions = {"pod-is-not-static": _NOT_STATIC}
    return _policy("Validating", "equal-requests", [_CREATED, _RESIZED], conditions, spec, where, actions)


def _unequal(pod: str, resources: str) -> str:
    def unequal(subject: str) -> str:
        limit, request = f"{subject}.?resources.?limits[?r]", f"{subject}.?resources.?requests[?r]"
        return (
            f"!{resources}.all(r, {limit}.hasValue() && {request}.hasValue()"
            f" && quantity({limit}.value()) == quantity({request}.value()))"
        )

    whole = f"{pod}.spec.?resources.?limits.hasValue() || {pod}.spec.?resources.?requests.hasValue()"
    containers = f"({pod}.spec.containers + {pod}.spec.?initContainers.orValue([]))"
    return (
        f"({whole}) ? ({unequal(f'{pod}.spec')} ? ['the pod as a whole'] : [])"
        f" : {containers}.filter(c, {unequal('c')}).map(c, c.name)"
    )


def ephemeral_storage(policy: given.EphemeralStorage, excluded: Sequence[str]) -> Mutation:
    """Containers without a limit get one; a request that is there already is kept, and the limit is not below it."""
    lacks = '!c.?resources.?limits[?"ephemeral-storage"].hasValue()'
    request = f'c.?resources.?requests[?"ephemeral-storage"].orValue({_cel(policy.request)})'
    limit = f"quantity({request}).isGreaterThan(quantity({_cel(policy.limit)})) ? {request} : {_cel(policy.limit)}"

    def limited(kind: str) -> str:
        resources = (
            f"Object.spec.{kind}.resources{{\n"
            f'      requests: {{"ephemeral-storage": {request}}},\n'
            f'      limits: {{"ephemeral-storage": {limit}}}\n    }}'
        )
        return _containers(kind, lacks, f"resources: {resources}")

    return Mutation(
        "ephemeral-storage",
        f"containers without a limit of ephemeral-storage get {policy.limit}, and request {policy.request}.",
        {"pod-is-not-static": _NOT_STATIC, "a-container-has-no-limit": _any_container(lacks)},
        [_apply(f"Object{{spec: Object.spec{{\n{limited('containers')},\n{limited('initContainers')}\n}}}}")],
        {"": _places(excluded, policy.namespaces)},
    )


def anti_affinity(policy: given.AntiAffinity, excluded: Sequence[str]) -> Mutation:
    """Pods of one application prefer to run apart, unless they say something about that themselves."""
    of_pod, term = "Object.spec.affinity", "preferredDuringSchedulingIgnoredDuringExecution"
    labels = f"{{{_cel(policy.label)}: object.metadata.labels[{_cel(policy.label)}]}}"
    preferred = f"{of_pod}.podAntiAffinity.{term}"
    affinity_term = f"{preferred}.podAffinityTerm"
    expression = f"""
(has(object.spec.affinity) ? [] : [JSONPatch{{op: "add", path: "/spec/affinity", value: {of_pod}{{}}}}]) + [
  JSONPatch{{op: "add", path: "/spec/affinity/podAntiAffinity", value: {of_pod}.podAntiAffinity{{
    {term}: [{preferred}{{
      weight: {policy.weight},
      podAffinityTerm: {affinity_term}{{
        topologyKey: {_cel(policy.topology_key)},
        labelSelector: {affinity_term}.labelSelector{{matchLabels: {labels}}}
      }}
    }}]
  }}}}
]"""
    return Mutation(
        "anti-affinity",
        f"the pod gets a preference to run apart from others of its {policy.label}, by {policy.topology_key}.",
        {
            "pod-is-not-static": _NOT_STATIC,
            "pod-has-the-label": f'object.metadata.?labels[?{_cel(policy.label)}].orValue("") != ""',
            "pod-says-nothing-itself": "!object.spec.?affinity.?podAntiAffinity.hasValue()",
        },
        [_json_patch(expression)],
        {"": _places(excluded, policy.namespaces)},
    )


def share_process_namespace(policy: given.ShareProcessNamespace, excluded: Sequence[str]) -> Mutation:
    """One process namespace for all containers, whose first process takes in orphans."""
    return Mutation(
        "share-process-namespace",
        "the containers of the pod share one process namespace.",
        {
            "pod-is-not-static": _NOT_STATIC,
            "pod-says-nothing-itself": "!has(object.spec.shareProcessNamespace)",
            "pod-has-processes-of-its-own": _NOT_HOST_PID,
            "pod-is-not-of-windows": _NOT_WINDOWS,
        },
        [_apply("Object{spec: Object.spec{shareProcessNamespace: true}}")],
        _opted_in(policy.label, excluded),
    )


def priorities(policy: given.Priority, excluded: Sequence[str]) -> list[Mutation]:
    """One policy a class: pods of namespaces with its label get it, unless they name one themselves."""
    return [_priority(policy.label, one, excluded) for one in policy.classes]


def _priority(label: str, one: given.PriorityClass, excluded: Sequence[str]) -> Mutation:
    # The admission plugin Priority has filled in the numbers of a pod without a class before policies see it, and looks
    # again after them: numbers that are not those of the class would be refused.
    fields = (
        f"priorityClassName: {_cel(one.name)}",
        f"priority: {one.value}",
        f"preemptionPolicy: {_cel(_preemption(one))}",
    )
    where = _places(excluded, more=[{"key": label, "operator": "In", "values": [one.name]}])
    return Mutation(
        f"priority-{one.name}",
        f"the pod gets the priority class {one.name}.",
        {
            "pod-is-not-static": _NOT_STATIC,
            "pod-names-no-class": 'object.spec.?priorityClassName.orValue("") == ""',
        },
        [_apply(f"Object{{spec: Object.spec{{{', '.join(fields)}}}}}")],
        {"": where},
    )


def _priority_class(one: given.PriorityClass) -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": one.name},
        "value": one.value,
        "preemptionPolicy": _preemption(one),
    }


def _preemption(one: given.PriorityClass) -> str:
    return "PreemptLowerPriority" if one.preempts else "Never"


def lxcfs(policy: given.Lxcfs, excluded: Sequence[str]) -> Mutation:
    """Files of /proc as LXCFS makes them for the reader's control group, mounted over the kernel's, in each container.

    Left alone are pods that no node with LXCFS would be looked for (of DaemonSets, or bound already) and those whose
    runtime cannot mount them (user namespaces, classes that are not named).
    """
    any_of = " || ".join(f"m.mountPath == {_cel(path)}" for path in LXCFS_FILES)
    lacks = f"!c.?volumeMounts.orValue([]).exists(m, {any_of})"
    selects_node = f"object.spec.?nodeSelector[?{_cel(LXCFS_LABEL)}]"

    def mounted(kind: str) -> str:
        mounts = ",\n      ".join(
            f"Object.spec.{kind}.volumeMounts{{name: {_cel(_volume(path))}, mountPath: {_cel(path)}, readOnly: true}}"
            for path in LXCFS_FILES
        )
        return _containers(kind, lacks, f"volumeMounts: [\n      {mounts}\n    ]")

    volumes = ",\n    ".join(
        f"Object.spec.volumes{{name: {_cel(_volume(path))}, hostPath: Object.spec.volumes.hostPath{{"
        f'path: {_cel(LXCFS_ROOT + path)}, type: "File"}}}}'
        for path in LXCFS_FILES
    )
    views = f"Object{{spec: Object.spec{{\n  volumes: [\n    {volumes}\n  ],\n{mounted('containers')},\n"
    key = LXCFS_LABEL.replace("~", "~0").replace("/", "~1")
    selector = f"""
(has(object.spec.nodeSelector) ? [] : [JSONPatch{{op: "add", path: "/spec/nodeSelector", value: {{}}}}]) + [
  JSONPatch{{op: "add", path: "/spec/nodeSelector/{key}", value: "true"}}
]"""
    return Mutation(
        "lxcfs",
        f"the pod sees its own limits in /proc, and runs on nodes with {LXCFS_LABEL}=true.",
        {
            "pod-is-not-static": _NOT_STATIC,
            "pod-has-processes-of-its-own": _NOT_HOST_PID,
            "pod-is-not-of-windows": _NOT_WINDOWS,
            "pod-has-users-of-the-host": "object.spec.?hostUsers.orValue(true) == true",
            "pod-runs-where-files-can-be-mounted": (
                f'object.spec.?runtimeClassName.orValue("") in {_cel(["", *policy.runtime_classes])}'
            ),
            "pod-is-not-bound": 'object.spec.?nodeName.orValue("") == ""',
            "pod-may-be-where-lxcfs-is": (
                f'{selects_node}.orValue("true") == "true" && ({selects_node}.hasValue()'
                ' || !object.metadata.?ownerReferences.orValue([]).exists(o, o.kind == "DaemonSet"))'
            ),
            "a-container-has-no-views": _any_container(lacks),
        },
        [_apply(f"{views}{mounted('initContainers')}\n}}}}"), _json_patch(selector)],
        _opted_in(policy.label, excluded, [_HOST_PATHS]),
    )


def _volume(path: str) -> str:
    return f"estate-lxcfs-{path.rpartition('/')[2]}"


def _any_container(lacks: str) -> str:
    return f"(object.spec.containers + object.spec.?initContainers.orValue([])).exists(c, {lacks})"


def _containers(kind: str, which: str, fields: str) -> str:
    return (
        f"  {kind}: object.spec.?{kind}.orValue([]).filter(c, {which}).map(c, Object.spec.{kind}{{\n"
        f"    name: c.name,\n    {fields}\n  }})"
    )


def _opted_in(label: str, excluded: Sequence[str], more: Sequence[Selectors] = ()) -> dict[str, Selectors]:
    """A pod with the label says it for itself, in both directions; for others their namespace does."""
    opted = {"key": label, "operator": "In", "values": ["true"]}
    silent = {"key": label, "operator": "DoesNotExist"}
    return {
        "by-namespace": {**_places(excluded, more=[opted, *more]), "objectSelector": {"matchExpressions": [silent]}},
        "by-pod": {**_places(excluded, more=more), "objectSelector": {"matchExpressions": [opted]}},
    }


def _places(
    excluded: Sequence[str], namespaces: Sequence[str] = (), more: Sequence[Selectors] = ()
) -> dict[str, Selectors]:
    named = [_named("In", namespaces)] if namespaces else [_named("NotIn", excluded)]
    return {"namespaceSelector": {"matchExpressions": [*named, *more]}}


def _named(operator: str, names: Sequence[str]) -> dict[str, Any]:
    return {"key": _NAMESPACE, "operator": operator, "values": sorted(names)}


def _policy(
    kind: str,
    name: str,
    rules: Sequence[Object],
    conditions: Conditions,
    spec: Object,
    where: Mapping[str, Selectors],
    actions: Object,
) -> list[Object]:
    named = PREFIX + name
    matching = [{"name": said, "expression": expression} for said, expression in conditions.items()]
    policy = {
        "apiVersion": API_VERSION,
        "kind": f"{kind}AdmissionPolicy",
        "metadata": {"name": named},
        "spec": {
            "matchConstraints": {"resourceRules": list(rules)},
            **({"matchConditions": matching} if matching else {}),
            **spec,
        },
    }
    bindings = [
        {
            "apiVersion": API_VERSION,
            "kind": f"{kind}AdmissionPolicyBinding",
            "metadata": {"name": f"{named}-{how}" if how else named},
            "spec": {"policyName": named, "matchResources": dict(selectors), **actions},
        }
        for how, selectors in where.items()
    ]
    return [policy, *bindings]


def _actions(mode: str) -> Object:
    return {"validationActions": ["Deny"] if mode == given.ENFORCE else ["Audit", "Warn"]}


def _apply(expression: str) -> Object:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def _json_patch(expression: str) -> Object:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression.strip()}}


def _cel(value: str | Sequence[str]) -> str:
    """A literal of CEL, which for text and lists of text is that of JSON."""
    return json.dumps(value)
