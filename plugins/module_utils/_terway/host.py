# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Terway needs of a VM before it comes, and what it left there after; private to this collection.

Runs on the VM. :class:`Seen` is what was observed, :func:`before` and :func:`after` judge it; both are pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import kernel_version, problem

# Where containerd looks for them, as the role container_runtime sets it up: Terway's own are in the first.
CNI_PROGRAMS = ("/opt/cni/bin", "/usr/local/lib/cni")
CNI_CONFIGURATIONS = "/etc/cni/net.d"
OURS = "10-terway.conflist"
SOCKET = "/run/eni/eni.socket"
POLICY_PORT = 9099
NEEDED_PROGRAMS = ("loopback",)
TO_POD_PRIORITY, FROM_POD_PRIORITY = 512, 2048
MAIN_TABLE = "main"

_OLDEST_KERNEL = (5, 10)
# What answers about the instance: Terway asks for these at its start, and exits where one does not answer.
METADATA = {
    "region": "region-id",
    "zone": "zone-id",
    "instance": "instance-id",
    "instance_type": "instance/instance-type",
    "vswitch": "vswitch-id",
    "mac": "mac",
}


@dataclass(frozen=True)
class Limits:
    """What an instance type has: network interfaces in all, and addresses of each."""

    interfaces: int
    addresses: int

    @property
    def pods(self) -> int:
        """How many pods Terway has addresses for: the first interface is the node's own."""
        return max(0, self.interfaces - 1) * self.addresses


@dataclass(frozen=True)
class Wanted:
    """What the inventory says of the VM. ``vswitches`` are those of pods by zone, ``ram_role`` is empty for any."""

    region: str
    vswitches: Mapping[str, Sequence[str]]
    ram_role: str = ""
    limits: Mapping[str, Limits] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """A routing rule; ``source`` or ``target`` is empty for all."""

    priority: int
    source: str
    target: str
    table: str


@dataclass(frozen=True)
class Seen:
    """What a VM shows. ``silent`` names what the metadata service did not answer, and why; ``default_mac`` is that of
    the interface that the default route leaves by; ``listens`` says that something has the policy container's port."""

    kernel: str
    programs: frozenset[str]
    configurations: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    ram_roles: tuple[str, ...] = ()
    default_mac: str = ""
    listens: bool = False
    terway_runs: bool = False
    rules: tuple[Rule, ...] = ()
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def before(seen: Seen, wanted: Wanted) -> list[Finding]:
    """Everything that would keep Terway from working on the VM, or make it work otherwise than the inventory says."""
    return [*_kernel(seen), *_programs(seen), *_others(seen), *_instance(seen, wanted), *_port(seen)]


def after(seen: Seen, pods: Sequence[str]) -> list[Finding]:
    """Everything that is not as Terway makes it for the addresses ``pods``."""
    return [*_configuration(seen), *(finding for pod in pods for finding in _routing(seen, pod))]


def max_pods(seen: Seen, wanted: Wanted, host_network_pods: int) -> int | None:
    """How many pods the kubelet may take; None where the instance type's limits are not known.

    The scheduler does not know how many addresses there are: a pod too many stays in ContainerCreating.
    """
    limits = wanted.limits.get(seen.metadata.get("instance_type", ""))
    return limits.pods + host_network_pods if limits is not None else None


def _kernel(seen: Seen) -> list[Finding]:
    if kernel_version(seen.kernel) >= _OLDEST_KERNEL:
        return []
    oldest = ".".join(map(str, _OLDEST_KERNEL))
    return [
        problem(
            "TW101-kernel-too-old",
            "kernel",
            f"the kernel is {seen.kernel}, and Terway's first container refuses to run on one before {oldest}.",
            f"Use an image with a kernel of {oldest} or later (estate_cloud_pools.<pool>.image).",
        )
    ]


def _programs(seen: Seen) -> list[Finding]:
    return [
        problem(
            "TW102-no-cni-program",
            f"{CNI_PROGRAMS[-1]}/{name}",
            "it is missing, and Terway's image does not bring it: no pod would have its sandbox.",
            "Run the role container_runtime, which installs the CNI plugins.",
        )
        for name in NEEDED_PROGRAMS
        if name not in seen.programs
    ]


def _others(seen: Seen) -> list[Finding]:
    return [
        problem(
            "TW103-other-cni-configuration",
            f"{CNI_CONFIGURATIONS}/{name}",
            "it is not Terway's, and containerd takes the first configuration by name.",
            "Remove it; it came with the image, or with a calico-node that ran here before the VM had its label.",
        )
        for name in seen.configurations
        if name != OURS
    ]


