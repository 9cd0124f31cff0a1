# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.filter.line_usage import line_usage
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, Ran
from ansible_collections.hybridk8s.estate.plugins.module_utils._line import Usage, measure

CLASS = "class htb {} parent 1:1 prio 0 rate 10Mbit ceil 100Mbit\n Sent {} bytes 1 pkt (dropped {}, overlimits 0)\n\n"
TOTAL = "class htb 1:1 root rate 100Mbit ceil 100Mbit\n Sent 0 bytes 0 pkt (dropped 0, overlimits 0)\n\n"


def counted(control: int, bulk: int, dropped: int = 0) -> str:
    return TOTAL + CLASS.format("1:10", control, 0) + CLASS.format("1:20", bulk, dropped)


def host(*answers: str) -> Host:
    said = iter(answers)
    return Host(run=lambda _argv, _timeout: Ran(0, next(said)))


def test_a_usage_is_what_was_sent_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    usage = measure(host(counted(1000, 0), TOTAL, counted(251_000, 20_000_000, 7)), 0.0)
    assert usage == Usage({"control": 1.0, "bulk": 80.0}, 7, 100.0)
    assert usage.as_dict() == {
        "mbit": 81.0,
        "classes": {"control": 1.0, "bulk": 80.0},
        "dropped": 7,
        "limit_mbit": 100.0,
        "share": 0.81,
    }


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (("", ""), "is not there"),
        ((counted(5, 5), TOTAL, counted(0, 0)), "made anew"),
        ((counted(5, 5), TOTAL, ""), "made anew"),
    ],
)
def test_without_a_limit_nothing_is_measured(answers: tuple[str, ...], said: str) -> None:
    with pytest.raises(HostError, match=f"{said}.*Remedy: apply the role egress_limit"):
        measure(host(*answers), 0.0)


def seen(mbit: float) -> dict[str, Any]:
    return {"line_seen": {"mbit": mbit, "changed": False}}


def test_the_sum_names_those_who_send_most_and_those_who_are_not_known() -> None:
    hostvars = {
        "vm1": seen(10),
        "vm2": seen(700),
        "vm3": seen(100),
        "vm4": seen(90),
        "vm5": {},
        "vm6": {"line_seen": {"failed": True, "msg": "no"}},
    }
    usage = line_usage(hostvars, list(hostvars), "line_seen", 1000)
    assert usage == {
        "mbit": 900.0,
        "capacity_mbit": 1000.0,
        "share": 0.9,
        "warning": True,
        "hosts": {"vm2": 700.0, "vm3": 100.0, "vm4": 90.0, "vm1": 10.0},
        "unknown": ["vm5", "vm6"],
        "message": "The line carries 900.0 of 1000 Mbit/s (90%); most by vm2 700.0, vm3 100.0, vm4 90.0. "
        "Too much, from 80% on: lower limit_mbit, or send less. Not known of: vm5, vm6.",
    }


def test_below_the_share_there_is_no_warning() -> None:
    usage = line_usage({"vm1": seen(79)}, ["vm1"], "line_seen", 100, 0.8)
    assert usage["warning"] is False
    assert line_usage({"vm1": seen(80)}, ["vm1"], "line_seen", 100, 0.8)["warning"] is True


def test_a_line_that_carries_nothing_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="write more than 0"):
        line_usage({}, [], "line_seen", 0)
