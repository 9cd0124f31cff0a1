# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The estate as an inventory describes it; private to this collection.

A field is ``None`` (or its collection lacks the entry) where the inventory says nothing or something that cannot be
read. What :func:`estate_from_hostvars` returns has passed the reading, so there ``None`` means "not given".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Address, IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import Credentials
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.profile import Profile

BARE_METAL = "bare_metal"
CLOUD_VM = "cloud_vm"
NODE_CLASSES = (BARE_METAL, CLOUD_VM)

POSTPAID = "PostPaid"
PREPAID = "PrePaid"
CHARGE_TYPES = (POSTPAID, PREPAID)
PERIOD_UNITS = ("Week", "Month")

FRR = "frr"
NXOS = "nxos"
SWITCH_PLATFORMS = (FRR, NXOS, "eos", "sonic")

CONTROL_PLANE_GROUP = "control_plane"
WORKERS_GROUP = "workers"
KUBERNETES_GROUP = "kubernetes"
BARE_METAL_GROUP = "bare_metal"
CLOUD_VMS_GROUP = "cloud_vms"
REFLECTORS_GROUP = "route_reflectors"
GPU_GROUP = "gpu"
LXCFS_GROUP = "lxcfs"
SWITCHES_GROUP = "switches"
NODE_GROUPS = (KUBERNETES_GROUP, CONTROL_PLANE_GROUP, WORKERS_GROUP)
GROUPS = (
    CONTROL_PLANE_GROUP,
    WORKERS_GROUP,
    KUBERNETES_GROUP,
    BARE_METAL_GROUP,
    CLOUD_VMS_GROUP,
    REFLECTORS_GROUP,
    GPU_GROUP,
    LXCFS_GROUP,
    SWITCHES_GROUP,
)


@dataclass(frozen=True, order=True)
class Version:
    """A release such as 1.36.3; compares as releases do."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Endpoint:
    """Where something listens: a host name or IPv4 address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Taint:
    """A node taint; ``effect`` is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class NodeTraits:
    """What workloads choose a node by, each a label value or empty: see the host variables ``node_<field>``."""

    pool: str = ""
    dedicated: str = ""
    io_class: str = ""
    gpu_model: str = ""
    cpu_model: str = ""


@dataclass(frozen=True)
class Vm:
    """What the inventory plugin ``ecs`` says of an instance; all of it empty for other hosts."""

    pool: str = ""
    region: str = ""
    zone: str = ""
    instance_type: str = ""
    provider_id: str = ""


@dataclass(frozen=True)
class Host:
    """A machine: a node of the cluster, or a switch.

    ``address`` is ``ansible_host`` (the node's InternalIP, the switch's BGP address), ``bgp_as`` a switch's own AS,
    ``router_as`` that of its ``router bgp`` where it shows the reflectors another one, ``platform`` what runs on it.
    ``groups`` holds only the groups that this collection knows. ``node_class`` is empty for what is no node, and
    ``class_is_assumed`` where neither variable nor group names it. ``labels``, ``annotations`` and ``taints`` are those
    of the inventory; :mod:`derive` adds ours.
    """

    name: str
    groups: frozenset[str] = frozenset()
    address: IPv4Address | None = None
    rack: str = ""
    node_class: str = ""
    class_is_assumed: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    traits: NodeTraits = NodeTraits()
    cluster_id: IPv4Address | None = None
    bgp_as: int | None = None
    platform: str = ""
    router_as: int | None = None
    kubelet_version: Version | None = None
    containerd_version: Version | None = None
    runtime_profile: str = ""
    runc_version: Version | None = None
    runtime_checksums: frozenset[str] = frozenset()
    vm: Vm = Vm()

    @property
    def is_control_plane(self) -> bool:
        return CONTROL_PLANE_GROUP in self.groups

    @property
    def is_worker(self) -> bool:
        return WORKERS_GROUP in self.groups

    @property
    def is_node(self) -> bool:
        """True for a host that is, or is to become, a Kubernetes node."""
        return not self.groups.isdisjoint(NODE_GROUPS)

    @property
    def is_switch(self) -> bool:
        return SWITCHES_GROUP in self.groups


@dataclass(frozen=True)
class Rack:
    """A rack: one layer-2 segment behind its switches.

    ``as_number`` is the AS of those of its switches that have none of their own, ``cluster_id`` that of its reflectors.
    ``password`` is that of the sessions with its switches, empty where the estate's holds.
    """

    name: str
    subnet: IPv4Network | None = None
    switches: tuple[str, ...] = ()
    as_number: int | None = None
    gateway: IPv4Address | None = None
    cluster_id: IPv4Address | None = None
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Networks:
    """The address plan. ``pods`` has one Calico pool a node class; ``reserved`` are ranges of others."""

    services: IPv4Network | None = None
    pods: Mapping[str, IPv4Network] = field(default_factory=dict)
    reserved: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True)
class Timers:
    """The timers of sessions with switches, in seconds; None where the inventory leaves one to us."""

    keepalive: int | None = None
    hold: int | None = None
    connect: int | None = None

    @property
    def whole(self) -> dict[str, int]:
        """Every timer, with our choice for those that are not given."""
        return {name: getattr(self, name) or usual for name, usual in USUAL_TIMERS.items()}


@dataclass(frozen=True)
class Services:
    """The services' addresses that are announced to the switches; ``cluster_ips`` means estate_networks.services."""

    cluster_ips: bool = False
    external_ips: tuple[IPv4Network, ...] = ()
    load_balancer_ips: tuple[IPv4Network, ...] = ()


