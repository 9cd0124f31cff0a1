# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu import support
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.support import Support

OLD = frozenset({"proprietary"})
# Device ids and chips of pci.ids: GK210 is Kepler, GM Maxwell, GP Pascal, GV Volta, TU Turing, GA Ampere, AD Ada, GH
# Hopper, GB Blackwell and GR Rubin.
CHIPS = {
    "Kepler": (0x0FC0, 0x1021, 0x102D, 0x11BF, 0x12BA),
    "Maxwell": (0x1340, 0x1380, 0x13BD, 0x13F2, 0x1436, 0x1613, 0x174D, 0x179C, 0x17FD),
    "Pascal": (0x15C2, 0x15F8, 0x1725, 0x1B38, 0x1BB3, 0x1C82, 0x1CB1, 0x1D01, 0x1D56),
    "Volta": (0x1D81, 0x1DB1, 0x1DF6),
    "Turing": (0x1E02, 0x1E37, 0x1EB8, 0x1F02, 0x1FF9, 0x2182, 0x21D1),
    "Ampere": (0x2082, 0x20B0, 0x20F3, 0x2204, 0x2236, 0x2420, 0x2484, 0x2504, 0x25B6),
    "Hopper": (0x2302, 0x2330, 0x2331, 0x2342, 0x23F0),
    "Ada": (0x2684, 0x26B9, 0x2704, 0x27B8, 0x2803, 0x28F8),
    "Blackwell": (0x2901, 0x2941, 0x29BC, 0x2B85, 0x2BB5, 0x2C31, 0x2D04, 0x2F04, 0x3182, 0x31C2),
    "Rubin": (0x3000, 0x30C0),
    "": (0x0000, 0x0622, 0x1AF1, 0x22A3, 0x9999),
}


@pytest.mark.parametrize(("name", "chip"), [(name, chip) for name, chips in CHIPS.items() for chip in chips])
def test_the_architecture_of_a_chip(name: str, chip: int) -> None:
    assert support.architecture_of(chip) == name


def test_every_model_has_an_architecture() -> None:
    assert [name for chip, name in support.MODELS.items() if not support.architecture_of(chip)] == []


@pytest.mark.parametrize(
    ("chips", "expected", "words"),
    [
        ([], Support(), "the open or the proprietary kernel modules"),
        ([0x1EB8], Support(first_branch=410), "the open or the proprietary kernel modules, branch 410 or later"),
        (
            [0x1DB1],
            Support(frozenset({"proprietary"}), 0, 580),
            "the proprietary kernel modules, branch 580 or earlier",
        ),
        (
            [0x102D],
            Support(frozenset({"proprietary"}), 0, 470),
            "the proprietary kernel modules, branch 470 or earlier",
        ),
        (
            [0x1DB1, 0x20B0],
            Support(frozenset({"proprietary"}), 450, 580),
            "the proprietary kernel modules, branch 450 to 580",
        ),
        ([0x2901, 0x2330], Support(frozenset({"open"}), 570), "the open kernel modules, branch 570 or later"),
        ([0x2342], Support(frozenset({"open"}), 520), "the open kernel modules, branch 520 or later"),
        ([0x9999], Support(), "the open or the proprietary kernel modules"),
    ],
)
def test_what_serves_all(chips: list[int], expected: Support, words: str) -> None:
    found = support.common([support.support_of(chip) for chip in chips])
    assert found == expected
    assert found.is_possible
    assert str(found) == words


@pytest.mark.parametrize("chips", [[0x1BB3, 0x2901], [0x102D, 0x2330]])
def test_what_nothing_serves(chips: list[int]) -> None:
    assert not support.common([support.support_of(chip) for chip in chips]).is_possible


def test_which_boards_hide_their_switches() -> None:
    assert [chip for chip in (0x2901, 0x2941, 0x3182, 0x20B0, 0x2330, 0x2BB5) if support.hides_switches(chip)] == [
        0x2901,
        0x2941,
        0x3182,
    ]
