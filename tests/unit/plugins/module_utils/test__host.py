# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _host as host_module
from ansible_collections.hybridk8s.estate.plugins.module_utils import _host_base as base
from ansible_collections.hybridk8s.estate.plugins.module_utils import _host_units as host_units
from ansible_collections.hybridk8s.estate.plugins.module_utils._host import Outcome, converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, Ran
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_options import parse

from tests.unit.plugins.module_utils.host_fake import FakeUnit, Killed, Machine

RUNTIME: dict[str, Any] = {
    "name": "runtime",
    "files": [
        {"path": "/etc/containerd/config.toml", "content": "v2\n", "validate": ["checker", "{path}"]},
        {"path": "/etc/containerd/certs.d/_default/hosts.toml", "content": "mirror\n"},
        {"path": "/etc/systemd/system/runtime.service", "content": "[Install]\n"},
        {"path": "/etc/old", "state": "absent"},
    ],
    "blocks": [{"path": "/etc/hosts", "marker": "estate", "content": "1.1.1.1 api"}],
    "sysctls": {"net.ipv4.ip_forward": 1, "vm.panic": {"value": 1, "optional": True}},
    "kernel_modules": ["overlay"],
    "swap": "off",
    "units": [
        {"name": "runtime.service", "enabled": True, "state": "started", "watch": ["/etc/systemd/system/runtime.*"]},
        {"name": "containerd.service", "enabled": True, "state": "started", "watch": ["/etc/containerd/"]},
        {"name": "kubelet.service", "watch": ["/etc/hosts"]},
        {"name": "firewall.service", "enabled": False, "state": "stopped"},
    ],
}


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("tmp")))
    monkeypatch.setattr(host_units, "SETTLE_SECONDS", 0.0)
    # Tests need no power cut.
    monkeypatch.setattr(base.os, "fsync", lambda _descriptor: None)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path, modules={"overlay": "loadable"}, validators={"checker": 0})
    machine.write("/etc/hosts", "127.0.0.1 localhost\n")
    machine.write("/etc/containerd/config.toml", "v1\n")
    machine.write("/etc/old", "")
    machine.write("/etc/fstab", "/swap none swap sw 0 0\n")
    machine.write("/proc/swaps", "Filename Type\n/swap file\n")
    machine.write("/proc/sys/net/ipv4/ip_forward", "0\n")
    machine.units = {
        "runtime.service": FakeUnit(load="not-found", file_state="", reads=("/etc/systemd/system/runtime.service",)),
        "containerd.service": FakeUnit(
            reads=("/etc/containerd/config.toml", "/etc/containerd/certs.d/_default/hosts.toml")
        ),
        "kubelet.service": FakeUnit(reads=("/etc/hosts",)),
        "firewall.service": FakeUnit(file_state="enabled"),
    }
    for name in ("containerd.service", "kubelet.service", "firewall.service"):
        machine.start(name)
    return machine


def run(machine: Machine, options: dict[str, Any], check: bool = False) -> Outcome:
    return converge(parse(options), machine.host, check)


def shown(outcome: Outcome) -> list[tuple[str, str]]:
    return [(step.action, step.target) for step in outcome.steps]


def assert_in_order(machine: Machine) -> None:
    """Whatever happened on the way: the host is as wanted, and what runs, runs with the files that are there."""
    assert machine.read("/etc/containerd/config.toml") == "v2\n"
    assert machine.read("/proc/sys/net/ipv4/ip_forward") == "1"
    assert "1.1.1.1 api" in machine.read("/etc/hosts")
    assert not machine.exists("/etc/old")
    for name in ("runtime.service", "containerd.service", "kubelet.service"):
        unit = machine.units[name]
        assert unit.active == "active", name
        assert unit.runs_with == tuple((machine.root / path.lstrip("/")).read_bytes() for path in unit.reads), name
    assert machine.units["firewall.service"].active == "inactive"
    assert list(machine.root.rglob(".*.hybridk8s")) == []
    assert not machine.exists("/var/lib/hybridk8s/host_state/.candidates")


def test_a_host_is_brought_to_the_state_and_stays(machine: Machine) -> None:
    before = machine.tree()
    planned = run(machine, RUNTIME, check=True)
    assert machine.tree() == before
    assert not machine.exists("/var")
    assert os.listdir(tempfile.gettempdir()) == []
    outcome = run(machine, RUNTIME)
    assert_in_order(machine)
    # An optional setting that is missing may come with a module, so the plan counts on it.
    assert outcome.steps == tuple(step for step in planned.steps if step.target != "sysctl vm.panic")
    assert (outcome.started, outcome.restarted) == (("runtime.service",), ("containerd.service", "kubelet.service"))
    assert machine.verbs() == [
        "stop firewall.service",
        "disable firewall.service",
        "daemon-reload",
        "enable runtime.service containerd.service",
        "restart runtime.service containerd.service kubelet.service",
    ]
    assert outcome.warnings == ()
    assert len(outcome.skipped) == 1
    assert "vm.panic" in outcome.skipped[0]
    machine.commands.clear()
    after = machine.tree()
    again = run(machine, RUNTIME)
    assert shown(again) == []
    assert [command[:2] for command in machine.commands] == [("systemctl", "show")]
    assert machine.tree() == after


