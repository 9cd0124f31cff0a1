#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_info
short_description: What a host is to its Kubernetes cluster
description:
  - Reads files on the host and, where a kubelet has credentials, asks the API for its node. Changes nothing.
  - The memberships of all control planes together say who may create the cluster (see
    P(hybridk8s.estate.kubeadm_initializer#filter)).
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
options:
  node_name:
    description: Name of the node.
    type: str
    required: true
seealso:
  - module: hybridk8s.estate.kubeadm_node
"""

EXAMPLES = r"""
- name: Look at the host
  hybridk8s.estate.kubeadm_info:
    node_name: "{{ inventory_hostname }}"
  register: kubeadm

- name: Refuse to create a second cluster
  ansible.builtin.assert:
    that: initializer.refusal == ''
    fail_msg: "{{ initializer.refusal }}"
  vars:
    observations: >-
      {{ dict(groups['control_plane'] | zip(groups['control_plane'] | map('extract', hostvars)
         | map(attribute='kubeadm.membership', default='unreachable'))) }}
    initializer: "{{ observations | hybridk8s.estate.kubeadm_initializer }}"
  run_once: true
"""

RETURN = r"""
node_name:
  description: The node's name as given.
  returned: success
  type: str
  sample: cp1
membership:
  description:
    - V(none), a V(worker) or a V(control_plane).
    - V(half_initialized), V(half_joined) or V(half_reset) while kubeadm was begun by this collection and not seen to
      end.
    - V(foreign) where Kubernetes files are that this collection did not make and that are no member's.
  returned: success
  type: str
  sample: control_plane
settled:
  description: Whether M(hybridk8s.estate.kubeadm_node) has nothing to do for a host that shall be a member.
  returned: success
  type: bool
  sample: true
registered:
  description: Whether the API has the node; V(yes), V(no), V(unknown), or empty where the host has no credentials.
  returned: success
  type: str
  sample: 'yes'
detail:
  description: Why RV(registered) is V(unknown).
  returned: success
  type: str
  sample: ''
busy:
  description: Whether kubeadm is at work on the host now.
  returned: success
  type: bool
  sample: false
version:
  description: Version of the API server in a control plane's manifest, without C(v); empty elsewhere.
  returned: success
  type: str
  sample: 1.36.3
started:
  description: When the unfinished kubeadm was begun, in UTC; empty when there is none.
  returned: success
  type: str
  sample: ''
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host, busy
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_node import observe, version


def main() -> None:
    module = AnsibleModule(argument_spec={"node_name": {"type": "str", "required": True}}, supports_check_mode=True)
    host = Host()
    seen = observe(host, module.params["node_name"])
    module.exit_json(
        changed=False,
        node_name=module.params["node_name"],
        membership=seen.membership,
        settled=seen.settled,
        registered=seen.registered,
        detail=seen.detail,
        busy=busy(host),
        version=version(host),
        started=seen.marker.started if seen.marker else "",
    )


if __name__ == "__main__":
    main()
