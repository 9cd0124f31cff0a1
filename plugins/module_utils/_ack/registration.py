# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One registration, from nothing to a connected agent, and back; private to this collection.

Whatever ends a run, and however many run at once, there is one registration: the record in the cluster stands before
the cloud is asked, and what it was asked for with is in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils import _manifest
from ansible_collections.hybridk8s.estate.plugins.module_utils._ack import agent, record
from ansible_collections.hybridk8s.estate.plugins.module_utils._ack.service import (
    DELETING,
    FAILED,
    INITIAL,
    RUNNING,
    Registered,
    Service,
    Wanted,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, WARNING, Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, Object, all_parallel
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest import ManifestError
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest_apply import Rollout
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

SET = "ack"
_POLL_SECONDS = 2.0
# The cloud shows a new cluster within seconds.
_SEEN_SECONDS = 60.0
# Another run asked with other settings, or a moment ago: its cluster is ours too.
_BY_ANOTHER = ("IdempotentParameterMismatch", "ClusterNameAlreadyExist", "ErrorClusterNameAlreadyExist")


class RegistrationError(Exception):
    """The registration cannot be brought about; the message says what to do."""


@dataclass
class Outcome:
    """What a run did (or, in check mode, would do), and what it found."""

    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    registered: Registered | None = None
    endpoint: agent.Endpoint | None = None

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == ERROR]