def test_steps_come_in_a_safe_order(machine: Machine) -> None:
    shown_steps = shown(run(machine, RUNTIME, check=True))
    order = [
        ("stop", "firewall.service"),
        ("remove", "/etc/old"),
        ("write", "/etc/containerd/config.toml"),
        ("load", "kernel module overlay"),
        ("set", "sysctl net.ipv4.ip_forward"),
        ("turn off", "swap"),
        ("reload", "systemd"),
        ("enable", "runtime.service"),
        ("start", "runtime.service"),
        ("restart", "containerd.service"),
    ]
    assert [step for step in shown_steps if step in order] == order


def _calls(monkeypatch: pytest.MonkeyPatch, machine: Machine, kill_at: int) -> list[str]:
    """Counts all that touches the machine, and lets nothing do so from call number ``kill_at`` on, as after SIGKILL."""
    calls: list[str] = []

    def counted(name: str, really: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) >= kill_at:
                raise Killed
            return really(*arguments, **options)

        return call

    for name in ("rename", "unlink", "rmdir", "mkdir", "symlink", "chmod"):
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    command = machine.run

    def run_command(argv: Any, timeout: float) -> Ran:
        if argv[:2] == ["systemctl", "show"]:
            return command(argv, timeout)
        return counted(" ".join(argv[:3]), command)(argv, timeout)  # type: ignore[no-any-return]

    machine.run = run_command  # type: ignore[method-assign]
    return calls


CALLS = 60
"""More than a run makes, so that it is killed at every one of them."""


@pytest.mark.parametrize("kill_at", range(1, CALLS + 1))
def test_a_run_that_is_killed_anywhere_converges_the_next_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    with monkeypatch.context() as patch:
        calls = _calls(patch, machine, kill_at)
        try:
            run(machine, RUNTIME)
        except Killed:
            assert kill_at < CALLS
        else:
            assert len(calls) > 40
    del machine.run  # type: ignore[method-assign]
    run(machine, RUNTIME)
    assert_in_order(machine)
    assert shown(run(machine, RUNTIME)) == []
    # The end: nothing is forgotten either when the state is not asked for any more.
    run(machine, {"name": "runtime"})
    assert (machine.units["runtime.service"].active, machine.units["runtime.service"].file_state) == (
        "inactive",
        "disabled",
    )
    assert not machine.exists("/etc/systemd/system/runtime.service")
    assert not machine.exists("/etc/containerd/certs.d")
    assert machine.read("/etc/hosts") == "127.0.0.1 localhost\n"


def test_a_refused_file_changes_nothing_at_all(machine: Machine) -> None:
    machine.validators["checker"] = 1
    before = machine.tree()
    with pytest.raises(HostError) as caught:
        run(machine, RUNTIME)
    assert "refuses the new /etc/containerd/config.toml" in str(caught.value)
    assert "Nothing was changed" in str(caught.value)
    assert caught.value.applied == ()
    assert machine.tree() == before
    assert machine.verbs() == []
    assert os.listdir(machine.root / "var/lib/hybridk8s/host_state") == [".lock"]


def test_everything_that_stands_in_the_way_is_told_at_once(machine: Machine) -> None:
    machine.modules.clear()
    (machine.root / "proc/sys/net/ipv4/ip_forward").unlink()
    options = {
        **RUNTIME,
        "sysctls": {"net.ipv4.ip_forward": 1},
        "kernel_modules": [],
        "files": [{"path": "/etc/hosts/x", "content": ""}],
        "units": [{"name": "none.service", "state": "started"}],
    }
    before = machine.tree()
    with pytest.raises(HostError) as caught:
        run(machine, options)
    assert [finding.code for finding in caught.value.findings] == ["file-kind", "sysctl", "unit"]
    assert machine.tree() == before


def test_a_unit_that_fails_is_told_with_its_journal_and_tried_again(machine: Machine) -> None:
    machine.units["containerd.service"].fails = True
    machine.units["containerd.service"].journal = "level=fatal msg=boom\n"
    with pytest.raises(HostError) as caught:
        run(machine, RUNTIME)
    assert "level=fatal msg=boom" in str(caught.value)
    assert ("start", "runtime.service") in [(step.action, step.target) for step in caught.value.applied]
    assert "containerd.service" not in [step.target for step in caught.value.applied if step.action == "restart"]
    machine.units["containerd.service"].fails = False
    outcome = run(machine, RUNTIME)
    assert shown(outcome) == [("start", "containerd.service")]
    assert_in_order(machine)
    assert machine.units["runtime.service"].starts == 1


