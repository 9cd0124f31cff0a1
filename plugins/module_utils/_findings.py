# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a check reports; private to this collection."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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
