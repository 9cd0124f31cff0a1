# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.filter.batches import batches
from ansible_collections.hybridk8s.estate.plugins.filter.replaceable import replaceable

HOSTS = ["cp1", "w1", "w2", "w3", "w4"]
RACKS = {"cp1": "r1", "w1": "r1", "w2": "r1", "w3": "r2", "w4": "r2"}
ESTATE = {
    "estate_name": "lab",
    "estate_kubernetes_version": "1.36.3",
    "estate_networks": {"services": "10.22.0.0/16", "pods": {"bare_metal": "10.21.0.0/16"}},
    "estate_bgp": {"as": 64512},
    "estate_racks": {"r1": {"subnet": "10.20.1.0/24"}, "r2": {"subnet": "10.20.2.0/24"}},
}
HOSTVARS = {
    name: {**ESTATE, "rack": rack, "ansible_host": f"10.20.{rack[1]}.{number + 10}"}
    for number, (name, rack) in enumerate(RACKS.items())
}
GROUPS = {"all": HOSTS, "control_plane": ["cp1"], "workers": HOSTS[1:], "bare_metal": HOSTS}
MASTERS, REFLECTORS = ["cp1", "cp2", "cp8", "cp9"], ["w1", "w8"]


@pytest.mark.parametrize(
    ("size", "alone", "reflectors", "made"),
    [
        ("100%", [], [], ["cp1 w1 w2 w3 w4"]),
        ("2", [], [], ["cp1 w1", "w2 w3", "w4"]),
        ("50%", ["cp1"], [], ["cp1", "w1 w2", "w3 w4"]),
        ("100%", ["w2"], [], ["cp1 w1 w3 w4", "w2"]),
        ("3", ["cp1", "w1", "w2", "w3", "w4"], [], ["cp1", "w1", "w2", "w3", "w4"]),
        ("100%", [], ["w1", "w2", "w3", "w4"], ["cp1 w1 w3", "w2 w4"]),
        ("2", ["cp1"], ["w1", "w2", "w3"], ["cp1", "w1 w3", "w2 w4"]),
        ("1", [], ["w1", "w2"], ["cp1", "w1", "w2", "w3", "w4"]),
    ],
)
def test_batches_with_one_reflector_of_a_rack_at_most(
    size: str, alone: list[str], reflectors: list[str], made: list[str]
) -> None:
    found = batches(HOSTS, size, alone, HOSTVARS, {**GROUPS, "route_reflectors": reflectors})
    assert [" ".join(batch) for batch in found] == made


def test_reflectors_chosen_by_count_are_kept_apart_too() -> None:
    counted = {"estate_bgp": {"as": 64512, "reflectors_per_rack": 2}}
    hostvars = {name: {**variables, **counted} for name, variables in HOSTVARS.items()}
    found = batches(HOSTS, "100%", [], hostvars, GROUPS)
    assert [len(batch) for batch in found] == [3, 2]
    assert all(len(set(batch) & pair) <= 1 for batch in found for pair in ({"w1", "w2"}, {"w3", "w4"}))


def test_a_size_that_says_no_number_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="batch: 'some'"):
        batches(HOSTS, "some", [], HOSTVARS, GROUPS)


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
