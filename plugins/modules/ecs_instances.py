#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_instances
short_description: Pools of Alibaba Cloud instances as the inventory wants them
description:
  - Makes the instances that pools lack, keeps their tags, renewals and times of release as the inventory says, and ends
    instances that a run names. All pools of an estate in one call, on the controller.
  - Instances are called after their pool and a number, V(online-1), and so are their hosts. The lowest free numbers are
    taken. They are spread over the pool's zones by free addresses; where a type is out of stock or over quota in a
    zone, it is tried in the others, and then the next type.
  - No instance comes twice and none is forgotten, whatever ends a run and however many run at once. What is asked for
    is written down in the cloud first, in the tags of a launch template called C(estate-ESTATE-POOL), which goes when
    the instances are seen. Every run does first what an earlier one left unfinished.
  - Instances that are too many are only named in RV(pools), for they may hold nodes. Drain and remove these, then
    release the instances with O(state=absent).
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._alibaba
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
    details: Only reads. What stock and quota allow is not known before instances are asked for.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  estate:
    description: Name of the estate. Instances with another one are not touched.
    type: str
    required: true
  state:
    description:
      - V(present) makes the pools so.
      - V(absent) ends the instances of O(names), whose nodes have been drained and removed before. Secondary network
        interfaces are detached and deleted, then the instances are. A subscription that still runs is not renewed any
        more, and its instance goes when it ends.
    type: str
    choices: [present, absent]
    default: present
  pools:
    description:
      - The pools by name, in the form of C(estate_cloud_pools). An instance of the estate whose pool is not among them
        is too many.
      - Per pool C(instance_types) in order of preference, C(zones), C(count), C(image), C(key_pair), C(system_disk) and
        C(data_disks) with C(category) and C(size_gb), C(charge) with C(type) (V(PostPaid) or V(PrePaid)), C(period),
        C(unit) and C(auto_renew), C(user_data), C(owner), C(purpose), and C(expires), the last day of use. With
        C(release_expired) a pool wants no instance after that day, and the cloud itself ends them a day later.
      - C(labels) and C(taints) are those of the nodes; nothing is done with them here.
    type: dict
    default: {}
  only:
    description:
      - Names of pools. Of the others, instances are neither made nor changed. By default all pools are meant.
    type: list
    elements: str
  names:
    description: Names or ids of the instances to end. Required with O(state=absent).
    type: list
    elements: str
  node_vswitches:
    description: The vSwitches of the instances by zone, each C({id, cidr}).
    type: dict
    default: {}
  pod_vswitches:
    description: The vSwitches of their pods by zone; a zone where they are full gets no instance.
    type: dict
    default: {}
  security_groups:
    description: The security groups of the instances.
    type: list
    elements: str
    default: []
  ram_role:
    description: Name of the RAM role that the instances have.
    type: str
    default: ''
  prices:
    description: What an instance costs an hour by type, for RV(pools).
    type: dict
    default: {}
  warn_days:
    description: So many days ahead a pool or subscription that ends is a finding.
    type: int
    default: 14
  wait_running:
    description: Seconds to wait until instances run. V(0) does not wait.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Make the pools so
  hybridk8s.estate.ecs_instances:
    estate: "{{ estate_name }}"
    region: "{{ estate_cloud.region }}"
    credentials: "{{ estate_cloud.credentials | default({}) }}"
    endpoints: "{{ estate_cloud.endpoints | default({}) }}"
    node_vswitches: "{{ estate_cloud.node_vswitches }}"
    pod_vswitches: "{{ estate_cloud.pod_vswitches }}"
    security_groups: "{{ estate_cloud.security_groups }}"
    ram_role: "{{ estate_cloud.ram_role }}"
    prices: "{{ estate_cloud.prices | default({}) }}"
    pools: "{{ estate_cloud_pools }}"
  delegate_to: localhost

- name: End an instance whose node is removed
  hybridk8s.estate.ecs_instances:
    estate: shenzhen-1
    region: cn-shenzhen
    state: absent
    names: [online-3]
