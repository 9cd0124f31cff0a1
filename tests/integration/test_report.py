"""What the playbooks that only talk to the API report, of the lab's inventory against a real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def playbook(kubeconfig_file, tmp_path):
    def run(name, *options):
        report = tmp_path / "report.json"
        variables = {
            "ansible_python_interpreter": sys.executable,
            "estate_kubeconfig": str(kubeconfig_file),
            "estate_report": str(report),
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(REPOSITORY / "inventories" / "lab")]
        ended = subprocess.run(
            [*command, "-e", json.dumps(variables), *options, f"hybridk8s.estate.{name}"],
            cwd=REPOSITORY,
            env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
            capture_output=True,
            text=True,
            check=False,
        )
        document = json.loads(report.read_text())
        return ended, document, {name: host["state"] for name, host in document["hosts"].items()}

    return run


def test_label_drain_and_uncordon_report_every_node(playbook, cluster):
    for name in ("cp1", "w1", "w2", "w3", "w4"):
        cluster.request("POST", "/api/v1/nodes", body={"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}})
    there = dict.fromkeys(("cp1", "w1", "w2", "w3", "w4"), "changed")

    ended, document, states = playbook("label")
    assert ended.returncode == 0, ended.stdout
    assert states == {**there, "w5": "missing"}
    assert document["remaining"] == ["w5"]
    assert document["hosts"]["w1"]["did"][0]["steps"], "what was changed is said"

    ended, _document, states = playbook("label", "--limit", "w1,w2")
    assert ended.returncode == 0, ended.stdout
    assert states == {"w1": "unchanged", "w2": "unchanged"}

    ended, _document, states = playbook("drain", "--limit", "w1,w2,w5")
    assert ended.returncode == 2, "w5 is no node"
    assert states == {"w1": "drained", "w2": "drained", "w5": "missing"}
    assert "run again with --limit w5" in ended.stdout

    ended, document, states = playbook("uncordon", "--check", "--limit", "w1,w3")
    assert ended.returncode == 0, ended.stdout
    assert states == {"w1": "changed", "w3": "unchanged"}
    assert "It would change 1 of 2 hosts." in ended.stdout

    ended, _document, states = playbook("uncordon", "--limit", "w1,w3")
    assert (ended.returncode, states) == (0, {"w1": "changed", "w3": "unchanged"})
