"""Counts what each host costs: modules that ran on it, tasks that were skipped for it. Into the file $ESTATE_COUNTS."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: estate_counts
type: aggregate
short_description: Remote module executions and skipped tasks a host
description:
  - For the benchmarks of hybridk8s.estate; writes JSON to the file that the environment variable ESTATE_COUNTS names.
options: {}
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "estate_counts"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._remote: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()

    def v2_runner_on_ok(self, result: Any) -> None:
        if not result.task.loop:
            self._finished(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not result.task.loop:
            self._finished(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._finished(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._finished(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._skipped[result.host.name] += 1

    def v2_playbook_on_stats(self, stats: Any) -> None:
        counts = {
            host: {"remote": self._remote[host], "skipped": self._skipped[host]} for host in sorted(stats.processed)
        }
        Path(os.environ["ESTATE_COUNTS"]).write_text(json.dumps(counts))

    def _finished(self, result: Any) -> None:
        """A module leaves its invocation in the result; what the controller does by itself does not."""
        if "invocation" in result.result and "_ansible_delegated_vars" not in result.result:
            self._remote[result.host.name] += 1