"""

RETURN = r"""
instances:
  description: The estate's instances as they are at the end.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: online-1, id: i-wz9a, provider_id: cn-shenzhen.i-wz9a, pool: online, status: Running, zone: cn-shenzhen-d,
       type: ecs.g7.xlarge, address: 172.20.16.11, charge_type: PostPaid, created: '2027-01-04T08:00Z', expires: ''}
nodes:
  description: What became of each instance that was made, changed, ended or could not be, by name.
  returned: always
  type: dict
  contains:
    state:
      description:
        - V(created), V(released), V(kept) while its subscription runs, V(absent), or V(failed), also of one that could
          not be had.
      type: str
    message: {description: Why, type: str}
    changed: {description: Whether something was done, type: bool}
pools:
  description: The pools as they stand, by name.
  returned: always
  type: dict
  contains:
    count: {description: How many there should be, type: int}
    present: {description: How many there are, type: int}
    surplus: {description: Names of those that are too many, type: list, elements: str}
    owner: {description: Whose they are, type: str}
    purpose: {description: What for, type: str}
    expires: {description: The last day of use, type: str}
    cost_per_hour: {description: What they cost by O(prices); nothing where a type has no price, type: float}
surplus:
  description: Names of all instances that are too many, also of pools that the inventory no longer has.
  returned: always
  type: list
  elements: str
findings:
  description: What a person should know, such as pools that end soon.
  returned: always
  type: list
  elements: dict
steps:
  description: What was done (in check mode, would be), in order.
  returned: always
  type: list
  elements: dict
problems:
  description: What could not be done, and what to do about it.
  returned: always
  type: list
  elements: str
requests:
  description: How many requests were made to the cloud, by action.
  returned: always
  type: dict
  sample: {DescribeInstances: 2, RunInstances: 1}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    CLOUD_ARGUMENTS,
    access_of,
    open_cloud,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.converge import Run, Wanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.options import pools_of, secrets_in, site_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

ARGUMENTS = {
    **CLOUD_ARGUMENTS,
    "estate": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "pools": {"type": "dict", "default": {}},
    "only": {"type": "list", "elements": "str"},
    "names": {"type": "list", "elements": "str"},
    "node_vswitches": {"type": "dict", "default": {}},
    "pod_vswitches": {"type": "dict", "default": {}},
    "security_groups": {"type": "list", "elements": "str", "default": []},
    "ram_role": {"type": "str", "default": ""},
    "prices": {"type": "dict", "default": {}},
    "warn_days": {"type": "int", "default": 14},
    "wait_running": {"type": "int", "default": 300},
}


def main():
    module = AnsibleModule(
        argument_spec=ARGUMENTS, required_if=[("state", "absent", ("names",))], supports_check_mode=True
    )
    params = module.params
    module.no_log_values |= secrets_in(params["pools"])
    site, problems = site_of(params)
    pools, more = pools_of(params["pools"], site)
    problems += more
    if problems:
        module.fail_json(msg=" ".join(problems), problems=problems)
    wanted = Wanted(
        params["estate"],
        pools,
        site,
        params["prices"],
        params["warn_days"],
        params["wait_running"],
        only=None if params["only"] is None else frozenset(params["only"]),
    )
    try:
        cloud = open_cloud(access_of(params))
    except CloudError as error:
        module.fail_json(msg=str(error))
    run = Run(cloud, wanted, module.check_mode)
    try:
        if params["state"] == "present":
            run.present()
        else:
            run.absent(params["names"])
    except CloudError as error:
        module.fail_json(msg=str(error), **report(module, run, cloud))
    if run.outcome.problems:
        module.fail_json(msg=" ".join(run.outcome.problems), **report(module, run, cloud))
    for finding in run.outcome.plan.findings:
        module.warn(str(finding))
    module.exit_json(**report(module, run, cloud))


def report(module, run, cloud):
    """The module's result so far."""
    outcome = run.outcome
    return result(
        outcome.steps,
        module._diff,
        instances=[instance.as_dict() for instance in outcome.instances],
        nodes=run.nodes(),
        pools=run.summary(),
        surplus=[instance.name for instance in outcome.plan.surplus],
        findings=[finding.as_dict() for finding in outcome.plan.findings],
        problems=outcome.problems,
        requests=dict(cloud.requests),
    )


if __name__ == "__main__":
    main()
