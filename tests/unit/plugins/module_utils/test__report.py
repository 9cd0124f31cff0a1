# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _report
from ansible_collections.hybridk8s.estate.plugins.module_utils._report import Report

Story = Callable[[Report], None]


def a_report(*story: Story) -> Report:
    report = Report("join", check_mode=False, begun="2026-11-23T09:00:00+00:00")
    report.step("Prepare", ["w1", "w2"])
    for chapter in story:
        chapter(report)
    return report


def did(host: str, changed: bool = True) -> Story:
    return lambda report: report.done(host, "Configure", changed, ["write /etc/x"])


def told(host: str, state: str, **more: object) -> Story:
    return lambda report: report.told("Drain", {host: {"state": state, "message": f"is {state}", **more}})


def failed(host: str, state: str = "failed") -> Story:
    return lambda report: report.failed(host, "Configure", "no disk", state)


def failed_for_all(*of_which_told: str) -> Story:
    return lambda report: report.failed_for_all("Make a token", "refused", of_which_told)


def recovered(host: str) -> Story:
    return lambda report: report.recovered([host])


@pytest.mark.parametrize(
    ("story", "complete", "state", "message"),
    [
        ([], True, "unchanged", ""),
        ([], False, "not_started", ""),
        ([did("w1", changed=False)], True, "unchanged", ""),
        ([did("w1"), did("w1", changed=False)], True, "changed", ""),
        ([did("w1")], False, "unfinished", "the run has not come further than: Prepare"),
        ([did("w1"), failed("w1")], True, "failed", "Configure: no disk"),
        ([failed("w1", "unreachable")], True, "unreachable", "Configure: no disk"),
        ([failed("w1"), recovered("w1"), did("w1")], True, "changed", ""),
        ([failed("w2")], True, "unchanged", ""),
        ([failed_for_all()], True, "failed", "Make a token: refused"),
        ([failed_for_all(), recovered("w1")], True, "failed", "Make a token: refused"),
        ([failed("w1"), failed_for_all(), recovered("w1")], True, "unchanged", ""),
        ([told("w1", "drained", changed=True), failed_for_all("w1")], True, "drained", "is drained"),
        ([told("w1", "drained", changed=True)], False, "unfinished", "the run has not come further than: Prepare"),
        ([told("w1", "drained"), failed("w1")], True, "failed", "Configure: no disk"),
        ([told("w1", "refused"), failed("w1")], True, "refused", "is refused"),
        ([told("w1", "not_ready"), told("w1", "unchanged")], True, "unchanged", "is unchanged"),
        ([told("w1", "drained", changed=True), told("w1", "unchanged")], True, "changed", "is unchanged"),
        ([told("w1", "changed")], True, "changed", "is changed"),
    ],
)
def test_the_state_of_a_host(story: list[Story], complete: bool, state: str, message: str) -> None:
    document = a_report(*story).document(complete)
    assert (document["hosts"]["w1"]["state"], document["hosts"]["w1"]["message"]) == (state, message)
    assert ("w1" in document["remaining"]) == (state not in _report.DONE)


def test_the_document() -> None:
    report = a_report(did("w1"), failed("w2"))
    report.judged("lab", {"errors": 0}, [])
    report.done_for_all("Make a token", ["create token"])
    assert report.document(complete=True, ended="later") == {
        "estate": "lab",
        "summary": {"errors": 0},
        "findings": [],
        "playbook": "join",
        "check_mode": False,
        "begun": "2026-11-23T09:00:00+00:00",
        "ended": "later",
        "counts": {"changed": 1, "failed": 1},
        "remaining": ["w2"],
        "did": [{"task": "Make a token", "steps": ["create token"]}],
        "hosts": {
            "w1": {
                "state": "changed",
                "changed": True,
                "message": "",
                "step": "Prepare",
                "did": [{"task": "Configure", "steps": ["write /etc/x"]}],
            },
            "w2": {
                "state": "failed",
                "changed": False,
                "message": "Configure: no disk",
                "step": "Prepare",
                "did": [],
            },
        },
    }


def test_a_later_step_has_hosts_of_its_own() -> None:
    report = a_report(did("w1"))
    report.step("Peer", ["tor1"])
    report.failed_for_all("Peer with all", "refused")
    document = report.document(complete=True)
    assert {name: host["state"] for name, host in document["hosts"].items()} == {
        "w1": "changed",
        "w2": "unchanged",
        "tor1": "failed",
    }


def test_what_goes_from_job_to_job_is_without_details() -> None:
    handed_on = _report.stats(a_report(did("w1"), failed("w2")).document(complete=True))
    assert handed_on["remaining"] == ["w2"]
    assert handed_on["hosts"] == {
        "w1": {"state": "changed", "message": ""},
        "w2": {"state": "failed", "message": "Configure: no disk"},
    }


def test_the_report_for_people() -> None:
    def trouble(report: Report) -> None:
        report.failed("w2", "Configure", "no disk\nand much more")

    assert _report.lines(a_report(did("w1"), trouble).document(complete=True)) == [
        "w1  changed",
        "w2  failed: Configure: no disk",
        "1 of 2 hosts are as they should be. What remains, once it is put right: run again with --limit w2",
    ]
    assert _report.verdict(a_report().document(complete=True)) == "2 of 2 hosts are as they should be."


def test_in_check_mode_nothing_is_said_to_be_done() -> None:
    report = Report("join", check_mode=True, begun="")
    report.step("Prepare", ["w1", "w2"])
    did("w1")(report)
    verdict = "Nothing was done (check mode). It would change 1 of 2 hosts."
    assert _report.verdict(report.document(complete=True)) == verdict
