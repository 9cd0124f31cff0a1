# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.waves import waves

PAIRS = {"r1": ["a1", "b1"], "r2": ["a2", "b2"], "r3": ["a3", "b3"]}
SINGLES = {"r1": ["t1"], "r2": ["t2"], "r3": ["t3"], "r4": ["t4"]}


@pytest.mark.parametrize(
    ("racks", "pending", "expected"),
    [
        (PAIRS, [], []),
        (PAIRS, ["b2"], [["b2"]]),
        (PAIRS, ["a1", "b1"], [["a1"], ["b1"]]),
        (PAIRS, ["a1", "a2", "a3", "b1", "b2", "b3"], [["a1"], ["a2", "a3", "b1"], ["b2", "b3"]]),
        (SINGLES, ["t1", "t2", "t3", "t4"], [["t1"], ["t2", "t3"], ["t4"]]),
        ({"r1": ["t1"], "r2": ["t2"]}, ["t1", "t2"], [["t1"], ["t2"]]),
        ({"r1": ["t1"]}, ["t1"], [["t1"]]),
        ({"r1": ["s"], "r2": ["s", "t"], "r3": ["u"], "r4": ["v"]}, ["s", "t", "u"], [["s"], ["t", "u"]]),
        (SINGLES, ["t1", "gone"], [["t1"]]),
    ],
)
def test_waves(racks: dict[str, list[str]], pending: list[str], expected: list[list[str]]) -> None:
    assert waves(racks, pending) == expected


@pytest.mark.parametrize("racks", [PAIRS, SINGLES])
def test_no_wave_takes_two_of_a_rack_or_more_than_half(racks: dict[str, list[str]]) -> None:
    every = [switch for switches in racks.values() for switch in switches]
    found = waves(racks, every)
    assert sorted(switch for wave in found for switch in wave) == sorted(every)
    assert len(found[0]) == 1
    for wave in found:
        assert len(wave) <= len(every) // 2
        for switches in racks.values():
            assert len(set(wave) & set(switches)) <= 1
