# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
from collections import Counter

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError, refusal
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.library import LibraryTransport

FOUR = [f"online-{number}" for number in range(1, 5)]


def test_once_and_then_nothing(estate):
    first = estate.run(4)
    assert (estate.names, first.outcome.problems) == (FOUR, [])
    assert {instance.status for instance in first.outcome.instances} == {"Running"}
    assert Counter(instance["zone"] for instance in estate.instances) == {"cn-shenzhen-d": 2, "cn-shenzhen-e": 2}
    writes = estate.writes()
    second = estate.run(4)
    assert (second.outcome.steps, estate.writes()) == ([], writes)
    assert estate.leftovers()["instances"] == 4
    assert "launch_templates" not in estate.leftovers()


def test_check_mode_only_reads(estate):
    planned = estate.run(4, check=True).outcome
    assert [(step.action, step.target) for step in planned.steps] == [
        ("create", "online-1 to online-2"),
        ("create", "online-3 to online-4"),
    ]
    assert planned.steps[0].reason == "2 x ecs.g7.xlarge (PostPaid) in cn-shenzhen-d, 1.84 an hour"
    assert estate.writes() == []


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 20))
def test_killed_at_each_request(estate, at, answered):
    """The next run comes at once, while the cloud does not show new instances yet."""
    estate.killed(at, answered, lambda cloud: estate.run(4, cloud=cloud))
    estate.run(4)
    assert (estate.names, estate.ever_billed()) == (FOUR, 4)
    assert "launch_templates" not in estate.leftovers()
    assert estate.run(4).outcome.steps == []


@pytest.mark.parametrize("at", range(1, 20, 2))
def test_killed_where_stock_is_short(estate, at):
    """Some of the first type here, some there, the rest of the second: whoever asks again gets the same ones."""
    estate.admin("world", stock={"cn-shenzhen-d": {"ecs.g7.xlarge": 1}, "cn-shenzhen-e": {"ecs.g7.xlarge": 1}})
    estate.killed(at, True, lambda cloud: estate.run(4, cloud=cloud))
    estate.admin("world", stock={})
    again = estate.run(4)
    assert (estate.names, estate.ever_billed(), again.outcome.problems) == (FOUR, 4, [])


@pytest.mark.parametrize("seed", range(8))
def test_lost_answers_and_throttling(estate, seed):
    estate.admin("fault", action="*", drop="after", share=0.15, seed=seed)
    estate.admin("fault", action="*", code="Throttling.User", share=0.3, seed=seed)
    estate.admin("fault", action="*", code="ServiceUnavailable", status=503, share=0.1, seed=seed)
    outcome = estate.run(4).outcome
    assert (estate.names, estate.ever_billed(), outcome.problems) == (FOUR, 4, [])
    assert "launch_templates" not in estate.leftovers()


@pytest.mark.parametrize("counts", [(4, 4), (4, 4, 4), (4, 6), (3, 12)])
@pytest.mark.parametrize("seed", range(4))
def test_several_controllers_at_once(estate, counts, seed):
    estate.admin("fault", action="*", delay=0.03, share=0.5, seed=seed)
    errors = []

    def control(count):
        try:
            estate.run(count)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=control, args=(count,)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    most = max(counts)
    assert Counter(estate.names) == Counter(f"online-{number}" for number in range(1, most + 1))
    assert estate.ever_billed() == most
    assert "launch_templates" not in estate.leftovers()


def test_others_join_what_one_that_was_killed_has_begun(estate):
    """Another one wants more, and sees only what the cloud shows so far."""
    estate.killed(12, True, lambda cloud: estate.run(4, cloud=cloud))
    estate.run(6)
    assert (len(estate.names), estate.ever_billed()) == (6, 6)


def test_the_inventory_may_change_after_a_kill(estate):
    for at in range(4, 14):
        estate.admin("reset")
        estate.killed(at, True, lambda cloud: estate.run(4, cloud=cloud))
        again = estate.run(4, purpose="tests", instance_types=["ecs.g6.xlarge", "ecs.g7.xlarge"])
        assert (estate.names, estate.ever_billed(), again.outcome.problems) == (FOUR, 4, [])


@pytest.mark.parametrize("at", range(8, 14))
def test_what_was_asked_for_may_be_in_the_inventory_no_more(estate, at):
    estate.killed(at, True, lambda cloud: estate.run(4, cloud=cloud))
    again = estate.run(4, instance_types=["ecs.g7.large"])
    assert (estate.names, estate.ever_billed(), again.outcome.problems) == (FOUR, 4, [])
    assert "launch_templates" not in estate.leftovers()


