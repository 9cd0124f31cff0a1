# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts are worked on together."""

from __future__ import annotations

DOCUMENTATION = r"""
name: batch_of
author: hybridk8s.estate authors (@hybridk8s)
short_description: The batch that a host is worked on in
description:
  - The hosts of a host's batch, itself among them, as the only element of a list, for the C(loop) of an
    C(include_tasks).
  - Hosts of the same batch then do these tasks together, and the batches one after the other, within one play.
  - Other than with C(serial), a batch of which every host fails does not end the play for the rest.
positional: host, size, alone
options:
  _input:
    description: The hosts of the play, in the order in which they are begun.
    type: list
    elements: str
    required: true
  host:
    description: The host.
    type: str
    required: true
  size:
    description: How many hosts a batch has, as a number or as a share of all, rounded down but at least one.
    type: str
    required: true
  alone:
    description: Hosts that make a batch each.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Prepare the hosts, five at a time
  ansible.builtin.include_tasks: prepare.yml
  loop: "{{ ansible_play_hosts | hybridk8s.estate.batch_of(inventory_hostname, '5') }}"
  loop_control: {loop_var: nodes_batch}
"""

RETURN = r"""
_value:
  description: A list of one list of hosts.
  type: list
  elements: list
"""

from collections.abc import Callable, Collection, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._budget import batch_size


def batch_of(hosts: Sequence[str], host: str, size: str | int, alone: Collection[str] = ()) -> list[Sequence[str]]:
    among = [other for other in hosts if other not in alone]
    try:
        at_once = batch_size(str(size), len(among))
    except ValueError as error:
        raise AnsibleFilterError(f"batch: {error}") from error
    if host in alone:
        return [[host]]
    first = among.index(host) // at_once * at_once
    return [among[first : first + at_once]]


class FilterModule:
    """The filter of the same name."""

    def filters(self) -> dict[str, Callable[..., list[Sequence[str]]]]:
        return {"batch_of": batch_of}