def test_each_unit_is_restarted_once_for_many_changes(machine: Machine) -> None:
    run(machine, RUNTIME)
    starts = machine.units["containerd.service"].starts
    changed = {**RUNTIME, "files": [{**file} for file in RUNTIME["files"]]}
    changed["files"][0]["content"] = "v3\n"
    changed["files"][1]["content"] = "other\n"
    outcome = run(machine, changed)
    assert outcome.restarted == ("containerd.service",)
    assert machine.units["containerd.service"].starts == starts + 1


def test_a_drift_that_is_put_right_restarts_what_may_have_read_it(machine: Machine) -> None:
    run(machine, RUNTIME)
    machine.write("/etc/containerd/config.toml", "drifted\n")
    machine.start("containerd.service")
    assert run(machine, RUNTIME).restarted == ("containerd.service",)
    assert_in_order(machine)


def test_a_run_killed_before_the_restart_is_remembered_when_the_files_look_as_ever(machine: Machine) -> None:
    run(machine, RUNTIME)
    machine.write("/etc/containerd/config.toml", "drifted\n")
    machine.start("containerd.service")
    really = machine.run

    def killed_before_the_restart(argv: Any, timeout: float) -> Ran:
        if argv[:3] == ["systemctl", "--no-ask-password", "restart"]:
            raise Killed
        return really(argv, timeout)

    machine.run = killed_before_the_restart  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run(machine, RUNTIME)
    del machine.run  # type: ignore[method-assign]
    assert machine.read("/etc/containerd/config.toml") == "v2\n"
    assert shown(run(machine, RUNTIME)) == [("restart", "containerd.service")]
    assert_in_order(machine)


def test_a_content_of_ours_that_a_person_brought_back_is_theirs(machine: Machine) -> None:
    for content in ("one\n", "two\n"):
        run(machine, {"name": "x", "files": [{"path": "/etc/x", "content": content}]})
    machine.write("/etc/x", "one\n")
    outcome = run(machine, {"name": "x"})
    assert (shown(outcome), len(outcome.warnings)) == ([], 1)
    assert machine.read("/etc/x") == "one\n"


def test_a_mode_alone_restarts_nothing(machine: Machine) -> None:
    run(machine, RUNTIME)
    (machine.root / "etc/containerd/config.toml").chmod(0o600)
    changed = {**RUNTIME, "files": [{**RUNTIME["files"][0], "mode": "0644"}, *RUNTIME["files"][1:]]}
    outcome = run(machine, changed)
    assert shown(outcome) == [("set", "/etc/containerd/config.toml")]


def test_a_unit_that_runs_with_its_files_already_is_adopted_without_a_restart(machine: Machine) -> None:
    options = {"name": "x", "units": [{"name": "kubelet.service", "watch": ["/etc/hosts"]}]}
    assert shown(run(machine, options, check=True)) == []
    assert host_units.read_record(machine.host, "kubelet.service") is None
    assert shown(run(machine, options)) == []
    machine.write("/etc/hosts", "changed by others\n")
    assert run(machine, options).restarted == ("kubelet.service",)


def test_the_record_of_a_unit_that_does_not_run_is_forgotten(machine: Machine) -> None:
    options = {"name": "x", "units": [{"name": "kubelet.service", "watch": ["/etc/hosts"]}]}
    run(machine, options)
    machine.units["kubelet.service"].active = "inactive"
    machine.write("/etc/hosts", "changed while it was down\n")
    assert shown(run(machine, options)) == []
    machine.start("kubelet.service")
    assert shown(run(machine, options)) == []


def test_a_sysctl_comes_with_the_module_that_brings_it(machine: Machine) -> None:
    options = {"name": "x", "kernel_modules": ["br_netfilter"], "sysctls": {"net.bridge.bridge-nf-call-iptables": 1}}
    machine.modules["br_netfilter"] = "loadable"
    loads = machine.run

    def run_command(argv: Any, timeout: float) -> Ran:
        if argv == ["modprobe", "--", "br_netfilter"]:
            machine.write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0\n")
        return loads(argv, timeout)

    machine.run = run_command  # type: ignore[method-assign]
    outcome = run(machine, options)
    assert ("set", "sysctl net.bridge.bridge-nf-call-iptables") in shown(outcome)
    assert machine.read("/proc/sys/net/bridge/bridge-nf-call-iptables") == "1"
    assert shown(run(machine, options)) == []


