# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import replace

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_host as host_module
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_node as kubeadm_node
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import (
    cluster_from,
    init_documents,
    join_documents,
    node_from,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Completed, locked
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure, Marker, Request

from tests.unit.plugins.module_utils.kubeadm_machine import (
    CA_DATA,
    CA_PEM,
    CONTROL_PLANE_FILES,
    DISCOVERY,
    KUBECONFIG,
    LIST,
    REMOVE,
    SILENT,
    TOKEN,
    WORKER_FILES,
    Machine,
    members,
    missing,
    node,
    nodes,
)

KEY = "f" * 64
NODE = "/api/v1/nodes/w1"
NODES = "/api/v1/nodes?limit=5"
W1 = node_from({"name": "w1", "ip": "10.20.1.21"})
CLUSTER = cluster_from(
    {"name": "lab", "version": "1.36.3", "endpoint": "api.lab.internal:7443", "service_cidr": "10.22.0.0/16"}
)
INIT = Request("initialized", "w1", init_documents(CLUSTER, W1))
JOIN = Request("joined", "w1", join_documents(W1), discovery=DISCOVERY, token=TOKEN)
JOIN_CONTROL_PLANE = replace(JOIN, config=join_documents(W1, control_plane=True), certificate_key=KEY)
ABSENT = Request("absent", "w1")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def run(machine, request, check=False):
    return kubeadm_node.converge(machine.host(), request, check)


def actions(outcome):
    return [step.action for step in outcome.steps]


def leave_marker(machine, action, request, **extra):
    host_module.write_marker(machine.host(), Marker(action, "2026-11-23T06:00:00Z", "v1.36.3", request.digest, **extra))


def fails(*lines):
    return lambda _unused: Completed(1, "", "\n".join(lines))


def assert_no_trace(machine):
    """No marker, no secret; the lock and kubeadm's log stay."""
    assert [path for path in machine.listing() if "hybridk8s" in path and not path.endswith((".log", "/lock"))] in (
        [],
        ["/var/lib/hybridk8s/kubeadm/kubeadm.log.reset"],
    )
    assert TOKEN not in "".join(machine.listing().values())


# A first run.


def test_init_on_an_empty_host(machine):
    outcome = run(machine, INIT)
    assert (actions(outcome), outcome.before.membership, outcome.after) == (["init"], "none", "control_plane")
    assert machine.verbs() == ["init"]
    assert machine.call("init").config == INIT.config
    assert machine.call("init").config_mode == "0o600"
    assert_no_trace(machine)


def test_a_worker_joins_with_secrets_in_files_only(machine):
    machine.answers[NODE] = missing("w1")
    outcome = run(machine, JOIN)
    assert (actions(outcome), outcome.after) == (["join"], "worker")
    call = machine.call("join")
    assert TOKEN not in " ".join(call.argv)
    assert call.config[0]["discovery"]["tlsBootstrapToken"] == TOKEN
    assert call.config[0]["discovery"]["file"]["kubeConfigPath"] == str(
        machine.root / "run/hybridk8s/kubeadm/discovery.conf"
    )
    assert json.loads(call.discovery) == DISCOVERY
    assert call.config_mode == "0o600"
    assert len(call.pass_fds) == 1
    assert_no_trace(machine)


def test_a_control_plane_joins_with_the_certificate_key(machine):
    machine.answers[NODE] = missing("w1")
    machine.effects["join"] = lambda m: m.put(CONTROL_PLANE_FILES) or Completed(0)
    assert run(machine, JOIN_CONTROL_PLANE).after == "control_plane"
    assert machine.call("join").config[0]["controlPlane"]["certificateKey"] == KEY


def test_the_plan_shows_the_configuration_without_secrets(machine):
    (step,) = run(machine, JOIN_CONTROL_PLANE, check=True).steps
    assert '"JoinConfiguration"' in step.after
    assert TOKEN not in step.after
    assert KEY not in step.after


@pytest.mark.parametrize("request_", [INIT, replace(JOIN, token="", discovery={}), JOIN_CONTROL_PLANE])
def test_check_mode_plans_on_a_host_without_kubeadm_and_writes_nothing(machine, request_):
    machine.effects["version"] = lambda _unused: Completed(127, "", "kubeadm: not found")
    outcome = run(machine, request_, check=True)
    assert actions(outcome) == ["init" if request_ is INIT else "join"]
    assert machine.listing() == {}
    assert not machine.verbs()


def test_without_kubeadm_the_role_is_named_and_nothing_begun(machine):
    machine.effects["version"] = lambda _unused: Completed(127, "", "kubeadm: not found")
    with pytest.raises(Failure, match="Role kubernetes_node"):
        run(machine, INIT)
    assert not machine.host().has(host_module.MARKER)


# A member.


@pytest.mark.parametrize(
    ("files", "request_"),
    [(WORKER_FILES, JOIN), (CONTROL_PLANE_FILES, INIT), (CONTROL_PLANE_FILES, JOIN_CONTROL_PLANE)],
)
@pytest.mark.parametrize("answer", [node("w1"), SILENT, Answer(503, {})])
@pytest.mark.parametrize("check", [True, False])
def test_a_member_is_left_alone_and_nothing_is_written(machine, files, request_, answer, check):
    machine.put(files)
    machine.answers[NODE] = answer
    before = machine.listing()
    outcome = run(machine, request_, check)
    assert outcome.steps == ()
    assert outcome.before.membership == outcome.after
    assert outcome.before.registered == ("yes" if answer.status == 200 else "unknown")
    assert machine.listing() == before
    assert machine.calls == []


def test_a_member_needs_no_token(machine):
    machine.put(WORKER_FILES)
    machine.answers[NODE] = node("w1")
    assert run(machine, replace(JOIN, token="", discovery={})).steps == ()


def test_a_member_with_an_unreadable_kubeconfig_is_left_alone(machine):
    machine.put(WORKER_FILES, {"/etc/kubernetes/kubelet.conf": "garbage"})
    outcome = run(machine, JOIN)
    assert (outcome.steps, outcome.before.registered) == ((), "unknown")
    assert "kubelet.conf" in outcome.before.detail


@pytest.mark.parametrize("check", [True, False])
def test_a_member_of_another_cluster_is_refused(machine, check):
    machine.put(WORKER_FILES, {"/etc/kubernetes/pki/ca.crt": CA_PEM.replace("Q0E=", "T1RI")})
    machine.answers[NODE] = node("w1")
    with pytest.raises(Failure, match="another cluster"):
        run(machine, JOIN, check)


@pytest.mark.parametrize("request_", [JOIN, INIT])
@pytest.mark.parametrize("check", [True, False])
def test_what_others_left_is_not_touched(machine, request_, check):
    machine.put({"/var/lib/etcd/member/snap/db": "precious"})
    with pytest.raises(Failure, match="/var/lib/etcd/member"):
        run(machine, request_, check)
    assert machine.has("/var/lib/etcd/member/snap/db")
    assert machine.verbs() == []


# A join that fails.

PREFLIGHT = ["error: error execution phase preflight", "\t[ERROR Port-10250]: Port 10250 is in use"]


def test_a_failed_preflight_leaves_nothing_and_resets_nothing(machine):
    machine.put({"/etc/kubernetes/manifests/other.yaml": "x", "/var/lib/cni/theirs": "x"})
    machine.answers[NODE] = missing("w1")
    machine.effects["join"] = fails(*PREFLIGHT)
    with pytest.raises(Failure) as failure:
        run(machine, JOIN)
    assert "[ERROR Port-10250]" in str(failure.value)
    assert "Remedy:" in str(failure.value)
    assert "The host was cleaned" in str(failure.value)
    assert machine.verbs() == ["join"]
    assert machine.has("/etc/kubernetes/manifests/other.yaml")
    assert machine.has("/var/lib/cni/theirs")
    assert_no_trace(machine)


def half_a_join(machine):
    machine.put({"/etc/kubernetes/bootstrap-kubelet.conf": TOKEN, "/etc/kubernetes/pki/ca.crt": CA_PEM})
    machine.put({"/var/lib/cni/ours": "x"})
    return Completed(1, "", "error: timed out waiting for the kubelet")


def test_a_join_that_fails_midway_is_cleaned_and_the_next_run_joins(machine):
    machine.answers[NODE] = missing("w1")
    machine.effects["join"] = half_a_join
    machine.effects["reset"] = lambda m: m.take("/etc/kubernetes/bootstrap-kubelet.conf") or Completed(0)
    with pytest.raises(Failure, match="timed out waiting"):
        run(machine, JOIN)
    assert machine.verbs() == ["join", "reset"]
    assert not machine.has("/etc/kubernetes/pki/ca.crt")
    assert not machine.has("/var/lib/cni/ours")
    assert_no_trace(machine)
    del machine.effects["join"]
    assert actions(run(machine, JOIN)) == ["join"]


def test_when_the_clean_up_fails_too_both_are_told_and_the_next_run_cleans(machine):
    machine.answers[NODE] = missing("w1")
    machine.effects["join"] = half_a_join
    machine.effects["reset"] = fails("error: containerd is gone")
    with pytest.raises(Failure) as failure:
        run(machine, JOIN)
    assert "timed out waiting" in str(failure.value)
    assert "containerd is gone" in str(failure.value)
    assert machine.host().has(host_module.MARKER)
    machine.effects.clear()
    assert actions(run(machine, JOIN))[0] == "reset"
    assert machine.verbs()[-2:] == ["reset", "join"]


def test_a_kubeadm_that_hangs_is_a_failed_join(machine):
    machine.answers[NODE] = missing("w1")
    machine.effects["join"] = lambda _unused: Completed(
        -1, "", "error: kubeadm did not end within 600 s and was stopped"
    )
    with pytest.raises(Failure, match="did not end within"):
        run(machine, JOIN)
    assert_no_trace(machine)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (SILENT, "cannot be reached"),
        (Answer(401, {"message": "Unauthorized"}), "new one is made"),
        (Answer(500, {"message": "etcdserver: request timed out"}), "etcd"),
        (Answer(404, {}), "404"),
        (Answer(403, {}), "403"),
    ],
)
def test_a_join_that_cannot_succeed_is_not_begun(machine, answer, words):
    machine.answers[NODE] = answer
    with pytest.raises(Failure, match=words) as failure:
        run(machine, JOIN)
    assert "Nothing was changed" in str(failure.value)
    assert machine.verbs() == []
    assert machine.time == pytest.approx(JOIN.api_timeout, abs=2)
    assert_no_trace(machine)


