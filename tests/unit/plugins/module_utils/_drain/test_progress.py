# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import REFLECTOR_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.evict import Answer
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.limits import Limits, Spread
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Budget, Pod
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.plan import Move, NodeDrain, NodeState
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.progress import Progress
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import RACK_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding

WEB = ("n", "web")
LEAVING = datetime(2026, 11, 23)


def pod(name, node="w1", **changes):
    return Pod("n", name, f"uid-{name}", node, "ReplicaSet", **changes)


def budget(allowed, name="web", expected=10, desired=9, disrupted=()):
    return Budget("n", name, {}, allowed, 10, desired, expected, disrupted=frozenset(disrupted))


def drain(name, *moves, labels=None, attached=None, **changes):
    made = tuple(move if isinstance(move, Move) else Move(pod(move, name)) for move in moves)
    return NodeDrain(NodeState(name, labels=labels or {}, **changes), made, attached=attached or {})


def guarded(name, node="w1", *budgets, **changes):
    return Move(pod(name, node, **changes), budgets=budgets or (WEB,))


class Course:
    """A drain whose time is told by `now`; evictions are answered by name."""

    def __init__(self, *nodes, budgets=(), judge=None, failed=0, **limits):
        self.now = 0.0
        self.progress = Progress(nodes, budgets, Limits(**limits), 0.0, judge, failed)
        self.moves = {}

    def due(self, count=100):
        self.progress.expire(self.now)
        found = self.progress.due(self.now, count)
        self.moves.update({move.pod.name: move for move in found})
        return [move.pod.name for move in found]

    def answer(self, name, answer=Answer.LEAVING, said="no room", retry_after=None):
        self.progress.answered(self.moves[name], answer, said, retry_after, self.now)

    def leave(self, *names):
        for name in names:
            self.answer(name)
            self.progress.pod_gone(f"uid-{name}")

    def stages(self):
        return {name: self.progress.stage(name).value for name in self.progress.names}


def test_a_node_is_done_when_its_pods_and_volumes_are_gone_and_that_is_confirmed():
    course = Course(drain("w1", "a", "b", attached={"va": "pv"}), drain("w2"))
    assert course.due() == ["a", "b"]
    assert course.due() == [], "asked once"
    assert course.progress.emptied() == ["w2"]
    course.leave("a")
    course.answer("b")
    assert course.progress.emptied() == []
    course.progress.pod_gone("uid-b")
    assert course.progress.emptied() == [], "a volume is attached"
    course.progress.attachment_gone("va")
    assert (course.progress.emptied(), course.progress.emptied()) == (["w1"], [])
    course.progress.confirmed("w1")
    course.progress.confirmed("w2")
    assert not course.progress.open
    assert course.stages() == {"w1": "drained", "w2": "drained"}
    assert course.progress.pods("w1") == {"n/a": "evicted", "n/b": "evicted"}


def test_no_more_is_asked_for_than_is_wanted():
    course = Course(drain("w1", "a", "b", "c"))
    assert course.due(2) == ["a", "b"]
    assert course.due(2) == ["c"]


def test_a_budget_gives_what_its_controller_says_less_what_that_has_not_seen():
    course = Course(drain("w1", *(guarded(name) for name in "abcde")), budgets=[budget(2)])
    assert course.due() == ["a", "b"]
    course.answer("a")
    assert course.due() == [], "answered, but the budget does not show it"
    course.progress.budget_seen(budget(1, disrupted=["a"]))
    assert course.due() == [], "b is still under way"
    course.answer("b")
    course.progress.budget_seen(budget(0, disrupted=["a", "b"]))
    assert course.due() == []
    course.progress.budget_seen(budget(1))
    assert course.due() == ["c"], "a new pod has become ready"
    course.progress.budgets_listed([budget(2)], asked=course.now - 1)
    assert course.due() == ["d"], "c is still under way"


def test_what_a_list_shows_was_counted_when_it_was_asked_for():
    course = Course(drain("w1", *(guarded(name) for name in "abc")), budgets=[budget(1)])
    course.due()
    course.now = 1.0
    course.answer("a")
    course.progress.budgets_listed([budget(1)], asked=0.5)
    assert course.due() == []
    course.progress.budgets_listed([budget(1)], asked=2.0)
    assert course.due() == ["b"]


def test_an_eviction_that_the_budget_never_shows_is_forgotten():
    course = Course(drain("w1", guarded("a"), guarded("b")), budgets=[budget(1)])
    course.due()
    course.answer("a")
    course.now = 4.9
    assert course.due() == []
    course.now = 5.0
    assert course.due() == ["b"]


