# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The texts are what FRR 8.4.4 printed after it had loaded what is wanted here."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _frr

THEIRS = """\
Building configuration...

Current configuration:
!
frr version 8.4.4
frr defaults traditional
hostname tor1
service integrated-vtysh-config
!
router bgp 64901
 bgp router-id 10.20.1.1
 neighbor SPINE peer-group
 neighbor 10.20.1.99 remote-as 64999
 neighbor 10.20.1.99 description someone else
 !
 address-family ipv4 unicast
  network 10.20.1.0/24
  neighbor 10.20.1.99 route-map ALL in
 exit-address-family
exit
!
ip prefix-list OTHERS seq 5 permit 10.0.0.0/8
!
route-map ALL permit 10
exit
!
end
"""

RUNNING = """\
Building configuration...

Current configuration:
!
frr version 8.4.4
frr defaults traditional
hostname tor1
service integrated-vtysh-config
!
router bgp 64901
 bgp router-id 10.20.1.1
 neighbor ESTATE-LAB peer-group
 neighbor ESTATE-LAB timers 10 30
 neighbor ESTATE-LAB timers connect 10
 neighbor SPINE peer-group
 neighbor 10.20.1.11 remote-as 64512
 neighbor 10.20.1.11 peer-group ESTATE-LAB
 neighbor 10.20.1.11 description cp1
 neighbor 10.20.1.11 password s3cret
 neighbor 10.20.1.11 ebgp-multihop 2
 neighbor 10.20.1.12 remote-as 64512
 neighbor 10.20.1.12 peer-group ESTATE-LAB
 neighbor 10.20.1.12 ebgp-multihop 2
 neighbor 10.20.1.99 remote-as 64999
 neighbor 10.20.1.99 description someone else
 !
 address-family ipv4 unicast
  network 10.20.1.0/24
  neighbor ESTATE-LAB soft-reconfiguration inbound
  neighbor ESTATE-LAB maximum-prefix 2000 80 restart 5
  neighbor ESTATE-LAB route-map ESTATE-LAB-IN in
  neighbor ESTATE-LAB route-map ESTATE-LAB-OUT out
  neighbor 10.20.1.99 route-map ALL in
 exit-address-family
exit
!
ip prefix-list OTHERS seq 5 permit 10.0.0.0/8
ip prefix-list ESTATE-LAB-OUTSIDE seq 5 permit 10.99.0.0/16 le 32
ip prefix-list ESTATE-LAB-PODS seq 5 permit 10.21.0.0/16 ge 26 le 32
!
route-map ALL permit 10
exit
!
route-map ESTATE-LAB-IN permit 10
 match ip address prefix-list ESTATE-LAB-PODS
exit
!
route-map ESTATE-LAB-OUT permit 10
 match ip address prefix-list ESTATE-LAB-OUTSIDE
exit
!
end
"""

OPTIONS: dict[str, Any] = {
    "estate": "lab",
    "as_number": 64901,
    "neighbours": [
        {"address": "10.20.1.11", "remote_as": 64512, "description": "cp1", "password": "s3cret"},
        {"address": "10.20.1.12", "remote_as": 64512},
    ],
    "import_prefixes": [{"prefix": "10.21.0.0/16", "ge": 26, "le": 32}],
    "export_prefixes": [{"prefix": "10.99.0.0/16", "le": 32}],
}
WANTED = _frr.wanted_of(OPTIONS)
PARTS = _frr.wanted_parts(WANTED)


def options(**changes: Any) -> dict[str, Any]:
    return {**OPTIONS, **changes}


def lines_for(text: str, wanted: _frr.Wanted = WANTED, absent: bool = False) -> list[str]:
    parts = {} if absent else _frr.wanted_parts(wanted)
    return _frr.commands(_frr.read(text, wanted.estate), wanted, parts)


def targets(text: str, wanted: _frr.Wanted = WANTED) -> list[str]:
    steps = _frr.steps_of(_frr.read(text, wanted.estate), wanted, _frr.wanted_parts(wanted))
    return [f"{step.action} {step.target}" for step in steps]


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
    there = _frr.read(RUNNING, "lab")
    moved = replace(WANTED, neighbours=(replace(WANTED.neighbours[0], address=IPv4Address("10.20.1.13")),))
    kept = _frr.with_former(_frr.wanted_parts(moved), there)
    lines = _frr.commands(there, moved, kept)
    assert " neighbor 10.20.1.13 remote-as 64512" in lines
    assert not [line for line in lines if line.split()[0] == "no"]
    assert _frr.with_former({}, there) == there.parts
    assert _frr.with_former(PARTS, there) == PARTS


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


