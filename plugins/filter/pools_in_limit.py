# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pools_in_limit
short_description: The pools of VMs that a limit leaves in the run
description:
  - A VM that is yet to be made is no host of the inventory, so C(--limit) does not say whether it is meant. This says
    for each pool whether its next VM would be in the limit, as Ansible itself would judge it.
author: hybridk8s.estate authors (@hybridk8s)
options:
  _input:
    description: The pools by name, in the form of C(estate_cloud_pools).
    type: dict
    required: true
  groups:
    description: Ansible's variable C(groups).
    type: dict
    required: true
  limit:
    description: Ansible's variable C(ansible_limit).
    type: str
    required: true
positional: groups, limit
seealso:
  - module: hybridk8s.estate.ecs_instances
"""

EXAMPLES = r"""
- name: Make VMs of the pools that the run is about
  hybridk8s.estate.ecs_instances:
    estate: "{{ estate_name }}"
    region: "{{ estate_cloud.region }}"
    pools: "{{ estate_cloud_pools }}"
    only: "{{ estate_cloud_pools | hybridk8s.estate.pools_in_limit(groups, ansible_limit) }}"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: Names of the pools, in their order.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import pool_group, vm_name
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import (
    CLOUD_VMS_GROUP,
    KUBERNETES_GROUP,
    WORKERS_GROUP,
)

_OF_EVERY_VM = ("all", KUBERNETES_GROUP, WORKERS_GROUP, CLOUD_VMS_GROUP)
# A VM's number is not known before it is made; none has this one.
_NO_NUMBER = 0


def pools_in_limit(pools: Mapping[str, Any], groups: Mapping[str, Sequence[str]], limit: str) -> list[str]:
    """The pools whose next VM would be in the limit."""
    newcomers = {vm_name(pool, _NO_NUMBER): pool for pool in pools}
    inventory = InventoryManager(DataLoader(), parse=False)
    members = {name: list(hosts) for name, hosts in groups.items()}
    for newcomer, pool in newcomers.items():
        for group in (*_OF_EVERY_VM, pool_group(pool)):
            members.setdefault(group, []).append(newcomer)
    for group, hosts in members.items():
        inventory.add_group(group)
        for host in hosts:
            inventory.add_host(host, group)
    inventory.subset(limit)
    left = {host.name for host in inventory.get_hosts()}
    return [pool for newcomer, pool in newcomers.items() if newcomer in left]


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"pools_in_limit": pools_in_limit}