@dataclass
class Registration:
    """One run. ``outcome`` holds what was done so far, also when a method raises.

    Methods raise CloudError, KubeError, ManifestError and RegistrationError. ``manifest`` is the agent's where a person
    fetched it, ``hide`` is told every secret before anything is done with it, ``seconds`` is how long to wait.
    """

    service: Service
    cluster: Cluster
    wanted: Wanted
    check: bool = False
    diff: bool = False
    registries: Sequence[str] = ()
    manifest: str = ""
    seconds: float = 300.0
    hide: Callable[[set[str]], None] = lambda _values: None
    sleep: Callable[[float], None] = time.sleep
    outcome: Outcome = field(default_factory=Outcome)
    _documents: list[Object] = field(default_factory=list)

    def register(self) -> None:
        """ACK has the cluster, and what its agent needs is judged. Nothing is applied yet."""
        found = self._found() or self._created()
        self.outcome.registered = found
        if found is None:
            return
        self.outcome.findings += _drift(self.wanted, found)
        found = self.outcome.registered = self._prepared(found)
        if found.state == INITIAL:
            return
        self._documents = self._agent(found)
        self.hide(agent.secrets(self._documents))
        self.outcome.endpoint = agent.endpoint(self._documents)
        self.outcome.findings += agent.judge(self._documents, self.wanted, found.id, self.registries)

    def run(self) -> None:
        """The agent is applied and connected. Does nothing where :meth:`register` found errors."""
        self.register()
        found = self.outcome.registered
        if found is None or found.state == INITIAL:
            self.outcome.steps.append(Step("apply", "the agent", "it comes with the registration"))
            return
        if self.outcome.errors:
            return
        rollout = self._rollout(self._settled(found))
        changes, orphans = rollout.plan(), rollout.orphans(SET)
        if self.check:
            self.outcome.steps += [change.step for change in changes] + [step for _path, _live, step in orphans]
            return
        try:
            rollout.apply(changes)
            rollout.prune(orphans)
        finally:
            self.outcome.steps += rollout.done
        if self.seconds:
            self._await_running(found, rollout)

    def take_back(self) -> None:
        """ACK has the cluster no more, and the cluster nothing of ACK's agent. The record goes last."""
        written = record.read(self.cluster)
        found = self.service.cluster(written.cluster) if written and written.cluster else self._mine()
        rollout = self._rollout([])
        orphans = rollout.orphans(SET)
        if found:
            step = Step("delete", f"ACK cluster {found.id}", f"{found.name} is to be registered no more")
            self.outcome.steps.append(step)
        if self.check:
            self.outcome.steps += [step for _path, _live, step in orphans]
            return
        if found:
            if found.state != DELETING:
                self.service.delete(found.id)
            self._await_gone(found)
        try:
            rollout.prune(orphans)
        finally:
            self.outcome.steps += rollout.done
        record.forget(self.cluster)

    def _found(self) -> Registered | None:
        """Our cluster, if ACK has it; then the record names it."""
        written = record.read(self.cluster)
        if written and written.cluster:
            found = self.service.cluster(written.cluster)
            if found is None:
                raise RegistrationError(
                    f"ACK does not know {written.cluster}, as which this cluster is registered. Check"
                    " estate_cloud.credentials and estate_cloud.region: they may be another account's. If somebody"
                    " deleted it, run once with estate_cloud.ack.state absent, and then again without."
                )
            return found
        found = self._mine()
        if found and not self.check:
            self._write_down(found.id)
        return found

    def _mine(self) -> Registered | None:
        found = [one for one in self.service.named(self.wanted.name) if one.is_of(self.wanted.estate)]
        if len(found) > 1:
            raise RegistrationError(
                f"ACK has {listed([one.id for one in found])}, all called {self.wanted.name} and of the estate"
                f" {self.wanted.estate}. Delete all but the one that this cluster is connected as."
            )
        return found[0] if found else None

    def _created(self) -> Registered | None:
        name = self.wanted.name
        step = Step("register", f"ACK cluster {name}", f"ACK has none of this name of the estate {self.wanted.estate}")
        if self.check:
            self.outcome.steps.append(step)
            return None
        written = record.begin(self.cluster, self.wanted.estate)
        if written.cluster:
            return self._seen(written.cluster)
        try:
            identifier = self.service.create(self.wanted, written.token)
            self.outcome.steps.append(step)
        except CloudError as error:
            if error.code not in _BY_ANOTHER:
                raise
            identifier = self._of_another(error)
        self._write_down(identifier)
        return self._seen(identifier)

    def _of_another(self, error: CloudError) -> str:
        """The cluster that another run of this estate has registered meanwhile."""
        strangers: list[Registered] = []
        deadline = time.monotonic() + _SEEN_SECONDS
        while time.monotonic() < deadline:
            mine = self._mine()
            if mine:
                return mine.id
            written = record.read(self.cluster)
            if written and written.cluster:
                return written.cluster
            strangers = self.service.named(self.wanted.name)
            if strangers:
                break
            self.sleep(_POLL_SECONDS)
        whose = f"{listed([one.id for one in strangers])} is called so and is not of" if strangers else "none is of"
        raise RegistrationError(
            f"{error} {whose} the estate {self.wanted.estate}. Set another estate_cloud.ack.name, or give that cluster"
            f" the tag estate.hybridk8s.io/estate={self.wanted.estate} if it is this one."
        ) from error

    def _write_down(self, identifier: str) -> None:
        record.begin(self.cluster, self.wanted.estate)
        record.name_cluster(self.cluster, identifier)

    def _seen(self, identifier: str) -> Registered:
        deadline = time.monotonic() + _SEEN_SECONDS
        while True:
            found = self.service.cluster(identifier)
            if found:
                return found
            if time.monotonic() > deadline:
                raise RegistrationError(f"ACK registered {identifier} and does not show it. Run again in a minute.")
            self.sleep(_POLL_SECONDS)

    def _prepared(self, found: Registered) -> Registered:
        """The cluster as soon as ACK is ready for its agent."""
        deadline = time.monotonic() + self.seconds
        while found.state == INITIAL and not self.check:
            if time.monotonic() > deadline:
                raise RegistrationError(f"ACK prepares {found.id} for over {self.seconds:g} s. Run again later.")
            self.sleep(_POLL_SECONDS)
            found = self._seen(found.id)
        if found.state in FAILED:
            raise RegistrationError(
                f"ACK could not prepare {found.id} ({found.state}). Its console says why; then run with"
                " estate_cloud.ack.state absent, and again without."
            )
        return found

    def _agent(self, found: Registered) -> list[Object]:
        text = self.manifest or self.service.agent(found.id, self.wanted)
        try:
            return _manifest.parse(text, "the agent's manifest")
        except ManifestError:
            # What is wrong would be told with the line that is wrong, and that may be a secret.
            raise RegistrationError("the agent's manifest is not YAML of Kubernetes objects. Fetch it again.") from None

    def _settled(self, found: Registered) -> list[Object]:
        """The documents as they are to be applied over what is there."""

        def settle(document: Object) -> Object:
            named = _manifest.identity(document)
            plural = {"ConfigMap": "configmaps", "Secret": "secrets"}.get(named.kind)
            namespace = named.namespace or agent.SYSTEM
            live = self.cluster.get(f"/api/v1/namespaces/{namespace}/{plural}/{named.name}") if plural else None
            return agent.settled(document, live, found.state == RUNNING)

        settled = all_parallel(settle, self._documents)
        return [_manifest.marked(document, self.wanted.estate, SET) for _given, document in settled]

    def _rollout(self, documents: list[Object]) -> Rollout:
        return Rollout(self.cluster, documents, agent.SYSTEM, self.check, self.diff)

    def _await_running(self, found: Registered, rollout: Rollout) -> None:
        """Wait for the agent's pods, and until ACK says that it is connected."""
        deadline = time.monotonic() + self.seconds
        rollout.wait(self.seconds)
        while found.state != RUNNING:
            if time.monotonic() > deadline:
                address = f" at {self.outcome.endpoint.host}" if self.outcome.endpoint else ""
                raise RegistrationError(
                    f"ACK says that {found.id} is {found.state} and not running, {self.seconds:g} s after its agent's"
                    f" pods are. See their log: the pods may not reach ACK{address}, or be refused there."
                )
            self.sleep(_POLL_SECONDS)
            found = self.outcome.registered = self._seen(found.id)

    def _await_gone(self, found: Registered) -> None:
        deadline = time.monotonic() + self.seconds
        while self.service.cluster(found.id):
            if time.monotonic() > deadline:
                raise RegistrationError(f"ACK still has {found.id} {self.seconds:g} s after it was deleted. Run again.")
            self.sleep(_POLL_SECONDS)


def _drift(wanted: Wanted, found: Registered) -> list[Finding]:
    """What cannot be changed about a registration any more."""
    differing = [
        f"its {what} is {theirs} and not {ours}"
        for what, ours, theirs in (
            ("name", wanted.name, found.name),
            ("VPC", wanted.vpc, found.vpc),
            ("range of services", wanted.service_cidr, found.service_cidr),
        )
        if ours and theirs and ours != theirs
    ]
    if not differing:
        return []
    return [
        Finding(
            "AK511-registered-otherwise",
            WARNING,
            "",
            "estate_cloud.ack",
            f"{found.id} is registered otherwise: {', '.join(differing)}.",
            "Correct the inventory, or register anew: run once with estate_cloud.ack.state absent, then without.",
        )
    ]


def shown(outcome: Outcome) -> dict[str, Any]:
    """A run's registration in a module's result. Empty where there is none."""
    found, endpoint = outcome.registered, outcome.endpoint
    if found is None:
        return {}
    return {
        "id": found.id,
        "name": found.name,
        "state": found.state,
        "endpoint": {"host": endpoint.host, "port": endpoint.port, "authority": endpoint.authority} if endpoint else {},
    }
