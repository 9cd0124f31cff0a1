"""Running commands, and finding and ending the lab's own processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from tests.lab.errors import LabError

PROC = Path("/proc")
GONE_WITHIN_SECONDS = 10.0


def run(argv: Sequence[str | Path], *, stdin: str | None = None) -> str:
    """Standard output of a command; LabError with its standard error when it fails."""
    result = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        shown = " ".join(str(a) for a in argv)
        raise LabError(f"`{shown}` failed with status {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def start(argv: Sequence[str | Path], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a process that outlives this command: its own session, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(a) for a in argv],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )


def all_pids() -> list[int]:
    return sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not yet waited for does not."""
    try:
        state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def is_own_ancestor(pid: int) -> bool:
    """Whether this process descends from `pid`, or is it."""
    current = os.getpid()
    while current > 1:
        if current == pid:
            return True
        try:
            current = int((PROC / str(current) / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def environment_of(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
    return []


def kill(pid: int) -> None:
    """End one process at once, as a power cut does."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_all(find: Callable[[], Collection[int]], what: str) -> None:
    """End every process that `find` finds, until it finds none; LabError when some don't go."""

    def none_left() -> bool:
        pids = [pid for pid in find() if is_alive(pid)]
        for pid in pids:
            kill(pid)
        return not pids

    if not wait_until(none_left, GONE_WITHIN_SECONDS):
        raise LabError(f"{what}: processes {sorted(find())} do not end; run the command again")


def wait_until(condition: Callable[[], bool], seconds: float, *, interval: float = 0.05) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def listens(pid: int, port: int, *, protocol: str = "tcp") -> bool:
    """Whether something in the network namespace of `pid` listens on the port."""
    listening = "0A" if protocol == "tcp" else "07"
    for table in (protocol, f"{protocol}6"):
        with contextlib.suppress(OSError):
            for line in (PROC / str(pid) / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == listening and int(fields[1].rpartition(":")[2], 16) == port:
                    return True
    return False