USUAL_TIMERS: Mapping[str, int] = {"keepalive": 10, "hold": 30, "connect": 10}


@dataclass(frozen=True)
class Bgp:
    """The cluster's side of BGP: its AS, and the outside prefixes that nodes may learn from the switches.

    ``max_prefix`` is how many prefixes a switch takes from one reflector, ``password`` that of all sessions with
    switches. ``services`` is None where the inventory does not say what is announced of them, ``reflectors_per_rack``
    how many are chosen in a rack that names none, 0 for no choice.
    """

    as_number: int | None = None
    imports: tuple[IPv4Network, ...] = ()
    timers: Timers = Timers()
    max_prefix: int | None = None
    password: str = field(default="", repr=False)
    services: Services | None = None
    reflectors_per_rack: int = 0


@dataclass(frozen=True)
class Mirror:
    """An air-gapped site's mirror: base URLs without a trailing slash; empty where not given."""

    downloads: str = ""
    registry: str = ""


@dataclass(frozen=True)
class VSwitch:
    """A vSwitch of a VPC, keyed by its zone in :class:`Cloud`."""

    id: str
    cidr: IPv4Network | None = None


@dataclass(frozen=True)
class Line:
    """The line between the VPC and the data centre, as VMs may use it, in Mbit/s.

    ``prefixes`` lie behind it, ``control_mbit`` of each VM's ``limit_mbit`` are kept for the cluster's control traffic.
    It carries ``capacity_mbit`` of all VMs together; use above ``warn_share`` of either is worth a warning.
    """

    prefixes: tuple[IPv4Network, ...] = ()
    limit_mbit: int | None = None
    control_mbit: int | None = None
    capacity_mbit: int | None = None
    warn_share: float = 0.8


@dataclass(frozen=True)
class CloudEndpoints:
    """Where the provider's APIs answer (``host`` or ``host:port``); empty for the region's public ones."""

    ecs: str = ""
    vpc: str = ""
    cs: str = ""
    scheme: str = "https"


ACK_STATES = ("present", "absent")
ACK_MODES = ("restricted", "admin")


@dataclass(frozen=True)
class Ack:
    """The cluster's registration with the provider's container service, and what its agent may do here.

    ``private`` keeps the agent's connection on the line; ``registries`` are trusted beside the provider's own.
    """

    name: str = ""
    state: str = ACK_STATES[0]
    vswitches: tuple[str, ...] = ()
    security_group: str = ""
    agent_mode: str = ACK_MODES[0]
    private: bool = True
    public_endpoint: bool = False
    registries: tuple[str, ...] = ()
    authority: str = ""
    verify: bool = True


