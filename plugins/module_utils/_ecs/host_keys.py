# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SSH host keys of new instances, from their consoles into a file of known hosts; private to this collection.

Each key stands under its instance's id: an address may have been another instance's before, with another key.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import Cloud, all_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._whole_file import write_text

# How cloud-init frames the keys that it shows at an instance's first boot.
_BEGIN, _END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"
_KEY = re.compile(r"\b(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{40,}={0,2}(?=\s|$)")
_POLL_SECONDS = 2.0


def keys_in(console: str) -> tuple[str, ...]:
    """The keys that a console shows, those of the last boot that tells any."""
    rest = console.rpartition(_BEGIN)[2]
    if _BEGIN not in console or _END not in rest:
        return ()
    lines = rest.partition(_END)[0].splitlines()
    return tuple(match.group() for line in lines if (match := _KEY.search(line)))


def names_in(known_hosts: str) -> set[str]:
    """Whom a file of known hosts knows."""
    return {name for line in known_hosts.splitlines() for name in _names(line)}


def without(known_hosts: str, names: Collection[str]) -> str:
    """The file without the lines of these alone; all others stay as they are."""
    return "".join(
        line for line in known_hosts.splitlines(keepends=True) if not _names(line) or not _names(line) <= {*names}
    )


def with_keys(known_hosts: str, keys: Mapping[str, Sequence[str]]) -> str:
    """The file with these keys behind all others, by name."""
    end = "" if not known_hosts or known_hosts.endswith("\n") else "\n"
    return known_hosts + end + "".join(f"{name} {key}\n" for name, some in sorted(keys.items()) for key in some)


def shown(cloud: Cloud, instances: Sequence[str], seconds: float) -> dict[str, tuple[str, ...]]:
    """The keys of instances that show them within that time."""
    deadline = time.monotonic() + seconds
    found: dict[str, tuple[str, ...]] = {}
    left = list(instances)
    while left:
        found.update((one, keys) for one, keys in zip(left, all_of(lambda one: _ask(cloud, one), left)) if keys)
        left = [one for one in left if one not in found]
        if not left or time.monotonic() > deadline:
            break
        cloud.pause(_POLL_SECONDS)
    return found


def read(path: Path) -> str:
    """What the file has; a file that is not there knows nobody."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return ""


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Change the file in one step, one run after the other. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path.parent):
        before = read(path)
        after = change(before)
        if after == before:
            return
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        write_text(str(path), after, mode)


def _ask(cloud: Cloud, instance: str) -> tuple[str, ...]:
    output = cloud.call("GetInstanceConsoleOutput", InstanceId=instance).get("ConsoleOutput") or ""
    return keys_in(base64.b64decode(output).decode("utf-8", "replace"))


def _names(line: str) -> set[str]:
    first = line.split(" ", 1)[0].strip()
    return set() if first.startswith(("#", "@")) else {name for name in first.split(",") if name}


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
