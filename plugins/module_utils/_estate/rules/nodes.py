# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels, annotations and taints: what the API server would refuse, and what others own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model, runtime
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean, listed
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import kubelet_may_set

_SYNTAX = "Kubernetes: Labels and Selectors, syntax and character set"
_WELL_KNOWN = "Kubernetes: Well-Known Labels, Annotations and Taints"
_RESTRICTION = "Kubernetes: admission plug-in NodeRestriction"
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
_PREFIX_PART = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_MOST_ANNOTATION_BYTES = 256 * 1024
_KUBELET_OWNED = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch")
_DERIVED = (derive.EXTERNAL_LABEL, derive.WITHOUT_TERWAY_LABEL)
# Made for administrators: set through the API, never by kubelets.
_ADMINISTRATORS = "node-restriction.kubernetes.io"


@dataclass(frozen=True)
class _Written:
    """The labels and taints that a person wrote for a node, or for the VMs of a pool.

    ``labels_variable`` and ``taints_variable`` are where; ``implied`` are the taints that follow from other variables.
    """

    host: str
    labels_variable: str
    labels: Mapping[str, str]
    taints_variable: str
    taints: tuple[model.Taint, ...]
    implied: tuple[model.Taint, ...] = ()

    def label(self, key: str) -> str:
        return f"{self.labels_variable}.{key}"

    def taint(self, index: int) -> str:
        return f"{self.taints_variable}[{index}]"


def _written(estate: model.Estate) -> Iterator[_Written]:
    for host in estate.nodes.values():
        implied = derive.node_taints(estate, host)[len(host.taints) :]
        yield _Written(host.name, "node_labels", host.labels, "node_taints", host.taints, implied)
    yield from _of_pools(estate)


def _of_pools(estate: model.Estate) -> Iterator[_Written]:
    for pool in estate.vm_pools.values():
        variable = f"estate_cloud_pools.{pool.name}"
        yield _Written("", f"{variable}.labels", pool.labels, f"{variable}.taints", pool.taints)


@rule("ES701-label-malformed", ERROR, "the API server refuses the whole change", _SYNTAX)
def label_malformed(estate: model.Estate) -> Iterator[Problem]:
    for written in _written(estate):
        for key, value in written.labels.items():
            fault = _key_fault(key) or _value_fault(value)
            if fault:
                yield Problem(written.host, written.label(key), fault, "Correct the label.")


@rule("ES702-label-owned-by-kubelet", ERROR, "the kubelet sets it back at its next start", _WELL_KNOWN)
def label_owned_by_kubelet(estate: model.Estate) -> Iterator[Problem]:
    for written in _written(estate):
        for key in written.labels:
            if key in _KUBELET_OWNED:
                yield Problem(
                    written.host,
                    written.label(key),
                    "the kubelet sets this label itself.",
                    "Remove it, or use another name.",
                )


@rule(
    "ES703-label-is-ours",
    ERROR,
    "it is derived from the inventory; two writers would fight",
    "module node: ownership",
)
def label_is_ours(estate: model.Estate) -> Iterator[Problem]:
    written = [
        (host.name, f"{kind}.{key}", key, derive.trait_labels(host))
        for host in estate.nodes.values()
        for kind, keys in (("node_labels", host.labels), ("node_annotations", host.annotations))
        for key in keys
    ]
    written += [("", pool.label(key), key, {}) for pool in _of_pools(estate) for key in pool.labels]
    for host_name, variable, key, traits in written:
        if key.startswith((derive.OWN_PREFIX, runtime.LABEL_PREFIX)) or key in _DERIVED or key in traits:
            yield Problem(
                host_name,
                variable,
                "this collection derives it from rack, node_class, node_pool and their like, and groups.",
                "Remove it; set the variable it follows from.",
            )


