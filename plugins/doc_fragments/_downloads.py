# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """The options of modules that download; each says how many at once."""

    DOCUMENTATION = r"""
options:
  mirror:
    description: Base URL of a site's mirror. C(https://HOST/PATH) is fetched as C(MIRROR/HOST/PATH).
    type: str
  parallel:
    description: How many downloads run at once.
    type: int
  retries:
    description: How many attempts in a row may bring nothing before a download fails.
    type: int
    default: 5
  timeout:
    description: Seconds to wait for an answer or for more bytes.
    type: int
    default: 30
"""
