"""Machines that the lab's cloud made: not in the inventory that the lab was brought up for, known by what lies beside
their disks."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

from tests.lab.files import write_atomically
from tests.lab.topology import Attachment, Machine

RECORD = "virtual.json"


def virtual_machine(name: str, address: IPv4Address) -> Machine:
    """Its interfaces are plugged by the cloud, and the cloud decides when it boots."""
    return Machine(name, "host", address, Attachment(()), boots=False)


def record_of(directory: Path) -> dict[str, str]:
    """Which instance a machine is, and its address; empty when it is none of the cloud's."""
    try:
        return dict(json.loads((directory / RECORD).read_text()))
    except FileNotFoundError:
        return {}


def is_virtual(directory: Path) -> bool:
    return (directory / RECORD).exists()


def write_record(directory: Path, instance: str, address: IPv4Address) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / RECORD, json.dumps({"instance": instance, "address": str(address)}))


def virtual_machines(hosts: Path) -> list[Machine]:
    """The cloud's machines that have a disk."""
    directories = sorted(hosts.iterdir()) if hosts.is_dir() else []
    records = ((directory.name, record_of(directory)) for directory in directories)
    return [virtual_machine(name, IPv4Address(record["address"])) for name, record in records if record]
