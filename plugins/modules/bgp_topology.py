#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bgp_topology
short_description: Move a cluster's Calico to route reflectors that peer with switches, without losing a path
description:
  - Keeps Calico's pools, BGP peers, filters and configuration, and the route reflectors among the nodes, as the
    inventory describes them. Objects of ours that the inventory no longer has are deleted; others stay.
  - Work is done in steps with gates between them. A step that takes a path away waits until the routers report that
    another path is there, which they do in C(CalicoNodeStatus) objects. The node-to-node mesh goes off last, when every
    node is in session with every reflector and has every pod block from them.
  - A gate that does not open in its time fails the module and leaves the old path up. The next run goes on from there.
  - A node that is down is not waited for, and named in a warning.
  - The next hop of what reflectors announce to switches is kept, so switches send to the node that has the pod.
  - Reflectors take only the prefixes of C(estate_bgp.import) from switches. Calico does not pass these on to other
    nodes, which use their default route.
  - The objects are those of C(crd.projectcalico.org/v1), which Calico reads when it is installed by its manifest, or of
    C(projectcalico.org/v3), where the cluster has Calico's API server or its native definitions.
options:
  topology:
    description:
      - What the filter P(hybridk8s.estate.bgp_topology#filter) makes of the inventory.
    type: dict
    required: true
  passwords:
    description:
      - The passwords of sessions with switches, by the keys that O(topology) names. What the filter
        P(hybridk8s.estate.bgp_passwords#filter) makes of the inventory.
      - They are kept in a Secret in the namespace of calico-node, which a Role lets it read. No result, difference or
        message holds one.
    type: dict
    default: {}
  nat_outgoing:
    description: Whether pods reach addresses outside the pools under their node's address.
    type: bool
    default: false
  held_switches:
    description:
      - Names of switches whose own end is not as the inventory says, because they could not be configured. Their
        sessions are left as they are and not waited for, with a warning.
    type: list
    elements: str
    default: []
  later_switches:
    description:
      - Names of switches whose sessions start anew in a later call, because their AS number or password changes. Until
        then they are left as they are, without a warning.
    type: list
    elements: str
    default: []
  spare_pods:
    description:
      - With V(true), nothing is changed as long as nodes with pods that would notice are to start all of their sessions
        anew, which they do when they become a route reflector or cease to be one. They are named in RV(to_drain), and
        marked so that the call after the drain lets them take pods again.
      - Pods of DaemonSets, of the host's network and of C(kube-system) do not count.
    type: bool
    default: false
  gate_timeout:
    description: How long to wait at one gate, in seconds.
    type: int
    default: 120
  report_timeout:
    description:
      - How long to wait, over all gates, for nodes that are not Ready although their kubelet answers, or that have not
        reported their BGP state, in seconds. After that they count as down.
    type: int
    default: 30
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - plugin: hybridk8s.estate.bgp_topology
    plugin_type: filter
  - plugin: hybridk8s.estate.bgp_passwords
    plugin_type: filter
  - module: hybridk8s.estate.frr_bgp
author: hybridk8s.estate authors (@hybridk8s)
"""

EXAMPLES = r"""
- name: Peer as the inventory says
  hybridk8s.estate.bgp_topology:
    kubeconfig: /etc/kubernetes/admin.conf
    topology: "{{ hostvars | hybridk8s.estate.bgp_topology(groups) }}"
    passwords: "{{ hostvars | hybridk8s.estate.bgp_passwords(groups) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
steps:
  description: The writes that were done, or in check mode would be done.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: The verb.
      type: str
      sample: promote
    target:
      description: The object.
      type: str
      sample: Node/w1
    reason:
      description: Why.
      type: str
    traffic:
      description: What traffic could notice of it.
      type: str
      sample: "none: it adds a path from outside, through 10.20.1.1"
plan:
  description:
    - Every write and every gate in their order, for a person to read, with what traffic could notice. With C(--diff)
      they are printed.
  returned: always
  type: list
  elements: str
gates:
  description: The gates that opened.
  returned: always
  type: list
  elements: dict
  contains:
    gate:
      description: Its name.
      type: str
      sample: reflectors-carry-all-routes
    reason:
      description: Why it stands where it stands.
      type: str
    seconds:
      description: How long it took to open.
      type: float
    sessions:
      description: How many sessions it looked at.
      type: int
    left_out:
      description: The nodes it did not wait for, with the reason.
      type: dict
to_drain:
  description: The nodes that have to be empty first; see O(spare_pods).
  returned: always
  type: list
  elements: str
sessions:
  description: The sessions as the nodes saw them last; empty when none has reported.
  returned: always
  type: dict
  contains:
    expected:
      description: How many there should be.
      type: int
    established:
      description: How many are established.
      type: int
    listed:
      description: Every session with a switch, and every other one that is not established.
      type: list
      elements: dict
requests:
  description: How many requests were made of the API.
  returned: always
  type: int
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, emptying
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import plan as planning
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import Write
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import TopologyError, from_dict
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "topology": {"type": "dict", "required": True},
    "passwords": {"type": "dict", "default": {}, "no_log": True},
    "nat_outgoing": {"type": "bool", "default": False},
    "held_switches": {"type": "list", "elements": "str", "default": []},
    "later_switches": {"type": "list", "elements": "str", "default": []},
    "spare_pods": {"type": "bool", "default": False},
    "gate_timeout": {"type": "int", "default": 120},
    "report_timeout": {"type": "int", "default": 30},
}
PLANNED_WITH = ("nat_outgoing", "held_switches", "later_switches", "passwords")


def observe(module, cluster, topology):
    """What the cluster holds; in check mode a cluster without Calico is planned for as if it were new."""
    if cluster.empty:
        return apply.nothing(topology)
    try:
        return apply.observe(cluster, topology)
    except apply.NoCalico:
        if module.check_mode:
            return apply.nothing(topology)
        raise


def nodes_to_drain(module, cluster, plan):
    """The nodes that have to be empty before anything is done."""
    if cluster.empty or not module.params["spare_pods"]:
        return []
    return emptying.occupied(cluster, emptying.turning(plan.writes))


def report(module, cluster, plan, stages, runner, to_drain=()):
    """The module's result: what was done of the plan, the whole of it, and what was seen."""
    seen = runner.seen
    steps = [stage.step for stage in stages if isinstance(stage, Write)]
    difference = {"diff": [planning.difference_of(stage) for stage in stages]} if module._diff and steps else {}
    return {
        **result(steps),
        **difference,
        "plan": [planning.line_of(stage) for stage in plan.stages],
        "gates": [asdict(passed) for passed in runner.passed],
        "sessions": apply.sessions(runner.topology, seen) if seen and seen.reports else {},
        "to_drain": list(to_drain),
        "requests": cluster.requests,
    }


def main():
    """Observe, plan, apply with gates, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        cluster = open_cluster(module)
        topology = from_dict(module.params["topology"])
        observed = observe(module, cluster, topology)
        plan = planning.plan(topology, observed, **{option: module.params[option] for option in PLANNED_WITH})
        to_drain = nodes_to_drain(module, cluster, plan)
    except (KubeError, TopologyError) as error:
        module.fail_json(msg=str(error))
    patience = apply.Patience(module.params["gate_timeout"], module.params["report_timeout"])
    runner = apply.Runner(cluster, topology, patience, seen=observed)
    for warning in plan.warnings:
        module.warn(warning)
    if module.check_mode:
        module.exit_json(**report(module, cluster, plan, plan.stages, runner, to_drain))
    try:
        runner.run(planning.Plan(tuple(emptying.reservations(observed, to_drain))) if to_drain else plan)
    except (KubeError, apply.GateShut) as error:
        module.fail_json(msg=str(error), **report(module, cluster, plan, runner.reached, runner))
    for name, reason in runner.left_out().items():
        module.warn(f"{name} {reason}; no gate waited for it.")
    module.exit_json(**report(module, cluster, plan, runner.reached, runner, to_drain))


if __name__ == "__main__":
    main()
