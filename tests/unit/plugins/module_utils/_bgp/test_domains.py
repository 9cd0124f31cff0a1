# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.domains import batches, domains_of, may_join
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import REFLECTOR_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import RACK_LABEL

DOMAINS = {"a1": "a", "a2": "a", "b1": "b", "b2": "b", "c1": "c", "ab": "ab"}


@pytest.mark.parametrize(
    ("hosts", "size", "made"),
    [
        ("a1 a2 b1 b2 c1", 9, ["a1 b1 c1", "a2 b2"]),
        ("a1 a2 b1 b2 c1", 2, ["a1 b1", "a2 b2", "c1"]),
        ("w1 a1 w2 a2 w3", 3, ["w1 a1 w2", "a2 w3"]),
        ("a1 a2 w1 w2 w3", 2, ["a1 w1", "a2 w2", "w3"]),
        ("a1 a2", 1, ["a1", "a2"]),
        ("a1 ab b1 c1", 9, ["a1 b1 c1", "ab"]),
        ("w1 w2 w3", 2, ["w1 w2", "w3"]),
        ("", 5, []),
    ],
)
def test_each_batch_has_one_reflector_of_a_rack_at_most(hosts: str, size: int, made: list[str]) -> None:
    assert [" ".join(batch) for batch in batches(hosts.split(), size, DOMAINS)] == made


def test_the_domain_of_a_reflector_is_its_rack_and_others_have_none() -> None:
    assert domains_of({REFLECTOR_LABEL: "true", RACK_LABEL: "r1"}) == {"r1"}
    assert domains_of({RACK_LABEL: "r1"}) == set()
    assert domains_of({REFLECTOR_LABEL: "false", RACK_LABEL: "r1"}) == set()


def test_reflectors_without_a_rack_may_share_one() -> None:
    nowhere = domains_of({REFLECTOR_LABEL: "true"})
    assert not may_join(nowhere, nowhere)
    assert may_join(nowhere, {"r1"})


def test_hosts_that_do_not_reflect_go_with_anyone() -> None:
    assert may_join((), {"r1"})
