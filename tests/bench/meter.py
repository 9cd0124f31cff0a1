"""What a command costs on this machine: ``python -m tests.bench.meter FILE -- COMMAND``, for any COMMAND.

Writes wall and CPU seconds of the command and everything it started to FILE as JSON and exits as the command does. That
includes what outlives the command: kept ssh connections, which are closed here, so that every measured run begins
without any. Managed hosts of the lab are no descendants and cost nothing here.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Usage:
    """Seconds; ``started`` is the time of day in seconds since 1970, ``load`` the machine's load average then.

    ``peak`` is the memory in MB of the largest of the processes.
    """

    status: int
    started: float
    wall: float
    user: float
    system: float
    load: float
    peak: float

    @property
    def cpu(self) -> float:
        return self.user + self.system


def meter(command: list[str]) -> Usage:
    """Run a command to its end and account for all of its descendants, orphans too."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    load, started, clock = os.getloadavg()[0], time.time(), time.monotonic()
    status = subprocess.run(command, check=False).returncode
    wall = time.monotonic() - clock
    _end_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(status, started, wall, used.ru_utime, used.ru_stime, load, used.ru_maxrss / 1024)


def _end_orphans() -> None:
    """Only a process that was waited for counts among the children of ``getrusage``."""
    while orphans := Path("/proc/thread-self/children").read_text().split():
        for pid in map(int, orphans):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    usage = meter(sys.argv[sys.argv.index("--") + 1 :])
    Path(sys.argv[1]).write_text(json.dumps(asdict(usage)))
    sys.exit(usage.status)
