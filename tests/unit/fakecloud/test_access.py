from __future__ import annotations

import http.client
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client as Ecs
from alibabacloud_tea_openapi import utils

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import KEY, Account, a_world, refusal


def limited(tmp_path: Any, *allow: str) -> FakeCloud:
    return FakeCloud(tmp_path / "cloud", a_world(keys=[{**KEY, "allow": list(allow)}]))


def test_the_older_signature_in_the_query_is_checked_too(account: Account) -> None:
    config = account.config
    config.signature_algorithm = "v2"
    tag = [models.DescribeInstancesRequestTag(key="a b", value="ä*~/+")]
    request = models.DescribeInstancesRequest(region_id="cn-shenzhen", tag=tag)
    assert Ecs(config).describe_instances(request).body.instances.instance == []
    config.access_key_secret = "wrong"
    assert refusal(lambda: Ecs(config).describe_instances(request)) == (400, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"secret": "wrong"}, (400, "SignatureDoesNotMatch")),
        ({"key": "LTAInobody"}, (404, "InvalidAccessKeyId.NotFound")),
    ],
)
def test_who_is_not_known_is_refused(fake: FakeCloud, changes: dict[str, str], expected: tuple[int, str]) -> None:
    stranger = Account(fake, **changes)
    assert refusal(stranger.instances) == expected
    assert [(entry.status, entry.code) for entry in fake.cloud.requests()] == [expected]


def test_a_request_is_neither_late_nor_repeated(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils.Utils, "get_nonce", staticmethod(lambda: "once"))
    account.instances()
    assert refusal(account.instances) == (400, "SignatureNonceUsed")
    monkeypatch.undo()
    monkeypatch.setattr(utils.Utils, "get_timestamp", staticmethod(lambda: "2020-01-01T00:00:00Z"))
    assert refusal(account.instances) == (400, "InvalidTimeStamp.Expired")


def test_what_is_not_signed_is_refused(fake: FakeCloud) -> None:
    connection = http.client.HTTPConnection(fake.endpoint)
    connection.request("POST", "/?Action=DescribeRegions&Version=2014-05-26")
    assert connection.getresponse().status == 400


def test_a_key_may_do_what_its_policy_says(tmp_path: Any) -> None:
    with limited(tmp_path, "ecs:Describe*") as fake:
        account = Account(fake)
        assert account.instances() == []
        assert refusal(account.run) == (403, "Forbidden.RAM")


def test_passing_a_role_needs_its_own_permission(tmp_path: Any) -> None:
    with limited(tmp_path, "ecs:*") as fake:
        account = Account(fake)
        assert len(account.run()) == 1
        assert refusal(lambda: account.run(ram_role_name="KubernetesNodeRole")) == (
            403,
            "InvalidUser.PassRoleForbidden",
        )


def test_accounts_do_not_see_each_other(tmp_path: Any) -> None:
    other = {"id": "LTAIother", "secret": "other", "account": "1000000000000002"}
    with FakeCloud(tmp_path / "cloud", a_world(keys=[KEY, other])) as fake:
        made = Account(fake).run()
        stranger = Account(fake, key="LTAIother", secret="other")
        assert stranger.instances() == []
        assert refusal(lambda: stranger.delete(*made)) == (404, "InvalidInstanceId.NotFound")


def test_an_unknown_action_is_refused(account: Account) -> None:
    request = models.DescribeSnapshotsRequest(region_id=world.DEFAULT_REGION)
    assert refusal(lambda: account.ecs.describe_snapshots(request)) == (404, "InvalidAction.NotFound")
