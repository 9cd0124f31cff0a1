# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The glue of the three kubeadm modules: arguments in, result out."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Completed
from ansible_collections.hybridk8s.estate.plugins.modules import kubeadm_certificates, kubeadm_info, kubeadm_node

from tests.unit.plugins.module_utils.kubeadm_machine import (
    CONTROL_PLANE_FILES,
    DISCOVERY,
    TOKEN,
    WORKER_FILES,
    Machine,
    missing,
    node,
)

JOIN = {
    "state": "joined",
    "node_name": "w1",
    "config": [{"kind": "JoinConfiguration", "nodeRegistration": {"name": "w1"}}],
    "discovery": DISCOVERY,
    "token": TOKEN,
}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def run(machine, capsys):
    def call(module, arguments):
        with (
            patch_module_args(arguments),
            mock.patch.object(module, "Host", machine.host),
            pytest.raises(SystemExit) as end,
        ):
            module.main()
        result = json.loads(capsys.readouterr().out)
        assert bool(end.value.code) == bool(result.get("failed"))
        return result

    return call


def test_a_join_is_reported(machine, run):
    machine.answers["/api/v1/nodes/w1"] = missing("w1")
    result = run(kubeadm_node, {**JOIN, "_ansible_diff": True})
    assert result["changed"] is True
    assert result["node_name"] == "w1"
    assert result["membership"] == {"before": "none", "after": "worker"}
    assert result["steps"] == [
        {"action": "join", "target": "node/w1", "reason": "it is no member of a cluster"},
    ]
    assert "JoinConfiguration" in result["diff"][0]["after"]
    assert TOKEN not in json.dumps(result)


def test_a_member_is_not_changed(machine, run):
    machine.put(WORKER_FILES)
    machine.answers["/api/v1/nodes/w1"] = node("w1")
    result = run(kubeadm_node, JOIN)
    assert (result["changed"], result["steps"], result["registered"]) == (False, [], "yes")
    assert "diff" not in result


def test_check_mode_plans(machine, run):
    result = run(kubeadm_node, {**JOIN, "_ansible_check_mode": True})
    assert result["changed"] is True
    assert machine.listing() == {}


def test_a_failure_is_a_message(machine, run):
    machine.put({"/var/lib/etcd/member/snap": "x"})
    result = run(kubeadm_node, JOIN)
    assert result["failed"] is True
    assert "/var/lib/etcd/member" in result["msg"]
    assert "exception" not in result


def test_a_host_that_cannot_be_written_is_a_message(machine, run):
    machine.answers["/api/v1/nodes/w1"] = missing("w1")
    (machine.root / "var").write_text("a file where a directory must be")
    assert run(kubeadm_node, JOIN)["failed"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"state": "joined", "node_name": "w1"}, "config"),
        ({"state": "initialized", "config": []}, "node_name"),
        ({}, "state"),
        ({"state": "gone"}, "absent"),
    ],
)
def test_missing_arguments_are_named(run, arguments, words):
    assert words in run(kubeadm_node, arguments)["msg"]


def test_a_removal_warns_of_what_it_could_not_do(machine, run):
    machine.put(CONTROL_PLANE_FILES)
    with mock.patch.object(kubeadm_node.AnsibleModule, "warn") as warn:
        result = run(kubeadm_node, {"state": "absent", "api_timeout": 1})
    assert result["changed"] is True
    assert result["membership"] == {"before": "control_plane", "after": "none"}
    assert "etcdctl" in warn.call_args.args[0]
    assert not [question for question in machine.asked if "nodes" in question.path]


def test_info_of_a_control_plane(machine, run):
    machine.put(
        CONTROL_PLANE_FILES, {"/etc/kubernetes/manifests/kube-apiserver.yaml": "image: x/kube-apiserver:v1.36.3"}
    )
    machine.answers["/api/v1/nodes/cp1"] = node("cp1")
    result = run(kubeadm_info, {"node_name": "cp1"})
    assert {key: result[key] for key in ("changed", "membership", "settled", "registered", "busy", "version")} == {
        "changed": False,
        "membership": "control_plane",
        "settled": True,
        "registered": "yes",
        "busy": False,
        "version": "1.36.3",
    }


def test_info_writes_nothing(machine, run):
    assert run(kubeadm_info, {"node_name": "w1"})["membership"] == "none"
    assert machine.listing() == {}


def test_certificates_are_lent(machine, run):
    machine.effects["init"] = lambda _: Completed(0, "key:\n" + "ab" * 32 + "\n")
    result = run(kubeadm_certificates, {})
    assert (result["changed"], result["certificate_key"]) == (True, "ab" * 32)


def test_certificates_not_lent_are_no_change(machine, run):
    machine.put(CONTROL_PLANE_FILES)
    machine.answers["/api/v1/namespaces/kube-system/secrets/kubeadm-certs"] = missing("kubeadm-certs", "secrets")
    result = run(kubeadm_certificates, {"state": "absent"})
    assert result["changed"] is False
    assert "certificate_key" not in result


def test_certificates_that_cannot_be_asked_for_are_a_message(machine, run):
    machine.put(CONTROL_PLANE_FILES)
    machine.answers["/api/v1/namespaces/kube-system/secrets/kubeadm-certs"] = Answer(error="refused")
    assert "refused" in run(kubeadm_certificates, {"state": "absent"})["msg"]
