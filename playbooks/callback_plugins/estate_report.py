# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps the report of a run.

It lies beside the playbooks because Ansible loads callbacks from there without being told to, also where they are
imported from elsewhere and under AWX. Only a callback hears of hosts that were not reached, and of a run of which no
host is left for a closing task.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible_collections.hybridk8s.estate.plugins.module_utils import _report
from ansible_collections.hybridk8s.estate.plugins.module_utils._whole_file import as_json, write_text

COLLECTION = "hybridk8s.estate."
INCLUDES = ("ansible.builtin.include_role", "ansible.builtin.include_tasks")
# Of the run's time, what writing the report may take: a small estate's is never old, a big one's costs little.
WRITE_SHARE = 0.02
CHECK, REPORT = f"{COLLECTION}estate_check", f"{COLLECTION}run_report"


class CallbackModule(CallbackBase):
    """Hears every result and keeps the report, as a file if one is asked for and as a variable of the plays."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "estate_report"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._report = _report.Report(Path(playbook._file_name).stem, bool(context.CLIARGS.get("check")), _now())
        last = playbook.get_plays()[-1]
        self._last_step = last._uuid
        # A playbook that only looks sums up nothing.
        self._tells = REPORT in {_action(task) for block in last.get_tasks() for task in block}
        self._complete = False
        self._told = False
        self._path = ""
        self._next_write = 0.0
        # Tasks see this very object, so it holds what is known when a task begins, not when its play began.
        self._document: dict[str, Any] = {}

    def v2_playbook_on_play_start(self, play: Any) -> None:
        variables = play.get_variable_manager().get_vars(play=play)
        self._complete = play._uuid == self._last_step
        # A play over all hosts judges the inventory; its hosts are not what the run is for.
        self._report.step(play.get_name(), [] if play.hosts == ["all"] else variables["ansible_play_hosts_all"])
        self._write()
        play.vars[_report.VARIABLE] = self._document

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        if not self._write_if_due() and _action(task) == REPORT:
            self._refresh()

    def v2_runner_on_ok(self, result: Any) -> None:
        task, outcome = result.task, result.result
        self._hear_check(result)
        nodes = _nodes(task, outcome)
        if nodes:
            self._report.told(task.get_name(), nodes)
        elif _action(task) in INCLUDES:
            return
        elif not task.run_once:
            self._report.done(result.host.name, task.get_name(), result.is_changed(), _steps(outcome))
        elif result.is_changed():
            self._report.done_for_all(task.get_name(), _steps(outcome))
        if _action(task) == REPORT:
            self._told = self._complete
        self._write_if_due()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        task, outcome = result.task, result.result
        self._hear_check(result)
        if ignore_errors or _action(task) == REPORT:
            return
        nodes = _nodes(task, outcome)
        self._report.told(task.get_name(), nodes)
        if task.run_once:
            self._report.failed_for_all(task.get_name(), _message(outcome), nodes)
        elif not nodes:
            self._report.failed(result.host.name, task.get_name(), _message(outcome))
        self._write()

    def v2_runner_on_unreachable(self, result: Any) -> None:
        task = result.task
        if task.ignore_unreachable:
            return
        self._report.failed(result.host.name, task.get_name(), _message(result.result), _report.UNREACHABLE)
        self._write()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        ends = {host: stats.summarize(host) for host in stats.processed}
        self._report.recovered(host for host, end in ends.items() if not end["failures"] and not end["unreachable"])
        self._write(ended=_now())
        if self._tells and self._document["hosts"] and not self._told:
            self._display.display("\n".join(["", "The run ended early.", *_report.lines(self._document)]))

    def _hear_check(self, result: Any) -> None:
        """Take the findings, and the file that they were asked to be written to: the report goes there as well."""
        outcome = result.result
        if _action(result.task) == CHECK and "findings" in outcome:
            self._report.judged(outcome["estate"], outcome["summary"], outcome["findings"])
            self._path = os.path.expanduser(result.task_fields["args"].get("report") or "")
            self._write()

    def _refresh(self, ended: str | None = None) -> None:
        self._document.clear()
        self._document.update(self._report.document(self._complete, ended))

    def _write_if_due(self) -> bool:
        due = time.monotonic() > self._next_write
        if due:
            self._write()
        return due

    def _write(self, ended: str | None = None) -> None:
        began = time.monotonic()
        self._refresh(ended)
        try:
            if self._path:
                write_text(self._path, as_json(self._document))
        except OSError as error:
            self._display.warning(f"The report cannot be written to {self._path} (variable estate_report): {error}")
        self._next_write = time.monotonic() + (time.monotonic() - began) / WRITE_SHARE


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _action(task: Any) -> str:
    return str(task.resolved_action or task.action)


def _nodes(task: Any, outcome: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """What a module of ours that works on many nodes says of each."""
    nodes = outcome.get("nodes")
    if not _action(task).startswith(COLLECTION) or not isinstance(nodes, Mapping):
        return {}
    told = {name: node for name, node in nodes.items() if isinstance(node, Mapping) and "state" in node}
    if not task.check_mode or context.CLIARGS.get("check"):
        return told
    # A look ahead in a run that is none: what would go well is no news.
    return {name: {**node, "changed": False} for name, node in told.items() if node["state"] not in _report.DONE}


def _steps(outcome: Mapping[str, Any]) -> list[str]:
    """What a module of ours changed, in words."""
    results = outcome.get("results", [outcome])
    steps = [step for result in results if isinstance(result, Mapping) for step in result.get("steps", [])]
    return [f"{step['action']} {step['target']}" for step in steps]


def _message(outcome: Mapping[str, Any]) -> str:
    """Why a task failed; of a loop, why its first item did."""
    items = [item for item in outcome.get("results", []) if item.get("failed") or item.get("unreachable")]
    message = next((item["msg"] for item in items if item.get("msg")), outcome.get("msg", "see the run's output"))
    return str(message).removeprefix("Task failed: ")
