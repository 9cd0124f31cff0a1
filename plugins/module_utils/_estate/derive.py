# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from an Estate: pure functions for checks, roles and reports alike; private to this collection.

The standard labels of a node, set by the module ``node`` and removed again when the inventory no longer implies them:

=====================================  ==========================================================================
``estate.hybridk8s.io/rack``           the rack; selectors of BGP peers use it
``estate.hybridk8s.io/node-class``     ``bare_metal`` or ``cloud_vm``; selectors of pools and of network add-ons use it
``topology.kubernetes.io/zone``        the rack, or a VM's zone: the failure domain that the scheduler spreads pods over
``topology.kubernetes.io/region``      a VM's region
``node.kubernetes.io/instance-type``   a VM's instance type
``alibabacloud.com/external``          ``true`` on cloud VMs; what Alibaba's components know them by
``k8s.aliyun.com/ignore-by-terway``    ``true`` on bare metal of an estate with a cloud: Terway keeps away
``estate.hybridk8s.io/pool``           ``node_pool``, or a VM's pool
``dedicated``                          ``node_dedicated``, beside a taint of the same key and value
``io-class``                           ``node_io_class``
``gpu-model``, ``cpu-model``           ``node_gpu_model``, ``node_cpu_model``
``runtime.hybridk8s.io/NAME``          ``true`` for each runtime beside runc that ``runtime_profile`` has
=====================================  ==========================================================================

The label and the annotation of a route reflector are not among them: a node becomes a reflector in one gated step of
``bgp_topology`` (Calico takes an annotated node out of the mesh at once).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model, runtime

RACK_LABEL = "estate.hybridk8s.io/rack"
NODE_CLASS_LABEL = "estate.hybridk8s.io/node-class"
ZONE_LABEL = "topology.kubernetes.io/zone"
REGION_LABEL = "topology.kubernetes.io/region"
INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"
EXTERNAL_LABEL = "alibabacloud.com/external"
LXCFS_LABEL = "estate.hybridk8s.io/lxcfs"
WITHOUT_TERWAY_LABEL = "k8s.aliyun.com/ignore-by-terway"
DEDICATED = "dedicated"
TRAIT_LABELS = {
    "pool": "estate.hybridk8s.io/pool",
    "dedicated": DEDICATED,
    "io_class": "io-class",
    "gpu_model": "gpu-model",
    "cpu_model": "cpu-model",
}
OWN_PREFIX = "estate.hybridk8s.io/"

API_SERVER_PORT = 6443
LOCAL_PROXY_PORT = 7443
LOCAL_PROXY_ADDRESS = IPv4Address("127.0.0.1")
# Calico's default blockSize for IPv4; a node takes a second block before its first is full.
POOL_BLOCK_SIZE = 26
BLOCKS_PER_NODE = 2
LEAST_MAX_PREFIX = 2000
_NO_POOL = model.VmPool("")


@dataclass(frozen=True)
class ApiEndpoint:
    """How nodes reach the API server: ``host:port`` is kubeadm's controlPlaneEndpoint.

    With ``local_proxy`` the name stands for ``LOCAL_PROXY_ADDRESS`` on every node, where a proxy forwards to
    ``backends`` (``address:port`` of each control plane).
    """

    host: str
    port: int
    local_proxy: bool
    backends: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Pool:
    """A Calico pool; ``node_selector`` is in Calico's selector language."""

    name: str
    cidr: IPv4Network
    node_class: str
    block_size: int
    node_selector: str


def api_endpoint(estate: model.Estate) -> ApiEndpoint:
    """The external load balancer where the inventory names one, else the proxy on every node."""
    backends = tuple(f"{address}:{API_SERVER_PORT}" for address in control_plane_addresses(estate))
    if estate.api_endpoint is not None:
        return ApiEndpoint(estate.api_endpoint.host, estate.api_endpoint.port, False, backends)
    return ApiEndpoint(f"api.{estate.name}.internal", LOCAL_PROXY_PORT, True, backends)


def control_plane_addresses(estate: model.Estate) -> tuple[IPv4Address, ...]:
    """The control planes' addresses in the inventory's order."""
    return tuple(host.address for host in estate.control_planes if host.address is not None)


def rack_gateway(estate: model.Estate, rack: model.Rack) -> IPv4Address | None:
    """The default gateway of the hosts of ``rack``: the given one, else its first switch's address."""
    if rack.gateway is not None:
        return rack.gateway
    for name in rack.switches:
        switch = estate.hosts.get(name)
        if switch is not None and switch.address is not None:
            return switch.address
    return None


def nodes_in_rack(estate: model.Estate, rack: str) -> tuple[model.Host, ...]:
    return tuple(host for host in estate.nodes.values() if host.rack == rack)


