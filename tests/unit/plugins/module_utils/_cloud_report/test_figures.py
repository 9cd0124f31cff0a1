# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.cluster import Amount, Seen
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.figures import document

from tests.unit.plugins.module_utils._cloud_report.reported import GIB, LARGE, XLARGE, basis, day, node, pool, vm


def pools_of(made):
    return {each["name"]: each for each in document(made)["pools"]}


def codes(made):
    return [(each["code"], each["host"]) for each in document(made)["findings"]]


def test_hours_and_costs_are_counted_from_when_vms_were_made():
    made = basis(vm("online-1", "2026-11-23T02:00Z"), vm("online-2", "2026-10-31T12:00Z"))
    report = document(made)
    assert [(one["hours"], one["hours_this_month"]) for one in report["vms"]] == [(10.0, 10.0), (552.0, 540.0)]
    assert [(one["cost"], one["cost_this_month"]) for one in report["vms"]] == [(9.2, 9.2), (507.84, 496.8)]
    for sums in (report["total"], report["owners"][0], report["pools"][0]):
        assert (sums["vms"], sums["ready"], sums["hours"], sums["hours_this_month"]) == (2, 2, 562.0, 550.0)
        assert (sums["cost"], sums["cost_this_month"], sums["cost_per_hour"]) == (517.04, 506.0, 1.84)
    assert report["pools"][0]["since"] == "2026-10-31T12:00Z"
    assert report["units"]["cost"].startswith("CNY: ")


def test_a_clock_that_is_behind_makes_no_hours_below_zero():
    assert document(basis(vm("online-1", "2026-11-23T12:05Z")))["total"]["hours"] == 0.0


def test_what_has_no_price_has_no_cost_and_neither_has_a_sum_with_it():
    dear = pool("gpu", instance_types=(LARGE,), owner="team-b")
    report = document(basis(vm("online-1"), vm("gpu-1", type=LARGE), pools=(pool(), dear)))
    assert {one["name"]: (one["price_per_hour"], one["cost"]) for one in report["vms"]} == {
        "online-1": (0.92, 9.2),
        "gpu-1": (None, None),
    }
    assert {one["name"]: (one["cost"], one["unpriced"]) for one in report["pools"]} == {
        "online": (9.2, []),
        "gpu": (None, [LARGE]),
    }
    total = report["total"]
    assert (total["cost"], total["cost_per_hour"], total["cost_of_priced"], total["priced"]) == (None, None, 9.2, 1)
    assert [each["code"] for each in report["findings"]] == ["CR004-no-price"]


def test_without_prices_nothing_has_a_cost_and_nobody_is_blamed():
    report = document(basis(vm("online-1"), prices={}, pools=(pool(), pool("batch", count=0))))
    for sums in (report["total"], *report["owners"], *report["pools"]):
        assert (sums["cost"], sums["cost_this_month"], sums["cost_per_hour"], sums["cost_of_priced"]) == (None,) * 4
    assert report["findings"] == []
    assert report["sources"]["prices"].startswith("none")


@pytest.mark.parametrize(("types", "cost"), [((XLARGE,), 0.0), ((XLARGE, LARGE), None)])
def test_an_empty_pool_costs_nothing_only_where_its_prices_are_known(types, cost):
    assert document(basis(pools=(pool(instance_types=types),)))["pools"][0]["cost"] == cost


def test_use_is_told_by_requests_and_by_measurement():
    use = document(basis(vm("online-1"), vm("online-2")))["total"]
    assert use["pods"] == 6
    assert use["cpu"] == {
        "allocatable": 8.0,
        "requested": 2.0,
        "requested_share": 0.25,
        "used": 1.0,
        "used_share": 0.125,
    }
    assert (use["memory"]["allocatable"], use["memory"]["requested_share"]) == (32.0, 0.5)


def test_what_is_not_measured_on_every_node_has_no_sum():
    seen = Seen({"i-online-1": node("online-1"), "i-online-2": node("online-2", used=None)})
    use = document(basis(vm("online-1"), vm("online-2"), seen=seen))["total"]["cpu"]
    assert (use["requested"], use["used"], use["used_share"]) == (2.0, None, None)


def test_how_many_are_ready_is_not_known_where_the_cluster_was_not_asked():
    report = document(basis(vm("online-1"), seen=Seen(error="nobody answers.")))
    assert {sums["ready"] for sums in (report["total"], *report["owners"], *report["pools"])} == {None}
    assert document(basis(vm("online-1"), seen=Seen()))["total"]["ready"] == 0


def test_vms_without_nodes_have_no_shares():
    report = document(basis(vm("online-1"), seen=Seen(unmeasured="the cluster has no metrics.k8s.io.")))
    assert set(report["total"]["cpu"].values()) == {None}
    assert (report["total"]["pods"], report["vms"][0]["ready"]) == (None, None)


