# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: admission_policies
short_description: The API's objects for admission policies
description:
  - Makes ValidatingAdmissionPolicies, MutatingAdmissionPolicies, their bindings and priority classes of the settings of
    the role C(admission_policies), for the option O(hybridk8s.estate.manifest#module:documents).
  - A policy that is V(off) has no objects. One that changes pods is a validating one while it is V(audit), which
    warns of each pod that it would change.
  - Settings that make no sense are refused, all at once.
author: hybridk8s.estate authors (@hybridk8s)
options:
  _input:
    description:
      - The settings, by the names of the role's variables without C(admission_policies_).
    type: dict
    required: true
seealso:
  - module: hybridk8s.estate.manifest
"""

EXAMPLES = r"""
- name: Let pods of the namespace shop ask for what they may use
  hybridk8s.estate.manifest:
    kubeconfig: "{{ kubeconfig }}"
    documents: "{{ policies | hybridk8s.estate.admission_policies }}"
    set: admission-policies
    prune: true
  vars:
    policies:
      equal_requests: {mode: enforce, namespaces: [shop]}
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The documents.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils._admission_policies.documents import documents_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._admission_policies.settings import SettingsError, read


def admission_policies(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The documents that the settings need."""
    try:
        return documents_of(read(settings))
    except SettingsError as error:
        raise AnsibleFilterError(f"Nothing was written.\n{error}") from error


class FilterModule:
    """Entry point for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"admission_policies": admission_policies}
