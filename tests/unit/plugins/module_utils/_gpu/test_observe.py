# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read where, beside what the machines of the module's test show already."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu import observe
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.model import Link, Nic, Port

from tests.unit.plugins.module_utils._gpu import machines
from tests.unit.plugins.module_utils.host_fake import Machine

B200 = "2901"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machines.log(machine)
    return machine


def rdma(machine: Machine, name: str, pci: str, vpd: bytes = b"") -> str:
    """A ConnectX-7, in the form of sysfs-class-infiniband."""
    where = machines.device(machine, pci, "15b3", "1021", "0207", driver="mlx5_core")
    machine.write(f"{where}/numa_node", "1\n")
    (machine.root / where.lstrip("/") / "vpd").write_bytes(vpd)
    device = f"/sys/class/infiniband/{name}"
    machines.link(machine, f"{device}/device", f"../../../bus/pci/devices/{pci}")
    machine.write(f"{device}/ports/1/state", "4: ACTIVE\n")
    machine.write(f"{device}/ports/1/link_layer", "InfiniBand\n")
    machine.write(f"{device}/ports/1/rate", "400 Gb/sec (4X NDR)\n")
    return where


def test_an_rdma_card(machine: Machine) -> None:
    where = rdma(machine, "mlx5_0", "0000:0c:00.0")
    machine.write(f"{where}/net/ibp12s0/mtu", "4092\n")
    port = Port(1, "ACTIVE", "InfiniBand", "400 Gb/sec (4X NDR)")
    assert observe.observe(machine.host).nics == (Nic("mlx5_0", "0000:0c:00.0", 1, ("ibp12s0",), (port,)),)


@pytest.mark.parametrize(("device", "bridges"), [(B200, ("0000:05:00.0",)), ("2330", ())])
def test_cards_that_manage_switches_are_told_apart_where_there_are_such(
    machine: Machine, device: str, bridges: tuple[str, ...]
) -> None:
    machines.gpu(machine, "0000:1b:00.0", device)
    rdma(machine, "mlx5_4", "0000:05:00.0", vpd=b"\x82\x10\x00ConnectX-7\x90VA SMDL=SW_MNG\x78")
    rdma(machine, "mlx5_5", "0000:0c:00.0", vpd=b"\x82\x10\x00ConnectX-7\x78")
    seen = observe.observe(machine.host)
    assert seen.fabric.bridges == bridges
    assert [nic.pci for nic in seen.nics] == [pci for pci in ("0000:05:00.0", "0000:0c:00.0") if pci not in bridges]


def test_the_link_and_the_node_of_a_gpu(machine: Machine) -> None:
    where = machines.gpu(machine, "0000:25:00.0", "20b0")
    for name, text in (
        ("current_link_speed", "2.5 GT/s PCIe"),
        ("current_link_width", "8"),
        ("max_link_speed", "16.0 GT/s PCIe"),
        ("max_link_width", "16"),
        ("numa_node", "3"),
    ):
        machine.write(f"{where}/{name}", f"{text}\n")
    (gpu,) = observe.observe(machine.host).gpus
    assert (gpu.link, gpu.numa_node) == (Link("2.5 GT/s PCIe", 8, "16.0 GT/s PCIe", 16), 3)
    machine.write(f"{where}/numa_node", "-1\n")
    assert observe.observe(machine.host).gpus[0].numa_node is None


def test_virtual_functions_and_other_functions_are_no_gpus(machine: Machine) -> None:
    machines.gpu(machine, "0000:25:00.0", "20b0")
    where = machines.gpu(machine, "0000:25:00.4", "20b0")
    machines.link(machine, f"{where}/physfn", "../0000:25:00.0")
    machines.device(machine, "0000:01:00.1", "10de", "10f0", "0403", driver="snd_hda_intel")
    machines.device(machine, "0000:04:00.0", "1a03", "2000", "0300", driver="ast")
    assert [gpu.pci for gpu in observe.observe(machine.host).gpus] == ["0000:25:00.0"]


def test_a_gpu_that_fell_off_the_bus(machine: Machine) -> None:
    where = machines.gpu(machine, "0000:25:00.0", "20b0")
    (machine.root / where.lstrip("/") / "config").write_bytes(b"\xff" * 64)
    assert not observe.observe(machine.host).gpus[0].answers


@pytest.mark.parametrize("field", ["GPU Excluded", "Blacklisted"])
def test_a_gpu_that_the_driver_leaves_alone(machine: Machine, field: str) -> None:
    machines.gpu(machine, "0000:25:00.0", "20b0")
    machine.write("/proc/driver/nvidia/gpus/0000:25:00.0/information", f"Model: \t\t X\n{field}:\t Yes\n")
    assert observe.observe(machine.host).gpus[0].excluded


