#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
short_description: Empty nodes of their pods, never past a disruption budget
description:
  - Cordons the listed nodes, evicts their pods in parallel, and waits until the pods are gone and their volumes are
    detached. Evictions follow what each PodDisruptionBudget allows as it changes; the API server is not asked for what
    a budget has no room for. Pods of DaemonSets and static pods stay.
  - What stands in the way is found before the first node is cordoned, and then nothing is done. In check mode the plan
    is all there is.
  - All nodes are cordoned before the first is begun, so that no pod moves twice. A node that is not begun or cannot be
    emptied returns to the schedulability it had, whatever ended the run.
  - While a node is drained it has the annotation C(estate.hybridk8s.io/draining), which names the run; the run is a
    Lease in C(kube-system) that it renews. Every run gives back what a run that died had cordoned, on whichever nodes.
  - Two route reflectors of a rack are never emptied at once.
  - Emptied nodes stay cordoned. M(hybridk8s.estate.node) with V(schedulable=true) uncordons them.
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
    description: The nodes, in the order in which they are begun. Names without a node are reported in RV(missing).
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds after which nodes that are not empty have failed.
    type: int
    default: 600
  node_timeout:
    description: Seconds that each node may take from when it is begun. Without it only O(timeout) counts.
    type: int
  at_once:
    description: Further limits to how many nodes are emptied at once, by their labels.
    type: list
    elements: dict
    default: []
    suboptions:
      label:
        description: The label, as C(key) or C(key=value). Nodes without it are not limited.
        type: str
        required: true
      nodes:
        description: How many of the nodes with this label. V(0) does not limit it.
        type: int
        default: 0
      domains:
        description: The nodes of how many of the label's values, such as racks. V(0) does not limit it.
        type: int
        default: 0
  order:
    description:
      - Groups of pods. On each node a group is evicted when the pods of those before it are gone. A pod belongs to the
        first group that it fits; those of none come last. A group that asks for nothing holds all that is left.
    type: list
    elements: dict
    default: []
    suboptions:
      labels:
        description: Labels that the pods have.
        type: dict
        default: {}
      kinds:
        description: Kinds of their controllers, such as C(StatefulSet); C(ReplicaSet) for those of Deployments.
        type: list
        elements: str
        default: []
      namespaces:
        description: Patterns (C(*), C(?)) of their namespaces.
        type: list
        elements: str
        default: []
  force:
    description: Evict pods that have no controller; nothing starts them again.
    type: bool
    default: false
  delete_emptydir_data:
    description: Evict pods with C(emptyDir) volumes; the data in them is lost.
    type: bool
    default: false
  accept:
    description:
      - Codes of findings to go on with all the same; they become warnings. The pods are evicted as far as the API
        server lets them.
    type: list
    elements: str
    choices:
      - DR003-budget-without-room
      - DR004-budget-exhausted
      - DR005-two-budgets
      - DR006-long-grace
      - DR007-no-fitting-node
      - DR008-volume-bound-to-node
      - DR009-finalizer
      - DR010-silent-node
      - DR011-pod-does-not-end
    default: []
  leave_pods:
    description:
      - Patterns (C(*), C(?)) of pods, as C(NAMESPACE/NAME), that stay where they are. Their nodes count as empty
        without them.
    type: list
    elements: str
    default: []
  grace_period:
    description: Seconds that each pod gets to end, instead of what it asks for itself.
    type: int
  on_failure:
    description:
      - What to do about nodes that cannot be emptied. With V(fail) the module fails, and does nothing at all when
        something stands in the way of one. With V(report) such nodes are left out, the others are drained, and
        RV(nodes) says what became of each.
    type: str
    choices: [fail, report]
    default: fail
seealso:
  - module: hybridk8s.estate.node
"""

EXAMPLES = r"""
- name: What would a drain of these nodes do, and what stands in its way?
  hybridk8s.estate.node_drain:
    kubeconfig: ~/.kube/config
    names: [w1, w2]
  check_mode: true
  register: planned

