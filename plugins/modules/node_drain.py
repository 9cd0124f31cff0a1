#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
short_description: Empty nodes of their pods, never past a disruption budget
description:
  - Cordons the listed nodes and evicts their pods in parallel. An eviction that a PodDisruptionBudget has no room for
    is tried again until the time is over, while the others go on. Pods of DaemonSets and static pods stay.
  - What stands in the way is found before the first node is cordoned, and then nothing is done. In check mode it is
    only reported.
  - A node that cannot be emptied returns to the schedulability it had, whatever ended the run. A run that was killed
    leaves the annotation C(estate.hybridk8s.io/draining) on the node, from which the next run knows how it was.
  - Emptied nodes stay cordoned. M(hybridk8s.estate.node) with V(schedulable=true) uncordons them.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details: Returns the plan. Whether the budgets have room is only known when evicting.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row with the same arguments, the second run indicates no change.
    support: full
options:
  names:
    description: The nodes. Names without a node are reported in RV(missing).
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds after which nodes that are not empty have failed.
    type: int
    default: 600
  force:
    description: Evict pods that have no controller; nothing starts them again.
    type: bool
    default: false
  delete_emptydir_data:
    description: Evict pods with C(emptyDir) volumes; the data in them is lost.
    type: bool
    default: false
  grace_period:
    description: Seconds that each pod gets to end, instead of what it asks for itself.
    type: int
seealso:
  - module: hybridk8s.estate.node
"""

EXAMPLES = r"""
- name: Empty two nodes before maintenance
  hybridk8s.estate.node_drain:
    kubeconfig: ~/.kube/config
    names: [w1, w2]
    timeout: 900
    delete_emptydir_data: true
"""

RETURN = r"""
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
findings:
  description: Pods that stand in the way.
  returned: always
  type: list
  elements: dict
  contains:
    code: {description: Short name of the rule, type: str, returned: always, sample: DR001-unmanaged-pod}
    severity: {description: Always V(error), type: str, returned: always}
    host: {description: The node, type: str, returned: always}
    variable: {description: The option that is concerned, type: str, returned: always}
    message: {description: What is found, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
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

import signal

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils import _drain
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "names": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "int", "default": 600},
    "force": {"type": "bool", "default": False},
    "delete_emptydir_data": {"type": "bool", "default": False},
    "grace_period": {"type": "int"},
}


def interrupted(number, _frame):
    """End the run as an error does, so that nodes get their schedulability back; further signals wait for that."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise _drain.Interrupted(f"interrupted by {signal.Signals(number).name}.")


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    rules = _drain.Rules(params["force"], params["delete_emptydir_data"], params["grace_period"])
    try:
        drain = _drain.Drain(open_cluster(module), rules)
        plans = drain.observe(sorted(set(params["names"])))
    except KubeError as error:
        module.fail_json(msg=str(error))
    findings = _drain.blockers(plans)

    def report(steps):
        return result(
            steps,
            diff=module._diff,
            drained=drain.drained,
            failed_nodes=drain.failed,
            missing=sorted(set(params["names"]) - set(plans)),
            findings=[finding.as_dict() for finding in findings],
            requests=drain.cluster.requests,
        )

    if module.check_mode:
        module.exit_json(**report([step for name in sorted(plans) for step in plans[name].steps]))
    if findings:
        module.fail_json(msg=str(_drain.refusal(findings)), **report([]))
    for number in SIGNALS:
        signal.signal(number, interrupted)
    try:
        drain.run(plans, params["timeout"])
    except (KubeError, _drain.Interrupted) as error:
        module.fail_json(msg=str(error), **report(drain.done))
    if drain.failed:
        said = "; ".join(f"{name}: {why}" for name, why in sorted(drain.failed.items()))
        module.fail_json(msg=f"{len(drain.failed)} nodes could not be drained: {said}", **report(drain.done))
    module.exit_json(**report(drain.done))


if __name__ == "__main__":
    main()
