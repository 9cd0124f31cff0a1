# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm's configuration documents, and which host may create the cluster; pure; private to this collection.

Used on the controller (filters) and on hosts (modules): standard library only. Documents follow
``kubeadm.k8s.io/v1beta4`` (kubernetes:cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go) and hold no secret: what is
secret (token, certificate key, discovery kubeconfig) is added on the host by ``with_discovery``.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, TypeVar, Union

KUBEADM_API = "kubeadm.k8s.io/v1beta4"
CONTAINERD_SOCKET = "unix:///run/containerd/containerd.sock"
UNUSED_TOKEN_TTL = "1m0s"
API_PORT = 6443
LOCAL_BY_NAME, POD_INTERFACE_PREFIX = "InterfaceNamePrefix", "cali"

Document = dict[str, Any]
ArgValue = Union[str, Sequence[str]]
Spec = TypeVar("Spec")


class SpecError(ValueError):
    """An input that no kubeadm document can be made of; the message names the key and the remedy."""


@dataclass(frozen=True)
class Taint:
    """A taint that a node has from its first moment; ``effect`` is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    effect: str
    value: str = ""

    def document(self) -> Document:
        """The taint as in ``nodeRegistration.taints``."""
        return {"key": self.key, "effect": self.effect, **({"value": self.value} if self.value else {})}

    def flag(self) -> str:
        """The taint as in the kubelet's ``--register-with-taints``."""
        return f"{self.key}={self.value}:{self.effect}"


CONTROL_PLANE_TAINT = Taint("node-role.kubernetes.io/control-plane", "NoSchedule")
# On a node from its registration until module ``node`` admits it: a kubelet can set neither all labels nor annotations
# itself, and pods that came before these would be in the wrong place.
JOINING_TAINT = Taint("estate.hybridk8s.io/joining", "NoSchedule")


@dataclass(frozen=True)
class Node:
    """How one host registers: what ``nodeRegistration`` and ``localAPIEndpoint`` are made of.

    ``labels`` may hold any label; those that a kubelet may not set on itself are left out (module ``node`` sets them
    afterwards). ``taints`` come on top of the control-plane taint, which every control plane gets unless
    ``control_plane_taint`` is false. ``timeouts`` are kubeadm's (Go durations, for example ``tlsBootstrap: 5m0s``).
    """

    name: str
    ip: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Taint] = ()
    control_plane_taint: bool = True
    cri_socket: str = CONTAINERD_SOCKET
    ignore_preflight_errors: Sequence[str] = ()
    kubelet_args: Mapping[str, ArgValue] = field(default_factory=dict)
    api_port: int = API_PORT
    timeouts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """What all nodes share: what ``ClusterConfiguration`` and the component configurations are made of.

    ``endpoint`` is host:port. ``cert_sans`` are names and addresses beside the endpoint's host and 127.0.0.1, as a
    rule the addresses of all control planes. ``kubelet`` and ``kube_proxy`` are merged into their configurations.
    ``allocate_node_cidrs`` is off because Calico and Terway give pods addresses of their own; a /24 a node would
    stop a cluster with a /16 at its 257th node.
    """

    name: str
    version: str
    endpoint: str
    service_cidr: str
    pod_cidrs: Sequence[str] = ()
    cert_sans: Sequence[str] = ()
    dns_domain: str = "cluster.local"
    image_repository: str = ""
    allocate_node_cidrs: bool = False
    apiserver_args: Mapping[str, ArgValue] = field(default_factory=dict)
    controller_manager_args: Mapping[str, ArgValue] = field(default_factory=dict)
    scheduler_args: Mapping[str, ArgValue] = field(default_factory=dict)
    etcd_args: Mapping[str, ArgValue] = field(default_factory=dict)
    kubelet: Mapping[str, Any] = field(default_factory=dict)
    kube_proxy: Mapping[str, Any] = field(default_factory=dict)


def node_from(values: Mapping[str, Any]) -> Node:
    """A ``Node`` from plain variables. Raises SpecError for unknown, missing or malformed keys."""
    node = _spec_from(Node, values, "node")
    _address(node.ip, "node.ip")
    return node


def cluster_from(values: Mapping[str, Any]) -> Cluster:
    """A ``Cluster`` from plain variables. Raises SpecError for unknown, missing or malformed keys."""
    cluster = _spec_from(Cluster, values, "cluster")
    split_endpoint(cluster.endpoint)
    for cidr in [*cluster.service_cidr.split(","), *cluster.pod_cidrs]:
        _network(cidr)
    return cluster


