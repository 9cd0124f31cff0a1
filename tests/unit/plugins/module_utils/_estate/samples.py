# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A good hybrid estate as raw variables, and edits to it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model, rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.parse import Parsed, parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding

GONE = object()
Edits = Mapping[tuple[str, ...], Any]


@dataclass(frozen=True)
class Case:
    """``bad`` must give ``code`` for ``host`` and ``variable``; ``fine`` must not give it at all."""

    code: str
    bad: Edits
    host: str = ""
    variable: str = ""
    fine: Edits = field(default_factory=dict)


@dataclass
class Raw:
    """``estate`` is what group_vars/all holds; ``hosts`` each host's own variables."""

    estate: dict[str, Any]
    hosts: dict[str, dict[str, Any]]
    groups: dict[str, list[str]]
    clear_secrets: list[model.ClearSecret] = field(default_factory=list)
    controller: dict[str, bool] = field(default_factory=dict)


def good() -> Raw:
    return Raw(
        estate={
            "estate_name": "sample",
            "estate_kubernetes_version": "1.36.3",
            "estate_networks": {
                "services": "10.22.0.0/16",
                "pods": {"bare_metal": "10.21.0.0/16"},
                "reserved": ["100.64.0.0/10"],
            },
            "estate_racks": {
                "r1": {"subnet": "10.20.1.0/24", "switches": ["tor1"], "as": 64901},
                "r2": {"subnet": "10.20.2.0/24", "switches": ["tor2"], "as": 64902},
            },
            "estate_bgp": {"as": 64512, "import": ["10.99.0.0/16"]},
            "estate_mirror": {"downloads": "http://10.98.0.1:8080", "registry": "http://10.98.0.1:5000"},
            "estate_cloud": {
                "provider": "alibaba",
                "region": "cn-shenzhen",
                "vpc": "vpc-1",
                "cidr": "172.20.0.0/16",
                "node_vswitches": {"cn-shenzhen-d": {"id": "vsw-n1", "cidr": "172.20.16.0/24"}},
                "pod_vswitches": {"cn-shenzhen-d": {"id": "vsw-p1", "cidr": "172.20.128.0/19"}},
                "security_groups": ["sg-1"],
                "line": {"prefixes": ["10.20.0.0/15"], "limit_mbit": 200, "control_mbit": 10},
            },
            "estate_cloud_pools": {
                "online": {
                    "instance_types": ["ecs.g7.xlarge", "ecs.g6.xlarge"],
                    "count": 2,
                    "image": "m-1",
                    "owner": "team-a",
                    "purpose": "the shop",
                    "expires": date(2027, 1, 31),
                },
            },
        },
        hosts={
            "cp1": {"ansible_host": "10.20.1.11", "rack": "r1"},
            "cp2": {"ansible_host": "10.20.1.12", "rack": "r1"},
            "cp3": {"ansible_host": "10.20.2.11", "rack": "r2"},
            "w1": {"ansible_host": "10.20.1.21", "rack": "r1"},
            "w2": {"ansible_host": "10.20.2.21", "rack": "r2"},
            "w3": {"ansible_host": "10.20.2.22", "rack": "r2"},
            "vm1": {"ansible_host": "172.20.16.11"},
            "tor1": {"ansible_host": "10.20.1.1"},
            "tor2": {"ansible_host": "10.20.2.1"},
            "bastion": {"ansible_host": "bastion.example"},
        },
        groups={
            "all": ["cp1", "cp2", "cp3", "w1", "w2", "w3", "vm1", "tor1", "tor2", "bastion"],
            "ungrouped": [],
            "control_plane": ["cp1", "cp2", "cp3"],
            "workers": ["w1", "w2", "w3", "vm1"],
            "kubernetes": ["cp1", "cp2", "cp3", "w1", "w2", "w3", "vm1"],
            "bare_metal": ["cp1", "cp2", "cp3", "w1", "w2", "w3"],
            "cloud_vms": ["vm1"],
            "gpu": ["w3"],
            "route_reflectors": ["w1", "w2"],
            "switches": ["tor1", "tor2"],
            "jump_hosts": ["bastion"],
        },
    )


def edited(edits: Edits) -> Raw:
    """The good estate with values set (or, for ``GONE``, removed) at paths.

    A path begins with ``estate`` (the variables of group_vars/all), ``groups``, ``controller``, ``secrets`` or a
    host's name.
    """
    raw = good()
    for path, value in edits.items():
        first, *keys = path
        if first == "secrets":
            raw.clear_secrets.append(model.ClearSecret(*value))
            continue
        root: Any = {"estate": raw.estate, "groups": raw.groups, "controller": raw.controller}.get(first)
        if root is None:
            root = raw.hosts.setdefault(first, {})
        for key in keys[:-1]:
            root = root[int(key)] if isinstance(root, list) else root.setdefault(key, {})
        if value is GONE:
            del root[keys[-1]]
        else:
            root[keys[-1]] = copy.deepcopy(value)
    return raw


def read(raw: Raw) -> Parsed:
    hosts = {name: {**raw.estate, **variables} for name, variables in raw.hosts.items()}
    return parse(
        hosts, raw.groups, clear_secrets=raw.clear_secrets, controller_becomes=raw.controller.get("becomes", False)
    )


def judge(edits: Edits) -> list[Finding]:
    """All findings, of reading and of rules, for the good estate with ``edits``."""
    parsed = read(edited(edits))
    return [*parsed.findings, *rules.check(parsed.estate)]


def estate(edits: Edits | None = None) -> model.Estate:
    """The Estate after ``edits``, which must leave it readable."""
    parsed = read(edited(edits or {}))
    assert not parsed.findings
    return parsed.estate
