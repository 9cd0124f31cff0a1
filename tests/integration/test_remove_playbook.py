"""The playbooks that take hosts out, against a real API server, on hosts that nobody can reach over ssh."""

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
ESTATES = {"example_three_racks": "harbor", "lab": "lab"}
READY = {"type": "Ready", "status": "True", "reason": "KubeletReady"}


@pytest.fixture(autouse=True)
def no_node_yet(cluster):
    for node in cluster.list(NODES):
        cluster.delete(f"{NODES}/{node['metadata']['name']}")


@pytest.fixture
def play(kubeconfig_file):
    def call(limit, *options, name="remove", inventory="example_three_racks"):
        """What ansible-playbook says, and its recap by host."""
        variables = {"estate_kubeconfig": str(kubeconfig_file), "confirm_estate": ESTATES[inventory]}
        variables |= {"ansible_ssh_common_args": "-o ProxyCommand=false", "ansible_python_interpreter": sys.executable}
        command = ["-i", f"inventories/{inventory}", f"hybridk8s.estate.{name}", f"--limit={limit}", *options]
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


REFLECTOR = {"route-reflector": "true"}
CONTROL_PLANE = {"node-role.kubernetes.io/control-plane": ""}


@pytest.mark.parametrize("name", ["remove", "reset", "reinit"])
def test_what_the_cluster_cannot_do_without_is_not_touched(cluster, play, name):
    make(cluster, "node-a1", ready=False, **REFLECTOR)
    make(cluster, "node-c1", ready=True, **REFLECTOR)
    make(cluster, "master-a", ready=True, **CONTROL_PLANE)
    make(cluster, "master-b", ready=False, **CONTROL_PLANE)
    done, recap = play("node-c1,master-a", "-e", "max_fail=1", name=name)
    assert done.returncode != 0
    assert "no other route reflector would be Ready" in done.stdout
    assert "group route_reflectors" in done.stdout
    assert "no other control plane would be Ready" in done.stdout
    assert "group control_plane" in done.stdout
    assert all(counts["unreachable"] == counts["changed"] == "0" for counts in recap.values()), done.stdout
    assert all("unschedulable" not in cluster.get(f"{NODES}/{name}")["spec"] for name in ("node-c1", "master-a"))


@pytest.mark.parametrize("name", ["remove", "reset"])
def test_some_control_plane_stays(play, name):
    done, recap = play("control_plane", name=name)
    assert done.returncode != 0
    said = re.sub(r"\s+", " ", done.stdout)
    assert "no control plane would be left of master-a, master-b, master-c (group control_plane). Name fewer" in said
    assert all(counts["unreachable"] == "0" for counts in recap.values()), done.stdout


def test_dead_hosts_that_may_not_go_hold_nobody_up(cluster, play):
    make(cluster, "master-a", ready=False, **CONTROL_PLANE)
    make(cluster, "node-b1", ready=True)
    _done, recap = play("master-a,node-b1")
    assert (recap["master-a"]["failed"], recap["node-b1"]["unreachable"]) == ("1", "1"), "node-b1 was asked to leave"


def test_a_whole_cluster_may_be_reset(cluster, play):
    make(cluster, "node-c1", ready=True, **REFLECTOR)
    make(cluster, "master-a", ready=True, **CONTROL_PLANE)
    _done, recap = play("kubernetes", name="reset")
    assert {counts["unreachable"] for counts in recap.values()} == {"1"}, "each was asked to leave"


def test_a_dead_host_is_replaced_by_the_api_alone_and_a_living_one_waits_for_a_new_one(cluster, play):
    make(cluster, "w2", ready=False)
    make(cluster, "w4", ready=True)
    make(cluster, "cp1", ready=True, **CONTROL_PLANE)
    done, recap = play("w2,w3,w4,w5", "-e", "retire=w2,w4 batch=1 max_fail=1", name="replace", inventory="lab")
    assert done.returncode != 0
    assert cluster.get(f"{NODES}/w2") is None, done.stdout
    assert (recap["w2"]["failed"], recap["w2"]["unreachable"]) == ("0", "0"), done.stdout
    assert recap["w3"]["unreachable"] == recap["w5"]["unreachable"] == "1", "max_fail lets the second begin"
    assert recap["w4"]["unreachable"] == "0", done.stdout
    assert "unschedulable" not in cluster.get(f"{NODES}/w4")["spec"]


def test_replace_begins_no_further_host_after_the_first_failure(cluster, play):
    make(cluster, "w4", ready=True)
    make(cluster, "cp1", ready=True, **CONTROL_PLANE)
    done, recap = play("w3,w4,w5", "-e", "retire=w4 batch=1", name="replace", inventory="lab")
    assert done.returncode != 0
    assert (recap["w3"]["unreachable"], recap["w5"]["unreachable"]) == ("1", "0"), done.stdout
    assert "not begun, because more hosts failed (w3) than the 0 of 2" in re.sub(r"\s+", " ", done.stdout)


def test_reinit_goes_on_as_far_as_the_budget_allows(cluster, play):
    for name in ("node-a1", "node-b1", "node-c1"):
        make(cluster, name, ready=True)
    for options, reached in ([[], 1], [["-e", "max_fail=1"], 2]):
        done, recap = play("workers", *options, name="reinit")
        assert done.returncode != 0
        assert sum(counts["unreachable"] == "1" for counts in recap.values()) == reached, done.stdout


def test_nothing_happens_without_a_confirmation(cluster, play):
    unconfirmed, _recap = play("node-a1", "-e", "confirm_estate=other")
    assert "Nothing was changed: name the hosts and the estate" in unconfirmed.stdout
    assert unconfirmed.returncode != 0
