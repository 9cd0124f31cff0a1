from __future__ import annotations

import base64
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models

from tests.fakecloud import moments
from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import REGION, Account, refusal


def test_instances_are_made_with_names_tags_disks_and_addresses(account: Account, fake: FakeCloud) -> None:
    tag = models.RunInstancesRequestTag(key="estate.hybridk8s.io/pool", value="online ä*~")
    disk = models.RunInstancesRequestDataDisk(size=100, category="cloud_essd")
    made = account.run(amount=2, instance_name="online-[1,1]", host_name="online-[1,1]", tag=[tag], data_disk=[disk])
    seen = account.instances()
    assert [each.instance_id for each in seen] == made[::-1]
    assert [(each.instance_name, each.host_name) for each in seen] == [("online-2",) * 2, ("online-1",) * 2]
    assert [each.vpc_attributes.private_ip_address.ip_address for each in seen] == [["172.20.16.2"], ["172.20.16.1"]]
    assert seen[0].tags.tag[0].tag_value == "online ä*~"
    assert seen[0].status == "Running"
    disks = account.ecs.describe_disks(
        models.DescribeDisksRequest(region_id=REGION, instance_id=made[0])
    ).body.disks.disk
    assert sorted((each.type, each.size) for each in disks) == [("data", 100), ("system", 40)]
    interfaces = account.interfaces(instance_id=made[0])
    for tagged in (*disks, *interfaces):
        assert [(each.tag_key, each.tag_value) for each in tagged.tags.tag] == [(tag.key, tag.value)]


def test_the_same_token_gives_the_same_instances(account: Account) -> None:
    first = account.run(client_token="t", amount=2)
    assert account.run(client_token="t", amount=2) == first
    assert len(account.instances()) == 2
    assert refusal(lambda: account.run(client_token="t", amount=3)) == (400, "IdempotentParameterMismatch")


