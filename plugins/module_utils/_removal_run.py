# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deleting nodes: observe, let go of what is bound to them, delete, wait for their addresses to be free.

Private to this collection; ``_removal`` decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.hybridk8s.estate.plugins.module_utils import _removal as deciding
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.domains import batches
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import IS_REFLECTOR_QUERY
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    Cluster,
    Object,
    all_parallel,
    parallel,
    segment,
    until_settled,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._nodes import NODES, path_of, read
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step
from ansible_collections.hybridk8s.estate.plugins.module_utils._removal import (
    ABSENT,
    FAILED,
    NOT_STARTED,
    REFUSED,
    REMOVED,
    Removal,
    Seen,
    Standing,
)

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
BLOCKS = "/apis/crd.projectcalico.org/v1/blockaffinities"
PODS = "/api/v1/pods"
_POLL_SECONDS = 1.0
_BLOCKS_POLL_SECONDS = 2.0
_SHOWN = 5
# One request a name costs less than reading all leases of a large estate up to about this many names.
_GET_UP_TO = 16


@dataclass(frozen=True)
class Rules:
    """How nodes are removed: ``left`` are those whose hosts have left; hosts have ``silence_timeout`` to fall silent;
    ``timeout`` is for what is bound to a batch, after which ``abandon`` goes on without it; ``max_fail`` nodes may fail
    before no further batch is begun."""

    left: frozenset[str] = frozenset()
    silence_timeout: float = 0.0
    timeout: float = 300.0
    blocks_timeout: float = 300.0
    abandon: bool = False
    batch: int = 1000
    max_fail: int = 1000


@dataclass(frozen=True)
class Result:
    """What became of a node, and why."""

    state: str
    message: str = ""
    changed: bool = False


