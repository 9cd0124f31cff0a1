#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_images_info
short_description: Which images new nodes will need before they are Ready
description:
  - Reads the cluster's DaemonSets once, and says for each of the named nodes, which need not exist yet, the images of
    those that will run on it with priority C(system-node-critical). These are the pod network and the proxy.
  - For control planes it adds the images of the control planes there are.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
options:
  nodes:
    description: The nodes; make them by P(hybridk8s.estate.node_states#filter).
    type: list
    elements: dict
    required: true
  control_plane:
    description: Whether these nodes become control planes.
    type: bool
    default: false
seealso:
  - module: hybridk8s.estate.image
"""

EXAMPLES = r"""
- name: See what two hosts will pull
  hybridk8s.estate.node_images_info:
    kubeconfig: ~/.kube/config
    nodes: "{{ hostvars | hybridk8s.estate.node_states(groups, ['w4', 'w5']) }}"
"""

RETURN = r"""
images:
  description: The images of each node, by the node's name.
  returned: always
  type: dict
  sample: {w4: ['registry.k8s.io/kube-proxy:v1.36.3']}
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils import _node_images
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "nodes": {"type": "list", "elements": "dict", "required": True},
    "control_plane": {"type": "bool", "default": False},
}


def images_by_node(cluster, nodes, control_plane):
    """The images that each node will need."""
    daemonsets = cluster.list(_node_images.DAEMONSETS)
    selector = {"labelSelector": _node_images.CONTROL_PLANE_SELECTOR}
    pods = cluster.list(_node_images.CONTROL_PLANE_PODS, query=selector) if control_plane else []
    shared = _node_images.images_of(pod["spec"] for pod in pods)
    found = {}
    for node in nodes:
        specs = _node_images.critical_specs(daemonsets, node["name"], node.get("labels") or {})
        found[node["name"]] = sorted(shared | _node_images.images_of(specs))
    return found


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        cluster = open_cluster(module)
        images = images_by_node(cluster, module.params["nodes"], module.params["control_plane"])
    except KubeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, images=images, requests=cluster.requests)


if __name__ == "__main__":
    main()
