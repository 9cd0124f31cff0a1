# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import hide
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.objects import wanted_parts, with_former
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.plan import commands, steps_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.text import read
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import refusal

from tests.unit.plugins.module_utils._frr.samples import PARTS, RUNNING, THEIRS, lines_for, targets
from tests.unit.plugins.module_utils._switch.samples import WANTED


def test_what_frr_prints_of_ours_needs_no_change() -> None:
    assert lines_for(RUNNING) == []
    assert targets(RUNNING) == []


def test_a_switch_without_ours_gets_filters_before_neighbours() -> None:
    lines = lines_for(THEIRS)
    assert lines[0] == "ip prefix-list ESTATE-LAB-OUTSIDE seq 5 permit 10.99.0.0/16 le 32"
    router = lines.index("router bgp 64901")
    assert lines.index("route-map ESTATE-LAB-OUT permit 10") < router
    policy = lines.index("  neighbor ESTATE-LAB route-map ESTATE-LAB-OUT out")
    assert policy < lines.index(" neighbor 10.20.1.11 peer-group ESTATE-LAB")
    assert lines[-1] == "exit"


def test_no_line_touches_what_is_not_ours() -> None:
    for text, absent in ((THEIRS, False), (RUNNING, True)):
        for line in lines_for(text, absent=absent):
            words = line.split()
            words = words[1:] if words[0] == "no" else words
            if words[0] == "neighbor":
                assert words[1] in ("ESTATE-LAB", "10.20.1.11", "10.20.1.12"), line
            elif words[0] in ("ip", "route-map"):
                assert "ESTATE-LAB-" in line, line
            else:
                assert line.strip() in (
                    "router bgp 64901",
                    "address-family ipv4 unicast",
                    "exit-address-family",
                    "exit",
                    "match ip address prefix-list ESTATE-LAB-PODS",
                    "match ip address prefix-list ESTATE-LAB-OUTSIDE",
                ), line


def test_absent_removes_ours_in_an_order_that_frr_takes() -> None:
    assert lines_for(RUNNING, absent=True) == [
        "router bgp 64901",
        " no neighbor 10.20.1.11",
        " no neighbor 10.20.1.12",
        " no neighbor ESTATE-LAB peer-group",
        "exit",
        "no route-map ESTATE-LAB-IN permit 10",
        "no route-map ESTATE-LAB-OUT permit 10",
        "no ip prefix-list ESTATE-LAB-OUTSIDE",
        "no ip prefix-list ESTATE-LAB-PODS",
    ]


def test_a_neighbour_that_is_no_longer_wanted_goes_alone() -> None:
    wanted = replace(WANTED, neighbours=WANTED.neighbours[:1])
    assert lines_for(RUNNING, wanted) == ["router bgp 64901", " no neighbor 10.20.1.12", "exit"]


