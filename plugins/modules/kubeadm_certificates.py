#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_certificates
short_description: Lend a cluster's certificates to control planes that join
description:
  - Runs on a control plane that is a member. V(present) uploads the cluster's certificates to the API, encrypted by a
    new key that it returns; V(absent) takes them away again before they expire by themselves after two hours.
  - The key is made anew each time, so V(present) always changes. Use it only when a control plane has to join, with
    C(no_log).
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
    details: RV(certificate_key) is a placeholder then. Nothing is asked of the API, so it works before there is one.
  diff_mode:
    support: full
    details: Shows no content; it is secret.
  idempotent:
    support: full
options:
  state:
    description: Whether the certificates are to be had.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description: Seconds that kubeadm may take.
    type: int
    default: 120
seealso:
  - module: hybridk8s.estate.kubeadm_node
"""

EXAMPLES = r"""
- name: Lend the certificates
  hybridk8s.estate.kubeadm_certificates:
  delegate_to: "{{ groups['control_plane'] | first }}"
  run_once: true
  no_log: true
  register: certificates

- name: Take them back after the joins
  hybridk8s.estate.kubeadm_certificates:
    state: absent
  delegate_to: "{{ groups['control_plane'] | first }}"
  run_once: true
"""

RETURN = r"""
certificate_key:
  description: Key that decrypts the certificates, for O(hybridk8s.estate.kubeadm_node#module:certificate_key).
  returned: O(state=present)
  type: str
  sample: 64 hexadecimal digits
steps:
  description: What was done (in check mode, would be), in order.
  returned: success
  type: list
  elements: dict
  sample: [{action: upload, target: secret/kubeadm-certs, reason: control planes are to join}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_certificates import remove, upload
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "timeout": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    extra = {}
    try:
        if module.params["state"] == "present":
            steps, extra["certificate_key"] = upload(Host(), module.params["timeout"], module.check_mode)
        else:
            steps = remove(Host(), module.check_mode)
    except (Failure, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result(steps, module._diff, **extra))


if __name__ == "__main__":
    main()
