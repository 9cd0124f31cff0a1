# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a rule is written down and run; private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, WARNING, Finding

__all__ = ["ERROR", "RULES", "WARNING", "Problem", "Rule", "rule"]


@dataclass(frozen=True)
class Problem:
    """What a rule found: a Finding without the code and severity, which are the rule's."""

    host: str
    variable: str
    message: str
    remedy: str


Check = Callable[[model.Estate], Iterable[Problem]]


@dataclass(frozen=True)
class Rule:
    """One rule: ``why`` says in a line what goes wrong otherwise, ``source`` where that is known from."""

    code: str
    severity: str
    why: str
    source: str
    check: Check

    def findings(self, estate: model.Estate) -> tuple[Finding, ...]:
        return tuple(
            Finding(self.code, self.severity, problem.host, problem.variable, problem.message, problem.remedy)
            for problem in self.check(estate)
        )


RULES: dict[str, Rule] = {}


def rule(code: str, severity: str, why: str, source: str) -> Callable[[Check], Check]:
    """Register a function as the rule ``code``; two rules of one number are a mistake in this collection."""

    def register(check: Check) -> Check:
        number = code.split("-")[0]
        if any(known.split("-")[0] == number for known in RULES):
            raise ValueError(f"two rules are numbered {number}")
        RULES[code] = Rule(code, severity, why, source, check)
        return check

    return register
