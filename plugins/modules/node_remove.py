#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_remove
short_description: Take nodes out of the cluster whose hosts are dead or have left
description:
  - Deletes the Node objects of the named hosts, when nothing is bound to them any more that a controller waits for, and
    waits until Calico has given their addresses back. Hosts are not contacted.
  - A host is dead when its node's Ready is V(Unknown) and its lease was not renewed since. One that answers is refused
    unless O(left) names it. M(hybridk8s.estate.node_drain) empties it, M(hybridk8s.estate.kubeadm_node) has it leave.
  - Where pods or volumes are bound to a node that goes, it gets the taint C(node.kubernetes.io/out-of-service), by
    which the cluster's controllers let go of them without its kubelet, and the annotation
    C(estate.hybridk8s.io/removing), which says that the taint is ours. A node that is not removed after all, or whose
    host comes back meanwhile, loses both again.
  - Refuses a control plane when no other one is Ready, and a Ready route reflector when no other one is. The etcd
    member of a control plane goes first, by M(hybridk8s.estate.etcd_member).
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
  - hybridk8s.estate._batches
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  names:
    description: Names of nodes, in the order of their removal. One that does not exist is no error.
    type: list
    elements: str
    required: true
  left:
    description:
      - Those of O(names) whose hosts have left the cluster, although they may look alive to it.
      - A host that runs on keeps its pods running. Two of them may then use the same volume.
    type: list
    elements: str
    default: []
  silence_timeout:
    description: Seconds that hosts get to fall silent, of which somebody knows already that they are dead.
    type: int
    default: 0
  timeout:
    description: Seconds that the pods and volumes of a batch get to be let go.
    type: int
    default: 300
  abandon:
    description: Whether a node is deleted although pods or volumes are bound to it when O(timeout) is over.
    type: bool
    default: false
  blocks_timeout:
    description:
      - Seconds that Calico gets to release the address blocks of the nodes. Blocks that are left are a finding and no
        failure.
    type: int
    default: 300
  on_failure:
    description: Whether the module fails when a node could not be removed, or only reports it in RV(nodes).
    type: str
    choices: [fail, report]
    default: fail
seealso:
  - module: hybridk8s.estate.node_drain
  - module: hybridk8s.estate.etcd_member
  - module: hybridk8s.estate.kubeadm_node
"""

EXAMPLES = r"""
- name: Remove two nodes whose hosts are dead
  hybridk8s.estate.node_remove:
    kubeconfig: ~/.kube/config
    names: [w4, w5]

- name: Forget a node after its host was drained and reset
  hybridk8s.estate.node_remove:
    kubeconfig: ~/.kube/config
    names: [w6]
    left: [w6]
"""

RETURN = r"""
nodes:
  description: What became of each node, by name.
  returned: success
  type: dict
  contains:
    state:
      description:
        - V(removed), V(absent), V(refused), V(failed) or V(not_started).
        - In check mode V(removed) is what would be.
      type: str
      returned: success
    message: {description: Why, type: str, returned: success}
    changed: {description: Whether something was done to it (in check mode would be), type: bool, returned: success}
    answers: {description: Why its host is taken for alive, type: str, returned: the node exists}
    control_plane: {description: Whether it is a control plane, type: bool, returned: the node exists}
    schedulable: {description: Whether it took pods before, type: bool, returned: the node exists}
    blocks: {description: The Calico blocks that are still its own, type: list, elements: str, returned: success}
  sample: {w4: {state: removed, message: '', changed: true, answers: '', control_plane: false, blocks: []}}
removed:
  description: Nodes that were deleted (in check mode, would be).
  returned: success
  type: list
  elements: str
findings:
  description: Why nodes are refused, and what is left of removed ones.
  returned: success
  type: list
  elements: dict
  contains:
    code: {description: Short name of the rule, type: str, returned: always, sample: NR001-host-answers}
    severity: {description: V(error) or V(warning), type: str, returned: always}
    host: {description: The node, type: str, returned: always}
    variable: {description: The option that is concerned, type: str, returned: always}
    message: {description: What is found, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
steps:
  description: What was done (in check mode, would be), in order.
  returned: success
  type: list
  elements: dict
requests:
  description: How many requests were made to the API server.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._budget import (
    BATCH_ARGUMENTS,
    batch_size,
    failure_budget,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._interruption import Interrupted, ending_on_signals
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result
from ansible_collections.hybridk8s.estate.plugins.module_utils._removal import REMOVED, SETTLED
from ansible_collections.hybridk8s.estate.plugins.module_utils._removal_run import Nodes, Rules

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    **BATCH_ARGUMENTS,
    "names": {"type": "list", "elements": "str", "required": True},
    "left": {"type": "list", "elements": "str", "default": []},
    "silence_timeout": {"type": "int", "default": 0},
    "timeout": {"type": "int", "default": 300},
    "abandon": {"type": "bool", "default": False},
    "blocks_timeout": {"type": "int", "default": 300},
    "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
}


def rules_of(params):
    """How to remove, from the module's arguments. Raises ValueError."""
    count = len(set(params["names"]))
    return Rules(
        left=frozenset(params["left"]),
        silence_timeout=params["silence_timeout"],
        timeout=params["timeout"],
        blocks_timeout=params["blocks_timeout"],
        abandon=params["abandon"],
        batch=batch_size(params["batch"], count),
        max_fail=failure_budget(params["max_fail"], count),
    )


def described(nodes, plans):
    """What became of each node, for the result."""
    shown = {}
    for name, outcome in nodes.results.items():
        seen = plans[name].seen
        shown[name] = {"state": outcome.state, "message": outcome.message, "changed": outcome.changed}
        if seen:
            shown[name] |= {
                "answers": seen.answers,
                "control_plane": seen.standing.control_plane,
                "schedulable": seen.schedulable,
            }
        shown[name]["blocks"] = list(nodes.blocks.get(name, ()))
    return shown


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        nodes = Nodes(open_cluster(module), rules_of(module.params))
        plans = nodes.observe(module.params["names"])
    except (KubeError, ValueError) as error:
        module.fail_json(msg=str(error))

    def report(steps):
        shown = described(nodes, plans)
        return result(
            steps,
            diff=module._diff,
            nodes=shown,
            removed=sorted(name for name, node in shown.items() if node["state"] == REMOVED),
            findings=[finding.as_dict() for finding in nodes.findings],
            requests=nodes.cluster.requests,
        )

    if module.check_mode:
        outcome = report([step for made in plans.values() for step in made.steps])
    else:
        try:
            with ending_on_signals():
                nodes.run(plans)
        except (KubeError, Interrupted) as error:
            module.fail_json(msg=str(error), **report(nodes.done))
        outcome = report(nodes.done)
    left_over = {name: node["message"] for name, node in outcome["nodes"].items() if node["state"] not in SETTLED}
    if left_over and module.params["on_failure"] == "fail":
        named = "; ".join(f"{name}: {why}" for name, why in left_over.items())
        module.fail_json(msg=f"{len(left_over)} nodes were not removed: {named}", **outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
