"""Killing ansible-playbook in the middle of its work, at points that a seed decides."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.flows.drive import REPOSITORY, DriveError, playbook, playbook_command

_PASSED_OVER = ("Validating arguments", "cluster_access : ")
_CLOSING_TASKS = 3
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?P<name>.+?)\] \*+$", re.MULTILINE)


@dataclass(frozen=True)
class KillPoint:
    """``delay`` seconds after the ``occurrence``-th time that ``task`` starts."""

    task: str
    occurrence: int
    delay: float

    def __str__(self) -> str:
        again = f" (time {self.occurrence})" if self.occurrence > 1 else ""
        return f"{self.delay:.1f} s after {self.task!r}{again}"


def tasks_of(output: str) -> tuple[str, ...]:
    """The names of the tasks that an ansible-playbook's output shows, in order, repeated ones repeated."""
    return tuple(match["name"] for match in _TASK.finditer(output))


def kill_points(tasks: Sequence[str], count: int, seed: int, longest_delay: float = 8.0) -> tuple[KillPoint, ...]:
    """``count`` points spread over the tasks: one, drawn by the seed, in each of as many equal parts.

    Delays are up to ``longest_delay`` seconds, so that long tasks are met in their middle too.
    """
    if count > len(tasks):
        raise ValueError(f"{count} points in {len(tasks)} tasks")
    draw = random.Random(seed)
    edges = [len(tasks) * part // count for part in range(count + 1)]
    indexes = [draw.randrange(start, end) for start, end in zip(edges, edges[1:])]
    return tuple(
        KillPoint(tasks[index], tasks[: index + 1].count(tasks[index]), draw.uniform(0, longest_delay))
        for index in indexes
    )


def planned_tasks(*arguments: str) -> tuple[str, ...]:
    """The tasks that ``site`` would run on the hosts as they are, and that take long enough to be interrupted."""
    run = playbook("site", "--check", *arguments)
    if run.status:
        raise DriveError(f"site --check: exit {run.status}\n{run.output}")
    return interruptible(tasks_of(run.output))


def interruptible(tasks: Sequence[str]) -> tuple[str, ...]:
    """Without Ansible's look at roles' arguments, the reading of the kubeconfig (check mode finds none and tries again
    and again), and the closing tasks, which end before a signal arrives."""
    kept = [task for task in tasks if not any(words in task for words in _PASSED_OVER)]
    return tuple(kept[:-_CLOSING_TASKS])


def run_until(point: KillPoint, name: str, *arguments: str, timeout: float = 1800) -> str:
    """Run a playbook and SIGKILL its whole process group at the point; its output so far.

    Raises DriveError when the playbook ended before: then nothing was interrupted.
    """
    process = subprocess.Popen(
        playbook_command(name, *arguments),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    output: list[str] = []
    reached = threading.Event()

    def read() -> None:
        seen = 0
        for line in process.stdout or ():
            output.append(line)
            seen += tasks_of(line) == (point.task,)
            if seen == point.occurrence:
                reached.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout
    while process.poll() is None and not reached.wait(0.1) and time.monotonic() < deadline:
        pass
    if reached.is_set():
        _wait(process, point.delay)
    status = process.poll()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reader.join(10)
    if status is not None or not reached.is_set():
        raise DriveError(f"{name} was not interrupted {point}: exit {status}\n{''.join(output)}")
    return "".join(output)


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