@pytest.mark.parametrize(
    ("expires", "state", "left", "to_end"),
    [
        ("", "in use", None, None),
        # To the end of the last day: twelve hours of today, and the days after it.
        ("2026-12-08", "in use", 15, 342.24),
        ("2026-12-07", "ends soon", 14, 320.16),
        ("2026-11-23", "ends soon", 0, 11.04),
        ("2026-11-22", "ended", -1, None),
    ],
)
def test_the_last_day_of_a_pool(expires, state, left, to_end):
    made = basis(vm("online-1"), pools=(pool(expires=day(expires) if expires else None),))
    found = pools_of(made)["online"]
    assert (found["state"], found["days_left"], found["cost_to_end"]) == (state, left, to_end)
    assert ([("EC001-expires", "")] if state in ("ends soon", "ended") else []) == codes(made)


def test_it_is_warned_as_far_ahead_as_is_asked_for():
    ending = pool(expires=day("2026-12-31"))
    assert codes(basis(vm("online-1"), pools=(ending,), warn_days=37)) == []
    assert codes(basis(vm("online-1"), pools=(ending,), warn_days=38)) == [("EC001-expires", "")]


def test_a_pool_that_is_to_be_released_wants_nothing_any_more():
    over = pool(expires=day("2026-11-22"), release_expired=True)
    assert pools_of(basis(vm("online-1"), pools=(over,)))["online"]["wanted"] == 0


@pytest.mark.parametrize(
    ("given", "renewals", "until"),
    [
        ({}, {}, ("2026-12-31", "the pool's expires")),
        ({"auto_release": "2027-01-02T00:00Z"}, {}, ("2027-01-02T00:00Z", "its release time at the cloud")),
        ({"charge_type": "PrePaid", "expires": "2027-01-04T16:00Z"}, {}, ("2027-01-04T16:00Z", "its subscription")),
        (
            {"charge_type": "PrePaid", "expires": "2027-01-04T16:00Z"},
            {"i-online-1": "AutoRenewal"},
            ("2027-01-04T16:00Z", "its subscription, which is renewed"),
        ),
    ],
)
def test_until_when_a_vm_is_there(given, renewals, until):
    made = basis(vm("online-1", **given), pools=(pool(expires=day("2026-12-31")),), renewals=renewals)
    row = document(made)["vms"][0]
    assert (row["until"], row["until_because"]) == until


def test_vms_of_a_pool_that_the_inventory_has_lost_are_its_owners_by_their_tags():
    made = basis(vm("old-1"), vm("old-2", released=True), pools=())
    found = pools_of(made)["old"]
    assert (found["state"], found["owner"], found["vms"], found["cost"]) == (
        "not in the inventory",
        "team-of-the-tag",
        2,
        18.4,
    )
    assert codes(made) == [("CR003-pool-unknown", "")]
    assert "old-1 are paid for" in document(made)["findings"][0]["message"]


@pytest.mark.parametrize(
    ("given", "seen", "found"),
    [
        ({}, Seen(), [("CR001-no-ready-node", "online-1")]),
        ({}, Seen({"i-online-1": node("online-1", ready=False)}), [("CR001-no-ready-node", "online-1")]),
        ({"created": "2026-11-23T11:45Z"}, Seen(), []),
        ({"released": True}, Seen(), []),
        ({"status": "Stopped"}, Seen(), [("EC002-not-running", "online-1")]),
        ({}, Seen(error="nobody answers."), [("CR005-cluster-not-asked", "")]),
        (
            {"created": "2026-11-23T11:45Z"},
            Seen(strangers={"gone-1": "cn-shenzhen.i-gone"}),
            [("CR002-node-without-vm", "gone-1")],
        ),
    ],
)
def test_vms_and_nodes_that_do_not_belong_together(given, seen, found):
    assert codes(basis(vm("online-1", **given), seen=seen)) == found


def test_whose_they_are():
    pools = (pool("a"), pool("b", owner="team-b"), pool("c", owner=""), pool("d"))
    report = document(basis(vm("a-1"), vm("b-1"), vm("c-1"), pools=pools))
    assert [(one["name"], one["pools"], one["vms"]) for one in report["owners"]] == [
        ("nobody", ["c"], 1),
        ("team-a", ["a", "d"], 1),
        ("team-b", ["b"], 1),
    ]


def test_memory_is_in_gib():
    seen = Seen({"i-online-1": node("online-1", requested=Amount(0.25, 0.5 * GIB))})
    assert document(basis(vm("online-1"), seen=seen))["vms"][0]["memory"]["requested"] == 0.5
