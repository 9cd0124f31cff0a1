# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host has the processor that it is said to have; private to this collection."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, problem

CPUINFO = "/proc/cpuinfo"
_MODEL = re.compile(r"^model name\s*:\s*(.*\S)", re.MULTILINE)
_WORD = re.compile(r"[a-z0-9]+")


def models(host: Host) -> list[str]:
    """The host's processors by the names that they give themselves; none on machines whose kernel names none (ARM)."""
    return sorted(set(_MODEL.findall(host.read_text(CPUINFO))))


def judge(wanted: str, found: Sequence[str]) -> tuple[list[Finding], list[str]]:
    """Findings and warnings: every word of ``wanted`` has to be in the name of each processor."""
    if not wanted:
        return [], []
    if not found:
        return [], [f"{CPUINFO} names no processor, so nobody knows whether it is {wanted}."]
    others = [model for model in found if not _words(wanted) <= _words(model)]
    if not others:
        return [], []
    said = f"the host has {', '.join(others)}, not {wanted}."
    return [problem("processor", "processor", said, "correct node_cpu_model, or move the host to another pool.")], []


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