def test_every_gpu_has_the_directory_of_mig_and_few_have_instances(machine: Machine) -> None:
    machines.gpu(machine, "0000:25:00.0", "20b0")
    machines.information(machine, "0000:25:00.0", "NVIDIA A100-SXM4-40GB", 0)
    (machine.root / "proc/driver/nvidia/capabilities/gpu0/mig").mkdir(parents=True)
    assert observe.observe(machine.host).gpus[0].mig == ()


def operators(machine: Machine) -> None:
    machine.write("/run/nvidia/driver/usr/lib64/libnvidia-ml.so.580.95.05", "")
    machines.link(machine, "/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1", "libnvidia-ml.so.580.95.05")


def debians(machine: Machine) -> None:
    current = f"{machines.LIBRARIES}/nvidia/current"
    machines.link(machine, f"{current}/libnvidia-ml.so.1", "libnvidia-ml.so.580.95.05")
    machines.link(machine, "/etc/alternatives/glx--libnvidia-ml.so.1", f"{current}/libnvidia-ml.so.1")
    machines.link(machine, f"{machines.LIBRARIES}/libnvidia-ml.so.1", "/etc/alternatives/glx--libnvidia-ml.so.1")


def plain(machine: Machine) -> None:
    machines.library(machine, "580.95.05")
    machine.write(f"{machines.LIBRARIES}/libnvidia-ml.so.535.161.08", "")  # an older one that was left there


@pytest.mark.parametrize("layout", [operators, debians, plain])
def test_the_libraries_that_programs_load(machine: Machine, layout: Callable[[Machine], None]) -> None:
    layout(machine)
    assert observe.observe(machine.host).driver.userspace == "580.95.05"


def test_the_driver_tells_its_version_where_sysfs_does_not(machine: Machine) -> None:
    nvrm = "NVIDIA UNIX x86_64 Kernel Module  550.135  Fri Jan 10 20:00:00 UTC 2025"
    machine.write("/proc/driver/nvidia/version", f"NVRM version: {nvrm}\n")
    seen = observe.observe(machine.host).driver
    assert (seen.loaded, seen.version, seen.flavour, seen.branch) == (True, "550.135", "proprietary", 550)


def test_processes_packages_and_the_firmware(machine: Machine) -> None:
    machines.gpu(machine, "0000:1b:00.0", B200)
    machines.process(machine, 1, "systemd")
    machines.process(machine, 77, "nv-fabricmanager")
    machines.process(machine, 78, "nvlsm")
    machine.write("/var/lib/dpkg/status", "Package: nvidia-fabricmanager\nStatus: install ok installed\nVersion: 1-2\n")
    path = machine.root / observe.SECURE_BOOT.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x06\x00\x00\x00\x01")
    seen = observe.observe(machine.host)
    assert (seen.fabric.manager_runs, seen.fabric.subnet_manager_runs, seen.fabric.installed) == (True, True, "1")
    assert seen.secure_boot


def test_a_module_that_is_built_and_not_loaded(machine: Machine) -> None:
    machines.kernel(machine, "6.8.0", "updates/dkms/nvidia.ko.zst")
    seen = observe.observe(machine.host).driver
    assert (seen.built, seen.loaded, seen.branch) == (True, False, None)


def test_the_log_is_not_waited_for(machine: Machine) -> None:
    """A pipe behaves as /dev/kmsg does at its end: who reads on waits, unless told not to."""
    path = machine.root / "dev/kmsg"
    path.unlink()
    os.mkfifo(path)
    keeps_open = os.open(path, os.O_RDWR)
    try:
        os.write(keeps_open, b"6,1,1000000,-;NVRM: Xid (PCI:0000:25:00): 79, GPU has fallen off the bus.\n")
        assert "Xid" in (observe.kernel_log(machine.host) or "")
    finally:
        os.close(keeps_open)


def test_a_record_that_was_overwritten_is_passed_over(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[bytes | int] = [b"6,1,1,-;one\n", errno.EPIPE, b"6,9,1,-;nine\n", errno.EAGAIN]

    def read(_descriptor: int, _size: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer

    monkeypatch.setattr(observe.os, "read", read)
    assert observe.kernel_log(machine.host) == "6,1,1,-;one\n6,9,1,-;nine\n"


def test_a_log_that_cannot_be_read_is_told(machine: Machine) -> None:
    machines.gpu(machine, "0000:25:00.0", "20b0")
    assert observe.observe(machine.host).kernel_log
    (machine.root / "dev/kmsg").unlink()
    assert not observe.observe(machine.host).kernel_log
