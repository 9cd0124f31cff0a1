# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file on the controller that others read while it is written; private to this collection."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any


def write_text(path: str, text: str, mode: int = 0o644) -> None:
    """Write in one step: whoever reads the file never sees half of it. Raises OSError."""
    directory = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".tmp", delete=False, encoding="utf-8") as file:
        file.write(text)
    os.chmod(file.name, mode)
    os.replace(file.name, path)


def as_json(document: Any) -> str:
    """For people and programs."""
    return json.dumps(document, indent=2) + "\n"
