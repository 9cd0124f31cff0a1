"""Control groups of the lab's hosts, on cgroup v1, v2 or both.

A host needs a group of its own in **every** hierarchy, the unified one included, before systemd-nspawn starts: it makes
them the root of the host's view. Sharing one, kubelets of different hosts see and clean up each other's pods.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.process import wait_until

CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")
REMOVED_WITHIN_SECONDS = 5.0


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy. `controllers` is empty for the unified one."""

    mount: Path
    root: str
    controllers: frozenset[str]


def hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The hierarchies in the text of /proc/self/mountinfo, each once."""
    found: dict[frozenset[str], Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _unused, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _unused, options = after.split()[:3]
        if kind == "cgroup2":
            found.setdefault(frozenset(), Hierarchy(Path(mount), root, frozenset()))
        elif kind == "cgroup":
            controllers = frozenset(options.split(",")) - {"rw", "ro", "xattr", "clone_children"}
            named = frozenset(option for option in controllers if not option.startswith("release_agent="))
            found.setdefault(named, Hierarchy(Path(mount), root, named))
    return list(found.values())


def own_group(hierarchy: Hierarchy, membership: str) -> Path:
    """The directory of the group that /proc/self/cgroup (`membership`) names in a hierarchy."""
    for line in membership.splitlines():
        _unused, controllers, path = line.split(":", 2)
        if frozenset(controllers.split(",")) - {""} == hierarchy.controllers:
            inside = path.removeprefix(hierarchy.root) if hierarchy.root != "/" else path
            return hierarchy.mount / inside.lstrip("/")
    return hierarchy.mount


def new_bases(prefix: str) -> list[Path]:
    """Where the groups of a lab go: below the groups that this process is in."""
    membership = Path("/proc/self/cgroup").read_text()
    found = hierarchies(Path("/proc/self/mountinfo").read_text())
    if not found:
        raise LabError("no control group hierarchy is mounted below /sys/fs/cgroup: the lab's hosts need them")
    return [own_group(hierarchy, membership) / prefix for hierarchy in found]


def find_bases(prefix: str) -> list[Path]:
    """The groups of a lab wherever they are; it may have been brought up from other groups than ours."""
    found = []
    for hierarchy in hierarchies(Path("/proc/self/mountinfo").read_text()):
        for directory, below, _unused in os.walk(hierarchy.mount):
            if prefix in below:
                found.append(Path(directory) / prefix)
                below.remove(prefix)
    return found


def has_v1() -> bool:
    return any(hierarchy.controllers for hierarchy in hierarchies(Path("/proc/self/mountinfo").read_text()))


def make(bases: Sequence[Path], host: str) -> list[Path]:
    """The groups of a host, in every hierarchy."""
    groups = [base / host for base in bases]
    for group in groups:
        for level in (group.parent, group):
            level.mkdir(exist_ok=True, parents=True)
            _inherit_cpuset(level)
    return groups


def _inherit_cpuset(group: Path) -> None:
    """A new v1 cpuset is empty and takes no process until it has processors and memory nodes."""
    for name in CPUSET_FILES:
        with contextlib.suppress(FileNotFoundError):
            file = group / name
            if not file.read_text().strip():
                file.write_text((group.parent / name).read_text())


def pids(bases: Sequence[Path], host: str) -> list[int]:
    """Every process of a host, those of its pods included."""
    found: set[int] = set()
    for group in _groups_below(bases[0] / host):
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
    return sorted(found)


def memory(bases: Sequence[Path], host: str) -> int | None:
    """Bytes that a host uses, page cache that could be dropped left out; None when nobody counts."""
    for base in bases:
        group = base / host
        for usage_file, inactive in (
            ("memory.usage_in_bytes", "total_inactive_file"),
            ("memory.current", "inactive_file"),
        ):
            with contextlib.suppress(OSError):
                usage = int((group / usage_file).read_text())
                statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                return usage - int(statistics[inactive])
    return None


def remove(bases: Sequence[Path], host: str | None = None) -> None:
    """Remove the groups of a host, or of the whole lab; its processes must have ended."""
    tops = [base / host if host else base for base in bases]

    def gone() -> bool:
        for top in tops:
            for group in _groups_below(top):
                with contextlib.suppress(OSError):
                    group.rmdir()
        return not any(top.exists() for top in tops)

    if not wait_until(gone, REMOVED_WITHIN_SECONDS):
        left = ", ".join(str(top) for top in tops if top.exists())
        raise LabError(f"control groups cannot be removed: {left}")


def _groups_below(top: Path) -> Iterator[Path]:
    """The group and all below it, innermost first."""
    with contextlib.suppress(OSError):
        for entry in top.iterdir():
            if entry.is_dir():
                yield from _groups_below(entry)
    if top.exists():
        yield top
