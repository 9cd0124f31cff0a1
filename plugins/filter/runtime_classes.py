# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: runtime_classes
short_description: The RuntimeClasses of an estate
description:
  - One RuntimeClass for each runtime beside runc that any of C(estate_runtime_profiles) has. It selects the nodes that
    have the runtime by their label C(runtime.hybridk8s.io/NAME=true).
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._inventory
options:
  name:
    description: Any host; variables of the estate are the same for all.
    type: str
    required: true
  overheads:
    description: What a pod costs beside its containers, as a mapping of resources to amounts, by runtime.
    type: dict
    default: {}
positional: groups, name, overheads
seealso:
  - plugin: hybridk8s.estate.node_runtime
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Make the RuntimeClasses, and remove those that no profile has any more
  hybridk8s.estate.manifest:
    documents: "{{ hostvars | hybridk8s.estate.runtime_classes(groups, inventory_hostname, overheads) }}"
    set: runtime-classes
    prune: true
  vars:
    overheads:
      kata: {cpu: 250m, memory: 160Mi}
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The documents.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import runtime
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import estate_from_hostvars


def runtime_classes(
    hostvars: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    name: str,
    overheads: Mapping[str, Mapping[str, str]] | None = None,
) -> list[dict[str, Any]]:
    """The RuntimeClasses of the estate that the host ``name`` is of."""
    return runtime.classes(estate_from_hostvars(hostvars, groups, [name]), overheads or {})


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"runtime_classes": runtime_classes}
