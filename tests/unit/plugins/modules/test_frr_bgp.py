# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.text import merge
from ansible_collections.hybridk8s.estate.plugins.modules import frr_bgp

from tests.unit.plugins.module_utils._frr.samples import PARTS, RUNNING, THEIRS
from tests.unit.plugins.module_utils._switch.samples import OPTIONS, WANTED

ESTABLISHED = {"state": "Established", "pfxRcd": 1, "peerUptimeMsec": 1000}


class FakeFrr:
    """FRR as vtysh shows it. A load takes effect as a whole, or ``refuses`` and takes half of it."""

    def __init__(self, running: str) -> None:
        self.running = running
        self.daemons = "zebra bgpd staticd"
        self.parser = ""
        self.refuses = ""
        self.sessions: list[dict[str, Any]] = [{}]
        self.loaded: list[str] = []
        self.arguments: list[str] = []
        self.modes: list[int] = []
        self.after = ""

    def run(self, command: list[str]) -> tuple[int, str, str]:
        self.arguments += command
        if "-C" in command:
            self.modes.append(Path(command[-1]).stat().st_mode & 0o777)
            return (2, "", f"line 3: % Unknown command[4]: {self.parser}\n") if self.parser else (0, "", "")
        if "-f" in command:
            self.modes.append(Path(command[-1]).stat().st_mode & 0o777)
            self.loaded.append(Path(command[-1]).read_text())
            if self.refuses and len(self.loaded) == 1:
                return 13, f"% {self.refuses}\n", "line 9: neighbor 10.20.1.11 password s3cret\n"
            self.running = self.after
            return 0, "", ""
        shown = {
            "show daemons": self.daemons,
            "show running-config": self.running,
            "show bgp ipv4 unicast summary json": json.dumps({"peers": self.sessions[0]}),
        }[command[-1]]
        if "summary" in command[-1] and len(self.sessions) > 1:
            self.sessions.pop(0)
        return 0, shown, ""


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeFrr:
    frr = FakeFrr(THEIRS)
    frr.after = merge(THEIRS, WANTED, PARTS)
    (tmp_path / "frr.conf").write_text("! written by hand\n" + THEIRS)
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *_args, **_kwargs: "/usr/bin/vtysh")
    monkeypatch.setattr(AnsibleModule, "run_command", lambda _self, command, **_kwargs: frr.run(command))
    monkeypatch.setattr(frr_bgp.time, "sleep", lambda _seconds: None)
    return frr


def call(
    capsys: pytest.CaptureFixture[str], path: Path, check: bool = False, diff: bool = False, **changes: Any
) -> dict[str, Any]:
    options = {**OPTIONS, "config_file": str(path / "frr.conf"), **changes}
    with (
        patch_module_args({**options, "_ansible_check_mode": check, "_ansible_diff": diff}),
        pytest.raises(SystemExit),
    ):
        frr_bgp.main()
    said = capsys.readouterr().out
    assert "s3cret" not in said
    shaped: dict[str, Any] = json.loads(said)
    return shaped


