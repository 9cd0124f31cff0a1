# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain import plan as planning
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Budget, Pod
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.plan import Group, NodeState, Observed, Rules

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(hours=1)
JUST_NOW = NOW - timedelta(seconds=5)


def pod(name="p", controller="ReplicaSet", app="web", **changes):
    labels = {"app": app} if app else {}
    return Pod("n", name, f"uid-{name}", "w1", controller, labels=labels, **changes)


def budget(name="web", app="web", allowed=1, healthy=10, desired=9, expected=10, **changes):
    return Budget("n", name, {"matchLabels": {"app": app}}, allowed, healthy, desired, expected, **changes)


def planned(pods=(), node=None, rules=None, **seen):
    observed = Observed({"w1": node or NodeState("w1")}, {"w1": list(pods)}, now=NOW, **seen)
    return planning.plan(observed, rules or Rules())


def guarded(*budgets, **changes):
    return planned([pod(**changes)], budgets=budgets)


def exhausted(**changes):
    """A budget without room, and how its other pod is."""
    unhealthy = {("n", "web"): [pod("q", ready=False, **changes)]}
    return planned([pod()], budgets=[budget(allowed=0, healthy=9)], unhealthy=unhealthy)


def codes(plan):
    return [finding.code[:5] for finding in plan.findings]


NEVER = budget(allowed=0, desired=10)
UNCOUNTED = budget(allowed=0, desired=0, expected=0, seen=False)
WORN = {"bound": {"uid-p": "the volume v"}, "homeless": {"uid-p": "no room"}}

BLOCKERS = {
    "nothing": (planned([pod()]), []),
    "no controller": (planned([pod(controller="")]), ["DR001"]),
    "no controller, forced": (planned([pod(controller="")], rules=Rules(force=True)), []),
    "no controller, finished": (planned([pod(controller="", phase="Failed")]), []),
    "no controller, leaving": (planned([pod(controller="", leaving_since=JUST_NOW)]), []),
    "local data": (planned([pod(scratch=("cache",))]), ["DR002"]),
    "local data, allowed": (planned([pod(scratch=("cache",))], rules=Rules(emptydir=True)), []),
    "both": (planned([pod(controller="", scratch=("cache",))]), ["DR001", "DR002"]),
    "a budget with room": (guarded(budget()), []),
    "a budget of others": (guarded(budget(app="api", allowed=0, desired=10)), []),
    "a budget that never has room": (guarded(NEVER), ["DR003"]),
    "a budget that cannot count its pods": (guarded(budget(allowed=0, desired=0, expected=0)), ["DR003"]),
    "a budget that is not counted yet": (guarded(UNCOUNTED), []),
    "a pod that its budget is not asked about": (guarded(NEVER, phase="Pending"), []),
    "a budget without room now": (exhausted(ready_since=JUST_NOW), []),
    "a budget without room for long": (exhausted(ready_since=LONG_AGO), ["DR004"]),
    "a budget without room for good": (exhausted(hopeless="ImagePullBackOff"), ["DR004"]),
    "a budget whose pods are replaced": (exhausted(ready_since=LONG_AGO, leaving_since=JUST_NOW), []),
    "two budgets": (guarded(budget(), budget("more")), ["DR005"]),
    "two budgets, one without room": (guarded(budget(), NEVER), ["DR005"]),
    "two budgets, pending": (guarded(budget(), budget("more"), phase="Pending"), []),
    "long grace": (planned([pod(grace=601)], rules=Rules(limit=600)), ["DR006"]),
    "grace within the limit": (planned([pod(grace=600)], rules=Rules(limit=600)), []),
    "long grace, replaced": (planned([pod(grace=601)], rules=Rules(limit=600, grace=30)), []),
    "no place elsewhere": (planned([pod()], homeless={"uid-p": "no room"}), ["DR007"]),
    "a volume that stays": (planned([pod()], **WORN), ["DR008"]),
    "a finalizer": (planned([pod(finalizers=("example.com/hold",))]), ["DR009"]),
    "a silent node": (planned([], NodeState("w1", silent=True)), ["DR010"]),
    "a pod that does not end": (planned([pod(leaving_since=LONG_AGO)]), ["DR011"]),
    "a pod that is ending": (planned([pod(leaving_since=JUST_NOW)]), []),
    "a pod with time to end": (planned([pod(leaving_since=NOW + timedelta(hours=1))]), []),
    "another run": (planned([], NodeState("w1", drained_by="host pid 1")), ["DR012"]),
    "what stays": (planned([pod(controller="DaemonSet", stays=True, scratch=("cache",))]), []),
    "what is left": (planned([pod(controller="")], rules=Rules(leave=("n/p*",))), []),
}


