# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API server says of Terway; private to this collection, runs on the controller.

:func:`observe` reads it, :func:`judge` is pure. A VM that says Ready proves nothing: containerd finds a configuration
on its disk, and pods may run with addresses that nobody planned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils import _manifest, _nodes
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import EXTERNAL_LABEL, ZONE_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, WARNING, Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, Object, all_parallel, segment
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import LOCAL_BY_NAME, POD_INTERFACE_PREFIX
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.chart import DAEMON_SET, NAMESPACE

PODS_PATH = "/api/v1/pods"
EVENTS_PATH = "/api/v1/events"
DAEMON_SET_PATH = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{DAEMON_SET}"
KUBE_PROXY_PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps/kube-proxy"
POOLS_DEFINITION = "ippools.crd.projectcalico.org"
DEFINITION_PATH = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{POOLS_DEFINITION}"
ADDRESSES_ANNOTATION = "k8s.aliyun.com/max-available-ip"
NO_ADDRESS = "AllocIPFailed"
CALICO_LABEL = ("k8s-app", "calico-node")
TERWAY_LABEL = ("app", DAEMON_SET)
# What passes while VMs join and pods start.
_PASSING = ("TW302", "TW304", "TW305", "TW309")
# Beyond this many VMs one list of all pods costs less than one a VM.
_MOST_LISTS = 50


@dataclass(frozen=True)
class Observed:
    """What the API server has. ``vms`` are the nodes that are judged, by name, ``off_cloud`` no VMs but with Terway,
    ``pods`` those on ``vms``, and Terway's elsewhere; ``refused`` are the last words to pods that got no address, by
    namespace and name. ``definition`` is Calico's own of its pools, None where it is not served in this way."""

    daemon_set: Object | None
    vms: Mapping[str, Object]
    off_cloud: frozenset[str]
    pods: Sequence[Object]
    refused: Mapping[tuple[str, str], str]
    kube_proxy: str | None
    definition: Object | None


@dataclass(frozen=True)
class Plan:
    """What should be: the VMs that the inventory has, and the ranges of the pod vSwitches by zone."""

    vms: Sequence[str]
    ranges: Mapping[str, Sequence[IPv4Network]]


def observe(cluster: Cluster, names: Sequence[str]) -> Observed:
    """Read what is needed of the VMs ``names``, and of all VMs where there are none."""
    nodes = cluster.list(_nodes.NODES, {"labelSelector": f"{EXTERNAL_LABEL}=true"})
    cloud = {node["metadata"]["name"]: node for node in nodes}
    vms = {name: node for name, node in cloud.items() if not names or name in names}
    events = cluster.list(EVENTS_PATH, {"fieldSelector": f"reason={NO_ADDRESS}"})
    configuration = (cluster.get(KUBE_PROXY_PATH) or {}).get("data") or {}
    pods = _pods(cluster, list(vms))
    return Observed(
        daemon_set=cluster.get(DAEMON_SET_PATH),
        vms=vms,
        off_cloud=_off_cloud(cluster, pods, cloud),
        pods=pods,
        refused={_pod_of(event): str(event.get("message", "")) for event in events},
        kube_proxy=configuration.get("config.conf"),
        definition=cluster.get(DEFINITION_PATH),
    )


def _pods(cluster: Cluster, vms: Sequence[str]) -> list[Object]:
    terways = cluster.list(PODS_PATH, {"labelSelector": "=".join(TERWAY_LABEL)})
    if len(vms) > _MOST_LISTS:
        wanted = frozenset(vms)
        found = [pod for pod in cluster.list(PODS_PATH) if pod["spec"].get("nodeName") in wanted]
    else:
        lists = all_parallel(lambda vm: cluster.list(PODS_PATH, {"fieldSelector": f"spec.nodeName={vm}"}), vms)
        found = [pod for _vm, pods in lists for pod in pods]
    return [*found, *(pod for pod in terways if pod["spec"].get("nodeName") not in vms)]


def _off_cloud(cluster: Cluster, pods: Sequence[Object], cloud: Collection[str]) -> frozenset[str]:
    """Of the nodes with Terway those that are no cloud VMs; a node that has just gone leaves its pods for a minute."""
    strangers = {str(pod["spec"].get("nodeName") or "") for pod in pods if _is(pod, TERWAY_LABEL)} - {"", *cloud}
    found = all_parallel(lambda name: cluster.get(f"{_nodes.NODES}/{segment(name)}"), sorted(strangers))
    return frozenset(name for name, node in found if node is not None)


