# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_state as state
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import (
    Decision,
    Failure,
    Marker,
    Observation,
    Request,
)

K = "/etc/kubernetes"
INIT = Request("initialized", "n", [{"kind": "InitConfiguration"}])
WORKER = Request("joined", "n", [{"kind": "JoinConfiguration"}])
CONTROL_PLANE = Request("joined", "n", [{"kind": "JoinConfiguration", "controlPlane": {}}])


def marker(action, request=INIT, **extra):
    return Marker(action, "2026-11-23T06:00:00Z", "v1.36.3", request.digest, **extra)


@pytest.mark.parametrize(
    ("present", "action", "membership"),
    [
        ([], None, "none"),
        ([f"{K}/kubelet.conf"], None, "worker"),
        ([f"{K}/kubelet.conf", f"{K}/manifests/kube-apiserver.yaml"], None, "control_plane"),
        ([f"{K}/kubelet.conf", f"{K}/manifests/kube-apiserver.yaml", f"{K}/admin.conf"], None, "control_plane"),
        ([f"{K}/manifests/kube-apiserver.yaml"], None, "foreign"),
        ([f"{K}/bootstrap-kubelet.conf"], None, "foreign"),
        (["/var/lib/etcd/member"], None, "foreign"),
        ([], "init", "half_initialized"),
        ([f"{K}/kubelet.conf", f"{K}/manifests/kube-apiserver.yaml"], "init", "half_initialized"),
        ([f"{K}/kubelet.conf"], "join", "half_joined"),
        ([f"{K}/kubelet.conf"], "reset", "half_reset"),
        ([f"{K}/kubelet.conf"], "nonsense", "half_joined"),
    ],
)
def test_files_and_marker_decide_membership(present, action, membership):
    assert state.classify(present, marker(action) if action else None) == membership


@pytest.mark.parametrize(
    ("answer", "registered"),
    [
        (Answer(200, {"metadata": {"name": "n"}}), "yes"),
        (Answer(404, {"reason": "NotFound", "details": {"name": "n", "kind": "nodes"}}), "no"),
        (Answer(404, {"reason": "NotFound", "details": {"name": "m", "kind": "nodes"}}), "unknown"),
        (Answer(404, {"reason": "NotFound", "details": {"name": "n", "kind": "pods"}}), "unknown"),
        (Answer(404, {"reason": "NotFound"}), "unknown"),
        (Answer(404, {"details": {"name": "n", "kind": "nodes"}}), "unknown"),
        (Answer(404, {}), "unknown"),
        (Answer(401, {"message": "Unauthorized"}), "unknown"),
        (Answer(403, {"message": "forbidden"}), "unknown"),
        (Answer(503, {}), "unknown"),
        (Answer(error="connection refused"), "unknown"),
    ],
)
def test_only_the_api_itself_can_deny_a_node(answer, registered):
    found, why = state.registration(answer, "n")
    assert found == registered
    assert bool(why) == (registered == "unknown" or registered == "no")


def test_wanted_membership():
    assert [request.wanted for request in (INIT, WORKER, CONTROL_PLANE, Request("absent"))] == [
        "control_plane",
        "worker",
        "control_plane",
        "none",
    ]


SETTLED = Decision()


