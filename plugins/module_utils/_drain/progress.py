# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The course of a drain: what was evicted, what may be evicted now, which nodes begin, end and fail; private to this
collection.

Pure: it is told what happened and asked what to do next, with the time as an argument. Nodes begin as the limits allow.
A pod is evicted when its turn on its node has come and its budget has room: what the budget's controller allows, less
the evictions that the controller has not taken into account yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.domains import domains_of, may_join
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.evict import Answer
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.limits import BudgetCourse, Limits, pause
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Budget, Key, Pod
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.plan import Move, NodeDrain

_SHOWN_PODS = 10


class Stage(Enum):
    """Where a node is on its way; the values of the final ones are the module's results."""

    QUEUED = "queued"
    BEGUN = "begun"
    CONFIRMING = "confirming"
    DRAINED = "drained"
    FAILED = "failed"
    NOT_STARTED = "not_started"


_ACTIVE = (Stage.BEGUN, Stage.CONFIRMING)
_OPEN = (Stage.QUEUED, *_ACTIVE)


class _Asked(Enum):
    NOT_YET = 0
    IN_FLIGHT = 1
    LEAVING = 2
    GONE = 3


@dataclass
class _PodCourse:
    move: Move
    asked: _Asked = _Asked.NOT_YET
    not_before: float = 0.0
    tries: int = 0
    said: str = ""
    evicted: bool = False


@dataclass
class _NodeCourse:
    plan: NodeDrain
    stage: Stage = Stage.QUEUED
    begun: float = 0.0
    why: str = ""
    pods: dict[str, _PodCourse] = field(default_factory=dict)
    attached: dict[str, str] = field(default_factory=dict)

    @property
    def present(self) -> list[_PodCourse]:
        return [pod for pod in self.pods.values() if pod.asked is not _Asked.GONE]