def test_an_api_that_comes_up_late_is_waited_for(machine):
    machine.answers[NODE] = [SILENT, Answer(503, {}), Answer(401, {}), missing("w1")]
    assert actions(run(machine, JOIN)) == ["join"]


def test_a_token_that_may_not_read_nodes_may_still_join(machine):
    machine.answers[NODE] = Answer(403, {"reason": "Forbidden"})
    assert actions(run(machine, JOIN)) == ["join"]


def test_the_token_is_what_the_api_is_asked_with(machine):
    machine.answers[NODE] = missing("w1")
    run(machine, JOIN)
    assert {question.kubeconfig.token for question in machine.asked} == {TOKEN}
    assert {question.kubeconfig.server for question in machine.asked} == {"https://api.lab.internal:7443"}
    assert TOKEN not in repr(machine.asked[0].kubeconfig)


def test_a_dead_node_of_the_same_name_is_waited_for_until_it_looks_dead(machine):
    machine.answers[NODE] = [node("w1"), node("w1"), node("w1"), node("w1", ready=False)]
    assert actions(run(machine, JOIN)) == ["join"]


def test_a_live_node_of_the_same_name_is_another_host(machine):
    machine.answers[NODE] = node("w1")
    with pytest.raises(Failure, match="it is not this host"):
        run(machine, JOIN)
    assert machine.verbs() == []


