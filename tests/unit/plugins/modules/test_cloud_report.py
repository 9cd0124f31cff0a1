# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.modules import cloud_report, ecs_instances

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.unit.plugins.module_utils._ecs.ecs_estate import ZONES, Estate
from tests.unit.plugins.modules.cluster_fake import MemoryPool, cluster_on, run

SECRETS = {"access_key_id": "LTAI5tEXAMPLE", "access_key_secret": "example-secret"}
QUICK = {"visible": 0.0, "pending": 0.0, "starting": 0.0}
POOLS = {"online": {"instance_types": ["ecs.g7.xlarge"], "count": 2, "image": "m-debian12", "owner": "team-a"}}


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    with FakeCloud(tmp_path_factory.mktemp("cloud"), world.parse({"timings": QUICK})) as fake:
        yield Estate(fake)


@pytest.fixture
def call(estate, monkeypatch):
    def with_options(module, **options):
        arguments = {
            "estate": "lab",
            "region": "cn-shenzhen",
            "credentials": SECRETS,
            "endpoints": {"ecs": estate.fake.endpoint, "vpc": estate.fake.endpoint, "scheme": "http"},
            "node_vswitches": {zone: {"id": f"vsw-node-{zone[-1]}", "cidr": "172.20.16.0/20"} for zone in ZONES},
            "pools": POOLS,
            **options,
        }
        return run(module, monkeypatch, **arguments)

    return with_options


@pytest.fixture
def made(call):
    result = call(ecs_instances, security_groups=["sg-1"])
    assert {one["name"] for one in result["instances"]} == {"online-1", "online-2"}


@pytest.fixture
def nodes(estate, monkeypatch):
    """A cluster in which the first VM is a Ready node."""
    first = next(one for one in estate.instances if one["name"] == "online-1")
    body = {
        "metadata": {"name": "online-1"},
        "spec": {"providerID": f"cn-shenzhen.{first['id']}"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "4", "memory": "16Gi"},
        },
    }
    cluster = cluster_on(MemoryPool([("/api/v1/nodes/online-1", body)]))
    monkeypatch.setattr(cloud_report, "open_cluster", lambda _module: cluster)


@pytest.mark.usefixtures("made", "nodes")
def test_the_report_is_written_and_told(call, estate, tmp_path):
    before = estate.writes()
    estate.fake.advance(7200)
    files = {"report": str(tmp_path / "vms.json"), "page": str(tmp_path / "vms.html")}
    result = call(cloud_report, prices={"ecs.g7.xlarge": 0.92}, currency="CNY", **files)
    assert (result["changed"], estate.writes()) == (False, before)
    assert (tmp_path / "vms.html").read_text().startswith("<!DOCTYPE html>")
    report = json.loads((tmp_path / "vms.json").read_text())
    assert report == result["report"]
    assert report["total"]["vms"] == 2
    assert report["total"]["hours"] == pytest.approx(4.0, abs=0.1)
    assert report["total"]["cost"] == pytest.approx(3.68, abs=0.1)
    assert {one["name"]: one["ready"] for one in report["vms"]} == {"online-1": True, "online-2": None}
    assert [one["code"] for one in report["findings"]] == ["CR001-no-ready-node"]
    assert f"cost {report['total']['cost']:.2f} CNY" in result["msg"]
    assert result["requests"]["DescribeInstances"] == 1
    assert result["requests"]["cluster"] > 0


@pytest.mark.usefixtures("made")
def test_without_a_cluster_the_report_is_made_and_says_so(call, monkeypatch):
    said = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    result = call(cloud_report)
    assert result["report"]["total"]["vms"] == 2
    assert result["report"]["total"]["cost"] is None
    assert [one["code"] for one in result["report"]["findings"]] == ["CR005-cluster-not-asked"]
    assert "kubeconfig is not set" in said[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pools": {"online": {"count": 1}}},
            "estate_cloud_pools.online has no 'instance_types'. Add 'instance_types' to",
        ),
        ({"page": "/nowhere/vms.html"}, "cannot be written to /nowhere/vms.html (variable cloud_vms_page)"),
        ({"credentials": {**SECRETS, "access_key_secret": "wrong"}}, "Correct estate_cloud.credentials"),
    ],
)
def test_what_is_wrong_is_said(call, options, message):
    result = call(cloud_report, **options)
    assert result["failed"] is True
    assert message in result["msg"]


def test_no_secret_is_in_the_result(call, tmp_path):
    page = tmp_path / "vms.html"
    result = call(cloud_report, page=str(page), pools={"online": {**POOLS["online"], "user_data": "a-planted-secret"}})
    text = json.dumps(result) + page.read_text()
    assert [secret for secret in (*SECRETS.values(), "a-planted-secret") if secret in text] == []
