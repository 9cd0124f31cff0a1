# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The upstream chart's values and the patches of what it renders; private to this collection, runs on the controller.

Upstream's chart is made for clusters that are Terway's alone. Here it shares one with Calico, and comes to VMs that
nobody prepared for it: stub definitions named like Calico's own are left out, it runs on cloud VMs only, and it makes
the directories that it needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model

NAMESPACE = "kube-system"
DAEMON_SET = "terway-eniip"
CONFIG_MAP = "eni-config"
CONTROL_PLANE = "terway-controlplane"
ESTATE_TAG = derive.OWN_PREFIX + "estate"
CONFIG_ANNOTATION = derive.OWN_PREFIX + "terway-config"
LOCAL, CRD = "local", "crd"
IPAMS = (LOCAL, CRD)
CALICO_DEFINITIONS = "*.crd.projectcalico.org"

_CONTROL_PLANE_KINDS = (
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "Deployment",
    "MutatingWebhookConfiguration",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "ValidatingWebhookConfiguration",
)
_CNI = {
    "cniVersion": "0.4.0",
    "name": "terway",
    "type": "terway",
    "capabilities": {"bandwidth": True},
    "network_policy_provider": "iptables",
    "eniip_virtual_type": "veth",
}
_READ = ["get", "list", "watch"]
# Upstream's has all verbs on Calico's and Cilium's resources as well; nothing here uses them.
_RULES = (
    {
        "apiGroups": [""],
        "resources": ["pods", "nodes", "namespaces", "serviceaccounts", "endpoints", "services"],
        "verbs": _READ,
    },
    {"apiGroups": [""], "resources": ["pods", "nodes", "nodes/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
    {"apiGroups": ["network.alibabacloud.com"], "resources": ["podenis", "nodes", "noderuntimes"], "verbs": _READ},
    {"apiGroups": ["network.alibabacloud.com"], "resources": ["nodes"], "verbs": ["patch", "update"]},
    {
        "apiGroups": ["network.alibabacloud.com"],
        "resources": ["noderuntimes", "noderuntimes/status"],
        "verbs": ["create", "patch", "update"],
    },
)
# The daemon itself waits for the definitions that its control plane makes.
_CRD_RULES = ({"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": _READ},)


class TerwayError(ValueError):
    """The inventory does not give a configuration that works; the message names the variable and the remedy."""


@dataclass(frozen=True)
class Settings:
    """What the role's variables say. ``eni_conf`` is merged into the daemon's configuration."""

    version: str
    image: str
    control_plane_image: str
    ipam: str = LOCAL
    eni_conf: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rendering:
    """What to give the chart, and what to do with what it makes: options of the module ``manifest``."""

    values: Mapping[str, Any]
    omit: tuple[Mapping[str, Any], ...]
    overlays: tuple[Mapping[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        return {"chart_values": dict(self.values), "omit": list(self.omit), "overlays": list(self.overlays)}


def rendering_of(estate: model.Estate, settings: Settings) -> Rendering:
    """The chart's values and patches; raises :class:`TerwayError` where the inventory lacks what they need."""
    cloud = _complete(estate, settings)
    configuration = _configuration(estate, cloud, settings)
    overlays = [
        _overlay("ConfigMap", CONFIG_MAP, {"data": configuration}),
        _overlay("ClusterRole", "terway-pod-reader", {"rules": _rules(settings)}),
        _overlay("DaemonSet", DAEMON_SET, _daemon(cloud, configuration)),
    ]
    if settings.ipam == CRD:
        overlays.append(_overlay("Deployment", CONTROL_PLANE, _control_plane(cloud)))
    return Rendering(_values(estate, cloud, settings), _omitted(settings), tuple(overlays))


def _complete(estate: model.Estate, settings: Settings) -> model.Cloud:
    cloud = estate.cloud
    if settings.ipam not in IPAMS:
        raise TerwayError(f"terway_ipam: {settings.ipam!r} is none of {', '.join(IPAMS)}. Choose one of them.")
    if cloud is None:
        raise TerwayError("estate_cloud is not set, and Terway is for the VMs of a VPC. Describe the VPC in it.")
    if not cloud.pod_vswitches:
        raise TerwayError("estate_cloud.pod_vswitches: there is none. Add the vSwitches that pods take addresses from.")
    if estate.networks.services is None:
        raise TerwayError("estate_networks.services is not set. Set it to the cluster's range of services.")
    return cloud


def _values(estate: model.Estate, cloud: model.Cloud, settings: Settings) -> dict[str, Any]:
    image = {"repository": settings.image, "tag": f"v{settings.version}"}
    return {
        "centralizedIPAM": settings.ipam == CRD,
        "terway": {
            "image": image,
            "daemonMode": "ENIMultiIP",
            "enableDatapathV2": False,
            "enableNetworkPolicy": False,
            "networkPolicyProvider": _CNI["network_policy_provider"],
            "securityGroupIDs": list(cloud.security_groups),
            "vSwitchIDs": _vswitches(cloud),
            "serviceCIDR": str(estate.networks.services),
        },
        "terwayControlplane": {
            "image": {**image, "repository": settings.control_plane_image},
            "regionID": cloud.region,
            "vpcID": cloud.vpc,
            "clusterID": estate.name,
            "enableTrunk": False,
            "nodeSelector": {derive.EXTERNAL_LABEL: "true"},
        },
    }


def _vswitches(cloud: model.Cloud) -> dict[str, list[str]]:
    return {zone: [vswitch.id] for zone, vswitch in cloud.pod_vswitches.items()}


def _configuration(estate: model.Estate, cloud: model.Cloud, settings: Settings) -> dict[str, str]:
    """The data of Terway's ConfigMap. There is no access key in it: the VMs' RAM role signs.

    Interfaces are tagged always: without a tag nobody finds those that a VM left behind.
    """
    daemon = {
        "version": "1",
        "max_pool_size": 5,
        "min_pool_size": 0,
        "vswitches": _vswitches(cloud),
        "vswitch_selection_policy": "ordered",
        "security_groups": list(cloud.security_groups),
        "service_cidr": str(estate.networks.services),
        "ip_stack": "ipv4",
        "enable_eni_trunking": False,
        **({"ipam_type": "crd"} if settings.ipam == CRD else {}),
        **settings.eni_conf,
        "eni_tags": {**settings.eni_conf.get("eni_tags", {}), ESTATE_TAG: estate.name},
    }
    return {
        "eni_conf": json.dumps(daemon, sort_keys=True),
        "10-terway.conf": json.dumps(_CNI, sort_keys=True),
        "disable_network_policy": "true",
    }


def _rules(settings: Settings) -> list[Mapping[str, Any]]:
    return [*_RULES, *(_CRD_RULES if settings.ipam == CRD else ())]


def _daemon(cloud: model.Cloud, configuration: Mapping[str, str]) -> dict[str, Any]:
    """The DaemonSet's patch.

    On a node of the data centre its policy container would flush Calico's chains, so it goes only where the kubelet
    itself said that the node is a cloud VM. The annotation restarts the daemon when its configuration changes: it
    reads that at its start only.
    """
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    without_token = [{"name": "addon-token", "$patch": "delete"}]
    pod = {
        "affinity": _on_cloud_vms(),
        "containers": [{"name": "terway", "env": _environment(cloud), "volumeMounts": without_token}],
        "volumes": [
            *(
                {"name": name, "hostPath": {"type": "DirectoryOrCreate"}}
                for name in ("cni-bin", "host-cni", "cni-terway", "device-plugin-path")
            ),
            *without_token,
        ],
    }
    return {"spec": {"template": {"metadata": {"annotations": {CONFIG_ANNOTATION: digest[:16]}}, "spec": pod}}}


def _on_cloud_vms() -> dict[str, Any]:
    expressions = [
        {"key": derive.EXTERNAL_LABEL, "operator": "In", "values": ["true"]},
        {"key": derive.WITHOUT_TERWAY_LABEL, "operator": "NotIn", "values": ["true"]},
        {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]},
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
    ]
    terms = [{"matchExpressions": expressions}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def _control_plane(cloud: model.Cloud) -> dict[str, Any]:
    return {
        "spec": {"template": {"spec": {"containers": [{"name": CONTROL_PLANE, "env": _environment(cloud)}]}}},
    }


def _environment(cloud: model.Cloud) -> list[dict[str, str]]:
    """Where the APIs answer. Without endpoints Terway takes the region's inside the VPC, which need no way out."""
    endpoints = cloud.endpoints
    given = {"ECS_ENDPOINT": endpoints.ecs, "VPC_ENDPOINT": endpoints.vpc}
    found = [{"name": name, "value": value} for name, value in given.items() if value]
    return [*found, {"name": "ALICLOUD_CLIENT_SCHEME", "value": endpoints.scheme.upper()}]


def _omitted(settings: Settings) -> tuple[Mapping[str, Any], ...]:
    """Calico's definitions as stubs: applied over the real ones, the API server would prune every Calico object."""
    definitions = {"kind": "CustomResourceDefinition", "name": CALICO_DEFINITIONS}
    if settings.ipam == CRD:
        return (definitions,)
    return (definitions, *({"kind": kind, "name": f"{CONTROL_PLANE}*"} for kind in _CONTROL_PLANE_KINDS))


def _overlay(kind: str, name: str, overlay: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "name": name, "overlay": dict(overlay)}
