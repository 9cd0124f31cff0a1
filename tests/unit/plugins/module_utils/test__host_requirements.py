# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _host_units
from ansible_collections.hybridk8s.estate.plugins.module_utils._host import converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_options import parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_requirements import Requirement, judge

from tests.unit.plugins.module_utils.host_fake import FakeUnit, Machine

CONFIG = "/etc/kubelet.conf"
STATE = "/var/lib/kubelet/cpu_manager_state"
FROZEN = {"path": CONFIG, "keys": ["policy", "cpus"], "while_exists": STATE, "remedy": "drain it first."}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(_host_units, "SETTLE_SECONDS", 0.0)
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("release", "wanted", "lacks"),
    [
        ("6.1.0-28-amd64", "4.14.77", False),
        ("4.14.77", "4.14.77", False),
        ("4.14.76-1.el7.x86_64", "4.14.77", True),
        ("3.10.0-1160.99.1.el7.x86_64", "4.14.77", True),
        ("4.9", "4.14", True),
        ("10.0", "9.9.9", False),
        ("", "4.14", True),
    ],
)
def test_the_kernel_is_new_enough(machine: Machine, release: str, wanted: str, lacks: bool) -> None:
    machine.write("/proc/sys/kernel/osrelease", f"{release}\n")
    findings = judge(machine.host, [Requirement("requires[0]", "runtime gvisor", kernel=wanted)])
    assert bool(findings) is lacks
    assert all(f"runtime gvisor needs Linux {wanted} or newer" in finding.message for finding in findings)


def test_paths_and_cgroups(machine: Machine) -> None:
    wanted = [Requirement("requires[0]", "runtime kata", path="/dev/kvm"), Requirement("requires[1]", "it", cgroup=2)]
    messages = [finding.message for finding in judge(machine.host, wanted)]
    assert [text.partition(",")[0] for text in messages] == [
        "runtime kata needs /dev/kvm",
        "it needs cgroups of version 2",
    ]
    machine.write("/dev/kvm", "")
    machine.write("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
    assert judge(machine.host, wanted) == []


def test_all_that_is_lacking_is_said_at_once_and_nothing_is_touched(machine: Machine) -> None:
    options = {
        "name": "host",
        "files": [{"path": "/etc/x", "content": "x"}],
        "requires": [{"path": "/dev/kvm", "reason": "kata"}, {"kernel": "4.14", "reason": "gvisor"}],
    }
    for check in (True, False):
        with pytest.raises(HostError, match=r"(?s)requires\[0\].*requires\[1\]"):
            converge(parse(options), machine.host, check)
    assert not machine.exists("/etc/x")


@pytest.mark.parametrize(
    "requirement",
    [
        {"reason": "x"},
        {"reason": "x", "kernel": "4.14", "cgroup": 2},
        {"reason": "x", "kernel": "new"},
        {"reason": "x", "path": "dev/kvm"},
    ],
)
def test_what_says_nothing_is_refused(requirement: dict[str, Any]) -> None:
    with pytest.raises(HostError, match=r"requires\[0\]"):
        parse({"name": "host", "requires": [requirement]})


@pytest.mark.parametrize(
    ("before", "after", "state", "refused"),
    [
        ({"policy": "static"}, {"policy": "static", "pods": 2}, True, ""),
        ({}, {"pods": 2}, True, ""),
        ({}, {"policy": "static"}, True, 'policy from nothing to "static"'),
        ({"policy": "static"}, {}, True, 'policy from "static" to nothing'),
        ({"policy": "static", "cpus": "0"}, {"policy": "none", "cpus": "1"}, True, 'cpus from "0" to "1"'),
        ({"policy": "static"}, {"policy": "none"}, False, ""),
        (None, {"policy": "static"}, True, 'policy from nothing to "static"'),
    ],
)
def test_frozen_values_change_only_when_nothing_depends_on_them(
    machine: Machine, before: dict[str, Any] | None, after: dict[str, Any], state: bool, refused: str
) -> None:
    if before is not None:
        machine.write(CONFIG, json.dumps(before))
    if state:
        machine.write(STATE, "{}")
    options = {"name": "node", "files": [{"path": CONFIG, "content": json.dumps(after)}], "frozen": [FROZEN]}
    if refused:
        with pytest.raises(HostError, match=r"Remedy: drain it first\.") as caught:
            converge(parse(options), machine.host)
        assert refused in str(caught.value)
        assert STATE in str(caught.value)
        assert before is None or json.loads(machine.read(CONFIG)) == before
    else:
        converge(parse(options), machine.host)
        assert json.loads(machine.read(CONFIG)) == after


def test_what_is_no_json_has_no_values(machine: Machine) -> None:
    machine.write(CONFIG, "kind: [")
    machine.write(STATE, "{}")
    converge(
        parse({"name": "node", "files": [{"path": CONFIG, "content": "kind: x"}], "frozen": [FROZEN]}), machine.host
    )
    assert machine.read(CONFIG) == "kind: x"


def held(content: str, hold: bool) -> dict[str, Any]:
    unit = {"name": "app.service", "state": "started", "watch": ["/etc/app.conf"]}
    return {"name": "app", "files": [{"path": "/etc/app.conf", "content": content}], "units": [unit], "hold": hold}


def test_a_unit_that_runs_is_not_restarted_while_it_is_held(machine: Machine) -> None:
    machine.units = {"app.service": FakeUnit(reads=("/etc/app.conf",))}
    first = converge(parse(held("1", hold=True)), machine.host)
    assert (first.held, first.started) == ((), ("app.service",)), "a unit that does not run is no reason to wait"

    before = machine.tree()
    second = converge(parse(held("2", hold=True)), machine.host)
    assert (second.held, second.steps) == (("app.service",), ())
    assert machine.tree() == before
    assert machine.units["app.service"].starts == 1

    planned = converge(parse(held("2", hold=True)), machine.host, check=True)
    assert (planned.held, planned.restarted) == ((), ("app.service",)), "a dry run says all that will be done"

    done = converge(parse(held("2", hold=False)), machine.host)
    assert (done.held, done.restarted) == ((), ("app.service",))
    assert machine.units["app.service"].runs_with == (b"2",)
    assert converge(parse(held("2", hold=True)), machine.host).held == ()
