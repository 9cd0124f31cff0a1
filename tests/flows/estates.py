"""Inventories that differ from the lab's own in what a person would edit: who is a reflector, whose switches, which AS.

``estate("drained", reflectors("a2", "b1"))`` is the path of such an inventory. The lab keeps its own: an edit moves no
cable.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.flows.drive import REPOSITORY, inventory_path

_MADE = REPOSITORY / ".cache" / "estates"
# What the lab's inventory has besides the estate: hosts of no group.
_OF_OTHERS = "hosts"


@dataclass
class Files:
    """The two files that edits change: the tree of groups, and the estate's variables."""

    everything: dict[str, Any]
    variables: dict[str, Any]

    @property
    def groups(self) -> dict[str, Any]:
        groups: dict[str, Any] = self.everything["children"]
        return groups


Edit = Callable[[Files], None]


def estate(name: str, *edits: Edit) -> Path:
    """The inventory with these edits, one after the other; hosts of no group are not in it."""
    target = _MADE / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(inventory_path(), target)
    hosts, variables = target / "hosts.yml", target / "group_vars" / "all" / "estate.yml"
    files = Files(yaml.safe_load(hosts.read_text())["all"], yaml.safe_load(variables.read_text()))
    for edit in edits:
        edit(files)
    files.everything.pop(_OF_OTHERS, None)
    hosts.write_text(yaml.safe_dump({"all": files.everything}, sort_keys=False))
    variables.write_text(yaml.safe_dump(files.variables, sort_keys=False))
    return target


def reflectors(*names: str) -> Edit:
    """These hosts are the route reflectors."""

    def edit(files: Files) -> None:
        files.groups["route_reflectors"] = {"hosts": dict.fromkeys(names)}

    return edit


def rack(name: str, **changes: Any) -> Edit:
    """Keys of a rack are other ones."""

    def edit(files: Files) -> None:
        files.variables["estate_racks"][name].update(changes)

    return edit


def bgp(**changes: Any) -> Edit:
    """Keys of ``estate_bgp`` are other ones."""

    def edit(files: Files) -> None:
        files.variables["estate_bgp"].update(changes)

    return edit


def pool(name: str, **changes: Any) -> Edit:
    """Keys of a pool of cloud VMs are other ones."""

    def edit(files: Files) -> None:
        files.variables["estate_cloud_pools"][name].update(changes)

    return edit


def cloud_settings(**changes: Any) -> Edit:
    """Keys of ``estate_cloud`` are other ones."""

    def edit(files: Files) -> None:
        files.variables["estate_cloud"].update(changes)

    return edit


def line(**changes: Any) -> Edit:
    """Keys of the dedicated line are other ones; those that are None are not there."""

    def edit(files: Files) -> None:
        described = {**files.variables["estate_cloud"]["line"], **changes}
        files.variables["estate_cloud"]["line"] = {key: value for key, value in described.items() if value is not None}

    return edit


def profiles(described: Mapping[str, Mapping[str, Any]], of_workers: Mapping[str, str]) -> Edit:
    """There are these runtime profiles, and workers have them."""

    def edit(files: Files) -> None:
        files.variables["estate_runtime_profiles"] = {name: dict(body) for name, body in described.items()}
        workers = files.groups["kubernetes"]["children"]["workers"]["hosts"]
        for host, profile in of_workers.items():
            workers[host] = {**(workers[host] or {}), "runtime_profile": profile}

    return edit


def of_vms(**variables: Any) -> Edit:
    """Variables of all cloud VMs."""

    def edit(files: Files) -> None:
        files.groups.setdefault("cloud_vms", {}).setdefault("vars", {}).update(variables)

    return edit


def looked_up(secret: str, directory: Path = _MADE) -> str:
    """A secret as an inventory may have it: not in clear, but where it lies."""
    file = directory / f"{secret}.secret"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(secret)
    return f"{{{{ lookup('ansible.builtin.file', '{file}') }}}}"


def mesh(files: Files) -> None:
    """Neither reflectors nor switches: every node speaks with every other."""
    for group in ("route_reflectors", "switches"):
        del files.groups[group]
    for body in files.variables["estate_racks"].values():
        del body["switches"]
    del files.variables["estate_bgp"]["import"]


def alone(host: str, name: str, variables: Mapping[str, Any]) -> Edit:
    """An estate of one host of no group, in its rack, with that rack's switches: a second cluster on the fabric."""

    def edit(files: Files) -> None:
        described = files.everything[_OF_OTHERS][host]
        racks = {described["rack"]: files.variables["estate_racks"][described["rack"]]}
        switches = files.groups["switches"]["hosts"]
        files.groups.clear()
        files.groups.update(
            kubernetes={"children": {"control_plane": {"hosts": {host: described}}, "workers": {"hosts": {}}}},
            bare_metal={"children": {"kubernetes": None}},
            route_reflectors={"hosts": {host: None}},
            switches={"hosts": {s: switches[s] for body in racks.values() for s in body["switches"]}},
        )
        files.variables.update({"estate_name": name, "estate_racks": racks, **variables})

    return edit