@pytest.mark.parametrize("lack", [{"token": ""}, {"discovery": {}}])
def test_a_join_without_its_secrets_says_where_they_come_from(machine, lack):
    with pytest.raises(Failure, match="bootstrap_token"):
        run(machine, replace(JOIN, **lack))


def test_a_malformed_discovery_is_named(machine):
    with pytest.raises(Failure, match="kubeadm_discovery"):
        run(machine, replace(JOIN, discovery={"clusters": []}))


# A join that was interrupted.


def test_an_interrupted_join_that_had_completed_is_adopted(machine):
    machine.put(WORKER_FILES, {"/etc/kubernetes/bootstrap-kubelet.conf": TOKEN})
    leave_marker(machine, "join", JOIN)
    machine.answers[NODE] = node("w1")
    outcome = run(machine, JOIN)
    assert (actions(outcome), outcome.after) == (["adopt"], "worker")
    assert machine.verbs() == []
    assert not machine.has("/etc/kubernetes/bootstrap-kubelet.conf")
    assert_no_trace(machine)
    assert run(machine, JOIN).steps == ()


def test_an_interrupted_join_is_cleaned_and_made_again(machine):
    machine.put({"/etc/kubernetes/bootstrap-kubelet.conf": TOKEN, "/var/lib/kubelet/config.yaml": "x"})
    machine.put({"/run/hybridk8s/kubeadm/config.yaml": TOKEN})
    leave_marker(machine, "join", JOIN, found=("remove /var/lib/cni",))
    machine.put({"/var/lib/cni/theirs": "x"})
    machine.answers[NODE] = missing("w1")
    outcome = run(machine, JOIN)
    assert actions(outcome)[0] == "reset"
    assert actions(outcome)[-1] == "join"
    assert machine.verbs() == ["reset", "join"]
    assert machine.has("/var/lib/cni/theirs")
    assert_no_trace(machine)


