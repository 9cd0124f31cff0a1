# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: api_endpoint
short_description: How the nodes of the estate reach the Kubernetes API
description:
  - An external load balancer where the inventory names one with C(estate_api_endpoint), else a proxy on every node that
    forwards to all control planes.
  - Only the variables of the control planes are read.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
positional: groups
"""

EXAMPLES = r"""
- name: Show the endpoint
  ansible.builtin.debug:
    msg: "{{ (hostvars | hybridk8s.estate.api_endpoint(groups)).host }}"
"""

RETURN = r"""
_value:
  description:
    - Keys C(host) and C(port), which make kubeadm's C(controlPlaneEndpoint); C(local_proxy), whether each node forwards
      itself; C(bind), the address it then listens on; and C(backends), the control planes as C(address:port).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_from_hostvars


def api_endpoint(hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The endpoint as plain values for roles."""
    names = groups.get(model.CONTROL_PLANE_GROUP, [])
    endpoint = derive.api_endpoint(estate_from_hostvars(hostvars, groups, names))
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "local_proxy": endpoint.local_proxy,
        "bind": str(derive.LOCAL_PROXY_ADDRESS),
        "backends": list(endpoint.backends),
    }


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"api_endpoint": api_endpoint}
