# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Emptying nodes: plan, mark and cordon, evict as the budgets allow, wait, restore; private to this collection.

What to do next is :mod:`progress`; here is what does it. One thread decides; others evict and follow what happens to
pods, budgets and volumes, and tell it through a queue.
"""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain import observe as look
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.evict import Answer, Eviction, evict
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.limits import Limits
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.marks import Marks
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Pod, budget_of, pod_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.plan import (
    Move,
    NodeDrain,
    Observed,
    Plan,
    Rules,
    cordon_step,
    evict_step,
    plan,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.progress import Progress, Stage
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.runs import Run, Runs
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    Cluster,
    KubeError,
    parallel,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step
from ansible_collections.hybridk8s.estate.plugins.module_utils._watch import (
    Changed,
    Feed,
    Listed,
    Lost,
    Source,
)

# Beside three watches; together they fit into the pool of connections.
_WORKERS = 5
_LONGEST_WAIT = 1.0
_ON_NODE = re.compile(rb'"nodeName":"([^"]+)"')
_SHOWN_FINDINGS = 20


@dataclass(frozen=True)
class _Confirmed:
    name: str
    pods: Sequence[Pod]
    error: KubeError | None


class Drain:
    """Nodes on their way to being empty.

    ``done`` holds the steps that were taken, also after an error. ``repaired`` are nodes that got back the
    schedulability that a dead run had taken, ``unrepaired`` those that did not, and why.
    """

    def __init__(
        self,
        cluster: Cluster,
        rules: Rules,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.cluster = cluster
        self.rules = rules
        self.limits = limits or Limits()
        self.plan = Plan({})
        self.done: list[Step] = []
        self.repaired: list[str] = []
        self.unrepaired: dict[str, str] = {}
        self._clock = clock
        self._runs = Runs(cluster, clock, sleep)
        self._view = look.View(Observed({}, {}))
        self._names: frozenset[str] = frozenset()
        self._marks = Marks(cluster, "")
        self._progress = self._progress_of(())
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._in_flight = 0
        self._to_restore: set[str] = set()
        self._unrestored: dict[str, str] = {}

    def observe(self, names: Collection[str], patient: bool = True) -> Plan:
        """The plan for those of these nodes that exist; ``patient`` as for :meth:`Runs.going_on`."""
        self._names = frozenset(names)
        self._view = look.observe(self.cluster, names, self.rules, self._runs, patient)
        self.plan = plan(self._view.observed, self.rules)
        return self.plan

    @property
    def repairs(self) -> list[str]:
        """Nodes, not to be drained now, that a dead run left cordoned."""
        return sorted(name for name in self._view.marked if name not in self._names)

    def run(self) -> None:
        """Drain the nodes that nothing blocks.

        A node that is not empty in time, or whose pods cannot be evicted, gets back the schedulability it had; so does
        every unfinished node when anything else ends the run.
        """
        run = Run(self.cluster, self._inbox.put)
        self._marks = Marks(self.cluster, run.mark, self._runs.over)
        ready = [each for each in self.plan.nodes.values() if not each.blocked]
        self._progress = self._progress_of(ready, failed=len(self.plan.nodes) - len(ready))
        feeds: list[Feed] = []
        workers = ThreadPoolExecutor(max_workers=_WORKERS)
        try:
            run.begin()
            self._repair()
            self._cordon([each for each in ready if each.was_schedulable])
            self._runs.bury()
            feeds = self._feeds(ready)
            for feed in feeds:
                feed.start()
            self._drive(workers)
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
            for feed in feeds:
                feed.end()
            workers.shutdown(wait=True)
            self._hear_workers_out()
            self._restore(sorted(self._to_restore))
            run.end()

    def results(self) -> dict[str, dict[str, Any]]:
        """What became of each node that exists: ``state``, ``message``, ``changed`` and ``pods``."""
        touched = {step.target for step in self.done}
        found = {}
        for name, planned in self.plan.nodes.items():
            state, message, pods = self._result(planned)
            changed = f"node/{name}" in touched or any(f"pod/{pod}" in touched for pod in pods)
            found[name] = {"state": state, "message": message, "changed": changed, "pods": pods}
        return found

    def _result(self, planned: NodeDrain) -> tuple[str, str, dict[str, str]]:
        if planned.blocked:
            said = " ".join(finding.message for finding in planned.findings if finding.severity == "error")
            return Stage.FAILED.value, said, {str(move.pod): "not evicted" for move in planned.moves}
        left = {str(pod): "left" for pod in planned.left}
        if planned.name not in self._progress:
            return Stage.NOT_STARTED.value, "", {**{str(move.pod): "not evicted" for move in planned.moves}, **left}
        stage, why = self._progress.stage(planned.name), self._progress.why(planned.name)
        if stage not in (Stage.DRAINED, Stage.FAILED, Stage.NOT_STARTED):
            stage, why = Stage.FAILED, "the run ended before its drain did."
        stays = self._unrestored.get(planned.name, "")
        return stage.value, f"{why} {stays}".strip(), {**self._progress.pods(planned.name), **left}

    def _progress_of(self, ready: Sequence[NodeDrain], failed: int = 0) -> Progress:
        budgets = self._view.observed.budgets
        return Progress(ready, budgets, self.limits, self._clock(), self._judge, failed)

    def _judge(self, pod: Pod) -> NodeDrain:
        """The plan for a pod that came after the plan was made."""
        seen = self._view.observed
        node = seen.nodes[pod.node]
        alone = replace(seen, nodes={pod.node: node}, pods={pod.node: [pod]}, attached={})
        return plan(alone, self.rules).nodes[pod.node]

    def _repair(self) -> None:
        """Give back what dead runs had taken from nodes that are not ours to drain."""
        names = self.repairs
        marked = self._view.marked
        for outcome in parallel(lambda name: Marks(self.cluster, marked[name].text).restore(name), names):
            if outcome.error:
                self.unrepaired[outcome.item] = str(outcome.error)
            elif outcome.value:
                self.repaired.append(outcome.item)
                self.done.append(Step("uncordon", f"node/{outcome.item}", "the run that drained it died"))

    def _cordon(self, planned: Sequence[NodeDrain]) -> None:
        # Noted before it is asked for: the answer may be lost though the node is cordoned.
        self._to_restore = {each.name for each in planned}
        versions = self._view.resource_versions
        for outcome in parallel(lambda each: self._marks.cordon(each.name, versions[each.name]), planned, _WORKERS):
            name = outcome.item.name
            if outcome.error:
                self._progress.fail(name, f"cannot be cordoned: {outcome.error}")
                if 400 <= outcome.error.status < 500:
                    self._to_restore.discard(name)
            elif not outcome.value:
                self._to_restore.discard(name)
            elif outcome.item.node.schedulable:
                self.done.append(cordon_step(outcome.item))

    def _restore(self, names: Iterable[str]) -> None:
        for outcome in parallel(self._marks.restore, list(names), _WORKERS):
            self._restored(outcome.item, outcome.error, bool(outcome.value))

    def _restored(self, name: str, error: KubeError | None, was_marked: bool) -> None:
        self._to_restore.discard(name)
        if error:
            self._unrestored[name] = f"It stays cordoned: {error}"
        elif was_marked:
            self.done.append(Step("uncordon", f"node/{name}", "its drain did not end, and it was schedulable"))

    def _feeds(self, ready: Sequence[NodeDrain]) -> list[Feed]:
        moves = [move for each in ready for move in each.moves]
        names = {each.name.encode() for each in ready}

        def all_pods() -> tuple[list[Pod], str]:
            version = look.version_of(self.cluster, look.PODS)
            found = look.pods_on(self.cluster, [each.name for each in ready])
            return [pod for pods in found.values() for pod in pods], version

        def on_our_nodes(line: bytes) -> bool:
            return not names.isdisjoint(_ON_NODE.findall(line))

        sources = []
        if moves:
            sources.append(Source(look.PODS, look.PODS, all_pods, on_our_nodes))
        if any(move.budgets for move in moves):
            sources.append(Source(look.BUDGETS, look.BUDGETS, lambda: look.budgets_now(self.cluster)))
        if any(each.attached for each in ready):
            sources.append(Source(look.ATTACHMENTS, look.ATTACHMENTS, lambda: look.attachments_now(self.cluster)))
        versions = self._view.versions
        return [Feed(self.cluster, source, versions[source.path], self._inbox.put, self._clock) for source in sources]

    def _drive(self, workers: ThreadPoolExecutor) -> None:
        """Until every node is empty or has failed."""
        progress = self._progress
        while True:
            now = self._clock()
            progress.expire(now)
            self._give_back_failed(workers)
            for name in progress.emptied():
                self._submit(workers, self._confirm, name)
            for move in progress.due(now, 2 * _WORKERS - self._in_flight):
                self._submit(workers, self._evict, move)
            if not progress.open and not self._in_flight:
                return
            self._listen()

    def _give_back_failed(self, workers: ThreadPoolExecutor) -> None:
        for name in sorted(self._to_restore):
            if self._progress.stage(name) in (Stage.FAILED, Stage.NOT_STARTED):
                self._to_restore.discard(name)
                self._submit(workers, self._give_back, name)

    def _submit(self, workers: ThreadPoolExecutor, work: Callable[[Any], Any], about: object) -> None:
        def attempt() -> None:
            try:
                self._inbox.put(work(about))
            except BaseException as error:
                self._inbox.put(error)

        self._in_flight += 1
        workers.submit(attempt)

    def _listen(self) -> None:
        """Take in all that is known by now; wait for something when there is nothing."""
        try:
            self._hear(self._inbox.get(timeout=_LONGEST_WAIT))
            while True:
                self._hear(self._inbox.get_nowait())
        except queue.Empty:
            return

    def _hear(self, news: object) -> None:
        if isinstance(news, BaseException):
            raise news
        if isinstance(news, Lost):
            raise news.error
        if isinstance(news, Listed):
            self._hear_list(news)
        elif isinstance(news, Changed):
            self._hear_change(news)
        else:
            self._in_flight -= 1
            self._hear_worker(news)

    def _hear_list(self, news: Listed) -> None:
        if news.kind == look.PODS:
            self._progress.pods_listed(self._progress.names, news.items)
        elif news.kind == look.BUDGETS:
            self._progress.budgets_listed(news.items, news.asked)
        else:
            self._progress.attachments_listed(raw["metadata"]["name"] for raw in news.items)

    def _hear_change(self, news: Changed) -> None:
        metadata = news.item["metadata"]
        gone = news.change == "DELETED"
        if news.kind == look.PODS:
            if gone:
                self._progress.pod_gone(metadata["uid"])
            else:
                self._progress.pod_seen(pod_of(news.item))
        elif news.kind == look.BUDGETS:
            if gone:
                self._progress.budget_gone((metadata["namespace"], metadata["name"]))
            else:
                self._progress.budget_seen(budget_of(news.item))
        elif gone:
            self._progress.attachment_gone(metadata["name"])

    def _hear_workers_out(self) -> None:
        """What the last of them did before the run ended."""
        while not self._inbox.empty():
            self._hear_worker(self._inbox.get_nowait())

    def _hear_worker(self, news: object) -> None:
        if isinstance(news, Eviction):
            self._hear_answer(news)
        elif isinstance(news, _Confirmed):
            self._hear_confirmation(news)
        elif isinstance(news, tuple):
            self._restored(*news)

    def _hear_answer(self, news: Eviction) -> None:
        pod, now = news.move.pod, self._clock()
        if news.error:
            self._progress.refused(news.move, f"pod {pod} cannot be evicted: {news.error}", now)
        else:
            self._progress.answered(news.move, news.answer, news.said, news.retry_after, now)
        if news.answer is Answer.LEAVING:
            self.done.append(evict_step(pod))

    def _hear_confirmation(self, news: _Confirmed) -> None:
        if news.pods:
            self._progress.reopened(news.name, news.pods)
            return
        if news.error:
            self._progress.fail(news.name, f"is empty, but its mark stays: {news.error}")
        else:
            self._progress.confirmed(news.name)
        self._to_restore.discard(news.name)

    def _evict(self, move: Move) -> Eviction:
        return evict(self.cluster, move, self.rules.grace)

    def _confirm(self, name: str) -> _Confirmed:
        """Look whether the node is empty, and if so take the mark off."""
        try:
            found = look.pods_on(self.cluster, [name])[name]
            pods = [pod for pod in found if not pod.stays and not self.rules.leaves(pod)]
            if not pods and name in self._to_restore:
                self._marks.unmark(name)
        except KubeError as error:
            return _Confirmed(name, (), error)
        return _Confirmed(name, pods, None)

    def _give_back(self, name: str) -> tuple[str, KubeError | None, bool]:
        try:
            return name, None, self._marks.restore(name)
        except KubeError as error:
            return name, error, False


def refusal(findings: Sequence[Finding]) -> KubeError:
    """The error that says why a drain does not begin."""
    listed = [f"{finding.host}: {finding.message}" for finding in findings]
    more = [f"And {len(listed) - _SHOWN_FINDINGS} more in findings."] if len(listed) > _SHOWN_FINDINGS else []
    remedies = dict.fromkeys(finding.remedy for finding in findings)
    said = " ".join([*listed[:_SHOWN_FINDINGS], *more])
    return KubeError(f"nothing is drained. {said}", remedy=" ".join(remedies))
