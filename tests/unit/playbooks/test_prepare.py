# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step that prepares hosts, with stand-ins for its roles: who is restarted when, and who is not any more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ["cp1", "cp2", "cp3", *(f"w{number}" for number in range(1, 9))]
ROLE = """
- name: See what would have to be restarted
  ansible.builtin.set_fact:
    ROLE_configured:
      held: "{{ ['unit'] if ROLE_hold | default(false) and needed else [] }}"
  vars: {needed: "{{ inventory_hostname in (ROLE_restarts | default([])) }}"}
- name: Restart it
  ansible.builtin.shell: >-
    echo {{ inventory_hostname }} begin >> log; sleep 0.2; echo {{ inventory_hostname }} end >> log;
    {{ 'false' if inventory_hostname in (broken | default([])) else 'true' }}
  args: {chdir: "{{ inventory_dir }}"}
  when: inventory_hostname in (ROLE_restarts | default([])) and not ROLE_configured.held
"""
Prepare = Callable[..., "Run"]


class Run:
    """How it ended, what it said, and the restarts in the order in which they began and ended."""

    def __init__(self, done: subprocess.CompletedProcess[str], log: Path) -> None:
        self.status, self.output = done.returncode, done.stdout
        self.log = [tuple(line.split()) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def order(self) -> list[str]:
        return list(dict.fromkeys(host for host, event in self.log if event == "begin"))

    @property
    def most_at_once(self) -> int:
        running, most = 0, 0
        for _host, event in self.log:
            running += 1 if event == "begin" else -1
            most = max(most, running)
        return most


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    shutil.copytree(ROOT / "playbooks", tmp_path / "playbooks")
    roles = ("container_runtime", "kubernetes_node")
    (tmp_path / "playbooks/tasks/prepare.yml").write_text("".join(ROLE.replace("ROLE", role) for role in roles))
    # The report that tasks speak of is kept by a callback beside the playbook.
    steps = [{"import_playbook": f"steps/{step}.yml"} for step in ("prepare", "summary")]
    (tmp_path / "playbooks/only.yml").write_text(yaml.safe_dump(steps))
    described: dict[str, Any] = {
        name: {"ansible_host": f"10.20.1.{number}", "rack": "r1", "ansible_connection": "local"}
        for number, name in enumerate(HOSTS, 10)
    }
    inventory = {
        "kubernetes": {
            "children": {
                "control_plane": {"hosts": {name: described[name] for name in HOSTS[:3]}},
                "workers": {"hosts": {name: described[name] for name in HOSTS[3:]}},
            }
        },
        "bare_metal": {"children": {"kubernetes": None}},
        "route_reflectors": {"hosts": {"w1": None, "w2": None}},
    }
    estate = {
        "estate_name": "lab",
        "estate_kubernetes_version": "1.36.3",
        "estate_networks": {"services": "10.22.0.0/16", "pods": {"bare_metal": "10.21.0.0/16"}},
        "estate_racks": {"r1": {"subnet": "10.20.1.0/24"}},
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": estate, "children": inventory}}))

    def run(**variables: Any) -> Run:
        done = subprocess.run(
            [
                *(
                    str(Path(sys.executable).parent / "ansible-playbook"),
                    "-i",
                    "hosts.yml",
                    "playbooks/only.yml",
                ),
                f"--extra-vars={json.dumps(variables)}",
            ],
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return Run(done, tmp_path / "log")

    return run


def test_where_nothing_is_restarted_there_is_no_second_round(prepare: Prepare) -> None:
    run = prepare()
    assert run.status == 0, run.output
    assert run.log == []
    assert "skipping: no hosts matched" in run.output


def test_restarts_go_a_share_at_a_time_and_control_planes_alone(prepare: Prepare) -> None:
    run = prepare(
        container_runtime_restarts=HOSTS[3:], kubernetes_node_restarts=HOSTS[:3], estate_restarts_at_once="50%"
    )
    assert run.status == 0, run.output
    assert run.order[:3] == HOSTS[:3]
    assert sorted(run.order) == sorted(HOSTS)
    assert run.most_at_once == 4
    assert all(len({host for host, _event in run.log[2 * number : 2 * number + 2]}) == 1 for number in range(3)), (
        run.log
    )
    w1 = [number for number, (host, _event) in enumerate(run.log) if host == "w1"]
    w2 = [number for number, (host, _event) in enumerate(run.log) if host == "w2"]
    assert max(w1) < min(w2), "never two reflectors of a rack"


def test_one_at_a_time_is_enough_of_few(prepare: Prepare) -> None:
    run = prepare(container_runtime_restarts=["w3", "w4", "w5"], kubernetes_node_restarts=["w4"])
    assert run.status == 0, run.output
    assert run.most_at_once == 1
    assert [host for host, event in run.log if event == "begin"] == ["w3", "w4", "w4", "w5"]


def test_none_is_begun_after_one_that_failed(prepare: Prepare) -> None:
    run = prepare(container_runtime_restarts=["w3", "w4", "w5", "w6"], broken=["w4"])
    assert run.status != 0
    assert run.order == ["w3", "w4"]
    assert "not begun, because more hosts failed (w4) than the 0" in " ".join(run.output.split())


def test_who_asks_for_batches_has_them_for_all(prepare: Prepare) -> None:
    run = prepare(container_runtime_restarts=HOSTS[5:], batch="2", max_fail="100%", broken=["w3"])
    assert sorted(run.order) == sorted(HOSTS[5:])
    assert run.most_at_once <= 2
    assert "skipping: no hosts matched" in run.output
