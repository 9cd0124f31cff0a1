# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
from datetime import date, datetime, timezone

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs import plan as plans
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import (
    ESTATE_TAG,
    POOL_TAG,
    RELEASED_TAG,
    REQUEST_TAG,
    Batch,
    Instance,
    Intent,
    Pool,
    Site,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.observe import Observed
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import PREPAID, Charge

NOW = datetime(2027, 1, 10, 12, tzinfo=timezone.utc)
SITE = Site({"d": "vsw-d", "e": "vsw-e"}, {"d": "pods-d", "e": "pods-e"}, ("sg-1",), "Role")
POOL = Pool("online", ("g7", "g6"), zones=("d", "e"), count=4, image="m-1", owner="team-a")
ROOMY = {"vsw-d": 1000, "vsw-e": 1000, "pods-d": 1000, "pods-e": 1000}
TAGS = {**POOL.tags("lab")}


def instance(number, tags=None, **given):
    usual = {
        "id": f"i-{number}",
        "name": f"online-{number}",
        "host_name": f"online-{number}",
        "region": "cn-shenzhen",
        "status": "Running",
        "zone": "d",
        "type": "g7",
        "charge_type": "PostPaid",
        "tags": {**TAGS, **(tags or {})},
    }
    empty = {field.name: "" for field in dataclasses.fields(Instance)}
    return Instance(**{**empty, "security_groups": (), **usual, **given})


def observed(*instances, **given):
    return Observed(**{"now": NOW, "instances": tuple(instances), "free": ROOMY, **given})


def planned(pool=POOL, *instances, pools=None, **given):
    wanted = {pool.name: pool} if pools is None else pools
    return plans.plan("lab", wanted, SITE, observed(*instances, **given))


def batches(pool, *instances, **given):
    return [str(batch) for batch in plans.missing(pool, SITE, observed(*instances, **given))]


@pytest.mark.parametrize(
    ("count", "there", "asked"),
    [
        (0, [], []),
        (1, [], ["1@d"]),
        (4, [], ["1-2@d", "3-4@e"]),
        (4, [1, 2, 3, 4], []),
        (4, [2, 4], ["1@e", "3@e"]),
        (3, [1, 2, 3, 4], []),
        (12, [], ["1-6@d", "7-9@e", "10-12@e"]),
    ],
)
def test_the_lowest_free_numbers(count, there, asked):
    pool = dataclasses.replace(POOL, count=count)
    assert batches(pool, *(instance(number) for number in there)) == asked


def test_numbers_of_one_request_have_equally_many_digits_and_are_at_most_a_hundred():
    pool = dataclasses.replace(POOL, count=1000, zones=("d",))
    asked = plans.missing(pool, SITE, observed(free=dict.fromkeys(ROOMY, 5000)))
    assert [str(batch) for batch in asked] == [
        "1-9@d",
        "10-99@d",
        *(f"{start}-{start + 99}@d" for start in range(100, 1000, 100)),
        "1000@d",
    ]
    assert [batch.pattern("online") for batch in asked][:2] == ["online-[1,1]", "online-[10,2]"]


@pytest.mark.parametrize(
    ("free", "zones"),
    [
        ({"vsw-d": 1000, "pods-d": 1000, "vsw-e": 110, "pods-e": 1000}, {"d": 9, "e": 1}),
        ({"vsw-d": 1000, "pods-d": 1000, "vsw-e": 1000, "pods-e": 0}, {"d": 10}),
        ({"vsw-d": 3, "pods-d": 1000, "vsw-e": 4, "pods-e": 1000}, {"d": 6, "e": 4}),
        ({}, {"d": 10}),
    ],
)
def test_spread_by_free_addresses(free, zones):
    pool = dataclasses.replace(POOL, count=10)
    found = {}
    for batch in plans.missing(pool, SITE, observed(free=free)):
        found[batch.zone] = found.get(batch.zone, 0) + len(batch.numbers)
    assert found == zones


def test_numbers_of_instances_that_are_going_are_not_taken():
    going = instance(1, {RELEASED_TAG: "2027-01-10T11:00:00Z"})
    assert batches(dataclasses.replace(POOL, count=2), going, instance(2)) == ["3@e"]


def test_a_renamed_instance_keeps_its_number():
    assert batches(dataclasses.replace(POOL, count=2), instance(1, name="my favourite")) == ["2@e"]


def test_better_types_elsewhere_come_before_worse_ones_here():
    assert [(one.type, one.zone) for one in plans.choices(POOL, "e")] == [
        ("g7", "e"),
        ("g7", "d"),
        ("g6", "e"),
        ("g6", "d"),
    ]


def test_surplus_is_what_does_not_run_and_then_the_highest_numbers():
    pool = dataclasses.replace(POOL, count=2)
    found = planned(pool, instance(1, status="Stopped"), instance(2), instance(3), instance(10), instance(4))
    assert [one.name for one in found.surplus] == ["online-1", "online-10", "online-4"]
    assert found.steps == ()


def test_pools_that_the_inventory_no_longer_has_are_surplus():
    assert [one.name for one in planned(POOL, instance(1), pools={}).surplus] == ["online-1"]


def test_expired_pools():
    pool = dataclasses.replace(POOL, expires=date(2027, 1, 9))
    left_alone = planned(pool, instance(1), instance(2), instance(3), instance(4))
    assert (left_alone.surplus, left_alone.findings[0].code) == ((), "EC001-expires")
    assert "expired after 2027-01-09; nothing releases them" in left_alone.findings[0].message
    released = planned(dataclasses.replace(pool, release_expired=True), instance(1), instance(2))
    assert len(released.surplus) == 2
    assert released.batches == {}
    last_day = dataclasses.replace(pool, expires=date(2027, 1, 10), release_expired=True)
    assert planned(last_day, instance(1)).surplus == ()


def test_release_times_follow_the_pool_and_others_stay():
    ours = {f"{POOL_TAG[:-4]}expires": "2027-02-01"}
    pool = dataclasses.replace(POOL, count=1, expires=date(2027, 2, 1), release_expired=True)
    wrong = planned(pool, instance(1, ours))
    assert [change.release for change in wrong.changes] == ["2027-02-03T00:00:00Z"]
    right = instance(1, ours, auto_release="2027-02-03T00:00Z")
    assert planned(pool, right).changes == ()
    for_good = dataclasses.replace(POOL, count=1)
    assert [change.release for change in planned(for_good, right).changes] == [None, ""]
    theirs = instance(1, auto_release="2027-05-05T00:00Z")
    assert planned(for_good, theirs).changes == ()


def test_tags_are_repaired_and_theirs_stay():
    found = planned(
        dataclasses.replace(POOL, count=2, purpose="web"),
        instance(1, {"team": "b", "estate.hybridk8s.io/owner": "team-b", "estate.hybridk8s.io/expires": "2020-01-01"}),
        instance(2, {"estate.hybridk8s.io/purpose": "web", REQUEST_TAG: "lt-1"}),
    )
    assert [(change.tags, change.untag) for change in found.changes] == [
        (
            {"estate.hybridk8s.io/owner": "team-a", "estate.hybridk8s.io/purpose": "web"},
            ("estate.hybridk8s.io/expires",),
        )
    ]
    assert found.steps[0].before == (
        "online-1 estate.hybridk8s.io/owner=team-b\nonline-1 estate.hybridk8s.io/expires=2020-01-01\n"
    )


def test_renewals():
    charge = Charge(PREPAID, 1, "Month", auto_renew=True)
    held = [instance(number, charge_type=PREPAID, expires="2027-01-20T00:00Z") for number in (1, 2)]
    renewals = {"i-1": "Normal", "i-2": "AutoRenewal"}
    found = planned(dataclasses.replace(POOL, count=2, charge=charge), *held, renewals=renewals)
    assert [([one.id for one in change.instances], change.renewal) for change in found.changes] == [(["i-1"], charge)]
    assert found.findings == ()
    ending = dataclasses.replace(POOL, count=2, charge=Charge(PREPAID))
    codes = [finding.code for finding in planned(ending, *held, renewals=dict.fromkeys(renewals, "Normal")).findings]
    assert codes == ["EC003-subscription-ends"] * 2


def test_two_of_a_name_are_an_error():
    found = planned(dataclasses.replace(POOL, count=2), instance(1), instance(1, id="i-9"))
    assert [(one.code, one.host) for one in found.findings] == [("EC004-two-of-a-name", "online-1")]
    assert "i-1, i-9" in found.findings[0].message


def test_a_stopped_instance_is_a_finding():
    found = planned(dataclasses.replace(POOL, count=1), instance(1, status="Stopped"))
    assert [one.code for one in found.findings] == ["EC002-not-running"]


def test_an_intent_comes_before_new_ones():
    fresh = Intent("lt-1", "online", (Batch(1, 4, "d"),), "2027-01-10T11:59:00Z")
    found = planned(POOL, intents=(fresh,))
    assert (found.joined, found.batches) == ((fresh,), {})
    assert [(step.action, step.target) for step in found.steps] == [("ask again for", "online-1 to online-4")]
    old = dataclasses.replace(fresh, created="2027-01-10T11:00:00Z")
    found = planned(POOL, intents=(old,))
    assert (found.joined, found.outlived) == ((), (old,))
    assert list(found.batches) == ["online"]
    elsewhere = planned(POOL, intents=(dataclasses.replace(fresh, pool="other"),))
    assert [one.code for one in elsewhere.findings] == ["EC005-request-of-another"]
    assert elsewhere.outlived == ()


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ([], ["1-4@d", "5@e"]),
        ([(1, "lt-1"), (2, "lt-1")], ["1-4@d", "5@e"]),
        ([(number, "lt-1") for number in range(1, 6)], []),
        ([(2, "lt-0")], ["1@d", "3-4@d", "5@e"]),
        ([(1, "lt-0"), (2, "lt-1"), (3, "lt-1"), (4, "lt-1")], ["5@e"]),
    ],
)
def test_what_of_an_intent_is_open(there, left):
    """Its batches must come out the same for everybody, whatever of it is seen already."""
    intent = Intent("lt-1", "online", (Batch(1, 4, "d"), Batch(5, 5, "e")), "")
    seen = [instance(number, {REQUEST_TAG: made_by}) for number, made_by in there]
    assert [str(batch) for batch in plans.open_batches(intent, POOL, seen)] == left


