# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How findings put things into words; private to this collection."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_CREDENTIALS = re.compile(r"//[^/@]*@")
_LONGEST_SHOWN = 80


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known name that ``name`` most likely stands for, or an empty string."""
    matches = difflib.get_close_matches(name, sorted(known), 1, cutoff)
    return matches[0] if matches else ""


def listed(names: Sequence[str], most: int = 5) -> str:
    """``names`` for a sentence: the first few, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def shown(value: Any) -> str:
    """``value`` for a sentence: short, and without what might be a secret in it."""
    if isinstance(value, Mapping):
        return f"a mapping of {listed([str(key) for key in value]) or 'nothing'}"
    text = repr(str(value)) if isinstance(value, str) else str(value)
    text = _CREDENTIALS.sub("//***@", text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
