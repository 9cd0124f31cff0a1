# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from unittest import mock

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hybridk8s.estate.plugins.module_utils import _etcd_members as etcd
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_etcd import Unreachable
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure
from ansible_collections.hybridk8s.estate.plugins.modules import etcd_member

from tests.unit.plugins.module_utils.kubeadm_machine import (
    CONTROL_PLANE_FILES,
    LIST,
    REMOVE,
    SILENT,
    Machine,
    members,
)

STATUS = "POST /v3/maintenance/status"
URLS = {"cp1": "https://10.20.1.11:2379", "w1": "https://10.20.1.12:2379", "cp3": "https://10.20.1.13:2379"}
SERVES = Answer(200, {"leader": "7"})
LEADERLESS = Answer(200, {"leader": "0"})
UNHEALTHY = Answer(503, {"message": "etcdserver: unhealthy cluster"})


@pytest.fixture
def machine(tmp_path):
    """w1, whose etcd has the members cp1, w1 and cp3; cp1 does not answer."""
    machine = Machine(tmp_path)
    machine.put(CONTROL_PLANE_FILES)
    serve(machine, "w1", "cp3")
    machine.answers[LIST] = [members("cp1", "w1", "cp3"), members("w1", "cp3")]
    machine.answers[REMOVE] = Answer(200, {})
    return machine


def serve(machine, *names, answer=SERVES):
    machine.answers |= {f"{URLS[name]} {STATUS}": answer for name in names}


def removals(machine):
    return [(q.kubeconfig.server, q.body["ID"]) for q in machine.asked if q.path.endswith("/remove")]


def remove(machine, *names, check=False, left=False, **address):
    wanted = [etcd.Going(name, left=left, **address) for name in names]
    return etcd.Cluster(machine.host(), 10).remove(wanted, check)


def member(name, serves=True, learner=False):
    return etcd.Member(name, name, (f"https://{name}:2380",), (f"https://{name}:2379",), learner, serves)


DEAD = member("dead", serves=False)
A, B, C = member("a"), member("b"), member("c")
DOWN = member("down", serves=False)


@pytest.mark.parametrize(
    ("listed", "gone", "left", "why"),
    [
        ([DEAD, A, B], DEAD, False, ""),
        ([DEAD, A], DEAD, False, "no quorum: 1 of 2"),
        ([DEAD, DOWN, A, B, C], DEAD, False, ""),
        ([DEAD, DOWN, A], DEAD, False, "etcd has no quorum: 1 of 3"),
        ([DEAD], DEAD, False, "etcd has no quorum"),
        ([A], A, True, "only voting member"),
        ([A, B, C], A, False, "still answers at https://a:2379"),
        ([A, B, C], A, True, ""),
        ([A, B], A, True, ""),
        ([A, B, DOWN], A, True, "without it etcd would have no quorum: 1 of 2"),
        ([A, member("l", learner=True)], A, True, "only voting member"),
        ([A, member("l", learner=True)], member("l", learner=True), True, ""),
        ([A, member("l", serves=False, learner=True)], member("l", serves=False, learner=True), False, ""),
    ],
)
def test_a_member_goes_only_where_a_majority_serves_before_and_after(listed, gone, left, why):
    said = etcd.refusal(listed, gone, etcd.Going(gone.name, left=left))
    assert why in said
    assert bool(said) == bool(why)


@pytest.mark.parametrize(
    ("name", "address", "theirs"),
    [
        ("cp1", "", True),
        ("cp1", "10.0.0.9", True),
        ("cp2", "10.20.1.11", False),
    ],
)
def test_a_started_member_is_known_by_its_name_alone(name, address, theirs):
    listed = etcd.Member("1", "cp1", ("https://10.20.1.11:2380",))
    assert listed.belongs_to(etcd.Going(name, address)) is theirs


@pytest.mark.parametrize(
    ("url", "address", "theirs"),
    [
        ("https://10.20.1.11:2380", "10.20.1.11", True),
        ("https://10.20.1.111:2380", "10.20.1.11", False),
        ("https://[fd00::11]:2380", "fd00::11", True),
        ("https://10.20.1.11:2380", "", False),
    ],
)
def test_one_that_never_started_is_known_by_its_address(url, address, theirs):
    assert etcd.Member("1", "", (url,)).belongs_to(etcd.Going("cp1", address)) is theirs


def test_a_dead_member_is_taken_out_by_one_that_serves(machine):
    outcome = remove(machine, "cp1")
    assert outcome.states == {"cp1": ("removed", "")}
    assert removals(machine) == [(URLS["w1"], "11")]
    assert [member.name for member in outcome.after] == ["w1", "cp3"]
    assert [question.body for question in machine.asked if question.path.endswith("/list")] == [
        {"linearizable": True},
        {"linearizable": True},
    ]


