from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.bench import measure, site
from tests.bench.measure import Cost
from tests.bench.meter import Usage
from tests.flows import drive

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
      delegate_to: localhost
      run_once: true
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    work = tmp_path_factory.mktemp("bench")
    (work / "play.yml").write_text(PLAYBOOK)
    (work / "ansible.cfg").write_text("[defaults]\n")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(work),
        "ANSIBLE_CONFIG": str(work / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(measure.CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "estate_counts",
        "ESTATE_COUNTS": str(work / "lines.json"),
    }
    options = ("--connection=local", f"--extra-vars=ansible_python_interpreter={sys.executable}")
    command = ("ansible-playbook", "--inventory=a,b,", *options, str(work / "play.yml"))
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return [json.loads(line) for line in (work / "lines.json").read_text().splitlines()]


def test_modules_on_a_host_count_and_the_controllers_own_work_does_not(records):
    executions = Counter(record["host"] for record in records if record["status"] == "execution")
    assert executions == {"a": 5, "b": 4}


def test_a_skipped_task_is_counted_for_its_host_alone(records):
    assert [record["host"] for record in records if record["status"] == "skipped"] == ["b"]


def test_the_dearest_worker_is_the_one_with_most_modules(monkeypatch):
    monkeypatch.setattr(drive, "address", lambda host: f"address of {host}")
    evaluations = Counter({("w1", "skipped"): 3, ("w2", "skipped"): 2})
    usage = Usage(status=0, started=0.0, wall=1.0, user=1.0, system=0.0, load=0.0, peak=1.0)
    cost = Cost("site", usage, 0, evaluations, Counter({"w1": 10, "address of w2": 12}), 0)

    assert site._dearest(cost, ("w1", "w2")) == "w2"