def test_an_interrupted_join_is_not_cleaned_while_the_api_is_silent(machine):
    machine.put(WORKER_FILES)
    leave_marker(machine, "join", JOIN)
    with pytest.raises(Failure, match="Nothing was changed"):
        run(machine, JOIN)
    assert machine.verbs() == []
    assert machine.host().has(host_module.MARKER)


def test_a_half_joined_host_whose_kubelet_still_runs_is_cleaned_before_its_name_must_be_free(half_control_plane):
    """Its node looks alive because of its own kubelet, which only the clean-up stops."""

    def reset(machine):
        machine.answers[NODE] = node("w1", ready=False)
        return machine._default("reset")

    half_control_plane.effects["reset"] = reset
    half_control_plane.answers[NODE] = node("w1")
    run(half_control_plane, JOIN_CONTROL_PLANE)
    assert half_control_plane.verbs() == ["reset", "join"]


def test_a_control_plane_that_completed_is_adopted(machine):
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "join", JOIN_CONTROL_PLANE)
    machine.answers = {
        NODE: node("w1", **{"node-role.kubernetes.io/control-plane": ""}),
        "/readyz": Answer(200, {}),
    }
    assert actions(run(machine, JOIN_CONTROL_PLANE)) == ["adopt"]


@pytest.fixture
def half_control_plane(machine):
    """The second member of an etcd cluster, interrupted before its node was registered."""
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "join", JOIN_CONTROL_PLANE)
    machine.answers = {NODE: missing("w1"), LIST: members("cp1", "w1"), REMOVE: Answer(200, {})}
    machine.effects["join"] = lambda m: m.put(CONTROL_PLANE_FILES) or Completed(0)
    return machine


def removals(machine):
    return [question.body for question in machine.asked if question.path.endswith("/remove")]


def test_a_half_joined_control_plane_leaves_etcd_before_its_data_goes(half_control_plane):
    def reset(machine):
        assert removals(machine) == [{"ID": "12"}]
        return machine._default("reset")

    half_control_plane.effects["reset"] = reset
    outcome = run(half_control_plane, JOIN_CONTROL_PLANE)
    assert actions(outcome)[-1] == "join"
    assert half_control_plane.verbs() == ["reset", "join"]
    document = half_control_plane.call("reset").config[0]
    assert (document["skipPhases"], document["timeouts"]) == (["remove-etcd-member"], {"kubernetesAPICall": "5s"})


@pytest.mark.parametrize("answer", [SILENT, Answer(503, {"message": "etcdserver: no leader"})])
def test_nothing_is_reset_while_etcd_has_no_quorum(half_control_plane, answer):
    """With two members the quorum needs both: resetting this one would be the end of the cluster."""
    half_control_plane.answers[LIST] = answer
    before = half_control_plane.listing()
    with pytest.raises(Failure, match="Nothing was reset"):
        run(half_control_plane, JOIN_CONTROL_PLANE)
    assert half_control_plane.verbs() == []
    assert half_control_plane.time >= JOIN.api_timeout
    assert set(before) <= set(half_control_plane.listing())
    half_control_plane.answers[LIST] = members("cp1", "w1")
    assert run(half_control_plane, JOIN_CONTROL_PLANE).after == "control_plane"