def test_a_token_of_a_request_that_failed_may_be_used_again(account: Account, fake: FakeCloud) -> None:
    fake.cloud.change_world({"stock": {"cn-shenzhen-d": {"ecs.g7.xlarge": 0}}})
    assert refusal(lambda: account.run(client_token="t")) == (403, "OperationDenied.NoStock")
    fake.cloud.change_world({"stock": {}})
    assert len(account.run(client_token="t")) == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"image_id": None}, (400, "MissingParameter")),
        ({"image_id": "m-none"}, (404, "InvalidImageId.NotFound")),
        ({"instance_type": "ecs.none"}, (403, "InvalidInstanceType.ValueNotSupported")),
        ({"v_switch_id": "vsw-none"}, (404, "InvalidVSwitchId.NotFound")),
        ({"security_group_ids": ["sg-none"]}, (404, "InvalidSecurityGroupId.NotFound")),
        ({"security_group_ids": None}, (400, "MissingParameter")),
        ({"region_id": "cn-none"}, (404, "InvalidRegionId.NotFound")),
        ({"key_pair_name": "nobody"}, (404, "InvalidKeyPairName.NotFound")),
        ({"ram_role_name": "nobody"}, (404, "InvalidRamRole.NotFound")),
        ({"amount": 101}, (400, "InvalidParameter")),
        ({"amount": 2, "min_amount": 3}, (400, "InvalidParameter")),
        ({"instance_charge_type": "Free"}, (400, "InvalidInstanceChargeType.ValueNotSupported")),
        ({"instance_charge_type": "PrePaid"}, (400, "MissingParameter")),
        ({"instance_charge_type": "PrePaid", "period": 11}, (400, "InvalidPeriod")),
        (
            {"instance_charge_type": "PrePaid", "period": 1, "deletion_protection": True},
            (403, "InvalidChargeType.ValueNotSupported"),
        ),
        ({"client_token": "x" * 65}, (400, "InvalidClientToken.Malformed")),
        ({"user_data": "%%%"}, (403, "InvalidUserData.Base64FormatInvalid")),
        ({"user_data": base64.b64encode(b"x" * 32769).decode()}, (403, "InvalidUserData.SizeExceeded")),
        ({"host_name": "no_underscore"}, (400, "InvalidHostName.Malformed")),
        ({"private_ip_address": "10.0.0.1"}, (400, "InvalidPrivateIpAddress.Malformed")),
        ({"private_ip_address": "172.20.31.253"}, (400, "InvalidPrivateIpAddress.Malformed")),
        ({"tag": [models.RunInstancesRequestTag(key="acs:x")]}, (400, "InvalidTagKey.Malformed")),
        ({"tag": [models.RunInstancesRequestTag(value="x")]}, (400, "MissingParameter")),
        (
            {"system_disk": models.RunInstancesRequestSystemDisk(size="10")},
            (404, "InvalidSystemDiskSize.LessThanImageSize"),
        ),
        ({"cpu_options": models.RunInstancesRequestCpuOptions(core=2)}, (400, "InvalidParameter")),
        ({"dry_run": True}, (412, "DryRunOperation")),
    ],
)
def test_a_wrong_request_is_refused_and_makes_nothing(
    account: Account, fake: FakeCloud, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert refusal(lambda: account.run(**changes)) == expected
    assert account.instances() == []
    assert fake.cloud.periods() == []


def test_stock_belongs_to_a_zone_and_a_type_and_comes_back(account: Account, fake: FakeCloud) -> None:
    fake.cloud.change_world({"stock": {"cn-shenzhen-d": {"ecs.g7.xlarge": 2}}})
    assert refusal(lambda: account.run(amount=3)) == (403, "OperationDenied.NoStock")
    made = account.run(amount=3, min_amount=1)
    assert len(made) == 2
    assert refusal(account.run) == (403, "OperationDenied.NoStock")
    assert len(account.run(v_switch_id="vsw-node-e")) == 1
    assert len(account.run(instance_type="ecs.g6.xlarge")) == 1
    account.delete(made[0])
    assert len(account.run()) == 1


def test_what_describe_available_resource_says_of_stock(account: Account, fake: FakeCloud) -> None:
    fake.cloud.change_world({"stock": {"cn-shenzhen-d": {"ecs.g7.xlarge": 0}}})
    request = models.DescribeAvailableResourceRequest(
        region_id=REGION, destination_resource="InstanceType", instance_type="ecs.g7.xlarge"
    )
    zones = account.ecs.describe_available_resource(request).body.available_zones.available_zone
    assert {zone.zone_id: zone.status for zone in zones} == {"cn-shenzhen-d": "SoldOut", "cn-shenzhen-e": "Available"}


def test_the_quota_counts_the_cpus_of_the_account(account: Account, fake: FakeCloud) -> None:
    fake.cloud.change_world({"quotas": {"vcpus": 8}})
    account.run(amount=2)
    assert refusal(account.run) == (403, "QuotaExceed.ElasticQuota")


def test_a_vswitch_without_addresses_has_no_instances(account: Account, fake: FakeCloud) -> None:
    tiny = {"id": "vsw-tiny", "vpc": "vpc-1", "zone": "cn-shenzhen-d", "cidr": "172.20.48.0/29"}
    fake.cloud.change_world({"vswitches": {**fake.cloud.world.to_dict()["vswitches"], "vsw-tiny": tiny}})
    assert len(account.run(v_switch_id="vsw-tiny", amount=5, min_amount=2)) == 4
    assert refusal(lambda: account.run(v_switch_id="vsw-tiny")) == (403, "QuotaExceeded.PrivateIpAddress")


def test_an_instance_appears_later_and_takes_its_time(account: Account, fake: FakeCloud) -> None:
    fake.cloud.change_world({"timings": {"visible": 10.0, "pending": 20.0, "starting": 20.0, "stopping": 20.0}})
    made = account.run()
    seen = [account.instances()]
    assert seen == [[]]
    states = []
    for _step in range(3):
        fake.advance(15.0)
        states += [each.status for each in account.instances()]
    assert states == ["Pending", "Starting", "Running"]
    account.delete(*made)
    assert [each.status for each in account.instances()] == ["Stopping"]
    assert refusal(lambda: account.delete(*made)) == (403, "IncorrectInstanceStatus")
    fake.advance(20.0)
    assert account.instances() == []
    assert refusal(lambda: account.delete(*made)) == (404, "InvalidInstanceId.NotFound")


def test_what_cannot_be_deleted(account: Account, fake: FakeCloud) -> None:
    protected = account.run(deletion_protection=True)
    paid = account.run(instance_charge_type="PrePaid", period=1)
    running = account.run()
    assert refusal(lambda: account.delete(*protected)) == (403, "InvalidOperation.DeletionProtection")
    assert refusal(lambda: account.delete(*running, *paid)) == (403, "ChargeTypeViolation")
    assert len(account.instances()) == 3
    unforced = models.DeleteInstancesRequest(region_id=REGION, instance_id=running)
    assert refusal(lambda: account.ecs.delete_instances(unforced)) == (403, "IncorrectInstanceStatus")
    fake.cloud.change_world({"timings": {"pending": 60.0}})
    assert refusal(lambda: account.delete(*account.run())) == (403, "IncorrectInstanceStatus.Initializing")


def test_power(account: Account) -> None:
    made = account.run()
    assert refusal(lambda: account.ecs.start_instance(models.StartInstanceRequest(instance_id=made[0]))) == (
        403,
        "IncorrectInstanceStatus",
    )
    stop = models.StopInstancesRequest(region_id=REGION, instance_id=made, stopped_mode="StopCharging")
    account.ecs.stop_instances(stop)
    assert [(each.status, each.stopped_mode) for each in account.instances()] == [("Stopped", "StopCharging")]
    account.ecs.start_instances(models.StartInstancesRequest(region_id=REGION, instance_id=made))
    assert [each.status for each in account.instances()] == ["Running"]
    account.ecs.reboot_instance(models.RebootInstanceRequest(instance_id=made[0]))
    assert [each.status for each in account.instances()] == ["Running"]


def test_pages_by_token_stay_where_they_are_while_instances_come(account: Account) -> None:
    account.run(amount=5)
    seen, token = [], None
    while True:
        request = models.DescribeInstancesRequest(region_id=REGION, max_results=2, next_token=token)
        body = account.ecs.describe_instances(request).body
        seen += [each.instance_id for each in body.instances.instance]
        account.run()
        token = body.next_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 5


def test_pages_by_number(account: Account) -> None:
    account.run(amount=12)
    sizes = []
    for number in (1, 2, 3):
        request = models.DescribeInstancesRequest(region_id=REGION, page_number=number, page_size=5)
        body = account.ecs.describe_instances(request).body
        sizes.append((len(body.instances.instance), body.total_count))
    assert sizes == [(5, 12), (5, 12), (2, 12)]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"instance_name": "a-*"}, {"a-1", "a-2"}),
        ({"tag": [models.DescribeInstancesRequestTag(key="pool", value="b")]}, {"b-1"}),
        ({"tag": [models.DescribeInstancesRequestTag(key="pool")]}, {"a-1", "a-2", "b-1"}),
        ({"tag": [models.DescribeInstancesRequestTag(key="pool", value="c")]}, set()),
        ({"zone_id": "cn-shenzhen-e"}, {"b-1"}),
        ({"private_ip_addresses": '["172.20.16.2"]'}, {"a-2"}),
        ({"status": "Stopped"}, set()),
        ({"v_switch_id": "vsw-node-d"}, {"a-1", "a-2"}),
        ({"instance_ids": "[]"}, set()),
    ],
)
def test_filters(account: Account, filters: dict[str, Any], names: set[str]) -> None:
    account.run(amount=2, instance_name="a-[1,1]", tag=[models.RunInstancesRequestTag(key="pool", value="a")])
    pool_b = [models.RunInstancesRequestTag(key="pool", value="b")]
    account.run(instance_name="b-1", v_switch_id="vsw-node-e", tag=pool_b)
    assert {each.instance_name for each in account.instances(**filters)} == names