def _pod_of(event: Object) -> tuple[str, str]:
    about = event.get("involvedObject") or {}
    return str(about.get("namespace", "")), str(about.get("name", ""))


def addresses(observed: Observed) -> dict[str, list[str]]:
    """The addresses of the pods on each VM that have one of their own."""
    found: dict[str, list[str]] = {name: [] for name in observed.vms}
    for pod in observed.pods:
        if _has_own_address(pod) and pod["spec"].get("nodeName") in found:
            found[pod["spec"]["nodeName"]].append(pod["status"]["podIP"])
    return {name: sorted(each, key=IPv4Address) for name, each in found.items()}


def judge(observed: Observed, plan: Plan) -> list[Finding]:
    """Everything that is not as it should be."""
    return [
        *_daemons(observed, plan),
        *_nodes_of(observed, plan),
        *_strangers(observed),
        *_outside(observed, plan),
        *_without_address(observed),
        *_too_many(observed),
        *_cluster(observed),
    ]


def is_passing(observed: Observed, findings: Sequence[Finding]) -> bool:
    """Whether something is wrong that time may heal, and nothing that it does not. Nothing is hoped for from a VM whose
    kubelet is silent, and others are not kept waiting for it."""
    silent = {name for name, node in observed.vms.items() if _nodes.is_silent(node)}
    errors = [finding for finding in findings if finding.severity == ERROR and finding.host not in silent]
    return bool(errors) and all(finding.code.startswith(_PASSING) for finding in errors)


def _finding(code: str, host: str, variable: str, message: str, remedy: str, severity: str = ERROR) -> Finding:
    return Finding(code, severity, host, variable, message, remedy)


def _daemons(observed: Observed, plan: Plan) -> Iterator[Finding]:
    if observed.daemon_set is None:
        if plan.vms:
            message = f"it does not exist, and there are {len(plan.vms)} cloud VMs."
            yield _finding("TW301-no-terway", "", f"DaemonSet/{DAEMON_SET}", message, "Run the role terway.")
        return
    running = {pod["spec"].get("nodeName"): pod for pod in observed.pods if _is(pod, TERWAY_LABEL)}
    for name in observed.vms:
        pod = running.get(name)
        complaint = "it has none" if pod is None else _manifest.complaint(pod)
        if complaint:
            yield _finding(
                "TW302-daemon-not-ready",
                name,
                f"DaemonSet/{DAEMON_SET}",
                f"its pod on this VM is not ready: {complaint}.",
                f"See kubectl -n {NAMESPACE} logs of it, container terway; errCode there names what the cloud refused.",
            )
        elif _count(observed.vms[name], ADDRESSES_ANNOTATION) == 0:
            yield _finding(
                "TW303-no-addresses",
                name,
                ADDRESSES_ANNOTATION,
                "the daemon says that there is no address for pods on this VM.",
                "Use an instance type with more network interfaces.",
            )


def _nodes_of(observed: Observed, plan: Plan) -> Iterator[Finding]:
    for name in plan.vms:
        node = observed.vms.get(name)
        if node is None:
            message = f"the cluster has no Node of this name with {EXTERNAL_LABEL}=true, so Terway stays away."
            remedy = "Let the VM join; its kubelet sets the label as it registers."
            yield _finding("TW304-no-cloud-node", name, EXTERNAL_LABEL, message, remedy)
            continue
        ready, why = _nodes.ready(node)
        if not ready:
            yield _finding("TW305-not-ready", name, "Node", f"it is not Ready: {why}.", "See what the kubelet says.")


def _strangers(observed: Observed) -> Iterator[Finding]:
    for pod in observed.pods:
        node = str(pod["spec"].get("nodeName", ""))
        if node in observed.vms and _is(pod, CALICO_LABEL):
            yield _finding(
                "TW306-calico-on-vm",
                node,
                "DaemonSet/calico-node",
                "calico-node runs on this VM, and its network would be taken before Terway's.",
                "Run the role calico, and remove 10-calico.conflist from the VM.",
            )
        if node in observed.off_cloud and _is(pod, TERWAY_LABEL):
            yield _finding(
                "TW307-terway-off-the-cloud",
                node,
                f"DaemonSet/{DAEMON_SET}",
                "Terway runs on a node that is no cloud VM; its policy container flushes Calico's chains there.",
                "Run the role terway, then restart calico-node on this node.",
            )


