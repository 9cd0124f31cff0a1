#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node
short_description: Labels, annotations, taints and schedulability of many nodes at once
description:
  - Gives each listed node the labels, annotations, taints and schedulability that it should have, all nodes in one
    call. The nodes are read once, compared in memory, and each one that differs gets one PATCH.
  - It is authoritative, but only of what is its own. What it puts on a node is recorded in the node's annotation
    C(estate.hybridk8s.io/owned); a key recorded there that is no longer wanted is removed. What others put on a node
    stays.
  - A key that is wanted and that the node has already with the wanted value becomes recorded as well, because the
    kubelet registers new nodes with labels and taints of the inventory.
  - A key that is wanted and that others have set to another value is left alone and reported in RV(findings), see
    O(adopt).
author: hybridk8s.estate authors (@hybridk8s)
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
options:
  nodes:
    description: The nodes and what each should have. What an entry leaves out is neither changed nor removed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      labels:
        description:
          - All labels that are ours on this node. An empty mapping removes those that are recorded as ours.
          - Values are strings. Keys that the kubelet or kubeadm write, such as C(kubernetes.io/hostname), are refused.
        type: dict
      annotations:
        description: All annotations that are ours on this node, like O(nodes[].labels).
        type: dict
      taints:
        description: All taints that are ours on this node. A taint is known by its key and effect.
        type: list
        elements: dict
        suboptions:
          key:
            description: Key of the taint. Keys that controllers or kubeadm write are refused.
            type: str
            required: true
          value:
            description: Value of the taint.
            type: str
            default: ''
          effect:
            description: What happens to pods that do not tolerate the taint.
            type: str
            choices: [NoSchedule, PreferNoSchedule, NoExecute]
            required: true
      schedulable:
        description: Whether new pods may be placed on the node. V(true) uncordons, V(false) cordons.
        type: bool
      admit:
        description:
          - Take off the taint C(estate.hybridk8s.io/joining), with which M(hybridk8s.estate.kubeadm_node) has a node
            register, in the same request that brings the rest.
          - No pod comes to a new node before it has what it should have.
        type: bool
        default: false
  owner:
    description:
      - Whose labels, annotations and taints these are, one word. Each owner has a record of its own on a node, so that
        two that set different keys do not remove each other's.
      - Without it they are the inventory's.
    type: str
    default: ''
  adopt:
    description: Take over keys that others have set to another value, instead of reporting them.
    type: bool
    default: false
  missing:
    description:
      - What it means when a listed node does not exist.
      - With O(wait_ready) nodes are awaited first.
      - With V(report) it is named in RV(missing) and the others are done.
      - With V(error) the others are done as well, and then the module fails. In check mode it is assumed that the node
        will exist and have nothing yet.
    type: str
    choices: [report, error]
    default: report
  wait_ready:
    description:
      - Seconds to wait until the listed nodes that exist are Ready. V(0) does not wait.
      - What is not Ready when the time is over is named with what its Ready condition says; see O(not_ready).
      - Not done in check mode.
    type: int
    default: 0
  not_ready:
    description:
      - What it means when a node is not Ready in time.
      - With V(error) the module fails, with V(report) it only names it in RV(not_ready).
    type: str
    choices: [report, error]
    default: error
  on_failure:
    description:
      - What it means when a node cannot be changed. The others are changed in any case.
      - With V(fail) the module fails, with V(report) it only says so in RV(failed_nodes) and RV(nodes), so that a play
        may go on with the others.
    type: str
    choices: [fail, report]
    default: fail
  max_fail:
    description:
      - How many nodes may fail, as a number or as a share of O(nodes) such as V(10%). With more than that no further
        node is begun; those that are being changed at that moment are finished.
    type: str
    default: 100%
seealso:
  - module: hybridk8s.estate.node_info
  - module: hybridk8s.estate.node_drain
"""

EXAMPLES = r"""
- name: Label and taint the GPU nodes
  hybridk8s.estate.node:
    kubeconfig: ~/.kube/config
    nodes:
      - name: g1
        labels: {rack: r1, io-class: nvme}
        taints: [{key: nvidia.com/gpu, value: present, effect: NoSchedule}]
      - name: g2
        labels: {rack: r2, io-class: nvme}
        taints: [{key: nvidia.com/gpu, value: present, effect: NoSchedule}]
    wait_ready: 300
    missing: error

