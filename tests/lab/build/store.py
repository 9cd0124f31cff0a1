"""The cache of built things: keyed by what goes in, made in a temporary place, renamed into place when whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]

HEARTBEAT_SECONDS = 20.0


class BuildError(Exception):
    """Something could not be built; the text names it, the cause and the remedy or the log."""


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cache_root() -> Path:
    """$HYBRIDK8S_CACHE, or its default below the user's cache directory."""
    return Path(os.environ.get("HYBRIDK8S_CACHE") or Path.home() / ".cache" / "hybridk8s-estate")


def key_of(*parts: object) -> str:
    """A short key that changes when any part does. Parts are JSON-able values, bytes or paths (their content)."""
    digest = hashlib.sha256()
    for part in parts:
        data = _bytes_of(part)
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


def _bytes_of(part: object) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, Path):
        return part.read_bytes()
    return json.dumps(part, sort_keys=True).encode()


@dataclass(frozen=True)
class Item:
    """A thing to build. `make` fills the path it is given: a directory that exists and is empty."""

    kind: str
    name: str
    key: str
    make: Callable[[Path], None]

    @property
    def label(self) -> str:
        return f"{self.kind}/{self.name}"


def _is_key_of(path: Path, item: Item) -> bool:
    return re.fullmatch(r"[0-9a-f]{16}", path.name.removeprefix(f"{item.name}-")) is not None


def _remove(directory: Path) -> None:
    """A killed mmdebstrap may have left mounts of the machine's own directories below it: they are not entered."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(directory)], check=True)


@dataclass(frozen=True)
class Store:
    """Built items below `root`, as `<kind>/<name>-<key>`."""

    root: Path
    progress: Progress = to_stderr

    def path(self, item: Item) -> Path:
        return self.root / item.kind / f"{item.name}-{item.key}"

    def has(self, item: Item) -> bool:
        return self.path(item).is_dir()

    def log(self, kind: str, name: str) -> Path:
        """Where the commands that build an item write."""
        return self.root / "logs" / f"{kind}-{name}.log"

    def ensure(self, item: Item) -> Path:
        """The item's directory, built by this process or by another that holds the item's lock."""
        path = self.path(item)
        if self.has(item):
            return path
        with self._lock(item):
            if not self.has(item):
                self._build(item, path)
        return path

    def prune(self, keep: Iterable[Item]) -> list[Path]:
        """Remove every other key of the kinds and names in `keep`; the removed paths."""
        kept = list(keep)
        paths = {self.path(item) for item in kept}
        removed = []
        for item in kept:
            with self._lock(item):
                stale = [
                    p for p in self.path(item).parent.glob(f"{item.name}-*") if p not in paths and _is_key_of(p, item)
                ]
                for path in stale:
                    _remove(path)
                removed += stale
        return removed

    def _build(self, item: Item, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{item.name}.tmp"
        _remove(temporary)
        temporary.mkdir()
        self.log(item.kind, item.name).unlink(missing_ok=True)
        started = time.monotonic()
        with self._heartbeat(item):
            try:
                item.make(temporary)
            except BuildError as error:
                raise BuildError(f"{item.label}: {error}") from error
            except OSError as error:
                raise BuildError(f"{item.label}: {error}; are its inputs built?") from error
        temporary.rename(path)
        elapsed = time.monotonic() - started
        self._remember(item, elapsed)
        self.progress(f"{item.label}: done in {elapsed:.0f} s")

    @contextlib.contextmanager
    def _lock(self, item: Item) -> Iterator[None]:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / f"{item.kind}-{item.name}").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.progress(f"{item.label}: another process builds it, waiting")
                fcntl.flock(handle, fcntl.LOCK_EX)
            # mmdebstrap survives a killed parent for a while: its directory is not free before it has ended.
            os.set_inheritable(handle.fileno(), True)
            try:
                yield
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _heartbeat(self, item: Item) -> Iterator[None]:
        last = self.durations().get(item.label)
        expectation = f"last time {last:.0f} s" if last is not None else "first time"
        self.progress(f"{item.label}: building ({expectation})")
        started = time.monotonic()
        finished = threading.Event()

        def beat() -> None:
            while not finished.wait(HEARTBEAT_SECONDS):
                self.progress(f"{item.label}: {time.monotonic() - started:.0f} s ({expectation})")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()

    def durations(self) -> dict[str, float]:
        """Seconds that the last build of each item took, by its label."""
        try:
            return {str(k): float(v) for k, v in json.loads(self._durations_path.read_text()).items()}
        except (OSError, ValueError):
            return {}

    @property
    def _durations_path(self) -> Path:
        return self.root / "durations.json"

    def _remember(self, item: Item, seconds: float) -> None:
        with (self.root / "locks" / "durations").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            durations = {**self.durations(), item.label: round(seconds, 1)}
            temporary = self._durations_path.with_suffix(".tmp")
            temporary.write_text(json.dumps(durations, indent=1, sort_keys=True))
            temporary.rename(self._durations_path)
