#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: terway_vpc
short_description: Whether the VPC is as the inventory says, and as Terway needs it
description:
  - Asks the cloud for the VPC, its vSwitches, the security groups and the instance types, changes nothing, and fails
    with everything that is wrong at once, each with what to do. Warnings do not make it fail.
  - What the inventory alone can tell is the business of the playbook C(check), which asks nobody.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._alibaba
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
options:
  vpc:
    description: The VPC; C(estate_cloud.vpc).
    type: str
    required: true
  cidrs:
    description: All of its ranges, C(estate_cloud.cidr) and C(estate_cloud.secondary_cidrs).
    type: list
    elements: str
    required: true
  node_vswitches:
    description: The vSwitches of nodes by zone, as mappings with C(id) and C(cidr).
    type: dict
    required: true
  pod_vswitches:
    description: The vSwitches of pods by zone, as mappings with C(id) and C(cidr).
    type: dict
    required: true
  security_groups:
    description: The security groups of VMs and pods.
    type: list
    elements: str
    default: []
  instance_types:
    description: Instance types that VMs have or may have.
    type: list
    elements: str
    default: []
  vms:
    description:
      - How many VMs there will be in one zone at most. A pod vSwitch with too few addresses for them is a warning.
    type: int
    default: 0
seealso:
  - module: hybridk8s.estate.terway_host
"""

EXAMPLES = r"""
- name: See whether the VPC is as the inventory says
  hybridk8s.estate.terway_vpc:
    region: "{{ estate_cloud.region }}"
    credentials: "{{ estate_cloud.credentials | default({}) }}"
    endpoints: "{{ estate_cloud.endpoints | default({}) }}"
    vpc: "{{ estate_cloud.vpc }}"
    cidrs: "{{ [estate_cloud.cidr] + estate_cloud.secondary_cidrs | default([]) }}"
    node_vswitches: "{{ estate_cloud.node_vswitches }}"
    pod_vswitches: "{{ estate_cloud.pod_vswitches }}"
    security_groups: "{{ estate_cloud.security_groups }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: What is wrong; empty where nothing is.
  returned: when the cloud answers
  type: list
  elements: dict
  contains:
    code: {description: Which finding it is, type: str, returned: always}
    severity: {description: V(error) or V(warning), type: str, returned: always}
    variable: {description: What it is about, type: str, returned: always}
    message: {description: What is wrong, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
instance_types:
  description: What the instance types have, as O(hybridk8s.estate.terway_host#module:instance_types) wants it.
  returned: when the cloud answers
  type: dict
  sample: {ecs.g7.xlarge: {interfaces: 4, addresses: 15}}
requests:
  description: How many requests were made to the cloud, by action.
  returned: when the cloud answers
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    CLOUD_ARGUMENTS,
    access_of,
    open_cloud,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import conclude
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.vpc import VSwitch, Wanted, judge, observe

ARGUMENTS = {
    **CLOUD_ARGUMENTS,
    "vpc": {"type": "str", "required": True},
    "cidrs": {"type": "list", "elements": "str", "required": True},
    "node_vswitches": {"type": "dict", "required": True},
    "pod_vswitches": {"type": "dict", "required": True},
    "security_groups": {"type": "list", "elements": "str", "default": []},
    "instance_types": {"type": "list", "elements": "str", "default": []},
    "vms": {"type": "int", "default": 0},
}


def vswitches_of(given):
    """The vSwitches by zone, with their ids."""
    return {zone: (vswitch["id"], VSwitch(zone, vswitch["cidr"])) for zone, vswitch in given.items()}


def wanted_of(params):
    """What the options say; raises KeyError and TypeError for vSwitches that are not as described."""
    return Wanted(
        vpc=params["vpc"],
        cidrs=params["cidrs"],
        nodes=vswitches_of(params["node_vswitches"]),
        pods=vswitches_of(params["pod_vswitches"]),
        security_groups=params["security_groups"],
        instance_types=params["instance_types"],
        vms=params["vms"],
    )


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        wanted = wanted_of(module.params)
    except (KeyError, TypeError) as error:
        module.fail_json(
            msg=f"node_vswitches or pod_vswitches are not as they should be: {error!r}. See their description."
        )
    try:
        cloud = open_cloud(access_of(module.params))
        found = observe(cloud, wanted)
    except CloudError as error:
        module.fail_json(msg=str(error))
    conclude(
        module,
        judge(wanted, found),
        instance_types={name: vars(limits) for name, limits in found.instance_types.items()},
        requests=dict(cloud.requests),
    )


if __name__ == "__main__":
    main()
