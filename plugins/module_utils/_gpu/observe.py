# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a host's GPUs are looked at: files are read, no program is run; private to this collection, runs on hosts."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu import parse, support
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.model import (
    NVIDIA_DRIVER,
    Driver,
    Fabric,
    Gpu,
    GpuInstance,
    Link,
    Machine,
    Nic,
    Port,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host

PCI = "/sys/bus/pci/devices"
INFINIBAND = "/sys/class/infiniband"
PROC_DRIVER = "/proc/driver/nvidia"
KERNEL_LOG = "/dev/kmsg"
DPKG_STATUS = "/var/lib/dpkg/status"
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
# Where the driver's libraries are; the first are those of a GPU operator, which brings a driver of its own.
LIBRARIES = (
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu",
    "/run/nvidia/driver/usr/lib/aarch64-linux-gnu",
    "/run/nvidia/driver/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
)
LIBRARY = "libnvidia-ml.so.1"

_NVIDIA, _MELLANOX = "0x10de", "0x15b3"
_DISPLAY_CLASS, _SWITCH_CLASS = "0x03", "0x0680"
# /proc cuts the names of processes after 15 characters.
_FABRIC_MANAGER, _SUBNET_MANAGER = "nv-fabricmanager"[:15], "nvlsm"
_LOG_CHUNK = 65536


def observe(host: Host) -> Machine:
    """Everything that the host shows of its GPUs and of what they need."""
    devices = host.entries(PCI)
    nvidia = [pci for pci in devices if _line(host, f"{PCI}/{pci}/vendor") == _NVIDIA]
    gpus = tuple(_gpu(host, pci) for pci in nvidia if _is_gpu(host, pci))
    loaded = parse.module_names(host.read_text("/proc/modules"))
    kernel = _line(host, "/proc/sys/kernel/osrelease")
    log = kernel_log(host) if nvidia else ""
    nics, bridges = _nics(host, bridges_too=any(support.hides_switches(gpu.chip) for gpu in gpus))
    return Machine(
        gpus=gpus,
        driver=_driver(host, kernel, loaded),
        fabric=_fabric(host, nvidia, bridges),
        nics=nics,
        faults=parse.faults(log or "", parse.boot_time(host.read_text("/proc/stat"))),
        kernel=kernel,
        kernel_log=log is not None,
        secure_boot=parse.secure_boot(host.read(SECURE_BOOT) or b""),
        loaded=loaded,
    )


def kernel_log(host: Host) -> str | None:
    """What the kernel's log holds now; None where it may not be read."""
    try:
        descriptor = os.open(host.at(KERNEL_LOG), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    chunks: list[bytes] = []
    try:
        while True:
            chunk = _next_record(descriptor)
            if not chunk:
                return b"".join(chunks).decode(errors="replace")
            chunks.append(chunk)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _next_record(descriptor: int) -> bytes:
    """The next record; empty at the end, where the kernel would have the reader wait."""
    while True:
        try:
            return os.read(descriptor, _LOG_CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.EPIPE:  # the record was overwritten meanwhile: go on with the oldest there is
                raise


def _is_gpu(host: Host, pci: str) -> bool:
    """Virtual functions are parts of a GPU that has them for virtual machines."""
    is_function = os.path.lexists(host.at(f"{PCI}/{pci}/physfn"))
    return not is_function and _line(host, f"{PCI}/{pci}/class").startswith(_DISPLAY_CLASS)


def _gpu(host: Host, pci: str) -> Gpu:
    where = f"{PCI}/{pci}"
    device = _line(host, f"{where}/device").replace("0x", "")
    told = parse.fields_of(host.read_text(f"{PROC_DRIVER}/gpus/{pci}/information"))
    minor = _number(told.get("Device Minor", ""))
    return Gpu(
        pci=pci,
        device=device,
        subsystem=_line(host, f"{where}/subsystem_device").replace("0x", ""),
        driver=_link_name(host, f"{where}/driver"),
        model=told.get("Model", "") or support.MODELS.get(int(device or "0", 16), ""),
        uuid=told.get("GPU UUID", ""),
        minor=minor,
        firmware=told.get("GPU Firmware", ""),
        excluded=told.get("GPU Excluded", told.get("Blacklisted", "")) == "Yes",
        numa_node=_numa_node(host, where),
        link=_link(host, where),
        mig=_mig(host, minor),
        answers=(host.read(f"{where}/config") or b"")[:4] != b"\xff" * 4,
    )


def _link(host: Host, where: str) -> Link:
    return Link(
        _line(host, f"{where}/current_link_speed"),
        _number(_line(host, f"{where}/current_link_width")) or 0,
        _line(host, f"{where}/max_link_speed"),
        _number(_line(host, f"{where}/max_link_width")) or 0,
    )


def _mig(host: Host, minor: int | None) -> tuple[GpuInstance, ...]:
    """The directories of MIG instances. The driver makes the one above them for every GPU, with MIG or without."""
    where = f"{PROC_DRIVER}/capabilities/gpu{minor}/mig"
    instances = _numbered(host.entries(where), "gi")
    return tuple(
        GpuInstance(number, tuple(_numbered(host.entries(f"{where}/gi{number}"), "ci"))) for number in instances
    )


def _driver(host: Host, kernel: str, loaded: frozenset[str]) -> Driver:
    version, flavour = parse.driver_version(host.read_text(f"{PROC_DRIVER}/version"))
    version = version or _line(host, "/sys/module/nvidia/version")
    return Driver(
        loaded=NVIDIA_DRIVER in loaded or bool(version),
        version=version,
        flavour=flavour,
        userspace=_userspace(host),
        built=parse.has_driver_module(host.read_text(f"/lib/modules/{kernel}/modules.dep")),
        modules=tuple(sorted(name for name in loaded if name.split("_", 1)[0] == NVIDIA_DRIVER)),
    )


def _userspace(host: Host) -> str:
    """The version of the library that programs load: the one that the name without a version leads to."""
    for directory in LIBRARIES:
        version = parse.library_version(os.path.basename(host.resolve(f"{directory}/{LIBRARY}")))
        if version:
            return version
    return ""


def _fabric(host: Host, nvidia: Sequence[str], bridges: tuple[str, ...]) -> Fabric:
    if not nvidia:
        return Fabric()
    processes = {_line(host, f"/proc/{name}/comm") for name in host.entries("/proc") if name.isdigit()}
    return Fabric(
        switches=tuple(pci for pci in nvidia if _line(host, f"{PCI}/{pci}/class").startswith(_SWITCH_CLASS)),
        bridges=bridges,
        manager_runs=_FABRIC_MANAGER in processes,
        subnet_manager_runs=_SUBNET_MANAGER in processes,
        installed=parse.fabric_manager_package(host.read_text(DPKG_STATUS)),
    )


def _nics(host: Host, bridges_too: bool) -> tuple[tuple[Nic, ...], tuple[str, ...]]:
    """The RDMA devices, and apart from them those that manage NVSwitches.

    A device's product data is slow to read, so it is read only where the GPUs are such that it matters.
    """
    nics, bridges = [], []
    for name in host.entries(INFINIBAND):
        where = f"{INFINIBAND}/{name}"
        pci = os.path.basename(os.path.realpath(host.at(f"{where}/device")))
        manages = bridges_too and _line(host, f"{where}/device/vendor") == _MELLANOX
        if manages and parse.is_switch_management(host.read(f"{where}/device/vpd") or b""):
            bridges.append(pci)
            continue
        interfaces = tuple(host.entries(f"{where}/device/net"))
        nics.append(Nic(name, pci, _numa_node(host, f"{where}/device"), interfaces, _ports(host, f"{where}/ports")))
    return tuple(nics), tuple(sorted(set(bridges)))


def _ports(host: Host, where: str) -> tuple[Port, ...]:
    return tuple(
        Port(
            number,
            _line(host, f"{where}/{number}/state").partition(":")[2].strip(),
            _line(host, f"{where}/{number}/link_layer"),
            _line(host, f"{where}/{number}/rate"),
        )
        for number in _numbered(host.entries(where), "")
    )


def _numbered(names: Sequence[str], prefix: str) -> list[int]:
    found = (name[len(prefix) :] for name in names if name.startswith(prefix))
    return sorted(int(number) for number in found if number.isdigit())


def _numa_node(host: Host, where: str) -> int | None:
    return _number(_line(host, f"{where}/numa_node"))


def _number(text: str) -> int | None:
    """A number; None for what is none, and for -1, by which sysfs says that there is no node."""
    return int(text) if text.isdigit() else None


def _line(host: Host, path: str) -> str:
    return host.read_text(path).strip()


def _link_name(host: Host, path: str) -> str:
    try:
        return os.path.basename(os.readlink(host.at(path)))
    except OSError:
        return ""
