# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.objects import wanted_parts
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.text import merge, read

from tests.unit.plugins.module_utils._frr.samples import PARTS, RUNNING, THEIRS, targets
from tests.unit.plugins.module_utils._switch.samples import WANTED


def test_estates_whose_names_begin_alike_keep_apart() -> None:
    both = merge(RUNNING, other := replace(WANTED, estate="lab-in"), wanted_parts(other))
    # The address is in one group only, so the other estate gets its own.
    assert read(both, "lab-in").parts.keys() >= {("peer-group", "ESTATE-LAB-IN")}
    assert ("route-map", "ESTATE-LAB-IN permit 10") in read(both, "lab").parts
    assert ("route-map", "ESTATE-LAB-IN-IN permit 10") not in read(both, "lab").parts
    left = merge(both, WANTED, {})
    assert "neighbor ESTATE-LAB-IN peer-group" in left
    assert "route-map ESTATE-LAB-IN-IN permit 10" in left
    assert "neighbor ESTATE-LAB peer-group" not in left


def test_another_vrf_is_not_ours() -> None:
    vrf = RUNNING.replace("router bgp 64901", "router bgp 64901 vrf RED")
    assert {part.kind for part in read(vrf, "lab").parts.values()} == {"prefix-list", "route-map"}
    assert read(vrf, "lab").as_number is None


def test_a_switch_without_bgp_gets_a_router() -> None:
    text = "frr version 8.4.4\nhostname tor1\n!\nend\n"
    assert targets(text)[0] == "create router bgp 64901"
    merged = merge(text, WANTED, PARTS)
    assert targets(merged) == []
    assert merged.startswith("frr version 8.4.4\nhostname tor1\n!\nrouter bgp 64901\n")
    assert merged.endswith("!\nend\n")
    assert targets(merge("", WANTED, PARTS)) == []


MINIMAL = "hostname tor1\nrouter bgp 64901\n bgp router-id 10.20.1.1\n"
FLAT = (
    "hostname tor1\nrouter bgp 64901\nneighbor 10.20.1.99 remote-as 1\naddress-family ipv4 unicast\n"
    "network 10.20.1.0/24\nexit-address-family\nexit\nroute-map ALL permit 10\nset metric 5\nline vty\n"
)


@pytest.mark.parametrize("text", [THEIRS, RUNNING, MINIMAL, FLAT, "# only a comment\n"])
def test_merging_is_complete_keeps_the_rest_and_does_nothing_twice(text: str) -> None:
    merged = merge(text, WANTED, PARTS)
    assert targets(merged) == []
    assert merge(merged, WANTED, PARTS) == merged
    theirs = [line for line in merge(text, WANTED, {}).splitlines() if line.strip() not in ("", "!")]
    kept = iter(merged.splitlines())
    assert all(line in kept for line in theirs), "a line of others is gone, or they changed places"


def test_taking_ours_away_leaves_what_was_there() -> None:
    without = merge(merge(THEIRS, WANTED, PARTS), WANTED, {})
    said = [line for line in THEIRS.splitlines() if line.strip("! ") and line not in ("Building configuration...",)]
    assert [line for line in without.splitlines() if line.strip("! ")] == [
        line for line in said if line != "Current configuration:"
    ]


def test_neighbours_stand_in_the_router_before_its_address_families() -> None:
    lines = merge(FLAT, WANTED, PARTS).splitlines()
    assert lines.index("router bgp 64901") < lines.index(" neighbor 10.20.1.11 remote-as 64512")
    assert lines.index(" neighbor 10.20.1.12 ebgp-multihop 2") < lines.index("address-family ipv4 unicast")
    assert lines.index("  neighbor ESTATE-LAB activate") < lines.index("exit-address-family")


ODD = (
    "! by hand\t \r\n"
    "hostname tor1\r\n"
    "router bgp 64901\n"
    "  neighbor 10.20.1.99 remote-as 1   \n"
    "\tneighbor 10.20.1.99 description caf\udce9 \u2028 \x0c\x85 x\n"
    " maximum-paths 8\n"
    "exit\n"
    "ip prefix-list ESTATE-LAB-PODSX seq 5 permit any \n"
    "route-map ESTATE-LABX-IN permit 10\n"
    "exit\n"
    "line vty"
)


def test_lines_of_others_keep_every_byte() -> None:
    merged = merge(ODD, WANTED, PARTS)
    for text in (merged, merge(merged, WANTED, {})):
        kept = iter(text.split("\n"))
        assert all(line in kept for line in ODD.split("\n")), text


@pytest.mark.parametrize(
    ("lines", "paths"),
    [
        ("", None),
        (" address-family ipv4 unicast\n  maximum-paths 1\n exit-address-family\n", 1),
        (" address-family ipv4 unicast\n  maximum-paths ibgp 1\n exit-address-family\n", None),
        (" address-family ipv6 unicast\n  maximum-paths 1\n exit-address-family\n", None),
    ],
)
def test_how_many_equal_paths_the_switch_uses(lines: str, paths: int | None) -> None:
    assert read(f"router bgp 64901\n{lines}exit\n", "lab").maximum_paths == paths
