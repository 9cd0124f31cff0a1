# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages that need nothing but a browser: no network, no script; private to this collection."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

WIDTH = 1180
# Colours of what is well, what is not, what is on the way, and what nobody knows.
_STYLE = """
:root { --paper: #fff; --ink: #1b1f24; --faint: #8b949e; --box: #f3f4f6; --up: #1a7f37; --down: #cf222e;
  --partly: #bf8700; --unknown: #8b949e; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --box: #161b22; } }
body { background: var(--paper); color: var(--ink); font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; }
p.down { color: var(--down); } p.up { color: var(--up); }
pre { white-space: pre-wrap; }
"""


def document(title: str, style: str, body: Iterable[str]) -> str:
    """A whole page; ``body`` is HTML already, ``style`` comes on top of what all pages have."""
    styles = f"{_STYLE}body {{ max-width: {WIDTH}px; }}{style}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(title)}</title><style>{styles}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *body,
            "</body></html>",
            "",
        ]
    )