def test_tags_are_put_on_and_taken_off(account: Account) -> None:
    made = account.run(amount=2)
    tags = [
        models.TagResourcesRequestTag(key="owner", value="team-a"),
        models.TagResourcesRequestTag(key="x", value=""),
    ]
    account.ecs.tag_resources(
        models.TagResourcesRequest(region_id=REGION, resource_type="instance", resource_id=made, tag=tags)
    )
    account.ecs.untag_resources(
        models.UntagResourcesRequest(
            region_id=REGION, resource_type="instance", resource_id=made[:1], tag_key=["owner"]
        )
    )
    request = models.ListTagResourcesRequest(region_id=REGION, resource_type="instance", resource_id=made)
    rows = account.ecs.list_tag_resources(request).body.tag_resources.tag_resource
    assert {(row.resource_id, row.tag_key, row.tag_value) for row in rows} == {
        (made[0], "x", ""),
        (made[1], "owner", "team-a"),
        (made[1], "x", ""),
    }
    missing = models.TagResourcesRequest(region_id=REGION, resource_type="instance", resource_id=["i-none"], tag=tags)
    assert refusal(lambda: account.ecs.tag_resources(missing)) == (404, "InvalidResourceId.NotFound")


def test_auto_release(account: Account, fake: FakeCloud) -> None:
    made = account.run()
    when = moments.seconds(fake.cloud.now() + 3600)
    request = models.ModifyInstanceAutoReleaseTimeRequest(instance_id=made[0], auto_release_time=when)
    account.ecs.modify_instance_auto_release_time(request)
    assert account.instances()[0].auto_release_time == f"{when[:-3]}00Z"
    fake.advance(3700)
    assert account.instances() == []
    ended = next(period for period in fake.cloud.periods() if period.kind == "instance")
    assert ended.ended_by == "the automatic release time has come"
    assert ended.ended is not None
    assert 3500 < ended.ended - ended.began <= 3600
    soon = models.ModifyInstanceAutoReleaseTimeRequest(
        instance_id=account.run()[0], auto_release_time=moments.seconds(fake.cloud.now() + 60)
    )
    assert refusal(lambda: account.ecs.modify_instance_auto_release_time(soon)) == (
        400,
        "InvalidAutoReleaseTime.Malformed",
    )