@dataclass(frozen=True)
class Cloud:
    """The VPC that holds the cloud VMs. ``node_vswitches`` and ``pod_vswitches`` are keyed by zone.

    ``ram_role`` is that of the VMs: what Terway signs with. ``credentials`` is None where the usual chain of the
    provider's library finds them. ``prices`` are those of an hour, by instance type, in ``currency``. What ends within
    ``warn_days`` is a finding.
    """

    provider: str = ""
    region: str = ""
    vpc: str = ""
    cidr: IPv4Network | None = None
    secondary_cidrs: tuple[IPv4Network, ...] = ()
    node_vswitches: Mapping[str, VSwitch] = field(default_factory=dict)
    pod_vswitches: Mapping[str, VSwitch] = field(default_factory=dict)
    security_groups: tuple[str, ...] = ()
    line: Line | None = None
    ram_role: str = ""
    credentials: Credentials | None = field(default=None, repr=False)
    endpoints: CloudEndpoints = CloudEndpoints()
    prices: Mapping[str, float] = field(default_factory=dict)
    ack: Ack | None = None
    currency: str = ""
    warn_days: int | None = None

    @property
    def cidrs(self) -> tuple[IPv4Network, ...]:
        """All ranges of the VPC."""
        return (*((self.cidr,) if self.cidr is not None else ()), *self.secondary_cidrs)


@dataclass(frozen=True)
class Disk:
    """A cloud disk; ``category`` is the provider's word for its kind."""

    category: str = ""
    size_gb: int | None = None


@dataclass(frozen=True)
class Charge:
    """How an instance is paid. ``period`` and ``unit`` (Week or Month) are those of one that is paid ahead."""

    type: str = POSTPAID
    period: int | None = None
    unit: str = ""
    auto_renew: bool = False


@dataclass(frozen=True)
class VmPool:
    """Virtual machines that are alike; each is named by the pool and a number from 1 on.

    ``instance_types`` stand in the order of preference, ``zones`` is empty for all that have a vSwitch for nodes.
    """

    name: str
    instance_types: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    count: int = 0
    image: str = ""
    key_pair: str = ""
    system_disk: Disk = Disk("cloud_essd", 40)
    data_disks: tuple[Disk, ...] = ()
    charge: Charge = Charge()
    user_data: str = field(default="", repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    owner: str = ""
    purpose: str = ""
    expires: date | None = None
    release_expired: bool = False
    runtime_profile: str = ""


@dataclass(frozen=True)
class ClearSecret:
    """A place of the inventory where something that looks like a secret stands unencrypted."""

    host: str
    variable: str


@dataclass(frozen=True)
class Estate:
    """All of it. ``hosts`` is sorted by name; ``groups`` holds every group of the inventory, unknown ones too.

    ``controller_becomes`` says that the inventory makes Ansible become another user on the controller as well.
    """

    name: str = ""
    kubernetes_version: Version | None = None
    api_endpoint: Endpoint | None = None
    networks: Networks = Networks()
    bgp: Bgp | None = None
    racks: Mapping[str, Rack] = field(default_factory=dict)
    mirror: Mirror | None = None
    cloud: Cloud | None = None
    vm_pools: Mapping[str, VmPool] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    hosts: Mapping[str, Host] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clear_secrets: tuple[ClearSecret, ...] = ()
    controller_becomes: bool = False

    @property
    def nodes(self) -> dict[str, Host]:
        """The hosts that are nodes, by name."""
        return {name: host for name, host in self.hosts.items() if host.is_node}

    @property
    def control_planes(self) -> tuple[Host, ...]:
        """In the inventory's order: the first one is where a cluster begins."""
        return self._members(CONTROL_PLANE_GROUP)

    @property
    def named_reflectors(self) -> tuple[Host, ...]:
        """The members of the group; :func:`derive.reflectors` has those too that are chosen by count."""
        return self._members(REFLECTORS_GROUP)

    @property
    def switches(self) -> tuple[Host, ...]:
        return self._members(SWITCHES_GROUP)

    def _members(self, group: str) -> tuple[Host, ...]:
        return tuple(self.hosts[name] for name in self.groups.get(group, ()) if name in self.hosts)
