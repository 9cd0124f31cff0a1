# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: bgp_passwords
short_description: The passwords of the sessions with switches
description:
  - Reads C(estate_bgp.password) and C(estate_racks.<rack>.password), in the form of the option
    O(hybridk8s.estate.bgp_topology#module:passwords). What P(hybridk8s.estate.bgp_topology#filter) gives names the
    keys only, so it may be printed; what this filter gives may not.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
positional: groups
seealso:
  - module: hybridk8s.estate.bgp_topology
  - plugin: hybridk8s.estate.bgp_topology
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Peer as the inventory says
  hybridk8s.estate.bgp_topology:
    kubeconfig: "{{ kubeconfig }}"
    topology: "{{ hostvars | hybridk8s.estate.bgp_topology(groups) }}"
    passwords: "{{ hostvars | hybridk8s.estate.bgp_passwords(groups) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: Passwords by C(<rack>-<switch>); empty where the inventory has none.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import passwords_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import SWITCHES_GROUP
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_from_hostvars


def bgp_passwords(hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The passwords of all sessions with switches; only the switches' variables are read."""
    switches = groups.get(SWITCHES_GROUP, ())
    return passwords_of(estate_from_hostvars(hostvars, groups, switches)) if switches else {}


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"bgp_passwords": bgp_passwords}