@pytest.mark.parametrize(
    ("request_", "seen", "others", "decision"),
    [
        (INIT, Observation("none"), None, Decision("init")),
        (WORKER, Observation("none"), None, Decision("join")),
        (CONTROL_PLANE, Observation("none"), None, Decision("join")),
        (INIT, Observation("control_plane", "yes"), None, SETTLED),
        (INIT, Observation("control_plane", "unknown", "refused"), None, SETTLED),
        (CONTROL_PLANE, Observation("control_plane", "yes"), None, SETTLED),
        (WORKER, Observation("worker", "yes"), None, SETTLED),
        (WORKER, Observation("worker", "unknown", "refused"), None, SETTLED),
        (WORKER, Observation("worker", "no"), None, Decision("join", clean=True)),
        (INIT, Observation("half_reset", marker=marker("reset")), None, Decision("init", clean=True)),
        (WORKER, Observation("half_reset", marker=marker("reset")), None, Decision("join", clean=True)),
        # An unfinished init.
        (INIT, Observation("half_initialized", marker=marker("init")), None, Decision("init", clean=True)),
        (INIT, Observation("half_initialized", marker=marker("init")), [], Decision("finish")),
        (INIT, Observation("half_initialized", marker=marker("init")), ["w1"], Decision("finish")),
        (INIT, Observation("half_initialized", marker=marker("init", finishing=True)), [], Decision("finish")),
        (INIT, Observation("half_initialized", marker=marker("init", WORKER)), [], Decision("init", clean=True)),
        (CONTROL_PLANE, Observation("half_initialized", marker=marker("init")), [], Decision("join", clean=True)),
        (CONTROL_PLANE, Observation("half_initialized", marker=marker("init")), None, Decision("join", clean=True)),
        # An unfinished join.
        (WORKER, Observation("half_joined", marker=marker("join")), None, Decision("join", clean=True)),
        (WORKER, Observation("half_joined", "yes", marker=marker("join")), None, Decision("adopt")),
        (WORKER, Observation("half_joined", "no", marker=marker("join")), None, Decision("join", clean=True)),
        (WORKER, Observation("half_joined", "unknown", marker=marker("join")), None, Decision("join", clean=True)),
        (CONTROL_PLANE, Observation("half_joined", "yes", marker=marker("join")), None, Decision("join", clean=True)),
        (
            CONTROL_PLANE,
            Observation("half_joined", "yes", marked=True, marker=marker("join")),
            None,
            Decision("join", clean=True),
        ),
        (
            CONTROL_PLANE,
            Observation("half_joined", "yes", marked=True, ready=True, marker=marker("join")),
            None,
            Decision("adopt"),
        ),
        (Request("absent"), Observation("control_plane", "yes"), None, Decision(clean=True)),
        (Request("absent"), Observation("foreign", remains=("/var/lib/etcd/member",)), None, Decision(clean=True)),
    ],
)
def test_decisions(request_, seen, others, decision):
    made = state.decide(request_, seen, others)
    assert (made.then, made.clean) == (decision.then, decision.clean)
    assert bool(made.reason) == bool(made.then or made.clean)


def test_an_orphan_may_be_kept():
    request = Request("joined", "n", WORKER.config, orphaned="keep")
    assert state.decide(request, Observation("worker", "no"), None) == SETTLED


@pytest.mark.parametrize(
    ("request_", "seen", "others", "words"),
    [
        (WORKER, Observation("foreign", remains=("/etc/kubernetes/x",)), None, "holds /etc/kubernetes/x"),
        (INIT, Observation("foreign", remains=("/var/lib/etcd/member",)), None, "reset --limit n"),
        (WORKER, Observation("control_plane", "yes"), None, "is a control_plane of a cluster"),
        (CONTROL_PLANE, Observation("worker", "yes"), None, "is a worker of a cluster"),
        (INIT, Observation("worker", "no"), None, "is a worker of a cluster"),
        (INIT, Observation("control_plane", "no"), None, "Restart kubelet.service"),
        (CONTROL_PLANE, Observation("control_plane", "no"), None, "cluster's only data"),
        (
            INIT,
            Observation("half_initialized", marker=marker("init", finishing=True)),
            None,
            "nothing is reset",
        ),
        (
            CONTROL_PLANE,
            Observation("half_initialized", marker=marker("init", finishing=True)),
            None,
            "nothing is reset",
        ),
        (INIT, Observation("half_initialized", marker=marker("init", WORKER)), ["w1"], r"other nodes \(w1\)"),
        (CONTROL_PLANE, Observation("half_initialized", marker=marker("init")), ["w1"], "other nodes"),
        (INIT, Observation("half_joined", marker=marker("join")), None, "began to join"),
    ],
)
def test_refusals(request_, seen, others, words):
    with pytest.raises(Failure, match=words):
        state.decide(request_, seen, others)


@pytest.mark.parametrize(
    ("seen", "settled"),
    [
        (Observation("worker", "yes"), True),
        (Observation("worker", "unknown"), True),
        (Observation("worker", "no"), False),
        (Observation("control_plane", "yes"), True),
        (Observation("none"), False),
        (Observation("half_joined", "yes"), False),
        (Observation("foreign"), False),
    ],
)
def test_settled(seen, settled):
    assert seen.settled is settled
