#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bgp_status
short_description: Every BGP session as both of its ends see it
description:
  - Puts together what the nodes say (M(hybridk8s.estate.bgp_info)) and what the switches say, and fails when a session
    is down, something differs from the inventory, a route is missing or a switch could not be asked.
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
  topology:
    description:
      - What the filter P(hybridk8s.estate.bgp_topology#filter) makes of the inventory.
    type: dict
    required: true
  cluster:
    description: The result of M(hybridk8s.estate.bgp_info).
    type: dict
    required: true
  switches:
    description:
      - The result of M(hybridk8s.estate.frr_bgp) in check mode, by the name of the switch. One that failed or was not
        reached counts as a switch that could not be asked.
    type: dict
    default: {}
  report:
    description:
      - A file for the whole status, as JSON; nothing is written where it is empty. Beside RV(ok) and RV(counts) it has
        C(sessions), each with its C(kind), whether it is C(up), and both ends, C(node) and C(peer), with what they see;
        C(drift), what differs from the inventory, with C(where), C(action), C(target) and C(reason);
        C(routes_missing), pod blocks to which a node has no route by BGP, or one that leads nowhere; and C(findings),
        what a person should know besides.
    type: path
    default: ""
  picture:
    description:
      - A file for a picture of racks, switches, reflectors, nodes and sessions, as an HTML page that needs no network.
        Nothing is written where it is empty.
    type: path
    default: ""
seealso:
  - module: hybridk8s.estate.bgp_info
  - module: hybridk8s.estate.frr_bgp
"""

EXAMPLES = r"""
- name: Compare both ends of every session with the inventory
  hybridk8s.estate.bgp_status:
    topology: "{{ hostvars | hybridk8s.estate.bgp_topology(groups) }}"
    cluster: "{{ bgp_seen }}"
    switches: "{{ {'tor1': hostvars.tor1.switch_bgp_result} }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: What is not as it should be, and a verdict.
  returned: always
  type: str
  sample: 10 of 10 sessions are up; all as the inventory has it.
ok:
  description: Whether everything is as it should be.
  returned: always
  type: bool
counts:
  description: How many C(sessions) there should be, how many are C(down), and how many differences make the C(drift).
  returned: always
  type: dict
  sample: {sessions: 10, down: 0, drift: 0}
"""
