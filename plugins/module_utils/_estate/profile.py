# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node gives to the pods on it, and in what they run: the types of ``estate_runtime_profiles``; private to this
collection.

A field is None, empty or zero where the profile leaves it to the kubelet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

RUNC = "runc"
GVISOR = "gvisor"
CRUN = "crun"
KATA = "kata"
NVIDIA = "nvidia"
RUNTIMES = (RUNC, GVISOR, CRUN, KATA, NVIDIA)

NONE = "none"
STATIC = "static"
MANAGER_POLICIES = (NONE, STATIC)
TOPOLOGY_POLICIES = (NONE, "best-effort", "restricted", "single-numa-node")
TOPOLOGY_SCOPES = ("container", "pod")

RESERVED_RESOURCES = ("cpu", "memory", "ephemeral-storage")
MEMORY_SIGNAL = "memory.available"
SIGNALS = (
    MEMORY_SIGNAL,
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
)


@dataclass(frozen=True)
class Quantity:
    """An amount as Kubernetes writes it, and what it is worth."""

    text: str
    value: Fraction


@dataclass(frozen=True)
class Threshold:
    """When the kubelet evicts: below an amount, or below a share of the whole."""

    text: str
    value: Fraction
    is_share: bool = False


@dataclass(frozen=True)
class Reserved:
    """What pods do not get: ``cpus`` is a list as the kernel's ``0-1,8``, ``memory`` is by NUMA node."""

    system: Mapping[str, Quantity] = field(default_factory=dict)
    kube: Mapping[str, Quantity] = field(default_factory=dict)
    cpus: str = ""
    memory: Mapping[int, Quantity] = field(default_factory=dict)


@dataclass(frozen=True)
class Managers:
    """How CPUs and memory are given to containers, and how both are kept together; empty leaves it to the kubelet."""

    cpu: str = ""
    cpu_options: Mapping[str, str] = field(default_factory=dict)
    memory: str = ""
    topology: str = ""
    topology_scope: str = ""


@dataclass(frozen=True)
class Eviction:
    """When pods are evicted: at once (``hard``), or after a time (``soft``)."""

    hard: Mapping[str, Threshold] = field(default_factory=dict)
    soft: Mapping[str, Threshold] = field(default_factory=dict)
    soft_grace_seconds: Mapping[str, int] = field(default_factory=dict)
    max_pod_grace_seconds: int | None = None


@dataclass(frozen=True)
class Limits:
    """What pods and the images, logs and processes of them may take."""

    max_pods: int | None = None
    pod_pids: int | None = None
    parallel_pulls: int | None = None
    image_gc_high_percent: int | None = None
    image_gc_low_percent: int | None = None
    image_max_age_hours: int | None = None
    log_max_size: Quantity | None = None
    log_files: int | None = None


@dataclass(frozen=True)
class Shutdown:
    """How long pods get when the machine is shut down: all of them, and of that the critical ones."""

    total_seconds: int | None = None
    critical_seconds: int | None = None


@dataclass(frozen=True)
class Profile:
    """What is alike on all nodes of one kind. ``runtimes`` are those beside runc, which every node has."""

    name: str
    reserved: Reserved = Reserved()
    managers: Managers = Managers()
    eviction: Eviction = Eviction()
    limits: Limits = Limits()
    shutdown: Shutdown = Shutdown()
    runtimes: tuple[str, ...] = ()
