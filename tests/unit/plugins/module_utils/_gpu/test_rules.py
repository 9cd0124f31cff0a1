# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every finding on a host with GPUs: one that has it, planted, and one that has not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.model import (
    Driver,
    Fabric,
    Fault,
    Gpu,
    Machine,
    Nic,
    Port,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu.rules import Planned, judge

PCI = "0000:25:00.0"
A100 = Gpu(PCI, "20b0", driver="nvidia", model="NVIDIA A100-SXM4-40GB")
P4 = Gpu("0000:81:00.0", "1bb3", driver="nvidia", model="Tesla P4")
V100 = Gpu("0000:3a:00.0", "1db5", driver="nvidia", model="Tesla V100-SXM2-32GB")
B200 = Gpu("0000:1b:00.0", "2901", driver="nvidia", model="NVIDIA B200")
GH200 = Gpu("0009:01:00.0", "2342", driver="nvidia", model="NVIDIA GH200 480GB")
UNHEARD_OF = Gpu("0000:02:00.0", "7fff", driver="nvidia")
OPEN = Driver(True, "580.95.05", "open", "580.95.05", True)
PROPRIETARY = replace(OPEN, flavour="proprietary")
SWITCHED = Fabric(("0000:b7:00.0",), manager_runs=True, installed="580.95.05")
FIFTH = Fabric(bridges=("0000:05:00.0",), manager_runs=True, subnet_manager_runs=True)
UP = Nic("mlx5_0", "0000:0c:00.0", 0, ("ib0",), (Port(1, "ACTIVE", "InfiniBand", "200 Gb/sec (4X HDR)"),))
DOWN = replace(UP, ports=(Port(1, "DOWN", "InfiniBand", "10 Gb/sec (4X)"),))
XID_79 = Fault("xid", "0000:25:00", 79, 1, "2026-11-23T20:00:00Z", "pid='<unknown>', GPU has fallen off the bus.")
SXID = Fault("sxid", "0000:b7:00", 20034, 2, "2026-11-23T20:00:00Z", "Link 30 LTSSM Fault Up", fatal=True)

FOURTH = "NVSwitches of the fourth generation"
GOOD = Machine((A100,), OPEN, kernel="6.8.0-134-generic", loaded=frozenset({"nvidia"}))
BARE = Machine((replace(A100, driver=""),), Driver(), kernel="6.8.0-134-generic")
NOUVEAU = frozenset({"nouveau"})

FINE = {
    "the open modules": GOOD,
    "the proprietary ones": replace(GOOD, driver=PROPRIETARY),
    "no GPU at all": Machine(),
    "NVSwitches that are managed": replace(GOOD, fabric=SWITCHED),
    "Fabric Manager's version is not known": replace(GOOD, fabric=replace(SWITCHED, installed="")),
    "no driver yet for NVSwitches": replace(GOOD, gpus=(), driver=Driver(), fabric=Fabric(("0000:b7:00.0",))),
    FOURTH: Machine((B200,), OPEN, fabric=FIFTH, loaded=frozenset({"ib_umad"})),
    "a GPU that was given to a virtual machine": replace(BARE, gpus=(replace(A100, driver="vfio-pci"),)),
    "libraries that nobody knows of": replace(GOOD, driver=replace(OPEN, userspace="")),
    "the last branch of Volta": Machine((V100,), PROPRIETARY),
    "a GPU that nobody heard of": replace(GOOD, gpus=(UNHEARD_OF,)),
    "RDMA by DMA-BUF": replace(GOOD, nics=(UP,)),
    "RDMA by nvidia_peermem": replace(GOOD, driver=PROPRIETARY, nics=(UP,), loaded=frozenset({"nvidia_peermem"})),
    "an RDMA card that is not connected": replace(GOOD, driver=PROPRIETARY, nics=(DOWN,)),
    "an application's error": replace(GOOD, faults=(replace(XID_79, code=31, message="MMU Fault"),)),
    "an NVSwitch's error that is not fatal": replace(GOOD, fabric=SWITCHED, faults=(replace(SXID, fatal=False),)),
    "a log that cannot be read, and no GPU": Machine(kernel_log=False),
}