def reflectors_by_rack(estate: model.Estate) -> dict[str, tuple[model.Host, ...]]:
    """The route reflectors of every rack: those that the inventory names, else as many as it asks for."""
    count = estate.bgp.reflectors_per_rack if estate.bgp is not None else 0
    named: dict[str, list[model.Host]] = {}
    eligible: dict[str, list[model.Host]] = {}
    for host in estate.named_reflectors:
        if host.is_node:
            named.setdefault(host.rack, []).append(host)
    for host in estate.nodes.values():
        if host.node_class == model.BARE_METAL:
            eligible.setdefault(host.rack, []).append(host)
    return {rack: tuple(named.get(rack) or _chosen(eligible.get(rack, ()), count)) for rack in estate.racks}


def reflectors(estate: model.Estate) -> tuple[model.Host, ...]:
    """All route reflectors, named ones first; a named one may lack its rack."""
    chosen = [host for hosts in reflectors_by_rack(estate).values() for host in hosts]
    return tuple({host.name: host for host in (*estate.named_reflectors, *chosen)}.values())


def _chosen(hosts: Iterable[model.Host], count: int) -> list[model.Host]:
    """The first ``count`` of a rack's hosts: no control plane while there is another host, then as few as can be of one
    failure domain, then in the order of their names.

    It depends on nothing but the inventory, and a host that is added behind the others changes nothing.
    """
    left = list(hosts)
    chosen: list[model.Host] = []
    while left and len(chosen) < count:
        taken = Counter(failure_domain(host) for host in chosen)
        best = min(left, key=lambda host: (host.is_control_plane, taken[failure_domain(host)], _by_number(host.name)))
        chosen.append(best)
        left.remove(best)
    return chosen


def failure_domain(host: model.Host) -> str:
    """What fails as a whole: the zone that the inventory gives the host, else its rack, or the zone of a VM."""
    return host.labels.get(ZONE_LABEL) or host.rack or host.vm.zone


def _by_number(name: str) -> list[tuple[int, str]]:
    """A sort key by which w2 comes before w10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def rack_cluster_id(estate: model.Estate, rack: str) -> IPv4Address:
    """The cluster id of the reflectors of ``rack``: its own, else 244.0.0.n, n its place among the sorted rack names.

    One id a rack: reflectors of one rack serve the same clients. 244.0.0.0/8 is reserved and so cannot be a node's
    address. Raises ValueError for an unknown rack.
    """
    chosen = estate.racks[rack].cluster_id if rack in estate.racks else None
    if chosen is not None:
        return chosen
    place = sorted(estate.racks).index(rack) + 1
    return IPv4Address("244.0.0.0") + place


def switch_as(estate: model.Estate, rack: model.Rack, switch: str) -> int | None:
    """The AS of a switch of ``rack``: its own, else the rack's."""
    host = estate.hosts.get(switch)
    if host is not None and host.bgp_as is not None:
        return host.bgp_as
    return rack.as_number


def session_password(estate: model.Estate, rack: model.Rack) -> str:
    """The password of the sessions with the switches of ``rack``; empty for none."""
    return rack.password or (estate.bgp.password if estate.bgp is not None else "")


def cluster_ids(estate: model.Estate) -> dict[str, IPv4Address]:
    """The route reflector cluster id of every reflector that has one: its own, else that of its rack."""
    found: dict[str, IPv4Address] = {}
    for host in reflectors(estate):
        if host.cluster_id is not None:
            found[host.name] = host.cluster_id
        elif host.rack in estate.racks:
            found[host.name] = rack_cluster_id(estate, host.rack)
    return found


def node_labels(estate: model.Estate, host: model.Host) -> dict[str, str]:
    """The labels that the node must have because of the inventory; its own win over its zone, place and pool."""
    place = {REGION_LABEL: host.vm.region, INSTANCE_TYPE_LABEL: host.vm.instance_type}
    of_pool = vm_pool(estate, host).labels
    ours = {NODE_CLASS_LABEL: host.node_class, **trait_labels(host), **runtime.labels(estate, host)}
    if host.rack:
        ours[RACK_LABEL] = host.rack
    if model.LXCFS_GROUP in host.groups:
        ours[LXCFS_LABEL] = "true"
    if host.node_class == model.CLOUD_VM:
        ours[EXTERNAL_LABEL] = "true"
    elif estate.cloud is not None:
        ours[WITHOUT_TERWAY_LABEL] = "true"
    domain = failure_domain(host)
    zone = {ZONE_LABEL: domain} if domain else {}
    return {**{key: value for key, value in place.items() if value}, **of_pool, **host.labels, **zone, **ours}


def trait_labels(host: model.Host) -> dict[str, str]:
    """The labels of the traits that the inventory gives the host."""
    traits = {**vars(host.traits), "pool": host.traits.pool or host.vm.pool}
    return {label: traits[trait] for trait, label in TRAIT_LABELS.items() if traits[trait]}


