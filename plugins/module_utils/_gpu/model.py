# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host with GPUs shows; private to this collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu import support

NVIDIA_DRIVER = "nvidia"
NOUVEAU = "nouveau"
# Drivers of the kernel's own that take GPUs from NVIDIA's, and their modules. nova is nouveau's successor.
RIVALS = {NOUVEAU: (NOUVEAU,), "NovaCore": ("nova_core", "nova_drm")}
OPEN, PROPRIETARY = support.OPEN, support.PROPRIETARY


@dataclass(frozen=True)
class Link:
    """A GPU's PCI Express link. The speed falls while a GPU idles, the width does not."""

    speed: str = ""
    width: int = 0
    max_speed: str = ""
    max_width: int = 0


@dataclass(frozen=True)
class GpuInstance:
    """A MIG GPU instance, and the compute instances in it, by their numbers."""

    gpu_instance: int
    compute_instances: tuple[int, ...] = ()


@dataclass(frozen=True)
class Gpu:
    """A GPU. ``driver`` is the kernel driver that holds it, empty for none; ``minor`` N that of /dev/nvidiaN.

    ``mig`` are the instances there are: that MIG is on without any leaves no mark in sysfs or /proc. ``answers`` is
    false where the device no longer answers on its bus.
    """

    pci: str
    device: str
    subsystem: str = ""
    driver: str = ""
    model: str = ""
    uuid: str = ""
    minor: int | None = None
    firmware: str = ""
    excluded: bool = False
    numa_node: int | None = None
    link: Link = Link()
    mig: tuple[GpuInstance, ...] = ()
    answers: bool = True

    @property
    def chip(self) -> int:
        """The PCI device id as a number."""
        return int(self.device, 16)

    @property
    def architecture(self) -> str:
        """Its architecture; empty where this collection does not know the device."""
        return support.architecture_of(self.chip)

    @property
    def is_ours(self) -> bool:
        """Whether the host is to use it, rather than a virtual machine on it."""
        return self.driver in ("", NVIDIA_DRIVER, *RIVALS)


@dataclass(frozen=True)
class Driver:
    """The kernel modules: ``version`` and ``flavour`` of the one that is loaded, ``userspace`` of the libraries.

    ``built`` says that a module lies there for the kernel that runs.
    """

    loaded: bool = False
    version: str = ""
    flavour: str = ""
    userspace: str = ""
    built: bool = False
    modules: tuple[str, ...] = ()

    @property
    def branch(self) -> int | None:
        """The branch of the loaded driver, such as 580."""
        return branch_of(self.version)


@dataclass(frozen=True)
class Fabric:
    """What connects GPUs by NVLink: ``switches`` are NVSwitches on the PCI bus, ``bridges`` the ConnectX devices by
    which those of the fourth generation are managed. ``installed`` is the version of Fabric Manager's package."""

    switches: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    manager_runs: bool = False
    subnet_manager_runs: bool = False
    installed: str = ""

    @property
    def needs_manager(self) -> bool:
        """Whether GPUs wait for Fabric Manager before anything can use them."""
        return bool(self.switches or self.bridges)


@dataclass(frozen=True)
class Port:
    """A port of an RDMA device; ``layer`` is InfiniBand or Ethernet."""

    number: int
    state: str
    layer: str
    rate: str


@dataclass(frozen=True)
class Nic:
    """A network card that does RDMA."""

    name: str
    pci: str
    numa_node: int | None
    interfaces: tuple[str, ...]
    ports: tuple[Port, ...]

    @property
    def is_up(self) -> bool:
        """Whether one of its ports carries traffic."""
        return any(port.state == "ACTIVE" for port in self.ports)


@dataclass(frozen=True)
class Fault:
    """Errors of one kind that the driver told of one device since it was loaded. ``source`` is ``xid`` for a GPU and
    ``sxid`` for an NVSwitch; ``time`` is that of the last one, in UTC."""

    source: str
    pci: str
    code: int
    count: int
    time: str
    message: str
    fatal: bool = False


@dataclass(frozen=True)
class Machine:
    """Everything at once. ``kernel_log`` is false where the log cannot be read, so that health is not known."""

    gpus: tuple[Gpu, ...] = ()
    driver: Driver = Driver()
    fabric: Fabric = Fabric()
    nics: tuple[Nic, ...] = ()
    faults: tuple[Fault, ...] = ()
    kernel: str = ""
    kernel_log: bool = True
    secure_boot: bool = False
    loaded: frozenset[str] = frozenset()

    @property
    def nouveau(self) -> bool:
        """Whether nouveau is loaded."""
        return NOUVEAU in self.loaded

    @property
    def ours(self) -> tuple[Gpu, ...]:
        """The GPUs that the host itself is to use."""
        return tuple(gpu for gpu in self.gpus if gpu.is_ours)

    @property
    def support(self) -> support.Support:
        """The drivers that serve all of these."""
        return support.common([support.support_of(gpu.chip) for gpu in self.ours])

    def as_dict(self) -> dict[str, Any]:
        """The facts in a module's result."""
        served = self.support
        return {
            "gpus": [{**asdict(gpu), "architecture": gpu.architecture} for gpu in self.gpus],
            "driver": {**asdict(self.driver), "branch": self.driver.branch, "nouveau": self.nouveau},
            "fabric": {**asdict(self.fabric), "needs_manager": self.fabric.needs_manager},
            "nics": [asdict(nic) for nic in self.nics],
            "faults": [asdict(fault) for fault in self.faults],
            "support": {
                "possible": served.is_possible,
                "flavours": sorted(served.flavours),
                "first_branch": served.earliest or None,
                "last_branch": served.last_branch,
            },
            "kernel_log": self.kernel_log,
        }


def branch_of(version: str) -> int | None:
    """The branch that a driver's version belongs to."""
    first = version.split(".")[0]
    return int(first) if first.isdigit() else None


def slot_of(pci: str) -> str:
    """A PCI address without its function, as the driver's errors name devices."""
    return pci.rsplit(".", 1)[0].lower()


def named(gpus: Sequence[Gpu]) -> str:
    """GPUs as a message names them: the models, and how many of each."""
    names = [gpu.model or f"10de:{gpu.device}" for gpu in gpus]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
