#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_report
short_description: Say what a run did, and what remains
description:
  - Says what became of each host of the run so far, as the playbooks of this collection keep it, and sets it as the
    run's statistic C(estate_run), as M(ansible.builtin.set_stats) would. AWX hands that on to the next job of a
    workflow.
  - With C(-e estate_report=FILE) the same is written to a file as JSON, with every change in detail, whether this
    module is reached or not.
  - Runs on the controller and connects to nothing. Call it with C(run_once).
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
  remaining:
    description:
      - What it means when something remains to be done on a host.
      - With V(report) every host is named, with what became of it; with V(ignore) there is only a count.
      - With V(fail) the module fails, except in check mode. It then sets no statistic, because Ansible takes none from
        tasks that fail. Call it with V(report) before.
    type: str
    choices: [ignore, report, fail]
    default: report
  accept:
    description: States of hosts that are no failure with O(remaining=fail), such as V(missing).
    type: list
    elements: str
    default: []
seealso:
  - module: ansible.builtin.set_stats
"""

EXAMPLES = r"""
- name: Say what became of each host
  hybridk8s.estate.run_report:
  run_once: true

- name: Fail where something remains to be done
  hybridk8s.estate.run_report:
    remaining: fail
  run_once: true
"""

RETURN = r"""
msg:
  description: One line a host, and a verdict.
  returned: always
  type: str
  sample: |-
    w1  changed
    w2  unreachable: Configure containerd: Connection timed out
    1 of 2 hosts are as they should be. What remains, once it is put right: run again with --limit w2
remaining:
  description: Hosts on which something remains to be done.
  returned: always
  type: list
  elements: str
  sample: [w2]
"""