def test_a_subscription_ends_and_can_be_renewed(account: Account, fake: FakeCloud) -> None:
    made = account.run(instance_charge_type="PrePaid", period=1, period_unit="Week")
    fake.advance(8 * 86400)
    seen = account.instances()[0]
    assert (seen.status, [lock.lock_reason for lock in seen.operation_locks.lock_reason]) == ("Stopped", ["financial"])
    account.ecs.renew_instance(models.RenewInstanceRequest(instance_id=made[0], period=1, period_unit="Month"))
    assert account.instances()[0].status == "Running"
    fake.advance(60 * 86400)
    assert account.instances() == []


def test_a_subscription_that_renews_itself_goes_on(account: Account, fake: FakeCloud) -> None:
    made = account.run(instance_charge_type="PrePaid", period=1)
    request = models.ModifyInstanceAutoRenewAttributeRequest(
        region_id=REGION, instance_id=made[0], renewal_status="AutoRenewal", duration=1, period_unit="Month"
    )
    account.ecs.modify_instance_auto_renew_attribute(request)
    fake.advance(100 * 86400)
    assert [each.status for each in account.instances()] == ["Running"]
    asked = models.DescribeInstanceAutoRenewAttributeRequest(region_id=REGION, instance_id=made[0])
    rows = account.ecs.describe_instance_auto_renew_attribute(asked).body
    assert [row.renewal_status for row in rows.instance_renew_attributes.instance_renew_attribute] == ["AutoRenewal"]


def test_charge_type_changes_make_an_instance_deletable(account: Account) -> None:
    made = account.run(instance_charge_type="PrePaid", period=1)
    assert refusal(lambda: account.delete(*made)) == (403, "ChargeTypeViolation")
    request = models.ModifyInstanceChargeTypeRequest(
        region_id=REGION, instance_ids=f'["{made[0]}"]', instance_charge_type="PostPaid"
    )
    account.ecs.modify_instance_charge_type(request)
    account.delete(*made)
    assert account.instances() == []
