# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.filter.batch_of import batch_of
from ansible_collections.hybridk8s.estate.plugins.filter.replaceable import replaceable

HOSTS = ["cp1", "w1", "w2", "w3", "w4"]
MASTERS, REFLECTORS = ["cp1", "cp2", "cp8", "cp9"], ["w1", "w8"]


@pytest.mark.parametrize(
    ("host", "size", "alone", "batch"),
    [
        ("w1", "100%", [], HOSTS),
        ("w1", "2", [], ["cp1", "w1"]),
        ("w4", "2", [], ["w4"]),
        ("w1", "50%", ["cp1"], ["w1", "w2"]),
        ("cp1", "100%", ["cp1"], ["cp1"]),
        ("w3", "3", ["cp1", "w1", "w2", "w3", "w4"], ["w3"]),
    ],
)
def test_batch(host: str, size: str, alone: list[str], batch: list[str]) -> None:
    assert batch_of(HOSTS, host, size, alone) == [batch]


@pytest.mark.parametrize(
    ("leaving", "gone", "new", "may_go"),
    [
        (["w5"], [], [], []),
        (["w5", "w6"], [], ["w9"], ["w5"]),
        (["w5", "w6"], ["w4"], ["w8", "w9"], ["w5"]),
        (["w5", "w6"], ["w4"], ["w9"], []),
        (["w1", "w5"], [], ["w9"], ["w5"]),
        (["w1", "w5"], [], ["w8"], ["w1"]),
        (["w1", "w5"], ["w2"], ["w8", "w9"], ["w1"]),
        (["cp1", "cp2", "w5"], [], ["cp9", "w9"], ["cp1", "w5"]),
        (["cp1", "w5"], ["cp2"], ["cp9", "w8", "w9"], ["w5"]),
        (["cp1", "cp2"], [], ["cp8", "cp9"], ["cp1", "cp2"]),
    ],
)
def test_an_old_host_goes_only_for_a_new_one_of_its_kind(
    leaving: list[str], gone: list[str], new: list[str], may_go: list[str]
) -> None:
    assert replaceable(leaving, gone, new, [MASTERS, REFLECTORS]) == may_go
