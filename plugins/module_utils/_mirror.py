# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An air-gapped site's mirror of upstream downloads; private to this collection."""

from __future__ import annotations

from urllib.parse import urlsplit


def rewrite(url: str, mirror: str | None) -> str:
    """Where to fetch ``url``: ``https://HOST/PATH`` is ``<mirror>/HOST/PATH``; without a mirror the URL itself.

    What is not an http(s) URL (a path, a file: URL) and what lies on the mirror already is returned as it is.
    """
    if not mirror or urlsplit(url).scheme not in ("http", "https"):
        return url
    base = mirror.rstrip("/")
    if url == base or url.startswith(base + "/"):
        return url
    return f"{base}/{url.split('://', 1)[1]}"
