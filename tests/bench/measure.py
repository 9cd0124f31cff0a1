"""One run of a playbook of the collection, with its costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.meter import Usage
from tests.flows import drive
from tests.lab.progress import say

CALLBACKS = Path(__file__).with_name("callbacks")


@dataclass(frozen=True)
class Cost:
    """A measured run.

    ``evaluations`` counts how tasks ended, by host and status; ``executions`` counts modules by the host (its name, or
    its address where it was a delegate) that they ran on; ``requests`` are those to the API, as far as modules say.
    """

    name: str
    usage: Usage
    expected: int
    evaluations: Counter[tuple[str, str]]
    executions: Counter[str]
    requests: int

    @property
    def good(self) -> bool:
        """The run ended as it had to."""
        return self.usage.status == self.expected

    def count(self, host: str, *statuses: str) -> int:
        return sum(self.evaluations[host, status] for status in statuses)

    @property
    def hosts(self) -> set[str]:
        """The hosts that the run was for."""
        return {host for host, _status in self.evaluations}

    @property
    def changed(self) -> int:
        return sum(number for (_host, status), number in self.evaluations.items() if status == "changed")


def measure(
    name: str, playbook: str, *arguments: str, inventory: Path, station: tuple[str, ...] = (), expected: int = 0
) -> Cost:
    """Run a playbook, on the control station that ``station`` enters. One with an exit not ``expected`` is printed."""
    say(f"measuring: {name}")
    with tempfile.TemporaryDirectory() as directory:
        usage, lines = Path(directory, "usage.json"), Path(directory, "lines.json")
        command = ["ansible-playbook", f"--inventory={inventory}", f"hybridk8s.estate.{playbook}", *arguments]
        done = subprocess.run(
            [*station, sys.executable, "-m", "tests.bench.meter", str(usage), "--", *command],
            cwd=drive.REPOSITORY,
            env={
                **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
                "ANSIBLE_CALLBACKS_ENABLED": "estate_counts",
                "ESTATE_COUNTS": str(lines),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != expected:
            say(done.stdout)
        records = [json.loads(line) for line in lines.read_text().splitlines()]
        return _cost(name, Usage(**json.loads(usage.read_text())), expected, records)


def _cost(name: str, usage: Usage, expected: int, records: list[dict[str, Any]]) -> Cost:
    evaluations: Counter[tuple[str, str]] = Counter()
    executions: Counter[str] = Counter()
    for record in records:
        if record["status"] == "execution":
            executions[record["host"]] += 1
        else:
            evaluations[record["host"], record["status"]] += 1
    return Cost(name, usage, expected, evaluations, executions, sum(record.get("requests") or 0 for record in records))
