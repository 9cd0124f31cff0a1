# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """The options of filters that read the inventory."""

    DOCUMENTATION = r"""
options:
  _input:
    description: Ansible's variable C(hostvars).
    type: dict
    required: true
  groups:
    description: Ansible's variable C(groups).
    type: dict
    required: true
"""
