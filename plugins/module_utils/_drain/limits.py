# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of a drain may go on at once: time, nodes, failures, room in budgets; private to this collection."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Budget

# Refusals of budgets carry no Retry-After.
_RETRY_SECONDS = (1.0, 2.0, 4.0, 5.0)
# An eviction that its budget's status has not shown by then was none that the budget counts.
_UNSEEN_SECONDS = 5.0


@dataclass(frozen=True)
class Spread:
    """Of the nodes with this label, only so many at once, or only those of so many of its values; 0 is no limit."""

    label: str
    nodes: int = 0
    domains: int = 0

    def allows(self, labels: Mapping[str, str], active: Iterable[Mapping[str, str]]) -> bool:
        """Whether a node of these labels may begin beside the active ones."""
        key, _equals, value = self.label.partition("=")
        if key not in labels or (value and labels[key] != value):
            return True
        beside = [other[key] for other in active if key in other and (not value or other[key] == value)]
        if self.nodes and len(beside) >= self.nodes:
            return False
        return not self.domains or len({labels[key], *beside}) <= self.domains


@dataclass(frozen=True)
class Limits:
    """Seconds for all nodes and for each, how many nodes at once, how many may fail before no further one begins."""

    timeout: float = math.inf
    node_timeout: float = math.inf
    batch: int = 1_000_000
    spreads: tuple[Spread, ...] = ()
    max_fail: int = 1_000_000


@dataclass
class BudgetCourse:
    """A budget as last seen, and our evictions since: pod name and when it was answered (None: in flight), by uid."""

    budget: Budget
    uncounted: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    held_until: float = 0.0
    refusals: int = 0

    def room(self, now: float) -> int:
        if now < self.held_until:
            return 0
        unseen = sum(1 for _name, at in self.uncounted.values() if at is None or now - at < _UNSEEN_SECONDS)
        return self.budget.allowed - unseen

    def seen(self, budget: Budget, counted_by: float | None = None) -> None:
        """Its present state; ``counted_by``: every eviction answered by then is in it."""
        self.budget, self.held_until, self.refusals = budget, 0.0, 0
        self.uncounted = {
            uid: (name, at)
            for uid, (name, at) in self.uncounted.items()
            if name not in budget.disrupted and (at is None or counted_by is None or at > counted_by)
        }


def pause(tries: int) -> float:
    """Seconds until a refused eviction is asked for again."""
    return _RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)]