def init_documents(cluster: Cluster, node: Node) -> list[Document]:
    """The documents for ``kubeadm init`` on the first control plane.

    kubeadm always makes a bootstrap token during init; nobody uses this one, so it lives a minute.
    """
    return [
        _without_empty(
            {
                "apiVersion": KUBEADM_API,
                "kind": "InitConfiguration",
                "bootstrapTokens": [{"description": "made by kubeadm init, unused", "ttl": UNUSED_TOKEN_TTL}],
                "localAPIEndpoint": _local_api(node),
                "skipPhases": ["show-join-command"],
                "timeouts": dict(node.timeouts),
            }
        )
        | {"nodeRegistration": _registration(node, control_plane=True)},
        _cluster_configuration(cluster),
        merged({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}, cluster.kubelet),
        merged(
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "mode": "nftables",
                # Calico and Terway both name the pods' interfaces so, and no one range holds the pods of both: told by
                # range, those of one side would reach services under their node's address.
                "detectLocalMode": LOCAL_BY_NAME,
                "detectLocal": {"interfaceNamePrefix": POD_INTERFACE_PREFIX},
            },
            cluster.kube_proxy,
        ),
    ]


def join_documents(node: Node, control_plane: bool = False) -> list[Document]:
    """The documents for ``kubeadm join``, still without discovery (see ``with_discovery``).

    The node registers with its taints and ``JOINING_TAINT``.
    """
    node = replace(node, taints=(*node.taints, JOINING_TAINT))
    document = _without_empty(
        {
            "apiVersion": KUBEADM_API,
            "kind": "JoinConfiguration",
            "controlPlane": {"localAPIEndpoint": _local_api(node)} if control_plane else {},
            "timeouts": dict(node.timeouts),
        }
    )
    return [document | {"nodeRegistration": _registration(node, control_plane)}]


def with_discovery(
    documents: Sequence[Document], kubeconfig_path: str, token: str, certificate_key: str = ""
) -> list[Document]:
    """Join documents completed by secrets: discovery through a kubeconfig file (so the CA needs no hash), TLS
    bootstrap by token and, for a control plane, the key that decrypts the uploaded certificates."""
    discovery = {"file": {"kubeConfigPath": kubeconfig_path}, "tlsBootstrapToken": token}
    completed: list[Document] = []
    for document in documents:
        if document.get("kind") != "JoinConfiguration":
            completed.append(document)
            continue
        secrets: Document = {"discovery": discovery}
        if "controlPlane" in document and certificate_key:
            secrets["controlPlane"] = {**document["controlPlane"], "certificateKey": certificate_key}
        completed.append({**document, **secrets})
    return completed


def reset_document(
    cri_socket: str = CONTAINERD_SOCKET,
    ignore_preflight_errors: Sequence[str] = (),
    timeouts: Mapping[str, str] | None = None,
    skip_phases: Sequence[str] = (),
) -> Document:
    """The document for ``kubeadm reset``; never asks, removes what kubeadm keeps in its temporary folder too."""
    return _without_empty(
        {
            "apiVersion": KUBEADM_API,
            "kind": "ResetConfiguration",
            "force": True,
            "cleanupTmpDir": True,
            "criSocket": cri_socket,
            "ignorePreflightErrors": list(ignore_preflight_errors),
            "skipPhases": list(skip_phases),
            "timeouts": dict(timeouts or {}),
        }
    )


def discovery_kubeconfig(ca_data: str, server: str) -> Document:
    """A kubeconfig without credentials. ``ca_data`` is the CA as base64 of PEM, ``server`` an https URL.

    Its cluster has no name and it has no context, as in kubeadm's own ConfigMap cluster-info: with a context kubeadm
    asks for a user (kubernetes:cmd/kubeadm/app/util/kubeconfig/kubeconfig.go).

    kubeadm keeps this server for the kubelet's own kubeconfig of a worker
    (kubernetes:cmd/kubeadm/app/discovery/file/file.go): it must be the cluster's endpoint, not one control plane.
    """
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": {"server": server, "certificate-authority-data": ca_data}}],
        "contexts": [],
        "current-context": "",
        "users": [],
    }


def discovery_from_kubeconfig(kubeconfig: Mapping[str, Any], server: str = "") -> Document:
    """The discovery kubeconfig for the cluster of an existing (admin) kubeconfig; credentials are left behind."""
    contexts = {item["name"]: item["context"] for item in kubeconfig.get("contexts") or []}
    clusters = {item["name"]: item["cluster"] for item in kubeconfig.get("clusters") or []}
    context = contexts.get(kubeconfig.get("current-context", ""), {})
    cluster = clusters.get(context.get("cluster", ""))
    if cluster is None and len(clusters) == 1:
        cluster = next(iter(clusters.values()))
    if cluster is None:
        raise SpecError("the kubeconfig has no current context with a cluster. Give the content of admin.conf.")
    if "certificate-authority-data" not in cluster:
        raise SpecError("the kubeconfig's cluster has no certificate-authority-data. Give the content of admin.conf.")
    return discovery_kubeconfig(cluster["certificate-authority-data"], server or cluster["server"])


