# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: terway_chart
short_description: What Terway's chart is given and how its documents are patched, from the inventory
description:
  - Computes the options O(hybridk8s.estate.manifest#module:chart.values), O(hybridk8s.estate.manifest#module:omit) and
    O(hybridk8s.estate.manifest#module:overlays) for the upstream chart, from C(estate_cloud) and C(estate_networks).
  - Definitions of the group C(crd.projectcalico.org) are left out, the daemon runs on cloud VMs only, host directories
    are made where they are missing, and network interfaces are tagged with the estate's name.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
options:
  settings:
    description:
      - Keys C(version), C(image), C(control_plane_image), C(ipam) (V(local) or V(crd)) and C(eni_conf), which is merged
        into the daemon's configuration.
    type: dict
    required: true
positional: groups, settings
seealso:
  - module: hybridk8s.estate.manifest
"""

EXAMPLES = r"""
- name: Apply Terway as the inventory says
  hybridk8s.estate.manifest:
    kubeconfig: "{{ kubeconfig }}"
    namespace: kube-system
    chart:
      path: /srv/charts/terway
      release: terway-eniip
      values: "{{ rendering.chart_values }}"
    omit: "{{ rendering.omit }}"
    overlays: "{{ rendering.overlays }}"
  vars:
    rendering: "{{ hostvars | hybridk8s.estate.terway_chart(groups, terway_settings) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: Keys C(chart_values), C(omit) and C(overlays).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import KUBERNETES_GROUP
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.chart import (
    Settings,
    TerwayError,
    rendering_of,
)
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_from_hostvars


def terway_chart(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The chart's values and patches for the whole inventory."""
    try:
        # What it needs is the same for every host.
        estate = estate_from_hostvars(hostvars, groups, sorted(groups.get(KUBERNETES_GROUP, ()))[:1])
        return rendering_of(estate, Settings(**settings)).as_dict()
    except TypeError as error:
        raise AnsibleFilterError(f"terway_chart: the settings are not as they should be: {error}.") from error
    except TerwayError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"terway_chart": terway_chart}
