# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a drain: which pods leave, in which order, what stands in the way, what the budgets allow; pure and
private to this collection."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Budget, Key, Pod
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

UNMANAGED = "DR001-unmanaged-pod"
LOCAL_DATA = "DR002-local-data"
BUDGET_NEVER = "DR003-budget-without-room"
BUDGET_EXHAUSTED = "DR004-budget-exhausted"
BUDGET_TWICE = "DR005-two-budgets"
LONG_GRACE = "DR006-long-grace"
HOMELESS = "DR007-no-fitting-node"
BOUND_VOLUME = "DR008-volume-bound-to-node"
FINALIZER = "DR009-finalizer"
SILENT_NODE = "DR010-silent-node"
ENDLESS = "DR011-pod-does-not-end"
OTHER_RUN = "DR012-drained-by-another-run"

_REMEDIES = {
    UNMANAGED: "Move or delete it, or set force.",
    LOCAL_DATA: "Save what matters, or set delete_emptydir_data.",
    BUDGET_NEVER: "Loosen the budget or run more pods.",
    BUDGET_EXHAUSTED: "Repair those pods, or loosen the budget.",
    BUDGET_TWICE: "Have one budget select the pod: the API server evicts none that two guard.",
    LONG_GRACE: "Raise the time limit or set grace_period.",
    HOMELESS: "Make room, uncordon a node, or change what the pod asks for.",
    BOUND_VOLUME: "Move the data, or delete the claim together with the pod.",
    FINALIZER: "Have the finalizer's owner remove it.",
    SILENT_NODE: "Bring its kubelet back; a host that is lost for good is node_remove's.",
    ENDLESS: "Look at its node's kubelet and at the pod's finalizers.",
    OTHER_RUN: "Wait until that run has ended.",
}
_OPTIONS = {UNMANAGED: "force", LOCAL_DATA: "delete_emptydir_data", OTHER_RUN: "names"}
ACCEPTABLE = tuple(code for code in _REMEDIES if code not in _OPTIONS)
_LEAVE = "or leave the pod where it is with leave_pods"
_ABOUT_NODES = (SILENT_NODE, OTHER_RUN)

# A pod that should have ended this long ago is not ending.
_PATIENCE = timedelta(seconds=60)
# A pod that has not been ready for so long is not expected to become so by itself.
_STARTING = timedelta(minutes=5)


@dataclass(frozen=True)
class Group:
    """Pods whose turn comes together: of these kinds of controllers, with these labels, in namespaces of such names.
    What is left out matches everything."""

    labels: Mapping[str, str] = field(default_factory=dict)
    kinds: Sequence[str] = ()
    namespaces: Sequence[str] = ()

    def has(self, pod: Pod) -> bool:
        """Whether the pod is of this group."""
        if self.kinds and pod.controller not in self.kinds:
            return False
        if any(pod.labels.get(key) != value for key, value in self.labels.items()):
            return False
        return not self.namespaces or any(fnmatchcase(pod.namespace, pattern) for pattern in self.namespaces)


@dataclass(frozen=True)
class Rules:
    """What a person allows. ``leave`` are patterns of NAMESPACE/NAME; ``accept`` are codes of findings to go on with;
    ``grace`` replaces the pods' own grace period; ``limit`` is how many seconds a node may take."""

    force: bool = False
    emptydir: bool = False
    grace: int | None = None
    limit: float = math.inf
    accept: frozenset[str] = frozenset()
    leave: tuple[str, ...] = ()
    order: tuple[Group, ...] = ()

    def leaves(self, pod: Pod) -> bool:
        """Whether the pod is to stay because a person said so."""
        return any(fnmatchcase(str(pod), pattern) for pattern in self.leave)

    def turn(self, pod: Pod) -> int:
        """The place of the pod's group in the order; pods of none come last."""
        return next((place for place, group in enumerate(self.order) if group.has(pod)), len(self.order))


@dataclass(frozen=True)
class NodeState:
    """A node to be drained: ``marked`` by a drain that found it schedulable, ``drained_by`` another run that lives."""

    name: str
    schedulable: bool = True
    marked: bool = False
    silent: bool = False
    drained_by: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """All that a plan is made of. ``homeless`` and ``bound`` give reasons by pod uid; ``unhealthy`` has, for budgets
    that allow nothing now, their pods that are not ready; ``attached`` the volumes that have to leave each node."""

    nodes: Mapping[str, NodeState]
    pods: Mapping[str, Sequence[Pod]]
    budgets: Sequence[Budget] = ()
    homeless: Mapping[str, str] = field(default_factory=dict)
    bound: Mapping[str, str] = field(default_factory=dict)
    unhealthy: Mapping[Key, Sequence[Pod]] = field(default_factory=dict)
    attached: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    now: datetime = datetime.min