def test_tokens_hold_for_a_batch_of_an_intent():
    batch = Batch(1, 4, "d")
    assert plans.token("lt-1", batch, 0) == plans.token("lt-1", dataclasses.replace(batch, zone="e"), 0)
    assert len(plans.token("lt-1", batch, 0)) == 64
    others = {plans.token("lt-2", batch, 0), plans.token("lt-1", Batch(1, 3, "d"), 0), plans.token("lt-1", batch, 1)}
    assert len(others | {plans.token("lt-1", batch, 0)}) == 4


def test_tags_of_an_intent_hold_what_they_can_and_are_read_again():
    many = tuple(Batch(number, number, "cn-shenzhen-d") for number in range(1, 1000, 2))
    tags, kept = plans.names_tags(many)
    assert 0 < len(kept) < len(many)
    assert len(tags) <= 15
    assert max(map(len, tags.values())) <= 128
    answer = {
        "LaunchTemplateId": "lt-1",
        "Tags": {"Tag": [{"TagKey": key, "TagValue": value} for key, value in {**tags, POOL_TAG: "online"}.items()]},
    }
    assert Intent.of(answer) == Intent("lt-1", "online", kept, "")


def test_a_request_says_everything_at_once():
    pool = dataclasses.replace(
        POOL,
        charge=Charge(PREPAID, 2, "Month", auto_renew=True),
        key_pair="ops",
        user_data="#!/bin/sh\n",
        zones=("d",),
    )
    made = plans.request("lab", pool, SITE, "lt-1", Batch(1, 2, "d"), plans.Choice("g7", "e"))
    assert made["VSwitchId"] == "vsw-e"
    assert made["UserData"] == "IyEvYmluL3NoCg=="
    assert {tag["Key"]: tag["Value"] for tag in made["Tag"]} == {**TAGS, REQUEST_TAG: "lt-1"}
    assert {key: made[key] for key in ("InstanceChargeType", "Period", "AutoRenew", "AutoRenewPeriod")} == {
        "InstanceChargeType": "PrePaid",
        "Period": 2,
        "AutoRenew": True,
        "AutoRenewPeriod": 2,
    }
    assert made["AutoReleaseTime"] is None
    assert made["Tag"][0] == {"Key": ESTATE_TAG, "Value": "lab"}


def test_spans():
    assert plans.spans(["online-10", "online-2", "online-1", "online-3", "db-4"]) == (
        "db-4, online-1 to online-3, online-10"
    )


@pytest.mark.parametrize(
    ("types", "prices", "cost"),
    [
        (["g7", "g7", "g6"], {"g7": 0.5, "g6": 0.25}, 1.25),
        (["g7", "g6"], {"g7": 0.5}, None),
        (["g7"], {"g7": 0}, 0.0),
        (["g7"], {}, None),
        ([], {"g7": 0.5}, 0.0),
        ([], {}, None),
    ],
)
def test_what_has_no_price_costs_nobody_knows_what(types, prices, cost):
    held = [instance(number, type=type) for number, type in enumerate(types, 1)]
    assert plans.cost_per_hour(held, prices) == cost
