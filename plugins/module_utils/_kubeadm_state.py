# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host is to its cluster, and what is to be done about it; pure; private to this collection.

The rules, in short:

- Files decide membership: kubelet.conf makes a worker, with kube-apiserver.yaml a control plane. A member is never
  initialised or joined again.
- The marker says that kubeadm was begun by us and not seen to end. Without it, remains are another's: nothing is
  touched and the caller is told.
- An unfinished init whose API answers is finished (kubeadm's remaining phases, all idempotent), not reset; it is reset
  only when no other node is registered, or when its API was never seen to answer, so that nobody can have joined it.
- An unfinished join is taken as done when the node is registered (a control plane: and marked, with its API ready);
  otherwise it is cleaned and made again. A control plane's etcd member is taken out of its cluster first; while etcd
  does not agree, nothing is reset, because its quorum may need this member.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import CONTAINERD_SOCKET, Document, serialise
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer

KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
API_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
ETCD_DATA = "/var/lib/etcd/member"
CA = "/etc/kubernetes/pki/ca.crt"
MANIFESTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
KUBEADM_FILES = (
    *(
        f"/etc/kubernetes/{name}.conf"
        for name in ("kubelet", "bootstrap-kubelet", "admin", "super-admin", "controller-manager", "scheduler")
    ),
    *(f"/etc/kubernetes/manifests/{name}.yaml" for name in MANIFESTS),
)
# A certificate authority may be put into pki, and a kubelet's configuration be written, before kubeadm ever ran.
EVIDENCE = (*KUBEADM_FILES, ETCD_DATA)

NONE = "none"
WORKER = "worker"
CONTROL_PLANE = "control_plane"
FOREIGN = "foreign"
HALF = {"init": "half_initialized", "join": "half_joined", "reset": "half_reset"}
MEMBERS = frozenset([WORKER, CONTROL_PLANE])


class Failure(Exception):
    """Work on the host failed; the message names what, and the remedy."""


@dataclass(frozen=True)
class Marker:
    """Says that kubeadm is, or was, at work: written before it, removed when all of it is done.

    ``action`` is ``init``, ``join`` or ``reset``; ``finishing`` is set once the API of an unfinished init was seen to
    answer, after which others may have joined it; ``config`` is the digest of the configuration; ``found`` are the
    remains of other software that were here before us, which a clean-up leaves alone.
    """

    action: str
    started: str
    version: str
    config: str = ""
    finishing: bool = False
    found: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True)
