# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that run on managed hosts share: the host they work on, and files that are never half written.

Private to this collection. Every path is absolute as a person writes it; :meth:`Host.at` says where it lies, so that
tests give a temporary directory as the host.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._lock import try_lock
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

STATE_DIRECTORY = "/var/lib/hybridk8s"
COMMAND_NOT_FOUND = 127
TEMPORARY_SUFFIX = ".hybridk8s"


class HostError(Exception):
    """Work on a host that cannot start or go on: every finding at once, and the steps that were applied before it."""

    def __init__(self, findings: Sequence[Finding], applied: Sequence[Step] = ()) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)
        self.applied = tuple(applied)


@dataclass(frozen=True)
class Ran:
    """How a command ended. ``rc`` is 127 when there is no such command, 124 when it ran out of time."""

    rc: int
    out: str = ""
    err: str = ""

    @property
    def said(self) -> str:
        """What it printed, in one line short enough for a message."""
        return " / ".join(line.strip() for line in (self.err + "\n" + self.out).splitlines() if line.strip())[:600]


Runner = Callable[[Sequence[str], float], Ran]


def run_command(argv: Sequence[str], timeout: float) -> Ran:
    """Runs a program without a shell, in the C locale, with the administrator's directories on ``PATH``."""
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin",
        "SYSTEMD_PAGER": "",
    }
    try:
        done = subprocess.run(
            list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, env=environment, check=False
        )
    except FileNotFoundError:
        return Ran(COMMAND_NOT_FOUND, err=f"{argv[0]}: no such command")
    except PermissionError as error:
        return Ran(126, err=str(error))
    except subprocess.TimeoutExpired:
        return Ran(124, err=f"{argv[0]} did not end within {timeout:.0f} s")
    return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


@dataclass(frozen=True)
class Host:
    """The machine that is worked on: where its root directory is and how a program is run on it."""

    root: str = "/"
    run: Runner = run_command

    def at(self, path: str) -> str:
        """Where the absolute ``path`` of the host lies."""
        return os.path.join(self.root, path.lstrip("/"))

    def resolve(self, path: str) -> str:
        """The path that ``path`` leads to when its last component is a chain of links; not the last of a loop."""
        for _hop in range(40):
            try:
                target = os.readlink(self.at(path))
            except OSError:
                return path
            path = os.path.normpath(os.path.join(os.path.dirname(path), target))
        return path

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, or None when it is not there or cannot be read."""
        try:
            with open(self.at(path), "rb") as stream:
                return stream.read()
        except OSError:
            return None

    def read_text(self, path: str) -> str:
        """The text of a file; empty when it is not there."""
        return (self.read(path) or b"").decode(errors="replace")

    def entries(self, path: str) -> list[str]:
        """Sorted names in a directory; none when it is not there or cannot be read."""
        try:
            return sorted(os.listdir(self.at(path)))
        except OSError:
            return []

    def read_json(self, path: str) -> dict[str, Any]:
        """The object in a JSON file; empty when there is none or it does not hold one."""
        try:
            value = json.loads(self.read_text(path) or "{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def write_json(self, path: str, value: dict[str, Any]) -> None:
        """Writes a state record, readable by root alone."""
        os.makedirs(os.path.dirname(self.at(path)), mode=0o755, exist_ok=True)
        text = json.dumps(value, indent=1, sort_keys=True) + "\n"
        write_atomic(self.at(path), text.encode(), mode=0o600)

    @contextmanager
    def locked(self, path: str, timeout: float) -> Iterator[None]:
        """Holds the lock file ``path``, so that two runs at once work one after the other.

        Raises :class:`HostError` when another run still holds it after ``timeout`` seconds.
        """
        os.makedirs(os.path.dirname(self.at(path)), mode=0o755, exist_ok=True)
        descriptor = os.open(self.at(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + timeout
            while not try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise HostError(
                        [
                            problem(
                                "lock",
                                path,
                                f"another run has held {path} for {timeout:.0f} s.",
                                "wait for it, or end it if it hangs.",
                            )
                        ]
                    )
                time.sleep(0.1)
            yield
        finally:
            os.close(descriptor)


def problem(code: str, variable: str, message: str, remedy: str) -> Finding:
    """A finding on the host itself, which stops the work before anything is touched."""
    return Finding(code=code, severity=ERROR, host="", variable=variable, message=message, remedy=remedy)


def unusable_host(error: OSError) -> Finding:
    """The finding for a host on which something cannot be read or recorded."""
    return problem(
        "host",
        error.filename or STATE_DIRECTORY,
        f"{error.strerror or error}.",
        "run with become as root, and look for a full, read-only or failing file system.",
    )


def kernel_version(release: str) -> tuple[int, ...]:
    """The first three numbers of a kernel's release, such as 6.8.0-134-generic."""
    numbers = [int(number) for number in re.findall(r"\d+", release.partition("-")[0])[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def digest(content: bytes) -> str:
    """The SHA-256 of ``content``, in hex."""
    return hashlib.sha256(content).hexdigest()


def write_atomic(path: str, content: bytes, mode: int, uid: int = -1, gid: int = -1) -> None:
    """Puts ``content`` at ``path`` by a rename: a reader, or a power cut, meets the old file or the new one.

    A symbolic link at ``path`` is replaced, not followed. The security label and access list of a file that was there
    are kept. ``uid`` and ``gid`` of -1 leave the owner of the process. Raises ``OSError``.
    """
    temporary = _temporary(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            # chown clears the set-id bits, so it goes first.
            os.fchown(stream.fileno(), uid, gid)
            _copy_attributes(path, temporary)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def link_atomic(path: str, target: str) -> None:
    """Makes ``path`` a symbolic link to ``target``; whoever follows it meets the old target or the new one."""
    temporary = _temporary(path)
    os.symlink(target, temporary)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Makes the entries of a directory last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Whether a file of this name is what a killed run left of an atomic write."""
    return name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)


def _temporary(path: str) -> str:
    """A name beside ``path``, hidden from readers of configuration directories, always the same so that what a killed
    run left is found and removed. The lock of the module keeps two runs from using it at once."""
    name = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}{TEMPORARY_SUFFIX}")
    if os.path.lexists(name):
        os.unlink(name)
    return name


def _copy_attributes(source: str, destination: str) -> None:
    for name in ("security.selinux", "system.posix_acl_access"):
        try:
            os.setxattr(destination, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
        except OSError:  # absent, or a file system without it
            continue
