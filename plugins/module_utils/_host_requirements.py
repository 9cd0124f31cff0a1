# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host must have or keep before anything on it is touched; private to this collection."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, kernel_version, problem
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_files import FileWanted

KERNEL_RELEASE = "/proc/sys/kernel/osrelease"
CGROUP_2 = "/sys/fs/cgroup/cgroup.controllers"


@dataclass(frozen=True)
class Requirement:
    """One thing that the host must have, for the ``reason``: a kernel as new as that, a path, cgroups of version 2."""

    option: str
    reason: str
    kernel: str = ""
    path: str = ""
    cgroup: int = 0


@dataclass(frozen=True)
class Frozen:
    """Keys of the JSON file ``path`` that keep their values while ``state`` exists."""

    option: str
    path: str
    keys: tuple[str, ...]
    state: str
    remedy: str


def judge(host: Host, requirements: Sequence[Requirement]) -> list[Finding]:
    """A finding for each requirement that the host does not meet."""
    findings = []
    for wanted in requirements:
        lack, remedy = _lack(host, wanted)
        if lack:
            findings.append(problem("requirement", wanted.option, f"{wanted.reason} needs {lack}.", remedy))
    return findings


def _lack(host: Host, wanted: Requirement) -> tuple[str, str]:
    if wanted.kernel:
        release = host.read_text(KERNEL_RELEASE).strip()
        if kernel_version(release) < kernel_version(wanted.kernel):
            return (
                f"Linux {wanted.kernel} or newer, and the host has {release or 'an unknown one'}",
                "upgrade the kernel.",
            )
    if wanted.path and not os.path.exists(host.at(wanted.path)):
        return f"{wanted.path}, which the host does not have", "install or enable what makes it."
    if wanted.cgroup and not os.path.exists(host.at(CGROUP_2)):
        return "cgroups of version 2, and the host has version 1", "boot with systemd.unified_cgroup_hierarchy=1."
    return "", ""


def judge_frozen(host: Host, frozen: Sequence[Frozen], files: Sequence[FileWanted]) -> list[Finding]:
    """A finding for each file that would give a frozen key another value; a key that is not there has none."""
    findings = []
    wanted = {file.path: file for file in files}
    for one in frozen:
        if not os.path.exists(host.at(one.state)):
            continue
        before, after = host.read_json(one.path), _content(wanted.get(one.path))
        changed = [key for key in one.keys if before.get(key) != after.get(key)]
        if changed:
            said = ", ".join(f"{key} from {_shown(before, key)} to {_shown(after, key)}" for key in changed)
            findings.append(
                problem("frozen", one.option, f"{one.path} would change {said}, and {one.state} exists.", one.remedy)
            )
    return findings


def _content(file: FileWanted | None) -> Mapping[str, Any]:
    if file is None or file.state != "file":
        return {}
    try:
        value = json.loads(file.content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key], sort_keys=True) if key in values else "nothing"
