# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _host_units as units
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError, Ran
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_units import (
    UnitFact,
    UnitRecord,
    UnitWanted,
    Watched,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

from tests.unit.plugins.module_utils.host_fake import FakeUnit, Machine

UP = UnitFact("loaded", "active", "running", "enabled", "notify", False, False, active_since=100.0)
DOWN = replace(UP, active="inactive", sub="dead", active_since=0.0)
SAME = Watched({"/etc/a": "1"}, changed_at=50.0)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def plan(
    fact: UnitFact,
    record: UnitRecord | None = None,
    watched: Watched = SAME,
    changed: tuple[str, ...] = (),
    check: bool = False,
    **wanted: Any,
) -> units.UnitPlan:
    unit = UnitWanted("a.service", "units[0]", **wanted)
    return units.plan([unit], {unit.name: fact}, {unit.name: record}, {unit.name: watched}, changed, check)


def all_steps(made: units.UnitPlan) -> tuple[Step, ...]:
    return (*made.before, *made.after, *made.up)


def steps(made: units.UnitPlan) -> list[tuple[str, str]]:
    return [(step.action, step.reason) for step in all_steps(made)]


class TestPlan:
    @pytest.mark.parametrize(
        ("fact", "wanted", "expected"),
        [
            (UP, {"state": "started", "enabled": True}, []),
            (UP, {}, []),
            (DOWN, {}, []),
            (DOWN, {"state": "started"}, [("start", "is inactive")]),
            (replace(DOWN, active="failed"), {"state": "started"}, [("start", "is failed")]),
            (
                replace(DOWN, active="activating", sub="auto-restart"),
                {"state": "started"},
                [("start", "is activating (auto-restart)")],
            ),
            (replace(DOWN, active="activating", sub="start"), {"state": "started"}, []),
            (UP, {"state": "stopped"}, [("stop", "is active")]),
            (DOWN, {"state": "stopped"}, []),
            (replace(DOWN, active="failed"), {"state": "stopped"}, []),
            (replace(DOWN, file_state="disabled"), {"enabled": True}, [("enable", "is disabled")]),
            (replace(DOWN, file_state="enabled-runtime"), {"enabled": True}, [("enable", "is enabled-runtime")]),
            (replace(DOWN, file_state="indirect"), {"enabled": True}, []),
            (DOWN, {"enabled": False}, [("disable", "is enabled")]),
            (replace(DOWN, file_state="static"), {"enabled": False}, []),
            (
                replace(DOWN, load="not-found", file_state="", active="inactive"),
                {"enabled": False, "state": "stopped"},
                [],
            ),
            (
                replace(UP, need_reload=True),
                {"state": "started"},
                [("reload", "unit files on disk are newer: a.service")],
            ),
        ],
    )
    def test_state_and_enablement(
        self, fact: UnitFact, wanted: dict[str, Any], expected: list[tuple[str, str]]
    ) -> None:
        made = plan(fact, **wanted)
        assert steps(made) == expected
        assert made.findings == ()

    @pytest.mark.parametrize("state", ["started", "unmanaged"])
    @pytest.mark.parametrize(
        ("record", "watched", "changed", "reason"),
        [
            (UnitRecord({"/etc/a": "1"}, False), SAME, (), ""),
            (UnitRecord({"/etc/a": "0"}, False), SAME, (), "changed: /etc/a"),
            (UnitRecord({"/etc/a": "1", "/etc/b": "2"}, False), SAME, (), "changed: /etc/b"),
            (UnitRecord({}, False), SAME, (), "changed: /etc/a"),
            (
                UnitRecord({"/etc/a": "1"}, True),
                SAME,
                (),
                "an earlier run changed its files and did not restart it",
            ),
            (UnitRecord({"/etc/a": "1"}, False), SAME, ("/etc/a",), "changed: /etc/a"),
            (UnitRecord({"/etc/a": "1"}, False), SAME, ("/etc/ab", "/etc/z"), ""),
            (None, SAME, (), ""),
            (None, Watched({"/etc/a": "1"}, 150.0), (), "started before its files changed"),
            (None, SAME, ("/etc/a",), "changed: /etc/a"),
        ],
    )
    def test_a_running_unit_is_restarted_for_what_it_watches(
        self, state: str, record: UnitRecord | None, watched: Watched, changed: tuple[str, ...], reason: str
    ) -> None:
        made = plan(UP, record, watched, changed, state=state, watch=("/etc/a",))
        assert [step.reason for step in all_steps(made) if step.action == "restart"] == ([reason] if reason else [])

    def test_a_unit_that_does_not_run_is_not_restarted(self) -> None:
        pending = UnitRecord({}, True)
        assert steps(plan(DOWN, pending, state="unmanaged", watch=("/etc/a",))) == []
        assert steps(plan(DOWN, pending, state="started", watch=("/etc/a",))) == [("start", "is inactive")]

    def test_many_changes_are_told_short(self) -> None:
        made = plan(UP, changed=("/etc/a/1", "/etc/a/2", "/etc/a/3", "/etc/a/4"), state="started", watch=("/etc/a",))
        assert all_steps(made)[0].reason == "changed: /etc/a/1, /etc/a/2, /etc/a/3 and 1 more"

    @pytest.mark.parametrize(
        ("fact", "changed", "words"),
        [
            (replace(DOWN, load="masked"), (), "systemctl unmask a.service"),
            (replace(DOWN, load="not-found", file_state=""), (), "does not exist"),
            (replace(DOWN, load="not-found", file_state=""), ("/etc/other/a.service",), "does not exist"),
            (replace(DOWN, file_state="static"), (), "[Install]"),
        ],
    )
    def test_what_cannot_be_started_is_a_finding(self, fact: UnitFact, changed: tuple[str, ...], words: str) -> None:
        made = plan(fact, changed=changed, state="started", enabled=True)
        assert words in str(made.findings[0])

    def test_a_unit_file_of_this_call_makes_the_unit(self) -> None:
        made = plan(
            replace(DOWN, load="not-found", file_state=""),
            changed=("/etc/systemd/system/a.service",),
            state="started",
            enabled=True,
        )
        assert made.findings == ()
        assert [step.action for step in all_steps(made)] == ["reload", "enable", "start"]

    def test_a_drop_in_of_this_call_may_bring_the_install_section(self) -> None:
        made = plan(replace(UP, file_state="static"), changed=("/etc/systemd/system/a.service.d/1.conf",), enabled=True)
        assert made.findings == ()

    def test_in_check_mode_a_unit_may_be_what_was_only_planned(self) -> None:
        made = plan(replace(DOWN, load="not-found", file_state=""), check=True, state="started", enabled=True)
        assert made.findings == ()
        assert steps(made) == [("enable", "is not installed"), ("start", "is inactive")]

    def test_a_template_file_makes_its_instances(self) -> None:
        unit = UnitWanted("ha@1.service", "units[0]", state="started")
        fact = replace(DOWN, load="not-found")
        path = "/etc/systemd/system/ha@.service"
        made = units.plan([unit], {unit.name: fact}, {unit.name: None}, {unit.name: SAME}, [path], False)
        assert made.findings == ()


@pytest.mark.parametrize(
    ("entry", "path", "expected"),
    [
        ("/etc/a", "/etc/a", True),
        ("/etc/a", "/etc/a/b/c", True),
        ("/etc/a/", "/etc/a/b", True),
        ("/etc/a", "/etc/ab", False),
        ("/etc/a*", "/etc/ab/c", True),
        ("/etc/a*", "/etc/b", False),
    ],
)
def test_a_change_is_watched(entry: str, path: str, expected: bool) -> None:
    assert units.watches(UnitWanted("a.service", "", watch=(entry,)), path) is expected


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/etc/systemd/system/a.service", "a.service"),
        ("/usr/lib/systemd/system/a@1.timer", "a@1.timer"),
        ("/etc/systemd/system/a@.service", ""),
        ("/etc/systemd/system/a.service.d", ""),
        ("/etc/systemd/system/x.wants/a.service", ""),
        ("/etc/a.service", ""),
    ],
)
def test_a_unit_file_defines_its_unit(path: str, unit: str) -> None:
    assert units.defined_by(path) == unit