def _outside(observed: Observed, plan: Plan) -> Iterator[Finding]:
    everywhere = [network for networks in plan.ranges.values() for network in networks]
    for name, pods in addresses(observed).items():
        zone = (observed.vms[name]["metadata"].get("labels") or {}).get(ZONE_LABEL, "")
        allowed = plan.ranges.get(zone) or everywhere
        outside = [pod for pod in pods if not any(IPv4Address(pod) in network for network in allowed)]
        if outside:
            yield _finding(
                "TW308-pod-outside-vswitch",
                name,
                f"estate_cloud.pod_vswitches.{zone}" if zone else "estate_cloud.pod_vswitches",
                f"pods have addresses of another range: {listed(outside)}; those of the zone are"
                f" {listed([str(network) for network in allowed])}.",
                "Add the zone's pod vSwitch to the inventory, run the role terway, and make these pods anew.",
            )


def _without_address(observed: Observed) -> Iterator[Finding]:
    for pod in observed.pods:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        if key in observed.refused and not pod.get("status", {}).get("podIP"):
            yield _finding(
                "TW309-pod-without-address",
                str(pod["spec"].get("nodeName", "")),
                "/".join(key),
                f"Terway has no address for it: {observed.refused[key]}.",
                "Give the node fewer pods (maxPods), or the zone a larger pod vSwitch.",
            )


def _too_many(observed: Observed) -> Iterator[Finding]:
    for name, node in observed.vms.items():
        there = _count(node, ADDRESSES_ANNOTATION)
        allowed = int((node.get("status", {}).get("allocatable") or {}).get("pods", 0))
        on_host = sum(
            bool(pod["spec"].get("hostNetwork")) for pod in observed.pods if pod["spec"].get("nodeName") == name
        )
        if there and allowed > there + on_host:
            yield _finding(
                "TW310-more-pods-than-addresses",
                name,
                "maxPods",
                f"the kubelet takes {allowed} pods; there are {there} addresses, and {on_host} pods on the host's"
                " network.",
                f"Set maxPods to {there + on_host}; the scheduler does not know of addresses.",
                WARNING,
            )


def _cluster(observed: Observed) -> Iterator[Finding]:
    if observed.definition is not None and not _has_spec(observed.definition):
        yield _finding(
            "TW311-calico-definitions-pruned",
            "",
            f"CustomResourceDefinition/{POOLS_DEFINITION}",
            "it knows no spec.cidr: Terway's stub lies over Calico's own, and what is written of Calico's objects is"
            " lost.",
            "Run the role calico at once, then the role bgp; never apply Terway's chart unpatched.",
        )
    if observed.kube_proxy is not None and LOCAL_BY_NAME not in observed.kube_proxy:
        yield _finding(
            "TW312-kube-proxy-by-range",
            "",
            "ConfigMap/kube-proxy",
            "kube-proxy does not tell local pods by their interface, so pods of VMs reach services under their node's"
            " address.",
            f"Set detectLocalMode: {LOCAL_BY_NAME} and detectLocal: {{interfaceNamePrefix: {POD_INTERFACE_PREFIX}}} in"
            f" config.conf of ConfigMap kube-proxy in {NAMESPACE}, and restart its DaemonSet.",
            WARNING,
        )


def _has_spec(definition: Object) -> bool:
    for version in definition["spec"]["versions"]:
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        spec = (schema.get("properties") or {}).get("spec") or {}
        if "cidr" not in (spec.get("properties") or {}):
            return False
    return True


def _is(pod: Object, label: tuple[str, str]) -> bool:
    return (pod["metadata"].get("labels") or {}).get(label[0]) == label[1]


def _has_own_address(pod: Object) -> bool:
    return bool(pod.get("status", {}).get("podIP")) and not pod["spec"].get("hostNetwork") and _is_alive(pod)


def _is_alive(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def _count(node: Object, annotation: str) -> int | None:
    text = (node["metadata"].get("annotations") or {}).get(annotation, "")
    return int(text) if text.isdecimal() else None
