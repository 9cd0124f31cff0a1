# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.objects import wanted_parts
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.text import merge
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import wanted_of

from tests.unit.plugins.module_utils._frr.samples import RUNNING, lines_for
from tests.unit.plugins.module_utils._switch.samples import WANTED, options


def test_without_neighbours_there_is_nothing_of_ours() -> None:
    assert wanted_parts(replace(WANTED, neighbours=())) == {}


def test_reflectors_of_the_switchs_own_as_need_no_multihop() -> None:
    wanted = wanted_of(options(as_number=64512))
    assert not [line for line in lines_for("", wanted) if "multihop" in line]


def test_another_local_as_is_shown_to_each_of_our_neighbours_and_nobody_else() -> None:
    wanted = wanted_of(options(as_number=64901, local_as=64950))
    lines = lines_for(RUNNING, wanted)
    assert lines == [
        "router bgp 64901",
        " neighbor 10.20.1.11 local-as 64950 no-prepend replace-as",
        " neighbor 10.20.1.12 local-as 64950 no-prepend replace-as",
        "exit",
    ]
    merged = merge(RUNNING, wanted, wanted_parts(wanted))
    assert lines_for(merged, wanted) == []
    assert lines_for(merged) == [
        "router bgp 64901",
        " no neighbor 10.20.1.11 local-as 64950 no-prepend replace-as",
        " no neighbor 10.20.1.12 local-as 64950 no-prepend replace-as",
        "exit",
    ]


def test_a_local_as_that_is_the_switchs_own_is_none() -> None:
    wanted = wanted_of(options(as_number=64901, local_as=64901))
    assert (wanted, wanted.shown_as) == (WANTED, 64901)
    assert wanted_of(options(local_as=64950)).shown_as == 64950
