# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import wanted_of

OPTIONS: dict[str, Any] = {
    "estate": "lab",
    "as_number": 64901,
    "neighbours": [
        {"address": "10.20.1.11", "remote_as": 64512, "description": "cp1", "password": "s3cret"},
        {"address": "10.20.1.12", "remote_as": 64512},
    ],
    "import_prefixes": [{"prefix": "10.21.0.0/16", "ge": 26, "le": 32}],
    "export_prefixes": [{"prefix": "10.99.0.0/16", "le": 32}],
}
WANTED = wanted_of(OPTIONS)


def options(**changes: Any) -> dict[str, Any]:
    return {**OPTIONS, **changes}