@dataclass
class Nodes:
    """A removal of nodes. ``done``, ``results`` and ``findings`` say what was done so far, also after an error."""

    cluster: Cluster
    rules: Rules
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    done: list[Step] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    blocks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _marked: set[str] = field(default_factory=set)

    def observe(self, names: Sequence[str]) -> dict[str, Removal]:
        """What is to be done about each of these names, when their hosts are silent. Raises KubeError."""
        self._await_silence(names)
        live = read(self.cluster, names)
        leases = self._leases(sorted(live))
        standings = {name: deciding.standing(node) for name, node in live.items()}
        answering = {name: deciding.answers(node, leases.get(name)) for name, node in live.items()}
        volumes = self._volumes(names)
        seen = {
            name: Seen(
                standings[name],
                uid=node["metadata"]["uid"],
                answers=answering[name],
                schedulable=not node.get("spec", {}).get("unschedulable", False),
                marked=deciding.marked(node),
                volumes=volumes.get(name, ()),
            )
            for name, node in live.items()
        }
        plans = deciding.plan(names, seen, self._others(standings.values()), self.rules.left)
        pods = self._pods([name for name, made in plans.items() if made.state == REMOVED])
        self.blocks = self._blocks(names)
        self.findings = [finding for made in plans.values() for finding in made.findings]
        absent = [name for name, made in plans.items() if made.state == ABSENT]
        self.findings += [deciding.volumes_remain(name, volumes[name]) for name in absent if name in volumes]
        self.results = {name: _planned(made) for name, made in plans.items()}
        return {
            name: replace(made, seen=replace(made.seen, pods=pods[name])) if made.seen and name in pods else made
            for name, made in plans.items()
        }

    def run(self, plans: Mapping[str, Removal]) -> None:
        """Remove what is to be removed, a batch after the other. An error leaves no taint of ours behind, as long as
        the API server answers."""
        going = [made for made in plans.values() if made.state == REMOVED]
        self.results.update({made.name: Result(NOT_STARTED, "the run ended before its turn") for made in going})
        try:
            self._take_back([made.name for made in plans.values() if made.state == REFUSED and made.steps])
            for batch in self._batches(going):
                if self._failures() > self.rules.max_fail:
                    break
                self._remove(batch)
                going = [made for made in going if made.name not in batch]
        finally:
            self._unmark(sorted(self._marked))
        for made in going:
            why = f"{self._failures()} nodes failed, and max_fail is {self.rules.max_fail}"
            self.results[made.name] = Result(NOT_STARTED, why)
        self._await_blocks()

    def _batches(self, going: Sequence[Removal]) -> list[dict[str, Seen]]:
        seen = {made.name: made.seen for made in going if made.seen}
        apart = {name: each.standing.domains for name, each in seen.items()}
        return [{name: seen[name] for name in batch} for batch in batches(list(seen), self.rules.batch, apart)]

    def _remove(self, batch: Mapping[str, Seen]) -> None:
        bound = [seen for seen in batch.values() if seen.holds]
        self.results.update({name: Result(FAILED, "the run ended while it was being removed") for name in batch})
        going = [*(set(batch) - {seen.standing.name for seen in bound}), *self._let_go(bound)]

        def delete(name: str) -> bool:
            return self.cluster.delete(path_of(name), batch[name].uid)

        for outcome in parallel(delete, sorted(going)):
            if outcome.error:
                self._fail(outcome.item, f"cannot be deleted: {outcome.error}")
                continue
            self._marked.discard(outcome.item)
            self.results[outcome.item] = Result(REMOVED, changed=True)
            self.done.append(Removal(outcome.item, REMOVED, batch[outcome.item]).steps[-1])

    def _let_go(self, bound: Sequence[Seen]) -> list[str]:
        """Have the cluster let go of what is bound to these nodes; the names of those that may be deleted now."""
        waiting: list[str] = []
        for outcome in parallel(lambda seen: self._mark(seen.standing.name), bound):
            name = outcome.item.standing.name
            if outcome.error:
                self._fail(name, f"cannot be tainted: {outcome.error}")
                continue
            waiting.append(name)
            if not outcome.value:
                continue
            self._marked.add(name)
            if not outcome.item.marked:
                self.done.append(deciding.release_step(outcome.item))
        if not waiting:
            return []
        rest = self._await_release(waiting)
        back = self._answering([name for name in waiting if name not in self.rules.left])
        for name in waiting:
            if name in back:
                self.results[name] = Result(REFUSED, f"its host came back meanwhile: {back[name]}.")
            elif name in rest and not self.rules.abandon:
                remedy = "See why; with abandon the node is deleted all the same."
                self._fail(name, f"not let go within {self.rules.timeout:g} s: {rest[name]}. {remedy}")
        return [name for name in waiting if name not in back and (name not in rest or self.rules.abandon)]

    def _await_release(self, names: Sequence[str]) -> dict[str, str]:
        """Wait until nothing is bound to these nodes; what still is when the time is over, by node."""
        deadline = self.clock() + self.rules.timeout
        while True:
            volumes, pods = self._volumes(names), self._pods(names)
            rest = {
                name: _listed([*(f"pod {pod}" for pod in pods[name]), *volumes.get(name, ())])
                for name in names
                if pods[name] or name in volumes
            }
            if not rest or self.clock() >= deadline:
                return rest
            names = list(rest)
            self.sleep(_POLL_SECONDS)

    def _await_blocks(self) -> None:
        names = {name for name, result in self.results.items() if result.state in (REMOVED, ABSENT)}
        deadline = self.clock() + self.rules.blocks_timeout
        waiting = names & set(self.blocks)
        while waiting and self.clock() < deadline:
            self.blocks = self._blocks(names)
            waiting = names & set(self.blocks)
            if waiting:
                self.sleep(_BLOCKS_POLL_SECONDS)
        for name in sorted(waiting):
            finding = deciding.blocks_remain(name, self.blocks[name], self.rules.blocks_timeout)
            self.findings.append(finding)
            self.results[name] = replace(self.results[name], message=f"{finding.message} {finding.remedy}")

    def _await_silence(self, names: Sequence[str]) -> None:
        """The cluster takes note of a dead host a while after its death."""
        names = [name for name in names if name not in self.rules.left]
        deadline = self.clock() + self.rules.silence_timeout
        while self.clock() < deadline and self._answering(names):
            self.sleep(_POLL_SECONDS)

    def _answering(self, names: Sequence[str]) -> dict[str, str]:
        """Those of these nodes whose hosts answer now, and why they are taken for alive."""
        live = read(self.cluster, names)
        leases = self._leases(sorted(live))
        said = {name: deciding.answers(node, leases.get(name)) for name, node in live.items()}
        return {name: why for name, why in said.items() if why}

    def _take_back(self, names: Sequence[str]) -> None:
        """Take our taint off nodes that an earlier run put it on, and whose hosts are back."""
        self._marked.update(names)
        self._unmark(names)

    def _unmark(self, names: Sequence[str]) -> None:
        for outcome in parallel(self._unmark_one, names):
            name, result = outcome.item, self.results[outcome.item]
            if outcome.error:
                message = f"{result.message} The taint out-of-service stays on it: {outcome.error}"
                self.results[name] = replace(result, message=message)
                continue
            self._marked.discard(name)
            self.results[name] = replace(result, changed=True)
            self.done.append(Step("untaint", f"node/{name}", "it is not removed"))

    def _mark(self, name: str) -> bool:
        """Put the taint on a node that has none; whether the one that is there now is ours."""

        def attempt(_reread: bool) -> bool:
            node = self.cluster.get(path_of(name))
            if node is None:
                return False
            patch = deciding.mark_patch(node)
            if patch:
                self.cluster.merge(path_of(name), patch)
            return bool(patch) or deciding.marked(node)

        return until_settled(attempt)

    def _unmark_one(self, name: str) -> None:
        def attempt(_reread: bool) -> None:
            node = self.cluster.get(path_of(name))
            patch = deciding.unmark_patch(node) if node else {}
            if patch:
                self.cluster.merge(path_of(name), patch)

        until_settled(attempt)

    def _fail(self, name: str, why: str) -> None:
        self.results[name] = Result(FAILED, why)

    def _failures(self) -> int:
        return sum(result.state == FAILED for result in self.results.values())

    def _others(self, going: Iterable[Standing]) -> list[Standing]:
        """The control planes and reflectors of the cluster, as far as what goes is one."""
        going = list(going)
        selectors = []
        if any(node.control_plane for node in going):
            selectors.append(deciding.CONTROL_PLANE_LABEL)
        if any(node.reflector for node in going):
            selectors.append(IS_REFLECTOR_QUERY)
        found = [self.cluster.list(NODES, {"labelSelector": each}, keep=deciding.standing) for each in selectors]
        return [node for nodes in found for node in nodes]

    def _leases(self, names: Sequence[str]) -> dict[str, Object]:
        if len(names) > _GET_UP_TO:
            wanted = frozenset(names)
            return {
                lease["metadata"]["name"]: lease for lease in self.cluster.list(LEASES, keep=_among(wanted)) if lease
            }
        found = all_parallel(lambda name: self.cluster.get(f"{LEASES}/{segment(name)}"), names)
        return {name: lease for name, lease in found if lease}

    def _pods(self, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        def held(pod: Object) -> str:
            return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" if deciding.holds(pod) else ""

        def on_node(name: str) -> tuple[str, ...]:
            found = self.cluster.list(PODS, {"fieldSelector": f"spec.nodeName={name}"}, keep=held)
            return tuple(sorted(filter(None, found)))

        return dict(all_parallel(on_node, names))

    def _volumes(self, names: Collection[str]) -> dict[str, tuple[str, ...]]:
        return _by_node(
            self.cluster.list(ATTACHMENTS, keep=lambda item: (item["spec"]["nodeName"], item["metadata"]["name"])),
            names,
        )

    def _blocks(self, names: Collection[str]) -> dict[str, tuple[str, ...]]:
        return _by_node(
            self.cluster.list(BLOCKS, keep=lambda item: (item["spec"].get("node", ""), item["spec"].get("cidr", ""))),
            names,
        )


def _planned(made: Removal) -> Result:
    why = " ".join(f"{finding.message} {finding.remedy}" for finding in made.findings)
    return Result(made.state, why, changed=bool(made.steps))


def _among(names: Collection[str]) -> Callable[[Object], Object | None]:
    return lambda item: item if item["metadata"]["name"] in names else None


def _by_node(pairs: Iterable[tuple[str, str]], names: Collection[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for node, what in pairs:
        if node in names:
            found.setdefault(node, []).append(what)
    return {node: tuple(sorted(each)) for node, each in found.items()}


def _listed(things: Sequence[str]) -> str:
    more = [f"and {len(things) - _SHOWN} more"] if len(things) > _SHOWN else []
    return ", ".join([*things[:_SHOWN], *more])
