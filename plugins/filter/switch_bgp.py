# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: switch_bgp
short_description: The estate's part of a switch's BGP configuration
description:
  - Computes what a switch needs to peer with the route reflectors of its rack, in the form of the options of
    M(hybridk8s.estate.frr_bgp).
  - It is made of the same sessions as what P(hybridk8s.estate.bgp_topology#filter) gives, so both ends agree.
  - Only the variables of switches and reflectors are read, unless C(estate_bgp.reflectors_per_rack) leaves the choice
    of reflectors to the collection.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
options:
  switch:
    description: Inventory name of the switch.
    type: str
    required: true
positional: groups, switch
seealso:
  - module: hybridk8s.estate.frr_bgp
  - plugin: hybridk8s.estate.bgp_topology
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See what a switch takes from the reflectors
  ansible.builtin.debug:
    msg: "{{ (hostvars | hybridk8s.estate.switch_bgp(groups, inventory_hostname)).import_prefixes }}"
"""

RETURN = r"""
_value:
  description:
    - Keys C(estate), C(as_number), C(neighbours), C(import_prefixes), C(export_prefixes), C(services), C(max_prefix),
      C(timers).
    - A neighbour has its C(password) in it where the inventory gives one, so do not print it.
    - Without C(estate_bgp.max_prefix) the limit is twice the number of blocks in the pools, and at least V(2000).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import TopologyError, switch_side
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import SWITCHES_GROUP
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_with_reflectors


def switch_bgp(hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], switch: str) -> dict[str, Any]:
    """Our part of the configuration of one switch."""
    try:
        return switch_side(estate_with_reflectors(hostvars, groups, [switch, *groups.get(SWITCHES_GROUP, ())]), switch)
    except TopologyError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"switch_bgp": switch_bgp}
