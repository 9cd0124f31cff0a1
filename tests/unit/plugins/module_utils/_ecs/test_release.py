# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
from collections import Counter

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import ESTATE_TAG

TERWAYS = {ESTATE_TAG: "lab"}


@pytest.fixture
def busy(estate):
    """Three instances, two of them with interfaces of Terway's, one of which has no tag."""
    estate.run(3)
    estate.hang_interfaces("online-2", TERWAYS, {})
    estate.hang_interfaces("online-3", TERWAYS)
    return estate


def test_interfaces_go_before_their_instance(busy):
    outcome = busy.release("online-2").outcome
    assert (busy.names, outcome.problems) == (["online-1", "online-3"], [])
    assert busy.asked("DetachNetworkInterface", "DeleteNetworkInterface", "DeleteInstances") == [
        *["DetachNetworkInterface"] * 2,
        *["DeleteNetworkInterface"] * 2,
        "DeleteInstances",
    ]
    assert [step.action for step in outcome.steps] == ["release"]


def test_again_there_is_nothing_to_do(busy):
    busy.release("online-2")
    writes = busy.writes()
    again = busy.release("online-2")
    assert (again.outcome.steps, busy.writes()) == ([], writes)
    assert again.nodes() == {"online-2": {"state": "absent", "message": "there is no such instance", "changed": False}}


def test_check_mode_only_reads(busy):
    writes = busy.writes()
    run = busy.release("online-2", check=True)
    assert ([step.action for step in run.outcome.steps], busy.writes()) == (["release"], writes)


def test_nothing_is_left_of_all(busy):
    busy.release(*busy.names)
    assert busy.leftovers() == {}


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 26, 2))
@pytest.mark.parametrize("rerun", ["absent", "present"])
def test_killed_at_each_request(busy, at, answered, rerun):
    names = list(busy.names)
    busy.killed(at, answered, lambda cloud: busy.release(*names, cloud=cloud))
    if rerun == "absent":
        assert (busy.release(*names).outcome.problems, busy.leftovers()) == ([], {})
        return
    # A run that ends nothing by itself: what was begun is finished, and the others are as they were.
    assert busy.run(0).outcome.problems == []
    left = {one["id"]: one["name"] for one in busy.instances}
    hanging = [(left.get(eni["instance"], "nowhere"), eni["status"]) for eni in busy.admin("state")["enis"]]
    whole = {"online-1": 1, "online-2": 3, "online-3": 2}
    assert Counter(hanging) == {(name, "InUse"): whole[name] for name in left.values()}


def test_two_controllers_at_once(busy):
    busy.admin("fault", action="*", delay=0.02, share=0.5)
    errors = []

    def control():
        try:
            errors.extend(busy.release(*["online-1", "online-2", "online-3"]).outcome.problems)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=control) for _each in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, busy.leftovers()) == ([], {})


@pytest.mark.parametrize("seed", range(4))
def test_lost_answers_and_throttling(busy, seed):
    busy.admin("fault", action="*", drop="after", share=0.15, seed=seed)
    busy.admin("fault", action="*", code="Throttling.User", share=0.3, seed=seed)
    outcome = busy.release(*busy.names).outcome
    assert (outcome.problems, busy.leftovers()) == ([], {})


def test_one_that_is_protected_does_not_keep_the_others(busy):
    protected = next(one for one in busy.fake.cloud.instances.values() if one.name == "online-1")
    protected.deletion_protection = True
    run = busy.release("online-1", "online-2", "online-3")
    assert busy.names == ["online-1"]
    assert run.nodes()["online-1"]["state"] == "failed"
    assert run.nodes()["online-2"]["state"] == "released"
    assert "online-1" in run.outcome.problems[0]
    assert "Switch its protection off." in run.outcome.problems[0]


def test_a_subscription_is_kept_until_it_ends(estate):
    charge = {"type": "PrePaid", "period": 1, "unit": "Month", "auto_renew": True}
    estate.run(2, charge=charge)
    run = estate.release("online-2")
    assert run.nodes()["online-2"]["state"] == "kept"
    assert {one["name"]: one["renewal"] for one in estate.instances} == {
        "online-1": "AutoRenewal",
        "online-2": "NotRenewal",
    }
    again = estate.release("online-2")
    assert (again.outcome.steps, again.nodes()["online-2"]["changed"]) == ([], False)
    # It is no member any more, and holds its number.
    assert estate.run(2, charge=charge).summary()["online"]["present"] == 2
    assert estate.names == ["online-1", "online-2", "online-3"]
    estate.admin("advance", seconds=32 * 86400)
    estate.run(2, charge=charge)
    assert estate.names == ["online-1", "online-3"]


def hang_up_nowhere(estate):
    estate.cloud().call(
        "CreateNetworkInterface",
        VSwitchId="vsw-pod-d",
        SecurityGroupIds=["sg-1"],
        Tag=[{"Key": ESTATE_TAG, "Value": "lab"}],
    )


def test_an_interface_that_nobody_hangs_up_is_deleted_after_a_while(estate):
    hang_up_nowhere(estate)
    estate.run(0)
    assert estate.leftovers()["enis"] == 1
    estate.admin("advance", seconds=3600)
    assert [step.action for step in estate.run(0).outcome.steps] == ["delete"]
    assert estate.leftovers() == {}


def test_check_mode_says_what_a_release_deletes_besides(estate):
    estate.run(1)
    hang_up_nowhere(estate)
    estate.admin("advance", seconds=3600)
    said = [(step.action, step.target) for step in estate.release("online-1", check=True).outcome.steps]
    assert [action for action, _target in said] == ["delete", "release"]
    done = estate.release("online-1").outcome.steps
    assert [(step.action, step.target) for step in done] == said


def test_instances_of_another_estate_are_not_touched(estate):
    estate.run(1)
    estate.cloud().call(
        "TagResources",
        ResourceType="instance",
        ResourceId=[estate.instances[0]["id"]],
        Tag=[{"Key": ESTATE_TAG, "Value": "other"}],
    )
    run = estate.release("online-1", estate.instances[0]["id"])
    assert (estate.names, run.outcome.steps) == (["online-1"], [])
