# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order in which switches start sessions anew."""

from __future__ import annotations

DOCUMENTATION = r"""
name: switch_waves
short_description: The order in which switches start sessions anew
description:
  - A session whose AS number or password changes goes down and comes up again. This filter puts the switches that have
    such sessions into waves, which are worked on one after the other.
  - Never two switches of a rack are in one wave, nor more than half of all; the first wave is one switch.
  - Which switches have such sessions is read from C(switch_bgp_result), which the role C(switch_bgp) registers.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
positional: groups
seealso:
  - module: hybridk8s.estate.frr_bgp
"""

EXAMPLES = r"""
- name: Start the sessions of the switches anew
  ansible.builtin.include_tasks: restart_sessions.yml
  loop: "{{ hostvars | hybridk8s.estate.switch_waves(groups) }}"
"""

RETURN = r"""
_value:
  description: Lists of names of switches.
  type: list
  elements: list
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.waves import waves
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import SWITCHES_GROUP


def switch_waves(hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The switches whose last result has pending neighbours, in waves."""
    pending = [
        name for name in groups.get(SWITCHES_GROUP, ()) if hostvars[name].get("switch_bgp_result", {}).get("pending")
    ]
    if not pending:
        return []
    racks = hostvars[pending[0]]["estate_racks"]
    return waves({name: rack.get("switches") or () for name, rack in racks.items()}, pending)


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"switch_waves": switch_waves}