- name: Uncordon two nodes and touch nothing else of them
  hybridk8s.estate.node:
    kubeconfig: "{{ admin_kubeconfig }}"
    nodes:
      - {name: w1, schedulable: true}
      - {name: w2, schedulable: true}
"""

RETURN = r"""
nodes:
  description: What became of each listed node, by name.
  returned: always
  type: dict
  contains:
    state:
      description:
        - V(changed), V(unchanged), V(missing) when it does not exist, V(failed) when it could not be changed,
          V(not_ready) when it was not Ready in time, or V(not_started) when too many others had failed.
      type: str
      returned: always
    message: {description: 'What was changed, or what is wrong', type: str, returned: always}
    changed: {description: 'Whether it was changed, be it Ready or not', type: bool, returned: always}
  sample: {w1: {state: changed, message: label rack, changed: true}}
steps:
  description: What was (or in check mode would be) changed, one entry a node.
  returned: always
  type: list
  elements: dict
  contains:
    action: {description: Always V(update)., type: str, returned: always}
    target: {description: The node, type: str, returned: always, sample: node/w1}
    reason: {description: What is changed, type: str, returned: always, sample: label rack; cordon}
missing:
  description: Listed nodes that do not exist.
  returned: always
  type: list
  elements: str
findings:
  description: Keys that others have set to another value, and records that cannot be read.
  returned: always
  type: list
  elements: dict
  contains:
    code: {description: Short name of the rule, type: str, returned: always, sample: ND001-foreign-value}
    severity: {description: Always V(warning), type: str, returned: always}
    host: {description: The node, type: str, returned: always}
    variable: {description: The option that is concerned, type: str, returned: always}
    message: {description: What is found, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
failed_nodes:
  description: Why a node could not be changed, by name.
  returned: always
  type: dict
not_ready:
  description: What the Ready condition says of nodes that are not Ready in time, by name.
  returned: always
  type: dict
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils import _nodes
from ansible_collections.hybridk8s.estate.plugins.module_utils._budget import failure_budget
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    CLUSTER_ARGUMENTS,
    KubeError,
    open_cluster,
    parallel,
    until_settled,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

POLL_SECONDS = 1.0

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "labels": {"type": "dict"},
            "annotations": {"type": "dict"},
            "taints": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "key": {"type": "str", "required": True, "no_log": False},
                    "value": {"type": "str", "default": ""},
                    "effect": {"type": "str", "required": True, "choices": list(_nodes.EFFECTS)},
                },
            },
            "schedulable": {"type": "bool"},
            "admit": {"type": "bool", "default": False},
        },
    },
    "owner": {"type": "str", "default": ""},
    "adopt": {"type": "bool", "default": False},
    "missing": {"type": "str", "choices": ["report", "error"], "default": "report"},
    "wait_ready": {"type": "int", "default": 0},
    "not_ready": {"type": "str", "choices": ["report", "error"], "default": "error"},
    "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
    "max_fail": {"type": "str", "default": "100%"},
}


