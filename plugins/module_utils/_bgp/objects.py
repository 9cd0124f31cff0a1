# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A BGP topology as Calico's objects; private to this collection, runs on the controller.

Calico's objects are written in one of three ways (:class:`Mode`); their specs are the same in all. Nothing fills in
defaults in the classic one, so every field that has no safe zero value is given.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Pool, Session, Topology
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import (
    NODE_CLASS_LABEL,
    POOL_BLOCK_SIZE,
    RACK_LABEL,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import CLOUD_VM
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

CLASSIC_API, V3_API = "crd.projectcalico.org/v1", "projectcalico.org/v3"
API_GROUPS_PATH = "/apis"
DEFINITIONS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

FILTERS = "bgpfilters"
POOLS = "ippools"
STATUSES = "caliconodestatuses"
CONFIGURATIONS = "bgpconfigurations"
PEERS = "bgppeers"
NODES = "nodes"
SECRETS = "secrets"
ROLES = "roles"
ROLE_BINDINGS = "rolebindings"
CALICO_KINDS = {
    FILTERS: "BGPFilter",
    POOLS: "IPPool",
    STATUSES: "CalicoNodeStatus",
    CONFIGURATIONS: "BGPConfiguration",
    PEERS: "BGPPeer",
}
# What lies in the namespace of calico-node, with the API it belongs to.
NAMESPACED_KINDS = {SECRETS: "Secret", ROLES: "Role", ROLE_BINDINGS: "RoleBinding"}
RBAC = "rbac.authorization.k8s.io/v1"
_NAMESPACED_APIS = {SECRETS: "/api/v1", ROLES: f"/apis/{RBAC}", ROLE_BINDINGS: f"/apis/{RBAC}"}
KINDS = {**CALICO_KINDS, **NAMESPACED_KINDS}
CALICO_NODE = "calico-node"
NAMESPACES = ("kube-system", "calico-system")

REFLECTOR_LABEL = "route-reflector"
CLUSTER_ID_ANNOTATION = "projectcalico.org/RouteReflectorClusterID"
ADDRESS_ANNOTATION = "projectcalico.org/IPv4Address"
OWNED_BY_ANNOTATION = "estate.hybridk8s.io/estate"
REFLECTOR_OF_ANNOTATION = "estate.hybridk8s.io/route-reflector"
# On the BGPConfiguration, which is not ours alone: the estate whose services it announces.
ANNOUNCES_ANNOTATION = "estate.hybridk8s.io/announces-services"
SERVICE_FIELDS = {
    "cluster_ips": "serviceClusterIPs",
    "external_ips": "serviceExternalIPs",
    "load_balancer_ips": "serviceLoadBalancerIPs",
}
CALICO_METADATA_ANNOTATION = "projectcalico.org/metadata"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "hybridk8s.estate"

IS_REFLECTOR = f"{REFLECTOR_LABEL} == 'true'"
# The same for the API's label selectors, which have a syntax of their own.
IS_REFLECTOR_QUERY = f"{REFLECTOR_LABEL}=true"
IS_CLIENT = f"{REFLECTOR_LABEL} != 'true' && {NODE_CLASS_LABEL} != '{CLOUD_VM}'"
_VPC_POOL = "vpc-"
_NOWHERE = "!all()"
# Longer than a calico-node takes to be replaced: peers keep its routes for so long (domain facts A4).
# The fields of a BGPPeer that BIRD changes without ending the session.
SOFT_FIELDS = frozenset({"filters"})
RESTART_TIME = "2m0s"
# calico-node writes its status once a period, changed or not, and a status names all routes of the node: what n nodes
# write grows with n squared. So more nodes report less often, and beyond some hundred without routes.
NODES_WITH_ROUTES = 200
STATUS_PERIOD = 2
NODES_A_SECOND = 20

Object = Mapping[str, Any]


class Mode(Enum):
    """What Calico's objects are to the API server (domain facts A2).

    ``CLASSIC``: resources that calico-node reads as they are. ``AGGREGATED``: what Calico's own API server makes of
    these. ``NATIVE``: resources of the public group.
    """

    CLASSIC = "classic"
    AGGREGATED = "aggregated"
    NATIVE = "native"

    @property
    def api_version(self) -> str:
        return CLASSIC_API if self is Mode.CLASSIC else V3_API


def definition_path(group_version: str) -> str:
    """Where the CustomResourceDefinition of BGPPeers is, if the group is made of such."""
    return f"{DEFINITIONS_PATH}/{PEERS}.{group_version.split('/', maxsplit=1)[0]}"


def mode_of(served: Object | None, defined: Collection[str]) -> Mode | None:
    """How Calico's objects are to be written; None where there is no Calico.

    ``served`` is what the API server lists under ``/apis``, ``defined`` the group versions of those BGPPeers that have
    a CustomResourceDefinition.
    """
    groups = (served or {}).get("groups") or ()
    versions = {version["groupVersion"] for group in groups for version in group.get("versions") or ()}
    if V3_API in versions:
        return Mode.NATIVE if V3_API in defined else Mode.AGGREGATED
    return Mode.CLASSIC if CLASSIC_API in versions and CLASSIC_API in defined else None


@dataclass(frozen=True)
class Calico:
    """How the Calico of a cluster is spoken to.

    ``peer_fields`` are those that its schema has in the spec of a BGPPeer, None where that is not known. ``namespace``
    and ``account`` are those of calico-node's pods.
    """

    mode: Mode = Mode.CLASSIC
    peer_fields: frozenset[str] | None = None
    namespace: str = NAMESPACES[0]
    account: str = CALICO_NODE

    def has(self, name: str) -> bool:
        """Whether a BGPPeer has the field; without a schema the newest one is assumed."""
        return self.peer_fields is None or name in self.peer_fields


# As Calico's own manifest installs it.
USUAL_CALICO = Calico()


@dataclass(frozen=True)
class Wanted:
    """An object as it must be. ``exact`` says that fields of its spec that are not named must not be there.

    A field or annotation that is None must not be there.
    """

    resource: str
    name: str
    spec: Mapping[str, Any]
    exact: bool = True
    annotations: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return f"{KINDS[self.resource]}/{self.name}"


@dataclass(frozen=True)
class Write:
    """One request: ``verb`` is create, patch or delete."""

    verb: str
    resource: str
    name: str
    body: Mapping[str, Any]
    step: Step


def path_of(resource: str, name: str = "", calico: Calico = USUAL_CALICO) -> str:
    """The API path of a collection, or of one object in it."""
    base = f"/apis/{calico.mode.api_version}/{resource}"
    if resource == NODES:
        base = "/api/v1/nodes"
    elif resource in _NAMESPACED_APIS:
        base = f"{_NAMESPACED_APIS[resource]}/namespaces/{calico.namespace}/{resource}"
    return f"{base}/{name}" if name else base


def daemonset_path(namespace: str) -> str:
    """Where calico-node is, if it is in ``namespace``."""
    return f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{CALICO_NODE}"


def account_of(daemonset: Object) -> str:
    """The ServiceAccount of calico-node's pods."""
    return daemonset.get("spec", {}).get("template", {}).get("spec", {}).get("serviceAccountName") or CALICO_NODE


def manifest(wanted: Wanted, estate: str, calico: Calico = USUAL_CALICO) -> dict[str, Any]:
    """The object as it is created."""
    return {
        "apiVersion": calico.mode.api_version,
        "kind": KINDS[wanted.resource],
        "metadata": _merged({"name": wanted.name, **ownership(estate)}, wanted.annotations),
        "spec": dict(wanted.spec),
    }


def _merged(metadata: dict[str, Any], annotations: Mapping[str, str | None]) -> dict[str, Any]:
    given = {key: value for key, value in annotations.items() if value is not None}
    return {**metadata, "annotations": {**metadata["annotations"], **given}}


def ownership(estate: str) -> dict[str, Any]:
    """The label and the annotation that say whose an object is."""
    return {"labels": {MANAGED_BY_LABEL: MANAGER}, "annotations": {OWNED_BY_ANNOTATION: estate}}


def is_ours(found: Object, estate: str) -> bool:
    """True for an object that this collection made for this estate.

    Where Calico has written the object since, our label and annotation are inside an annotation of its own (seen with
    3.31: calico-node does so with every status).
    """
    metadata = found.get("metadata", {})
    return any(
        (place.get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGER
        and (place.get("annotations") or {}).get(OWNED_BY_ANNOTATION) == estate
        for place in (metadata, _kept_by_calico(metadata))
    )


def _kept_by_calico(metadata: Object) -> Object:
    try:
        kept = json.loads((metadata.get("annotations") or {}).get(CALICO_METADATA_ANNOTATION, "{}"))
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def patch(wanted: Wanted, found: Object, estate: str) -> dict[str, Any]:
    """The JSON merge patch that makes ``found`` what is wanted; empty when it is."""
    there = found.get("spec") or {}
    # Calico leaves out what is false when it writes an object again.
    spec = {key: value for key, value in wanted.spec.items() if there.get(key, False) != value}
    if wanted.exact:
        spec.update({key: None for key in there if key not in wanted.spec})
    changes: dict[str, Any] = {"spec": spec} if spec else {}
    if wanted.resource != CONFIGURATIONS and not is_ours(found, estate):
        changes["metadata"] = ownership(estate)
    noted = found.get("metadata", {}).get("annotations") or {}
    annotations = {key: value for key, value in wanted.annotations.items() if noted.get(key) != value}
    if annotations:
        changes["metadata"] = {"annotations": annotations}
    return changes


def filters(topology: Topology) -> list[Wanted]:
    """What may pass between reflectors and switches: outside prefixes in, blocks of our pools and services out."""
    accepted = [_accept(prefix) for prefix in topology.imports]
    rules: dict[str, Any] = {"importV4": [*accepted, {"action": "Reject"}]}
    # Accepting our pools here would skip Calico's own export filter, which hides a node's addresses behind its blocks;
    # rejecting what is in none of them can be said in one rule only for one pool.
    if len(topology.pools) == 1:
        outside = {"cidr": str(topology.pools[0].cidr), "matchOperator": "NotIn", "action": "Reject"}
        rules["exportV4"] = [*(_accept(prefix) for prefix in topology.services.all), outside]
    return [Wanted(FILTERS, filter_name(topology), rules)] if topology.sessions else []


def _accept(prefix: IPv4Network) -> dict[str, str]:
    return {"cidr": str(prefix), "matchOperator": "In", "action": "Accept"}


def filter_name(topology: Topology) -> str:
    """The name of the filter between reflectors and switches."""
    return f"{topology.estate}-switches"


def pools(topology: Topology, nat_outgoing: bool) -> list[Wanted]:
    """The pod networks: plain routing, no encapsulation.

    Where pods are hidden behind their node's address, pools for the ranges of the cloud keep them visible to it: Calico
    masquerades what leaves all pools, disabled ones included. It gives out no address of these.
    """
    of_cloud = enumerate(topology.vpc if nat_outgoing else (), 1)
    return [
        *(Wanted(POOLS, f"{_VPC_POOL}{number}", _pool_of_others(cidr), exact=False) for number, cidr in of_cloud),
        *(Wanted(POOLS, pool.name, _pool(pool, nat_outgoing), exact=False) for pool in topology.pools),
    ]


def is_vpc_pool(found: Object) -> bool:
    """Whether a pool of ours is one for a range of the cloud: no pod ever had an address of it."""
    return str(found["metadata"]["name"]).startswith(_VPC_POOL) and found["spec"].get("nodeSelector") == _NOWHERE


def _pool_of_others(cidr: IPv4Network) -> dict[str, Any]:
    size = max(cidr.prefixlen, POOL_BLOCK_SIZE)
    return {**_pool(Pool("", cidr, size, _NOWHERE), False), "disabled": True, "disableBGPExport": True}


def _pool(pool: Pool, nat_outgoing: bool) -> dict[str, Any]:
    return {
        "cidr": str(pool.cidr),
        "blockSize": pool.block_size,
        "ipipMode": "Never",
        "vxlanMode": "Never",
        "natOutgoing": nat_outgoing,
        "nodeSelector": pool.node_selector,
        # Calico's IPAM passes over a pool that names no use (libcalico-go/lib/ipam, filterPoolsByUse).
        "allowedUses": ["Workload", "Tunnel"],
        "disabled": False,
    }


def statuses(topology: Topology) -> list[Wanted]:
    """One request a node to report its sessions and routes."""
    classes = ["Agent", "BGP", *(["Routes"] if len(topology.speakers) <= NODES_WITH_ROUTES else [])]
    period = status_period(topology)
    return [
        Wanted(STATUSES, speaker.name, {"node": speaker.name, "classes": classes, "updatePeriodSeconds": period})
        for speaker in topology.speakers
    ]


def status_period(topology: Topology) -> int:
    """After how many seconds each node reports anew."""
    return max(STATUS_PERIOD, len(topology.speakers) // NODES_A_SECOND)


def configuration(topology: Topology, found: Object | None = None) -> Wanted:
    """The cluster's AS and the services that are announced; whether the mesh is on is the plan's matter.

    ``found`` is what is there: services that others announce stay as long as the inventory says nothing of services,
    those that we announced go.
    """
    spec: dict[str, Any] = {"asNumber": topology.as_number}
    marked = ANNOUNCES_ANNOTATION in ((found or {}).get("metadata", {}).get("annotations") or {})
    if not topology.services.all and not marked:
        return Wanted(CONFIGURATIONS, "default", spec, exact=False)
    there = (found or {}).get("spec") or {}
    for name, prefixes in vars(topology.services).items():
        if prefixes or there.get(SERVICE_FIELDS[name]):
            spec[SERVICE_FIELDS[name]] = [{"cidr": str(prefix)} for prefix in prefixes] or None
    mark = topology.estate if topology.services.all else None
    return Wanted(CONFIGURATIONS, "default", spec, exact=False, annotations={ANNOUNCES_ANNOTATION: mark})


def node_peers(topology: Topology) -> list[Wanted]:
    """Who peers with the reflectors. They have no effect while no node carries the reflector label."""
    if not topology.reflectors:
        return []
    common = {"peerSelector": IS_REFLECTOR, "sourceAddress": "UseNodeIP", "maxRestartTime": RESTART_TIME}
    return [
        Wanted(PEERS, f"{topology.estate}-clients", {"nodeSelector": IS_CLIENT, **common}),
        Wanted(PEERS, f"{topology.estate}-reflectors", {"nodeSelector": IS_REFLECTOR, **common}),
    ]


def switch_peers(topology: Topology, calico: Calico = USUAL_CALICO) -> list[Wanted]:
    """One peer a rack and switch, for the reflectors of that rack."""
    peers = {peer_name(topology, session): session for session in topology.sessions}
    return [Wanted(PEERS, name, _switch_peer(topology, peers[name], calico)) for name in sorted(peers)]


def _switch_peer(topology: Topology, session: Session, calico: Calico) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "nodeSelector": reflectors_of(session.rack),
        "peerIP": str(session.switch_address),
        "asNumber": session.switch_as,
        "sourceAddress": "UseNodeIP",
        "maxRestartTime": RESTART_TIME,
        "filters": [filter_name(topology)],
    }
    # The next hop is kept so that a switch sends to the owner of a block and not through a reflector (domain facts A5);
    # before there was nextHopMode, keepOriginalNextHop meant Keep.
    spec.update({"nextHopMode": "Keep"} if calico.has("nextHopMode") else {"keepOriginalNextHop": True})
    # Without it BIRD takes a third of the hold time, which both ends agree on.
    if session.timers.keepalive is not None and calico.has("keepaliveTime"):
        spec["keepaliveTime"] = duration(session.timers.keepalive)
    if session.password_key:
        spec["password"] = {"secretKeyRef": {"name": secret_name(topology), "key": session.password_key}}
    return spec


def secret_name(topology: Topology) -> str:
    """The name of the Secret with the passwords, and of the Role and RoleBinding that let calico-node read it."""
    return f"{topology.estate}-bgp-passwords"


def duration(seconds: int) -> str:
    """Seconds as Go writes them, which is how Calico writes an object again: 90 is ``1m30s``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def reflectors_of(rack: str) -> str:
    """The reflectors of a rack, in Calico's selector language."""
    return f"{IS_REFLECTOR} && {RACK_LABEL} == '{rack}'"


def peer_name(topology: Topology, session: Session) -> str:
    """The name of the BGPPeer that a session comes from."""
    return f"{topology.estate}-{session.rack}-{session.switch}"


def peer_fields(definition: Object | None) -> frozenset[str] | None:
    """The fields in the spec of a BGPPeer by this CustomResourceDefinition; None where it does not say."""
    for version in (definition or {}).get("spec", {}).get("versions", []):
        properties = version.get("schema", {}).get("openAPIV3Schema", {}).get("properties", {})
        fields = properties.get("spec", {}).get("properties", {})
        if fields:
            return frozenset(fields)
    return None


def text(value: Any) -> str:
    """Plain JSON for a person to read in a difference; empty for nothing."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n" if value else ""
