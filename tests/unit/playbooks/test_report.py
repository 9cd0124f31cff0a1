# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Batches, failure budget and report, in a play whose work is a file a host and whose trouble is made on purpose."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ["cp1", "w1", "w2", "w3", "w4", "w5"]
SITE = f"""
- import_playbook: hybridk8s.estate.check
- name: Work
  hosts: kubernetes
  gather_facts: false
  vars:
    ansible_connection: "{{{{ 'ssh' if inventory_hostname in dead else 'local' }}}}"
  tasks:
    - import_tasks: {ROOT}/playbooks/tasks/in_batches.yml
      vars: {{batch_work: "{{{{ playbook_dir }}}}/work.yml"}}
- import_playbook: hybridk8s.estate.steps.summary
"""
WORK = """
- name: Begin
  ansible.builtin.shell: "echo {{ inventory_hostname }} >> {{ playbook_dir }}/begun"
  changed_when: false
- name: Kill
  ansible.builtin.shell: "kill -9 {{ lookup('pipe', 'ps -o ppid= -p $PPID') }}"
  when: inventory_hostname == killer | default('')
- name: Break
  ansible.builtin.fail: {msg: no disk}
  when: inventory_hostname in broken
- name: Work
  ansible.builtin.file: {path: "{{ playbook_dir }}/{{ inventory_hostname }}", state: directory}
"""


@dataclass(frozen=True)
class Run:
    """A run of the playbook: how it ended, what it said, what it left."""

    status: int
    output: str
    report: dict[str, Any]
    begun: list[str]

    @property
    def states(self) -> dict[str, str]:
        return {name: host["state"] for name, host in self.report["hosts"].items()}

    @property
    def statistic(self) -> dict[str, Any]:
        """What AWX would hand on to the next job."""
        statistic: dict[str, Any] = json.loads(self.output.partition("\tRUN: ")[2].partition("\n")[0])["estate_run"]
        return statistic


Play = Callable[..., Run]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Runs the playbook on the hosts of the lab's inventory; `dead` ones cannot be reached, `broken` ones fail."""
    no_ssh = tmp_path / "ssh"
    no_ssh.write_text("#!/bin/sh\nexit 255\n")
    no_ssh.chmod(0o755)
    (tmp_path / "work.yml").write_text(WORK)
    (tmp_path / "site.yml").write_text(SITE)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache"),
        "ANSIBLE_SHOW_CUSTOM_STATS": "true",
        "ANSIBLE_SSH_EXECUTABLE": str(no_ssh),
    }

    def run(*options: str, dead: str = "", broken: str = "", **variables: str) -> Run:
        (tmp_path / "begun").write_text("")
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        given = {"dead": dead.split(), "broken": broken.split(), "estate_report": str(report), **variables}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(ROOT / "inventories" / "lab")]
        ended = subprocess.run(
            [*command, "-e", json.dumps(given), *options, str(tmp_path / "site.yml")],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        output = ended.stdout + ended.stderr
        assert "Traceback" not in output
        assert report.exists(), output
        return Run(ended.returncode, output, json.loads(report.read_text()), (tmp_path / "begun").read_text().split())

    return run


def test_one_at_a_time_goes_on_after_failures_and_the_rerun_does_what_remains(play: Play) -> None:
    first = play(batch="1", broken="w1", dead="w3 w4")
    assert first.status != 0
    assert first.begun == ["cp1", "w1", "w2", "w5"]
    done = {"cp1": "changed", "w2": "changed", "w5": "changed"}
    assert first.states == {**done, "w1": "failed", "w3": "unreachable", "w4": "unreachable"}
    assert first.report["hosts"]["w1"]["message"] == "Break: no disk"
    assert first.report["remaining"] == first.statistic["remaining"] == ["w1", "w3", "w4"]
    assert first.statistic["hosts"]["w1"] == {"state": "failed", "message": "Break: no disk"}
    assert "run again with --limit w1,w3,w4" in first.output

    second = play(batch="1")
    assert second.status == 0, second.output
    assert second.states == {name: "unchanged" if name in done else "changed" for name in HOSTS}
    assert second.statistic["counts"] == {"changed": 3, "unchanged": 3}
    assert (second.report["estate"], second.report["playbook"], second.report["findings"]) == ("lab", "site", [])


def test_a_used_up_budget_stops_between_batches_and_not_inside_one(play: Play) -> None:
    run = play(batch="2", max_fail="1", broken="w1 w2")
    assert run.status == 2
    assert sorted(run.begun) == ["cp1", "w1", "w2", "w3"], (
        "w3 goes to its end although w2, of the same batch, is one too many"
    )
    assert run.states["w3"] == "changed"
    assert {run.states["w4"], run.states["w5"]} == {"not_started"}
    assert "more hosts failed (w1, w2) than the 1 of 6 that max_fail=1 allows" in run.report["hosts"]["w5"]["message"]


@pytest.mark.parametrize(("max_fail", "begun"), [("0", 2), ("33%", 4)])
def test_budgets(play: Play, max_fail: str, begun: int) -> None:
    assert len(play(batch="1", max_fail=max_fail, broken="w1 w3 w4 w5").begun) == begun


def test_batches_are_done_in_the_order_of_the_inventory(play: Play) -> None:
    run = play(batch="33%")
    assert [set(run.begun[at : at + 2]) for at in (0, 2, 4)] == [{"cp1", "w1"}, {"w2", "w3"}, {"w4", "w5"}]


def test_where_nobody_asks_for_batches_or_a_limit_none_are_paid_for(play: Play) -> None:
    run = play()
    assert run.status == 0, run.output
    assert sorted(run.begun) == sorted(HOSTS)
    tasks = re.findall(r"^TASK \[(.+)\]", run.output, re.MULTILINE)
    assert tasks[1:5] == ["Say how the run stands", "Begin", "Kill", "Break"]


def test_a_run_of_which_no_host_is_left_is_reported_too(play: Play) -> None:
    run = play("--limit", "w1,w2", dead="w1 w2")
    assert run.status == 4
    assert run.states == {"w1": "unreachable", "w2": "unreachable"}
    assert run.report["ended"]
    assert "The run ended early.\nw1  unreachable: Begin:" in run.output
    assert run.statistic["counts"] == {"not_started": 2}, (
        "from the start of the batch: Ansible takes none of what failed"
    )


def test_a_killed_run_leaves_what_it_came_to(play: Play) -> None:
    run = play(batch="1", killer="w4")
    assert run.status != 0
    assert (run.states["w2"], run.states["w5"]) == ("unfinished", "not_started")
    assert run.report["ended"] is None


def test_check_mode_demands_nothing(play: Play) -> None:
    run = play("--check", broken="w1")
    assert run.status == 2, "a task that fails in check mode fails"
    assert run.report["check_mode"]
    assert play("--check").status == 0


@pytest.mark.parametrize(("name", "value"), [("batch", "0"), ("max_fail", "-1")])
def test_what_is_no_amount_is_refused_with_the_remedy(play: Play, name: str, value: str) -> None:
    run = play(**{name: value})
    assert run.status == 2
    assert run.begun == []
    assert f"{name}: '{value}' does not say how many nodes" in run.output


def test_a_report_that_cannot_be_written_is_said_before_any_work(play: Play, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"The report cannot be written to /nowhere/report\.json"):
        play(estate_report="/nowhere/report.json")
    assert (tmp_path / "begun").read_text() == ""