class TestWatch:
    def test_files_directories_prefixes_and_what_is_missing(self, machine: Machine) -> None:
        machine.write("/etc/d/x", "1")
        machine.write("/etc/d/sub/y", "2")
        machine.write("/bin/shim-a", "3")
        machine.write("/bin/shim-b", "4")
        watched = units.watch(machine.host, ["/etc/d/", "/bin/shim*", "/etc/none", "/etc/no*"])
        assert sorted(watched.prints) == [
            "/bin/shim-a",
            "/bin/shim-b",
            "/etc/d/sub/y",
            "/etc/d/x",
            "/etc/no*",
            "/etc/none",
        ]
        assert watched.prints["/etc/none"] == watched.prints["/etc/no*"] == "missing"
        assert abs(watched.changed_at - time.time()) < 60

    def test_content_counts_and_time_does_not_for_small_files(self, machine: Machine) -> None:
        where = machine.write("/etc/x", "1")
        before = units.watch(machine.host, ["/etc/x"]).prints
        os.utime(where, (1, 1))
        assert units.watch(machine.host, ["/etc/x"]).prints == before
        machine.write("/etc/x", "2")
        assert units.watch(machine.host, ["/etc/x"]).prints != before

    def test_big_files_are_told_by_size_and_time(self, machine: Machine) -> None:
        where = machine.write("/bin/big", "x" * (units.HASHED_BYTES + 1))
        before = units.watch(machine.host, ["/bin/big"]).prints
        assert "size=" in before["/bin/big"]
        os.utime(where, (1, 1))
        assert units.watch(machine.host, ["/bin/big"]).prints != before

    def test_a_switched_link_is_a_change_even_to_the_same_bytes(self, machine: Machine) -> None:
        machine.write("/lib/1/x", "same")
        machine.write("/lib/2/x", "same")
        machine.write("/bin/keep", "")
        os.symlink("/lib/1/x", machine.root / "bin/x")
        before = units.watch(machine.host, ["/bin/x"]).prints
        assert before["/bin/x"].startswith("/lib/1/x ")
        os.unlink(machine.root / "bin/x")
        os.symlink("/lib/2/x", machine.root / "bin/x")
        assert units.watch(machine.host, ["/bin/x"]).prints != before

    def test_dangling_and_looping_links_do_not_stop_it(self, machine: Machine) -> None:
        machine.write("/etc/d/x", "1")
        os.symlink("/etc/d/loop", machine.root / "etc/d/loop")
        os.symlink("/nowhere", machine.root / "etc/d/dangling")
        prints = units.watch(machine.host, ["/etc/d"]).prints
        assert prints["/etc/d/loop"] == prints["/etc/d/dangling"] == "missing"

    def test_what_a_killed_write_left_is_not_watched(self, machine: Machine) -> None:
        machine.write("/etc/d/x", "1")
        before = units.watch(machine.host, ["/etc/d", "/etc/d/*"]).prints
        machine.write("/etc/d/.x.hybridk8s", "half")
        assert units.watch(machine.host, ["/etc/d", "/etc/d/*"]).prints == before


