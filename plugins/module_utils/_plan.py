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
    leave them empty where the content is secret or has no text form.
    """

    action: str
    target: str
    reason: str = ""
    before: str = ""
    after: str = ""


def result(steps: Sequence[Step], diff: bool = False, **extra: Any) -> dict[str, Any]:
    """The module result for a plan: ``changed``, ``steps`` and, on request, ``diff`` in Ansible's form."""
    shaped: dict[str, Any] = {
        "changed": bool(steps),
        "steps": [{"action": step.action, "target": step.target, "reason": step.reason} for step in steps],
        **extra,
    }
    if diff:
        shaped["diff"] = [_diff(step) for step in steps]
    return shaped


def _diff(step: Step) -> dict[str, str]:
    header = f"{step.action} {step.target}"
    if not step.before and not step.after:
        return {"prepared": f"{header}: {step.reason}\n" if step.reason else f"{header}\n"}
    return {
        "before_header": header,
        "after_header": f"{header} ({step.reason})" if step.reason else header,
        "before": step.before,
        "after": step.after,
    }
