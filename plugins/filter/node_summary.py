# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_summary
short_description: What became of each host of a run, in words
description: Compares the hosts that a run was for with those it reached and with the nodes that the API knows.
author: hybridk8s.estate authors (@hybridk8s)
options:
  _input:
    description: The return value RV(hybridk8s.estate.node_info#module:nodes).
    type: list
    elements: dict
    required: true
  wanted:
    description: Hosts that should be Ready nodes; in a play C(ansible_play_hosts_all).
    type: list
    elements: str
    required: true
  reached:
    description: Hosts that took part to the end; in a play C(ansible_play_hosts).
    type: list
    elements: str
    required: true
positional: wanted, reached
"""

EXAMPLES = r"""
- name: Say what became of each host
  ansible.builtin.debug:
    msg: "{{ (info.nodes | hybridk8s.estate.node_summary(ansible_play_hosts_all, ansible_play_hosts)).lines }}"
"""

RETURN = r"""
_value:
  description: Key C(lines), one text a host and one for all; and C(complete), whether every host is a Ready node and was reached.
  type: dict
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any


def node_summary(nodes: Sequence[Mapping[str, Any]], wanted: Sequence[str], reached: Collection[str]) -> dict[str, Any]:
    """One line a host, then the count."""
    seen = {node["name"]: node for node in nodes}
    states = {name: _state(seen.get(name), name in reached) for name in wanted}
    good = sum(1 for _, whole in states.values() if whole)
    width = max((len(name) for name in wanted), default=0)
    return {
        "lines": [
            *(f"{name:{width}}  {text}" for name, (text, _) in states.items()),
            f"{good} of {len(wanted)} hosts are Ready nodes and as the inventory has them",
        ],
        "complete": good == len(wanted),
    }


def _state(node: Mapping[str, Any] | None, reached: bool) -> tuple[str, bool]:
    words = []
    ready = False
    if node is None or not node["exists"]:
        words.append("no node in the cluster")
    else:
        ready = bool(node["ready"])
        words.append("Ready" if ready else "not Ready")
        words.append(str(node["version"]))
        if not node["schedulable"]:
            words.append("cordoned")
    if not reached:
        words.append("FAILED in this run, see above: unreachable, or a task failed; put it right and run again")
    return ", ".join(words), ready and reached


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"node_summary": node_summary}