def test_without_neighbours_there_is_nothing_of_ours() -> None:
    assert _frr.wanted_parts(replace(WANTED, neighbours=())) == {}


def test_estates_whose_names_begin_alike_keep_apart() -> None:
    both = _frr.merge(RUNNING, other := replace(WANTED, estate="lab-in"), _frr.wanted_parts(other))
    # The address is in one group only, so the other estate gets its own.
    assert _frr.read(both, "lab-in").parts.keys() >= {("peer-group", "ESTATE-LAB-IN")}
    assert ("route-map", "ESTATE-LAB-IN permit 10") in _frr.read(both, "lab").parts
    assert ("route-map", "ESTATE-LAB-IN-IN permit 10") not in _frr.read(both, "lab").parts
    left = _frr.merge(both, WANTED, {})
    assert "neighbor ESTATE-LAB-IN peer-group" in left
    assert "route-map ESTATE-LAB-IN-IN permit 10" in left
    assert "neighbor ESTATE-LAB peer-group" not in left


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            RUNNING.replace("router bgp 64901", "router bgp 65000"),
            "runs router bgp 65000, but the inventory says AS 64901",
        ),
        (RUNNING.replace(" neighbor 10.20.1.12 peer-group ESTATE-LAB\n", ""), "10.20.1.12 is configured outside"),
        (RUNNING, ""),
        ("", ""),
        (RUNNING.replace("router bgp 64901", "router bgp 65000 vrf RED"), ""),
    ],
)
def test_a_switch_that_is_not_as_declared_is_refused(text: str, said: str) -> None:
    refused = _frr.refusal(_frr.read(text, "lab"), WANTED)
    assert said in refused if said else refused == ""


def test_another_vrf_is_not_ours() -> None:
    vrf = RUNNING.replace("router bgp 64901", "router bgp 64901 vrf RED")
    assert {part.kind for part in _frr.read(vrf, "lab").parts.values()} == {"prefix-list", "route-map"}
    assert _frr.read(vrf, "lab").as_number is None


def test_a_switch_without_bgp_gets_a_router() -> None:
    text = "frr version 8.4.4\nhostname tor1\n!\nend\n"
    assert targets(text)[0] == "create router bgp 64901"
    merged = _frr.merge(text, WANTED, PARTS)
    assert targets(merged) == []
    assert merged.startswith("frr version 8.4.4\nhostname tor1\n!\nrouter bgp 64901\n")
    assert merged.endswith("!\nend\n")
    assert targets(_frr.merge("", WANTED, PARTS)) == []


MINIMAL = "hostname tor1\nrouter bgp 64901\n bgp router-id 10.20.1.1\n"
FLAT = (
    "hostname tor1\nrouter bgp 64901\nneighbor 10.20.1.99 remote-as 1\naddress-family ipv4 unicast\n"
    "network 10.20.1.0/24\nexit-address-family\nexit\nroute-map ALL permit 10\nset metric 5\nline vty\n"
)


@pytest.mark.parametrize("text", [THEIRS, RUNNING, MINIMAL, FLAT, "# only a comment\n"])
def test_merging_is_complete_keeps_the_rest_and_does_nothing_twice(text: str) -> None:
    merged = _frr.merge(text, WANTED, PARTS)
    assert targets(merged) == []
    assert _frr.merge(merged, WANTED, PARTS) == merged
    theirs = [line for line in _frr.merge(text, WANTED, {}).splitlines() if line.strip() not in ("", "!")]
    kept = iter(merged.splitlines())
    assert all(line in kept for line in theirs), "a line of others is gone, or they changed places"


def test_taking_ours_away_leaves_what_was_there() -> None:
    without = _frr.merge(_frr.merge(THEIRS, WANTED, PARTS), WANTED, {})
    said = [line for line in THEIRS.splitlines() if line.strip("! ") and line not in ("Building configuration...",)]
    assert [line for line in without.splitlines() if line.strip("! ")] == [
        line for line in said if line != "Current configuration:"
    ]


def test_neighbours_stand_in_the_router_before_its_address_families() -> None:
    lines = _frr.merge(FLAT, WANTED, PARTS).splitlines()
    assert lines.index("router bgp 64901") < lines.index(" neighbor 10.20.1.11 remote-as 64512")
    assert lines.index(" neighbor 10.20.1.12 ebgp-multihop 2") < lines.index("address-family ipv4 unicast")
    assert lines.index("  neighbor ESTATE-LAB activate") < lines.index("exit-address-family")


