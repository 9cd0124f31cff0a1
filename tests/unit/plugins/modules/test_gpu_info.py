# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module says of each machine: facts, and findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import gpu_info

from tests.unit.plugins.module_utils._gpu.machines import MACHINES, built
from tests.unit.plugins.modules.cluster_fake import run


@dataclass
class Expected:
    """The facts that tell a machine from others. ``last`` is the last branch that serves it."""

    models: list[str] = field(default_factory=list)
    architecture: str = ""
    version: str = ""
    flavour: str = ""
    switches: int = 0
    needs_manager: bool = False
    flavours: list[str] = field(default_factory=lambda: ["open", "proprietary"])
    last: int | None = None
    findings: list[str] = field(default_factory=list)


EXPECTED = {
    "eight_t4": Expected(["Tesla T4"] * 8, "Turing", "570.133.10"),
    "p4": Expected(["Tesla P4"], "Pascal", "550.90.07", "proprietary", flavours=["proprietary"], last=580),
    "eight_a100": Expected(
        ["A100 SXM4 40GB"] * 8,
        "Ampere",
        "460.106.00",
        "proprietary",
        switches=6,
        needs_manager=True,
        findings=["GP131-fabric-manager-down"],
    ),
    "h100_mig": Expected(["NVIDIA H100 80GB HBM3"], "Hopper", "535.129.03"),
    "eight_h100": Expected(["NVIDIA H100 80GB HBM3"] * 8, "Hopper", switches=4, needs_manager=True),
    "mismatch": Expected(
        ["NVIDIA A100-SXM4-40GB"], "Ampere", "580.159.03", "proprietary", findings=["GP121-version-mismatch"]
    ),
    "nouveau": Expected(
        ["Tesla P4"] * 2,
        "Pascal",
        flavours=["proprietary"],
        last=580,
        findings=["GP101-other-driver-holds-gpu"] * 2,
    ),
    "volta_with_open_modules": Expected(
        [""],
        "Volta",
        "580.82",
        "open",
        flavours=["proprietary"],
        last=580,
        findings=["GP111-needs-proprietary-modules"],
    ),
    "passed_through": Expected(["A100 SXM4 40GB"], "Ampere"),
    "no_gpu": Expected(),
}


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def look(name: str, **params: Any) -> dict[str, Any]:
        host = built(name, tmp_path).host
        monkeypatch.setattr(gpu_info, "Host", lambda: host)
        return run(gpu_info, monkeypatch, **params)

    return look


def codes(result: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in result["findings"]]


def test_every_machine_is_expected() -> None:
    assert set(EXPECTED) == set(MACHINES)


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("name", MACHINES)
def test_facts_and_findings_of_real_machines(look: Any, name: str, check: bool) -> None:
    result, expected = look(name, check=check), EXPECTED[name]
    assert (result["changed"], result.get("failed")) == (False, None)
    assert [gpu["model"] for gpu in result["gpus"]] == expected.models
    assert {gpu["architecture"] for gpu in result["gpus"]} == ({expected.architecture} if expected.models else set())
    assert (result["driver"]["version"], result["driver"]["flavour"]) == (expected.version, expected.flavour)
    assert len(result["fabric"]["switches"]) == expected.switches
    assert result["fabric"]["needs_manager"] is expected.needs_manager
    assert (result["support"]["flavours"], result["support"]["last_branch"]) == (expected.flavours, expected.last)
    assert codes(result) == expected.findings


def test_a_gpu_as_the_driver_tells_it(look: Any) -> None:
    (gpu,) = look("h100_mig")["gpus"]
    assert gpu == {
        "pci": "0000:62:00.0",
        "device": "2330",
        "subsystem": "16c1",
        "driver": "nvidia",
        "model": "NVIDIA H100 80GB HBM3",
        "uuid": "GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b",
        "minor": 5,
        "firmware": "535.129.03",
        "excluded": False,
        "numa_node": None,
        "link": {"speed": "", "width": 0, "max_speed": "", "max_width": 0},
        "mig": [{"gpu_instance": number, "compute_instances": [0]} for number in (7, 8, 9)],
        "answers": True,
        "architecture": "Hopper",
    }


def test_the_error_of_an_application_is_a_fact_and_no_finding(look: Any) -> None:
    (fault,) = look("p4")["faults"]
    assert (fault["source"], fault["pci"], fault["code"], fault["count"]) == ("xid", "0000:81:00", 31, 1)
    assert fault["time"] == "2025-12-01T00:00:03Z"


def test_what_is_planned_is_judged_before_it_is_there(look: Any) -> None:
    result = look("nouveau", branch=590, flavour="open")
    judged = {finding["code"]: finding["variable"] for finding in result["findings"]}
    assert judged["GP113-branch-too-late"] == "branch"
    assert judged["GP111-needs-proprietary-modules"] == "flavour"
    assert all(finding["remedy"].endswith(".") for finding in result["findings"])
