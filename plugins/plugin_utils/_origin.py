# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where in its files an inventory says something; private to this collection."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ansible._internal._datatag._tags import Origin

_PATH_PART = re.compile(r"[^.\[\]]+")


def of_variable(variables: Mapping[str, Any], variable: str) -> str:
    """``file:line`` of what ``variable`` (a name, or a path such as ``estate_racks.r1.as``) was set to, if known."""
    found = ""
    value: Any = variables
    for part in _PATH_PART.findall(variable):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            break
        found = _place(value) or found
    return found


def of_error(error: BaseException) -> str:
    """``file:line`` of what ``error``, or what caused it, complains about, if known."""
    cause: BaseException | None = error
    while cause is not None:
        place = _place(getattr(cause, "obj", None))
        if place:
            return place
        cause = cause.__cause__ or cause.__context__
    return ""


def _place(value: Any) -> str:
    tag = value if isinstance(value, Origin) else Origin.get_tag(value)
    if tag is None or not tag.path:
        return ""
    relative = os.path.relpath(tag.path)
    path = tag.path if relative.startswith("..") else relative
    return f"{path}:{tag.line_num}" if tag.line_num else path