PLANTED = [
    ("GP101-other-driver-holds-gpu", replace(BARE, gpus=(replace(A100, driver="nouveau"),), loaded=NOUVEAU), "nouveau"),
    ("GP101-other-driver-holds-gpu", replace(BARE, gpus=(replace(A100, driver="NovaCore"),)), "nova_core"),
    ("GP102-nouveau-loaded", replace(GOOD, loaded=GOOD.loaded | NOUVEAU), "next boot"),
    ("GP103-no-driver", BARE, "there is no nvidia module for the kernel 6.8.0-134-generic"),
    ("GP103-no-driver", BARE, "branch 450 or later"),
    ("GP103-no-driver", replace(BARE, driver=Driver(built=True)), "is not loaded"),
    ("GP103-no-driver", replace(BARE, driver=Driver(built=True), secure_boot=True), "Secure Boot is on"),
    ("GP104-gpu-without-driver", replace(GOOD, gpus=(A100, replace(A100, pci="0000:2b:00.0", driver=""))), "A100"),
    ("GP111-needs-proprietary-modules", replace(GOOD, gpus=(P4,)), "Turing and later, not Pascal (1 x Tesla P4)"),
    ("GP111-needs-proprietary-modules", replace(GOOD, gpus=(replace(P4, driver=""),)), "branch 580 or earlier"),
    ("GP112-needs-open-modules", Machine((B200,), PROPRIETARY), "Blackwell"),
    ("GP112-needs-open-modules", Machine((GH200,), PROPRIETARY), "the open kernel modules alone"),
    ("GP113-branch-too-late", Machine((V100,), replace(PROPRIETARY, version="590.48.01", userspace="")), "580 is the"),
    ("GP114-branch-too-early", Machine((B200,), replace(OPEN, version="550.90.07", userspace="")), "570 is the first"),
    ("GP115-no-driver-serves-all", Machine((P4, B200), OPEN), "Tesla P4: the proprietary kernel modules"),
    ("GP121-version-mismatch", replace(GOOD, driver=replace(OPEN, userspace="580.178.04")), "580.178.04"),
    ("GP131-fabric-manager-down", replace(GOOD, fabric=replace(SWITCHED, manager_runs=False)), "error 802"),
    ("GP131-fabric-manager-down", replace(FINE[FOURTH], fabric=replace(FIFTH, manager_runs=False)), "error 802"),
    ("GP132-fabric-manager-version", replace(GOOD, fabric=replace(SWITCHED, installed="580.65.06")), "580.65.06"),
    ("GP133-fabric-manager-not-needed", replace(GOOD, fabric=Fabric(installed="580.95.05")), "Remove its package"),
    ("GP133-fabric-manager-not-needed", replace(GOOD, fabric=Fabric(manager_runs=True)), "Remove its package"),
    ("GP134-subnet-manager-down", Machine((B200,), OPEN, fabric=FIFTH), "ib_umad is not loaded"),
    ("GP141-gpu-lost", replace(GOOD, gpus=(replace(A100, answers=False),)), "does not answer"),
    ("GP142-gpu-excluded", replace(GOOD, gpus=(replace(A100, excluded=True),)), "NVreg_ExcludedGpus"),
    ("GP151-xid-reboot", replace(GOOD, faults=(XID_79,)), "A100-SXM4-40GB had Xid 79 once, last at 2026-11-23T20"),
    ("GP151-xid-reset", replace(GOOD, faults=(replace(XID_79, code=95, count=3),)), "Xid 95 3 times"),
    ("GP151-xid-repair", replace(GOOD, faults=(replace(XID_79, code=54),)), "power cables"),
    ("GP151-xid-wears", replace(GOOD, faults=(replace(XID_79, code=63),)), "drained next"),
    ("GP151-xid-unknown", replace(GOOD, faults=(replace(XID_79, code=999, pci="0000:99:00"),)), "a GPU had Xid 999"),
    ("GP152-sxid-fatal", replace(GOOD, fabric=SWITCHED, faults=(SXID,)), "SXid 20034 2 times"),
    ("GP153-health-unknown", replace(GOOD, kernel_log=False), "root"),
    ("GP161-no-gpu-rdma", replace(GOOD, driver=PROPRIETARY, nics=(UP,)), "nvidia_peermem"),
    ("GP161-no-gpu-rdma", replace(GOOD, kernel="5.10.0-21-amd64", nics=(UP, DOWN)), "5.12"),
]
WARNINGS = {
    "GP102-nouveau-loaded",
    "GP133-fabric-manager-not-needed",
    "GP142-gpu-excluded",
    "GP151-xid-wears",
    "GP151-xid-unknown",
    "GP153-health-unknown",
    "GP161-no-gpu-rdma",
}


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


