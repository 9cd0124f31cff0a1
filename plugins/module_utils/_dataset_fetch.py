# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Datasets of a host brought to what is wanted, no faster than the line allows; private to this collection.

Safe to kill at any point: what came is kept, and the next call goes on with the byte after it.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import Limits, describe
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact_fetch import Download, fetch_all
from ansible_collections.hybridk8s.estate.plugins.module_utils._dataset import (
    PARTIAL,
    RECORD,
    DatasetPlan,
    DatasetWanted,
    FileWanted,
    Plan,
    label_of,
    observe,
    parse,
    plan,
    recorded,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import (
    Host,
    HostError,
    problem,
    sync_directory,
    unusable_host,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

LOCK_SECONDS = 60.0
RECORD_SECONDS = 10.0
WINDOW_SECONDS = 0.05
LEAST_WINDOW = 64 << 10


class OutOfTime(Exception):
    """The time of this call is over; what came is kept."""


def is_heard() -> bool:
    """Whether somebody still reads what this process writes: Ansible does, until it is killed or its connection ends.

    A module is not told of that. It would go on for hours with nobody to end it, and the next run find it at work.
    """
    output = select.poll()
    output.register(1, 0)
    return not output.poll(0)


class Pace:
    """Lets bytes through at a rate, all downloads together, until a deadline or until nobody listens.

    A pause is not made up for later.
    """

    def __init__(
        self,
        bytes_per_second: float,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        heard: Callable[[], bool] = is_heard,
    ) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._heard = heard
        self._lock = threading.Lock()
        self._began = self._next = clock()
        self._deadline = self._began + seconds if seconds else float("inf")
        self.passed = 0

    @property
    def window(self) -> int:
        """How many bytes may come ahead of their time."""
        return max(int(self._rate * WINDOW_SECONDS), LEAST_WINDOW) if self._rate else 0

    @property
    def mbit(self) -> float:
        """Mbit/s that came since it was made."""
        return self.passed * 8 / 1e6 / max(self._clock() - self._began, 1e-6)

    def __call__(self, size: int) -> None:
        """Returns when ``size`` bytes have had their time. Raises :class:`OutOfTime`."""
        with self._lock:
            now = self._clock()
            self.passed += size
            if self._rate:
                self._next = max(self._next, now) + size / self._rate
            pause = self._next - now
        if now >= self._deadline or not self._heard():
            raise OutOfTime
        if self._rate and pause > 0:
            self._sleep(min(pause, max(self._deadline - now, 0.0)))


@dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be, and what there is of each wanted dataset."""

    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    datasets: Mapping[str, dict[str, Any]]
    fetched_bytes: int = 0
    mbit: float = 0.0

    @property
    def labels(self) -> dict[str, str]:
        """The labels of a node that has these datasets: of those that are complete."""
        complete = {name: each for name, each in self.datasets.items() if each["state"] == "complete"}
        return {label_of(name): each["version"] for name, each in complete.items()}


def converge(options: Mapping[str, Any], host: Host, limits: Limits, pace: Pace, check: bool = False) -> Outcome:
    """Brings the datasets onto the disk. Raises :class:`HostError` with all that failed; what came is kept."""
    datasets, root = parse(options), options["root"]
    if not os.path.isdir(host.at(root)):
        raise HostError([_no_root(root)])
    try:
        if check:
            planned = _plan(datasets, options, host)
            return Outcome(planned.steps, planned.warnings, _states(planned.datasets, planned.complete))
        with host.locked(f"{root}/.lock", LOCK_SECONDS):
            planned = _plan(datasets, options, host)
            return _Run(planned, host, root, limits, pace).apply()
    except OSError as error:
        raise HostError([unusable_host(error)]) from error


def _plan(datasets: Sequence[DatasetWanted], options: Mapping[str, Any], host: Host) -> Plan:
    planned = plan(datasets, observe(host, options["root"], datasets, options["verify"]), float(options["max_used"]))
    if planned.findings:
        raise HostError(planned.findings)
    return planned


class _Run:
    """One plan being applied."""

    def __init__(self, planned: Plan, host: Host, root: str, limits: Limits, pace: Pace) -> None:
        self.plan = planned
        self.host = host
        self.root = root
        self.limits = limits
        self.pace = pace
        self.applied: list[Step] = []

    def apply(self) -> Outcome:
        try:
            for each in self.plan.datasets:
                self._link(each)
            for path, step in zip(self.plan.remove, self.plan.removals):
                _delete(self.host.at(path))
                self.applied.append(step)
            complete = set(self.plan.complete)
            with contextlib.suppress(OutOfTime):
                for each in self.plan.datasets:
                    self._complete(each)
                    complete.add(each.wanted.name)
                _delete(self.host.at(f"{self.root}/{PARTIAL}"))
        except HostError as error:
            raise HostError(error.findings, self.applied) from error
        states = _states(self.plan.datasets, complete)
        return Outcome(tuple(self.applied), self.plan.warnings, states, self.pace.passed, self.pace.mbit)

    def _link(self, each: DatasetPlan) -> None:
        if not each.link:
            return
        with _Records(self.host, each) as records:
            for file, source in each.link:
                self._install(self.host.at(source), each.facts.home, file)
                records.add(file)
        self._done(each, "link")

    def _complete(self, each: DatasetPlan) -> None:
        home = each.facts.home
        with _Records(self.host, each) as records:
            if each.fetch:
                # Before it is begun: a call that runs out of time has changed something all the same.
                self._done(each, "fetch")
                self._fetch(each, records)
            for path in each.facts.unwanted:
                _delete(self.host.at(f"{home}/{path}"))
                records.forget(path)
            self._done(each, "remove")
        if home != each.wanted.directory:
            os.rename(self.host.at(home), self.host.at(each.wanted.directory))
            sync_directory(os.path.dirname(self.host.at(home)))
            self._done(each, "complete")

    def _fetch(self, each: DatasetPlan, records: _Records) -> None:
        at_once = max(1, self.limits.parallel)
        files = sorted(each.fetch, key=lambda file: (file.sha256, file.path))
        for number in range(0, len(files), at_once):
            batch = files[number : number + at_once]
            downloads = {file: _download(each.wanted, file) for file in batch}
            directory = self.host.at(f"{self.root}/{PARTIAL}")
            fetched = fetch_all(downloads.values(), directory, self.host.at(self.root), self.limits)
            for file in batch:
                _check_size(each.wanted, file, fetched[downloads[file]].path)
                self._install(fetched[downloads[file]].path, each.facts.home, file)
                records.add(file)
            following = files[number + at_once : number + at_once + 1]
            for path in {done.path for done in fetched.values()}:
                if not following or following[0].sha256 != os.path.basename(path):
                    os.unlink(path)

    def _install(self, source: str, home: str, file: FileWanted) -> None:
        """Puts the bytes at ``source`` at the file's place by a rename; a reader meets the old file or the new one."""
        target = self.host.at(f"{home}/{file.path}")
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        temporary = f"{target}.{file.sha256[:12]}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.link(source, temporary)
        os.chmod(temporary, 0o644)
        os.rename(temporary, target)

    def _done(self, each: DatasetPlan, action: str) -> None:
        self.applied += [step for step in each.steps if step.action == action]


class _Records:
    """The record of a dataset's files, written now and then and at the end, whatever the end is."""

    def __init__(self, host: Host, each: DatasetPlan) -> None:
        os.makedirs(host.at(each.facts.home), mode=0o755, exist_ok=True)
        self._host = host
        self._plan = each
        self._files = dict(recorded(host, each.facts.home))
        self._written = float("-inf")

    def __enter__(self) -> _Records:
        for file in self._plan.wanted.files:
            if file.path in self._plan.facts.sound:
                self._files[file.path] = self._entry(file)
        self._write()
        return self

    def __exit__(self, *_error: object) -> None:
        self._write()

    def add(self, file: FileWanted) -> None:
        self._files[file.path] = self._entry(file)
        if time.monotonic() - self._written > RECORD_SECONDS:
            self._write()

    def forget(self, path: str) -> None:
        self._files.pop(path, None)

    def _entry(self, file: FileWanted) -> dict[str, Any]:
        return describe(self._host.at(f"{self._plan.facts.home}/{file.path}"), file.sha256)

    def _write(self) -> None:
        wanted, path = self._plan.wanted, f"{self._plan.facts.home}/{RECORD}"
        self._host.write_json(path, {"name": wanted.name, "version": wanted.version, "files": self._files})
        self._written = time.monotonic()


def _download(dataset: DatasetWanted, file: FileWanted) -> Download:
    return Download(file.url, file.sha256, "", os.path.basename(file.path), f"{dataset.option}.files: {file.path}")


def _check_size(dataset: DatasetWanted, file: FileWanted, path: str) -> None:
    size = os.path.getsize(path)
    if size != file.size:
        said = f"{file.path} of {dataset.name} has {size} bytes with that sha256, not {file.size}."
        raise HostError([problem("dataset-size", f"{dataset.option}.files", said, "correct its size.")])


def _states(plans: Sequence[DatasetPlan], complete: Collection[str]) -> dict[str, dict[str, Any]]:
    return {
        each.wanted.name: {
            "version": each.wanted.version,
            "state": "complete" if each.wanted.name in complete else "incomplete",
            "directory": each.wanted.directory,
            "bytes": each.wanted.size,
        }
        for each in plans
    }


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _no_root(root: str) -> Finding:
    return problem(
        "dataset-root",
        "root",
        f"there is no directory {root}.",
        "mount the data disk and make the directory on it; it is not made here, lest datasets fill another disk.",
    )
