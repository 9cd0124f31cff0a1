#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: terway_host
short_description: Whether Terway can work on a cloud VM, and whether it does
description:
  - Looks at the VM it runs on and at its metadata service, changes nothing, and fails with everything that is wrong at
    once, each with what to do.
  - Before Terway comes it is the kernel, the CNI programs, leftovers of other networks, the metadata service, region,
    zone, default route, RAM role and instance type. After that it is the CNI configuration and the routing of each pod.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
attributes:
  check_mode:
    details: Changes nothing in any mode. In check mode CNI programs are not missed, which the run itself would bring.
  platform:
    description: Instances of Alibaba Cloud that run Linux.
    support: full
    platforms: linux
options:
  region:
    description: Region that the VM must be in.
    type: str
    required: true
  vswitches:
    description: The pod vSwitches by zone, as mappings with C(id) and C(cidr); C(estate_cloud.pod_vswitches).
    type: dict
    required: true
  ram_role:
    description: RAM role that the VM must have. Empty means any.
    type: str
    default: ""
  instance_types:
    description:
      - What instance types have, by their names, as mappings with C(interfaces) and C(addresses) (of each interface).
        Types that are not named are not judged, and RV(max_pods) is not known for them.
    type: dict
    default: {}
  host_network_pods:
    description: How many pods without an address of their own the node has beside the others.
    type: int
    default: 2
  running:
    description: Whether Terway runs here already, so that its work is judged as well.
    type: bool
    default: false
  pods:
    description: Addresses of pods on this node, for O(running=true). Not those of pods on the host's network.
    type: list
    elements: str
    default: []
  metadata:
    description: Where the metadata service answers.
    type: str
    default: http://100.100.100.200
"""

EXAMPLES = r"""
- name: See whether Terway can work here
  hybridk8s.estate.terway_host:
    region: "{{ estate_cloud.region }}"
    vswitches: "{{ estate_cloud.pod_vswitches }}"
    ram_role: "{{ estate_cloud.ram_role | default('') }}"
"""

RETURN = r"""
findings:
  description: What is wrong; empty where nothing is.
  returned: always
  type: list
  elements: dict
  contains:
    code: {description: Which finding it is, type: str, returned: always}
    variable: {description: What it is about, type: str, returned: always}
    message: {description: What is wrong, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
instance:
  description: What the metadata service says of the VM; empty values where it does not answer.
  returned: always
  type: dict
  sample: {instance: i-1, instance_type: ecs.g7.xlarge, mac: "00:16:3e:00:00:01", region: cn-shenzhen, vswitch: vsw-1,
           zone: cn-shenzhen-d, provider_id: cn-shenzhen.i-1}
max_pods:
  description: The kubelet's C(maxPods) that fits the addresses there are; null where the type's limits are not known.
  returned: always
  type: int
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import conclude
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway import host, observe

ARGUMENTS = {
    "region": {"type": "str", "required": True},
    "vswitches": {"type": "dict", "required": True},
    "ram_role": {"type": "str", "default": ""},
    "instance_types": {"type": "dict", "default": {}},
    "host_network_pods": {"type": "int", "default": 2},
    "running": {"type": "bool", "default": False},
    "pods": {"type": "list", "elements": "str", "default": []},
    "metadata": {"type": "str", "default": observe.METADATA_URL},
}


def wanted_of(params):
    """What the options say of the VM; raises KeyError and TypeError for what they lack."""
    return host.Wanted(
        region=params["region"],
        vswitches={zone: [vswitch["id"]] for zone, vswitch in params["vswitches"].items()},
        ram_role=params["ram_role"],
        limits={
            name: host.Limits(int(limits["interfaces"]), int(limits["addresses"]))
            for name, limits in params["instance_types"].items()
        },
    )


def instance_of(seen):
    """What the VM is, and the providerID of its Node."""
    known = dict(seen.metadata)
    whole = known["region"] and known["instance"]
    return {**known, "provider_id": f"{known['region']}.{known['instance']}" if whole else ""}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        wanted = wanted_of(params)
    except (KeyError, TypeError, ValueError) as error:
        module.fail_json(
            msg=f"vswitches or instance_types are not as they should be: {error!r}. See their description."
        )
    seen = observe.observe(Host(), observe.Metadata(params["metadata"]), tables=params["running"])
    if module.check_mode:
        seen = dataclasses.replace(seen, programs=seen.programs | set(host.NEEDED_PROGRAMS))
    findings = host.before(seen, wanted)
    if params["running"]:
        findings += host.after(seen, params["pods"])
    limit = host.max_pods(seen, wanted, params["host_network_pods"])
    conclude(module, findings, instance=instance_of(seen), max_pods=limit)


if __name__ == "__main__":
    main()
