# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module would change, and why; private to this collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One change to one thing.

    ``action`` is a verb a person would use (``write``, ``restart``, ``label``), ``target`` the thing
    (``/etc/hosts``, ``node/w1``), ``reason`` why it is needed. ``before`` and ``after`` are texts for ``--diff``;
    leave them empty where the content is secret or has no text form. ``traffic`` is what traffic could notice, where
    that is the question.
    """

    action: str
    target: str
    reason: str = ""
    before: str = ""
    after: str = ""
    traffic: str = ""

    @property
    def why(self) -> str:
        """The reason, and what traffic could notice."""
        return "; ".join(filter(None, [self.reason, f"traffic: {self.traffic}" if self.traffic else ""]))

    def as_dict(self) -> dict[str, str]:
        """The step in a module's result."""
        traffic = {"traffic": self.traffic} if self.traffic else {}
        return {"action": self.action, "target": self.target, "reason": self.reason, **traffic}

    def difference(self) -> dict[str, str]:
        """The step in Ansible's form of a difference."""
        header = f"{self.action} {self.target}"
        if not self.before and not self.after:
            return {"prepared": f"{header}: {self.why}\n" if self.why else f"{header}\n"}
        return {
            "before_header": header,
            "after_header": f"{header} ({self.why})" if self.why else header,
            "before": self.before,
            "after": self.after,
        }


def result(steps: Sequence[Step], diff: bool = False, **extra: Any) -> dict[str, Any]:
    """The module result for a plan: ``changed``, ``steps`` and, on request, ``diff`` in Ansible's form."""
    shaped: dict[str, Any] = {
        "changed": bool(steps),
        "steps": [step.as_dict() for step in steps],
        **extra,
    }
    if diff:
        shaped["diff"] = [step.difference() for step in steps]
    return shaped
