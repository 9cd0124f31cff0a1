# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dataset_nodes
short_description: The labels of nodes, by the datasets that their hosts have
description:
  - Turns what M(hybridk8s.estate.dataset_preload) returned on hosts into the option
    O(hybridk8s.estate.node#module:nodes).
  - A host on which it did not return labels is left out, so that its node keeps those that it has.
author: hybridk8s.estate authors (@hybridk8s)
options:
  _input:
    description: Ansible's variable C(hostvars).
    type: dict
    required: true
  names:
    description: The hosts.
    type: list
    elements: str
    required: true
  register:
    description: The variable in which each host keeps its result.
    type: str
    required: true
positional: names, register
seealso:
  - module: hybridk8s.estate.dataset_preload
  - module: hybridk8s.estate.node
"""

EXAMPLES = r"""
- name: Label the nodes with the datasets that they have
  hybridk8s.estate.node:
    nodes: "{{ hostvars | hybridk8s.estate.dataset_nodes(ansible_play_hosts, 'dataset_preload_done') }}"
    owner: datasets
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: One dictionary a host, in the order of the names; keys C(name) and C(labels).
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def dataset_nodes(hostvars: Mapping[str, Any], names: Sequence[str], register: str) -> list[dict[str, object]]:
    """The nodes ``names`` and their labels."""
    results = {name: hostvars[name].get(register) for name in names}
    return [
        {"name": name, "labels": dict(result["labels"])}
        for name, result in results.items()
        if isinstance(result, Mapping) and "labels" in result
    ]


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dataset_nodes": dataset_nodes}