def test_nothing_is_reset_while_etcd_refuses(half_control_plane):
    half_control_plane.answers[REMOVE] = Answer(503, {"message": "etcdserver: unhealthy cluster"})
    with pytest.raises(Failure, match="unhealthy cluster"):
        run(half_control_plane, JOIN_CONTROL_PLANE)
    assert half_control_plane.verbs() == []


def test_an_init_made_again_asks_no_etcd_but_its_own(machine):
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "init", INIT)
    run(machine, INIT)
    assert machine.verbs() == ["reset", "init"]
    assert not [question for question in machine.asked if "/v3/" in question.path]


def test_a_removal_that_was_interrupted_does_not_stop_the_next_install(machine):
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "reset", INIT)
    outcome = run(machine, INIT)
    assert machine.verbs() == ["reset", "init"]
    assert "etcdctl member remove" in outcome.warnings[0]


def test_an_interrupted_clean_up_is_taken_up_again(machine):
    machine.put({"/etc/kubernetes/kubelet.conf": "x"})
    leave_marker(machine, "reset", JOIN)
    machine.answers[NODE] = missing("w1")
    assert actions(run(machine, JOIN))[-1] == "join"
    assert machine.verbs() == ["reset", "join"]


# An init that fails or was interrupted.


def test_a_failed_init_is_cleaned(machine):
    def effect(m):
        m.put({"/etc/kubernetes/admin.conf": "x", "/etc/kubernetes/manifests/etcd.yaml": "x"})
        return Completed(1, "", "error: timed out waiting for the condition")

    machine.effects["init"] = effect
    with pytest.raises(Failure, match="The host was cleaned"):
        run(machine, INIT)
    assert machine.verbs() == ["init", "reset"]
    assert_no_trace(machine)


def test_a_failed_init_whose_api_answers_is_left_for_the_next_run_to_finish(machine):
    def effect(m):
        m.put(CONTROL_PLANE_FILES)
        return Completed(1, "", "error: addon phase: the server is busy")

    machine.effects["init"] = effect
    machine.answers[NODES] = nodes("w1")
    with pytest.raises(Failure, match="the next run finishes it"):
        run(machine, INIT)
    assert machine.verbs() == ["init"]
    machine.effects["init"] = lambda _unused: Completed(0)
    outcome = run(machine, INIT)
    assert (actions(outcome), outcome.after) == (["finish init"], "control_plane")
    skipped = machine.calls[-1].config[0]["skipPhases"]
    assert set(kubeadm_node.PHASES_BEFORE_API) <= set(skipped)
    assert "show-join-command" in skipped
    assert not {"upload-config", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addon"} & set(skipped)
    assert_no_trace(machine)


def test_finishing_fails_without_resetting(machine):
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "init", INIT)
    machine.answers[NODES] = nodes("w1", "w2")
    machine.effects["init"] = fails("error: addon phase")
    with pytest.raises(Failure, match="Nothing was reset"):
        run(machine, INIT)
    assert machine.verbs() == ["init"]
    machine.answers.clear()
    with pytest.raises(Failure, match="give the cluster up"):
        run(machine, INIT)
    assert machine.verbs() == ["init"]


def test_the_api_of_an_interrupted_init_is_asked_on_this_host_with_the_strongest_credentials(machine):
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "init", INIT)
    machine.answers[NODES] = nodes("w1")
    run(machine, INIT)
    question = next(question for question in machine.asked if question.path == NODES)
    assert question.address == ("10.20.1.11", 6443)


def test_an_interrupted_init_whose_api_comes_up_is_waited_for(machine):
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "init", INIT)
    machine.answers[NODES] = [SILENT] * 5 + [nodes("w1")]
    assert actions(run(machine, INIT)) == ["finish init"]


def test_an_interrupted_init_whose_api_never_answered_is_made_again(machine):
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "init", INIT)
    outcome = run(machine, INIT)
    assert actions(outcome)[0] == "reset"
    assert actions(outcome)[-1] == "init"
    assert machine.verbs() == ["reset", "init"]
    assert machine.time >= INIT.api_timeout


