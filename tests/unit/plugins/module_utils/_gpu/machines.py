# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real machines with GPUs, as files: what their owners published of them, and no more.

What was published is mostly ``lspci``: addresses, device ids, classes and drivers are those. The form of the files is
that of the kernel (Documentation/ABI/testing/sysfs-bus-pci and sysfs-class-infiniband) and of the driver's source,
https://github.com/NVIDIA/open-gpu-kernel-modules: kernel-open/nvidia/nv-procfs.c for /proc/driver/nvidia,
src/nvidia/arch/nvalloc/unix/src/os.c for the directories of MIG. What was not published is not there; times in the log
are made up. None of these machines was at hand here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.unit.plugins.module_utils.host_fake import Machine

BOOTED = 1764547200  # 2025-12-01T00:00:00Z
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
PCI = "/sys/bus/pci/devices"


def link(machine: Machine, path: str, target: str) -> None:
    where = machine.root / path.lstrip("/")
    where.parent.mkdir(parents=True, exist_ok=True)
    where.symlink_to(target)


def device(machine: Machine, pci: str, vendor: str, device_id: str, kind: str, driver: str = "", sub: str = "") -> str:
    """A device on the PCI bus: ids as lspci -nn has them, with the class's two bytes as ``kind``."""
    where = f"{PCI}/{pci}"
    machine.write(f"{where}/vendor", f"0x{vendor}\n")
    machine.write(f"{where}/device", f"0x{device_id}\n")
    machine.write(f"{where}/class", f"0x{kind}00\n")
    if sub:
        machine.write(f"{where}/subsystem_device", f"0x{sub}\n")
    if driver:
        link(machine, f"{where}/driver", f"../../../../bus/pci/drivers/{driver}")
    return where


def gpu(machine: Machine, pci: str, device_id: str, driver: str = "nvidia", sub: str = "") -> str:
    return device(machine, pci, "10de", device_id, "0302", driver, sub)


def information(machine: Machine, pci: str, model: str, minor: int, **more: str) -> None:
    """The driver's own file of a GPU, with the fields in the order of the driver's source."""
    fields = [
        f"Model: \t\t {model}",
        *([f"GPU UUID: \t {more['uuid']}"] if "uuid" in more else []),
        f"Bus Location: \t {pci}",
        f"Device Minor: \t {minor}",
        *([f"GPU Firmware: \t {more['firmware']}"] if "firmware" in more else []),
        f"GPU Excluded:\t {more.get('excluded', 'No')}",
    ]
    machine.write(f"/proc/driver/nvidia/gpus/{pci}/information", "\n".join(fields) + "\n")


def driver(machine: Machine, version: str, nvrm: str = "") -> None:
    machine.write("/sys/module/nvidia/version", f"{version}\n")
    if nvrm:
        machine.write("/proc/driver/nvidia/version", f"NVRM version: {nvrm}\nGCC version:  gcc\n")


def modules(machine: Machine, *names: str) -> None:
    machine.write("/proc/modules", "".join(f"{name} 16384 0 - Live 0x0000000000000000\n" for name in names))


def library(machine: Machine, version: str) -> None:
    machine.write(f"{LIBRARIES}/libnvidia-ml.so.{version}", "")
    link(machine, f"{LIBRARIES}/libnvidia-ml.so.1", f"libnvidia-ml.so.{version}")


def kernel(machine: Machine, release: str, *has: str) -> None:
    """The kernel that runs, and the modules that lie there for it."""
    machine.write("/proc/sys/kernel/osrelease", f"{release}\n")
    machine.write(f"/lib/modules/{release}/modules.dep", "".join(f"{path}:\n" for path in has))


def log(machine: Machine, *messages: str) -> None:
    """The kernel's messages, one a second, beside one that a process wrote."""
    records = [f"6,{number},{number * 1_000_000},-;{text}\n" for number, text in enumerate(messages, 1)]
    machine.write("/dev/kmsg", "".join(records) + "12,99,99000000,-;systemd[1]: Reached target.\n SUBSYSTEM=none\n")
    machine.write("/proc/stat", f"cpu  1 2 3\nbtime {BOOTED}\n")


