#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: estate_check
short_description: Find everything that is wrong with an inventory
description:
  - Reads the variables of every host of the inventory, whatever the play's hosts and C(--limit), and reports all
    findings of one run, each with a code, the host, the variable and a remedy.
  - Findings are errors, which fail the task, or warnings.
  - Runs on the controller and connects to nothing. Call it with C(run_once) in a play over all hosts.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is changed.
  idempotent:
    support: full
options:
  report:
    description:
      - A file on the controller that receives the findings as JSON, also in check mode.
      - Its directory must exist.
    type: path
"""

EXAMPLES = r"""
- name: Check the inventory before anything is touched
  hosts: all
  gather_facts: false
  tasks:
    - name: Check the inventory
      hybridk8s.estate.estate_check:
        report: findings.json
      run_once: true
"""

RETURN = r"""
estate:
  description: Name of the estate; empty if the inventory has none.
  returned: always
  type: str
  sample: shenzhen-1
findings:
  description: What was found, errors first.
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description: What kind of finding it is.
      type: str
      sample: ES204-host-outside-rack
    severity:
      description: Whether work may start nevertheless.
      type: str
      sample: error
    host:
      description: The host it concerns; empty for what concerns the whole estate.
      type: str
      sample: w1
    variable:
      description: The variable to look at, with the keys inside.
      type: str
      sample: ansible_host
    message:
      description: What is wrong.
      type: str
      sample: 10.20.9.21 is outside 10.20.1.0/24, the subnet of rack r1.
    remedy:
      description: What to do about it.
      type: str
      sample: Correct the address, the rack, or the rack's subnet.
    why:
      description: What goes wrong otherwise.
      type: str
      sample: the rack's switch could not reach it, nor any pod on it
    origin:
      description: File and line of the variable, where known.
      type: str
      sample: inventories/lab/hosts.yml:14
summary:
  description: Counts of findings by severity, and of what the inventory describes.
  returned: always
  type: dict
  sample:
    errors: 0
    warnings: 0
    hosts: 8
    control_planes: 1
    nodes: 6
    racks: 2
    switches: 2
"""
