# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: switch_bgp_arguments
short_description: What the resource modules of a switch's platform are told
description:
  - Turns what a switch shall have of the estate into the arguments of the modules of its platform, given what the
    switch has. Nothing in them concerns neighbours, lists and maps of others.
  - A switch that runs another AS, or has one of the neighbours outside what is ours, is refused.
author: hybridk8s.estate authors (@hybridk8s)
options:
  _input:
    description: What P(hybridk8s.estate.switch_bgp#filter) gives, with what the role's variables change of it.
    type: dict
    required: true
  platform:
    description: The platform.
    type: str
    choices: [nxos, eos, sonic]
    required: true
  there:
    description:
      - What C(cisco.nxos.nxos_bgp_global) or C(arista.eos.eos_bgp_global) gathered, or the facts C(bgp_neighbors) of
        C(dellemc.enterprise_sonic.sonic_facts).
    type: raw
    required: true
  prune:
    description: Whether neighbours of ours that the inventory no longer has go.
    type: bool
    default: true
  may_reset:
    description:
      - Addresses of the neighbours whose sessions may be reset; without it all of them.
      - Switches show passwords encrypted. So that a new one is noticed, the description of a neighbour ends with a
        short mark of its password.
    type: list
    elements: str
positional: platform, there, prune, may_reset
seealso:
  - plugin: hybridk8s.estate.switch_bgp
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See what an NX-OS switch without BGP would be told
  ansible.builtin.debug:
    msg: "{{ wanted | hybridk8s.estate.switch_bgp_arguments('nxos', {}) }}"
  vars:
    wanted: "{{ hostvars | hybridk8s.estate.switch_bgp(groups, 'tor1') }}"
"""

RETURN = r"""
_value:
  description: By a name of each call what its module is told; C(pending) is what is put off, by neighbour.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch import eos, nxos, sonic
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import SwitchError, wanted_of

PLATFORMS: Mapping[str, Callable[..., dict[str, Any]]] = {"nxos": nxos.calls, "eos": eos.calls, "sonic": sonic.calls}


def switch_bgp_arguments(
    wanted: Mapping[str, Any],
    platform: str,
    there: Any,
    prune: bool = True,
    may_reset: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What the modules of ``platform`` are told."""
    if platform not in PLATFORMS:
        raise AnsibleFilterError(f"switch_bgp_platform: {platform!r} is none of {', '.join(PLATFORMS)}.")
    try:
        return PLATFORMS[platform](wanted_of(wanted), there or {}, prune, may_reset)
    except SwitchError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"switch_bgp_arguments": switch_bgp_arguments}
