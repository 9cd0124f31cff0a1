# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """The options of modules that go through many nodes a few at a time."""

    DOCUMENTATION = r"""
options:
  batch:
    description: How many nodes at once, as a number (V(5)) or as a share of O(names) (V(10%)).
    type: str
    default: 100%
  max_fail:
    description:
      - How many nodes may fail, as a number (V(3)) or as a share of O(names) (V(10%)). When one more has, no further
        one is begun.
    type: str
    default: 100%
"""