@dataclass(frozen=True)
class Move:
    """A pod that has to leave, its turn, and the budgets that guard it."""

    pod: Pod
    turn: int = 0
    budgets: tuple[Key, ...] = ()


@dataclass(frozen=True)
class NodeDrain:
    """The plan for one node. ``was_schedulable`` is how it was before the first run that began to drain it;
    ``attached`` are the VolumeAttachments that have to go, with the volume of each; ``left`` the pods that stay on
    request."""

    node: NodeState
    moves: tuple[Move, ...] = ()
    left: tuple[Pod, ...] = ()
    attached: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def was_schedulable(self) -> bool:
        return self.node.schedulable or self.node.marked

    @property
    def blocked(self) -> bool:
        """Whether something stands in the way that nobody accepted."""
        return any(finding.severity == "error" for finding in self.findings)

    @property
    def steps(self) -> tuple[Step, ...]:
        """What a drain of this node does."""
        cordon = (cordon_step(self),) if self.node.schedulable else ()
        return (*cordon, *(evict_step(move.pod) for move in self.moves if not move.pod.leaving))


@dataclass(frozen=True)
class BudgetShare:
    """What one budget makes of the drain: this many of its pods leave, in so many rounds at least, each as long as a
    new pod takes to become ready."""

    budget: Budget
    pods: int
    rounds: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The drain of all nodes, and what the budgets make of it."""

    nodes: Mapping[str, NodeDrain]
    shares: tuple[BudgetShare, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, in order of the nodes."""
        return tuple(finding for name in sorted(self.nodes) for finding in self.nodes[name].findings)

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for name in sorted(self.nodes) for step in self.nodes[name].steps)

    @property
    def rounds(self) -> int:
        """How often at least evictions have to wait for new pods, and once more."""
        return max((share.rounds for share in self.shares), default=0)

    @property
    def seconds(self) -> float:
        """The time that the budgets cost at least, going by how long the pods of each took to become ready."""
        return max((share.seconds for share in self.shares), default=0.0)


def cordon_step(planned: NodeDrain) -> Step:
    return Step("cordon", f"node/{planned.name}", f"{len(planned.moves)} pods have to leave")


def evict_step(pod: Pod) -> Step:
    return Step("evict", f"pod/{pod}", f"{pod.node} is drained")


def plan(observed: Observed, rules: Rules) -> Plan:
    """What a drain of the observed nodes does, and what stands in its way."""
    by_namespace: dict[str, list[Budget]] = {}
    for budget in observed.budgets:
        by_namespace.setdefault(budget.namespace, []).append(budget)

    def move(pod: Pod) -> Move:
        covering = [budget.key for budget in by_namespace.get(pod.namespace, ()) if budget.covers(pod)]
        return Move(pod, rules.turn(pod), tuple(covering))

    nodes = {}
    for name, node in observed.nodes.items():
        moving = [pod for pod in observed.pods.get(name, ()) if not pod.stays]
        moves = tuple(move(pod) for pod in moving if not rules.leaves(pod))
        left = tuple(pod for pod in moving if rules.leaves(pod))
        found = (*_node_findings(node), *_pod_findings(moves, observed, rules))
        findings = tuple(_finding(name, code, message, rules) for code, message in found)
        nodes[name] = NodeDrain(node, moves, left, observed.attached.get(name, {}), findings)
    return Plan(nodes, _shares(nodes.values(), observed.budgets))


def _shares(nodes: Iterable[NodeDrain], budgets: Iterable[Budget]) -> tuple[BudgetShare, ...]:
    known = {budget.key: budget for budget in budgets}
    guarded: dict[Key, list[Pod]] = {}
    for node in nodes:
        for move in node.moves:
            for key in move.budgets:
                if known[key].guards(move.pod):
                    guarded.setdefault(key, []).append(move.pod)
    return tuple(_share(known[key], pods) for key, pods in sorted(guarded.items()))


def _share(budget: Budget, pods: Sequence[Pod]) -> BudgetShare:
    at_once = max(budget.spare, budget.allowed)
    rounds = math.ceil(len(pods) / at_once) if at_once else 0
    starts = [pod.started for pod in pods if pod.started is not None]
    return BudgetShare(budget, len(pods), rounds, max(0, rounds - 1) * min(starts, default=0.0))


Found = tuple[str, str]