@rule(
    "ES704-label-kubelet-may-not-set", WARNING, "the node is Ready for a moment before the label is there", _RESTRICTION
)
def label_kubelet_may_not_set(estate: model.Estate) -> Iterator[Problem]:
    for written in _written(estate):
        for key in written.labels:
            if not kubelet_may_set(key) and not _is_under(key.rpartition("/")[0], _ADMINISTRATORS):
                yield Problem(
                    written.host,
                    written.label(key),
                    "the kubelet may not set labels under kubernetes.io and k8s.io itself; it follows after the join.",
                    "Use a prefix of your own where pods must not land before the label is there.",
                )


@rule("ES711-annotation-malformed", ERROR, "the API server refuses the whole change", _SYNTAX)
def annotation_malformed(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        for key in host.annotations:
            fault = _key_fault(key)
            if fault:
                yield Problem(host.name, f"node_annotations.{key}", fault, "Correct the annotation's name.")
        size = sum(len(key.encode()) + len(value.encode()) for key, value in host.annotations.items())
        if size > _MOST_ANNOTATION_BYTES:
            yield Problem(
                host.name,
                "node_annotations",
                f"they have {size} bytes; the API server takes {_MOST_ANNOTATION_BYTES}.",
                "Keep large texts elsewhere.",
            )


@rule(
    "ES712-annotation-of-calico",
    ERROR,
    "Calico and the gated reflector step own it",
    "Calico: libcalico-go, k8s node annotations",
)
def annotation_of_calico(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        for key in host.annotations:
            if key.startswith("projectcalico.org/"):
                yield Problem(
                    host.name,
                    f"node_annotations.{key}",
                    "annotations of projectcalico.org change routing at once.",
                    "Remove it; route_reflectors, estate_bgp and estate_racks say the same.",
                )


@rule("ES721-taint-malformed", ERROR, "the API server refuses the whole change", _SYNTAX)
def taint_malformed(estate: model.Estate) -> Iterator[Problem]:
    for written in _written(estate):
        for index, taint in enumerate(written.taints):
            fault = _key_fault(taint.key) or _value_fault(taint.value)
            if fault:
                yield Problem(written.host, written.taint(index), fault, "Correct the taint.")


@rule("ES722-taint-effect", ERROR, "there are three effects", "Kubernetes: Taints and Tolerations")
def taint_effect(estate: model.Estate) -> Iterator[Problem]:
    for written in _written(estate):
        for index, taint in enumerate(written.taints):
            if taint.effect not in _EFFECTS:
                guess = did_you_mean(taint.effect, _EFFECTS)
                yield Problem(
                    written.host,
                    f"{written.taint(index)}.effect",
                    f"{taint.effect!r} is none of {', '.join(_EFFECTS)}.",
                    f"Did you mean {guess!r}?" if guess else "Choose one of them.",
                )


@rule("ES723-taint-twice", ERROR, "the API server takes one taint of a key and effect", "Kubernetes: node validation")
def taint_twice(estate: model.Estate) -> Iterator[Problem]:
    for written in _written(estate):
        seen: set[tuple[str, str]] = set()
        for index, taint in enumerate((*written.taints, *written.implied)):
            if (taint.key, taint.effect) in seen:
                by_hand = index < len(written.taints)
                yield Problem(
                    written.host,
                    written.taint(index) if by_hand else "node_dedicated",
                    f"there is a taint {taint.key}:{taint.effect} already.",
                    "Keep one of them." if by_hand else "Take it out of node_taints; node_dedicated sets it.",
                )
            seen.add((taint.key, taint.effect))


@rule(
    "ES724-taint-of-the-node-controller",
    ERROR,
    "the node controller sets and removes it with the node's state",
    _WELL_KNOWN,
)
def taint_of_the_node_controller(estate: model.Estate) -> Iterator[Problem]:
    for written in _written(estate):
        for index, taint in enumerate(written.taints):
            if taint.key.startswith("node.kubernetes.io/") and taint.key != "node.kubernetes.io/out-of-service":
                yield Problem(
                    written.host,
                    written.taint(index),
                    f"{taint.key} tells the state of a node.",
                    "Use a key of your own; to keep pods away for maintenance, drain the node.",
                )


@rule("ES731-trait-malformed", ERROR, "it becomes the value of a label", _SYNTAX)
def trait_malformed(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        for trait, value in vars(host.traits).items():
            fault = _value_fault(value)
            if fault:
                yield Problem(host.name, f"node_{trait}", fault, "Write it without blanks, as in Xeon-6430.")


@rule(
    "ES732-pool-mixes-cpu-models",
    WARNING,
    "pods of one workload run at different speeds, and CPU-pinned or instruction-tuned ones fail on some nodes",
    "field: one CPU model a pool",
)
def pool_mixes_cpu_models(estate: model.Estate) -> Iterator[Problem]:
    for pool, members in _pools(estate).items():
        models = _names_by(members, lambda host: host.traits.cpu_model)
        if len(models) > 1:
            found = "; ".join(f"{name or 'not said'}: {listed(hosts)}" for name, hosts in sorted(models.items()))
            yield Problem(
                "",
                "node_cpu_model",
                f"the nodes of pool {pool} have different CPU models. {found}.",
                "Make a pool of each model, or set node_cpu_model where it is not said.",
            )


@rule(
    "ES733-pool-mixes-node-classes",
    WARNING,
    "a workload that asks for the pool is spread over the line between data centre and cloud",
    "field: cloud nodes are kept apart",
)
def pool_mixes_node_classes(estate: model.Estate) -> Iterator[Problem]:
    for pool, members in _pools(estate).items():
        classes = _names_by(members, lambda host: host.node_class)
        if len(classes) > 1:
            found = "; ".join(f"{name}: {listed(hosts)}" for name, hosts in sorted(classes.items()))
            yield Problem(
                "", "node_pool", f"pool {pool} has nodes of two classes. {found}.", "Make a pool of each class."
            )


@rule(
    "ES734-dedicated-by-half",
    WARNING,
    "with the label alone others' pods come, with the taint alone its own pods may go elsewhere",
    "Kubernetes: Taints and Tolerations, dedicated nodes",
)
def dedicated_by_half(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        taints = {taint.value for taint in derive.node_taints(estate, host) if _keeps_away(taint)}
        label = {**host.labels, **derive.trait_labels(host)}.get(derive.DEDICATED)
        if (label is not None or taints) and taints != {label}:
            has = f"the label {derive.DEDICATED}={label}" if label is not None else "no such label"
            yield Problem(
                host.name,
                "node_dedicated",
                f"the node has {has}, and taints {derive.DEDICATED} of the values {listed(sorted(taints)) or 'none'}.",
                "Set node_dedicated, which gives it both, and take the other out.",
            )


@rule("ES735-gpu-model-without-gpu", WARNING, "what is done for the group gpu is not done for it", "group gpu")
def gpu_model_without_gpu(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        if host.traits.gpu_model and model.GPU_GROUP not in host.groups:
            yield Problem(
                host.name,
                "node_gpu_model",
                f"the host is not in the group {model.GPU_GROUP}.",
                "Add it to the group, or remove node_gpu_model.",
            )


def _pools(estate: model.Estate) -> dict[str, list[model.Host]]:
    found: dict[str, list[model.Host]] = {}
    for host in estate.nodes.values():
        if host.traits.pool:
            found.setdefault(host.traits.pool, []).append(host)
    return found


def _names_by(hosts: Iterable[model.Host], of: Callable[[model.Host], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for host in hosts:
        found.setdefault(of(host), []).append(host.name)
    return found


def _keeps_away(taint: model.Taint) -> bool:
    return taint.key == derive.DEDICATED and taint.effect in ("NoSchedule", "NoExecute")


def _key_fault(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not all(_PREFIX_PART.match(part) for part in prefix.split("."))):
        return f"{prefix!r}, before the slash, is not a DNS subdomain."
    if not _NAME.match(name):
        return (
            f"{name!r} is not 1 to 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit."
        )
    return ""


def _value_fault(value: str) -> str:
    if not value or _NAME.match(value):
        return ""
    return f"the value {value!r} is not at most 63 letters, digits, '-', '_' and '.', as the name of a label."


def _is_under(prefix: str, domain: str) -> bool:
    return prefix == domain or prefix.endswith(f".{domain}")
