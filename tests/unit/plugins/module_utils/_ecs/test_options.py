# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import date

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import Site
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.options import pools_of, site_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import Charge, Disk

SITE = Site({"d": "vsw-d", "e": "vsw-e"})
LEAST = {"instance_types": ["ecs.g7.xlarge"], "count": 2, "image": "m-1"}


def test_what_is_not_said():
    pools, problems = pools_of({"online": LEAST}, SITE)
    assert problems == []
    pool = pools["online"]
    assert (pool.zones, pool.charge, pool.system_disk) == (("d", "e"), Charge(), Disk("cloud_essd", 40))
    assert (pool.expires, pool.release_expired) == (None, False)


def test_all_that_can_be_said():
    said = {
        **LEAST,
        "zones": ["e"],
        "key_pair": "ops",
        "system_disk": {"category": "cloud_auto", "size_gb": 60},
        "data_disks": [{"category": "cloud_essd", "size_gb": 200}],
        "charge": {"type": "PrePaid", "unit": "Week", "auto_renew": True},
        "labels": {"a": "b"},
        "taints": [{"key": "a", "effect": "NoSchedule"}],
        "expires": "2027-01-31",
        "release_expired": True,
    }
    pool = pools_of({"online": said}, SITE)[0]["online"]
    assert (pool.zones, pool.expires) == (("e",), date(2027, 1, 31))
    assert pool.charge == Charge("PrePaid", 1, "Week", True)
    assert pool.data_disks == (Disk("cloud_essd", 200),)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"count": "many"}, "estate_cloud_pools.online.count: 'many' is not a whole number from 0 to 9999."),
        ({"counts": 2}, "estate_cloud_pools.online.counts: there is no key 'counts'"),
        ({"count": -1}, "estate_cloud_pools.online.count: -1 is not a whole number from 0 to 9999."),
        ({"instance_types": []}, ".instance_types: the list is empty. Name a type"),
        ({"zones": ["f"]}, ".zones[0]: zone f has no vSwitch for nodes. Add estate_cloud.node_vswitches.f."),
        (
            {"expires": "31.1.2027"},
            ".expires: '31.1.2027' is not a day. Write year, month and day, for instance 2027-01-31.",
        ),
        ({"charge": {"type": "Free"}}, "PostPaid, PrePaid"),
        ({"system_disk": {"category": "cloud_essd"}}, "size_gb"),
        ({"image": None}, "image"),
    ],
)
def test_what_is_wrong_names_pool_and_variable(change, problem):
    pools, problems = pools_of({"online": {**LEAST, **change}}, SITE)
    assert (pools, len(problems)) == ({}, 1)
    assert problems[0].startswith("estate_cloud_pools.online")
    assert problem in problems[0]


@pytest.mark.parametrize("name", ["Online", "on_line", "-a", "9a", "a" * 51, "a-"])
def test_names_of_pools_become_names_of_hosts(name):
    (problem,) = pools_of({name: LEAST}, SITE)[1]
    assert problem.startswith(f"estate_cloud_pools.{name}: {name!r} cannot begin the names of VMs. Use ")


def test_all_problems_at_once():
    problems = pools_of({"a": None, "b": {**LEAST, "count": -1, "zones": ["x"]}}, SITE)[1]
    assert sorted({problem.partition(":")[0] for problem in problems}) == [
        "estate_cloud_pools.a.count",
        "estate_cloud_pools.a.image",
        "estate_cloud_pools.a.instance_types",
        "estate_cloud_pools.b.count",
        "estate_cloud_pools.b.zones[0]",
    ]


def test_vswitches_need_ids():
    given = {"node_vswitches": {"d": {"id": "vsw-d"}, "e": {}}, "pod_vswitches": {"d": "vsw"}}
    site, problems = site_of({**given, "security_groups": ["sg-1"], "ram_role": ""})
    assert site.node_vswitches == {"d": "vsw-d"}
    assert [problem.partition(":")[0] for problem in problems] == [
        "estate_cloud.node_vswitches.e",
        "estate_cloud.pod_vswitches.d",
    ]
