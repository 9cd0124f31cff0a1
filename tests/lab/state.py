"""What a lab keeps between commands: one directory below the cache, gone after `down`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.build.store import cache_root
from tests.lab.errors import NotUp
from tests.lab.files import write_atomically
from tests.lab.identity import Identity
from tests.lab.process import run
from tests.lab.progress import say


@dataclass(frozen=True)
class State:
    """Paths and records of one lab."""

    identity: Identity

    @property
    def root(self) -> Path:
        return cache_root() / "labs" / self.identity.id

    @property
    def exists(self) -> bool:
        return self._record.exists()

    @property
    def ssh(self) -> Path:
        return self.root / "ssh"

    @property
    def services(self) -> Path:
        return self.root / "services"

    @property
    def hosts(self) -> Path:
        return self.root / "hosts"

    def host(self, name: str) -> Path:
        return self.hosts / name

    @property
    def _record(self) -> Path:
        return self.root / "lab.json"

    def save(self, record: Mapping[str, Any]) -> None:
        write_atomically(self._record, json.dumps(record, indent=1))

    def load(self) -> dict[str, Any]:
        """The record of the lab; NotUp when there is none."""
        try:
            return dict(json.loads(self._record.read_text()))
        except FileNotFoundError:
            raise NotUp("the lab is not up; `./lab up` boots it") from None

    def remove(self) -> None:
        """Delete the directory, what is still mounted below it first taken off."""
        for target in _mounts_below(self.root):
            run(["umount", "--lazy", target])
        if self.root.exists():
            shutil.rmtree(self.root)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One command at a time changes a lab; another waits."""
        path = self.root.with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another command is changing this lab right now; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _mounts_below(root: Path) -> list[str]:
    """Mount points below `root`, innermost first."""
    targets = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((target for target in targets if target.startswith(f"{root}/")), reverse=True)