class Run:
    """One call of the module: what was planned and what went wrong, over all nodes."""

    def __init__(self, module, cluster, wishes):
        self.module = module
        self.cluster = cluster
        self.wishes = {wish.name: wish for wish in wishes}
        self.adopt = module.params["adopt"]
        self.plans = []
        self.failed = {}
        self.not_started = set()
        self.max_fail = failure_budget(module.params["max_fail"], len(self.wishes))
        self.missing = []
        self.not_ready = {}
        self.deadline = time.monotonic() + module.params["wait_ready"]

    def update(self):
        """Fulfil every wish whose node exists; nodes that do not are awaited while there is time."""
        open_wishes = self.wishes
        while True:
            live = _nodes.read(self.cluster, open_wishes)
            if self.module.check_mode and (self.cluster.empty or self.module.params["missing"] == "error"):
                live = {name: live.get(name) or _nodes.bare(name) for name in open_wishes}
            self._fulfil([wish for name, wish in open_wishes.items() if name in live], live)
            open_wishes = {name: wish for name, wish in open_wishes.items() if name not in live}
            self.missing = sorted(open_wishes)
            if not open_wishes or self.module.check_mode or time.monotonic() >= self.deadline:
                return
            time.sleep(POLL_SECONDS)

    def _fulfil(self, wishes, live):
        planned = [_nodes.plan(wish, live[wish.name], self.adopt) for wish in wishes]
        if self.module.check_mode:
            self.plans += planned
            return
        self.plans += [made for made in planned if not made.patch]
        to_change = [made for made in planned if made.patch]
        changed = [outcome.value for outcome in parallel(lambda made: self._change(made, live[made.name]), to_change)]
        self.plans += [made for made in changed if made]

    def _change(self, planned, live):
        """Change one node, unless too many others have failed; what was done, None for nothing."""
        if len(self.failed) > self.max_fail:
            self.not_started.add(planned.name)
            return None
        wish = self.wishes[planned.name]
        try:
            done = until_settled(lambda reread: _nodes.update(self.cluster, wish, live, self.adopt, reread))
        except KubeError as error:
            self.failed[planned.name] = str(error)
            return None
        # Nothing left to do after a conflict: the first PATCH got through, only its answer was lost.
        return done if done.patch else planned

    def report(self):
        """The module's result so far."""
        plans = sorted(self.plans, key=lambda plan: plan.name)
        return result(
            [step for plan in plans for step in plan.steps],
            diff=self.module._diff,
            missing=self.missing,
            nodes=self._nodes(),
            findings=[finding.as_dict() for plan in plans for finding in plan.findings],
            failed_nodes=self.failed,
            not_ready=self.not_ready,
            requests=self.cluster.requests,
            invocation=self._invocation(),
        )

    def _invocation(self):
        # Ansible echoes the arguments, which cost more than all else where there are a thousand nodes.
        return {"module_args": {**self.module.params, "nodes": sorted(self.wishes)}}

    def _nodes(self):
        changes = {plan.name: plan.steps for plan in self.plans}
        return {
            name: {**self._state(name, changes.get(name)), "changed": bool(changes.get(name))}
            for name in sorted(self.wishes)
        }

    def _state(self, name, steps):
        if name in self.failed:
            return {"state": "failed", "message": self.failed[name]}
        if name in self.not_started:
            allowed = f"more nodes failed than the {self.max_fail} that max_fail allows"
            return {"state": "not_started", "message": f"not begun, because {allowed}"}
        if name in self.not_ready:
            return {"state": "not_ready", "message": self.not_ready[name]}
        if steps is None:
            return {"state": "missing", "message": "there is no such node"}
        return {"state": "changed" if steps else "unchanged", "message": "; ".join(step.reason for step in steps)}

    def finish(self):
        """Raise what went wrong as one error, after everything else was done."""
        if self.failed and self.module.params["on_failure"] == "fail":
            named = "; ".join(f"{name}: {why}" for name, why in sorted(self.failed.items()))
            raise KubeError(f"{len(self.failed)} nodes could not be changed: {named}")
        if self.missing and self.module.params["missing"] == "error":
            raise KubeError(
                f"nodes: there is no node {', '.join(self.missing)}.",
                remedy="Join them first, or set missing to report.",
            )
        if self.module.params["wait_ready"] and not self.module.check_mode:
            left_out = {*self.missing, *self.failed, *self.not_started}
            names = [name for name in self.wishes if name not in left_out]
            self.not_ready = _nodes.await_ready(self.cluster, names, self.deadline, POLL_SECONDS)
        if self.not_ready and self.module.params["not_ready"] == "error":
            named = "; ".join(f"{name}: {why}" for name, why in sorted(self.not_ready.items()))
            raise KubeError(f"not Ready after {self.module.params['wait_ready']} s: {named}")


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        cluster = open_cluster(module)
    except KubeError as error:
        module.fail_json(msg=str(error))
    wishes, problems = _nodes.wishes(module.params["nodes"], module.params["owner"])
    if problems:
        module.fail_json(msg="nodes: " + " ".join(problems), problems=list(problems))
    try:
        run = Run(module, cluster, wishes)
    except ValueError as error:
        module.fail_json(msg=f"max_fail: {error}")
    try:
        run.update()
        run.finish()
    except KubeError as error:
        module.fail_json(msg=str(error), **run.report())
    report = run.report()
    for finding in report["findings"]:
        module.warn(f"{finding['host']}: {finding['message']}")
    module.exit_json(**report)


if __name__ == "__main__":
    main()
