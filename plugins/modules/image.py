#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Have container images on a host before its first pod asks for them
description:
  - Pulls images that containerd does not have, by the registries and mirrors that it is configured with, to where the
    kubelet finds them.
  - It is a service to what comes later, so an image that cannot be had, or not in time, is a warning. The kubelet
    tries again when a pod needs it, and goes on where this was stopped.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
    details: On a host without containerd it says that it would pull all of them.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  names:
    description: Names of images, as in a pod.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds that pulling may take, all images together.
    type: int
    default: 120
requirements:
  - containerd (C(ctr))
seealso:
  - module: hybridk8s.estate.node_images_info
"""

EXAMPLES = r"""
- name: Pull what the node will run, on at most ten hosts at once
  hybridk8s.estate.image:
    names: [registry.k8s.io/kube-proxy:v1.36.3, quay.io/calico/node:v3.31.0]
  throttle: 10
"""

RETURN = r"""
steps:
  description: What was done (in check mode, would be), in order.
  returned: always
  type: list
  elements: dict
  sample: [{action: pull, target: registry.k8s.io/kube-proxy:v1.36.3, reason: a new node needs it}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils import _images
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

ARGUMENTS = {
    "names": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "int", "default": 120},
}


def main():
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    host = Host()
    try:
        present = _images.present(host)
    except _images.ImagesError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        present = []
    missing = _images.missing(module.params["names"], present)
    if module.check_mode:
        module.exit_json(**result([_images.step(name) for name in missing], module._diff))
    pulled = _images.pull(host, missing, module.params["timeout"])
    for warning in pulled.warnings:
        module.warn(warning)
    module.exit_json(**result(pulled.steps, module._diff))


if __name__ == "__main__":
    main()