@pytest.mark.parametrize("gone", ["/etc/kubernetes/manifests/kube-apiserver.yaml", "/var/lib/kubelet/config.yaml"])
def test_an_init_interrupted_before_its_api_could_run_is_not_waited_for(machine, gone):
    machine.put(CONTROL_PLANE_FILES)
    machine.take(gone)
    leave_marker(machine, "init", INIT)
    run(machine, INIT)
    assert machine.verbs() == ["reset", "init"]
    assert machine.time == 0


def test_check_mode_does_not_wait_for_an_interrupted_init(machine):
    machine.put(CONTROL_PLANE_FILES)
    leave_marker(machine, "init", INIT)
    before = machine.listing()
    assert actions(run(machine, INIT, check=True))[-1] == "init"
    assert machine.time == 0
    assert machine.listing() == before


# Work that is still going on.


def test_a_running_kubeadm_is_waited_for_and_then_looked_at_anew(machine):
    leave_marker(machine, "join", JOIN)
    machine.answers[NODE] = node("w1")
    lock = os.open(machine.host().path(host_module.LOCK), os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)

    def kubeadm_ends(_unused):
        machine.put(WORKER_FILES)
        machine.host().remove(host_module.MARKER)
        os.close(lock)

    outcome = kubeadm_node.converge(replace(machine.host(), sleep=kubeadm_ends), JOIN, check=False)
    assert (outcome.steps, outcome.after) == ((), "worker")
    assert machine.verbs() == []


def test_a_running_kubeadm_is_waited_for_only_so_long(machine):
    leave_marker(machine, "join", JOIN)
    with locked(machine.host(), 0), pytest.raises(Failure, match="still works on this host"):
        run(machine, JOIN)
    assert machine.time >= JOIN.lock_timeout
    assert machine.verbs() == []


def test_check_mode_says_that_kubeadm_is_at_work(machine):
    leave_marker(machine, "join", JOIN)
    with locked(machine.host(), 0):
        outcome = run(machine, JOIN, check=True)
    assert outcome.steps == ()
    assert "at work" in outcome.before.detail


# A node that was deleted from the API.


def test_an_orphan_joins_again(machine):
    machine.put(WORKER_FILES)
    machine.answers[NODE] = missing("w1")
    outcome = run(machine, JOIN)
    assert actions(outcome)[0] == "reset"
    assert actions(outcome)[-1] == "join"
    assert machine.verbs() == ["reset", "join"]


def test_an_orphan_control_plane_is_never_reset(machine):
    machine.put(CONTROL_PLANE_FILES)
    machine.answers[NODE] = missing("w1")
    for request in (INIT, JOIN_CONTROL_PLANE):
        with pytest.raises(Failure, match="Restart kubelet"):
            run(machine, request)
    assert machine.verbs() == []


def test_an_orphan_is_not_cleaned_when_it_could_not_join(machine):
    machine.put(WORKER_FILES)
    machine.answers[NODE] = [missing("w1"), missing("w1"), SILENT]
    with pytest.raises(Failure, match="Nothing was changed"):
        run(machine, JOIN)
    assert machine.verbs() == []


# Absence.


def test_absence_of_nothing_is_nothing(machine):
    assert run(machine, ABSENT).steps == ()
    assert run(machine, ABSENT, check=True).steps == ()
    assert machine.verbs() == []
    assert not machine.host().has(host_module.MARKER)


@pytest.mark.parametrize("files", [WORKER_FILES, CONTROL_PLANE_FILES])
def test_a_member_is_removed_with_all_that_is_left(machine, files):
    machine.put(files, {"/etc/kubernetes/audit.yaml": "x", "/var/lib/cni/a": "x", "/etc/cni/net.d/10-calico.conf": ""})
    outcome = run(machine, ABSENT)
    assert outcome.after == "none"
    assert machine.verbs() == ["reset"]
    assert [path for path in machine.listing() if "hybridk8s" not in path] == []
    assert run(machine, ABSENT).steps == ()


def test_the_plan_of_a_removal_is_what_is_done(machine):
    machine.put(WORKER_FILES, {"/var/lib/cni/a": "x"})
    planned = run(machine, ABSENT, check=True)
    assert planned.steps == run(machine, ABSENT).steps
    assert [f"{step.action} {step.target}" for step in planned.steps] == [
        "reset kubeadm",
        "remove /var/lib/cni",
        "remove /etc/kubernetes",
        "empty /var/lib/kubelet",
    ]


