# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: route_reflectors
short_description: The route reflectors of the inventory
description:
  - The nodes of the group C(route_reflectors), and in racks that have none there, as many bare-metal nodes as
    C(estate_bgp.reflectors_per_rack) says. Control planes come last, then nodes of a failure domain (the label
    C(topology.kubernetes.io/zone)) that has one already, and then the order of the names decides.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
positional: groups
seealso:
  - plugin: hybridk8s.estate.bgp_topology
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See which nodes are reflectors
  ansible.builtin.debug:
    msg: "{{ hostvars | hybridk8s.estate.route_reflectors(groups) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: Names of hosts, those of the group first.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import NODE_GROUPS
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_with_reflectors


def route_reflectors(hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of all reflectors."""
    # Any node knows whether reflectors are chosen by count.
    one = [name for group in NODE_GROUPS for name in groups.get(group, ())][:1]
    return [host.name for host in derive.reflectors(estate_with_reflectors(hostvars, groups, one))] if one else []


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"route_reflectors": route_reflectors}