class Progress:
    """The drain of some nodes, in the order in which they are given."""

    def __init__(
        self,
        plans: Sequence[NodeDrain],
        budgets: Iterable[Budget],
        limits: Limits,
        now: float,
        judge: Callable[[Pod], NodeDrain],
        failed: int = 0,
    ) -> None:
        self.limits = limits
        self._started = now
        self._judge = judge
        self._failed_before = failed
        self._budgets = {budget.key: BudgetCourse(budget) for budget in budgets}
        self._nodes = {
            plan.name: _NodeCourse(
                plan,
                pods={move.pod.uid: _course(move) for move in plan.moves},
                attached=dict(plan.attached),
            )
            for plan in plans
        }
        self._sequence = self._by_urgency()

    @property
    def open(self) -> bool:
        """Whether anything is left to do."""
        return any(node.stage in _OPEN for node in self._nodes.values())

    @property
    def failures(self) -> dict[str, str]:
        """Why a node failed, by name."""
        return {name: node.why for name, node in self._nodes.items() if node.stage is Stage.FAILED}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._nodes)

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def stage(self, name: str) -> Stage:
        return self._nodes[name].stage

    def why(self, name: str) -> str:
        """Why the node failed or was not begun; empty otherwise."""
        return self._nodes[name].why

    def pods(self, name: str) -> dict[str, str]:
        """What became of each pod of a node."""
        return {str(pod.move.pod): _fate(pod) for pod in self._nodes[name].pods.values()}

    def due(self, now: float, count: int) -> list[Move]:
        """Up to ``count`` evictions to ask for now; nodes begin here."""
        self._begin(now)
        turns = {
            name: min((pod.move.turn for pod in node.present), default=0)
            for name, node in self._nodes.items()
            if node.stage is Stage.BEGUN
        }
        chosen: list[Move] = []
        for pod in self._sequence:
            if len(chosen) >= count:
                break
            move = pod.move
            if pod.asked is not _Asked.NOT_YET or pod.not_before > now or move.turn != turns.get(move.pod.node):
                continue
            if not self._take_room(move, now):
                continue
            pod.asked = _Asked.IN_FLIGHT
            chosen.append(move)
        return chosen

    def answered(self, move: Move, answer: Answer, said: str, retry_after: float | None, now: float) -> None:
        """What the API server said to an eviction."""
        pod = self._nodes[move.pod.node].pods[move.pod.uid]
        if answer is Answer.GONE:
            pod.asked = _Asked.GONE
            self._ended(move, now)
            return
        if answer is Answer.LEAVING:
            pod.evicted, pod.said = True, ""
            if pod.asked is _Asked.IN_FLIGHT:
                pod.asked = _Asked.LEAVING
            self._ended(move, now)
            return
        if pod.asked is _Asked.IN_FLIGHT:
            pod.asked = _Asked.NOT_YET
        pod.said = said
        for key in move.budgets:
            if key in self._budgets:
                self._budgets[key].uncounted.pop(move.pod.uid, None)
        if answer is Answer.NO_ROOM and len(move.budgets) == 1 and move.budgets[0] in self._budgets:
            course = self._budgets[move.budgets[0]]
            course.held_until = now + pause(course.refusals)
            course.refusals += 1
            return
        pod.not_before = now + (pause(pod.tries) if retry_after is None else retry_after)
        pod.tries += 1

    def refused(self, move: Move, why: str, now: float) -> None:
        """The pod cannot be evicted at all."""
        self._ended(move, now)
        self.fail(move.pod.node, why)

    def pod_seen(self, pod: Pod) -> None:
        """A pod is on one of the nodes, or is no longer as it was."""
        node = self._nodes.get(pod.node)
        if node is None or node.stage not in _OPEN:
            return
        course = node.pods.get(pod.uid)
        if course is None:
            self._late(node, pod)
            return
        course.move = Move(pod, course.move.turn, course.move.budgets)
        if pod.leaving and course.asked is _Asked.NOT_YET:
            course.asked = _Asked.LEAVING

    def pod_gone(self, uid: str) -> None:
        for node in self._nodes.values():
            if uid in node.pods:
                node.pods[uid].asked = _Asked.GONE
                return

    def pods_listed(self, names: Iterable[str], pods: Iterable[Pod]) -> None:
        """These are all pods of these nodes."""
        present = set()
        for pod in pods:
            present.add(pod.uid)
            self.pod_seen(pod)
        for name in names:
            for uid in set(self._nodes[name].pods) - present:
                self.pod_gone(uid)

    def budget_seen(self, budget: Budget) -> None:
        if budget.key in self._budgets:
            self._budgets[budget.key].seen(budget)
        else:
            self._budgets[budget.key] = BudgetCourse(budget)
            self._recount(budget)

    def budget_gone(self, key: Key) -> None:
        self._budgets.pop(key, None)

    def budgets_listed(self, budgets: Iterable[Budget], asked: float) -> None:
        """These are all budgets, as of the time ``asked``."""
        listed = {budget.key: budget for budget in budgets}
        for key in set(self._budgets) - set(listed):
            self.budget_gone(key)
        for key, budget in listed.items():
            if key in self._budgets:
                self._budgets[key].seen(budget, counted_by=asked)
            else:
                self.budget_seen(budget)

    def attachment_gone(self, attachment: str) -> None:
        for node in self._nodes.values():
            node.attached.pop(attachment, None)

    def attachments_listed(self, attachments: Iterable[str]) -> None:
        """These are all VolumeAttachments."""
        present = set(attachments)
        for node in self._nodes.values():
            node.attached = {name: volume for name, volume in node.attached.items() if name in present}

    def emptied(self) -> list[str]:
        """Nodes whose pods and volumes have gone since the last call; each is to be confirmed or reopened."""
        done = [
            name
            for name, node in self._nodes.items()
            if node.stage is Stage.BEGUN and not node.present and not node.attached
        ]
        for name in done:
            self._nodes[name].stage = Stage.CONFIRMING
        return done

    def confirmed(self, name: str) -> None:
        """The node is empty."""
        if self._nodes[name].stage is Stage.CONFIRMING:
            self._nodes[name].stage = Stage.DRAINED

    def reopened(self, name: str, pods: Iterable[Pod]) -> None:
        """The node has pods all the same."""
        if self._nodes[name].stage is Stage.CONFIRMING:
            self._nodes[name].stage = Stage.BEGUN
            self.pods_listed([name], pods)

    def fail(self, name: str, why: str) -> None:
        node = self._nodes[name]
        if node.stage in _OPEN:
            node.stage, node.why = Stage.FAILED, why

    def expire(self, now: float) -> None:
        """Fail what has had its time, and give up the queue when all time or the budget of failures is used."""
        over = now - self._started >= self.limits.timeout
        for node in self._nodes.values():
            late = over or now - node.begun >= self.limits.node_timeout
            if node.stage in _ACTIVE and late:
                self.fail(node.plan.name, _overdue(node, now - node.begun))
        self._close_queue(over)

    def _close_queue(self, over: bool) -> None:
        failed = self._failed_before + len(self.failures)
        if over:
            why = f"the {self.limits.timeout:g} s for all nodes were over before it was begun."
        elif failed > self.limits.max_fail:
            why = f"{failed} nodes had failed, and max_fail lets {self.limits.max_fail} fail."
        else:
            return
        for node in self._nodes.values():
            if node.stage is Stage.QUEUED:
                node.stage, node.why = Stage.NOT_STARTED, why

    def _begin(self, now: float) -> None:
        active = [node.plan.node.labels for node in self._nodes.values() if node.stage in _ACTIVE]
        for node in self._nodes.values():
            if len(active) >= self.limits.batch:
                return
            labels = node.plan.node.labels
            # One reflector of a rack at a time, whatever the limits.
            apart = may_join(domains_of(labels), [taken for other in active for taken in domains_of(other)])
            allowed = all(spread.allows(labels, active) for spread in self.limits.spreads)
            if node.stage is Stage.QUEUED and apart and allowed:
                node.stage, node.begun = Stage.BEGUN, now
                active.append(labels)

    def _take_room(self, move: Move, now: float) -> bool:
        """Whether the pod may be evicted as far as is known; what that takes of its budget is noted."""
        guarding = [
            course for key in move.budgets if (course := self._budgets.get(key)) and course.budget.guards(move.pod)
        ]
        # The API server refuses a pod that two budgets guard; it is asked all the same, until it says otherwise.
        if len(guarding) != 1:
            return True
        if guarding[0].room(now) <= 0:
            return False
        guarding[0].uncounted[move.pod.uid] = (move.pod.name, None)
        return True

    def _ended(self, move: Move, now: float) -> None:
        """An eviction is in flight no longer; it may have taken place though its answer was lost or says otherwise."""
        for key in move.budgets:
            if key in self._budgets and move.pod.uid in self._budgets[key].uncounted:
                self._budgets[key].uncounted[move.pod.uid] = (move.pod.name, now)

    def _late(self, node: _NodeCourse, pod: Pod) -> None:
        """A pod that came after the plan was made. While emptiness is confirmed, what that finds counts."""
        if pod.stays or node.stage is Stage.CONFIRMING:
            return
        judged = self._judge(pod)
        if judged.blocked:
            self.fail(node.plan.name, " ".join(f.message for f in judged.findings if f.severity == "error"))
        for move in judged.moves:
            node.pods[pod.uid] = _course(move)
            self._sequence.append(node.pods[pod.uid])

    def _recount(self, budget: Budget) -> None:
        """A budget came after the plan was made."""
        for pod in self._sequence:
            if budget.key not in pod.move.budgets and budget.covers(pod.move.pod):
                pod.move = Move(pod.move.pod, pod.move.turn, (*pod.move.budgets, budget.key))

    def _by_urgency(self) -> list[_PodCourse]:
        """All pods: first those whose budgets need most rounds, then in the order of the nodes."""
        pods = [pod for node in self._nodes.values() for pod in node.pods.values()]
        waiting: dict[Key, int] = {}
        for pod in pods:
            for key in pod.move.budgets:
                waiting[key] = waiting.get(key, 0) + 1

        def rounds(pod: _PodCourse) -> float:
            counts = [waiting[key] / max(1, self._budgets[key].budget.spare) for key in pod.move.budgets]
            return -max(counts, default=0.0)

        return sorted(pods, key=rounds)


def _course(move: Move) -> _PodCourse:
    return _PodCourse(move, _Asked.LEAVING if move.pod.leaving else _Asked.NOT_YET)


def _fate(pod: _PodCourse) -> str:
    if pod.asked is _Asked.GONE:
        return "evicted" if pod.evicted else "gone"
    if pod.evicted or pod.asked is _Asked.LEAVING:
        return "evicted, but not gone"
    return pod.said or "not evicted"


def _overdue(node: _NodeCourse, seconds: float) -> str:
    said = [f"{pod.move.pod} ({_delay(pod)})" for pod in node.present]
    said += [f"volume {volume} (still attached)" for volume in node.attached.values()]
    more = [f"and {len(said) - _SHOWN_PODS} more"] if len(said) > _SHOWN_PODS else []
    return f"not empty after {seconds:.0f} s: {'; '.join([*sorted(said)[:_SHOWN_PODS], *more])}."


def _delay(pod: _PodCourse) -> str:
    fate = _fate(pod)
    if fate != "not evicted":
        return fate
    budgets = ", ".join(f"{namespace}/{name}" for namespace, name in pod.move.budgets)
    return f"PodDisruptionBudget {budgets} has no room" if budgets else "its turn did not come"