def test_run_check_and_second_run(switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "frr.conf"
    written = file.read_text()
    foreseen = call(capsys, tmp_path, check=True, diff=True)
    assert foreseen["changed"] is True
    assert switch.loaded == []
    assert file.read_text() == written

    done = call(capsys, tmp_path, diff=True)
    assert (done["changed"], done["steps"], done["diff"]) == (True, foreseen["steps"], foreseen["diff"])
    assert "! written by hand\n" in file.read_text()
    assert " neighbor 10.20.1.11 password s3cret\n" in file.read_text()
    assert " neighbor 10.20.1.11 password s3cret" in switch.loaded[0]

    for check in (True, False):
        again = call(capsys, tmp_path, check=check)
        assert (again["changed"], again["steps"], again["commands"]) == (False, [], [])
    assert len(switch.loaded) == 1


def test_secrets_are_in_private_files_and_no_argument(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, tmp_path)
    assert set(switch.modes) == {0o600}
    assert not any("s3cret" in argument for argument in switch.arguments)


def test_a_run_that_was_cut_off_before_the_file_was_written(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch.running = switch.after
    done = call(capsys, tmp_path)
    assert [step["action"] for step in done["steps"]] == ["write"]
    assert switch.loaded == []
    assert call(capsys, tmp_path)["changed"] is False


def test_the_parser_is_asked_before_anything_is_loaded(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch.parser = "neighbor 10.20.1.11 password s3cret"
    written = (tmp_path / "frr.conf").read_text()
    for check in (True, False):
        failed = call(capsys, tmp_path, check=check)
        assert failed["failed"] is True
        assert "parser refuses" in failed["msg"]
        assert "password <hidden>" in failed["msg"]
    assert switch.loaded == []
    assert (tmp_path / "frr.conf").read_text() == written


def test_what_the_daemons_refuse_is_taken_back(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch.refuses = "Peer-group members must be all internal or all external."
    failed = call(capsys, tmp_path)
    assert "did not take" in failed["msg"]
    assert "all internal" in failed["msg"]
    assert "put back" in failed["msg"]
    assert len(switch.loaded) == 2
    assert (tmp_path / "frr.conf").read_text() == "! written by hand\n" + THEIRS


def test_what_the_daemons_swallow_without_effect_is_noticed(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch.after = switch.running
    assert "did not take prefix-list/ESTATE-LAB-OUTSIDE" in call(capsys, tmp_path)["msg"]


def test_without_pruning_nothing_of_ours_goes(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch.running = RUNNING
    (tmp_path / "frr.conf").write_text(RUNNING)
    for neighbours in (OPTIONS["neighbours"][:1], []):
        assert call(capsys, tmp_path, prune=False, neighbours=neighbours)["changed"] is False
        assert call(capsys, tmp_path, check=True, neighbours=neighbours)["changed"] is True


def test_absent(switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    switch.running, switch.after = RUNNING, THEIRS
    (tmp_path / "frr.conf").write_text(RUNNING)
    done = call(capsys, tmp_path, state="absent")
    assert {step["action"] for step in done["steps"]} == {"remove", "write"}
    assert done["sessions"] == []
    assert "ESTATE-LAB" not in (tmp_path / "frr.conf").read_text()
    assert call(capsys, tmp_path, state="absent")["changed"] is False


def test_a_switch_of_no_rack_is_cleared_whatever_its_as(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch.running, switch.after = RUNNING, THEIRS
    (tmp_path / "frr.conf").write_text(RUNNING)
    nothing: dict[str, Any] = {"as_number": 0, "local_as": 0, "neighbours": []}
    assert call(capsys, tmp_path, prune=False, **nothing)["changed"] is False
    assert "router bgp 64901" in call(capsys, tmp_path, **nothing)["commands"]
    assert call(capsys, tmp_path, **nothing)["changed"] is False


@pytest.mark.parametrize(
    ("running", "daemons", "changes", "said"),
    [
        (THEIRS.replace("router bgp 64901", "router bgp 65000"), "bgpd", {}, "router bgp 65000"),
        (THEIRS.replace("10.20.1.99", "10.20.1.11"), "bgpd", {}, "outside peer-group"),
        (THEIRS, "bgpd", {"as_number": 65000, "local_as": 64901}, "router bgp 64901, but the inventory says AS 65000"),
        (THEIRS, "zebra", {}, "bgpd=yes"),
        (THEIRS, "bgpd", {"export_prefixes": [{"prefix": "10.20.0.0/16"}]}, "holds the node address"),
    ],
)
def test_refusals_change_nothing(
    switch: FakeFrr,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    running: str,
    daemons: str,
    changes: dict[str, Any],
    said: str,
) -> None:
    switch.running, switch.daemons = running, daemons
    failed = call(capsys, tmp_path, **changes)
    assert failed["failed"] is True
    assert said in failed["msg"]
    assert switch.loaded == []


def test_waiting_for_sessions(switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    up = {"10.20.1.11": ESTABLISHED, "10.20.1.12": ESTABLISHED}
    switch.sessions = [{"10.20.1.11": ESTABLISHED}, up]
    done = call(capsys, tmp_path, wait_established=30)
    assert [session["state"] for session in done["sessions"]] == ["Established", "Established"]


def test_a_session_that_does_not_come_up_is_named(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr(frr_bgp.time, "monotonic", lambda: next(seconds))
    switch.sessions = [{"10.20.1.11": ESTABLISHED, "10.20.1.12": {"state": "Active"}}]
    failed = call(capsys, tmp_path, wait_established=30)
    assert "10.20.1.12 (AS 64512): Active" in failed["msg"]
    assert "10.20.1.11" not in failed["msg"]


def test_a_switch_without_frr(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *_args, **_kwargs: None)
    assert "Install FRR" in call(capsys, tmp_path)["msg"]
    assert switch.loaded == []


def test_a_session_that_may_not_be_reset_is_pending_and_keeps_its_password(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = RUNNING.replace("password s3cret", "password 0ld")
    switch.running, switch.after = old, RUNNING
    (tmp_path / "frr.conf").write_text(old)
    for check in (True, False):
        held = call(capsys, tmp_path, check=check, may_reset=[])
        assert (held["changed"], held["commands"]) == (False, [])
        assert held["pending"] == [{"neighbour": "10.20.1.11", "attributes": ["password"]}]
    done = call(capsys, tmp_path, diff=True, may_reset=["10.20.1.11"])
    assert (done["changed"], done["pending"]) == (True, [])
    assert done["commands"] == ["router bgp 64901", " neighbor 10.20.1.11 password <hidden>", "exit"]
    assert "0ld" not in json.dumps(done)
    assert (tmp_path / "frr.conf").read_text() == merge(RUNNING, WANTED, PARTS)


def test_another_run_on_the_file_is_waited_for(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.hybridk8s.estate.plugins.module_utils._frr.vtysh.LOCK_SECONDS", 0.0)
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    failed = call(capsys, tmp_path)
    assert "another run has been changing" in failed["msg"]
    assert switch.loaded == []
    os.close(other)
    assert call(capsys, tmp_path)["changed"] is True


def test_a_file_in_a_directory_that_is_not_there(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No such file" in call(capsys, tmp_path / "none")["msg"]
    assert switch.loaded == []


def test_the_switchs_own_settings_are_told_and_left(
    switch: FakeFrr, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, tmp_path, check=True, services=["10.22.0.0/16"])["findings"] == []
    switch.running = switch.running.replace("  network 10.20.1.0/24\n", "  network 10.20.1.0/24\n  maximum-paths 1\n")
    assert call(capsys, tmp_path, check=True)["findings"] == []
    told = call(capsys, tmp_path, check=True, services=["10.22.0.0/16"])
    assert "10.22.0.0/16): its router bgp has maximum-paths 1" in told["findings"][0]
    assert not [line for line in told["commands"] if "maximum-paths" in line]
