# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_states
short_description: What the inventory wants of nodes
description:
  - Computes the labels, annotations and taints that the inventory implies for some hosts, in the form of the option
    O(hybridk8s.estate.node#module:nodes).
  - To the labels of the host variable C(node_labels) it adds the standard ones. C(estate.hybridk8s.io/rack) is the
    rack, C(estate.hybridk8s.io/node-class) is V(bare_metal) or V(cloud_vm), C(topology.kubernetes.io/zone) is the rack
    unless C(node_labels) says otherwise. Cloud VMs have C(alibabacloud.com/external=true), and bare metal of an estate
    with a cloud C(k8s.aliyun.com/ignore-by-terway=true), which keep the add-ons of each off the other.
  - The host variables C(node_pool), C(node_io_class), C(node_gpu_model) and C(node_cpu_model) become the labels
    C(estate.hybridk8s.io/pool), C(io-class), C(gpu-model) and C(cpu-model). C(node_dedicated) becomes the label
    C(dedicated) and the taint C(dedicated) with the effect V(NoSchedule), so that only pods that tolerate it come, and
    pods that select it go nowhere else.
  - Each runtime beside runc of the host's runtime profile becomes a label C(runtime.hybridk8s.io/NAME=true), which the
    RuntimeClass of that name selects.
  - Only the variables of the named hosts are read, so the cost follows the number of names.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
options:
  names:
    description: Hosts whose states are wanted; each is in C(control_plane) or C(workers).
    type: list
    elements: str
    required: true
positional: groups, names
seealso:
  - module: hybridk8s.estate.node
"""

EXAMPLES = r"""
- name: Label and taint the nodes of this play
  hybridk8s.estate.node:
    kubeconfig: "{{ kubeconfig }}"
    nodes: "{{ hostvars | hybridk8s.estate.node_states(groups, ansible_play_hosts) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: One dictionary a host, in the order of the names; keys C(name), C(labels), C(annotations), C(taints).
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_from_hostvars


def node_states(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], names: Sequence[str]
) -> list[dict[str, object]]:
    """The wanted states of the nodes ``names``."""
    try:
        return derive.node_states(estate_from_hostvars(hostvars, groups, names), names)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"node_states": node_states}
