# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The texts of the driver and the kernel; private to this collection.

Files below /proc/driver/nvidia: kernel-open/nvidia/nv-procfs.c of https://github.com/NVIDIA/open-gpu-kernel-modules.
Records of /dev/kmsg: Documentation/ABI/testing/dev-kmsg of Linux.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.model import (
    OPEN,
    PROPRIETARY,
    Fault,
    slot_of,
)

_NVRM = re.compile(r"^NVRM version: (.*)$", re.MULTILINE)
_VERSION = re.compile(r"\b(\d{3}\.\d+(?:\.\d+)?)\b")
_LIBRARY = re.compile(r"^libnvidia-ml\.so\.(\d{3}\.\d+(?:\.\d+)?)$")
# Debian's packages rename the module after the branch that they follow.
_MODULE_FILE = re.compile(r"^(?:\S*/)?nvidia(?:-current|-tesla)?(?:-open)?\.ko\b", re.MULTILINE)
_XID = re.compile(r"^NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d+)(?:, (.*))?$")
_SXID = re.compile(r"^nvidia-nvswitch\d+: SXid \(PCI:([0-9a-fA-F:.]+)\): (\d+), (Fatal|Non-fatal)(?:, (.*))?$")
_DRIVER_LOADS = re.compile(r"^NVRM: loading NVIDIA UNIX ")
_PACKAGE = re.compile(r"^nvidia-fabricmanager(?:-\d+)?$")
_MESSAGE_LENGTH = 200


@dataclass(frozen=True)
class Record:
    """A message of the kernel: microseconds since it was started, and the text."""

    since_boot: int
    text: str


def driver_version(text: str) -> tuple[str, str]:
    """Version and flavour that /proc/driver/nvidia/version tells of; both empty where it tells of none."""
    told = _NVRM.search(text)
    version = _VERSION.search(told.group(1)) if told else None
    if told is None or version is None:
        return "", ""
    return version.group(1), OPEN if "Open Kernel Module" in told.group(1) else PROPRIETARY


def fields_of(text: str) -> Mapping[str, str]:
    """The fields of texts that have one a line, such as /proc/driver/nvidia/gpus/ADDRESS/information."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}


def module_names(text: str) -> frozenset[str]:
    """The kernel modules that /proc/modules names."""
    return frozenset(line.split(" ", 1)[0] for line in text.splitlines() if line)


def has_driver_module(text: str) -> bool:
    """Whether modules.dep of a kernel names the driver's main module."""
    return _MODULE_FILE.search(text) is not None


def library_version(name: str) -> str:
    """The version that the name of the driver's management library ends with; empty for other names."""
    found = _LIBRARY.match(name)
    return found.group(1) if found else ""


def boot_time(text: str) -> int:
    """When the kernel was started, as /proc/stat says."""
    found = re.search(r"^btime (\d+)$", text, re.MULTILINE)
    return int(found.group(1)) if found else 0


def is_switch_management(vpd: bytes) -> bool:
    """Whether a ConnectX device says in its vital product data that NVSwitches are managed by it."""
    return b"SW_MNG" in vpd


def secure_boot(variable: bytes) -> bool:
    """Whether the firmware's variable SecureBoot is set: four bytes of attributes, then its value."""
    return variable[4:5] == b"\x01"


def fabric_manager_package(status: str) -> str:
    """The version of Fabric Manager that is installed, of dpkg's status file, without the packager's part of it."""
    for paragraph in status.split("\n\n"):
        if "nvidia-fabricmanager" not in paragraph:
            continue
        fields = fields_of(paragraph)
        if _PACKAGE.match(fields.get("Package", "")) and fields.get("Status", "").endswith(" installed"):
            return fields.get("Version", "").split("-")[0]
    return ""


def records(log: str) -> Iterator[Record]:
    """The kernel's own messages. What processes write to /dev/kmsg has another facility, and is left out."""
    for line in log.splitlines():
        prefix, separator, text = line.partition(";")
        fields = prefix.split(",")
        if separator and len(fields) >= 3 and fields[0].isdigit() and int(fields[0]) < 8 and fields[2].isdigit():
            yield Record(int(fields[2]), text)


def faults(log: str, booted: int) -> tuple[Fault, ...]:
    """Every kind of error of each device since the driver was last loaded, by device and code."""
    found: dict[tuple[str, str, int], Fault] = {}
    for record in records(log):
        if _DRIVER_LOADS.match(record.text):
            found.clear()
        fault = _fault(record, booted)
        if fault is None:
            continue
        key = (fault.source, fault.pci, fault.code)
        before = found.get(key)
        count = before.count + 1 if before else 1
        found[key] = Fault(*key, count, fault.time, fault.message, fault.fatal or bool(before and before.fatal))
    return tuple(found[key] for key in sorted(found))


def _fault(record: Record, booted: int) -> Fault | None:
    time = datetime.fromtimestamp(booted + record.since_boot // 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    xid = _XID.match(record.text)
    if xid:
        return Fault("xid", _slot(xid.group(1)), int(xid.group(2)), 1, time, _short(xid.group(3)))
    sxid = _SXID.match(record.text)
    if sxid:
        fatal = sxid.group(3) == "Fatal"
        return Fault("sxid", _slot(sxid.group(1)), int(sxid.group(2)), 1, time, _short(sxid.group(4)), fatal)
    return None


def _slot(pci: str) -> str:
    return slot_of(pci) if "." in pci else pci.lower()


def _short(message: str | None) -> str:
    return (message or "").strip()[:_MESSAGE_LENGTH]
