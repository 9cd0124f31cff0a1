#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_report
short_description: Whose cloud VMs there are, since and until when, what they cost and how much of them is used
description:
  - Reads the estate's instances from the cloud and their nodes and pods from the cluster, and puts them together by VM,
    pool and owner. Changes neither.
  - Hours and costs are those of VMs that exist now, since they were made and since the first of this month. A cost is
    hours times the price of an hour by O(prices); what has no price has no cost, and neither has a sum with it in it.
    Disks, traffic and discounts are not counted.
  - How much is used is told twice, as pods ask for it and, where the cluster has C(metrics.k8s.io), as it is measured.
    Where the cluster cannot be asked the report is made without, and says so.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._alibaba
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
    details: Reads, and writes the report, as it does without check mode.
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
options:
  estate:
    description: Name of the estate.
    type: str
    required: true
  pools:
    description: The pools by name, as in M(hybridk8s.estate.ecs_instances).
    type: dict
    default: {}
  node_vswitches:
    description: The vSwitches of the instances by zone, each C({id, cidr}).
    type: dict
    default: {}
  prices:
    description: What an instance costs an hour, by its type.
    type: dict
    default: {}
  currency:
    description: The currency of O(prices), such as V(CNY).
    type: str
    default: ''
  warn_days:
    description: So many days ahead a pool or subscription that ends is a finding.
    type: int
    default: 14
  report:
    description:
      - A file for the whole report, as JSON; nothing is written where it is empty. What its figures mean is in
        C(units), where they come from in C(sources). What nobody knows is C(null).
    type: path
    default: ''
  page:
    description: A file for the report as an HTML page that needs no network. Nothing is written where it is empty.
    type: path
    default: ''
seealso:
  - module: hybridk8s.estate.ecs_instances
"""

EXAMPLES = r"""
- name: Report on the VMs
  hybridk8s.estate.cloud_report:
    estate: "{{ estate_name }}"
    region: "{{ estate_cloud.region }}"
    node_vswitches: "{{ estate_cloud.node_vswitches }}"
    pools: "{{ estate_cloud_pools }}"
    prices: {ecs.g7.xlarge: 0.92}
    currency: CNY
    kubeconfig: ~/.kube/config
    page: vms.html
  delegate_to: localhost
"""

RETURN = r"""
msg:
  description: A line a pool, and the sum.
  returned: success
  type: str
report:
  description: The whole report.
  returned: success
  type: dict
  contains:
    taken: {description: 'When, by the clock of the cloud', type: str}
    units: {description: What the figures mean, type: dict}
    sources: {description: Where they come from, type: dict}
    total: {description: 'Number, hours, costs and use of all VMs', type: dict}
    owners: {description: The same by owner, type: list, elements: dict}
    pools: {description: 'The same by pool, with its state, and since and until when', type: list, elements: dict}
    vms: {description: Every VM, type: list, elements: dict}
    findings: {description: 'What a person should look after, such as pools that end soon', type: list, elements: dict}
requests:
  description: How many requests were made, to the cloud by action, and to the C(cluster).
  returned: success
  type: dict
  sample: {DescribeInstances: 1, cluster: 5}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    CLOUD_ARGUMENTS,
    access_of,
    open_cloud,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.cluster import Seen, look
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.figures import Basis, document, findings
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.page import lines, page
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs import observe
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.options import pools_of, secrets_in, site_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._whole_file import as_json, write_text

ARGUMENTS = {
    **CLOUD_ARGUMENTS,
    **CLUSTER_ARGUMENTS,
    "estate": {"type": "str", "required": True},
    "pools": {"type": "dict", "default": {}},
    "node_vswitches": {"type": "dict", "default": {}},
    "prices": {"type": "dict", "default": {}},
    "currency": {"type": "str", "default": ""},
    "warn_days": {"type": "int", "default": 14},
    "report": {"type": "path", "default": ""},
    "page": {"type": "path", "default": ""},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    module.no_log_values |= secrets_in(params["pools"])
    site, problems = site_of({**params, "pod_vswitches": {}, "security_groups": [], "ram_role": ""})
    pools, more = pools_of(params["pools"], site)
    if problems or more:
        module.fail_json(msg=" ".join([*problems, *more]))
    try:
        cloud = open_cloud(access_of(params))
        observed = observe.observe(cloud, params["estate"])
    except CloudError as error:
        module.fail_json(msg=str(error))
    seen, requests = see(module, observed.instances)
    given = {name: params[name] for name in ("estate", "region", "prices", "currency", "warn_days")}
    basis = Basis(pools=pools, observed=observed, seen=seen, **given)
    report = document(basis)
    write(module, "report", lambda: as_json(report))
    write(module, "page", lambda: page(report))
    for finding in findings(basis):
        module.warn(str(finding))
    module.exit_json(
        changed=False, msg="\n".join(lines(report)), report=report, requests={**cloud.requests, "cluster": requests}
    )


def see(module, instances):
    """What the cluster says of the instances, and how many requests that took."""
    try:
        cluster = open_cluster(module)
        if cluster.empty:
            return Seen(error="no control plane gave a kubeconfig."), 0
        return look(cluster, instances, module.params["region"]), cluster.requests
    except KubeError as error:
        return Seen(error=str(error)), 0


def write(module, option, text):
    """Write a file where the option names one."""
    path = module.params[option]
    if not path:
        return
    try:
        write_text(path, text())
    except OSError as error:
        module.fail_json(msg=f"The report cannot be written to {path} (variable cloud_vms_{option}): {error}")


if __name__ == "__main__":
    main()
