"""Running the commands that build things."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.build.store import BuildError

LOG_TAIL_LINES = 25
# Builds end with a killed parent, and leave the machine to others.
BEHAVED = ("setpriv", "--pdeathsig", "TERM", "--", "nice", "-n", "10")


def run_logged(
    argv: Sequence[str], log: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run `argv` at low priority with its output appended to `log`; BuildError with the end of the log if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as handle:
        handle.write(f"$ {' '.join(argv)}\n".encode())
        handle.flush()
        result = subprocess.run(
            [*BEHAVED, *argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            close_fds=False,  # the store's locks are inheritable
            check=False,
        )
    if result.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise BuildError(f"{argv[0]} failed with status {result.returncode}; the log is {log} and ends:\n{tail}")


def output_of(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Standard output of `argv`; BuildError with its standard error if it fails."""
    result = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise BuildError(f"{' '.join(argv)} failed with status {result.returncode}: {result.stderr.strip()}")
    return result.stdout