def test_an_optional_sysctl_that_never_comes_is_no_change(machine: Machine) -> None:
    options = {"name": "x", "kernel_modules": ["overlay"], "sysctls": {"net.x": {"value": 1, "optional": True}}}
    outcome = run(machine, options)
    assert ("set", "sysctl net.x") not in shown(outcome)
    assert len(outcome.skipped) == 1
    assert shown(run(machine, options)) == []


def test_a_module_that_does_not_load_stops_with_what_was_done(machine: Machine) -> None:
    fails = machine.run
    machine.run = lambda argv, timeout: (  # type: ignore[method-assign]
        Ran(1, err="Key was rejected by service") if argv == ["modprobe", "--", "overlay"] else fails(argv, timeout)
    )
    with pytest.raises(HostError, match="Key was rejected") as caught:
        run(machine, RUNTIME)
    assert "/etc/containerd/config.toml" in [step.target for step in caught.value.applied]
    assert machine.units["containerd.service"].starts == 1
    del machine.run  # type: ignore[method-assign]
    run(machine, RUNTIME)
    assert_in_order(machine)


@pytest.mark.parametrize("how", ["no longer wanted", "absent"])
def test_a_unit_is_stopped_and_disabled_before_its_file_goes(machine: Machine, how: str) -> None:
    run(machine, RUNTIME)
    machine.commands.clear()
    unit_file = {"path": "/etc/systemd/system/runtime.service", "state": "absent"}
    less = {"name": "runtime", "files": [unit_file] if how == "absent" else []}
    planned = run(machine, less, check=True)
    outcome = run(machine, less)
    assert outcome.steps == planned.steps
    assert shown(outcome)[:2] == [("stop", "runtime.service"), ("disable", "runtime.service")]
    assert machine.verbs() == ["stop runtime.service", "disable runtime.service", "daemon-reload"]
    assert not machine.exists("/etc/systemd/system/runtime.service")
    assert host_units.read_record(machine.host, "runtime.service") is None
    machine.units.pop("runtime.service")
    assert shown(run(machine, less)) == []


def test_two_names_do_not_take_each_others_files(machine: Machine) -> None:
    shared = {"path": "/etc/shared", "content": "same\n"}
    run(machine, {"name": "a", "files": [shared]})
    # b found the file right; then only b asks for it, with another content
    run(machine, {"name": "b", "files": [{**shared, "content": "b's\n"}]})
    outcome = run(machine, {"name": "a", "files": []})
    assert shown(outcome) == []
    assert machine.read("/etc/shared") == "b's\n"


def test_a_disk_error_is_a_finding_and_no_traceback(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(host_module._host_files, "write_atomic", full)
    with pytest.raises(HostError, match="No space left on device"):
        run(machine, {"name": "x", "files": [{"path": "/etc/x", "content": ""}]})
    monkeypatch.setattr(base, "write_atomic", full)
    with pytest.raises(HostError, match="No space left on device"):
        run(machine, {"name": "x", "files": [{"path": "/etc/y", "content": ""}]})


def test_two_runs_at_once_work_one_after_the_other(machine: Machine) -> None:
    options = {"name": "x", "files": [{"path": f"/etc/x/{n}", "content": "c"} for n in range(20)]}
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(run(machine, options))) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(outcome.steps) for outcome in outcomes) == [0, 0, 0, 21]


def test_a_run_that_holds_the_lock_too_long_is_named(machine: Machine) -> None:
    with (
        machine.host.locked("/var/lib/hybridk8s/l", 1.0),
        pytest.raises(HostError, match="another run has held"),
        machine.host.locked("/var/lib/hybridk8s/l", 0.0),
    ):
        pytest.fail("the lock was given twice")


class TestRunCommand:
    def test_it_tells_how_a_command_ended(self) -> None:
        assert base.run_command(["sh", "-c", "echo out; echo err >&2; exit 3"], 5.0) == Ran(3, "out\n", "err\n")
        assert base.run_command(["no-such-command-here"], 5.0).rc == 127
        assert base.run_command(["/"], 5.0).rc == 126
        assert base.run_command(["sleep", "5"], 0.05).rc == 124

    def test_it_uses_the_plain_locale_and_the_administrators_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LANG", "zh_CN.UTF-8")
        monkeypatch.setenv("PATH", "/bin")
        out = base.run_command(["/bin/sh", "-c", "echo $LC_ALL $PATH"], 5.0).out
        assert out == "C /bin:/usr/local/sbin:/usr/sbin:/sbin\n"

    def test_what_was_said_is_one_short_line(self) -> None:
        assert Ran(1, "out\n\n", "  err \n").said == "err / out"
        assert len(Ran(1, "x" * 5000).said) == 600


def test_paths_lie_under_the_root() -> None:
    assert Host("/tmp/r").at("/etc/x") == "/tmp/r/etc/x"
    assert Host().at("/etc/x") == "/etc/x"
