# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a host's GPUs, and what to do; private to this collection.

Every rule is a function of the :class:`Machine` alone. Errors keep GPUs from being used, or let work on them fail;
warnings are what a person should know. Work on a host that has errors is refused by whoever calls this, not here: the
one who puts the driver right has to look first as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import WARNING, Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu import support, xid
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.model import (
    NOUVEAU,
    NVIDIA_DRIVER,
    OPEN,
    PROPRIETARY,
    RIVALS,
    Fault,
    Gpu,
    Machine,
    named,
    slot_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import kernel_version, problem

# The two ways of GPUDirect RDMA: "GPUDirect RDMA and GPUDirect Storage" of NVIDIA's GPU Operator. This kernel was the
# first that handed DMA-BUFs to RDMA devices.
_DMA_BUF_KERNEL = (5, 12)
_PEER_MEMORY = "nvidia_peermem"
_SUBNET_MANAGER_MODULE = "ib_umad"


@dataclass(frozen=True)
class Planned:
    """A driver that somebody means to install. ``branch`` None and an empty ``flavour`` are not judged."""

    branch: int | None = None
    flavour: str = ""


def judge(machine: Machine, planned: Planned | None = None) -> list[Finding]:
    """Everything that is wrong on the host, and with the driver that is planned for it."""
    return [
        *_no_driver_serves_all(machine),
        *_rivals(machine),
        *_no_driver(machine),
        *_loaded_driver(machine),
        *_planned_driver(machine, planned or Planned()),
        *_userspace(machine),
        *_fabric_manager(machine),
        *_subnet_manager(machine),
        *_gpus(machine),
        *_faults(machine),
        *_no_log(machine),
        *_gpu_rdma(machine),
    ]


def _rivals(machine: Machine) -> Iterator[Finding]:
    held = [gpu for gpu in machine.gpus if gpu.driver in RIVALS]
    for gpu in held:
        yield problem(
            "GP101-other-driver-holds-gpu",
            gpu.pci,
            f"{gpu.driver} holds {_name(gpu)}, so that NVIDIA's driver cannot.",
            _blacklist(RIVALS[gpu.driver]),
        )
    if machine.nouveau and machine.ours and not held:
        yield _warning(
            "GP102-nouveau-loaded",
            NOUVEAU,
            "it is loaded, holds no GPU now, and may take one at the next boot.",
            _blacklist(RIVALS[NOUVEAU]),
        )


def _blacklist(modules: Sequence[str]) -> str:
    lines = [f"blacklist {name}" for name in modules] + [f"options {NOUVEAU} modeset=0"] * (NOUVEAU in modules)
    return f"Write {' and '.join(repr(line) for line in lines)} to /etc/modprobe.d, rebuild the initramfs and reboot."


def _no_driver(machine: Machine) -> Iterator[Finding]:
    """GPUs that nothing holds. Those that the driver does not serve are told by another rule."""
    idle = [gpu for gpu in machine.ours if not gpu.driver]
    if machine.driver.loaded:
        for gpu in idle:
            if not _refusals([gpu], machine.driver.branch, machine.driver.flavour):
                yield problem(
                    "GP104-gpu-without-driver",
                    gpu.pci,
                    f"NVIDIA's driver is loaded and does not hold {_name(gpu)}.",
                    "See what the kernel's log says of it (dmesg, lines with NVRM), then reload the driver or reboot.",
                )
    elif idle:
        yield _driver_not_loaded(machine, ", ".join(gpu.pci for gpu in idle))


def _driver_not_loaded(machine: Machine, idle: str) -> Finding:
    if not machine.driver.built:
        serves = f" What serves all GPUs: {machine.support}." if machine.support.is_possible else ""
        return problem(
            "GP103-no-driver",
            "driver",
            f"there is no nvidia module for the kernel {machine.kernel}, and nothing holds {idle}.",
            f"Install the driver, with this kernel's headers where DKMS builds it.{serves}",
        )
    signed = "Secure Boot is on: enrol the key that signed it (mokutil --import) and reboot. "
    return problem(
        "GP103-no-driver",
        "driver",
        f"the nvidia module is there for the kernel {machine.kernel} and is not loaded; nothing holds {idle}.",
        f"{signed if machine.secure_boot else ''}Load it (modprobe nvidia); the kernel's log (dmesg) says why if that "
        "fails.",
    )


@dataclass(frozen=True)
class _Refusal:
    """Why a driver does not serve some GPUs; ``of_flavour`` if it is the kernel modules' flavour, not the branch."""

    code: str
    why: str
    of_flavour: bool = False


def _loaded_driver(machine: Machine) -> Iterator[Finding]:
    driver = machine.driver
    if not driver.loaded or not machine.support.is_possible:
        return
    for refusal, gpus in _refusals(machine.ours, driver.branch, driver.flavour).items():
        yield problem(
            refusal.code,
            "driver",
            f"{driver.version} is loaded, but {refusal.why} ({named(gpus)}).",
            f"Install what serves all GPUs of the host: {machine.support}.",
        )


def _planned_driver(machine: Machine, planned: Planned) -> Iterator[Finding]:
    if not machine.support.is_possible:
        return
    for refusal, gpus in _refusals(machine.ours, planned.branch, planned.flavour).items():
        yield problem(
            refusal.code,
            "flavour" if refusal.of_flavour else "branch",
            f"it is planned, but {refusal.why} ({named(gpus)}).",
            f"Plan what serves all GPUs of the host: {machine.support}.",
        )


def _refusals(gpus: Sequence[Gpu], branch: int | None, flavour: str) -> dict[_Refusal, list[Gpu]]:
    """Why a driver does not serve these GPUs, and which of them."""
    found: dict[_Refusal, list[Gpu]] = {}
    for gpu in gpus:
        for refusal in _refused(gpu, branch, flavour):
            found.setdefault(refusal, []).append(gpu)
    return found


def _refused(gpu: Gpu, branch: int | None, flavour: str) -> Iterator[_Refusal]:
    served, kind = support.support_of(gpu.chip), gpu.architecture
    if flavour == OPEN and OPEN not in served.flavours:
        why = f"the open kernel modules serve Turing and later, not {kind}"
        yield _Refusal("GP111-needs-proprietary-modules", why, of_flavour=True)
    if flavour == PROPRIETARY and PROPRIETARY not in served.flavours:
        why = f"{kind} on this board is served by the open kernel modules alone"
        yield _Refusal("GP112-needs-open-modules", why, of_flavour=True)
    if branch is None:
        return
    if served.last_branch is not None and branch > served.last_branch:
        yield _Refusal("GP113-branch-too-late", f"{served.last_branch} is the last branch that serves {kind}")
    if branch < served.first_branch:
        yield _Refusal("GP114-branch-too-early", f"{served.first_branch} is the first branch that serves {kind}")
    elif flavour == OPEN and branch < support.FIRST_OPEN_BRANCH:
        first = support.FIRST_OPEN_BRANCH
        yield _Refusal("GP114-branch-too-early", f"{first} is the first branch with open kernel modules")


def _no_driver_serves_all(machine: Machine) -> Iterator[Finding]:
    if machine.support.is_possible:
        return
    each = "; ".join(dict.fromkeys(f"{_name(gpu)}: {support.support_of(gpu.chip)}" for gpu in machine.ours))
    yield problem(
        "GP115-no-driver-serves-all",
        "gpus",
        f"no driver serves all GPUs of this host ({each}).",
        "Move GPUs to other hosts, so that one driver serves those of each.",
    )


def _userspace(machine: Machine) -> Iterator[Finding]:
    loaded, library = machine.driver.version, machine.driver.userspace
    if machine.driver.loaded and loaded and library and loaded != library:
        yield problem(
            "GP121-version-mismatch",
            "driver",
            f"the module that is loaded is {loaded} and the libraries are {library}: whatever begins to use a GPU now "
            "fails (NVML: Driver/library version mismatch).",
            f"Drain the node of GPU pods, then unload the modules and load those of {library}, or reboot.",
        )


def _fabric_manager(machine: Machine) -> Iterator[Finding]:
    fabric, driver = machine.fabric, machine.driver
    if not fabric.needs_manager:
        if fabric.manager_runs or fabric.installed:
            yield _warning(
                "GP133-fabric-manager-not-needed",
                "fabric",
                "Fabric Manager is there, and no NVSwitch that it could manage: its service fails.",
                "Remove its package.",
            )
        return
    if not driver.loaded:
        return
    if fabric.installed and driver.version and fabric.installed != driver.version:
        yield problem(
            "GP132-fabric-manager-version",
            "fabric",
            f"Fabric Manager is {fabric.installed} and the driver {driver.version}; it works with its own alone.",
            f"Install Fabric Manager {driver.version} and restart nvidia-fabricmanager.service.",
        )
    if not fabric.manager_runs:
        yield problem(
            "GP131-fabric-manager-down",
            "fabric",
            "the GPUs are connected by NVSwitches and Fabric Manager does not run: CUDA fails with error 802.",
            f"Install Fabric Manager {driver.version}, the driver's own version, and enable and start "
            "nvidia-fabricmanager.service.",
        )


def _subnet_manager(machine: Machine) -> Iterator[Finding]:
    if not machine.fabric.bridges or not machine.driver.loaded:
        return
    missing = [
        *(() if machine.fabric.subnet_manager_runs else ("nvlsm does not run",)),
        *(() if _SUBNET_MANAGER_MODULE in machine.loaded else (f"{_SUBNET_MANAGER_MODULE} is not loaded",)),
    ]
    if missing:
        yield problem(
            "GP134-subnet-manager-down",
            "fabric",
            f"the NVSwitches are of the fourth generation, and {' and '.join(missing)}: Fabric Manager cannot reach "
            "them.",
            f"Install nvlsm and infiniband-diags, load {_SUBNET_MANAGER_MODULE} at boot, and restart "
            "nvidia-fabricmanager.service.",
        )


def _gpus(machine: Machine) -> Iterator[Finding]:
    for gpu in machine.gpus:
        if not gpu.answers:
            yield problem(
                "GP141-gpu-lost",
                gpu.pci,
                f"{_name(gpu)} does not answer on its bus any more.",
                "Drain the node and power it off and on; if it comes back lost, have it repaired.",
            )
        if gpu.excluded:
            yield _warning(
                "GP142-gpu-excluded",
                gpu.pci,
                f"the driver was told to leave {_name(gpu)} alone.",
                "Remove it from NVreg_ExcludedGpus in /etc/modprobe.d if that was not meant.",
            )


_ASKED = {
    xid.RESET: "Drain the node of GPU pods and reset the GPU (nvidia-smi --gpu-reset), or reboot.",
    xid.REBOOT: "Drain the node and reboot it; if it comes back, have the GPU and its slot looked at.",
    xid.REPAIR: "Drain the node and look at the GPU's power cables and seat.",
    xid.WEARS: "Reset the GPU when the node is drained next; if it comes often, have the GPU tested.",
    xid.UNKNOWN: "Look it up in NVIDIA's Xid catalog.",
}
_ONLY_WARNED_OF = (xid.WEARS, xid.UNKNOWN)


def _faults(machine: Machine) -> Iterator[Finding]:
    for fault in machine.faults:
        if fault.source == "sxid":
            yield from _switch_fault(fault)
            continue
        action = xid.action_of(fault.code, fault.message)
        if action == xid.NOTHING:
            continue
        gpu = next((gpu for gpu in machine.gpus if slot_of(gpu.pci) == fault.pci), None)
        make = _warning if action in _ONLY_WARNED_OF else problem
        code = f"GP151-xid-{action}"
        yield make(code, fault.pci, f"{_name(gpu) if gpu else 'a GPU'} had Xid {_told(fault)}", _ASKED[action])


def _switch_fault(fault: Fault) -> Iterator[Finding]:
    """The others do not ask for anything: Fabric Manager's guide, on SXid errors."""
    if fault.fatal:
        yield problem(
            "GP152-sxid-fatal",
            fault.pci,
            f"an NVSwitch had SXid {_told(fault)}",
            "Drain the node and reboot it; if it comes back, have the board repaired.",
        )


def _no_log(machine: Machine) -> Iterator[Finding]:
    if not machine.kernel_log and machine.ours:
        yield _warning(
            "GP153-health-unknown",
            "kernel_log",
            "the kernel's log cannot be read, so that nobody knows what errors the GPUs had.",
            "Run with become as root.",
        )


def _gpu_rdma(machine: Machine) -> Iterator[Finding]:
    up = [nic.name for nic in machine.nics if nic.is_up]
    used = any(gpu.driver == NVIDIA_DRIVER for gpu in machine.gpus)
    by_dma_buf = machine.driver.flavour == OPEN and kernel_version(machine.kernel) >= _DMA_BUF_KERNEL
    if not up or not used or by_dma_buf or _PEER_MEMORY in machine.loaded:
        return
    yield _warning(
        "GP161-no-gpu-rdma",
        ", ".join(up),
        "RDMA does not reach the GPUs' memory: nvidia_peermem is not loaded, and DMA-BUF needs the open kernel modules "
        f"and a kernel of {'.'.join(map(str, _DMA_BUF_KERNEL))} or later.",
        "Load nvidia_peermem at boot (/etc/modules-load.d), or go to the open kernel modules.",
    )


def _told(fault: Fault) -> str:
    times = "once" if fault.count == 1 else f"{fault.count} times"
    return f"{fault.code} {times}, last at {fault.time}: {fault.message or 'nothing more is said'}"


def _name(gpu: Gpu) -> str:
    return gpu.model or f"the GPU 10de:{gpu.device}"


def _warning(code: str, variable: str, message: str, remedy: str) -> Finding:
    return Finding(code=code, severity=WARNING, host="", variable=variable, message=message, remedy=remedy)
