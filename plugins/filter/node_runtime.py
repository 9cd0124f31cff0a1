# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_runtime
short_description: How a host runs pods
description:
  - What follows for a host from its C(runtime_profile), one of C(estate_runtime_profiles), or from that of its pool.
    A host without one is set up as its variables alone say.
  - Only the variables of this host are read.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
options:
  name:
    description: The host.
    type: str
    required: true
  kubelet_config:
    description: KubeletConfiguration fields that win over those of the profile.
    type: dict
    default: {}
  most_pods:
    description: How many pods the host's network has room for. V(0) where that is not known.
    type: int
    default: 0
positional: groups, name, kubelet_config, most_pods
seealso:
  - plugin: hybridk8s.estate.runtime_classes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the handlers that containerd has on this host beside runc
  ansible.builtin.debug:
    msg: "{{ (hostvars | hybridk8s.estate.node_runtime(groups, inventory_hostname)).handlers }}"
"""

RETURN = r"""
_value:
  description:
    - C(kubelet) is the whole KubeletConfiguration, C(handlers) are the tables of containerd's runtimes beside runc by
      name, C(requires) is the option O(hybridk8s.estate.host_state#module:requires).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import runtime
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_from_hostvars


def node_runtime(
    hostvars: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    name: str,
    kubelet_config: Mapping[str, Any] | None = None,
    most_pods: int = 0,
) -> dict[str, Any]:
    """The kubelet's configuration, containerd's handlers, and what the host must have for them."""
    estate = estate_from_hostvars(hostvars, groups, [name])
    host = estate.hosts[name]
    profile = runtime.profile_of(estate, host)
    kubelet = runtime.kubelet_config(profile, most_pods, kubelet_config or {})
    return {
        "kubelet": kubelet,
        "handlers": runtime.handlers(profile),
        "requires": runtime.needs(estate, host, kubelet),
    }


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"node_runtime": node_runtime}