def serialise(documents: Sequence[Document]) -> str:
    """The documents as one stream for ``kubeadm --config``. JSON is YAML, so hosts need no PyYAML."""
    return "---\n".join(json.dumps(document, indent=2, sort_keys=True) + "\n" for document in documents)


def kubelet_may_set(label: str) -> bool:
    """Whether a kubelet may put this label on its own Node; it refuses to start with any other.

    kubernetes:staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go
    """
    namespace = label.partition("/")[0] if "/" in label else ""
    if not any(_is_or_under(namespace, suffix) for suffix in ("kubernetes.io", "k8s.io")):
        return True
    if label in _KUBELET_LABELS:
        return True
    return any(_is_or_under(namespace, suffix) for suffix in ("kubelet.kubernetes.io", "node.kubernetes.io"))


@dataclass(frozen=True)
class Initializer:
    """Who creates the cluster: ``host``, or nobody because it exists (both empty), or nobody because of ``refusal``."""

    host: str = ""
    refusal: str = ""


def initializer(observations: Mapping[str, str]) -> Initializer:
    """The control plane that may run ``kubeadm init``.

    ``observations`` maps every control plane of the inventory, in inventory order, to its membership as
    ``kubeadm_info`` returns it, or to ``unreachable``. A second cluster is worse than none: whenever a host that
    cannot be asked, or that holds remains of a cluster, might be a member, nobody initialises.
    """
    if not observations:
        return Initializer(refusal="The inventory has no control plane. Put a host into group control_plane.")
    by_state: dict[str, list[str]] = {}
    for host, membership in observations.items():
        by_state.setdefault(membership, []).append(host)
    if by_state.get("control_plane"):
        return Initializer()
    refusal = _refusal_to_init(by_state)
    if refusal:
        return Initializer(refusal=refusal)
    return Initializer(host=(by_state.get("half_initialized") or by_state.get("none") or list(observations))[0])


