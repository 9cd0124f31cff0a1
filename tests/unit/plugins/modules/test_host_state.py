# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hybridk8s.estate.plugins.module_utils import _host_units
from ansible_collections.hybridk8s.estate.plugins.modules import host_state

from tests.unit.plugins.module_utils.host_fake import FakeUnit, Machine

SECRET = "s3cr3t-t0ken"
OPTIONS: dict[str, Any] = {
    "name": "runtime",
    "files": [
        {"path": "/etc/app/app.conf", "content": "workers = 4\n", "mode": "0640"},
        {"path": "/etc/app/token", "content": SECRET, "sensitive": True},
    ],
    "sysctls": {"net.ipv4.ip_forward": "1"},
    "swap": False,  # how YAML reads a bare off
    "units": [{"name": "app.service", "enabled": True, "state": "started", "watch": ["/etc/app"]}],
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path, units={"app.service": FakeUnit()})
    machine.write("/proc/sys/net/ipv4/ip_forward", "0\n")
    machine.write("/etc/fstab", "")
    monkeypatch.setattr(host_state, "Host", lambda: machine.host)
    monkeypatch.setattr(_host_units, "SETTLE_SECONDS", 0.0)
    return machine


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(options: dict[str, Any], **internal: Any) -> tuple[int, dict[str, Any], str]:
        arguments = {**options, **{f"_ansible_{key}": value for key, value in internal.items()}}
        with patch_module_args(arguments), pytest.raises(SystemExit) as caught:
            host_state.main()
        out = capsys.readouterr().out
        return int(caught.value.code or 0), json.loads(out), out

    return run


def test_check_then_converge_then_nothing(machine: Machine, call: Any) -> None:
    before = machine.tree()
    rc, planned, _out = call(OPTIONS, check_mode=True, diff=True)
    assert (rc, planned["changed"]) == (0, True)
    assert machine.tree() == before
    rc, done, _out = call(OPTIONS, diff=True)
    assert (rc, done["changed"]) == (0, True)
    assert done["steps"] == planned["steps"]
    assert done["diff"] == planned["diff"]
    assert (done["started"], done["restarted"]) == (["app.service"], [])
    rc, again, _out = call(OPTIONS, diff=True)
    assert (rc, again["changed"], again["steps"], again["diff"], again["restarted"]) == (0, False, [], [], [])


def test_the_diff_has_the_text_before_and_after(machine: Machine, call: Any) -> None:
    machine.write("/etc/app/app.conf", "workers = 2\n", 0o600)
    _rc, done, _out = call(OPTIONS, diff=True, check_mode=True)
    assert {
        "before_header": "write /etc/app/app.conf",
        "after_header": "write /etc/app/app.conf (content differs, mode 0600 -> 0640)",
        "before": "workers = 2\n",
        "after": "workers = 4\n",
    } in done["diff"]
    assert "diff" not in call(OPTIONS)[1]


@pytest.mark.parametrize("diff", [False, True])
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_secret_comes_out_nowhere(machine: Machine, call: Any, diff: bool, check_mode: bool) -> None:
    machine.write("/etc/app/token", "the old " + SECRET)
    _rc, done, out = call(OPTIONS, diff=diff, check_mode=check_mode, verbosity=3)
    assert SECRET not in out
    assert "workers" in json.dumps(done["invocation"])
    assert {"action": "write", "target": "/etc/app/token", "reason": "content differs (sensitive)"} in done["steps"]


def test_no_content_goes_to_the_hosts_log(machine: Machine, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(host_state.AnsibleModule, "log", lambda _self, message, **_: logged.append(message))
    call(OPTIONS)
    assert logged == []


def test_no_secret_comes_out_when_options_are_refused(machine: Machine, call: Any) -> None:
    secret = {"path": "/etc/t", "content": f"{SECRET}\nline\n", "sensitive": True}
    rc, _result, out = call({"name": "x", "files": [secret], "units": [{"name": "a.service", "state": "sarted"}]})
    assert rc == 1
    assert SECRET not in out
    assert "sarted" in out


def test_a_failure_says_all_and_what_was_done(machine: Machine, call: Any) -> None:
    machine.units["app.service"].fails = True
    machine.units["app.service"].journal = "boom\n"
    rc, failed, _out = call(OPTIONS, diff=True)
    assert (rc, failed["failed"], failed["changed"]) == (1, True, True)
    assert "boom" in failed["msg"]
    assert "Remedy:" in failed["msg"]
    assert "/etc/app/app.conf" in [step["target"] for step in failed["steps"]]


def test_wrong_options_are_told_at_once_and_touch_nothing(machine: Machine, call: Any) -> None:
    before = machine.tree()
    rc, failed, _out = call({**OPTIONS, "name": "No Name", "sysctls": {"x": True}})
    assert (rc, failed["changed"]) == (1, False)
    assert [word in failed["msg"] for word in ("name", "sysctls.x", "1 for on")] == [True] * 3
    assert machine.tree() == before


def test_what_a_person_should_know_reaches_the_user(
    machine: Machine, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    # Where other tests have loaded the controller's side of Ansible, warnings go to its display and not to the result.
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    call({"name": "x", "files": [{"path": "/etc/x", "content": "ours"}]})
    machine.write("/etc/x", "edited")
    _rc, done, _out = call({"name": "x", "sysctls": {"no.such": {"value": 1, "optional": True}}})
    assert "/etc/x" in said[0]
    assert "no.such" in done["skipped_sysctls"][0]


@pytest.mark.parametrize("swap", [False, "off"])
def test_off_is_off_however_yaml_reads_it(machine: Machine, call: Any, swap: Any) -> None:
    machine.write("/etc/fstab", "/swap none swap sw 0 0\n")
    _rc, done, _out = call({"name": "x", "swap": swap})
    assert [step["target"] for step in done["steps"]] == ["/etc/fstab", "systemd"]
