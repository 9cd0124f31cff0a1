"""Limits of the machine's kernel that all containers share, and that a few dozen systemds would exhaust."""

from __future__ import annotations

from pathlib import Path

from tests.lab.progress import say

# Without an inotify instance to watch its mounts with, a systemd waits for them for ever. The default, 128, is not
# enough for two labs. Raised and never lowered: others may rely on it by the time a lab goes down.
AT_LEAST = {
    "fs.inotify.max_user_instances": 8192,
    "fs.inotify.max_user_watches": 524288,
}


def raise_limits(root: Path = Path("/proc/sys")) -> None:
    for name, least in AT_LEAST.items():
        file = root / name.replace(".", "/")
        if int(file.read_text()) < least:
            file.write_text(f"{least}\n")
            say(f"raised the kernel's {name} to {least}")