def process(machine: Machine, number: int, name: str) -> None:
    machine.write(f"/proc/{number}/comm", f"{name[:15]}\n")


def eight_t4(machine: Machine) -> None:
    """An AWS g4dn.metal, from the notes "NVIDIA vGPU on OpenShift": lspci -nnk -d 10de:, and
    /sys/module/nvidia/version. They do not show /proc/driver/nvidia, so that the modules' flavour is not known."""
    modules(machine, "nvidia")
    driver(machine, "570.133.10")
    for pci in ("18", "19", "35", "36", "e7", "e8", "f4", "f5"):
        gpu(machine, f"0000:{pci}:00.0", "1eb8", sub="12a2")


def p4(machine: Machine) -> None:
    """A home server, from notes on a Tesla P4 under fnOS: lspci -nnk, the version that nvidia-smi shows (there are no
    modules for a P4 but the proprietary ones) and the kernel's log with an application's Xid 31."""
    modules(machine, "nvidia", "nvidia_drm", "nvidia_modeset", "nvidia_uvm")
    driver(machine, "550.90.07", "NVIDIA UNIX x86_64 Kernel Module  550.90.07")
    library(machine, "550.90.07")
    gpu(machine, "0000:81:00.0", "1bb3", sub="11d8")
    information(machine, "0000:81:00.0", "Tesla P4", 0, uuid="GPU-71dcdf29-68ae-87d1-b57b-86d9f8f01ffc")
    log(
        machine,
        "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.90.07",
        "NVRM: GPU at PCI:0000:81:00: GPU-71dcdf29-68ae-87d1-b57b-86d9f8f01ffc",
        "NVRM: Xid (PCI:0000:81:00): 31, pid='<unknown>', name=<unknown>, Ch 00000016, intr 10000000. MMU Fault: "
        "ENGINE GRAPHICS HUBCLIENT_FECS faulted @ 0x0_00000000. Fault is of type FAULT_PDE ACCESS_TYPE_READ",
    )


def eight_a100(machine: Machine) -> None:
    """An HGX A100, from a post on giving its GPUs to virtual machines of OpenStack: lspci -nn, and lspci -k before they
    were given away. The driver's version is the one that the post installs; Fabric Manager is not spoken of."""
    kernel(machine, "3.10.0-1127.el7.x86_64")
    modules(machine, "nvidia", "nvidia_drm", "nvidia_modeset", "nvidia_uvm")
    driver(machine, "460.106.00", "NVIDIA UNIX x86_64 Kernel Module  460.106.00")
    for pci in ("25", "2b", "48", "4d", "8c", "91", "c5", "cb"):
        gpu(machine, f"0000:{pci}:00.0", "20b0", sub="134f")
    for pci in ("b7", "b8", "b9", "ba", "bb", "bc"):
        device(machine, f"0000:{pci}:00.0", "10de", "1af1", "0680")


def h100_mig(machine: Machine) -> None:
    """An H100, from https://topofmind.dev/notes/sysadmin/gpu: its information file, by which the driver's version is
    that of its firmware, and the begin of its configuration space. The instances are three of profile 1g.10gb as
    slurm-mig-discovery names them on another (gi7, gi8 and gi9, a ci0 in each)."""
    modules(machine, "nvidia", "nvidia_uvm")
    driver(machine, "535.129.03")
    where = gpu(machine, "0000:62:00.0", "2330", sub="16c1")
    space = bytes.fromhex("de10302347051000a100020300000000")
    (machine.root / where.lstrip("/") / "config").write_bytes(space)
    uuid = "GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b"
    information(machine, "0000:62:00.0", "NVIDIA H100 80GB HBM3", 5, uuid=uuid, firmware="535.129.03")
    for instance in (7, 8, 9):
        for name in (f"gi{instance}", f"gi{instance}/ci0"):
            minor = "DeviceFileMinor: 66\nDeviceFileMode: 292\nDeviceFileModify: 1\n"
            machine.write(f"/proc/driver/nvidia/capabilities/gpu5/mig/{name}/access", minor)


