# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_certificates as certificates
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Completed
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure

from tests.unit.plugins.module_utils.kubeadm_machine import CONTROL_PLANE_FILES, Machine, missing

SECRETS = "/api/v1/namespaces/kube-system/secrets"
KEY = "0123456789abcdef" * 4
OUTPUT = f"""[upload-certs] Storing the certificates in Secret "kubeadm-certs" in the "kube-system" Namespace
[upload-certs] Using certificate key:
{KEY}
"""
LENT = Answer(200, {"metadata": {"ownerReferences": [{"kind": "Secret", "name": "bootstrap-token-abcdef"}]}})


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    machine.put(CONTROL_PLANE_FILES)
    return machine


def kubeadm(answer):
    return lambda machine: answer if machine.calls[-1].argv[2:4] == ["phase", "upload-certs"] else Completed(9)


def test_the_key_comes_from_kubeadm_and_is_nowhere_else(machine):
    machine.effects["init"] = kubeadm(Completed(0, OUTPUT))
    steps, key = certificates.upload(machine.host(), 60, check=False)
    assert key == KEY
    assert [(step.action, step.target) for step in steps] == [("upload", "secret/kubeadm-certs")]
    assert KEY not in "".join(machine.listing().values())
    assert not any("run/hybridk8s" in path for path in machine.listing())


def test_the_version_is_given_so_that_kubeadm_does_not_look_for_it_on_the_internet(machine):
    machine.effects["init"] = kubeadm(Completed(0, OUTPUT))
    certificates.upload(machine.host(), 60, check=False)
    assert machine.calls[-1].config[0]["kubernetesVersion"] == "v1.36.3"


def test_check_mode_gives_a_placeholder(machine):
    steps, key = certificates.upload(machine.host(), 60, check=True)
    assert (len(steps), key) == (1, certificates.PLACEHOLDER)
    assert machine.calls == []


@pytest.mark.parametrize("done", [Completed(1, "", "error: connection refused"), Completed(0, "no key here")])
def test_no_key_is_a_failure(machine, done):
    machine.effects["init"] = kubeadm(done)
    with pytest.raises(Failure, match="Uploading the control-plane certificates failed"):
        certificates.upload(machine.host(), 60, check=False)
    assert not any("run/hybridk8s" in path for path in machine.listing())


def test_without_kubeadm_the_role_is_named(machine):
    machine.effects["version"] = lambda _: Completed(127, "", "not found")
    with pytest.raises(Failure, match="Role kubernetes_node"):
        certificates.upload(machine.host(), 60, check=False)


def asked(machine, method):
    return [question.path.rpartition("/")[2] for question in machine.asked if question.method == method]


def test_they_are_taken_back_with_the_token_that_owns_them(machine):
    machine.answers = {
        f"{SECRETS}/kubeadm-certs": LENT,
        f"DELETE {SECRETS}/kubeadm-certs": Answer(200, {}),
        f"DELETE {SECRETS}/bootstrap-token-abcdef": missing("bootstrap-token-abcdef", "secrets"),
    }
    steps = certificates.remove(machine.host(), check=False)
    assert [step.target for step in steps] == ["secret/kubeadm-certs", "secret/bootstrap-token-abcdef"]
    assert asked(machine, "DELETE") == ["kubeadm-certs", "bootstrap-token-abcdef"]
    assert {question.address for question in machine.asked} == {("10.20.1.11", 6443)}


def test_check_mode_takes_nothing_back(machine):
    machine.answers = {f"{SECRETS}/kubeadm-certs": LENT}
    assert len(certificates.remove(machine.host(), check=True)) == 2
    assert asked(machine, "DELETE") == []


def test_what_is_not_lent_is_not_taken_back(machine):
    machine.answers = {f"{SECRETS}/kubeadm-certs": missing("kubeadm-certs", "secrets")}
    assert certificates.remove(machine.host(), check=False) == []


@pytest.mark.parametrize("answer", [Answer(error="refused"), Answer(403, {"message": "forbidden"}), Answer(404, {})])
def test_an_api_that_does_not_say_is_a_failure(machine, answer):
    machine.answers = {f"{SECRETS}/kubeadm-certs": answer}
    with pytest.raises(Failure, match="Run again when it answers"):
        certificates.remove(machine.host(), check=False)


def test_a_host_that_is_no_control_plane(tmp_path):
    machine = Machine(tmp_path)
    assert certificates.remove(machine.host(), check=True) == []
    with pytest.raises(Failure, match="Run this on a control plane"):
        certificates.remove(machine.host(), check=False)