def test_a_former_neighbour_can_stay_until_its_successor_is_up() -> None:
    there = read(RUNNING, "lab")
    moved = replace(WANTED, neighbours=(replace(WANTED.neighbours[0], address=IPv4Address("10.20.1.13")),))
    kept = with_former(wanted_parts(moved), there)
    lines = commands(there, moved, kept)
    assert " neighbor 10.20.1.13 remote-as 64512" in lines
    assert not [line for line in lines if line.split()[0] == "no"]
    assert with_former({}, there) == there.parts
    assert with_former(PARTS, there) == PARTS


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("timers 10 30", "timers 5 15", [" neighbor ESTATE-LAB timers 10 30"]),
        (" neighbor ESTATE-LAB timers connect 10\n", "", [" neighbor ESTATE-LAB timers connect 10"]),
        ("10.20.1.12 remote-as 64512", "10.20.1.12 remote-as 7", [" neighbor 10.20.1.12 remote-as 64512"]),
        (
            "10.20.1.12 ebgp-multihop 2\n",
            "10.20.1.12 ebgp-multihop 2\n neighbor 10.20.1.12 shutdown\n neighbor 10.20.1.12 bfd\n",
            [" no neighbor 10.20.1.12 shutdown", " no neighbor 10.20.1.12 bfd"],
        ),
        (
            "  neighbor ESTATE-LAB route-map ESTATE-LAB-OUT out\n",
            "  neighbor 10.20.1.11 weight 5\n",
            [
                " address-family ipv4 unicast",
                "  neighbor ESTATE-LAB route-map ESTATE-LAB-OUT out",
                "  no neighbor 10.20.1.11 weight 5",
                " exit-address-family",
            ],
        ),
        (
            "  neighbor ESTATE-LAB soft-reconfiguration inbound\n",
            "  no neighbor ESTATE-LAB activate\n  neighbor ESTATE-LAB soft-reconfiguration inbound\n",
            [" address-family ipv4 unicast", "  neighbor ESTATE-LAB activate", " exit-address-family"],
        ),
    ],
)
def test_drift_of_a_neighbour_is_put_right_by_the_fewest_lines(old: str, new: str, expected: list[str]) -> None:
    assert old in RUNNING
    assert lines_for(RUNNING.replace(old, new)) == ["router bgp 64901", *expected, "exit"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "ip prefix-list ESTATE-LAB-PODS seq 5 permit 10.21.0.0/16 ge 26 le 32\n",
            "ip prefix-list ESTATE-LAB-PODS seq 5 permit any\nip prefix-list ESTATE-LAB-PODS seq 7 permit 10.0.0.0/8\n",
            [
                "ip prefix-list ESTATE-LAB-PODS seq 5 permit 10.21.0.0/16 ge 26 le 32",
                "no ip prefix-list ESTATE-LAB-PODS seq 7 permit 10.0.0.0/8",
            ],
        ),
        (
            "route-map ESTATE-LAB-IN permit 10\n match ip address prefix-list ESTATE-LAB-PODS\n",
            "route-map ESTATE-LAB-IN permit 10\n match metric 5\n",
            [
                "route-map ESTATE-LAB-IN permit 10",
                " no match metric 5",
                " match ip address prefix-list ESTATE-LAB-PODS",
                "exit",
            ],
        ),
        (
            "route-map ESTATE-LAB-OUT permit 10\n match ip address prefix-list ESTATE-LAB-OUTSIDE\n",
            "route-map ESTATE-LAB-OUT deny 10\n",
            [
                "route-map ESTATE-LAB-OUT permit 10",
                " match ip address prefix-list ESTATE-LAB-OUTSIDE",
                "exit",
            ],
        ),
        (
            "route-map ESTATE-LAB-OUT permit 10\n",
            "route-map ESTATE-LAB-OUT permit 20\nexit\nroute-map ESTATE-LAB-OUT permit 10\n",
            ["no route-map ESTATE-LAB-OUT permit 20"],
        ),
    ],
)
def test_drift_of_a_filter_is_put_right(old: str, new: str, expected: list[str]) -> None:
    assert old in RUNNING
    assert lines_for(RUNNING.replace(old, new)) == expected


def test_activation_is_compared_only_where_frr_prints_it() -> None:
    explicit = RUNNING.replace(" bgp router-id", " no bgp default ipv4-unicast\n bgp router-id")
    assert "  neighbor ESTATE-LAB activate" in lines_for(explicit)
    printed = explicit.replace(
        "  neighbor ESTATE-LAB soft", "  neighbor ESTATE-LAB activate\n  neighbor ESTATE-LAB soft"
    )
    assert lines_for(printed) == []


def test_with_nothing_to_export_nodes_are_told_nothing() -> None:
    wanted = replace(WANTED, exports=())
    assert lines_for(RUNNING, wanted) == ["ip prefix-list ESTATE-LAB-OUTSIDE seq 5 deny any"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            RUNNING.replace("router bgp 64901", "router bgp 65000"),
            "runs router bgp 65000, but the inventory says AS 64901.*switch_bgp_router_as: 65000",
        ),
        (RUNNING.replace(" neighbor 10.20.1.12 peer-group ESTATE-LAB\n", ""), "10.20.1.12 is configured outside"),
        (RUNNING, ""),
        ("", ""),
        (RUNNING.replace("router bgp 64901", "router bgp 65000 vrf RED"), ""),
    ],
)
def test_a_switch_that_is_not_as_declared_is_refused(text: str, said: str) -> None:
    there = read(text, "lab")
    refused = refusal(WANTED, there.as_number, there.foreign)
    assert re.search(said, refused) if said else refused == ""


def test_passwords_are_in_the_lines_and_in_nothing_a_person_sees() -> None:
    configuration = read(THEIRS, "lab")
    steps = steps_of(configuration, WANTED, PARTS)
    assert not any("s3cret" in step.before + step.after + step.reason for step in steps)
    assert " neighbor 10.20.1.11 password s3cret" in lines_for(THEIRS)
    assert hide("line 7: error: neighbor 10.20.1.11 password s3cret x") == (
        "line 7: error: neighbor 10.20.1.11 password <hidden>"
    )


def test_a_change_that_resets_a_session_says_so() -> None:
    changed = read(RUNNING.replace("password s3cret", "password old"), "lab")
    (step,) = steps_of(changed, WANTED, PARTS)
    assert "password changes, which resets the session" in step.reason
    grouped = read(
        RUNNING.replace(" neighbor SPINE peer", " neighbor ESTATE-LAB shutdown\n neighbor SPINE peer"), "lab"
    )
    (step,) = steps_of(grouped, WANTED, PARTS)
    assert "shutdown changes, which resets all sessions" in step.reason
    described = read(RUNNING.replace("description cp1", "description x"), "lab")
    (step,) = steps_of(described, WANTED, PARTS)
    assert "resets" not in step.reason
