# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a host a member of its cluster, or none: the doing; ``_kubeadm_state`` decides; private to this collection."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_etcd as etcd
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import (
    Document,
    reset_document,
    serialise,
    with_discovery,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer, Kubeconfig, parse_kubeconfig
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_errors import report
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import (
    LOG,
    MARKER,
    SECRETS,
    Completed,
    Host,
    busy,
    locked,
    read_marker,
    write_marker,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_leftovers import (
    Leftover,
    copied_credentials,
    kubeadm_was_here,
    leftovers,
    remove_leftover,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import (
    API_MANIFEST,
    CA,
    EVIDENCE,
    FOREIGN,
    HALF,
    KUBELET_CONF,
    KUBELET_CONFIG,
    MANIFESTS,
    MEMBERS,
    Decision,
    Failure,
    Marker,
    Observation,
    Request,
    classify,
    decide,
    registration,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

BOOTSTRAP_CONF = "/etc/kubernetes/bootstrap-kubelet.conf"
ADMIN_CONF = "/etc/kubernetes/admin.conf"
SUPER_ADMIN_CONF = "/etc/kubernetes/super-admin.conf"
ROLE_LABEL = "node-role.kubernetes.io/control-plane"

# What `kubeadm init` has behind it once its API answers; the phases left are idempotent.
PHASES_BEFORE_API = (
    "preflight",
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane",
    "kubelet-start",
    "wait-control-plane",
)
# A node stays Ready in the API for the node monitor's grace period after its kubelet has stopped.
STALE_READY_SECONDS = 90.0
UNKNOWN = "unknown"
# kubeadm reset asks the API for its configuration only, and goes on without; etcd was left before.
RESET_API_CALL = "5s"


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be."""

    steps: tuple[Step, ...]
    before: Observation
    after: str
    warnings: tuple[str, ...] = ()


def observe(host: Host, node_name: str) -> Observation:
    """Look at files and, where a kubelet has credentials, ask the API about its node."""
    marker = read_marker(host)
    present = tuple(path for path in EVIDENCE if host.has(path))
    membership = classify(present, marker)
    if membership == FOREIGN:
        return Observation(membership, remains=present)
    if KUBELET_CONF not in present or not node_name:
        return Observation(membership, marker=marker)
    access = kubeconfig(host, KUBELET_CONF)
    if access is None:
        return Observation(membership, "unknown", f"{KUBELET_CONF} cannot be read", marker=marker)
    answer = host.ask(access, "GET", f"/api/v1/nodes/{node_name}")
    registered, detail = registration(answer, node_name)
    half_joined = membership == HALF["join"]
    return Observation(
        membership,
        registered,
        detail,
        marked=ROLE_LABEL in (answer.body.get("metadata") or {}).get("labels", {}),
        ready=half_joined and host.ask(access, "GET", "/readyz").status == 200,
        marker=marker,
    )


def plan(host: Host, request: Request, seen: Observation, decision: Decision) -> tuple[Step, ...]:
    """The steps that a decision comes to, for the report."""
    steps: list[Step] = []
    if decision.clean:
        steps += _clean_steps(host, request, seen, decision)
    text = serialise(request.config)
    node = f"node/{request.node_name}"
    if decision.then in ("init", "join"):
        steps.append(Step(decision.then, node, decision.reason, after=text))
    if decision.then == "finish":
        steps.append(Step("finish init", node, decision.reason, after=text))
    if decision.then == "adopt":
        steps.append(Step("adopt", node, decision.reason))
    return tuple(steps)


def _clean_steps(host: Host, request: Request, seen: Observation, decision: Decision) -> list[Step]:
    found = _found(request, seen)
    steps = [Step("reset", "kubeadm", decision.reason)] if kubeadm_was_here(host) else []
    copies = copied_credentials(host) if request.state == "absent" else []
    for leftover in (*copies, *leftovers(host, whole=request.state == "absent")):
        if leftover.key not in found:
            steps.append(Step(leftover.action, leftover.target, "left by Kubernetes"))
    if host.has(MARKER) and not steps:
        steps.append(Step("remove", MARKER, decision.reason))
    return steps


def converge(host: Host, request: Request, check: bool) -> Outcome:
    """Make the host what is wanted; in check mode only say what that takes. Raises Failure."""
    seen = observe(host, request.node_name)
    _refuse_another_cluster(host, request, seen)
    if check and busy(host):
        return Outcome((), replace(seen, detail="kubeadm is at work on this host now"), seen.membership)
    if check:
        decision = decide(request, seen, _others(host, request, seen, wait=0.0))
        return _outcome(plan(host, request, seen, decision), seen, request)
    if request.state != "absent" and seen.settled and not decide(request, seen, None).then:
        return _outcome((), seen, request)  # without the lock: a converged run writes nothing at all
    with locked(host, request.lock_timeout) as lock:
        host.remove(SECRETS)
        seen = observe(host, request.node_name)
        decision = decide(request, seen, _others(host, request, seen, wait=request.api_timeout))
        steps = plan(host, request, seen, decision)
        warnings = _apply(host, request, seen, decision, lock) if steps else ()
    return _outcome(steps, seen, request, warnings)


def _outcome(steps: tuple[Step, ...], seen: Observation, request: Request, warnings: tuple[str, ...] = ()) -> Outcome:
    return Outcome(steps, seen, request.wanted if steps else seen.membership, warnings)


def _found(request: Request, seen: Observation) -> tuple[str, ...]:
    """What a clean-up leaves alone: what was here before us, unless all of Kubernetes is to go."""
    return seen.marker.found if seen.marker and request.state != "absent" else ()


def _apply(host: Host, request: Request, seen: Observation, decision: Decision, lock: int) -> tuple[str, ...]:
    work = _Work(host, request, lock, _found(request, seen))
    if decision.then == "adopt":
        host.remove(BOOTSTRAP_CONF)
        host.remove(MARKER)
    if decision.then == "finish" and seen.marker:
        work.finish_init(seen.marker)
    if decision.then == "join":
        work.await_api()
    if decision.clean:
        work.clean(keep_marker=bool(decision.then))
    if decision.then == "init":
        work.init()
    if decision.then == "join":
        work.await_vacancy()
        work.join()
    return tuple(work.warnings)


class _Work:
    """kubeadm's runs on one host, under its lock."""

    def __init__(self, host: Host, request: Request, lock: int, found: Sequence[str]) -> None:
        self.host = host
        self.request = request
        self.lock = lock
        self.found = tuple(found)
        self.warnings: list[str] = []

    def init(self) -> None:
        self._begin("init")
        with self._files(self.request.config) as config:
            done = self._kubeadm("init", "--config", config)
        if done.rc == 0:
            self.host.remove(MARKER)
            return
        message = report(f"kubeadm init on {self.request.node_name}", done.output)
        marker = read_marker(self.host)
        if marker and registered_nodes(self.host) is not None:
            write_marker(self.host, replace(marker, finishing=True))
            raise Failure(f"{message}\nIts API answers, so it was left as it is; the next run finishes it.")
        raise Failure(f"{message}\n{self._clean_after_failure()}")

    def finish_init(self, marker: Marker) -> None:
        write_marker(self.host, replace(marker, finishing=True))
        documents = [_skipping(document, PHASES_BEFORE_API) for document in self.request.config]
        with self._files(documents) as config:
            done = self._kubeadm("init", "--config", config)
        if done.rc:
            message = report(f"Finishing the interrupted kubeadm init on {self.request.node_name}", done.output)
            raise Failure(f"{message}\nNothing was reset; the next run tries again.")
        self.host.remove(MARKER)

    def join(self) -> None:
        self._begin("join")
        request = self.request
        discovery = str(self.host.path(f"{SECRETS}/discovery.conf"))
        documents = with_discovery(request.config, discovery, request.token, request.certificate_key)
        with self._files(documents) as config:
            self.host.write(f"{SECRETS}/discovery.conf", serialise([dict(request.discovery)]))
            done = self._kubeadm("join", "--config", config)
        if done.rc == 0:
            self.host.remove(MARKER)
            return
        message = report(f"kubeadm join of {request.node_name}", done.output)
        raise Failure(f"{message}\n{self._clean_after_failure()}")

    def clean(self, keep_marker: bool = False) -> None:
        """Back to a host that kubeadm has never seen. ``keep_marker`` while the next action follows at once."""
        marker = read_marker(self.host)
        if marker is None:
            write_marker(self.host, Marker("reset", _now(), self._version()))
        for copy in copied_credentials(self.host) if self.request.state == "absent" else ():
            remove_leftover(self.host, copy)
        if kubeadm_was_here(self.host):
            self._reset(marker)
        for _attempt in range(2):
            for leftover in self._leftovers():
                remove_leftover(self.host, leftover)
        rest = [leftover.key for leftover in self._leftovers()]
        if rest:
            raise Failure(f"These could not be removed: {', '.join(rest)}. Remove them by hand and run again.")
        if not keep_marker:
            self.host.remove(MARKER)

    def await_api(self) -> None:
        """Wait until the API answers the join's token. Asked before anything is touched: kubeadm itself would wait for
        minutes and leave files behind."""
        request = self.request
        if not request.token or not request.discovery:
            raise Failure(
                f"{request.node_name} is to join, but token or discovery is missing. Make them with"
                " hybridk8s.estate.bootstrap_token and the filter hybridk8s.estate.kubeadm_discovery."
            )
        answers: list[Answer] = []

        def usable() -> bool:
            answers.append(self._ask_for_node())
            return registration(answers[-1], request.node_name)[0] != UNKNOWN or answers[-1].forbids()

        if not self.host.wait(usable, request.api_timeout):
            why = registration(answers[-1], request.node_name)[1]
            raise Failure(
                f"{report(f'Asking the API before kubeadm join of {request.node_name}', why)}"
                f"\nNothing was changed. Waited {request.api_timeout:.0f} s for {self._access().server}."
            )

    def await_vacancy(self) -> None:
        """Wait until no live node of this name is in the cluster: kubeadm refuses to join while there is, and the node
        of a host that was just cleaned looks alive for a while."""
        if not self.host.wait(lambda: not _is_ready(self._ask_for_node()), STALE_READY_SECONDS, 2.0):
            raise Failure(
                f"A live node {self.request.node_name} is in the cluster already, and it is not this host."
                " Remove it, or give this host another name. This host was not joined."
            )

    def _ask_for_node(self) -> Answer:
        return self.host.ask(self._access(), "GET", f"/api/v1/nodes/{self.request.node_name}")

    def _access(self) -> Kubeconfig:
        return replace(discovery_access(self.request.discovery), token=self.request.token)

    def _begin(self, action: str) -> None:
        """Write the marker, with what was here before: that is not ours to clean."""
        version = self._version()
        if version == UNKNOWN:
            raise Failure(
                f"kubeadm does not run on {self.request.node_name}. Role kubernetes_node installs it; run it first."
            )
        marker = read_marker(self.host)
        self.found = marker.found if marker else tuple(leftover.key for leftover in leftovers(self.host))
        write_marker(self.host, Marker(action, _now(), version, self.request.digest, found=self.found))

    def _clean_after_failure(self) -> str:
        try:
            self.clean()
        except (Failure, OSError) as error:
            return f"Cleaning up failed too: {error}"
        return f"The host was cleaned; run again once the cause is gone. The whole output: {LOG}."

    def _leftovers(self) -> list[Leftover]:
        left = leftovers(self.host, whole=self.request.state == "absent")
        return [leftover for leftover in left if leftover.key not in self.found]

    def _reset(self, marker: Marker | None) -> None:
        request = self.request
        if request.state == "absent" or marker is None or marker.action != "init":
            self._leave_etcd(joining=marker is not None and marker.action == "join" and request.state != "absent")
        document = reset_document(
            request.cri_socket,
            request.ignore_preflight_errors,
            timeouts={"kubernetesAPICall": RESET_API_CALL},
            skip_phases=["remove-etcd-member"],
        )
        with self._files([document]) as config:
            done = self._kubeadm("reset", "--config", config, log=f"{LOG}.reset")
        if done.rc:
            raise Failure(report(f"kubeadm reset on {request.node_name or 'the host'}", done.output))

    def _leave_etcd(self, joining: bool) -> None:
        """A member that stays listed stops the next join: its data is gone, its address is not. For a host that leaves
        for good an etcd that does not answer is no reason to stay; one that refuses is, unless forced."""
        request = self.request
        name = request.node_name or "this host"
        try:
            etcd.leave(self.host, request.api_timeout)
        except etcd.Unreachable as error:
            if joining:
                raise Failure(f"{error}. Nothing was reset: the quorum may need {name}. Start the others.") from error
            self.warnings.append(f"{error}. {etcd.unlisted_remedy(name)}")
        except etcd.Refused as error:
            if not request.force:
                raise Failure(
                    f"{error}. Nothing was reset: the cluster would lose its quorum. Bring the other control planes up,"
                    f" or give the cluster up with force: true."
                ) from error
            self.warnings.append(f"{error}. {etcd.unlisted_remedy(name)}")

    def _version(self) -> str:
        done = self.host.run(["kubeadm", "version", "-o", "short"], timeout=30.0)
        return done.stdout.strip() if done.rc == 0 else UNKNOWN

    def _kubeadm(self, *arguments: str, log: str = LOG) -> Completed:
        target = self.host.path(log)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.touch(mode=0o600)
        return self.host.run(
            ["kubeadm", *arguments], timeout=self.request.timeout, log=str(target), pass_fds=(self.lock,)
        )

    @contextlib.contextmanager
    def _files(self, documents: Sequence[Document]) -> Iterator[str]:
        """The configuration as a file of mode 0600 on a file system in memory, gone afterwards."""
        path = f"{SECRETS}/config.yaml"
        self.host.write(path, serialise(documents))
        try:
            yield str(self.host.path(path))
        finally:
            self.host.remove(SECRETS)


def registered_nodes(host: Host) -> list[str] | None:
    """The nodes in the API of the control plane on this host; None when it does not answer such a question."""
    conf = SUPER_ADMIN_CONF if host.has(SUPER_ADMIN_CONF) else ADMIN_CONF
    access = kubeconfig(host, conf)
    if access is None or not host.has(API_MANIFEST):
        return None
    answer = host.ask(access, "GET", "/api/v1/nodes?limit=5", address=local_api(host))
    if answer.status != 200:
        return None
    return [str(item["metadata"]["name"]) for item in answer.body.get("items", [])]


def local_api(host: Host) -> tuple[str, int]:
    """Where the API server of this host listens, by its manifest."""
    manifest = host.read(API_MANIFEST)
    address = re.search(r"--advertise-address=(\S+)", manifest)
    port = re.search(r"--secure-port=(\d+)", manifest)
    return (address.group(1) if address else "127.0.0.1", int(port.group(1)) if port else 6443)


def version(host: Host) -> str:
    """The version of this host's API server by its manifest, without ``v``; empty when there is none."""
    found = re.search(r"image: \S*kube-apiserver:v(\S+)", host.read(API_MANIFEST))
    return found.group(1) if found else ""


def discovery_access(discovery: Mapping[str, Any]) -> Kubeconfig:
    """Server and CA of a discovery kubeconfig. Raises Failure."""
    try:
        cluster = discovery["clusters"][0]["cluster"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return Kubeconfig(cluster["server"], ca)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Failure(
            f"discovery is no kubeconfig with an inline CA ({error}). Make it with the filter"
            " hybridk8s.estate.kubeadm_discovery."
        ) from error


def _refuse_another_cluster(host: Host, request: Request, seen: Observation) -> None:
    """A member whose CA is not the one it should join was never told about this estate."""
    mine = host.read(CA).strip()
    if seen.membership not in MEMBERS or not request.discovery or not mine:
        return
    if mine != discovery_access(request.discovery).ca.strip():
        raise Failure(
            f"{request.node_name} is a member of another cluster: its {CA} is not this estate's CA. Drain it there,"
            f" then run hybridk8s.estate.reset --limit {request.node_name}."
        )


def _others(host: Host, request: Request, seen: Observation, wait: float) -> list[str] | None:
    """The other nodes of an unfinished init; waits for its API only when kubeadm came so far that it may come up."""
    if seen.membership != HALF["init"]:
        return None
    may_come_up = all(host.has(f"/etc/kubernetes/manifests/{name}.yaml") for name in MANIFESTS[:3])
    if not may_come_up or not host.has(KUBELET_CONFIG):
        return None
    answers: list[list[str]] = []

    def answered() -> bool:
        nodes = registered_nodes(host)
        if nodes is not None:
            answers.append(nodes)
        return nodes is not None

    if not host.wait(answered, wait):
        return None
    return [name for name in answers[-1] if name != request.node_name]


def _skipping(document: Document, phases: Sequence[str]) -> Document:
    if document.get("kind") != "InitConfiguration":
        return document
    return {**document, "skipPhases": [*phases, *document.get("skipPhases", [])]}


def _is_ready(answer: Answer) -> bool:
    if answer.status != 200:  # an error's "status" is a text
        return False
    conditions = (answer.body.get("status") or {}).get("conditions") or []
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def kubeconfig(host: Host, path: str) -> Kubeconfig | None:
    """A kubeconfig of this host, None when it is not there or not whole."""
    try:
        parsed = parse_kubeconfig(host.read(path))
    except ValueError:
        return None
    return replace(parsed, client_path=str(host.path(parsed.client_path))) if parsed.client_path else parsed


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