def test_copies_of_the_credentials_go_while_the_authority_tells_them(machine):
    machine.put(WORKER_FILES, {"/root/.kube/config": KUBECONFIG, "/home/ann/.kube/config": "another cluster's"})
    planned = run(machine, ABSENT, check=True)
    machine.effects["reset"] = fails("containerd is silent")
    with pytest.raises(Failure, match="containerd is silent"):
        run(machine, ABSENT)
    assert not machine.has("/root/.kube/config")
    assert "remove /root/.kube/config" in [f"{step.action} {step.target}" for step in planned.steps]
    del machine.effects["reset"]
    run(machine, ABSENT)
    assert not machine.has("/root/.kube")
    assert machine.has("/home/ann/.kube/config")


def test_what_others_left_is_removed_on_request_only(machine):
    machine.put({"/var/lib/etcd/member/snap": "x"})
    run(machine, ABSENT)
    assert machine.verbs() == ["reset"]
    assert not machine.has("/var/lib/etcd/member")


def test_leftovers_without_kubeadm_need_no_kubeadm(machine):
    machine.effects["version"] = lambda _unused: Completed(127, "", "not found")
    machine.put({"/var/lib/calico/nodename": "w1"})
    assert actions(run(machine, ABSENT)) == ["remove"]
    assert machine.verbs() == []


def test_an_unfinished_join_without_files_is_removed_too(machine):
    leave_marker(machine, "join", JOIN, found=("remove /var/lib/cni",))
    machine.put({"/var/lib/cni/a": "x"})
    run(machine, ABSENT)
    assert not machine.has("/var/lib/cni")
    assert_no_trace(machine)
    leave_marker(machine, "join", JOIN)
    assert actions(run(machine, ABSENT)) == ["remove"]
    assert_no_trace(machine)


def test_a_control_plane_that_leaves_takes_its_etcd_member_along(machine):
    machine.put(CONTROL_PLANE_FILES)
    machine.answers = {LIST: members("cp1", "w1", "cp3"), REMOVE: Answer(200, {})}
    outcome = run(machine, ABSENT)
    assert removals(machine) == [{"ID": "12"}]
    assert (outcome.after, outcome.warnings) == ("none", ())


def test_an_etcd_that_does_not_answer_is_a_warning_on_removal(machine):
    machine.put(CONTROL_PLANE_FILES)
    outcome = run(machine, ABSENT)
    assert machine.verbs() == ["reset"]
    assert "etcdctl member remove" in outcome.warnings[0]


def test_a_removal_that_would_cost_the_quorum_is_refused_unless_forced(machine):
    machine.put(CONTROL_PLANE_FILES)
    machine.answers = {LIST: members("cp1", "w1"), REMOVE: Answer(503, {"message": "etcdserver: unhealthy cluster"})}
    with pytest.raises(Failure, match="force: true"):
        run(machine, ABSENT)
    assert machine.verbs() == []
    outcome = run(machine, replace(ABSENT, force=True))
    assert machine.verbs() == ["reset"]
    assert "unhealthy cluster" in outcome.warnings[0]


def test_what_cannot_be_removed_is_named(machine):
    machine.put({"/usr/sbin/nft": ""})
    machine.commands = {
        "nft list tables": Completed(0, "table ip kube-proxy\n"),
        "nft delete table ip kube-proxy": Completed(0),
    }
    with pytest.raises(Failure, match="delete nft table ip kube-proxy"):
        run(machine, ABSENT)
    assert machine.host().has(host_module.MARKER)


# What else can be read off a host.


def test_the_version_of_a_control_plane(machine):
    assert kubeadm_node.version(machine.host()) == ""
    machine.put(
        {"/etc/kubernetes/manifests/kube-apiserver.yaml": "    image: registry.k8s.io/kube-apiserver:v1.36.3\n"}
    )
    assert kubeadm_node.version(machine.host()) == "1.36.3"


def test_the_fixtures_agree():
    assert kubeadm_node.discovery_access(DISCOVERY).ca == CA_PEM
    assert DISCOVERY["clusters"][0]["cluster"]["certificate-authority-data"] == CA_DATA
