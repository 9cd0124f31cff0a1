"""Killing ansible-playbook in the middle of its work, at points that a seed decides."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Sight:
    """As soon as ``seen`` says so; ``what`` it sees, for people."""

    what: str
    seen: Callable[[], bool]

    def __str__(self) -> str:
        return f"when {self.what}"


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


def run_until(
    point: KillPoint | Sight, name: str, *arguments: str, estate: Path | None = None, timeout: float = 1800
) -> str:
    """Run a playbook and SIGKILL all of its processes at the point; its output so far.

    Raises DriveError when the playbook ended before: then nothing was interrupted.
    """
    running = _Running(point, name, arguments, estate)
    reached = running.reach(timeout)
    kill_with_descendants(running.process.pid)
    output = running.finish(timeout)
    if not reached:
        raise DriveError(f"{name} was not interrupted {point}: exit {running.process.returncode}\n{output}")
    return output


def kill_with_descendants(pid: int) -> None:
    """Ansible's workers, and the modules that they run on the controller, are in sessions of their own."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    for each in [pid, *_descendants(pid)]:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, generation = [], {pid}
    while generation := {child for child, parent in parents.items() if parent in generation}:
        found += generation
    return found


def run_through(
    point: KillPoint,
    act: Callable[[], object],
    name: str,
    *arguments: str,
    estate: Path | None = None,
    timeout: float = 1800,
) -> tuple[int, str]:
    """Run a playbook to its end, and do something at the point; its exit status and output.

    Raises DriveError when the playbook ended before.
    """
    running = _Running(point, name, arguments, estate)
    if not running.reach(timeout):
        raise DriveError(f"{name} ended before {point}\n{running.finish(timeout)}")
    act()
    output = running.finish(timeout)
    return running.process.returncode, output


class _Running:
    """A playbook that is watched for its point."""

    def __init__(
        self, point: KillPoint | Sight, name: str, arguments: Sequence[str], estate: Path | None = None
    ) -> None:
        self._point = point
        self._output: list[str] = []
        self._reached = threading.Event()
        self.process = subprocess.Popen(
            playbook_command(name, *arguments, estate=estate),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        seen = 0
        for line in self.process.stdout or ():
            self._output.append(line)
            if isinstance(self._point, KillPoint):
                seen += tasks_of(line) == (self._point.task,)
                if seen == self._point.occurrence:
                    self._reached.set()

    def reach(self, timeout: float) -> bool:
        """Wait for the point; False when the playbook ends before, or the time."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and not self._reached.wait(0.1) and time.monotonic() < deadline:
            # A host that does not answer shows nothing yet.
            with suppress(DriveError):
                if isinstance(self._point, Sight) and self._point.seen():
                    self._reached.set()
        if self._reached.is_set() and isinstance(self._point, KillPoint):
            _wait(self.process, self._point.delay)
        return self._reached.is_set() and self.process.poll() is None

    def finish(self, timeout: float) -> str:
        """Wait for the end; everything that was printed."""
        self.process.wait(timeout)
        self._reader.join(10)
        return "".join(self._output)


def _wait(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
