# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FRR as vtysh shows it, and its configuration file; private to this collection, runs on the switch.

Configuration goes to vtysh in files that only root can read: passwords are in it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import hide
from ansible_collections.hybridk8s.estate.plugins.module_utils._lock import try_lock
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import SwitchError

LOCK_SECONDS = 60.0


class Switch:
    """The FRR of this host. ``run`` gives status, output and errors of a command; ``directory`` takes private files."""

    def __init__(self, vtysh: str, run: Callable[[list[str]], tuple[int, str, str]], directory: str) -> None:
        self._vtysh = vtysh
        self._run = run
        self._directory = directory

    def show(self, what: str) -> str:
        """What ``show`` prints; raises :class:`SwitchError` when FRR does not answer."""
        rc, out, err = self._run([self._vtysh, "-c", f"show {what}"])
        if rc:
            raise SwitchError(
                f"vtysh -c 'show {what}' failed: {hide((err or out).strip())}. Check that FRR runs on this host."
            )
        return out

    def running(self) -> str:
        """The running configuration; raises :class:`SwitchError` when no bgpd runs."""
        if "bgpd" not in self.show("daemons").split():
            raise SwitchError("bgpd does not run. Set bgpd=yes in /etc/frr/daemons on the switch and restart FRR.")
        return self.show("running-config")

    def refusal(self, text: str) -> str:
        """What FRR's parser says against a configuration, or an empty string."""
        return self._with_file("-C", text)

    def load(self, lines: Sequence[str]) -> str:
        """Load lines into the running daemons; what they say against it, or an empty string."""
        return self._with_file("", "".join(f"{line}\n" for line in lines))

    def _with_file(self, flag: str, text: str) -> str:
        descriptor, path = tempfile.mkstemp(dir=self._directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                stream.write(text)
            rc, out, err = self._run([self._vtysh, *([flag] if flag else []), "-f", path])
        finally:
            os.unlink(path)
        said = [hide(line.strip()) for line in (out + err).splitlines() if line.strip()]
        return "; ".join(said or [f"vtysh ended with {rc}"]) if rc else ""


def text_of(path: str) -> str:
    """The file's content as it stands; an empty text when there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
        return stream.read()


def write(path: str, text: str, move: Callable[[str, str], None]) -> None:
    """Replace a file in one step; a new one belongs to the owner of its directory, a known one keeps its owner."""
    descriptor, new = tempfile.mkstemp(dir=os.path.dirname(path))
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    if not os.path.exists(path):
        owner = os.stat(os.path.dirname(path))
        os.chown(new, owner.st_uid, owner.st_gid)
        os.chmod(new, 0o640)
    move(new, path)


@contextlib.contextmanager
def alone(path: str) -> Iterator[None]:
    """Run while nobody else changes ``path`` in this way: runs of two estates would undo each other's lines in it.

    Raises :class:`SwitchError` when another run goes on for too long.
    """
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise SwitchError(
                    f"another run has been changing {path} for {LOCK_SECONDS:.0f} s. Wait for it, or end it."
                )
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)
