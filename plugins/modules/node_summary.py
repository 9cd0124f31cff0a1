#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_summary
short_description: Say what became of each host of a run
description:
  - Compares the hosts that a run was for with those that it reached and with what M(hybridk8s.estate.node) saw. Fails
    when one of them is not a Ready node or was not reached to the end.
  - In check mode it says the same and does not fail, since nothing was done.
  - Runs on the controller and connects to nothing.
author: hybridk8s.estate authors (@hybridk8s)
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns details on what has changed.
    support: none
    details: It changes nothing.
options:
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
  missing:
    description: The return value RV(hybridk8s.estate.node#module:missing).
    type: list
    elements: str
    required: true
  not_ready:
    description: The return value RV(hybridk8s.estate.node#module:not_ready).
    type: dict
    required: true
seealso:
  - module: hybridk8s.estate.node
"""

EXAMPLES = r"""
- name: Say what became of each host
  hybridk8s.estate.node_summary:
    wanted: "{{ ansible_play_hosts_all }}"
    reached: "{{ ansible_play_hosts }}"
    missing: "{{ labelled.missing }}"
    not_ready: "{{ labelled.not_ready }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: One line a host, and a count.
  returned: always
  type: str
  sample: |-
    w1  Ready
    1 of 1 hosts are Ready nodes, as the inventory has them
incomplete:
  description: Hosts that are not Ready nodes or were not reached.
  returned: always
  type: list
  elements: str
  sample: []
"""
