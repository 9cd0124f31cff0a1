# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with an Estate; private to this collection.

Each rule is a small function of its own, grouped by concern: a module each. Importing this package registers them all.
"""

from __future__ import annotations

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.parse import READING_CODES
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules import (
    ack,
    addresses,
    cloud,
    cluster,
    fabric,
    membership,
    nodes,
    profiles,
    ranges,
    sessions,
    site,
    vm_pools,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import RULES, Rule
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding

__all__ = [
    "RULES",
    "Rule",
    "ack",
    "addresses",
    "check",
    "cloud",
    "cluster",
    "fabric",
    "membership",
    "nodes",
    "profiles",
    "ranges",
    "sessions",
    "site",
    "vm_pools",
    "why",
]


def check(estate: model.Estate) -> tuple[Finding, ...]:
    """Every finding of every rule, in the order of the codes."""
    return tuple(finding for code in sorted(RULES) for finding in RULES[code].findings(estate))


def why(code: str) -> str:
    """What goes wrong where the finding ``code`` is not put right."""
    return RULES[code].why if code in RULES else READING_CODES[code]
