"""The playbook remove against a real API server, on hosts that nobody can reach over ssh."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NODES = "/api/v1/nodes"
PODS = "/api/v1/namespaces/default/pods"
READY = {"type": "Ready", "status": "True", "reason": "KubeletReady"}


@pytest.fixture
def play(kubeconfig_file):
    def call(limit, *options):
        """What ansible-playbook says, and its recap by host."""
        variables = {"estate_kubeconfig": str(kubeconfig_file), "confirm_estate": "harbor"}
        variables |= {"ansible_ssh_common_args": "-o ProxyCommand=false", "ansible_python_interpreter": sys.executable}
        command = ["-i", "inventories/example_three_racks", "hybridk8s.estate.remove", f"--limit={limit}", *options]
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), "-e", json.dumps(variables), *command],
            cwd=REPOSITORY,
            env={**os.environ, "ANSIBLE_CONFIG": "ansible.cfg", "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        counts = re.findall(r"^(\S+)\s+: (ok=.*)$", done.stdout, re.MULTILINE)
        return done, {host: dict(re.findall(r"(\w+)=(\d+)", line)) for host, line in counts}

    return call


def make(cluster, name, ready, **labels):
    cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    if ready:
        cluster.merge(f"{NODES}/{name}/status", {"status": {"conditions": [READY]}})


def test_a_dead_worker_goes_and_one_that_answers_but_cannot_be_reached_is_not_touched(cluster, play):
    make(cluster, "node-a1", ready=False)
    make(cluster, "node-b1", ready=True)
    make(cluster, "node-c1", ready=True, **{"route-reflector": "true"})
    planned, _recap = play("node-a1", "--check")
    assert planned.returncode == 0, planned.stdout
    assert cluster.get(f"{NODES}/node-a1") is not None

    done, recap = play("node-a1,node-b1,node-c1")
    assert done.returncode != 0
    assert (recap["node-a1"]["failed"], recap["node-a1"]["unreachable"]) == ("0", "0"), done.stdout
    assert recap["node-b1"]["unreachable"] == "1", done.stdout
    assert "no other route reflector would be Ready" in done.stdout
    assert cluster.get(f"{NODES}/node-a1") is None
    for name in ("node-b1", "node-c1"):
        node = cluster.get(f"{NODES}/{name}")
        assert not node["spec"].get("unschedulable")
        assert "annotations" not in node["metadata"]

    again, recap = play("node-a1")
    assert again.returncode == 0, again.stdout
    assert recap["node-a1"]["changed"] == "0", again.stdout


def test_nothing_happens_without_a_confirmation_or_with_every_control_plane(cluster, play):
    unconfirmed, _recap = play("node-a1", "-e", "confirm_estate=other")
    assert "Nothing was changed: name the hosts and the estate" in unconfirmed.stdout
    everyone, _recap = play("control_plane")
    assert "no control plane would be left" in everyone.stdout
    assert unconfirmed.returncode != 0
    assert everyone.returncode != 0