def node_taints(estate: model.Estate, host: model.Host) -> tuple[model.Taint, ...]:
    """The taints that the node must have because of the inventory: its own, those of its pool, and that of a dedicated
    node, which keeps all other pods away."""
    own = {(taint.key, taint.effect) for taint in host.taints}
    of_pool = (taint for taint in vm_pool(estate, host).taints if (taint.key, taint.effect) not in own)
    dedicated = model.Taint(DEDICATED, host.traits.dedicated, "NoSchedule")
    return (*host.taints, *of_pool, *((dedicated,) if host.traits.dedicated else ()))


def vm_pool(estate: model.Estate, host: model.Host) -> model.VmPool:
    """The pool that a VM is of; one that says nothing for other hosts, and where the inventory has it no more."""
    return estate.vm_pools.get(host.vm.pool, _NO_POOL)


def node_states(estate: model.Estate, names: Sequence[str]) -> list[dict[str, object]]:
    """The option ``nodes`` of module ``node`` for the hosts ``names``; a name that is no node raises ValueError."""
    states: list[dict[str, object]] = []
    for name in names:
        host = estate.hosts.get(name)
        if host is None or not host.is_node:
            raise ValueError(f"{name} is not a node: it is in none of control_plane, workers, kubernetes.")
        states.append(
            {
                "name": name,
                "labels": node_labels(estate, host),
                "annotations": dict(host.annotations),
                "taints": [{"key": t.key, "value": t.value, "effect": t.effect} for t in node_taints(estate, host)],
            }
        )
    return states


def pools(estate: model.Estate) -> tuple[Pool, ...]:
    """The Calico pools, one a node class that uses Calico."""
    return tuple(
        Pool(
            name=node_class.replace("_", "-"),
            cidr=cidr,
            node_class=node_class,
            block_size=POOL_BLOCK_SIZE,
            node_selector=f"{NODE_CLASS_LABEL} == '{node_class}'",
        )
        for node_class, cidr in sorted(estate.networks.pods.items())
    )


def least_prefixes(estate: model.Estate) -> int:
    """How many prefixes each reflector announces once every node has the blocks that it takes."""
    blocks = sum(BLOCKS_PER_NODE for host in estate.nodes.values() if host.node_class in estate.networks.pods)
    return blocks + len(announced_services(estate).all)


def most_prefixes(estate: model.Estate) -> int:
    """How many prefixes a switch takes from one reflector: the given limit, else what the address plan can make."""
    if estate.bgp is not None and estate.bgp.max_prefix is not None:
        return estate.bgp.max_prefix
    blocks: int = sum(2 ** (pool.block_size - pool.cidr.prefixlen) for pool in pools(estate))
    services = announced_services(estate)
    single = sum(network.num_addresses for network in (*services.external_ips, *services.load_balancer_ips))
    # Each block once, and as many addresses borrowed from others' blocks; services that are local to their nodes are
    # announced address by address.
    return max(LEAST_MAX_PREFIX, 2 * blocks + len(services.all) + single)


@dataclass(frozen=True)
class Announced:
    """The networks of services that are announced to the switches, by Calico's kinds."""

    cluster_ips: tuple[IPv4Network, ...] = ()
    external_ips: tuple[IPv4Network, ...] = ()
    load_balancer_ips: tuple[IPv4Network, ...] = ()

    @property
    def all(self) -> tuple[IPv4Network, ...]:
        return (*self.cluster_ips, *self.external_ips, *self.load_balancer_ips)


def announced_services(estate: model.Estate) -> Announced:
    """What the inventory announces of services."""
    services = estate.bgp.services if estate.bgp is not None else None
    if services is None:
        return Announced()
    cluster_ips = estate.networks.services if services.cluster_ips else None
    return Announced(
        (cluster_ips,) if cluster_ips is not None else (), services.external_ips, services.load_balancer_ips
    )


def pool_zones(estate: model.Estate, pool: model.VmPool) -> tuple[str, ...]:
    """The zones in which VMs of ``pool`` may be: the given ones, else all that have a vSwitch for nodes."""
    return pool.zones or tuple(estate.cloud.node_vswitches if estate.cloud is not None else ())


def vm_name(pool: str, number: int) -> str:
    """The name of a pool's VM: of the instance, the host and the node alike."""
    return f"{pool}-{number}"


def pool_group(pool: str) -> str:
    """The inventory's group of a pool's VMs."""
    return f"pool_{pool.replace('-', '_')}"


def nodes_by_class(nodes: Mapping[str, model.Host]) -> dict[str, tuple[model.Host, ...]]:
    """The nodes of each class that has any."""
    found: dict[str, tuple[model.Host, ...]] = {}
    for node_class in model.NODE_CLASSES:
        members = tuple(host for host in nodes.values() if host.node_class == node_class)
        if members:
            found[node_class] = members
    return found
