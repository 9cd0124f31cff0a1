# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marks of drains on nodes, and the runs that set them; private to this collection.

A node that was schedulable and is being drained has the annotation ``estate.hybridk8s.io/draining``. It names the run,
which is a Lease in ``kube-system`` that the run renews. A mark whose run has died is word of how the node was.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    MANAGED_BY,
    OWN_PREFIX,
    Cluster,
    KubeError,
    Object,
    segment,
)

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
LEASE_SECONDS = 30
RENEW_SECONDS = 10.0
_KIND = {OWN_PREFIX + "run": "node-drain"}
_PROCESS = OWN_PREFIX + "process"
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_LOOK_SECONDS = 2.0
# No two clocks are so far apart: a lease that old has died, whoever's clock is right.
_LONG_DEAD = timedelta(minutes=10)


@dataclass(frozen=True)
class Process:
    """A process of this machine since it was started; another container is another ``place``."""

    place: str
    pid: int
    began: str

    def __str__(self) -> str:
        return f"{self.place} {self.pid} {self.began}"


class Life(Enum):
    """Whether a run still goes on."""

    GOES_ON = 1
    OVER = 2
    UNKNOWN = 3


@dataclass(frozen=True)
class Mark:
    """Who is draining a node; ``run`` is empty where the annotation names none."""

    run: str = ""
    holder: str = ""

    def text(self, now: datetime) -> str:
        return json.dumps({"run": self.run, "by": self.holder, "since": f"{now:%Y-%m-%dT%H:%M:%SZ}"})


def mark_of(annotation: str) -> Mark:
    """The mark that an annotation holds; the first releases wrote words only."""
    try:
        said = json.loads(annotation)
        return Mark(str(said["run"]), str(said.get("by", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Mark()


def this_process() -> Process:
    """The process that asks; without a place where the system does not tell."""
    return _process(os.getpid())


def life_of(lease: Object, now: datetime, here: Process, exists: Callable[[Process], bool]) -> Life:
    """What one look at a run's lease says."""
    process = (lease["metadata"].get("annotations") or {}).get(_PROCESS, "").rsplit(" ", 2)
    if len(process) == 3 and process[0] and process[0] == here.place:
        return Life.GOES_ON if exists(Process(process[0], int(process[1]), process[2])) else Life.OVER
    renewed = lease.get("spec", {}).get("renewTime")
    if not renewed or now - datetime.strptime(renewed, _TIME).replace(tzinfo=timezone.utc) > _LONG_DEAD:
        return Life.OVER
    return Life.UNKNOWN


@dataclass
class Runs:
    """The runs that the cluster knows of, besides our own."""

    cluster: Cluster
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    over: set[str] = field(default_factory=set)

    def going_on(self, marks: Collection[Mark], patient: bool) -> dict[str, str]:
        """The holders of those of these runs that go on, by the run's name; finds in passing which are ``over``.

        A run elsewhere shows that it lives by renewing its lease, which takes a while to see: up to the lease's time,
        and only when a mark names one. Without ``patient`` it counts as living.
        """
        names = {mark.run for mark in marks if mark.run}
        first = self._leases()
        verdicts = {name: self._look(lease) for name, lease in first.items()}
        verdicts.update(dict.fromkeys(names - set(first), Life.OVER))
        deadline = self.clock() + LEASE_SECONDS
        while patient and any(verdicts[name] is Life.UNKNOWN for name in names):
            if self.clock() >= deadline:
                verdicts.update({name: Life.OVER for name in names if verdicts[name] is Life.UNKNOWN})
                break
            self.sleep(_LOOK_SECONDS)
            now = self._leases()
            for name in names:
                if verdicts[name] is Life.UNKNOWN and _renewal(now.get(name)) != _renewal(first[name]):
                    verdicts[name] = Life.GOES_ON if name in now else Life.OVER
        self.over = {name for name, life in verdicts.items() if life is Life.OVER}
        return {mark.run: mark.holder for mark in marks if mark.run and mark.run not in self.over}

    def bury(self) -> None:
        """Delete the leases of runs that are over."""
        for name in sorted(self.over):
            self.cluster.delete(f"{LEASES}/{segment(name)}")

    def _leases(self) -> dict[str, Object]:
        selector = ",".join(f"{key}={value}" for key, value in _KIND.items())
        found = self.cluster.list(LEASES, {"labelSelector": selector})
        return {lease["metadata"]["name"]: lease for lease in found}

    def _look(self, lease: Object) -> Life:
        return life_of(lease, datetime.now(timezone.utc), this_process(), _exists)


class Run:
    """This run: a lease that a thread renews until ``end``. ``lost`` is called when another run has taken it away."""

    def __init__(self, cluster: Cluster, lost: Callable[[KubeError], None]) -> None:
        self.name = f"estate-drain-{uuid.uuid4().hex[:8]}"
        self._cluster = cluster
        self._lost = lost
        self._process = this_process()
        self.holder = f"{socket.gethostname()} pid {self._process.pid}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.mark = Mark(self.name, self.holder).text(datetime.now(timezone.utc))

    def begin(self) -> None:
        now = _now()
        spec = {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now,
            "renewTime": now,
        }
        metadata = {
            "name": self.name,
            "namespace": "kube-system",
            "labels": {**MANAGED_BY, **_KIND},
            "annotations": {_PROCESS: str(self._process)},
        }
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        try:
            self._cluster.create(LEASES, body)
        except KubeError as error:
            if error.status != 409:  # the answer to the first try was lost
                raise
        self._thread.start()

    def end(self) -> None:
        """Stop renewing, and delete the lease; one that cannot be deleted runs out."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)
        with contextlib.suppress(KubeError):
            self._cluster.delete(self._path)

    @property
    def _path(self) -> str:
        return f"{LEASES}/{segment(self.name)}"

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            try:
                self._cluster.merge(self._path, {"spec": {"renewTime": _now()}})
            except KubeError as error:
                if error.status == 404:
                    self._lost(
                        KubeError(f"the lease {self.name} of this run was deleted: another run took it for dead.")
                    )
                    return


def _now() -> str:
    return datetime.now(timezone.utc).strftime(_TIME)


def _renewal(lease: Mapping[str, Mapping[str, object]] | None) -> object:
    return lease["spec"].get("renewTime") if lease else None


def _exists(process: Process) -> bool:
    return _process(process.pid) == process


def _process(pid: int) -> Process:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        namespace = os.readlink("/proc/self/ns/pid")
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return Process("", pid, "")
    # A process that has ended and was not waited for is none.
    return Process(f"{boot}/{namespace}" if fields[0] != "Z" else "", pid, fields[19])
