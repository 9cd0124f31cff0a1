# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs no kernel; the rest is tests/integration/test_line.py."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _tc
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, Ran
from ansible_collections.hybridk8s.estate.plugins.module_utils._tc import (
    ControlRule,
    Counters,
    Device,
    Facts,
    Filter,
    HtbClass,
    Interface,
    Limit,
    parse_classes,
    parse_filters,
    parse_limit,
    plan,
    plan_removal,
)

OPTIONS: dict[str, Any] = {"prefixes": ["10.40.0.0/16"], "limit_mbit": 100, "control_mbit": 10}
LIMIT = parse_limit(OPTIONS)
DEFAULT = {"dst": "default", "gateway": "172.20.16.253", "dev": "eth0", "flags": []}

# As iproute2 6.1 prints them.
CLASSES = """\
class htb 1:10 parent 1:1 leaf 10: prio 0 rate 10Mbit ceil 100Mbit burst 30000b cburst 30000b
 Sent 24940 bytes 102 pkt (dropped 0, overlimits 0 requeues 0)
 backlog 0b 0p requeues 0

class htb 1:1 root rate 100Mbit ceil 100Mbit burst 1600b cburst 1600b
 Sent 65323812 bytes 43248 pkt (dropped 0, overlimits 0 requeues 0)

class htb 1:20 parent 1:1 leaf 20: prio 1 rate 1500Kbit ceil 2Gbit burst 1586b cburst 1600b
 Sent 65298872 bytes 43146 pkt (dropped 782, overlimits 0 requeues 0)

"""
FILTERS = """[
{"protocol":"ip","pref":10,"kind":"u32","chain":0},
{"protocol":"ip","pref":10,"kind":"u32","chain":0,"options":{"fh":"800:","ht_divisor":1}},
{"protocol":"ip","pref":10,"kind":"u32","chain":0,"options":{"fh":"800::800","order":2048,"key_ht":"800","bkt":"0",
 "flowid":"1:10","not_in_hw":true,"match":{"value":"60000","mask":"ff0000","offmask":"","off":8},
 "match":{"value":"192b","mask":"ffff","offmask":"","off":20}}},
{"protocol":"ip","pref":10,"kind":"u32","chain":0,"options":{"fh":"800::801","order":2049,"key_ht":"800","bkt":"0",
 "not_in_hw":true,"match":{"value":"a280000","mask":"ffff0000","offmask":"","off":16},"actions":[{"order":1,
 "kind":"mirred","mirred_action":"redirect","direction":"egress","to_dev":"estate-line","control_action":
 {"type":"stolen"},"index":1,"ref":1,"bind":1}]}},
{"protocol":"all","pref":49152,"kind":"bpf","chain":0,"options":{"handle":"0x1","bpf_name":"x.o"}}]"""


def test_classes_are_read() -> None:
    assert parse_classes(CLASSES) == {
        "1:10": HtbClass(10**7, 10**8, 0),
        "1:1": HtbClass(10**8, 10**8, 0),
        "1:20": HtbClass(1_500_000, 2 * 10**9, 1),
    }


def test_filters_are_read_with_each_of_their_matches() -> None:
    assert parse_filters(FILTERS) == {
        10: (
            Filter(((0x60000, 0xFF0000, 8), (6443, 0xFFFF, 20)), "1:10"),
            Filter(((0x0A280000, 0xFFFF0000, 16),), redirect="estate-line"),
        ),
        49152: (Filter(()),),
    }
    assert parse_filters("") == {}


def test_counters_are_those_of_the_classes_that_packets_are_in() -> None:
    host = Host(run=lambda _argv, _timeout: Ran(0, CLASSES))
    assert _tc.counters(host) == {"control": Counters(24940, 0), "bulk": Counters(65298872, 782)}
    assert _tc.limit_of(host) == 10**8


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (ControlRule("icmp"), ((1 << 16, 0xFF0000, 8),)),
        (ControlRule("udp"), ((17 << 16, 0xFF0000, 8),)),
        (ControlRule("tcp", 6443), ((0, 0x1FFF, 4), (6 << 16, 0xFF0000, 8), (6443, 0xFFFF, 20))),
        (ControlRule("tcp", 0, 22), ((0, 0x1FFF, 4), (6 << 16, 0xFF0000, 8), (22 << 16, 0xFFFF0000, 20))),
        (ControlRule("tcp", 1, 2), ((0, 0x1FFF, 4), (6 << 16, 0xFF0000, 8), (2 << 16 | 1, 0xFFFFFFFF, 20))),
    ],
)
def test_control_traffic_is_known_by_protocol_and_ports(rule: ControlRule, matches: tuple[_tc.Match, ...]) -> None:
    assert rule.matches == matches


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (DEFAULT, ["eth0"]),
        ({**DEFAULT, "dev": "eth1", "table": "1001", "flags": ["onlink"]}, ["eth1"]),
        ({"dst": "10.0.0.0/8", "dev": "eth0"}, ["eth0"]),
        ({"dst": "10.40.3.0/24", "dev": "eth2"}, ["eth2"]),
        ({"dst": "10.40.3.7", "dev": "eth2"}, ["eth2"]),
        ({"dst": "default", "nexthops": [{"dev": "eth0"}, {"dev": "eth3"}]}, ["eth0", "eth3"]),
        ({"dst": "172.20.128.5", "dev": "cali1"}, []),
        ({"dst": "10.41.0.0/16", "dev": "eth0"}, []),
        ({"type": "blackhole", "dst": "10.40.0.0/16"}, []),
        ({"type": "local", "dst": "10.40.0.1", "dev": "lo", "table": "local"}, []),
        ({"dst": "10.40.0.0/16", "dev": "vxlan.calico"}, []),
        ({"dst": "default", "dev": "estate-line"}, []),
    ],
)
def test_an_interface_leads_to_the_line_by_any_table(route: dict[str, Any], expected: list[str]) -> None:
    facts = Facts(routes=(route,), tunnels=frozenset({"vxlan.calico"}))
    assert facts.leading_to(LIMIT) == expected