def test_check_mode_asks_and_removes_nothing(machine):
    outcome = remove(machine, "cp1", check=True)
    assert outcome.states == {"cp1": ("removed", "")}
    assert removals(machine) == []
    assert etcd.quorum(outcome.after) == etcd.Quorum(voters=2, serving=2)


def test_a_second_run_has_nothing_to_do(machine):
    machine.answers[LIST] = members("w1", "cp3")
    outcome = remove(machine, "cp1")
    assert outcome.states == {"cp1": ("absent", "it has no etcd member")}
    assert (outcome.steps, outcome.unsettled) == ([], {})


def test_what_a_cluster_that_changes_refuses_for_a_moment_is_tried_again(machine):
    machine.answers[REMOVE] = [UNHEALTHY, UNHEALTHY, UNHEALTHY, Answer(200, {})]
    assert remove(machine, "cp1").states["cp1"][0] == "removed"


def test_a_lasting_refusal_is_said_and_the_next_host_has_its_turn(machine):
    machine.answers[LIST] = members("cp1", "w1", "cp3")
    machine.answers[REMOVE] = UNHEALTHY
    outcome = remove(machine, "cp1", "cp3")
    assert outcome.states["cp1"][0] == "failed"
    assert "unhealthy cluster" in outcome.states["cp1"][1]
    assert outcome.states["cp3"][0] == "refused"


def test_after_a_removal_the_quorum_is_waited_for(machine):
    serve(machine, "cp3", answer=[SERVES, LEADERLESS, LEADERLESS, SERVES])
    machine.answers[LIST] = [members("cp1", "w1", "cp3"), SILENT, SILENT, members("w1", "cp3")]
    assert remove(machine, "cp1").states == {"cp1": ("removed", "")}
    assert machine.time >= 2


def test_nothing_more_goes_once_the_quorum_is_not_seen_to_hold(machine):
    serve(machine, "cp3", answer=[SERVES, LEADERLESS])
    with pytest.raises(Unreachable, match=r"cp1 was removed, and etcd has not settled in 10 s: 1 of 2"):
        remove(machine, "cp1", "cp3", left=True)
    assert len(removals(machine)) == 1


def test_two_at_once_are_judged_one_after_the_other(machine):
    """Of three with one dead, one more may not go: the last would be alone with a member that is listed."""
    serve(machine, "cp1")
    machine.answers[LIST] = [members("cp1", "w1", "cp3"), members("w1", "cp3"), members("w1")]
    outcome = remove(machine, "cp1", "cp3", left=True)
    assert [state for state, _why in outcome.states.values()] == ["removed", "removed"]
    assert removals(machine) == [(URLS["w1"], "11"), (URLS["w1"], "13")]


def test_a_lost_quorum_is_said_before_anything_is_asked_to_go(machine):
    machine.answers[LIST] = Answer(503, {"error": "etcdserver: request timed out"})
    with pytest.raises(Unreachable, match=r"no quorum.*request timed out"):
        remove(machine, "cp1")
    assert removals(machine) == []


def test_where_etcd_is_elsewhere_there_is_nothing_to_do(machine):
    machine.take("/etc/kubernetes/manifests/etcd.yaml")
    assert remove(machine, "cp1").states == {"cp1": ("absent", "etcd does not run on the control planes")}
    assert machine.asked == []


def test_a_worker_is_no_place_to_ask(tmp_path):
    with pytest.raises(Failure, match="no control plane"):
        remove(Machine(tmp_path), "cp1")


@pytest.fixture
def run(machine, capsys):
    def call(**arguments):
        with (
            patch_module_args(arguments),
            mock.patch.object(etcd_member, "Host", machine.host),
            pytest.raises(SystemExit),
        ):
            etcd_member.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_the_module_reports_members_and_quorum(run):
    result = run(names=["cp1"])
    assert (result["changed"], result["nodes"]["cp1"]) == (True, {"state": "removed", "message": "", "changed": True})
    assert result["quorum"] == {
        "before": {"voters": 3, "serving": 2, "needed": 2},
        "after": {"voters": 2, "serving": 2, "needed": 2},
    }
    assert [member["name"] for member in result["members"]] == ["w1", "cp3"]


@pytest.mark.parametrize(("on_failure", "failed"), [("fail", True), ("report", False)])
def test_the_module_fails_for_a_member_that_may_not_go_unless_told_to_report(run, on_failure, failed):
    result = run(names=["cp3"], on_failure=on_failure)
    assert result.get("failed", False) is failed
    assert result["nodes"]["cp3"]["state"] == "refused"
    assert "Bring another control plane up first" in result["nodes"]["cp3"]["message"]
    assert (result["changed"], result["steps"]) == (False, [])


def test_the_module_names_the_remedy_on_a_worker(machine, run):
    machine.take("/etc/kubernetes/manifests/etcd.yaml", "/etc/kubernetes/manifests/kube-apiserver.yaml")
    assert "delegate_to" in run(names=["cp1"])["msg"]