def _instance(seen: Seen, wanted: Wanted) -> list[Finding]:
    if seen.silent:
        path, why = next(iter(seen.silent.items()))
        return [
            problem(
                "TW104-metadata-silent",
                "metadata",
                f"the instance's metadata service does not answer for {path}: {why}. Terway exits without it.",
                "Let the VM reach 100.100.100.200 (routes, security group, a firewall on the VM); see that it is an ECS"
                " instance.",
            )
        ]
    findings = []
    zone, region = seen.metadata["zone"], seen.metadata["region"]
    if region != wanted.region:
        findings.append(
            problem(
                "TW105-other-region",
                "estate_cloud.region",
                f"the VM is in {region}, the inventory says {wanted.region}.",
                "Correct the inventory, or take the VM out of it.",
            )
        )
    if not wanted.vswitches.get(zone):
        findings.append(
            problem(
                "TW106-zone-without-pod-vswitch",
                f"estate_cloud.pod_vswitches.{zone}",
                f"the VM is in zone {zone}, which has none. Terway would say nothing and give pods addresses of the"
                " nodes' vSwitch.",
                f"Add estate_cloud.pod_vswitches.{zone}.",
            )
        )
    if seen.default_mac and seen.metadata["mac"] != seen.default_mac:
        findings.append(
            problem(
                "TW107-default-route-elsewhere",
                "default route",
                f"it leaves by the interface {seen.default_mac}, and the instance's first one is"
                f" {seen.metadata['mac']}.",
                "Let the default route leave by the first interface; Terway takes all others for pods.",
            )
        )
    return [*findings, *_role(seen, wanted), *_type(seen, wanted)]


def _role(seen: Seen, wanted: Wanted) -> list[Finding]:
    if seen.ram_roles and wanted.ram_role in ("", *seen.ram_roles):
        return []
    has = f"the RAM role {', '.join(seen.ram_roles)}" if seen.ram_roles else "no RAM role"
    return [
        problem(
            "TW108-other-ram-role",
            "estate_cloud.ram_role",
            f"the VM has {has}{f', the inventory says {wanted.ram_role}' if wanted.ram_role else ''}; Terway signs with"
            " it.",
            "Attach the role to the instance (AttachInstanceRamRole); new VMs of a pool have it from the start.",
        )
    ]


def _type(seen: Seen, wanted: Wanted) -> list[Finding]:
    kind = seen.metadata["instance_type"]
    limits = wanted.limits.get(kind)
    if limits is None or limits.pods:
        return []
    return [
        problem(
            "TW109-type-without-pods",
            "instance type",
            f"{kind} has {limits.interfaces} network interface, the node's own: no pod would have an address.",
            "Use a larger type (estate_cloud_pools.<pool>.instance_types).",
        )
    ]


def _port(seen: Seen) -> list[Finding]:
    if not seen.listens or seen.terway_runs:
        return []
    return [
        problem(
            "TW110-port-taken",
            f"127.0.0.1:{POLICY_PORT}",
            "something listens there, and Terway's policy container is asked there whether it is well.",
            "Stop what listens; it may be the Felix of a calico-node that must not run here.",
        )
    ]


def _configuration(seen: Seen) -> list[Finding]:
    first = min(seen.configurations, default="")
    if first == OURS:
        return []
    return [
        problem(
            "TW201-not-terway-s-network",
            f"{CNI_CONFIGURATIONS}/{OURS}",
            f"containerd takes {first}." if first else "it is not there.",
            "Remove what comes before it." if first else "See the log of the pod of DaemonSet terway-eniip on this VM.",
        )
    ]


def _routing(seen: Seen, pod: str) -> list[Finding]:
    missing = []
    if Rule(TO_POD_PRIORITY, "", pod, MAIN_TABLE) not in seen.rules:
        missing.append("the rule to it")
    leaving = [rule for rule in seen.rules if rule.priority == FROM_POD_PRIORITY and rule.source == pod]
    if not leaving:
        missing.append("the rule from it")
    elif not any("default" in seen.tables.get(rule.table, ()) for rule in leaving):
        missing.append(f"a default route in table {leaving[0].table}")
    if not missing:
        return []
    return [
        problem(
            "TW202-pod-without-route",
            pod,
            f"of the routing of this pod there is not: {', '.join(missing)}.",
            "Restart the pod of DaemonSet terway-eniip on this VM; it puts its rules back.",
        )
    ]
