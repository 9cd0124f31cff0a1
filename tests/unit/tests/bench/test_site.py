from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import site as bench
from tests.flows import drive
from tests.lab.inventory import Inventory

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.ping:
    - ansible.builtin.ping:
      loop: [1, 2, 3]
    - ansible.builtin.debug: {msg: the controller alone}
    - ansible.builtin.set_fact: {x: 1}
    - ansible.builtin.ping:
      when: inventory_hostname == 'a'
    - ansible.builtin.ping:
      delegate_to: b
      run_once: true
"""


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    work = tmp_path_factory.mktemp("bench")
    (work / "play.yml").write_text(PLAYBOOK)
    (work / "ansible.cfg").write_text("[defaults]\n")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(work),
        "ANSIBLE_CONFIG": str(work / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(bench.CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "estate_counts",
        "ESTATE_COUNTS": str(work / "counts.json"),
    }
    options = ("--connection=local", f"--extra-vars=ansible_python_interpreter={sys.executable}")
    command = ("ansible-playbook", "--inventory=a,b,", *options, str(work / "play.yml"))
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return json.loads((work / "counts.json").read_text())


def test_modules_on_the_host_count_and_the_controllers_own_work_does_not(counts):
    assert counts == {"a": {"remote": 5, "skipped": 0}, "b": {"remote": 4, "skipped": 1}}


def test_table(monkeypatch):
    monkeypatch.setattr(drive, "inventory", lambda: Inventory({}, {"kubernetes": ("cp1", "w1", "w2")}))
    recap = {host: {"ok": 9, "changed": int(host == "w2")} for host in ("cp1", "w1", "w2", "tor1")}
    counts = {
        "w1": {"remote": 11, "skipped": 3},
        "w2": {"remote": 12, "skipped": 2},
        "cp1": {"remote": 40, "skipped": 9},
    }
    cost = bench.Cost("site", drive.Run(0, "", 61.4, 9.0, recap), counts, ("w1", "w2"))

    assert list(bench.table([cost]))[-1] == "| site | 0 | 61 | 9.0 | 3.0 | 12 | 3 | 1 |"