def test_from_zero_and_back_and_again(estate):
    """Old ClientTokens are known to the cloud for a day: they must not stand for instances that are gone."""
    for _round in range(3):
        estate.run(3)
        estate.release(*estate.names)
        assert estate.leftovers() == {}
    assert estate.ever_billed() == 9


def test_without_stock_the_next_zone_and_then_the_next_type(estate):
    estate.admin("world", stock={"cn-shenzhen-d": {"ecs.g7.xlarge": 0}, "cn-shenzhen-e": {"ecs.g7.xlarge": 3}})
    assert estate.run(4).outcome.problems == []
    found = Counter((instance["instance_type"], instance["zone"]) for instance in estate.instances)
    assert found[("ecs.g7.xlarge", "cn-shenzhen-e")] == 3
    assert sum(count for (kind, _zone), count in found.items() if kind == "ecs.g6.xlarge") == 1


def test_no_stock_at_all_is_said_and_forgotten(estate):
    none = {"ecs.g7.xlarge": 0, "ecs.g6.xlarge": 0}
    estate.admin("world", stock={"cn-shenzhen-d": none, "cn-shenzhen-e": none})
    problems = estate.run(2).outcome.problems
    assert len(problems) == 2
    assert "online-1 could not be had: ecs.g7.xlarge in cn-shenzhen-d: RunInstances" in problems[0]
    assert "OperationDenied.NoStock" in problems[0]
    assert "Name further instance_types or zones" in problems[0]
    assert estate.leftovers() == {}
    estate.admin("world", stock={})
    assert estate.run(2).outcome.problems == []


def test_quota_takes_what_there_is(estate):
    estate.admin("world", quotas={"vcpus": 12})
    problems = estate.run(4).outcome.problems
    assert (len(estate.names), len(problems)) == (3, 1)
    assert "quota" in problems[0]


def test_a_refusal_for_good_ends_at_once(estate):
    estate.admin("fault", action="ecs:RunInstances", code="Forbidden.RAM")
    problems = estate.run(4).outcome.problems
    assert "Grant the RAM user or role the action RunInstances." in problems[0]
    assert estate.leftovers() == {}


def test_what_nobody_knows_stays_written_down(estate):
    estate.admin("fault", action="ecs:RunInstances", drop="after")
    with pytest.raises(CloudError):
        estate.run(4, cloud=estate.cloud(patience=0.2))
    assert estate.leftovers()["launch_templates"] == 1
    estate.admin("faults", clear=True)
    estate.run(4)
    assert (estate.names, estate.ever_billed()) == (FOUR, 4)


def test_an_intent_of_long_ago_is_forgotten(estate):
    estate.killed(9, True, lambda cloud: estate.run(4, cloud=cloud))
    assert estate.leftovers().get("launch_templates") == 1
    estate.admin("advance", seconds=3600)
    outcome = estate.run(0).outcome
    assert [step.action for step in outcome.steps] == ["forget"]
    assert "launch_templates" not in estate.leftovers()


def test_many(estate):
    cloud = estate.cloud()
    run = estate.run(1000, cloud=cloud)
    assert run.outcome.problems == []
    assert len(set(estate.names)) == estate.ever_billed() == 1000
    assert cloud.requests["RunInstances"] <= 14
    assert sum(cloud.requests.values()) < 150


class Binding(LibraryTransport):
    """A cloud that holds refused requests against their ClientToken as well."""

    def __init__(self, access):
        super().__init__(access)
        self.bound = {}

    def send(self, request):
        if request.action == "RunInstances":
            said = {key: value for key, value in request.query.items() if key != "ClientToken"}
            if self.bound.setdefault(request.query["ClientToken"], said) != said:
                raise refusal("RunInstances", "IdempotentParameterMismatch", "other parameters")
        return super().send(request)


def test_also_where_refusals_bind_their_token(estate):
    estate.admin("world", stock={"cn-shenzhen-d": {"ecs.g7.xlarge": 0}, "cn-shenzhen-e": {"ecs.g7.xlarge": 1}})
    outcome = estate.run(4, cloud=estate.cloud(Binding(estate.access))).outcome
    assert (outcome.problems, estate.names, estate.ever_billed()) == ([], FOUR, 4)