def test_routes_to_what_is_exempt_lead_elsewhere() -> None:
    limit = parse_limit({**OPTIONS, "prefixes": ["172.16.0.0/12"], "exempt": ["172.20.0.0/16"]})
    pods = {"dst": "172.20.128.5", "dev": "cali1"}
    assert Facts(routes=(DEFAULT, pods)).leading_to(limit) == ["eth0"]


def test_exempt_networks_are_passed_before_the_prefixes_are_taken() -> None:
    limit = parse_limit({**OPTIONS, "prefixes": ["172.16.0.0/12"], "exempt": ["172.20.0.0/16"]})
    assert [each.arguments for each in limit.redirects] == [
        ("match", "u32", "0xac140000", "0xffff0000", "at", "16", "flowid", "ffff:1"),
        (
            *("match", "u32", "0xac100000", "0xfff00000", "at", "16"),
            *("action", "mirred", "egress", "redirect", "dev", "estate-line"),
        ),
    ]


def test_nothing_is_handed_to_the_device_before_it_can_give_it_back() -> None:
    made = plan(LIMIT, Facts(routes=(DEFAULT,)))
    targets = [step.target for step in made.steps]
    assert targets[0] == "estate-line"
    assert targets[-1] == "eth0 way to the line"
    assert all(target.startswith("estate-line") for target in targets[:-2])


def test_taking_it_off_begins_at_the_interfaces() -> None:
    interfaces = {"eth0": Interface("clsact", {10: LIMIT.redirects}), "eth1": Interface("clsact", {11: (Filter(()),)})}
    made = plan_removal(Facts(Device("ifb", True), interfaces), ["eth0"])
    assert [step.target for step in made.steps] == [
        *("eth0 way to the line", "eth0 clsact", "eth1 way to the line", "estate-line"),
    ]


@pytest.mark.parametrize(
    "interface",
    [
        Interface("clsact", {10: LIMIT.redirects, 49152: (Filter(()),)}),
        Interface("clsact", {10: LIMIT.redirects}, incoming=True),
    ],
)
def test_a_qdisc_that_others_use_by_now_stays(interface: Interface) -> None:
    made = plan_removal(Facts(interfaces={"eth0": interface}), ["eth0"])
    assert [step.target for step in made.steps] == ["eth0 way to the line"]


def test_filters_are_replaced_by_their_successors_with_none_missing() -> None:
    stale = Interface("clsact", {10: (Filter(((0, 0, 16),), redirect="estate-line"),)})
    change = plan(LIMIT, Facts(routes=(DEFAULT,), interfaces={"eth0": stale})).changes[-1]
    assert [(command[2], command[-1] if "del" in command else command[9]) for command in change.commands] == [
        ("add", "11"),
        ("del", "10"),
    ]


def test_filters_of_others_that_come_first_are_warned_of() -> None:
    cilium = Interface("clsact", {1: (Filter(()),), 10: LIMIT.redirects})
    assert plan(LIMIT, Facts(routes=(DEFAULT,), interfaces={"eth0": cilium})).warnings == (
        "eth0 has filters of others at preference 1, before those of the limit: what they let pass is not limited.",
    )


def test_a_device_of_that_name_that_is_another_is_refused() -> None:
    made = plan(LIMIT, Facts(Device("bridge"), routes=(DEFAULT,)))
    assert [finding.code for finding in made.findings] == ["line-device"]


def test_a_host_with_no_way_to_the_line_is_told() -> None:
    assert [finding.code for finding in plan(LIMIT, Facts()).findings] == [_tc.NO_WAY]


@pytest.mark.parametrize(
    ("changes", "variable", "said"),
    [
        ({"prefixes": []}, "prefixes", "no network"),
        ({"prefixes": ["10.40.1.1/16"]}, "prefixes", "host bits"),
        ({"prefixes": ["fd00::/8"]}, "prefixes", "IPv4"),
        ({"limit_mbit": 0}, "limit_mbit", "no limit"),
        ({"control_mbit": 100}, "control_mbit", "100 of 100"),
        ({"control_mbit": 0}, "control_mbit", "0 of 100"),
        ({"exempt": ["10.0.0.0/8"]}, "exempt", "all of 10.40.0.0/16"),
        ({"control": [{"protocol": "sctp"}]}, "control[0]", "not known"),
        ({"control": [{"protocol": "icmp", "to_port": 1}]}, "control[0]", "no ports"),
        ({"control": [{"protocol": "tcp", "to_port": 70000}]}, "control[0]", "no port"),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(changes: dict[str, Any], variable: str, said: str) -> None:
    with pytest.raises(HostError) as caught:
        parse_limit({**OPTIONS, **changes})
    assert any(f.variable == variable and said in f.message + f.remedy for f in caught.value.findings)


def test_the_classes_share_the_limit() -> None:
    limit = Limit((IPv4Network("10.0.0.0/8"),), 200, 10)
    assert limit.classes == {
        "1:1": HtbClass(200_000_000, 200_000_000),
        "1:10": HtbClass(10_000_000, 200_000_000, 0),
        "1:20": HtbClass(190_000_000, 200_000_000, 1),
    }


@pytest.mark.parametrize("out", ["class htb", "Option -j is unknown"])
def test_an_iproute2_that_cannot_tell_is_refused(out: str) -> None:
    with pytest.raises(HostError, match=r"line-unreadable.*install iproute2"):
        _tc.observe(Host(run=lambda _argv, _timeout: Ran(0, out)))