def _node_findings(node: NodeState) -> Iterator[Found]:
    if node.silent:
        yield SILENT_NODE, "its kubelet does not answer: its pods would not be known to have ended."
    if node.drained_by:
        yield OTHER_RUN, f"it is being drained by {node.drained_by}."


def _pod_findings(moves: Sequence[Move], observed: Observed, rules: Rules) -> Iterator[Found]:
    for judge in (_unmanaged, _scratch, _long_grace, _finalizer):
        for move in moves:
            pod = move.pod
            if not pod.leaving and not pod.finished and (message := judge(pod, rules)):
                yield _CODES[judge], f"pod {pod} {message}"
    for move in moves:
        pod = move.pod
        if pod.leaving_since is not None and observed.now - pod.leaving_since > _PATIENCE:
            yield ENDLESS, f"pod {pod} should have ended at {pod.leaving_since:%Y-%m-%d %H:%M:%S} UTC."
        elif pod.uid in observed.bound:
            yield BOUND_VOLUME, f"pod {pod} uses {observed.bound[pod.uid]}."
        elif pod.uid in observed.homeless:
            yield HOMELESS, f"pod {pod} would not run elsewhere: {observed.homeless[pod.uid]}."
    yield from _budget_findings(moves, observed)


def _unmanaged(pod: Pod, rules: Rules) -> str:
    return "" if pod.controller or rules.force else "has no controller: nothing would start it again elsewhere."


def _scratch(pod: Pod, rules: Rules) -> str:
    if not pod.scratch or rules.emptydir:
        return ""
    return f"keeps data in emptyDir volumes ({', '.join(pod.scratch)}): they are lost when it leaves."


def _long_grace(pod: Pod, rules: Rules) -> str:
    grace = pod.grace if rules.grace is None else rules.grace
    return f"may take {grace} s to end, and the limit is {rules.limit:g} s." if grace > rules.limit else ""


def _finalizer(pod: Pod, _rules: Rules) -> str:
    return f"stays until its finalizers are removed ({', '.join(pod.finalizers)})." if pod.finalizers else ""


_CODES: dict[Callable[[Pod, Rules], str], str] = {
    _unmanaged: UNMANAGED,
    _scratch: LOCAL_DATA,
    _long_grace: LONG_GRACE,
    _finalizer: FINALIZER,
}


def _budget_findings(moves: Sequence[Move], observed: Observed) -> Iterator[Found]:
    known = {budget.key: budget for budget in observed.budgets}
    waiting: dict[Key, list[Pod]] = {}
    for move in moves:
        # Two budgets are refused however much room they have, but for pods that none is asked about.
        guarding = [key for key in move.budgets if known[key].guards(move.pod)]
        if len(move.budgets) > 1 and guarding:
            both = " and ".join(name for _namespace, name in move.budgets)
            yield BUDGET_TWICE, f"pod {move.pod} is guarded by the PodDisruptionBudgets {both}."
        for key in guarding[: len(move.budgets) == 1]:
            waiting.setdefault(key, []).append(move.pod)
    for key, pods in waiting.items():
        budget = known[key]
        if budget.allowed:
            continue
        if budget.seen and not budget.spare:
            wants = f"wants {budget.desired} of its {budget.expected} pods up"
            yield BUDGET_NEVER, f"{budget} {wants} and lets none go ({_listed(pods)})."
        elif stuck := _stuck(observed.unhealthy.get(key, ()), observed.now):
            others = ", ".join(stuck)
            yield BUDGET_EXHAUSTED, f"{budget} lets no pod go ({_listed(pods)}); not ready are {others}."


def _stuck(pods: Sequence[Pod], now: datetime) -> list[str]:
    """Those that are not getting ready by themselves, and why."""
    said = []
    for pod in pods:
        if pod.hopeless:
            said.append(f"{pod} ({pod.hopeless})")
        elif pod.ready_since is not None and now - pod.ready_since > _STARTING and not pod.leaving:
            said.append(f"{pod} (not ready)")
    return said


def _listed(pods: Sequence[Pod], shown: int = 3) -> str:
    names = [str(pod) for pod in pods]
    more = [f"{len(names) - shown} more"] if len(names) > shown else []
    return ", ".join([*names[:shown], *more])


def _finding(node: str, code: str, message: str, rules: Rules) -> Finding:
    option = _OPTIONS.get(code, "accept")
    accepting = f", or name {code} in accept" if option == "accept" else ""
    leaving = "" if code in _ABOUT_NODES else f", {_LEAVE}"
    return Finding(
        code=code,
        severity="warning" if code in rules.accept else "error",
        host=node,
        variable=option,
        message=message,
        remedy=f"{_REMEDIES[code].rstrip('.')}{leaving}{accepting}.",
    )
