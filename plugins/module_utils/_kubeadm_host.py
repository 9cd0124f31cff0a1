# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host as the kubeadm modules see it, and the lock and marker that make their work safe to interrupt.

Private to this collection. Everything that touches the machine goes through ``Host``, so that tests give it a root
directory, a runner and an API of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer, Kubeconfig, request
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure, Marker
from ansible_collections.hybridk8s.estate.plugins.module_utils._lock import try_lock

STATE = "/var/lib/hybridk8s/kubeadm"
MARKER = f"{STATE}/in-progress"
LOCK = f"{STATE}/lock"
LOG = f"{STATE}/kubeadm.log"
SECRETS = "/run/hybridk8s/kubeadm"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GRACE = 10.0


@dataclass(frozen=True)
class Completed:
    """A command that has ended. ``rc`` is -1 when it ran past its time."""

    rc: int
    stdout: str = ""
    stderr: str = ""

    @property
    def output(self) -> str:
        """Both streams."""
        return f"{self.stdout}\n{self.stderr}"


class Runner(Protocol):
    """Runs one command. ``log`` takes both streams instead of pipes; ``pass_fds`` stay open in the child."""

    def __call__(
        self, argv: Sequence[str], *, timeout: float, stdin: str = "", log: str = "", pass_fds: Sequence[int] = ()
    ) -> Completed: ...


class Asker(Protocol):
    """Asks the API one question; see ``_kubeadm_api.request``."""

    def __call__(
        self,
        kubeconfig: Kubeconfig,
        method: str,
        path: str,
        timeout: float = 5.0,
        address: tuple[str, int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer: ...


def run_command(
    argv: Sequence[str], *, timeout: float, stdin: str = "", log: str = "", pass_fds: Sequence[int] = ()
) -> Completed:
    """Run in a session of its own: a controller that dies must not take a half-done kubeadm with it.

    For the same reason ``log`` is a file: with a pipe, the next line written after our death would be a SIGPIPE.
    """
    environment = {**os.environ, "PATH": f"{_PATH}:{os.environ.get('PATH', '')}", "LC_ALL": "C"}
    sink = open(log, "wb") if log else None  # noqa: SIM115
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=sink or subprocess.PIPE,
            stderr=subprocess.STDOUT if sink else subprocess.PIPE,
            env=environment,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
        out, err, on_time = _communicate(child, stdin, timeout)
    except OSError as error:
        return Completed(127, "", f"{argv[0]}: {error}")
    finally:
        if sink:
            sink.close()
    text = Path(log).read_text(errors="replace") if log else out
    if not on_time:
        return Completed(-1, text, f"{err}\nerror: {argv[0]} did not end within {timeout:.0f} s and was stopped")
    return Completed(child.returncode, text, err)


def _communicate(child: subprocess.Popen[bytes], stdin: str, timeout: float) -> tuple[str, str, bool]:
    on_time = True
    try:
        out, err = child.communicate(stdin.encode(), timeout)
    except subprocess.TimeoutExpired:
        on_time = False
        os.killpg(child.pid, signal.SIGTERM)
        try:
            out, err = child.communicate(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
    return (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"), on_time


@dataclass(frozen=True)
class Host:
    """One machine: files under ``root``, commands, its view of the API, and time."""

    root: Path = Path("/")
    run: Runner = run_command
    ask: Asker = request
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def path(self, absolute: str) -> Path:
        """Where ``absolute`` lies under the root."""
        return self.root / absolute.lstrip("/")

    def has(self, absolute: str) -> bool:
        """Whether the path exists, as anything, a dangling link included."""
        return os.path.lexists(self.path(absolute))

    def read(self, absolute: str) -> str:
        """The text of a file; empty when there is none or it cannot be read."""
        try:
            return self.path(absolute).read_text(errors="replace")
        except OSError:
            return ""

    def entries(self, absolute: str) -> list[str]:
        """Sorted names in a directory; none when there is no directory."""
        try:
            return sorted(os.listdir(self.path(absolute)))
        except OSError:
            return []

    def write(self, absolute: str, text: str) -> None:
        """Replace a file at once, mode 0600, in directories of mode 0700, on disk when this returns."""
        target = self.path(absolute)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_directory(target.parent)

    def remove(self, absolute: str) -> None:
        """Remove a file, link or tree; nothing there is fine."""
        target = self.path(absolute)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
            return
        with contextlib.suppress(FileNotFoundError):
            target.unlink()

    def wait(self, condition: Callable[[], bool], timeout: float, interval: float = 1.0) -> bool:
        """Ask until it holds or ``timeout`` seconds have passed; asks at least once."""
        end = self.clock() + timeout
        while not condition():
            if self.clock() >= end:
                return False
            self.sleep(interval)
        return True


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_marker(host: Host) -> Marker | None:
    """The marker, if there is one. One that cannot be read still says that something was begun: a join, whose
    recovery assumes least."""
    if not host.has(MARKER):
        return None
    try:
        raw: dict[str, Any] = json.loads(host.read(MARKER))
        return Marker(**{**raw, "found": tuple(raw.get("found", ()))})
    except (ValueError, TypeError):
        return Marker(action="join", started="unknown", version="unknown")


def write_marker(host: Host, marker: Marker) -> None:
    """Atomic and on disk when this returns."""
    host.write(MARKER, json.dumps(asdict(marker), indent=2) + "\n")


@contextlib.contextmanager
def locked(host: Host, timeout: float) -> Iterator[int]:
    """Hold the host's kubeadm lock; yields the descriptor that children must inherit.

    The lock belongs to the open file, which kubeadm inherits: it is held until kubeadm has ended, even when the module
    that started it was killed. Raises Failure after ``timeout`` seconds.
    """
    lock = host.path(LOCK)
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not host.wait(lambda: try_lock(descriptor), timeout):
            marker = read_marker(host)
            what = f"kubeadm {marker.action}, begun {marker.started}" if marker else "another run"
            raise Failure(
                f"{what} still works on this host after {timeout:.0f} s of waiting. Its output: {LOG}."
                f" Wait and run again, or end it (`fuser -v {LOCK}` names it)."
            )
        yield descriptor
    finally:
        os.close(descriptor)


def busy(host: Host) -> bool:
    """Whether kubeadm, or a module that drives it, is at work on this host now."""
    try:
        descriptor = os.open(host.path(LOCK), os.O_RDONLY)
    except OSError:
        return False
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)