class TestSystemd:
    def test_all_units_are_asked_for_at_once(self, machine: Machine) -> None:
        machine.units = {"a.service": FakeUnit(active="active", sub="running", active_since=time.monotonic() - 5)}
        facts = units.observe(machine.host, ["a.service", "b.service"])
        assert len(machine.commands) == 1
        assert abs(facts["a.service"].active_since - (time.time() - 5)) < 1
        assert (facts["b.service"].load, facts["b.service"].active_since) == ("not-found", 0.0)
        assert units.observe(machine.host, []) == {}
        assert len(machine.commands) == 1

    @pytest.mark.parametrize(
        "answer", [Ran(1, err="System has not been booted with systemd"), Ran(127, err="no such command"), Ran(0, "")]
    )
    def test_a_host_without_systemd_is_told_so(self, machine: Machine, answer: Ran) -> None:
        machine.run = lambda *_: answer  # type: ignore[method-assign]
        with pytest.raises(HostError, match="must run systemd"):
            units.observe(machine.host, ["a.service"])

    def test_a_unit_that_dies_after_its_fork_is_found_out(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unit = FakeUnit(active="active", sub="running", kind="simple", journal="a\nb: no such file\n")
        machine.units = {"a.service": unit}
        naps = []

        def sleep(seconds: float) -> None:
            naps.append(seconds)
            unit.active, unit.sub = "activating", "auto-restart"

        monkeypatch.setattr(units.time, "sleep", sleep)
        up, findings = units.wait_active(machine.host, ["a.service"], 5.0, 0.0)
        assert (up, len(naps)) == ([], 1)
        assert "b: no such file" in findings[0].message
        assert "a.service is activating (auto-restart)" in findings[0].message

    def test_a_slow_unit_is_waited_for_and_given_up_in_time(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine.units = {
            "a.service": FakeUnit(active="activating", sub="start"),
            "b.service": FakeUnit(active="active", sub="running"),
        }
        clock = [0.0]
        monkeypatch.setattr(units.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(units.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
        up, findings = units.wait_active(machine.host, ["a.service", "b.service"], 5.0, 0.0)
        assert (up, len(findings)) == (["b.service"], 1)
        assert 5.0 < clock[0] < 5.5

    def test_a_unit_that_ends_before_it_has_settled_is_found_out(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unit = FakeUnit(active="active", sub="running")
        machine.units = {"a.service": unit}
        clock = [0.0]

        def sleep(seconds: float) -> None:
            clock[0] += seconds
            if clock[0] > 3.0:
                unit.active, unit.sub = "activating", "auto-restart"

        monkeypatch.setattr(units.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(units.time, "sleep", sleep)
        up, findings = units.wait_active(machine.host, ["a.service"], 60.0, 0.0, settle=2.0)
        assert (up, findings) == (["a.service"], [])
        assert 2.0 <= clock[0] < 2.5
        up, findings = units.wait_active(machine.host, ["a.service"], 60.0, 0.0, settle=2.0)
        assert (up, len(findings)) == ([], 1)
        assert clock[0] < 3.5

    def test_a_unit_that_ran_and_ended_needs_remain_after_exit(self, machine: Machine) -> None:
        machine.units = {"a.service": FakeUnit(kind="oneshot")}
        _up, findings = units.wait_active(machine.host, ["a.service"], 5.0, 0.0)
        assert "RemainAfterExit=yes" in findings[0].remedy

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"watched": 3}', '{"pending": true}'])
    def test_a_damaged_record_is_none(self, machine: Machine, text: str) -> None:
        machine.write(units.record_path("a.service"), text)
        assert units.read_record(machine.host, "a.service") is None

    def test_a_record_survives_writing(self, machine: Machine) -> None:
        units.write_record(machine.host, "a.service", {"/x": "1"}, pending=True)
        assert units.read_record(machine.host, "a.service") == UnitRecord({"/x": "1"}, True)