@pytest.mark.parametrize("answer", [Answer.GONE, None])
def test_a_request_whose_answers_were_lost_holds_its_budget_no_longer_than_that(answer):
    """It was carried out and its answer was lost; asked for again, the pod is gone, or nobody answers at all."""
    course = Course(drain("w1", guarded("a")), drain("w2", guarded("b", "w2")), budgets=[budget(1)])
    assert course.due() == ["a"]
    course.progress.budget_seen(budget(0, disrupted=["a"]))
    course.answer("a", Answer.LATER)
    course.progress.budget_seen(budget(1))
    course.now = 2.0
    assert course.due() == ["a"]
    if answer:
        course.answer("a", answer)
    else:
        course.progress.refused(course.moves["a"], "nobody answers", course.now)
    assert course.due() == [], "it may have been let go only now"
    course.now = 7.0
    assert course.due() == ["b"]


def test_pods_that_the_budget_does_not_guard_go_at_once():
    pods = [guarded("a", phase="Pending"), guarded("b", ready=False), guarded("c")]
    assert Course(drain("w1", *pods), budgets=[budget(0)]).due() == ["a", "b"]


def test_a_pod_that_stops_being_ready_goes_at_once():
    course = Course(drain("w1", guarded("a")), budgets=[budget(0)])
    assert course.due() == []
    course.progress.pod_seen(pod("a", ready=False))
    assert course.due() == ["a"]


def test_a_budget_that_goes_holds_nobody_and_one_that_comes_does():
    course = Course(drain("w1", guarded("a"), guarded("b")), budgets=[budget(0)])
    course.progress.budget_gone(WEB)
    assert course.due(1) == ["a"]
    course.progress.budget_seen(budget(0, "late"))
    assert course.due() == []
    course.progress.budgets_listed([], asked=0.0)
    assert course.due() == ["b"]


def test_a_refused_budget_is_asked_again_with_growing_pauses_or_when_it_changes():
    course = Course(drain("w1", guarded("a"), "free"), budgets=[budget(5)])
    asked = []
    while len(asked) < 5:
        if "a" in course.due():
            asked.append(course.now)
            course.answer("a", Answer.NO_ROOM)
        course.now += 0.5
    assert [later - earlier for earlier, later in zip(asked, asked[1:])] == [1, 2, 4, 5]
    course.progress.budget_seen(budget(1))
    assert course.due() == ["a"]
    assert course.progress.pods("w1")["n/a"] == "no room"


def test_retry_after_is_honoured_and_errors_are_asked_again():
    course = Course(drain("w1", "a"))
    course.due()
    course.answer("a", Answer.LATER, retry_after=7.0)
    course.now = 6.9
    assert course.due() == []
    course.now = 7.0
    assert course.due() == ["a"]
    course.answer("a", Answer.LATER)
    assert course.due() == []
    course.now = 9.0
    assert course.due() == ["a"]


def test_a_pod_that_two_budgets_guard_is_asked_for_until_the_server_says_otherwise():
    course = Course(drain("w1", guarded("a", "w1", WEB, ("n", "more"))), budgets=[budget(1), budget(0, "more")])
    assert course.due() == ["a"]
    course.answer("a", Answer.LATER)
    course.now = 1.0
    assert course.due() == ["a"]


def test_the_answer_may_come_after_the_pod_has_gone():
    course = Course(drain("w1", "a"))
    course.due()
    course.leave()
    course.progress.pod_gone("uid-a")
    course.answer("a")
    assert course.progress.emptied() == ["w1"]
    assert course.progress.pods("w1") == {"n/a": "evicted"}


def test_pods_that_are_leaving_are_only_waited_for():
    course = Course(drain("w1", Move(pod("a", leaving_since=LEAVING)), "b"))
    course.progress.pod_seen(pod("b", leaving_since=LEAVING))
    assert course.due() == []
    course.progress.pods_listed(["w1"], [])
    assert course.progress.emptied() == ["w1"]
    assert set(course.progress.pods("w1").values()) == {"gone"}


def test_turns_are_kept_on_each_node():
    first = drain("w1", Move(pod("front"), 0), Move(pod("back"), 1))
    second = drain("w2", Move(pod("other", "w2"), 1))
    course = Course(first, second)
    assert course.due() == ["front", "other"]
    course.answer("front")
    assert course.due() == [], "front is leaving, but not gone"
    course.progress.pod_gone("uid-front")
    assert course.due() == ["back"]


def test_pods_of_tight_budgets_go_first():
    loose = [guarded(f"loose-{number}", "w1", ("n", "loose")) for number in range(3)]
    tight = [guarded(f"tight-{number}", "w2", ("n", "tight")) for number in range(2)]
    budgets = [budget(5, "loose", desired=5), budget(1, "tight")]
    assert Course(drain("w1", "free", *loose), drain("w2", *tight), budgets=budgets).due(1) == ["tight-0"]


@pytest.mark.parametrize("batch", [1, 2])
def test_so_many_nodes_at_once(batch):
    course = Course(*(drain(f"w{number}", f"p{number}") for number in range(3)), batch=batch)
    assert course.due() == ["p0", "p1"][:batch]
    course.leave("p0")
    assert course.due() == [], "w0 is not confirmed"
    course.progress.emptied()
    course.progress.confirmed("w0")
    assert course.due() == [f"p{batch}"]


