#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: egress_limit
short_description: Hold what a host sends over a dedicated line to a limit
description:
  - Limits what a host and its pods send to some networks, such as those of the data centre behind a dedicated line.
    Everything else is not touched.
  - There is one limit for all interfaces that have a route to these networks, in any routing table. So the network
    interfaces of the cloud by which pods leave are among them, also those that come later.
  - Control traffic has a share of its own, and goes first. Both may use what the other leaves.
  - A service, C(hybridk8s-egress-limit.service), holds the limit from then on. The kernel tells it of new routes and of
    changes in traffic control.
  - The limit is an HTB on a device of its own, C(estate-line), to which filters on the interfaces hand the packets. The
    interfaces keep their own queues.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    description: Hosts that run systemd, with iproute2 5.18 or later.
    support: full
    platforms: linux
options:
  state:
    description:
      - V(absent) takes the limit off, with all that came with it.
    type: str
    choices: [present, absent]
    default: present
  prefixes:
    description: The IPv4 networks behind the line. Required with O(state=present).
    type: list
    elements: str
    default: []
  exempt:
    description: Networks inside O(prefixes) that are not behind the line, such as the VPC's own.
    type: list
    elements: str
    default: []
  limit_mbit:
    description: What the host may send over the line, in Mbit/s, headers included. Required with O(state=present).
    type: int
  control_mbit:
    description: What of it is kept for control traffic, in Mbit/s.
    type: int
    default: 10
  control:
    description: What is control traffic. A packet that is one of these is.
    type: list
    elements: dict
    default: []
    suboptions:
      protocol:
        description: Its protocol.
        type: str
        choices: [tcp, udp, icmp]
        required: true
      to_port:
        description: The port that it goes to. Any, when this is left out.
        type: int
      from_port:
        description: The port that it comes from. Any, when this is left out.
        type: int
  textfile:
    description:
      - Where the service writes its counters every 15 seconds for the textfile collector of C(node_exporter), such as
        C(/var/lib/prometheus/node-exporter/estate_line.prom). Its directory must be there.
    type: path
seealso:
  - module: hybridk8s.estate.line_usage
"""

EXAMPLES = r"""
- name: Send no more than 200 Mbit/s to the data centre, and let control traffic go first
  hybridk8s.estate.egress_limit:
    prefixes: [10.40.0.0/16]
    limit_mbit: 200
    control_mbit: 10
    control:
      - {protocol: tcp, to_port: 6443}
      - {protocol: tcp, from_port: 10250}
      - {protocol: icmp}

- name: Take the limit off
  hybridk8s.estate.egress_limit:
    state: absent
"""

RETURN = r"""
steps:
  description: What was changed, in order; in check mode what would be.
  returned: always
  type: list
  elements: dict
  contains:
    action: {description: 'What was done, such as V(set) or V(write)', type: str, returned: always}
    target: {description: To what, type: str, returned: always}
    reason: {description: Why, type: str, returned: always}
  sample: [{action: set, target: eth1 way to the line, reason: 1 filters}]
interfaces:
  description: The interfaces that lead to the line.
  returned: success
  type: list
  elements: str
  sample: [eth0, eth1]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._egress_limit import converge, remove
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

CONTROL_OPTIONS = {
    "protocol": {"type": "str", "choices": ["tcp", "udp", "icmp"], "required": True},
    "to_port": {"type": "int"},
    "from_port": {"type": "int"},
}
ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "prefixes": {"type": "list", "elements": "str", "default": []},
    "exempt": {"type": "list", "elements": "str", "default": []},
    "limit_mbit": {"type": "int"},
    "control_mbit": {"type": "int", "default": 10},
    "control": {"type": "list", "elements": "dict", "default": [], "options": CONTROL_OPTIONS},
    "textfile": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", ("limit_mbit",))],
        supports_check_mode=True,
    )
    host, check = Host(), module.check_mode
    try:
        absent = module.params["state"] == "absent"
        outcome = remove(host, check) if absent else converge(module.params, host, check)
    except HostError as error:
        module.fail_json(msg=str(error), **result(error.applied, module._diff))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(**result(outcome.steps, module._diff, interfaces=list(outcome.interfaces)))


if __name__ == "__main__":
    main()
