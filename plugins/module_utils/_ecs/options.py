# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools and their site of a module's options; private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import Pool, Site
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, parse_cloud, rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import Cloud, Estate, VSwitch
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.reader import Reader

# What of a pool would be made and not work, and follows from the pools and the site's zones alone.
_JUDGED = ("ES851-pool-name", "ES853-pool-zone", "ES854-instance-type")


def pools_of(given: Mapping[str, Any], site: Site) -> tuple[dict[str, Pool], list[str]]:
    """The pools by name, or every problem with them."""
    reader = Reader()
    cloud = Cloud(node_vswitches={zone: VSwitch(id) for zone, id in site.node_vswitches.items()})
    estate = Estate(cloud=cloud, vm_pools=parse_cloud.vm_pools(reader, given))
    judged = [finding for code in _JUDGED for finding in rules.RULES[code].findings(estate)]
    if reader.findings or judged:
        return {}, [f"{one.variable}: {one.message} {one.remedy}" for one in (*reader.findings, *judged)]
    return {name: Pool.of(pool, derive.pool_zones(estate, pool)) for name, pool in estate.vm_pools.items()}, []


def secrets_in(given: Mapping[str, Any]) -> set[str]:
    """What of the pools nobody may read in results or logs: what VMs run at their first boot."""
    texts = (settings.get("user_data") for settings in given.values() if isinstance(settings, Mapping))
    return {text for text in texts if isinstance(text, str) and text}


def site_of(params: Mapping[str, Any]) -> tuple[Site, list[str]]:
    """Where instances come to stand, of the module's options, and every problem with it."""
    problems: list[str] = []
    vswitches: dict[str, dict[str, str]] = {"node_vswitches": {}, "pod_vswitches": {}}
    for option, by_zone in vswitches.items():
        for zone, vswitch in params[option].items():
            if isinstance(vswitch, Mapping) and isinstance(vswitch.get("id"), str) and vswitch["id"]:
                by_zone[zone] = vswitch["id"]
            else:
                problems.append(f"estate_cloud.{option}.{zone}: it has no id; write {{id: vsw-..., cidr: ...}}.")
    return Site(**vswitches, security_groups=tuple(params["security_groups"]), ram_role=params["ram_role"]), problems
