#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_endpoint
short_description: Whether a host reaches a server, over TLS 1.2 or later, with a certificate that is verified
description:
  - Connects from the host that it runs on, says nothing, changes nothing, and fails with what is wrong and what to do.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
options:
  host:
    description: Name or address of the server.
    type: str
    required: true
  port:
    description: Its TCP port.
    type: int
    required: true
  server_name:
    description: Whom its certificate must name, where that is not O(host).
    type: str
    default: ''
  authority:
    description: The certificates, in PEM, of those who may have signed its own. By default those that the host trusts.
    type: str
    default: ''
  verify:
    description: Whether a certificate that cannot be verified is an error. Otherwise it is a warning.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for the connection.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: See whether the agent of ACK will reach it from here
  hybridk8s.estate.tls_endpoint:
    host: 172.20.16.5
    port: 5533
    authority: "{{ lookup('ansible.builtin.file', 'ack-ca.pem') }}"
"""

RETURN = r"""
version:
  description: The protocol that was agreed upon; empty where none was.
  returned: always
  type: str
  sample: TLSv1.3
seconds:
  description: How long it took until then.
  returned: always
  type: float
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import conclude
from ansible_collections.hybridk8s.estate.plugins.module_utils._tls import Server, judge, shake_hands

ARGUMENTS = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "server_name": {"type": "str", "default": ""},
    "authority": {"type": "str", "default": ""},
    "verify": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 10},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    server = Server(params["host"], params["port"], params["server_name"], params["authority"])
    seen = shake_hands(server, params["timeout"])
    findings = list(judge(server, seen, socket.gethostname(), params["verify"]))
    conclude(module, findings, version=seen.version, seconds=round(seen.seconds, 3))


if __name__ == "__main__":
    main()
