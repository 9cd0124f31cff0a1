#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_host_keys
short_description: SSH host keys of Alibaba Cloud instances, known before the first login
description:
  - Reads the host keys that cloud-init shows on an instance's console at its first boot, by the cloud's API, and writes
    them into a file of known hosts. So nobody has to trust whoever answers first at an address.
  - A key stands under the instance's id, not under its address, which others may have had before. Let ssh look there
    with C(-o HostKeyAlias=ID); see the examples.
  - Instances that the file knows are not asked again.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._alibaba
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description: V(present) to know these instances, V(absent) to forget them.
    type: str
    choices: [present, absent]
    default: present
  instances:
    description: Ids of instances.
    type: list
    elements: str
    required: true
  known_hosts:
    description: The file, as ssh reads it (C(UserKnownHostsFile)). It is made where it is missing.
    type: path
    required: true
  wait:
    description: Seconds to wait until consoles show keys.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Know new instances
  hybridk8s.estate.ecs_host_keys:
    region: "{{ estate_cloud.region }}"
    instances: "{{ groups.cloud_vms | map('extract', hostvars, 'ecs_instance_id') }}"
    known_hosts: ~/.ssh/known_hosts
  delegate_to: localhost
  run_once: true

# In the file of the inventory plugin hybridk8s.estate.ecs:
# compose:
#   ansible_ssh_extra_args: "'-o HostKeyAlias=' ~ ecs_instance_id"
"""

RETURN = r"""
unknown:
  description: Why instances are not known, by their ids. The module does not fail for them.
  returned: success
  type: dict
  sample: {i-wz9a: "Its console has not shown host keys within 120 s."}
steps:
  description: Whose keys were written down or forgotten.
  returned: success
  type: list
  elements: dict
requests:
  description: How many requests were made to the cloud, by action.
  returned: success
  type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    CLOUD_ARGUMENTS,
    access_of,
    open_cloud,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs import host_keys
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step, result

ARGUMENTS = {
    **CLOUD_ARGUMENTS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "instances": {"type": "list", "elements": "str", "required": True},
    "known_hosts": {"type": "path", "required": True},
    "wait": {"type": "int", "default": 120},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    path = Path(module.params["known_hosts"])
    work = know if module.params["state"] == "present" else forget
    try:
        work(module, path, set(module.params["instances"]))
    except OSError as error:
        module.fail_json(msg=f"{path} (known_hosts): {error.strerror}. Name a file that can be written.")


def know(module, path, wanted):
    """Write down the keys of those that the file does not know."""
    strangers = sorted(wanted - host_keys.names_in(host_keys.read(path)))
    keys, requests = {}, {}
    if strangers:
        try:
            cloud = open_cloud(access_of(module.params))
            keys = host_keys.shown(cloud, strangers, module.params["wait"])
        except CloudError as error:
            module.fail_json(msg=str(error))
        requests = dict(cloud.requests)
    if keys and not module.check_mode:
        host_keys.edit(path, lambda text: host_keys.with_keys(host_keys.without(text, keys), keys))
    late = f"Its console has not shown host keys within {module.params['wait']} s."
    module.exit_json(
        **result([Step("know", one, f"{len(keys[one])} host keys") for one in sorted(keys)], False),
        unknown={one: late for one in strangers if one not in keys},
        requests=requests,
    )


def forget(module, path, unwanted):
    """Take the keys of these out of the file."""
    known = sorted(unwanted & host_keys.names_in(host_keys.read(path)))
    if known and not module.check_mode:
        host_keys.edit(path, lambda text: host_keys.without(text, known))
    module.exit_json(**result([Step("forget", one, "") for one in known], False), unknown={}, requests={})


if __name__ == "__main__":
    main()
