# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._host import converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_options import parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_processor import judge, models

from tests.unit.plugins.module_utils.host_fake import Machine

XEON = "INTEL(R) XEON(R) PLATINUM 8570"
EPYC = "AMD EPYC 9654 96-Core Processor"


@pytest.mark.parametrize(
    ("wanted", "found", "refused"),
    [
        ("", [EPYC], False),
        ("Xeon-8570", [XEON], False),
        ("xeon_platinum", [XEON], False),
        ("Xeon-857", [XEON], True),
        ("Xeon-8570", [EPYC], True),
        ("Xeon-8570", [EPYC, XEON], True),
        ("EPYC-9654", [EPYC], False),
    ],
)
def test_each_word_is_in_the_name_of_each_processor(wanted: str, found: list[str], refused: bool) -> None:
    findings, warnings = judge(wanted, found)
    assert (bool(findings), warnings) == (refused, [])


def test_a_kernel_that_names_none_is_a_warning() -> None:
    assert judge("Neoverse-N2", []) == (
        [],
        ["/proc/cpuinfo names no processor, so nobody knows whether it is Neoverse-N2."],
    )


def test_models_are_named_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write("/proc/cpuinfo", f"processor\t: 0\nmodel name\t: {XEON}\nprocessor\t: 1\nmodel name\t: {XEON} \n")
    assert models(machine.host) == [XEON]


def test_nothing_is_touched_on_a_host_with_another_processor(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write("/proc/cpuinfo", f"model name\t: {EPYC}\n")
    wanted = parse({"name": "host", "files": [{"path": "/etc/x", "content": "x"}], "processor": "Xeon-8570"})
    with pytest.raises(HostError, match=f"the host has {EPYC}, not Xeon-8570. .*correct node_cpu_model"):
        converge(wanted, machine.host)
    assert not (tmp_path / "etc" / "x").exists()