def _refusal_to_init(by_state: Mapping[str, Sequence[str]]) -> str:
    unreachable = by_state.get("unreachable", ())
    if unreachable:
        return (
            f"No reachable control plane is a member of a cluster, but {', '.join(unreachable)} cannot be asked and may"
            " be one. Bring it up, or take it out of group control_plane if it never was."
        )
    foreign = by_state.get("foreign", ())
    if foreign:
        return (
            f"{', '.join(foreign)} holds remains of another Kubernetes cluster."
            f" Save what is needed, then run hybridk8s.estate.reset --limit {','.join(foreign)}."
        )
    workers = by_state.get("worker", ())
    if workers:
        return (
            f"{', '.join(workers)} is in group control_plane but is a worker of an existing cluster."
            f" Run hybridk8s.estate.reset --limit {','.join(workers)} or put it into group workers."
        )
    half = by_state.get("half_initialized", ())
    if len(half) > 1:
        return (
            f"An unfinished kubeadm init was found on each of {', '.join(half)}."
            f" Keep one and run hybridk8s.estate.reset --limit {','.join(half[1:])}."
        )
    half_joined = by_state.get("half_joined", ())
    if half_joined:
        return (
            f"{', '.join(half_joined)} began to join a cluster whose control plane is not in group control_plane."
            f" Add that control plane, or run hybridk8s.estate.reset --limit {','.join(half_joined)}."
        )
    return ""


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``. Raises SpecError."""
    host, separator, port = endpoint.rpartition(":")
    if not separator or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SpecError(f"endpoint {endpoint!r} is not host:port. Write for example api.example.org:6443.")
    return host.strip("[]"), int(port)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` laid on it, mappings merged key by key, everything else replaced."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out


_KUBELET_LABELS = frozenset(
    [
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    ]
)


def _is_or_under(namespace: str, suffix: str) -> bool:
    return namespace == suffix or namespace.endswith("." + suffix)


def _registration(node: Node, control_plane: bool) -> Document:
    base = (CONTROL_PLANE_TAINT,) if control_plane and node.control_plane_taint else ()
    taints = [*base, *node.taints]
    arguments: dict[str, ArgValue] = {"node-ip": node.ip}
    labels = {key: value for key, value in node.labels.items() if kubelet_may_set(key)}
    if labels:
        arguments["node-labels"] = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
    if taints and control_plane:
        # kubeadm itself registers only workers with taints; a control plane would take pods until it is marked.
        arguments["register-with-taints"] = ",".join(taint.flag() for taint in taints)
    arguments.update(node.kubelet_args)
    registration = _without_empty(
        {
            "name": node.name,
            "criSocket": node.cri_socket,
            "kubeletExtraArgs": _args(arguments),
            "ignorePreflightErrors": list(node.ignore_preflight_errors),
        }
    )
    # An absent list means "the default taint" to kubeadm, an empty one "no taint".
    return {**registration, "imagePullSerial": False, "taints": [taint.document() for taint in taints]}


def _local_api(node: Node) -> Document:
    return {"advertiseAddress": node.ip, "bindPort": node.api_port}


def _cluster_configuration(cluster: Cluster) -> Document:
    host = split_endpoint(cluster.endpoint)[0]
    controller_manager: dict[str, ArgValue] = {}
    if not cluster.allocate_node_cidrs:
        controller_manager["allocate-node-cidrs"] = "false"
    controller_manager.update(cluster.controller_manager_args)
    return _without_empty(
        {
            "apiVersion": KUBEADM_API,
            "kind": "ClusterConfiguration",
            "clusterName": cluster.name,
            "kubernetesVersion": "v" + cluster.version.lstrip("v"),
            "controlPlaneEndpoint": cluster.endpoint,
            "imageRepository": cluster.image_repository,
            "networking": {
                "serviceSubnet": cluster.service_cidr,
                "podSubnet": _pod_subnet(cluster.pod_cidrs),
                "dnsDomain": cluster.dns_domain,
            },
            "apiServer": {
                "certSANs": _unique([host, "127.0.0.1", *cluster.cert_sans]),
                "extraArgs": _args(cluster.apiserver_args),
            },
            "controllerManager": {"extraArgs": _args(controller_manager)},
            "scheduler": {"extraArgs": _args(cluster.scheduler_args)},
            "etcd": {"local": {"dataDir": "/var/lib/etcd", "extraArgs": _args(cluster.etcd_args)}},
        }
    )


def _pod_subnet(pod_cidrs: Sequence[str]) -> str:
    """kubeadm takes one range a family; with several pools of a family none of them is "the" pod range."""
    families = [_network(cidr).version for cidr in pod_cidrs]
    return ",".join(pod_cidrs) if len(families) == len(set(families)) else ""


def _args(arguments: Mapping[str, ArgValue]) -> list[Document]:
    return [
        {"name": name, "value": str(value)}
        for name in sorted(arguments)
        for value in ([arguments[name]] if isinstance(arguments[name], str) else arguments[name])
    ]


def _unique(items: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _without_empty(value: Mapping[str, Any]) -> Document:
    """The mapping without empty texts, lists and mappings, at every depth."""
    out: Document = {}
    for key, item in value.items():
        kept = _without_empty(item) if isinstance(item, Mapping) else item
        if kept in ("", [], {}):
            continue
        out[key] = kept
    return out


def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(cidr)
    except ValueError as error:
        raise SpecError(f"{cidr!r} is not a network: {error}. Write for example 10.22.0.0/16.") from error


def _address(text: str, name: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise SpecError(f"{name} {text!r} is not an address: {error}.") from error


def _spec_from(kind: type[Spec], values: Mapping[str, Any], name: str) -> Spec:
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SpecError(f"{name} has unknown key {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    missing = [
        key
        for key, item in known.items()
        if item.default is MISSING and item.default_factory is MISSING and values.get(key) in (None, "")
    ]
    if missing:
        raise SpecError(f"{name} lacks {', '.join(missing)}.")
    given = {key: value for key, value in values.items() if value is not None}
    for key, value in given.items():
        expected = _expected(str(known[key].type))
        if expected and not isinstance(value, expected[1]):
            raise SpecError(f"{name}.{key} must be {expected[0]}, not {type(value).__name__}.")
    if "taints" in given:
        given["taints"] = tuple(_spec_from(Taint, taint, f"{name}.taints[]") for taint in given["taints"])
    return kind(**given)


def _expected(annotation: str) -> tuple[str, Any] | None:
    if annotation == "str":
        return "a text", str
    if annotation == "bool":
        return "true or false", bool
    if annotation == "int":
        return "a number", int
    if annotation.startswith("Mapping"):
        return "a mapping", Mapping
    if annotation.startswith("Sequence"):
        return "a list", (list, tuple)
    return None
