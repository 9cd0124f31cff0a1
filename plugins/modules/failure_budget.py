#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failure_budget
short_description: Begin no further host once too many have failed
description:
  - Fails on a host when more hosts of the play have failed than the budget allows. As the first task of what is done to
    a host, it lets those go on that were begun before, and begins no further one.
  - Runs on the controller and connects to nothing.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
options:
  max_fail:
    description:
      - How many of O(wanted) may fail, as a number such as V(3) or a share such as V(10%), which is rounded down.
      - With one more, no further host is begun.
      - V(100%) is no limit; V(0) stops after the first failure.
    type: str
    default: 100%
  wanted:
    description: All hosts of the play, C(ansible_play_hosts_all).
    type: list
    elements: str
    required: true
  reached:
    description: Those that have not failed, C(ansible_play_hosts).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Begin no further host once too many have failed
  hybridk8s.estate.failure_budget:
    max_fail: 10%
    wanted: "{{ ansible_play_hosts_all }}"
    reached: "{{ ansible_play_hosts }}"
"""

RETURN = r"""
nodes:
  description: Why this host is not begun, when it is not.
  returned: failure
  type: dict
  sample:
    w7:
      state: not_started
      changed: false
      message: not begun, because more hosts failed (w1, w2) than the 1 of 9 that max_fail=1 allows.
"""
