from __future__ import annotations

import json

import pytest

from tests.flows import drive
from tests.lab.inventory import Inventory

OUTPUT = """
TASK [Say something] ***
ok: [cp1] => {"msg": "PLAY RECAP of yesterday"}

PLAY RECAP *********************************************************************
cp1                        : ok=12   changed=3    unreachable=0    failed=0    skipped=4    rescued=0    ignored=0
w4                         : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0
"""


def test_recap_reads_the_counts_of_each_host():
    run = drive.Run(4, OUTPUT, 1.0, 0.5, drive.recap(OUTPUT))

    assert run.recap["cp1"]["ok"] == 12
    assert run.recap["cp1"]["skipped"] == 4
    assert run.hosts_with("changed") == {"cp1"}
    assert run.hosts_with("unreachable") == {"w4"}
    assert run.hosts_with("failed") == set()


def test_recap_of_a_run_that_was_killed_is_empty():
    assert drive.recap("TASK [Join] ***\nok: [w1]\n") == {}


@pytest.fixture
def lab_of_three(monkeypatch):
    groups = {"all": ("cp1", "w1", "w2"), "workers": ("w1", "w2")}
    states = {"hosts": {"cp1": {"state": "running"}, "w1": {"state": "off"}, "w2": {"state": "running"}}}
    monkeypatch.setattr(drive, "inventory", lambda: Inventory({}, groups))
    monkeypatch.setattr(drive, "command", lambda *_, **__: json.dumps(states))


def test_booted_hosts_of_a_group(lab_of_three):
    assert drive.booted("all") == ("cp1", "w2")
    assert drive.booted("workers") == ("w2",)


def test_limit_leaves_out_what_has_no_power(lab_of_three):
    assert drive.limit() == "all:localhost:!w1"


def test_eventually_returns_the_first_true_answer(monkeypatch):
    monkeypatch.setattr(drive.time, "sleep", lambda _: None)
    answers = iter([0, drive.DriveError("not yet"), 7])

    def check():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert drive.eventually(check, 5, "a seven") == 7


def test_eventually_says_what_it_waited_for_and_what_it_saw_last():
    def check():
        raise drive.DriveError("connection refused")

    with pytest.raises(drive.DriveError, match=r"the API: not within 0 s; last: connection refused"):
        drive.eventually(check, 0.01, "the API")


def test_command_names_what_failed():
    with pytest.raises(drive.DriveError, match=r"exit 3\nsaid this\n"):
        drive.command("sh", "-c", "echo said this; exit 3")
    with pytest.raises(drive.DriveError, match="no end after"):
        drive.command("sleep", "5", timeout=0.1)