@pytest.mark.parametrize("machine", FINE.values(), ids=FINE)
def test_a_good_machine_has_no_finding(machine: Machine) -> None:
    assert judge(machine) == []


@pytest.mark.parametrize(("code", "machine", "words"), PLANTED, ids=[f"{code}-{words}" for code, _m, words in PLANTED])
def test_what_is_planted_is_found_and_nothing_else(code: str, machine: Machine, words: str) -> None:
    (finding,) = judge(machine)
    assert finding.code == code
    assert words in f"{finding.message} {finding.remedy}"
    assert finding.severity == ("warning" if code in WARNINGS else "error")
    assert finding.message.endswith((".", "Up"))
    assert finding.remedy.endswith(".")


PLANS = [
    ((A100,), 580, "open", []),
    ((A100,), 510, "open", ["GP114-branch-too-early"]),
    ((A100,), 510, "proprietary", []),
    ((A100,), 449, "", ["GP114-branch-too-early"]),
    ((A100,), 450, "", []),
    ((A100,), 515, "open", []),
    ((V100, P4), 580, "proprietary", []),
    ((V100, P4), 590, "proprietary", ["GP113-branch-too-late"] * 2),
    ((V100,), 590, "open", ["GP111-needs-proprietary-modules", "GP113-branch-too-late"]),
    ((V100, A100), 580, "proprietary", []),
    ((V100, A100), 580, "open", ["GP111-needs-proprietary-modules"]),
    ((B200,), 580, "open", []),
    ((B200,), 580, "proprietary", ["GP112-needs-open-modules"]),
    ((GH200,), 560, "proprietary", ["GP112-needs-open-modules"]),
    ((V100, B200), 580, "open", ["GP115-no-driver-serves-all"]),
    ((replace(V100, driver="vfio-pci"), B200), 610, "open", []),
    ((UNHEARD_OF,), 9000, "open", []),
    ((V100,), None, "", []),
]


@pytest.mark.parametrize(("gpus", "branch", "flavour", "expected"), PLANS)
def test_a_plan_is_judged_by_the_gpus_that_are_there(
    gpus: tuple[Gpu, ...], branch: int | None, flavour: str, expected: list[str]
) -> None:
    findings = judge(Machine(gpus), Planned(branch, flavour))
    assert codes(findings) == expected
    assert {finding.variable for finding in findings} <= {"branch", "flavour", "gpus"}


def test_gpus_that_are_refused_alike_are_one_finding() -> None:
    (finding,) = judge(Machine((V100, replace(V100, pci="0000:3b:00.0"))), Planned(590, ""))
    assert "(2 x Tesla V100-SXM2-32GB)" in finding.message
    assert finding.remedy.endswith("the proprietary kernel modules, branch 580 or earlier.")


def test_all_is_said_at_once() -> None:
    lost = replace(A100, answers=False)
    machine = replace(
        GOOD,
        gpus=(lost,),
        driver=replace(OPEN, userspace="580.178.04"),
        fabric=Fabric(("0000:b7:00.0",), installed="580.178.04"),
        faults=(XID_79,),
    )
    assert codes(judge(machine, Planned(440))) == [
        "GP114-branch-too-early",
        "GP121-version-mismatch",
        "GP132-fabric-manager-version",
        "GP131-fabric-manager-down",
        "GP141-gpu-lost",
        "GP151-xid-reboot",
    ]
