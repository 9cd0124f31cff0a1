# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba import client
from ansible_collections.hybridk8s.estate.plugins.modules import ecs_instances

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.unit.plugins.module_utils._ecs.ecs_estate import KEY, ZONES, Estate
from tests.unit.plugins.modules.cluster_fake import run

SECRETS = {"access_key_id": "LTAI5tEXAMPLE", "access_key_secret": "example-secret"}
QUICK = {"visible": 0.05, "pending": 0.02, "starting": 0.02, "stopping": 0.02, "eni": 0.02}


@pytest.fixture
def estate(tmp_path, monkeypatch):
    monkeypatch.setattr(client.Cloud, "pause", lambda _cloud, _seconds: client.time.sleep(0.02))
    with FakeCloud(tmp_path / "cloud", world.parse({"timings": QUICK})) as fake:
        yield Estate(fake)


@pytest.fixture
def call(estate, monkeypatch):
    def with_options(check=False, diff=False, **options):
        arguments = {
            "estate": "lab",
            "region": "cn-shenzhen",
            "credentials": SECRETS,
            "endpoints": {"ecs": estate.fake.endpoint, "vpc": estate.fake.endpoint, "scheme": "http"},
            "node_vswitches": {zone: {"id": f"vsw-node-{zone[-1]}", "cidr": "172.20.16.0/20"} for zone in ZONES},
            "security_groups": ["sg-1"],
            "prices": {"ecs.g7.xlarge": 0.92},
            **options,
        }
        return run(ecs_instances, monkeypatch, check, diff, **arguments)

    return with_options


def pools(count, **settings):
    pool = {"instance_types": ["ecs.g7.xlarge"], "count": count, "image": "m-debian12", "owner": "team-a"}
    return {"online": {**pool, **settings}}


def test_from_nothing_to_two_and_to_nothing(call, estate):
    checked = call(check=True, diff=True, pools=pools(2))
    assert (checked["changed"], estate.writes()) == (True, [])
    assert checked["nodes"] == {
        f"online-{number}": {
            "state": "created",
            "message": f"ecs.g7.xlarge (PostPaid) in {zone}, 0.92 an hour",
            "changed": True,
        }
        for number, zone in enumerate(ZONES, 1)
    }
    first = call(pools=pools(2))
    assert first["changed"] is True
    assert [(one["name"], one["status"], one["provider_id"]) for one in first["instances"]] == [
        (f"online-{number}", "Running", f"cn-shenzhen.{first['instances'][number - 1]['id']}") for number in (1, 2)
    ]
    assert first["nodes"]["online-1"] == {
        "state": "created",
        "message": "ecs.g7.xlarge in cn-shenzhen-d",
        "changed": True,
    }
    assert first["pools"]["online"]["cost_per_hour"] == 1.84
    second = call(pools=pools(2))
    assert (second["changed"], second["steps"], second["nodes"]) == (False, [], {})
    assert second["requests"] == {
        "DescribeInstances": 1,
        "DescribeLaunchTemplates": 1,
        "DescribeNetworkInterfaces": 1,
    }
    fewer = call(pools=pools(1))
    assert (fewer["changed"], fewer["surplus"], fewer["pools"]["online"]["surplus"]) == (
        False,
        ["online-2"],
        ["online-2"],
    )
    gone = call(state="absent", names=["online-1", "online-2"])
    assert {name: one["state"] for name, one in gone["nodes"].items()} == {
        "online-1": "released",
        "online-2": "released",
    }
    assert (gone["instances"], estate.leftovers()) == ([], {})


def test_no_secret_is_in_any_result(call):
    results = [
        call(check=True, diff=True, pools=pools(1)),
        call(diff=True, pools=pools(1)),
        call(pools=pools(1), credentials={**SECRETS, "access_key_secret": "a-wrong-secret"}),
        call(pools=pools(1), credentials={**SECRETS, "security_token": "a-planted-token"}),
        call(pools=pools(1, user_data="planted at the first boot")),
    ]
    text = json.dumps(results)
    assert [
        secret for secret in (*SECRETS.values(), "a-wrong-secret", "a-planted-token", "planted at") if secret in text
    ] == []
    assert "Correct estate_cloud.credentials" in results[2]["msg"]
    assert results[2]["failed"] is True


def test_what_could_not_be_done_is_told_beside_what_was(call, estate):
    none = {"ecs.g7.xlarge": 1}
    estate.admin("world", stock=dict.fromkeys(ZONES, none))
    result = call(pools=pools(3))
    assert (result["failed"], result["changed"], len(result["instances"])) == (True, True, 2)
    assert "could not be had" in result["msg"]
    assert "Name further instance_types or zones" in result["msg"]
    assert sorted(result["nodes"]) == ["online-1", "online-2", "online-3"]
    lacking = [one for one in result["nodes"].values() if one["state"] == "failed"]
    assert [(one["changed"], "could not be had" in one["message"]) for one in lacking] == [(False, True)]


def test_one_that_does_not_run_in_time_is_told(call, estate):
    estate.admin("world", timings={**QUICK, "starting": 60})
    result = call(pools=pools(1), wait_running=1)
    assert result["failed"] is True
    assert result["nodes"]["online-1"]["state"] == "failed"
    assert "is Starting after 1 s, not Running" in result["nodes"]["online-1"]["message"]


def test_pools_that_are_not_meant_stay_as_they_are(call, estate):
    two = {**pools(1), "batch": {**pools(2)["online"], "owner": "team-b"}}
    call(pools=two)
    before = estate.writes()
    fewer = {**pools(3, owner="team-c"), "batch": {**two["batch"], "count": 1, "owner": "team-c"}}
    nobody = call(pools=fewer, only=[])
    assert (nobody["changed"], nobody["surplus"], estate.writes()) == (False, ["batch-2"], before)
    some = call(pools=fewer, only=["batch"])
    assert [(step["action"], step["target"]) for step in some["steps"]] == [("tag", "batch-1 to batch-2")]
    assert len(some["instances"]) == 3


def test_pools_that_end_are_warned_of(call, monkeypatch):
    said = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    soon = (datetime.now(timezone.utc) + timedelta(days=3)).date().isoformat()
    result = call(pools=pools(1, expires=soon))
    assert [finding["code"] for finding in call(pools=pools(1, expires=soon))["findings"]] == ["EC001-expires"]
    assert "Ask team-a" in str(said)
    assert result["changed"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pools": {"online": {"count": 1}}},
            "estate_cloud_pools.online has no 'instance_types'. Add 'instance_types' to",
        ),
        ({"node_vswitches": {"d": {}}}, "estate_cloud.node_vswitches.d: it has no id"),
        ({"state": "absent"}, "state is absent but all of the following are missing: names"),
        ({"credentials": {"access_key_id": KEY["id"]}}, "parameters are required together"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(call, estate, options, message):
    result = call(**options)
    assert result["failed"] is True
    assert message in result["msg"]
    assert estate.admin("requests") == []


def test_without_the_libraries(call, monkeypatch):
    monkeypatch.setattr("ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.library.MISSING", "no tea")
    result = call(pools=pools(1))
    assert result["msg"] == (
        "estate_cloud: the controller lacks a Python library (no tea)."
        " Install alibabacloud-tea-openapi and alibabacloud-credentials for the Python that runs Ansible."
    )