class Request:
    """What the caller wants of a host. ``state`` is ``initialized``, ``joined`` or ``absent``; times in seconds."""

    state: str
    node_name: str = ""
    config: Sequence[Document] = ()
    discovery: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    certificate_key: str = ""
    cri_socket: str = CONTAINERD_SOCKET
    ignore_preflight_errors: Sequence[str] = ()
    orphaned: str = "rejoin"
    force: bool = False
    timeout: float = 600.0
    lock_timeout: float = 600.0
    api_timeout: float = 60.0

    @property
    def wanted(self) -> str:
        """The membership that is wanted."""
        if self.state == "absent":
            return NONE
        joins_control_plane = any("controlPlane" in document for document in self.config)
        return CONTROL_PLANE if self.state == "initialized" or joins_control_plane else WORKER

    @property
    def digest(self) -> str:
        """A short name for the configuration, to see whether an unfinished init was begun with the same one."""
        return hashlib.sha256(serialise(self.config).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Observation:
    """What a host is. ``registered`` is ``yes``, ``no`` (the API says so), ``unknown`` (with ``detail``) or empty
    where there is nothing to ask with; ``remains`` are the files behind ``foreign``."""

    membership: str
    registered: str = ""
    detail: str = ""
    marked: bool = False
    ready: bool = False
    marker: Marker | None = None
    remains: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether this is a member that needs nothing."""
        return self.membership in MEMBERS and self.registered != "no"


@dataclass(frozen=True)
class Decision:
    """What to do: first ``clean`` or not, then ``init``, ``join``, ``finish``, ``adopt`` or nothing."""

    then: str = ""
    clean: bool = False
    reason: str = ""


def classify(present: Collection[str], marker: Marker | None) -> str:
    """The membership that files and marker speak of."""
    if marker:
        return HALF.get(marker.action, HALF["join"])
    if KUBELET_CONF in present:
        return CONTROL_PLANE if API_MANIFEST in present else WORKER
    return FOREIGN if present else NONE


def registration(answer: Answer, node_name: str) -> tuple[str, str]:
    """``yes``, ``no`` or ``unknown``, and why unknown."""
    if answer.status == 200:
        return "yes", ""
    if answer.denies("nodes", node_name):
        return "no", "the API has no such node"
    return "unknown", answer.error or f"the API answered {answer.status} {answer.body.get('message', '')}".strip()


def decide(request: Request, seen: Observation, others: Sequence[str] | None) -> Decision:
    """The rules of this file's head. ``others`` are the other nodes in the API of an unfinished init, None when that
    API does not answer. Raises Failure where nothing may be done."""
    if request.state == "absent":
        return Decision(clean=True, reason="state is absent")
    begin = "init" if request.state == "initialized" else "join"
    name = request.node_name
    if seen.membership == FOREIGN:
        raise Failure(
            f"{name} is no member of this estate but holds {', '.join(seen.remains)}, which this collection did not"
            f" make. Save what is needed, then run hybridk8s.estate.reset --limit {name}."
        )
    if seen.membership == NONE:
        return Decision(begin, reason="it is no member of a cluster")
    if seen.membership in MEMBERS:
        return _decide_member(request, seen)
    if seen.membership == HALF["reset"]:
        return Decision(begin, clean=True, reason=_since(seen, "reset"))
    if seen.membership == HALF["init"]:
        return _decide_half_initialized(request, seen, others)
    return _decide_half_joined(request, seen)


def _decide_member(request: Request, seen: Observation) -> Decision:
    name = request.node_name
    if seen.membership != request.wanted:
        raise Failure(
            f"{name} is a {seen.membership} of a cluster, the inventory wants a {request.wanted}. Correct its group, or"
            f" drain it and run hybridk8s.estate.reset --limit {name}."
        )
    if seen.registered != "no" or request.orphaned == "keep":
        return Decision()
    if seen.membership == CONTROL_PLANE:
        raise Failure(
            f"{name} is a control plane, but the API has no node {name}. It may hold the cluster's only data, so it is"
            f" not joined again. Restart kubelet.service on it to register the node; if it must go instead, run"
            f" hybridk8s.estate.reset --limit {name}."
        )
    return Decision("join", clean=True, reason=f"its node {name} was deleted from the API")


def _decide_half_initialized(request: Request, seen: Observation, others: Sequence[str] | None) -> Decision:
    marker = _marker(seen)
    begin = "init" if request.state == "initialized" else "join"
    name = request.node_name
    if others is None and marker.finishing:
        raise Failure(
            f"An unfinished kubeadm init on {name} (begun {marker.started}) had an API that answered once and is silent"
            f" now; nodes may depend on it, so nothing is reset. Look at the kubelet's journal on it and run again,"
            f" or give the cluster up with hybridk8s.estate.reset --limit {name}."
        )
    if others is None:
        return Decision(begin, clean=True, reason=_since(seen, "init"))
    if begin == "init" and marker.config == request.digest:
        return Decision("finish", reason=_since(seen, "init"))
    if others:
        raise Failure(
            f"An unfinished kubeadm init on {name} (begun {marker.started}) already has other nodes"
            f" ({', '.join(others[:5])}), and this run wants something else than it began with. Put the variables back"
            f" to what they were, or give the cluster up with hybridk8s.estate.reset."
        )
    return Decision(begin, clean=True, reason=f"{_since(seen, 'init')} with another configuration")


def _decide_half_joined(request: Request, seen: Observation) -> Decision:
    name = request.node_name
    if request.state == "initialized":
        raise Failure(
            f"{name} began to join a cluster ({_marker(seen).started}) and is now asked to create one."
            f" Run hybridk8s.estate.reset --limit {name} first."
        )
    complete = seen.registered == "yes" and (request.wanted == WORKER or (seen.marked and seen.ready))
    if complete:
        return Decision("adopt", reason=f"{_since(seen, 'join')} and had in fact completed")
    return Decision("join", clean=True, reason=_since(seen, "join"))


def _marker(seen: Observation) -> Marker:
    return seen.marker or Marker("join", "unknown", "unknown")


def _since(seen: Observation, action: str) -> str:
    return f"a kubeadm {action} begun {_marker(seen).started} was interrupted"
