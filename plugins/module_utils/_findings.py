# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a check reports; private to this collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, Protocol

ERROR, WARNING = "error", "warning"


class Module(Protocol):
    """What :func:`conclude` uses of an AnsibleModule."""

    def warn(self, warning: str) -> None: ...

    def exit_json(self, **kwargs: Any) -> NoReturn: ...

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn: ...


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong, said so that the reader can put it right.

    ``severity`` is ``error`` (work must not start) or ``warning``; ``host`` is empty for what concerns the
    whole estate.
    """

    code: str
    severity: str
    host: str
    variable: str
    message: str
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON-ready mapping, in a stable key order."""
        return asdict(self)

    def __str__(self) -> str:
        where = f"{self.host}: " if self.host else ""
        return f"[{self.code}] {where}{self.variable}: {self.message} Remedy: {self.remedy}"


def conclude(module: Module, findings: Sequence[Finding], **outcome: Any) -> NoReturn:
    """End a module: it fails with all errors at once, and warns of the rest. ``outcome`` may say that it changed."""
    result = {"changed": False, "findings": [finding.as_dict() for finding in findings], **outcome}
    for finding in findings:
        if finding.severity != ERROR:
            module.warn(str(finding))
    errors = [str(finding) for finding in findings if finding.severity == ERROR]
    if errors:
        module.fail_json(msg="\n".join(errors), **result)
    module.exit_json(**result)
