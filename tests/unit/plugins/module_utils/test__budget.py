# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _budget

NOT_AN_AMOUNT = ["", "x", "-1", "1.5", "10 %", "%", "101%", " 3", "3\n", "1e3", "True", "9999999999", "٣"]


@pytest.mark.parametrize(
    ("text", "count", "budget"),
    [
        ("0", 5, 0),
        ("3", 5, 3),
        ("3", 2, 3),
        ("0%", 5, 0),
        ("10%", 9, 0),
        ("10%", 19, 1),
        ("10%", 1000, 100),
        ("100%", 7, 7),
        ("29%", 100, 29),
        ("100%", 0, 0),
    ],
)
def test_failure_budget(text, count, budget):
    assert _budget.failure_budget(text, count) == budget


@pytest.mark.parametrize("text", NOT_AN_AMOUNT)
def test_what_is_no_failure_budget(text):
    with pytest.raises(ValueError, match="a number such as 3, or a share such as 10%"):
        _budget.failure_budget(text, 10)


@pytest.mark.parametrize(
    ("text", "count", "size"),
    [("1", 5, 1), ("5", 2, 5), ("10%", 1000, 100), ("10%", 9, 1), ("1%", 5, 1), ("100%", 7, 7), ("100%", 0, 1)],
)
def test_batch_size(text, count, size):
    assert _budget.batch_size(text, count) == size


@pytest.mark.parametrize("text", [*NOT_AN_AMOUNT, "0", "0%", "000%"])
def test_what_is_no_batch_size(text):
    with pytest.raises(ValueError, match="a number such as 5, or a share such as 10%"):
        _budget.batch_size(text, 10)
