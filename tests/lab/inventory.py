"""An inventory of this collection, as `ansible-inventory --list` tells it. Nothing else describes a lab."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.errors import InventoryError

# What a cloud has is no part of the lab, which is there before its cloud is.
ONLY_FILES = {"ANSIBLE_INVENTORY_ENABLED": "yaml,ini"}


@dataclass(frozen=True)
class Inventory:
    """Variables of every host, and the hosts of every group with those of its children."""

    hostvars: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, tuple[str, ...]]

    def hosts_of(self, group: str) -> tuple[str, ...]:
        return self.groups.get(group, ())

    def variables_of(self, host: str) -> Mapping[str, Any]:
        return self.hostvars.get(host, {})

    def shared(self, name: str) -> Any:
        """The value of a variable that is the same for all hosts (group_vars/all); None when nobody has it."""
        return next((variables[name] for variables in self.hostvars.values() if name in variables), None)


def parse(listing: Mapping[str, Any]) -> Inventory:
    """The inventory out of the JSON document of `ansible-inventory --list`."""
    groups = {name: tuple(dict.fromkeys(_members(listing, name))) for name in listing if name != "_meta"}
    known = listing.get("_meta", {}).get("hostvars", {})
    everyone = dict.fromkeys(host for members in groups.values() for host in members)
    return Inventory({host: known.get(host, {}) for host in everyone}, groups)


def _members(listing: Mapping[str, Any], group: str) -> Iterator[str]:
    body = listing.get(group, {})
    yield from body.get("hosts", ())
    for child in body.get("children", ()):
        yield from _members(listing, child)


def listing_of(path: Path, checkout: Path) -> dict[str, Any]:
    """What `ansible-inventory --list` of the checkout's virtual environment says about the inventory at `path`."""
    if not path.exists():
        raise InventoryError(f"there is no inventory at {path}; name one with --inventory or LAB_INVENTORY")
    command = checkout / ".cache" / "venv" / "bin" / "ansible-inventory"
    if not command.exists():
        raise InventoryError(f"{command} is missing; `make venv` makes it")
    result = subprocess.run(
        [command, "--inventory", path, "--list"],
        cwd=checkout,
        env={**os.environ, "ANSIBLE_CONFIG": str(checkout / "ansible.cfg"), **ONLY_FILES},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise InventoryError(f"ansible-inventory cannot read {path}: {result.stderr.strip()}")
    return dict(json.loads(result.stdout))
