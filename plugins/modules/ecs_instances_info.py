#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_instances_info
short_description: Which instances of Alibaba Cloud nodes run on, and which of these are gone
description:
  - Asks the cloud for the instances that the provider ids of nodes name. An instance that the cloud does not know any
    more was taken back or has been released, and no one needs its node.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._alibaba
  - hybridk8s.estate._attributes
  - hybridk8s.estate._attributes.looks
options:
  provider_ids:
    description: Provider ids, each C(REGION.INSTANCE). Those of other regions and clouds are left out.
    type: list
    elements: str
    required: true
seealso:
  - module: hybridk8s.estate.ecs_instances
  - module: hybridk8s.estate.node_info
"""

EXAMPLES = r"""
- name: See which nodes run on instances that are gone
  hybridk8s.estate.ecs_instances_info:
    region: cn-shenzhen
    provider_ids: "{{ seen.nodes | map(attribute='provider_id') | select }}"
  delegate_to: localhost
"""

RETURN = r"""
instances:
  description: The instances that exist, as RV(hybridk8s.estate.ecs_instances#module:instances) has them.
  returned: always
  type: list
  elements: dict
gone:
  description: Those of O(provider_ids) whose instances do not exist.
  returned: always
  type: list
  elements: str
  sample: [cn-shenzhen.i-wz9a]
requests:
  description: How many requests were made to the cloud, by action.
  returned: always
  type: dict
  sample: {DescribeInstances: 1}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    CLOUD_ARGUMENTS,
    access_of,
    open_cloud,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.observe import behind

ARGUMENTS = {**CLOUD_ARGUMENTS, "provider_ids": {"type": "list", "elements": "str", "required": True}}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        cloud = open_cloud(access_of(module.params))
        found, gone = behind(cloud, module.params["provider_ids"])
    except CloudError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False, instances=[instance.as_dict() for instance in found], gone=gone, requests=dict(cloud.requests)
    )


if __name__ == "__main__":
    main()
