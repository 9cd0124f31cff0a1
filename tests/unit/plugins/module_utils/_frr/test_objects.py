# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.objects import wanted_parts
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.options import wanted_of

from tests.unit.plugins.module_utils._frr.samples import WANTED, lines_for, options


def test_without_neighbours_there_is_nothing_of_ours() -> None:
    assert wanted_parts(replace(WANTED, neighbours=())) == {}


def test_reflectors_of_the_switchs_own_as_need_no_multihop() -> None:
    wanted = wanted_of(options(as_number=64512))
    assert not [line for line in lines_for("", wanted) if "multihop" in line]
