# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts are worked on together."""

from __future__ import annotations

DOCUMENTATION = r"""
name: batches
author: hybridk8s.estate authors (@hybridk8s)
short_description: The hosts of a play in the batches that they are worked on in
description:
  - Hosts of the same batch do a task together, and the batches one after the other, within one play.
  - Other than with C(serial), a batch of which every host fails does not end the play for the rest.
  - Never two route reflectors of a rack are in a batch; the second one waits for a later batch.
positional: size, alone, hostvars, groups
options:
  _input:
    description: The hosts of the play, in the order in which they are begun.
    type: list
    elements: str
    required: true
  size:
    description: How many hosts a batch has, as a number or as a share of all, rounded down but at least one.
    type: str
    required: true
  alone:
    description: Hosts that make a batch each.
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's variable C(hostvars).
    type: dict
    required: true
  groups:
    description: Ansible's variable C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Find the batches, of five hosts each
  ansible.builtin.set_fact:
    nodes_batches: "{{ ansible_play_hosts | hybridk8s.estate.batches('5', [], hostvars, groups) }}"
  run_once: true

- name: Prepare the hosts, five at a time
  ansible.builtin.include_tasks: prepare.yml
  loop: "{{ nodes_batches | select('contains', inventory_hostname) }}"
  loop_control: {loop_var: nodes_batch}
"""

RETURN = r"""
_value:
  description: Lists of hosts.
  type: list
  elements: list
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import domains
from ansible_collections.hybridk8s.estate.plugins.module_utils._budget import batch_size
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_with_reflectors


def batches(
    hosts: Sequence[str],
    size: str | int,
    alone: Collection[str],
    hostvars: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
) -> list[list[str]]:
    """The batches, those of a single host where they come in the order of the hosts."""
    among = [host for host in hosts if host not in alone]
    try:
        at_once = batch_size(str(size), len(among))
    except ValueError as error:
        raise AnsibleFilterError(f"batch: {error}") from error
    apart = {}
    if min(at_once, len(among)) > 1:
        apart = domains.reflector_domains(estate_with_reflectors(hostvars, groups, among[:1]))
    made = [*domains.batches(among, at_once, apart), *([host] for host in hosts if host in alone)]
    return sorted(made, key=lambda batch: hosts.index(batch[0]))


class FilterModule:
    """The filter of the same name."""

    def filters(self) -> dict[str, Callable[..., list[list[str]]]]:
        return {"batches": batches}