- name: Empty a rack before maintenance, front ends first, one route reflector at a time
  hybridk8s.estate.node_drain:
    kubeconfig: ~/.kube/config
    names: "{{ groups.rack_r1 }}"
    timeout: 3600
    node_timeout: 900
    delete_emptydir_data: true
    order:
      - labels: {tier: frontend}
      - kinds: [ReplicaSet]
      - kinds: [StatefulSet]
    at_once:
      - {label: route-reflector, nodes: 1}
      - {label: topology.kubernetes.io/zone, domains: 1}
    leave_pods: [monitoring/node-debugger-*]
    max_fail: "10%"
    on_failure: report
"""

RETURN = r"""
nodes:
  description: What became of each node, by name.
  returned: always
  type: dict
  contains:
    state:
      description:
        - V(drained), V(failed), V(missing) or V(not_started). In check mode a node that nothing blocks is
          V(not_started).
      type: str
      returned: always
    message: {description: Why it failed or was not begun, type: str, returned: always}
    changed: {description: Whether anything was done about it, type: bool, returned: always}
    pods:
      description:
        - What became of its pods, by C(NAMESPACE/NAME). V(evicted), V(gone) without our doing, V(left) on request, or
          why it is still there.
      type: dict
      returned: always
drained:
  description: Nodes that are empty and cordoned.
  returned: always
  type: list
  elements: str
failed_nodes:
  description: Why a node could not be emptied, by name.
  returned: always
  type: dict
missing:
  description: Names without a node.
  returned: always
  type: list
  elements: str
repaired:
  description: Nodes that a run that died had left cordoned and that are schedulable again (in check mode, would be).
  returned: always
  type: list
  elements: str
findings:
  description: What stands in the way. A V(warning) is accepted.
  returned: always
  type: list
  elements: dict
  contains:
    code: {description: Short name of the rule, type: str, returned: always, sample: DR001-unmanaged-pod}
    severity: {description: V(error) or V(warning), type: str, returned: always}
    host: {description: The node, type: str, returned: always}
    variable: {description: The option that is concerned, type: str, returned: always}
    message: {description: What is found, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
budgets:
  description: The disruption budgets that guard pods of these nodes.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The budget, type: str, returned: always, sample: default/web}
    pods: {description: How many of its pods have to leave, type: int, returned: always}
    allowed: {description: How many it lets go now, type: int, returned: always}
    at_once: {description: How many it lets go when all of its pods are healthy, type: int, returned: always}
    rounds:
      description: In how many rounds they leave at least; V(0) where it lets none go.
      type: int
      returned: always
    seconds:
      description: What that takes at least, going by how long its pods took to become ready.
      type: float
      returned: always
at_least_seconds:
  description: The time that the budgets cost at least.
  returned: always
  type: float
steps:
  description: What was (or in check mode would be) done.
  returned: always
  type: list
  elements: dict
  contains:
    action: {description: 'V(cordon), V(evict) or V(uncordon)', type: str, returned: always}
    target: {description: The node or pod, type: str, returned: always, sample: pod/default/web-0}
    reason: {description: Why, type: str, returned: always}
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._budget import (
    BATCH_ARGUMENTS,
    batch_size,
    failure_budget,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.course import Drain, refusal
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.limits import Limits, Spread
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.plan import ACCEPTABLE, Group, Rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._interruption import Interrupted, ending_on_signals
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step, result

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    **BATCH_ARGUMENTS,
    "names": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "int", "default": 600},
    "node_timeout": {"type": "int"},
    "at_once": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "label": {"type": "str", "required": True},
            "nodes": {"type": "int", "default": 0},
            "domains": {"type": "int", "default": 0},
        },
    },
    "order": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "labels": {"type": "dict", "default": {}},
            "kinds": {"type": "list", "elements": "str", "default": []},
            "namespaces": {"type": "list", "elements": "str", "default": []},
        },
    },
    "force": {"type": "bool", "default": False},
    "delete_emptydir_data": {"type": "bool", "default": False},
    "accept": {"type": "list", "elements": "str", "choices": list(ACCEPTABLE), "default": []},
    "leave_pods": {"type": "list", "elements": "str", "default": []},
    "grace_period": {"type": "int"},
    "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
}


