# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each task cost on each host, as JSON lines in the file $ESTATE_COUNTS."""

from __future__ import annotations

DOCUMENTATION = """
name: estate_counts
type: aggregate
short_description: Executions, skips, changes and API requests by task and host
description:
  - For the benchmarks of hybridk8s.estate. Writes one JSON object a line to the file that the environment variable
    ESTATE_COUNTS names.
  - An I(execution) is a module that ran on a host; C(host) is then where it ran, be it delegated. What only the
    controller did is none.
  - Any other line is how a task ended for a host of its play; C(status) is ok, changed, skipped, failed or unreachable.
options: {}
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

ON_CONTROLLER = {
    "ansible.builtin.add_host",
    "ansible.builtin.assert",
    "ansible.builtin.debug",
    "ansible.builtin.fail",
    "ansible.builtin.group_by",
    "ansible.builtin.include_role",
    "ansible.builtin.include_tasks",
    "ansible.builtin.include_vars",
    "ansible.builtin.meta",
    "ansible.builtin.set_fact",
    "ansible.builtin.validate_argument_spec",
    "hybridk8s.estate.estate_check",
    "hybridk8s.estate.failure_budget",
    "hybridk8s.estate.run_report",
}


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "estate_counts"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._path = Path(os.environ["ESTATE_COUNTS"])

    def v2_runner_on_ok(self, result: Any) -> None:
        self._ended(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._ended(result, "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._ended(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._ended(result, "unreachable")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._executed(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._executed(result)

    def _ended(self, result: Any, status: str) -> None:
        requests = result.result.get("requests")
        self._write(result, host=result.host.name, status=status, requests=requests)
        if not result.task.loop and status in ("ok", "changed", "failed"):
            self._executed(result)

    def _executed(self, result: Any) -> None:
        host = result.host.name
        if result.task.delegate_to:
            # Of the delegate, only the connection survives where the result itself is hidden.
            delegate = result.result.get("_ansible_delegated_vars", {})
            host = delegate.get("ansible_host") or result.task_fields["delegate_to"]
            if delegate.get("ansible_connection") == "local" or host in ("localhost", "127.0.0.1"):
                return
        if self._action(result) not in ON_CONTROLLER:
            self._write(result, host=host, status="execution")

    def _write(self, result: Any, **fields: Any) -> None:
        line = {"task": result.task_name, "action": self._action(result), **fields}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _action(self, result: Any) -> str:
        return str(result.task.resolved_action or result.task.action)
