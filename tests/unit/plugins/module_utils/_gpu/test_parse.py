# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu import parse

# As users quote them, of both flavours and of both processors.
VERSIONS = [
    ("NVIDIA UNIX x86_64 Kernel Module  418.56  Fri Mar 15 12:59:26 CDT 2019", "418.56", "proprietary"),
    ("NVIDIA UNIX x86_64 Kernel Module  440.95.01  Thu May 28 07:03:08 UTC 2020", "440.95.01", "proprietary"),
    (
        "NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22-I3-B17-02-5)  "
        "Tue Sep 23 09:55:41 UTC 2025",
        "580.95.05",
        "open",
    ),
    ("NVIDIA UNIX Open Kernel Module for aarch64  580.65.06  Release Build", "580.65.06", "open"),
    ("something else", "", ""),
]


@pytest.mark.parametrize(("nvrm", "version", "flavour"), VERSIONS)
def test_version_and_flavour_of_the_loaded_driver(nvrm: str, version: str, flavour: str) -> None:
    gcc = "GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04.2)"
    assert parse.driver_version(f"NVRM version: {nvrm}\n{gcc}\n") == (version, flavour)


def test_no_driver_has_no_version() -> None:
    assert parse.driver_version("") == ("", "")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("libnvidia-ml.so.580.173.02", "580.173.02"),
        ("libnvidia-ml.so.418.56", "418.56"),
        ("libnvidia-ml.so.1", ""),
        ("libnvidia-ml.so", ""),
        ("libcuda.so.580.173.02", ""),
    ],
)
def test_the_version_of_a_library(name: str, version: str) -> None:
    assert parse.library_version(name) == version


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("updates/dkms/nvidia.ko.zst: kernel/drivers/acpi/video.ko.zst", True),
        ("extra/nvidia.ko.xz:", True),
        ("kernel/drivers/video/nvidia.ko:", True),
        ("updates/dkms/nvidia-current.ko:", True),
        ("updates/dkms/nvidia-drm.ko.zst: updates/dkms/nvidia-modeset.ko.zst updates/dkms/nvidia-uvm.ko.zst", False),
        ("kernel/drivers/video/fbdev/nvidia/nvidiafb.ko:", False),
        ("", False),
    ],
)
def test_whether_a_module_is_there_for_the_kernel(line: str, there: bool) -> None:
    assert parse.has_driver_module(f"kernel/fs/xfs/xfs.ko:\n{line}\n") is there


DPKG = """Package: nvidia-fabricmanager-550
Status: deinstall ok config-files
Version: 550.54.14-0ubuntu0.24.04.1

Package: nvidia-fabricmanager-dev-580
Status: install ok installed
Version: 580.65.06-1

Package: nvidia-fabricmanager-580
Status: install ok installed
Version: 580.95.05-0ubuntu0.24.04.2
"""


@pytest.mark.parametrize(
    ("status", "version"),
    [(DPKG, "580.95.05"), (DPKG[: DPKG.index("Package: nvidia-fabricmanager-580")], ""), ("", "")],
)
def test_the_package_that_is_installed_and_no_other(status: str, version: str) -> None:
    assert parse.fabric_manager_package(status) == version


def record(number: int, text: str, priority: int = 4) -> str:
    return f"{priority},{number},{number * 1_000_000},-;{text}\n"


OFF_THE_BUS = "NVRM: Xid (PCI:0000:05:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


@pytest.mark.parametrize(
    ("text", "source", "pci", "code", "message", "fatal"),
    [
        (OFF_THE_BUS, "xid", "0000:05:00", 79, "GPU has fallen off the bus.", False),
        ("NVRM: Xid (0000:03:00): 14, Channel 00000001", "xid", "0000:03:00", 14, "Channel 00000001", False),
        ("NVRM: Xid (PCI:0000:B3:00.0): 79", "xid", "0000:b3:00", 79, "", False),
        (
            "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error (First)",
            "sxid",
            "0000:05:00",
            12028,
            "Link 32 egress non-posted PRIV error (First)",
            False,
        ),
        (
            "nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
            "sxid",
            "0000:00:00",
            20034,
            "Link 30 LTSSM Fault Up",
            True,
        ),
    ],
)
def test_errors_in_the_log(text: str, source: str, pci: str, code: int, message: str, fatal: bool) -> None:
    (fault,) = parse.faults(record(60, text), booted=0)
    assert (fault.source, fault.pci, fault.code, fault.fatal) == (source, pci, code, fatal)
    assert fault.message.endswith(message)
    assert (fault.count, fault.time) == (1, "1970-01-01T00:01:00Z")


@pytest.mark.parametrize(
    "text",
    [
        record(1, OFF_THE_BUS, priority=12),  # a process's, not the kernel's
        record(1, "NVRM: Xid (PCI:0000:66:00): abc, pid=1"),
        record(1, "NVRM: GPU 0000:01:00.0: GPU has fallen off the bus."),
        f" {OFF_THE_BUS}\n",
        OFF_THE_BUS + "\n",
        "",
    ],
)
def test_what_is_no_error_of_the_driver(text: str) -> None:
    assert parse.faults(text, booted=0) == ()


def test_errors_of_one_kind_are_counted_and_the_last_is_told() -> None:
    log = record(1, f"{OFF_THE_BUS} first") + record(2, OFF_THE_BUS.replace("05:00", "06:00"))
    first, second = parse.faults(log + record(3, f"{OFF_THE_BUS} last"), booted=0)
    assert (first.pci, first.count, first.time, first.message[-4:]) == ("0000:05:00", 2, "1970-01-01T00:00:03Z", "last")
    assert (second.pci, second.count) == ("0000:06:00", 1)


def test_a_driver_that_was_loaded_again_begins_anew() -> None:
    loads = "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build"
    log = record(1, loads) + record(2, OFF_THE_BUS) + record(3, loads)
    assert parse.faults(log, booted=0) == ()
    (fault,) = parse.faults(log + record(4, OFF_THE_BUS), booted=0)
    assert fault.count == 1


def test_a_long_message_is_cut() -> None:
    (fault,) = parse.faults(record(1, OFF_THE_BUS + "x" * 500), booted=0)
    assert len(fault.message) == 200


@pytest.mark.parametrize(
    ("variable", "on"), [(b"\x06\x00\x00\x00\x01", True), (b"\x06\x00\x00\x00\x00", False), (b"", False)]
)
def test_secure_boot(variable: bytes, on: bool) -> None:
    assert parse.secure_boot(variable) is on