def rules_of(params):
    """What the arguments allow."""
    return Rules(
        force=params["force"],
        emptydir=params["delete_emptydir_data"],
        grace=params["grace_period"],
        limit=min(params["timeout"], params["node_timeout"] or params["timeout"]),
        accept=frozenset(params["accept"]),
        leave=tuple(params["leave_pods"]),
        order=tuple(Group(group["labels"], group["kinds"], group["namespaces"]) for group in params["order"]),
    )


def limits_of(params, count):
    """How much may go on at once, of ``count`` nodes. Raises ValueError."""
    return Limits(
        timeout=params["timeout"],
        node_timeout=params["node_timeout"] or params["timeout"],
        batch=batch_size(params["batch"], count),
        spreads=tuple(Spread(entry["label"], entry["nodes"], entry["domains"]) for entry in params["at_once"]),
        max_fail=failure_budget(params["max_fail"], count),
    )


def describe(share):
    """A budget's part as plain data."""
    return {
        "name": f"{share.budget.namespace}/{share.budget.name}",
        "pods": share.pods,
        "allowed": share.budget.allowed,
        "at_once": max(share.budget.spare, share.budget.allowed),
        "rounds": share.rounds,
        "seconds": share.seconds,
    }


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    names = list(dict.fromkeys(params["names"]))
    try:
        limits = limits_of(params, len(names))
    except ValueError as error:
        module.fail_json(msg=f"max_fail or batch: {error}.")
    try:
        drain = Drain(open_cluster(module), rules_of(params), limits)
        plan = drain.observe(names, patient=not module.check_mode)
    except KubeError as error:
        module.fail_json(msg=str(error))
    errors = [finding for finding in plan.findings if finding.severity == "error"]
    missing = sorted(set(names) - set(plan.nodes))

    def report(steps, repaired):
        nodes = drain.results()
        nodes.update({name: {"state": "missing", "message": "", "changed": False, "pods": {}} for name in missing})
        return result(
            steps,
            diff=module._diff,
            nodes=nodes,
            drained=sorted(name for name, node in nodes.items() if node["state"] == "drained"),
            failed_nodes={name: node["message"] for name, node in nodes.items() if node["state"] == "failed"},
            missing=missing,
            repaired=repaired,
            findings=[finding.as_dict() for finding in plan.findings],
            budgets=[describe(share) for share in plan.shares],
            at_least_seconds=plan.seconds,
            requests=drain.cluster.requests,
        )

    if module.check_mode:
        repairs = [Step("uncordon", f"node/{name}", "the run that drained it died") for name in drain.repairs]
        module.exit_json(**report([*repairs, *plan.steps], drain.repairs))
    if errors and params["on_failure"] == "fail":
        module.fail_json(msg=str(refusal(errors)), **report([], []))
    try:
        with ending_on_signals():
            drain.run()
    except (KubeError, Interrupted) as error:
        module.fail_json(msg=str(error), **report(drain.done, drain.repaired))
    for name, why in sorted(drain.unrepaired.items()):
        module.warn(f"{name} was left cordoned by a run that died, and stays so: {why}")
    outcome = report(drain.done, drain.repaired)
    if outcome["failed_nodes"] and params["on_failure"] == "fail":
        said = "; ".join(f"{name}: {why}" for name, why in sorted(outcome["failed_nodes"].items()))
        module.fail_json(msg=f"{len(outcome['failed_nodes'])} nodes could not be drained: {said}", **outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