@pytest.mark.parametrize(("plan", "expected"), BLOCKERS.values(), ids=BLOCKERS.keys())
def test_blockers(plan, expected):
    assert codes(plan) == expected
    assert plan.nodes["w1"].blocked is bool(expected)
    for finding in plan.findings:
        assert finding.host == "w1"
        assert finding.message.endswith(".")
        assert finding.remedy.endswith(".")


def test_an_accepted_blocker_is_a_warning():
    rules = Rules(accept=frozenset({planning.HOMELESS}))
    plan = planned([pod(), pod("q", finalizers=("x",))], rules=rules, homeless={"uid-p": "no room"})
    assert {f.code[:5]: f.severity for f in plan.findings} == {"DR009": "error", "DR007": "warning"}


def test_a_finding_names_the_pod_the_option_and_the_way_out():
    (lone,) = planned([pod(controller="")]).findings
    assert "n/p" in lone.message
    assert (lone.variable, "set force" in lone.remedy, "leave_pods" in lone.remedy) == ("force", True, True)
    (homeless,) = planned([pod()], homeless={"uid-p": "no room"}).findings
    assert (homeless.variable, "DR007-no-fitting-node in accept" in homeless.remedy) == ("accept", True)


def test_a_budget_is_one_finding_a_node_that_names_a_few_pods():
    plan = planned([pod(f"p{number}") for number in range(5)], budgets=[budget(allowed=0, desired=10)])
    (finding,) = plan.findings
    assert "n/p0, n/p1, n/p2, 2 more" in finding.message


@pytest.mark.parametrize(
    ("node", "was", "steps"),
    [
        (NodeState("w1"), True, ["cordon", "evict"]),
        (NodeState("w1", schedulable=False), False, ["evict"]),
        (NodeState("w1", schedulable=False, marked=True), True, ["evict"]),
    ],
)
def test_how_the_node_was(node, was, steps):
    plan = planned([pod(), pod("q", leaving_since=JUST_NOW)], node)
    assert plan.nodes["w1"].was_schedulable is was
    assert [step.action for step in plan.steps] == steps


def test_turns():
    front, stateful = Group({"tier": "front"}), Group(kinds=("StatefulSet",), namespaces=("data-*", "n"))
    pods = [
        Pod("n", "a", "a", "w1", "ReplicaSet", labels={"tier": "front"}),
        Pod("n", "b", "b", "w1", "StatefulSet", labels={"tier": "front"}),
        Pod("n", "c", "c", "w1", "StatefulSet"),
        Pod("other", "d", "d", "w1", "StatefulSet"),
    ]
    plan = planned(pods, rules=Rules(order=(front, stateful)))
    assert [move.turn for move in plan.nodes["w1"].moves] == [0, 0, 1, 2]
    rest_first = planned(pods, rules=Rules(order=(stateful, Group(), front)))
    assert [move.turn for move in rest_first.nodes["w1"].moves] == [1, 0, 0, 1]


def test_what_the_budgets_make_of_it():
    pods = [pod(f"p{number}", started=20.0 + number) for number in range(7)] + [pod("api", app="api", started=5.0)]
    budgets = [budget(allowed=1, desired=8), budget("api", "api", allowed=1), budget("unused", "unused")]
    plan = planned([*pods, pod("late", phase="Pending")], budgets=budgets)
    assert [(share.budget.name, share.pods, share.rounds, share.seconds) for share in plan.shares] == [
        ("api", 1, 1, 0.0),
        ("web", 7, 4, 60.0),
    ]
    assert (plan.rounds, plan.seconds) == (4, 60.0)


def test_what_is_left_is_named():
    plan = planned([pod("a"), pod("b")], rules=Rules(leave=("n/a",)))
    assert ([str(p) for p in plan.nodes["w1"].left], [str(m.pod) for m in plan.nodes["w1"].moves]) == (["n/a"], ["n/b"])
