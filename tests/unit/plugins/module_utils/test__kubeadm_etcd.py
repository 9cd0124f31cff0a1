# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_etcd as etcd
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer

from tests.unit.plugins.module_utils.kubeadm_machine import (
    CA_PEM,
    CONTROL_PLANE_FILES,
    ETCD_MANIFEST,
    LIST,
    REMOVE,
    SILENT,
    Machine,
    members,
)

OWN = "https://10.20.1.12:2379"
OTHER = "https://10.20.1.11:2379"
THIRD = "https://10.20.1.13:2379"
REFUSAL = Answer(503, {"message": "etcdserver: unhealthy cluster"})


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    machine.put(CONTROL_PLANE_FILES)
    return machine


def removals(machine):
    return [(q.kubeconfig.server, q.body["ID"]) for q in machine.asked if q.path.endswith("/remove")]


def test_the_manifest_says_whom_to_ask():
    assert etcd.place(ETCD_MANIFEST) == etcd.Place("https://10.20.1.12:2380", (OTHER, OWN))


def test_the_first_member_knows_only_itself():
    manifest = ETCD_MANIFEST.replace(",cp1=https://10.20.1.11:2380", "")
    assert etcd.place(manifest).client_urls == (OWN,)


def test_addresses_may_be_ipv6():
    manifest = ETCD_MANIFEST.replace("10.20.1.11", "[fd00::11]")
    assert etcd.place(manifest).client_urls[0] == "https://[fd00::11]:2379"


@pytest.mark.parametrize("manifest", ["", "kind: Pod", "--advertise-client-urls=https://x:2379"])
def test_what_is_no_manifest(manifest):
    assert etcd.place(manifest) is None


def test_without_etcd_there_is_nothing_to_leave(tmp_path):
    machine = Machine(tmp_path)
    assert etcd.leave(machine.host(), 10) is False
    assert machine.asked == []


@pytest.mark.parametrize("learner", ["", "w1"])
def test_a_member_is_removed_by_another(machine, learner):
    machine.answers = {LIST: members("cp1", "w1", "cp3", learner=learner), REMOVE: Answer(200, {})}
    assert etcd.leave(machine.host(), 10) is True
    assert removals(machine) == [(OTHER, "12")]
    access = machine.asked[-1].kubeconfig
    assert (access.ca, access.client_pem) == (CA_PEM, "CERTKEY")


def test_any_other_member_will_do(machine):
    machine.answers = {
        f"{OWN} {LIST}": members("cp1", "w1", "cp3"),
        f"{THIRD} {REMOVE}": Answer(200, {}),
    }
    assert etcd.leave(machine.host(), 10) is True
    assert removals(machine) == [(OTHER, "12"), (THIRD, "12")]


def test_a_learner_is_not_asked_to_remove(machine):
    machine.answers = {LIST: members("cp3", "cp1", "w1", learner="cp3"), REMOVE: Answer(200, {})}
    assert etcd.leave(machine.host(), 10) is True
    assert removals(machine) == [(OTHER, "12")]


@pytest.mark.parametrize("listed", [members("w1"), members("cp1", "cp3")])
def test_the_only_member_and_one_that_is_gone_are_nothing_to_remove(machine, listed):
    machine.answers = {LIST: listed}
    assert etcd.leave(machine.host(), 10) is False
    assert removals(machine) == []


def test_a_refusal_that_passes_is_outlasted(machine):
    machine.answers = {LIST: [SILENT, members("cp1", "w1")], REMOVE: [REFUSAL, REFUSAL, Answer(200, {})]}
    assert etcd.leave(machine.host(), 30) is True


def test_two_that_leave_at_once_end_with_the_last_one_alone(machine):
    """While this host is being refused, the other one leaves."""
    machine.answers = {LIST: [members("cp1", "w1"), members("w1")], REMOVE: REFUSAL}
    assert etcd.leave(machine.host(), 30) is False


def test_a_lasting_refusal_says_why(machine):
    machine.answers = {LIST: members("cp1", "w1"), REMOVE: REFUSAL}
    with pytest.raises(etcd.Refused, match="unhealthy cluster"):
        etcd.leave(machine.host(), 10)
    assert machine.time >= 10


@pytest.mark.parametrize("answer", [SILENT, Answer(503, {"error": "no leader"}), Answer(404, {})])
def test_an_etcd_that_does_not_answer_is_told_apart(machine, answer):
    machine.answers = {LIST: answer}
    with pytest.raises(etcd.Unreachable):
        etcd.leave(machine.host(), 10)
    assert removals(machine) == []
