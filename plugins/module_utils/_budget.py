# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many nodes may fail, and how many are worked on at once; private to this collection.

Both are said as a number (``3``) or as a share of the nodes of the run (``10%``), as Ansible says ``serial``.
"""

from __future__ import annotations

import re

BATCH_ARGUMENTS = {
    "batch": {"type": "str", "default": "100%"},
    "max_fail": {"type": "str", "default": "100%"},
}

_AMOUNT = re.compile(r"([0-9]{1,9})(%?)")
_WHOLE = 100


def failure_budget(text: str, count: int) -> int:
    """How many of ``count`` nodes may fail while further ones are begun; with one more failed, none is begun.

    A share is rounded down: 10% of 19 nodes are 1. ValueError where ``text`` is neither a number nor a share.
    """
    amount = _amount(text)
    if amount is None:
        raise ValueError(
            f"{text!r} does not say how many nodes may fail; give a number such as 3, or a share such as 10%"
        )
    return _of(amount, count)


def batch_size(text: str, count: int) -> int:
    """How many of ``count`` nodes are worked on at once: at least one. ValueError where ``text`` says no number."""
    amount = _amount(text)
    if amount is None or amount[0] == 0:
        raise ValueError(
            f"{text!r} does not say how many nodes at once; give a number such as 5, or a share such as 10%"
        )
    return max(1, _of(amount, count))


def _amount(text: str) -> tuple[int, bool] | None:
    """The number, and whether it is a share."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    number, share = int(match[1]), bool(match[2])
    return None if share and number > _WHOLE else (number, share)


def _of(amount: tuple[int, bool], count: int) -> int:
    number, share = amount
    return count * number // _WHOLE if share else number
