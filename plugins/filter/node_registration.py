# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_registration
short_description: How a host registers as a node
description:
  - What the inventory says of a host, as the input of P(hybridk8s.estate.kubeadm_init#filter) and
    P(hybridk8s.estate.kubeadm_join#filter). A node has its labels and taints from its first moment, so that no pod
    lands where it should not.
  - Only the variables of this host are read.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
options:
  name:
    description: The host.
    type: str
    required: true
positional: groups, name
seealso:
  - plugin: hybridk8s.estate.node_states
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Join a worker
  hybridk8s.estate.kubeadm_node:
    state: joined
    node_name: "{{ inventory_hostname }}"
    config: "{{ node | hybridk8s.estate.kubeadm_join }}"
  vars:
    node: "{{ hostvars | hybridk8s.estate.node_registration(groups, inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: Keys C(name), C(ip), C(labels) and C(taints), and for a VM C(kubelet_args) with its provider id.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_from_hostvars


def node_registration(hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], name: str) -> dict[str, Any]:
    """The host's name, address, labels and taints."""
    estate = estate_from_hostvars(hostvars, groups, [name])
    try:
        state = derive.node_states(estate, [name])[0]
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    host = estate.hosts[name]
    arguments = {"kubelet_args": {"provider-id": host.vm.provider_id}} if host.vm.provider_id else {}
    return {
        "name": name,
        "ip": str(host.address),
        "labels": state["labels"],
        "taints": state["taints"],
        **arguments,
    }


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"node_registration": node_registration}
