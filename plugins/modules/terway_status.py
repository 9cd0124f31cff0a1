#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: terway_status
short_description: Whether Terway works on all cloud VMs, as the API server sees it
description:
  - Reads nodes, pods, events and definitions, changes nothing, and fails with everything that is wrong at once, each
    with what to do. Warnings do not make it fail.
  - Among it are pods with addresses outside their zone's vSwitch, which run and are Ready, definitions of Calico's that
    were overwritten by Terway's chart, and each of the two networks on nodes of the other.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
attributes:
  check_mode:
    details: Changes nothing in any mode, and does not wait in check mode.
options:
  vms:
    description:
      - Names of the VMs that are to be nodes. Without any, all nodes with C(alibabacloud.com/external=true) are judged.
    type: list
    elements: str
    default: []
  vswitches:
    description: The pod vSwitches by zone, as mappings with C(id) and C(cidr); C(estate_cloud.pod_vswitches).
    type: dict
    required: true
  wait:
    description:
      - Seconds to wait while nothing is wrong but that VMs, Terway's pods or other pods on them are not ready yet. What
        time does not heal ends the waiting.
    type: int
    default: 0
seealso:
  - module: hybridk8s.estate.terway_host
"""

EXAMPLES = r"""
- name: See whether Terway works
  hybridk8s.estate.terway_status:
    kubeconfig: "{{ kubeconfig }}"
    vms: "{{ groups.cloud_vms }}"
    vswitches: "{{ estate_cloud.pod_vswitches }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: What is wrong; empty where nothing is.
  returned: always
  type: list
  elements: dict
  contains:
    code: {description: Which finding it is, type: str, returned: always}
    severity: {description: V(error) or V(warning), type: str, returned: always}
    host: {description: The VM; empty for the whole cluster, type: str, returned: always}
    variable: {description: What it is about, type: str, returned: always}
    message: {description: What is wrong, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
pods:
  description: The addresses of the pods on each VM, but for those on the host's network.
  returned: always
  type: dict
  sample: {online-1: [172.20.128.7]}
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

import time
from ipaddress import IPv4Network

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import conclude
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.cluster import (
    Plan,
    addresses,
    is_passing,
    judge,
    observe,
)

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "vms": {"type": "list", "elements": "str", "default": []},
    "vswitches": {"type": "dict", "required": True},
    "wait": {"type": "int", "default": 0},
}
POLL_SECONDS = 2


def plan_of(params):
    """What the options say; raises KeyError, TypeError and ValueError for what is not as described."""
    ranges = {zone: [IPv4Network(vswitch["cidr"])] for zone, vswitch in params["vswitches"].items()}
    return Plan(tuple(params["vms"]), ranges)


def look(cluster, plan, wait):
    """What is there and what is wrong with it, once time heals nothing more or is over."""
    deadline = time.monotonic() + wait
    while True:
        observed = observe(cluster, plan.vms)
        findings = judge(observed, plan)
        if not is_passing(observed, findings) or time.monotonic() > deadline:
            return observed, findings
        time.sleep(POLL_SECONDS)


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        plan = plan_of(module.params)
    except (KeyError, TypeError, ValueError) as error:
        module.fail_json(msg=f"vswitches is not as it should be: {error!r}. See its description.")
    try:
        cluster = open_cluster(module)
        observed, findings = look(cluster, plan, 0 if module.check_mode else module.params["wait"])
    except KubeError as error:
        module.fail_json(msg=str(error))
    conclude(module, findings, pods=addresses(observed), requests=cluster.requests)


if __name__ == "__main__":
    main()
