#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: What the cluster knows of its nodes
description:
  - Returns the state of the named nodes, or of all, from one reading of the API.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
options:
  names:
    description: Names of nodes. Without it all nodes are returned. A name without a node is returned as not existing.
    type: list
    elements: str
seealso:
  - module: hybridk8s.estate.node
"""

EXAMPLES = r"""
- name: See which of the new hosts have registered
  hybridk8s.estate.node_info:
    kubeconfig: ~/.kube/config
    names: [w4, w5]
  register: joined
"""

RETURN = r"""
nodes:
  description: The nodes, sorted by name.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: Name of the node, type: str, returned: always}
    exists: {description: Whether there is such a node, type: bool, returned: always}
    ready: {description: Whether the node is Ready, type: bool, returned: always}
    message: {description: What the Ready condition says if it is not, type: str, returned: when it exists}
    schedulable: {description: Whether new pods may be placed on it, type: bool, returned: when it exists}
    version: {description: Version of the kubelet, type: str, returned: when it exists, sample: v1.36.3}
    container_runtime: {description: Runtime and version, type: str, returned: when it exists}
    kernel: {description: Version of the kernel, type: str, returned: when it exists}
    internal_ip: {description: First address of type InternalIP, type: str, returned: when it exists}
    provider_id: {description: ID at the cloud provider, type: str, returned: when it exists}
    labels: {description: All labels, type: dict, returned: when it exists}
    annotations: {description: All annotations, type: dict, returned: when it exists}
    taints: {description: All taints, type: list, elements: dict, returned: when it exists}
    owned: {description: Keys and taints recorded as ours, type: dict, returned: when it exists}
    conditions: {description: 'Status, reason and message by type', type: dict, returned: when it exists}
    allocatable: {description: What pods can use, type: dict, returned: when it exists}
    created: {description: When the node registered, type: str, returned: when it exists}
    uid: {description: Unique ID of the object, type: str, returned: when it exists}
missing:
  description: Names without a node.
  returned: always
  type: list
  elements: str
not_ready:
  description: What the Ready condition says of nodes that exist and are not Ready, by name.
  returned: always
  type: dict
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils import _nodes
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster


def main():
    module = AnsibleModule(
        argument_spec={**CLUSTER_ARGUMENTS, "names": {"type": "list", "elements": "str"}}, supports_check_mode=True
    )
    try:
        cluster = open_cluster(module)
        live = _nodes.read(cluster, module.params["names"])
    except KubeError as error:
        module.fail_json(msg=str(error))
    names = sorted(set(live if module.params["names"] is None else module.params["names"]))
    module.exit_json(
        changed=False,
        nodes=[_nodes.describe(name, live.get(name)) for name in names],
        missing=[name for name in names if name not in live],
        not_ready=_nodes.not_ready(live, [name for name in names if name in live]),
        requests=cluster.requests,
    )


if __name__ == "__main__":
    main()
