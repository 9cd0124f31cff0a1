# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: line_usage
short_description: What hosts send over the dedicated line together
description:
  - Adds up what M(hybridk8s.estate.line_usage) measured on hosts, and says how much of the line that is.
author: hybridk8s.estate authors (@hybridk8s)
options:
  _input:
    description: Ansible's variable C(hostvars).
    type: dict
    required: true
  names:
    description: The hosts that were measured.
    type: list
    elements: str
    required: true
  register:
    description: The variable in which each host keeps its result. A host without one is named as unknown.
    type: str
    required: true
  capacity_mbit:
    description: What the line carries, in Mbit/s.
    type: float
    required: true
  warn_share:
    description: From which share on the usage is a warning.
    type: float
    default: 0.8
positional: names, register, capacity_mbit, warn_share
seealso:
  - module: hybridk8s.estate.line_usage
"""

EXAMPLES = r"""
- name: Say how much of the line is used
  ansible.builtin.debug:
    msg: "{{ (hostvars | hybridk8s.estate.line_usage(ansible_play_hosts_all, 'line_seen', 1000)).message }}"
  run_once: true
"""

RETURN = r"""
_value:
  description:
    - C(mbit), C(capacity_mbit) and C(share) of the line, C(warning), C(hosts) with the Mbit/s of each, the most first,
      C(unknown) hosts, and all that in a C(message).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._line import line_usage as add_up


def line_usage(
    hostvars: Mapping[str, Any], names: Sequence[str], register: str, capacity_mbit: float, warn_share: float = 0.8
) -> dict[str, object]:
    """The usage of the line by the hosts ``names``."""
    if float(capacity_mbit) <= 0:
        raise AnsibleFilterError(f"A line that carries {capacity_mbit} Mbit/s cannot be used; write more than 0.")
    measured = {name: hostvars[name].get(register) for name in names}
    return add_up(measured, float(capacity_mbit), float(warn_share)).as_dict()


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"line_usage": line_usage}
