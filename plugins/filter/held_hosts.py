# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: held_hosts
short_description: Hosts on which a restart was held back
description:
  - The hosts on which M(hybridk8s.estate.host_state) with O(hybridk8s.estate.host_state#module:hold=true) left
    something to do, by what it returned in this run.
author: hybridk8s.estate authors (@hybridk8s)
options:
  _input:
    description: Ansible's variable C(hostvars).
    type: dict
    required: true
  names:
    description: The hosts among which to look.
    type: list
    elements: str
    required: true
  registers:
    description: The variables in which each host keeps its results.
    type: list
    elements: str
    required: true
positional: names, registers
seealso:
  - module: hybridk8s.estate.host_state
"""

EXAMPLES = r"""
- name: Restart what was held back, one host after the other
  hosts: "{{ hostvars | hybridk8s.estate.held_hosts(groups.kubernetes, ['configured']) }}"
  serial: 1
  tasks:
    - name: Configure the service and restart it
      hybridk8s.estate.host_state:
        name: example
        units:
          - {name: example.service, state: started, watch: [/etc/example.conf]}
"""

RETURN = r"""
_value:
  description: The names, in their order.
  type: list
  elements: str
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def held_hosts(hostvars: Mapping[str, Any], names: Sequence[str], registers: Iterable[str]) -> list[str]:
    """Those of ``names`` of which any of the results names units that were held back."""
    registers = tuple(registers)
    # Where a playbook is only looked at there are no variables of hosts.
    return [name for name in names if name in hostvars and _is_held(hostvars[name], registers)]


def _is_held(variables: Mapping[str, Any], registers: Iterable[str]) -> bool:
    results = (variables.get(register) for register in registers)
    return any(isinstance(result, Mapping) and result.get("held") for result in results)


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"held_hosts": held_hosts}
