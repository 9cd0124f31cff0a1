# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and groups: who is who."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean, listed

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_NODE_NAMES = "Kubernetes: Object Names and IDs, DNS subdomain names; label kubernetes.io/hostname"
_WORDS = "docs: the groups of an inventory"
# What the same group is called elsewhere (Kubespray, kubeadm tutorials).
_OTHER_NAMES = {
    "kube_control_plane": model.CONTROL_PLANE_GROUP,
    "kube_master": model.CONTROL_PLANE_GROUP,
    "masters": model.CONTROL_PLANE_GROUP,
    "master": model.CONTROL_PLANE_GROUP,
    "kube_node": model.WORKERS_GROUP,
    "nodes": model.WORKERS_GROUP,
    "k8s": model.KUBERNETES_GROUP,
    "k8s_cluster": model.KUBERNETES_GROUP,
    "calico_rr": model.REFLECTORS_GROUP,
    "tors": model.SWITCHES_GROUP,
}


@rule("ES101-host-name", ERROR, "the host's name becomes the Node's name and its hostname label", _NODE_NAMES)
def host_name(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        if len(host.name) > 63 or not all(_DNS_LABEL.match(part) for part in host.name.split(".")):
            yield Problem(
                host.name,
                "inventory_hostname",
                f"{host.name!r} cannot be a node's name.",
                "Use lower-case letters, digits and '-', at most 63; begin and end with a letter or digit.",
            )


@rule("ES102-estate-name", ERROR, "it becomes part of a DNS name and of object names", "RFC 1123")
def estate_name(estate: model.Estate) -> Iterator[Problem]:
    if estate.name and not _DNS_LABEL.match(estate.name):
        yield Problem(
            "",
            "estate_name",
            f"{estate.name!r} is not a DNS label.",
            "Use lower-case letters, digits and '-', at most 63 characters.",
        )


@rule("ES103-rack-name", ERROR, "it becomes a label value and part of object names", "RFC 1123")
def rack_name(estate: model.Estate) -> Iterator[Problem]:
    for name in estate.racks:
        if not _DNS_LABEL.match(name):
            yield Problem(
                "",
                f"estate_racks.{name}",
                f"{name!r} is not a DNS label.",
                "Use lower-case letters, digits and '-', at most 63 characters.",
            )


@rule("ES104-no-control-plane", ERROR, "a cluster begins on its first control plane", _WORDS)
def no_control_plane(estate: model.Estate) -> Iterator[Problem]:
    if not estate.control_planes:
        yield Problem(
            "",
            "groups.control_plane",
            "the inventory has no host in group control_plane.",
            "Put one host, or an odd number of hosts, into group control_plane.",
        )


@rule("ES105-no-worker", WARNING, "pods would have nowhere to run", _WORDS)
def no_worker(estate: model.Estate) -> Iterator[Problem]:
    if estate.control_planes and not any(host.is_worker for host in estate.hosts.values()):
        yield Problem(
            "",
            "groups.workers",
            "the inventory has no host in group workers.",
            "Put the other nodes into group workers.",
        )


@rule("ES106-group-looks-misspelt", ERROR, "no play looks at a group of another name", _WORDS)
def group_looks_misspelt(estate: model.Estate) -> Iterator[Problem]:
    for group in sorted(estate.groups):
        if group in model.GROUPS or group in ("all", "ungrouped"):
            continue
        meant = _OTHER_NAMES.get(group) or did_you_mean(group, model.GROUPS, 0.8)
        if meant and not estate.groups.get(meant):
            yield Problem(
                "",
                f"groups.{group}",
                f"no play looks at a group {group!r}, and there is no {meant!r}.",
                f"Did you mean {meant!r}? Rename the group.",
            )


@rule("ES107-not-in-kubernetes", ERROR, "plays for all nodes address the group kubernetes", _WORDS)
def not_in_kubernetes(estate: model.Estate) -> Iterator[Problem]:
    outside = [
        host.name
        for host in estate.hosts.values()
        if (host.is_control_plane or host.is_worker) and model.KUBERNETES_GROUP not in host.groups
    ]
    if outside:
        yield Problem(
            outside[0] if len(outside) == 1 else "",
            "groups.kubernetes",
            f"{listed(outside)} {'is' if len(outside) == 1 else 'are'} not in group kubernetes.",
            "Make kubernetes the parent of both: kubernetes: {children: {control_plane, workers}}.",
        )


@rule("ES108-node-without-role", ERROR, "neither init nor join would know what to make of it", _WORDS)
def node_without_role(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        if not host.is_control_plane and not host.is_worker:
            yield Problem(
                host.name,
                "groups.kubernetes",
                "it is in group kubernetes but in neither control_plane nor workers.",
                "Put it into one of the two, and only by way of them into kubernetes.",
            )


@rule("ES109-two-roles", ERROR, "a host joins either as control plane or as worker", _WORDS)
def two_roles(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        if host.is_control_plane and host.is_worker:
            yield Problem(
                host.name,
                "groups.workers",
                "it is in both control_plane and workers.",
                "Keep one; to run pods on a control plane, remove its taint with node_taints.",
            )


@rule("ES110-switch-and-node", ERROR, "a switch is configured over its own play and never joins the cluster", _WORDS)
def switch_and_node(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.switches:
        if host.is_node:
            yield Problem(
                host.name,
                "groups.switches",
                "it is both a switch and a node.",
                "Take it out of switches, or out of control_plane and workers.",
            )


@rule("ES111-two-classes", ERROR, "the class decides which network plug-in serves a node", _WORDS)
def two_classes(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        if {model.BARE_METAL_GROUP, model.CLOUD_VMS_GROUP} <= host.groups:
            yield Problem(
                host.name,
                "groups.cloud_vms",
                "it is in both bare_metal and cloud_vms.",
                "Keep one.",
            )


@rule("ES112-class-contradicts-group", ERROR, "roles look at the group, selectors at the class", _WORDS)
def class_contradicts_group(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        other = model.BARE_METAL_GROUP if host.node_class == model.CLOUD_VM else model.CLOUD_VMS_GROUP
        own = model.CLOUD_VMS_GROUP if host.node_class == model.CLOUD_VM else model.BARE_METAL_GROUP
        if other in host.groups and own not in host.groups:
            yield Problem(
                host.name,
                "node_class",
                f"it is {host.node_class}, but the host is in group {other}.",
                "Remove node_class, or move the host to the other group.",
            )


@rule("ES113-node-without-class", ERROR, "in a hybrid estate a node of no class would get the wrong network", _WORDS)
def node_without_class(estate: model.Estate) -> Iterator[Problem]:
    if not estate.groups.get(model.CLOUD_VMS_GROUP) and estate.cloud is None:
        return
    for host in estate.nodes.values():
        if host.class_is_assumed:
            yield Problem(
                host.name,
                "groups.bare_metal",
                "it is in neither bare_metal nor cloud_vms.",
                "Put it into one of them; the estate has both kinds.",
            )


@rule(
    "ES114-reflector-is-no-node", ERROR, "a route reflector is a Calico node with a label", "Calico: route reflectors"
)
def reflector_is_no_node(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.named_reflectors:
        if not host.is_node:
            yield Problem(
                host.name,
                "groups.route_reflectors",
                "it is a route reflector but no node of the cluster.",
                "Put it into workers too, or take it out of route_reflectors.",
            )


@rule("ES115-gpu-is-no-node", WARNING, "GPU roles prepare nodes of the cluster", _WORDS)
def gpu_is_no_node(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        if model.GPU_GROUP in host.groups and not host.is_node:
            yield Problem(
                host.name, "groups.gpu", "it is in group gpu but no node of the cluster.", "Put it into workers."
            )


@rule("ES116-ungrouped-host", WARNING, "no play touches a host without a group", _WORDS)
def ungrouped_host(estate: model.Estate) -> Iterator[Problem]:
    for name in estate.groups.get("ungrouped", ()):
        yield Problem(
            name,
            "groups.ungrouped",
            "it is in no group.",
            "Put it into workers, control_plane or switches, or remove it.",
        )


@rule("ES117-same-short-name", WARNING, "logs and metrics often know a machine by its short name only", _NODE_NAMES)
def same_short_name(estate: model.Estate) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in estate.nodes:
        short = name.partition(".")[0]
        if short in first:
            yield Problem(
                name,
                "inventory_hostname",
                f"its short name {short!r} is that of {first[short]} too.",
                "Give one of them another name.",
            )
        first.setdefault(short, name)
