#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_admit
short_description: Let pods come to nodes that joined, once a test pod has run on each
description:
  - Takes the taint C(estate.hybridk8s.io/joining) off the listed nodes that still have it, each one after a pod of
    O(image) has run on it. All nodes are tried at once.
  - A node that fails keeps the taint, so that no other pod comes to it. The next run tries it again.
  - Nodes without the taint are left alone; no pod is made on them.
  - Test pods are deleted in the end, also those that a run left behind which was killed.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
    details: Makes no pod, and assumes that it would run.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  names:
    description: Names of nodes.
    type: list
    elements: str
    required: true
  image:
    description: Image of the test pod.
    type: str
    required: true
  command:
    description:
      - Command that has to end with exit code 0 in the test pod, for example one that uses a GPU.
      - Without it the pod passes as soon as it is Ready.
    type: list
    elements: str
    default: []
  resources:
    description: What the test pod requests, and is limited to, for example C(nvidia.com/gpu).
    type: dict
    default: {}
  namespace:
    description: Namespace of the test pods.
    type: str
    default: kube-system
  timeout:
    description: Seconds that the test pods may take, all together.
    type: int
    default: 120
  on_failure:
    description:
      - What it means when a node is not admitted.
      - With V(fail) the module fails after all nodes were tried, with V(report) it only names it in RV(nodes).
    type: str
    choices: [fail, report]
    default: fail
seealso:
  - module: hybridk8s.estate.node
"""

EXAMPLES = r"""
- name: Let pods come to two GPU nodes once CUDA has worked on them
  hybridk8s.estate.node_admit:
    kubeconfig: ~/.kube/config
    names: [g1, g2]
    image: registry.example.org/cuda-test:13.1
    command: [/usr/bin/vectoradd]
    resources: {nvidia.com/gpu: "1"}
"""

RETURN = r"""
nodes:
  description: What became of each listed node, by name.
  returned: always
  type: dict
  contains:
    state:
      description: V(admitted), V(failed), V(unchanged) (admitted before) or V(missing) (there is no such node).
      type: str
      returned: always
    message: {description: Why it failed, type: str, returned: always}
    changed: {description: Whether it was admitted by this run, type: bool, returned: always}
steps:
  description: What was done (in check mode, would be), in order.
  returned: always
  type: list
  elements: dict
  sample: [{action: admit, target: node/g1, reason: a pod has run on it}]
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils import _admission, _nodes
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step, result

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "names": {"type": "list", "elements": "str", "required": True},
    "image": {"type": "str", "required": True},
    "command": {"type": "list", "elements": "str", "default": []},
    "resources": {"type": "dict", "default": {}},
    "namespace": {"type": "str", "default": "kube-system"},
    "timeout": {"type": "int", "default": 120},
    "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
}


def verdicts_of(module, cluster):
    """What becomes of each listed node."""
    params = module.params
    live = _nodes.read(cluster, params["names"])
    open_names = sorted(name for name, node in live.items() if _admission.joining(node))
    verdicts = {name: _admission.Verdict("unchanged" if name in live else "missing") for name in params["names"]}
    if module.check_mode:
        return {**verdicts, **{name: _admission.Verdict("admitted") for name in open_names}}
    if not open_names:
        return verdicts
    resources = {name: str(amount) for name, amount in params["resources"].items()}
    test = _admission.Trial(params["image"], params["command"], resources, params["namespace"])
    return {**verdicts, **_admission.admit(cluster, test, open_names, params["timeout"])}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        cluster = open_cluster(module)
        verdicts = verdicts_of(module, cluster)
    except KubeError as error:
        module.fail_json(msg=str(error))
    admitted = [name for name, verdict in verdicts.items() if verdict.state == "admitted"]
    report = result(
        [Step("admit", f"node/{name}", "a pod has run on it") for name in admitted],
        diff=module._diff,
        nodes={name: verdict.as_dict() for name, verdict in verdicts.items()},
        requests=cluster.requests,
    )
    failed = {name: verdict.message for name, verdict in verdicts.items() if verdict.state == "failed"}
    if failed and module.params["on_failure"] == "fail":
        named = "; ".join(f"{name}: {why}" for name, why in sorted(failed.items()))
        module.fail_json(msg=f"{len(failed)} nodes are not admitted, no pod comes to them: {named}", **report)
    module.exit_json(**report)


if __name__ == "__main__":
    main()