def test_never_two_reflectors_of_a_rack_at_once():
    reflector = {REFLECTOR_LABEL: "true", RACK_LABEL: "r1"}
    labels = reflector, {RACK_LABEL: "r1"}, reflector, {**reflector, RACK_LABEL: "r2"}
    nodes = [drain(f"w{number}", f"p{number}", labels=each) for number, each in enumerate(labels)]
    course = Course(*nodes)
    assert course.due() == ["p0", "p1", "p3"]
    course.leave("p0")
    assert course.due() == [], "w0 is not confirmed"
    course.progress.emptied()
    course.progress.confirmed("w0")
    assert course.due() == ["p2"]


RACKS = {"rack": "r1"}, {"rack": "r1"}, {"rack": "r2", "reflector": "true"}, {"reflector": "true"}


@pytest.mark.parametrize(
    ("spread", "begun"),
    [
        (Spread("rack", domains=1), ["p0", "p1", "p3"]),
        (Spread("rack", nodes=1), ["p0", "p3"]),
        (Spread("reflector=true", nodes=1), ["p0", "p1", "p2"]),
        (Spread("reflector=false", nodes=1), ["p0", "p1", "p2", "p3"]),
        (Spread("rack", nodes=2, domains=2), ["p0", "p1", "p3"]),
    ],
)
def test_nodes_at_once_by_their_labels(spread, begun):
    nodes = [drain(f"w{number}", f"p{number}", labels=labels) for number, labels in enumerate(RACKS)]
    assert Course(*nodes, spreads=(spread,)).due() == begun


def test_a_node_that_has_had_its_time_fails_and_the_next_begins():
    course = Course(drain("w1", guarded("a"), "b"), drain("w2", "c"), budgets=[budget(0)], batch=1, node_timeout=30)
    assert course.due() == ["b"]
    course.answer("b")
    course.now = 30.0
    assert course.due() == ["c"]
    assert course.progress.failures == {
        "w1": "not empty after 30 s: n/a (PodDisruptionBudget n/web has no room); n/b (evicted, but not gone)."
    }
    course.now = 59.0
    course.due()
    assert course.stages() == {"w1": "failed", "w2": "begun"}


def test_all_time_is_over():
    course = Course(drain("w1", "a", attached={"va": "pv"}), drain("w2"), batch=1, timeout=60)
    course.due()
    course.leave("a")
    course.now = 60.0
    course.due()
    assert course.stages() == {"w1": "failed", "w2": "not_started"}
    assert course.progress.why("w1") == "not empty after 60 s: volume pv (still attached)."
    assert course.progress.why("w2") == "the 60 s for all nodes were over before it was begun."
    assert not course.progress.open


@pytest.mark.parametrize(("failed", "last"), [(0, "begun"), (1, "not_started")])
def test_no_node_begins_once_too_many_have_failed(failed, last):
    course = Course(drain("w1", "a"), drain("w2", "b"), batch=1, max_fail=1, failed=failed)
    course.due()
    course.progress.fail("w1", "no rights")
    course.due()
    assert course.stages() == {"w1": "failed", "w2": last}


def test_a_failed_node_is_asked_nothing_more():
    course = Course(drain("w1", "a", "b"))
    course.due(1)
    course.progress.fail("w1", "no rights")
    assert course.due() == []
    course.progress.fail("w1", "another reason")
    assert course.progress.why("w1") == "no rights"


def late(finding=None):
    found = (Finding("c", "error", "w1", "v", finding, "r"),) if finding else ()
    return lambda new: NodeDrain(NodeState(new.node), (Move(new),), findings=found)


def test_a_pod_that_comes_late_is_evicted_too():
    course = Course(drain("w1"), judge=late())
    assert course.due() == []
    assert course.progress.emptied() == ["w1"]
    course.progress.reopened("w1", [pod("new"), pod("agent", stays=True)])
    assert course.due() == ["new"]
    course.progress.pod_seen(pod("newer"))
    assert course.due() == ["newer"]
    course.leave("new", "newer")
    assert course.progress.emptied() == ["w1"]


def test_a_pod_that_comes_while_emptiness_is_confirmed_is_what_that_finds():
    course = Course(drain("w1"), drain("w2"), judge=late())
    course.due()
    course.progress.emptied()
    course.progress.pod_seen(pod("new"))
    course.progress.pod_seen(pod("other", "w2"))
    course.progress.reopened("w1", [pod("new")])
    course.progress.confirmed("w2")
    assert course.due() == ["new"]
    assert course.stages() == {"w1": "begun", "w2": "drained"}


def test_a_late_pod_that_blocks_fails_its_node():
    course = Course(drain("w1"), judge=late("it has no controller."))
    course.due()
    course.progress.pod_seen(pod("new"))
    assert course.progress.failures == {"w1": "it has no controller."}


def test_at_most_ten_pods_are_named():
    course = Course(drain("w1", *(f"p{number:02}" for number in range(12))), timeout=5)
    course.due(0)
    course.now = 5.0
    course.due()
    assert course.progress.why("w1").endswith("n/p09 (its turn did not come); and 2 more.")
