# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every finding on a VM: one that has it, planted, and one that has not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway import host
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.host import Limits, Rule, Seen, Wanted

POD = "172.20.128.7"
WANTED = Wanted(
    "cn-shenzhen",
    {"cn-shenzhen-d": ["vsw-p1"]},
    "NodeRole",
    {"ecs.g7.xlarge": Limits(4, 15), "ecs.t1.small": Limits(1, 6)},
)
METADATA = {
    "region": "cn-shenzhen",
    "zone": "cn-shenzhen-d",
    "instance": "i-1",
    "instance_type": "ecs.g7.xlarge",
    "vswitch": "vsw-n1",
    "mac": "00:16:3e:00:00:01",
}
FRESH = Seen(
    kernel="5.10.134-16.al8.x86_64",
    programs=frozenset({"loopback", "portmap"}),
    configurations=(),
    metadata=METADATA,
    ram_roles=("NodeRole",),
    default_mac="00:16:3e:00:00:01",
)
RUNNING = replace(
    FRESH,
    configurations=(host.OURS,),
    listens=True,
    terway_runs=True,
    rules=(Rule(0, "", "", "local"), Rule(512, "", POD, "main"), Rule(2048, POD, "", "1003")),
    tables={"1003": ("default",)},
)


def said(**metadata: str) -> dict[str, Any]:
    return {"metadata": {**METADATA, **metadata}}


PLANTED = [
    ("TW101-kernel-too-old", {"kernel": "5.4.0-generic"}),
    ("TW101-kernel-too-old", {"kernel": "4.19.91"}),
    ("TW102-no-cni-program", {"programs": frozenset({"terway", "portmap"})}),
    ("TW102-no-cni-program", {"programs": frozenset()}),
    ("TW103-other-cni-configuration", {"configurations": ("10-calico.conflist", host.OURS)}),
    ("TW103-other-cni-configuration", {"configurations": ("87-podman-bridge.conflist",)}),
    ("TW104-metadata-silent", {"silent": {"api/token": "connection refused"}, "metadata": {}}),
    ("TW105-other-region", said(region="cn-beijing")),
    ("TW106-zone-without-pod-vswitch", said(zone="cn-shenzhen-e")),
    ("TW107-default-route-elsewhere", {"default_mac": "00:16:3e:00:00:02"}),
    ("TW108-other-ram-role", {"ram_roles": ()}),
    ("TW108-other-ram-role", {"ram_roles": ("Other",)}),
    ("TW109-type-without-pods", said(instance_type="ecs.t1.small")),
    ("TW110-port-taken", {"listens": True}),
]


def codes(findings: list[host.Finding]) -> list[str]:
    return [finding.code for finding in findings]


@pytest.mark.parametrize("seen", [FRESH, RUNNING, replace(FRESH, kernel="6.18.0-1"), replace(FRESH, default_mac="")])
def test_a_good_vm_has_no_finding(seen: Seen) -> None:
    assert host.before(seen, WANTED) == []


@pytest.mark.parametrize(("code", "planted"), PLANTED, ids=[f"{code}:{next(iter(p))}" for code, p in PLANTED])
def test_what_is_planted_is_found_and_nothing_else(code: str, planted: dict[str, Any]) -> None:
    findings = host.before(replace(FRESH, **planted), WANTED)
    assert codes(findings) == [code]
    assert findings[0].remedy.endswith(".")


def test_all_is_said_at_once() -> None:
    planted = replace(FRESH, kernel="4.4.0", programs=frozenset(), ram_roles=(), **said(zone="cn-shenzhen-x"))
    assert codes(host.before(planted, WANTED)) == [
        "TW101-kernel-too-old",
        "TW102-no-cni-program",
        "TW106-zone-without-pod-vswitch",
        "TW108-other-ram-role",
    ]


def test_any_role_will_do_where_none_is_named() -> None:
    assert host.before(FRESH, replace(WANTED, ram_role="")) == []


def test_the_kubelet_takes_as_many_pods_as_there_are_addresses() -> None:
    assert host.max_pods(FRESH, WANTED, 5) == 50, "3 interfaces of 15 addresses, and 5 on the host's network"
    assert host.max_pods(replace(FRESH, **said(instance_type="ecs.new.large")), WANTED, 5) is None


def test_what_terway_made_is_in_order() -> None:
    assert host.after(RUNNING, [POD]) == []


@pytest.mark.parametrize(
    ("code", "planted", "words"),
    [
        ("TW201-not-terway-s-network", {"configurations": ()}, "it is not there"),
        ("TW201-not-terway-s-network", {"configurations": ("05-x.conf", host.OURS)}, "containerd takes 05-x.conf"),
        ("TW202-pod-without-route", {"rules": RUNNING.rules[:2]}, "there is not: the rule from it."),
        ("TW202-pod-without-route", {"rules": RUNNING.rules[2:]}, "there is not: the rule to it."),
        ("TW202-pod-without-route", {"tables": {"1003": ("10.0.0.0/8",)}}, "a default route in table 1003"),
    ],
)
def test_what_terway_did_not_make_is_found(code: str, planted: dict[str, Any], words: str) -> None:
    (finding,) = host.after(replace(RUNNING, **planted), [POD])
    assert finding.code == code
    assert words in finding.message


def test_each_pod_is_judged() -> None:
    other = "172.20.128.8"
    assert [finding.variable for finding in host.after(RUNNING, [POD, other])] == [other]