def test_passwords_are_in_the_lines_and_in_nothing_a_person_sees() -> None:
    configuration = _frr.read(THEIRS, "lab")
    steps = _frr.steps_of(configuration, WANTED, PARTS)
    assert not any("s3cret" in step.before + step.after + step.reason for step in steps)
    assert " neighbor 10.20.1.11 password s3cret" in lines_for(THEIRS)
    assert _frr.hide("line 7: error: neighbor 10.20.1.11 password s3cret x") == (
        "line 7: error: neighbor 10.20.1.11 password <hidden>"
    )


def test_a_change_that_resets_a_session_says_so() -> None:
    changed = _frr.read(RUNNING.replace("password s3cret", "password old"), "lab")
    (step,) = _frr.steps_of(changed, WANTED, PARTS)
    assert "password changes, which resets the session" in step.reason
    described = _frr.read(RUNNING.replace("description cp1", "description x"), "lab")
    (step,) = _frr.steps_of(described, WANTED, PARTS)
    assert "resets" not in step.reason


def test_reflectors_of_the_switchs_own_as_need_no_multihop() -> None:
    wanted = _frr.wanted_of(options(as_number=64512))
    assert not [line for line in lines_for("", wanted) if "multihop" in line]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"estate": "Lab"}, "estate"),
        ({"estate": "lab\n"}, "estate"),
        ({"as_number": 0}, "as_number"),
        ({"neighbours": [{"address": "10.20.1.300", "remote_as": 1}]}, "10.20.1.300"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 4294967296}]}, "remote_as of 10.20.1.11"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1, "multihop": 256}]}, "multihop of 10.20.1.11"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1}] * 2}, "10.20.1.11 is there twice"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1, "description": "a\nshutdown"}]}, "description"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1, "password": "a\nb"}]}, "password"),
        (
            {"neighbours": [{"address": "10.20.1.11", "remote_as": 64901}, {"address": "10.20.1.12", "remote_as": 1}]},
            "only one kind",
        ),
        ({"import_prefixes": [{"prefix": "10.21.0.1/16"}]}, "import_prefixes"),
        ({"import_prefixes": [{"prefix": "10.21.0.0/16", "ge": 8}]}, "between 16 and 32"),
        ({"import_prefixes": [{"prefix": "10.21.0.0/16", "ge": 28, "le": 26}]}, "Swap"),
        ({"export_prefixes": [{"prefix": "0.0.0.0/0"}]}, "holds the node address 10.20.1.11"),
        ({"export_prefixes": [{"prefix": "10.20.0.0/16"}]}, "holds the node address"),
        ({"timers": {"keepalive": 10, "hold": 29}}, "three keepalives"),
        ({"max_prefix": -1}, "max_prefix"),
    ],
)
def test_what_cannot_work_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(_frr.FrrError, match=said):
        _frr.wanted_of(options(**changes))


def test_a_password_is_never_in_a_refusal() -> None:
    with pytest.raises(_frr.FrrError) as refused:
        _frr.wanted_of(options(neighbours=[{"address": "10.20.1.11", "remote_as": 1, "password": "s3\ncret"}]))
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (_frr._prefix("o", {"prefix": "10.21.0.0/26", "ge": 26, "le": 32}), "10.21.0.0/26 le 32"),
        (_frr._prefix("o", {"prefix": "10.21.0.1/32", "le": 32}), "10.21.0.1/32"),
        (_frr._prefix("o", {"prefix": "10.21.0.0/16"}), "10.21.0.0/16"),
    ],
)
def test_a_prefix_is_written_as_frr_prints_it(prefix: _frr.Prefix, expected: str) -> None:
    assert str(prefix) == expected


SUMMARY = '{"peers": {"10.20.1.11": {"state": "Established", "pfxRcd": 2, "peerUptimeMsec": 41000, "remoteAs": 64512}}}'


@pytest.mark.parametrize(
    ("summary", "states"),
    [
        (SUMMARY, ["Established", "Missing"]),
        ("{}", ["Missing", "Missing"]),
        ("", ["Missing", "Missing"]),
        ("% BGP instance not found", ["Missing", "Missing"]),
    ],
)
def test_sessions_are_read_from_the_summary(summary: str, states: list[str]) -> None:
    assert [session.state for session in _frr.sessions_of(summary, WANTED)] == states


def test_an_established_session_has_its_prefixes_and_age() -> None:
    first = _frr.sessions_of(SUMMARY, WANTED)[0]
    assert (first.established, first.prefixes_received, first.uptime) == (True, 2, 41.0)
