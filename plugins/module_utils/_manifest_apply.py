# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents against a cluster: plan by dry run, server-side apply, prune, wait; private to this collection."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils import _manifest, _nodes
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    FIELD_MANAGER,
    METADATA_LIST,
    Cluster,
    KubeError,
    Object,
    all_parallel,
    parallel,
    segment,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest import (
    ManifestError,
    Resource,
    identity,
    path_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet")
_ESTABLISH_SECONDS = 60.0
_POLL_SECONDS = 1.0
_SHOWN_PATHS = 5
_SHOWN_PODS = 10


@dataclass(frozen=True)
class Change:
    """A document whose object is missing or differs; ``live`` is None when it is missing."""

    document: Object
    live: Object | None
    step: Step


@dataclass
class Rollout:
    """Documents on their way into a cluster. ``done`` holds the steps that were applied, also after an error."""

    cluster: Cluster
    documents: list[Object]
    namespace: str = "default"
    check_mode: bool = False
    diff: bool = False
    resources: dict[tuple[str, str], Resource] = field(default_factory=dict)
    done: list[Step] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def plan(self) -> list[Change]:
        """What an apply would create or change, in the order in which it does.

        Raises ManifestError for kinds that neither the cluster nor the documents define and for objects described
        twice, KubeError (all refusals in one) when the API server would not take a document.
        """
        declared = _manifest.declared(self.documents)
        self.resources = {**declared, **_manifest.discover(self.cluster, {d["apiVersion"] for d in self.documents})}
        unknown = sorted({f"{d['apiVersion']} {d['kind']}" for d in self.documents if _kind(d) not in self.resources})
        if unknown and not self.check_mode:
            raise ManifestError(f"the cluster does not know {', '.join(unknown)}. Apply the definitions first.")
        in_order = [document for group in _manifest.ordered(self.documents) for document in group]
        self.documents = [_manifest.placed(document, self.resources, self.namespace) for document in in_order]
        twice = _manifest.twins(self.documents)
        if twice:
            raise ManifestError(f"described twice: {', '.join(map(str, twice))}. Leave one of each.")
        outcomes = parallel(self._compare, self.documents)
        _raise_all([(identity(outcome.item), outcome.error) for outcome in outcomes if outcome.error])
        return [outcome.value for outcome in outcomes if outcome.value]

    def apply(self, changes: Sequence[Change]) -> None:
        """Apply the changes in a sane order, each group of kinds in parallel. Raises KubeError after a failed group."""
        by_identity = {identity(change.document): change for change in changes}
        for group in _manifest.ordered([change.document for change in changes]):
            outcomes = parallel(self._put, group)
            self.done += [by_identity[identity(outcome.item)].step for outcome in outcomes if not outcome.error]
            _raise_all([(identity(outcome.item), outcome.error) for outcome in outcomes if outcome.error])
            if group[0]["kind"] == "CustomResourceDefinition":
                self._await_established(group)

    def orphans(self, member_of: str) -> list[tuple[str, Object, Step]]:
        """Objects of the set that the documents no longer have: path, object and the step that deletes it."""
        kept = {identity(document).key for document in self.documents}
        served = self._listable()
        query = {"labelSelector": f"app.kubernetes.io/managed-by={FIELD_MANAGER}"}

        def members(kind: tuple[str, str, Resource]) -> list[tuple[str, Object, Step]]:
            api_version, name, resource = kind
            path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            found = []
            for item in self.cluster.list(f"{path}/{resource.plural}", query, accept=METADATA_LIST):
                document = {**item, "apiVersion": api_version, "kind": name}
                named = identity(document)
                annotations = document["metadata"].get("annotations") or {}
                if annotations.get(_manifest.SET) != member_of or named.key in kept:
                    continue
                target = path_of(named, {(api_version, name): resource})
                reason = f"no document of the set {member_of} has it"
                found.append((str(target), document, Step("delete", str(named), reason, before=self._text(document))))
            return found

        outcomes = parallel(members, served)
        _raise_all([(f"{outcome.item[0]} {outcome.item[1]}", outcome.error) for outcome in outcomes if outcome.error])
        found = {entry[2].target: entry for outcome in outcomes for entry in outcome.value or ()}
        return [found[target] for target in sorted(found)]

    def prune(self, orphans: Sequence[tuple[str, Object, Step]]) -> None:
        """Delete what :meth:`orphans` found."""

        def remove(orphan: tuple[str, Object, Step]) -> bool:
            return self.cluster.delete(orphan[0], uid=orphan[1]["metadata"].get("uid", ""))

        outcomes = parallel(remove, orphans)
        self.done += [outcome.item[2] for outcome in outcomes if outcome.value]
        _raise_all([(outcome.item[2].target, outcome.error) for outcome in outcomes if outcome.error])

    def wait(self, seconds: float) -> None:
        """Wait until the workloads among the documents are rolled out; KubeError names pods and reasons otherwise."""
        deadline = self.clock() + seconds
        waiting = [document for document in self.documents if document["kind"] in WORKLOADS]
        while True:
            outcomes = parallel(self._lagging, waiting)
            _raise_all([(identity(outcome.item), outcome.error) for outcome in outcomes if outcome.error])
            late = [(outcome.item, outcome.value) for outcome in outcomes if outcome.value]
            if not late:
                return
            if self.clock() >= deadline:
                said = "; ".join(f"{identity(document)}: {why}{self._complaints(document)}" for document, why in late)
                raise KubeError(f"not rolled out after {seconds:g} s: {said}")
            waiting = [document for document, _why in late]
            self.sleep(_POLL_SECONDS)

    def _compare(self, document: Object) -> Change | None:
        named = identity(document)
        path = path_of(named, self.resources)
        live = self.cluster.get(path) if path else None
        if live is None or path is None:
            return Change(document, None, Step("create", str(named), "it does not exist", after=self._text(document)))
        dry = self.cluster.apply(path, document, dry_run=True)
        if not _manifest.differs(live, dry):
            return None
        paths = _manifest.changed_paths(_manifest.content(live), _manifest.content(dry))
        more = f" and {len(paths) - _SHOWN_PATHS} more" if len(paths) > _SHOWN_PATHS else ""
        reason = ", ".join(paths[:_SHOWN_PATHS]) + more if paths else "take over its fields"
        return Change(document, live, Step("update", str(named), reason, self._text(live), self._text(dry)))

    def _put(self, document: Object) -> Object:
        path = path_of(identity(document), self.resources)
        if path is None:
            raise KubeError(f"the cluster does not serve {document['apiVersion']} {document['kind']}.")
        return self.cluster.apply(path, document)

    def _await_established(self, definitions: Sequence[Object]) -> None:
        """Wait until the kinds are served, so that documents of those kinds can follow."""
        deadline = self.clock() + _ESTABLISH_SECONDS
        wanted = _manifest.declared(definitions)
        served = {
            (f"{definition['spec']['group']}/{version['name']}", definition["spec"]["names"]["kind"])
            for definition in definitions
            for version in definition["spec"]["versions"]
            if version.get("served", True)
        }
        while True:
            pending = served - set(_manifest.discover(self.cluster, {api_version for api_version, _kind in served}))
            if not pending:
                self.resources.update(wanted)
                return
            if self.clock() >= deadline:
                names = ", ".join(sorted(f"{api_version} {kind}" for api_version, kind in pending))
                raise KubeError(f"not served {_ESTABLISH_SECONDS:g} s after their definition was applied: {names}.")
            self.sleep(0.2)

    def _listable(self) -> list[tuple[str, str, Resource]]:
        groups = (self.cluster.get("/apis") or {}).get("groups") or ()
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        found = []
        for version, served in all_parallel(lambda version: self.cluster.get(_manifest.group_path(version)), versions):
            for entry in (served or {}).get("resources") or ():
                if "/" not in entry["name"] and {"list", "delete"} <= set(entry["verbs"]):
                    found.append((version, entry["kind"], Resource(entry["name"], entry["namespaced"])))
        return found

    def _lagging(self, document: Object) -> str:
        live = self.cluster.get(str(path_of(identity(document), self.resources)))
        if live is None:
            return "it was deleted"
        why = _manifest.lagging(live)
        if why and live["kind"] == "DaemonSet":
            return _manifest.lagging(live, lost=self._lost(live))
        return why

    def _lost(self, workload: Object) -> int:
        """How many of its pods are on nodes that are not Ready: a dead host never blocks the others."""
        dead = set(
            self.cluster.list(
                _nodes.NODES, page=1000, keep=lambda node: "" if _nodes.ready(node)[0] else node["metadata"]["name"]
            )
        ) - {""}
        return sum(pod["spec"].get("nodeName") in dead for pod in self._pods(workload)) if dead else 0

    def _pods(self, workload: Object) -> list[Any]:
        path = f"/api/v1/namespaces/{segment(workload['metadata']['namespace'])}/pods"
        return self.cluster.list(path, {"labelSelector": _manifest.selector_of(workload)})

    def _complaints(self, document: Object) -> str:
        said = [(pod, _manifest.complaint(pod)) for pod in self._pods(document)]
        lines = [
            f"{pod['metadata']['name']} on {pod['spec'].get('nodeName') or 'no node'}: {why}"
            for pod, why in said
            if why
        ]
        more = [f"and {len(lines) - _SHOWN_PODS} more"] if len(lines) > _SHOWN_PODS else []
        return f" ({'; '.join(lines[:_SHOWN_PODS] + more)})" if lines else ""

    def _text(self, document: Object) -> str:
        return _manifest.text(document) if self.diff else ""


def _kind(document: Object) -> tuple[str, str]:
    return document["apiVersion"], document["kind"]


def _raise_all(failures: Sequence[tuple[Any, KubeError | None]]) -> None:
    if failures:
        said = "; ".join(f"{named}: {error.message}" for named, error in failures if error)
        remedies = dict.fromkeys(error.remedy for _named, error in failures if error and error.remedy)
        raise KubeError(said, remedy=" ".join(remedies))
