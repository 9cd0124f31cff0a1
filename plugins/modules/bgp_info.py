#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bgp_info
short_description: The BGP sessions of a cluster's nodes, and what differs from the inventory
description:
  - Reads what Calico's nodes report in their C(CalicoNodeStatus) objects, which M(hybridk8s.estate.bgp_topology) made,
    and compares Calico's objects with the inventory. Changes nothing.
options:
  topology:
    description:
      - What the filter P(hybridk8s.estate.bgp_topology#filter) makes of the inventory.
    type: dict
    required: true
  passwords:
    description: As in M(hybridk8s.estate.bgp_topology).
    type: dict
    default: {}
  nat_outgoing:
    description: As in M(hybridk8s.estate.bgp_topology).
    type: bool
    default: false
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
seealso:
  - module: hybridk8s.estate.bgp_topology
  - module: hybridk8s.estate.bgp_status
author: hybridk8s.estate authors (@hybridk8s)
"""

EXAMPLES = r"""
- name: Read the sessions of the nodes
  hybridk8s.estate.bgp_info:
    kubeconfig: /etc/kubernetes/admin.conf
    topology: "{{ hostvars | hybridk8s.estate.bgp_topology(groups) }}"
    passwords: "{{ hostvars | hybridk8s.estate.bgp_passwords(groups) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
sessions:
  description: Every session that the inventory asks for. One between two nodes comes once.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What the peer is.
      type: str
      sample: reflector
    up:
      description: Whether each end that was asked sees it established.
      type: bool
    node:
      description:
        - One end, with C(name), C(address), C(as_number), what it C(sees), and how many prefixes it C(received).
      type: dict
    peer:
      description: The other end. What a switch sees is not known here.
      type: dict
steps:
  description: What M(hybridk8s.estate.bgp_topology) would do.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: The verb.
      type: str
      sample: create
    target:
      description: The object.
      type: str
      sample: BGPPeer/lab-r1-tor1
    reason:
      description: Why.
      type: str
    traffic:
      description: What traffic could notice of it.
      type: str
routes_missing:
  description: Pod blocks to which a node has no route by BGP, or one that leads nowhere.
  returned: success
  type: list
  elements: str
findings:
  description: What a person should know besides, such as peers that others made.
  returned: success
  type: list
  elements: str
requests:
  description: How many requests were made of the API.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.observed import missing_routes
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.plan import plan
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.status import no_nodes, sessions_in
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import TopologyError, from_dict
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "topology": {"type": "dict", "required": True},
    "passwords": {"type": "dict", "default": {}, "no_log": True},
    "nat_outgoing": {"type": "bool", "default": False},
}


def main():
    """Observe, compare, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        cluster = open_cluster(module)
        topology = from_dict(module.params["topology"])
        observed = apply.nothing(topology) if cluster.empty else apply.observe(cluster, topology)
        foreseen = plan(topology, observed, module.params["nat_outgoing"], passwords=module.params["passwords"])
    except (KubeError, TopologyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        **{**result([write.step for write in foreseen.writes]), "changed": False},
        sessions=[session.as_dict() for session in sessions_in(topology, observed)],
        routes_missing=missing_routes(topology, observed, sorted(observed.reports)),
        findings=[*foreseen.warnings, *no_nodes(topology, observed)],
        requests=cluster.requests,
    )


if __name__ == "__main__":
    main()
