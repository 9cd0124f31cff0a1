# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import ESTATE_TAG
from ansible_collections.hybridk8s.estate.plugins.modules import ecs_instances_info

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.unit.plugins.module_utils._ecs.ecs_estate import KEY, Estate
from tests.unit.plugins.modules.cluster_fake import run

QUICK = {"visible": 0.0, "pending": 0.02, "starting": 0.02, "stopping": 0.02, "eni": 0.02}


@pytest.fixture
def estate(tmp_path):
    with FakeCloud(tmp_path / "cloud", world.parse({"timings": QUICK})) as fake:
        yield Estate(fake)


@pytest.fixture
def ask(estate, monkeypatch):
    def call(*provider_ids, secret=KEY["secret"]):
        return run(
            ecs_instances_info,
            monkeypatch,
            region="cn-shenzhen",
            credentials={"access_key_id": KEY["id"], "access_key_secret": secret},
            endpoints={"ecs": estate.fake.endpoint, "scheme": "http"},
            provider_ids=list(provider_ids),
        )

    return call


def test_those_that_are_there_and_those_that_are_gone(estate, ask):
    estate.run(2)
    one, other = (f"cn-shenzhen.{instance['id']}" for instance in estate.instances)
    writes = estate.writes()
    found = ask(other, "cn-shenzhen.i-gone", one, one, "cn-beijing.i-gone", "aws:///eu-1a/i-gone")
    assert [instance["name"] for instance in found["instances"]] == ["online-1", "online-2"]
    assert (found["gone"], found["changed"], found["requests"]) == (
        ["cn-shenzhen.i-gone"],
        False,
        {"DescribeInstances": 1},
    )
    assert estate.writes() == writes


def test_an_instance_that_lost_its_tags_is_not_gone(estate, ask):
    estate.run(1)
    identifier = estate.instances[0]["id"]
    estate.cloud().call("UntagResources", ResourceType="instance", ResourceId=[identifier], TagKey=[ESTATE_TAG])
    assert ask(f"cn-shenzhen.{identifier}")["gone"] == []


def test_without_vms_the_cloud_is_not_asked(ask):
    found = ask("", "cn-beijing.i-gone")
    assert (found["instances"], found["gone"], found["requests"]) == ([], [], {})


def test_a_cloud_that_does_not_answer_makes_nothing_gone(ask):
    said = ask("cn-shenzhen.i-gone", secret="planted-secret")
    assert said["failed"] is True
    assert "gone" not in said
    assert "planted-secret" not in json.dumps(said)