def eight_h100(machine: Machine) -> None:
    """A VM with the whole of an HGX H100, from notes on RHEL AI: lspci -Dnn, nvidia-smi's names, and Fabric Manager as
    systemctl shows it. The driver's version is not shown."""
    modules(machine, "nvidia", "nvidia_uvm")
    for number in range(8):
        pci = f"0000:{0x0D + number:02x}:00.0"
        gpu(machine, pci, "2330")
        information(machine, pci, "NVIDIA H100 80GB HBM3", number)
    for pci in ("09", "0a", "0b", "0c"):
        device(machine, f"0000:{pci}:00.0", "10de", "22a3", "0680")
    process(machine, 2116, "nv-fabricmanager")


def mismatch(machine: Machine) -> None:
    """A host with an A100, from a report of a first run on it (2026-09-14): the module that was loaded was 580.159.03,
    the libraries and the module on disk 580.173.02, and NVML failed."""
    kernel(machine, "6.8.0-134-generic", "updates/dkms/nvidia.ko.zst", "updates/dkms/nvidia-uvm.ko.zst")
    modules(machine, "nvidia", "nvidia_uvm")
    driver(machine, "580.159.03", "NVIDIA UNIX x86_64 Kernel Module  580.159.03")
    library(machine, "580.173.02")
    gpu(machine, "0000:3b:00.0", "20b0")
    information(machine, "0000:3b:00.0", "NVIDIA A100-SXM4-40GB", 0)


def nouveau(machine: Machine) -> None:
    """A host with two P4 that nouveau holds: kernel and trouble from NVIDIA/k8s-driver-manager issue 37, addresses from
    an lspci -nn of two P4."""
    kernel(machine, "5.14.0-284.11.1.el9_2.x86_64")
    modules(machine, "nouveau", "drm_ttm_helper", "i2c_algo_bit")
    gpu(machine, "0000:3b:00.0", "1bb3", driver="nouveau")
    gpu(machine, "0000:86:00.0", "1bb3", driver="nouveau")


def volta_with_open_modules(machine: Machine) -> None:
    """A Titan V under the open modules of 580.82, as its owner quotes the kernel's log: the driver loads, and the probe
    refuses the GPU."""
    modules(machine, "nvidia")
    driver(machine, "580.82", "NVIDIA UNIX Open Kernel Module for x86_64  580.82  Release Build")
    device(machine, "0000:05:00.0", "10de", "1d81", "0300")
    log(
        machine,
        "NVRM: The NVIDIA GPU 0000:05:00.0 (PCI ID: 10de:1d81)\\x0aNVRM: installed in this system is not supported by "
        "open nvidia.ko\\x0aNVRM: because it does not include the required GPU System Processor (GSP).",
    )


def passed_through(machine: Machine) -> None:
    """The same HGX A100 once vfio-pci has its GPUs."""
    kernel(machine, "3.10.0-1127.el7.x86_64")
    modules(machine, "vfio_pci")
    gpu(machine, "0000:4d:00.0", "20b0", driver="vfio-pci", sub="134f")


def no_gpu(machine: Machine) -> None:
    """A virtual machine without one, read off the one that this was written on. Its kernel has no modules."""
    machine.write("/proc/sys/kernel/osrelease", "6.18.44\n")
    device(machine, "0000:00:00.0", "8086", "0d57", "0600")
    for number, device_id, kind in ((1, "1045", "ffff"), (2, "1042", "0180"), (3, "1041", "0200")):
        device(machine, f"0000:00:0{number}.0", "1af4", device_id, kind, driver="virtio-pci")


MACHINES: dict[str, Callable[[Machine], None]] = {
    build.__name__: build
    for build in (
        eight_t4,
        p4,
        eight_a100,
        h100_mig,
        eight_h100,
        mismatch,
        nouveau,
        volta_with_open_modules,
        passed_through,
        no_gpu,
    )
}


def built(name: str, root: Path) -> Machine:
    machine = Machine(root)
    log(machine)
    MACHINES[name](machine)
    return machine
