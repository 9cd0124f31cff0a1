# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: bgp_topology
short_description: The BGP topology that follows from the inventory
description:
  - Computes who speaks BGP with whom, from the groups C(route_reflectors) and C(switches) and the variables C(rack),
    C(estate_racks), C(estate_bgp) and C(estate_networks), in the form of the option
    O(hybridk8s.estate.bgp_topology#module:topology).
  - Racks without a member of C(route_reflectors) have as many as C(estate_bgp.reflectors_per_rack) says, chosen among
    their bare-metal nodes.
  - Every route reflector peers with every switch of its rack, every other bare-metal node with every reflector.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
positional: groups
seealso:
  - module: hybridk8s.estate.bgp_topology
  - plugin: hybridk8s.estate.switch_bgp
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Peer as the inventory says
  hybridk8s.estate.bgp_topology:
    kubeconfig: "{{ kubeconfig }}"
    topology: "{{ hostvars | hybridk8s.estate.bgp_topology(groups) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The topology; keys C(estate), C(as_number), C(speakers), C(sessions), C(pools), C(imports), C(services),
    C(vpc).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import TopologyError, as_dict, topology_of
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_from_hostvars


def bgp_topology(hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The topology of the whole inventory."""
    try:
        return as_dict(topology_of(estate_from_hostvars(hostvars, groups)))
    except TopologyError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"bgp_topology": bgp_topology}
