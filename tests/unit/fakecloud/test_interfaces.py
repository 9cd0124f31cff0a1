from __future__ import annotations

from typing import Any

from alibabacloud_ecs20140526 import models
from alibabacloud_vpc20160428 import models as vpc_models

from tests.fakecloud import admin
from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import REGION, Account, refusal


def create(account: Account, **changes: Any) -> Any:
    wanted = {"region_id": REGION, "v_switch_id": "vsw-pod-d", "security_group_ids": ["sg-1"], **changes}
    return account.ecs.create_network_interface(models.CreateNetworkInterfaceRequest(**wanted)).body


def attach(account: Account, eni: str, instance: str) -> None:
    request = models.AttachNetworkInterfaceRequest(region_id=REGION, network_interface_id=eni, instance_id=instance)
    account.ecs.attach_network_interface(request)


def detach(account: Account, eni: str, instance: str) -> None:
    request = models.DetachNetworkInterfaceRequest(region_id=REGION, network_interface_id=eni, instance_id=instance)
    account.ecs.detach_network_interface(request)


def remove(account: Account, eni: str) -> None:
    account.ecs.delete_network_interface(
        models.DeleteNetworkInterfaceRequest(region_id=REGION, network_interface_id=eni)
    )


def available(account: Account, vswitch: str = "vsw-pod-d") -> int:
    request = vpc_models.DescribeVSwitchesRequest(region_id=REGION, v_switch_id=vswitch)
    return int(account.vpc.describe_vswitches(request).body.v_switches.v_switch[0].available_ip_address_count)


def open_periods(fake: FakeCloud) -> list[tuple[str, str]]:
    return [(period.kind, period.id) for period in fake.cloud.periods() if period.ended is None]


def test_an_interface_comes_and_goes_as_terway_makes_it(account: Account, fake: FakeCloud) -> None:
    before = available(account)
    made = account.run()
    eni = create(account, secondary_private_ip_address_count=3, source_dest_check=False, client_token="t")
    assert (
        create(
            account, secondary_private_ip_address_count=3, source_dest_check=False, client_token="t"
        ).network_interface_id
        == eni.network_interface_id
    )
    assert len(eni.private_ip_sets.private_ip_set) == 4
    assert before - available(account) == 4
    attach(account, eni.network_interface_id, made[0])
    seen = account.interfaces(network_interface_id=[eni.network_interface_id])
    assert [(each.status, each.instance_id, each.mac_address) for each in seen] == [("InUse", made[0], eni.mac_address)]
    assign = models.AssignPrivateIpAddressesRequest(
        region_id=REGION, network_interface_id=eni.network_interface_id, secondary_private_ip_address_count=2
    )
    added = account.ecs.assign_private_ip_addresses(assign).body.assigned_private_ip_addresses_set
    unassign = models.UnassignPrivateIpAddressesRequest(
        region_id=REGION,
        network_interface_id=eni.network_interface_id,
        private_ip_address=added.private_ip_set.private_ip_address,
    )
    account.ecs.unassign_private_ip_addresses(unassign)
    assert refusal(lambda: account.ecs.unassign_private_ip_addresses(unassign)) == (403, "InvalidIp.IpUnassigned")
    assert refusal(lambda: remove(account, eni.network_interface_id)) == (403, "InvalidOperation.InvalidEniState")
    detach(account, eni.network_interface_id, made[0])
    remove(account, eni.network_interface_id)
    assert account.interfaces(network_interface_id=[eni.network_interface_id]) == []
    assert available(account) == before
    account.delete(*made)
    assert account.instances() == []
    assert open_periods(fake) == []


def test_an_instance_has_as_many_interfaces_and_addresses_as_its_type_allows(account: Account) -> None:
    made = account.run(instance_type="ecs.g6.xlarge")
    for _each in range(2):
        attach(account, create(account).network_interface_id, made[0])
    third = create(account).network_interface_id
    assert refusal(lambda: attach(account, third, made[0])) == (403, "EniPerInstanceLimitExceeded")
    eni = account.interfaces(instance_id=made[0], type="Secondary")[0].network_interface_id
    assign = models.AssignPrivateIpAddressesRequest(
        region_id=REGION, network_interface_id=eni, secondary_private_ip_address_count=10
    )
    assert refusal(lambda: account.ecs.assign_private_ip_addresses(assign)) == (
        403,
        "InvalidOperation.Ipv4CountExceeded",
    )


def test_what_cannot_be_attached_or_detached(account: Account) -> None:
    made = account.run()
    elsewhere = create(account, v_switch_id="vsw-pod-e").network_interface_id
    assert refusal(lambda: attach(account, elsewhere, made[0])) == (403, "InvalidOperation.AvailabilityZoneMismatch")
    assert refusal(lambda: attach(account, elsewhere, "i-none")) == (404, "InvalidEcsId.NotFound")
    assert refusal(lambda: attach(account, "eni-none", made[0])) == (404, "InvalidEniId.NotFound")
    primary = account.interfaces(instance_id=made[0], type="Primary")[0].network_interface_id
    assert refusal(lambda: detach(account, primary, made[0])) == (400, "InvalidOperation.DetachPrimaryEniNotAllowed")


def test_an_interface_that_is_not_to_go_with_its_instance_stays_and_is_paid_for(
    account: Account, fake: FakeCloud
) -> None:
    made = account.run()
    going, staying = create(account).network_interface_id, create(account, delete_on_release=False).network_interface_id
    for eni in (going, staying):
        attach(account, eni, made[0])
    account.delete(*made)
    assert [(each.network_interface_id, each.status) for each in account.interfaces()] == [(staying, "Available")]
    assert {kind for kind, _id in open_periods(fake)} == {"eni", "address"}
    assert ("eni", staying) in open_periods(fake)


def test_a_full_vswitch_gives_no_interface_and_keeps_its_addresses(account: Account, fake: FakeCloud) -> None:
    tiny = {"id": "vsw-tiny", "vpc": "vpc-1", "zone": "cn-shenzhen-d", "cidr": "172.20.48.0/29"}
    fake.cloud.change_world({"vswitches": {**fake.cloud.world.to_dict()["vswitches"], "vsw-tiny": tiny}})
    assert refusal(lambda: create(account, v_switch_id="vsw-tiny", secondary_private_ip_address_count=4)) == (
        403,
        "InvalidVSwitchId.IpNotEnough",
    )
    assert refusal(
        lambda: create(
            account, v_switch_id="vsw-tiny", primary_ip_address="172.20.48.1", secondary_private_ip_address_count=4
        )
    ) == (403, "InvalidVSwitchId.IpNotEnough")
    assert available(account, "vsw-tiny") == 4


def test_an_address_is_not_given_out_again_at_once_unless_all_have_had_their_turn(
    account: Account, fake: FakeCloud
) -> None:
    first = create(account)
    remove(account, first.network_interface_id)
    assert create(account).private_ip_address != first.private_ip_address
    admin.ask(fake.cloud, "reuse_addresses", {})
    assert create(account).private_ip_address == first.private_ip_address


def test_interfaces_are_found_by_their_tags(account: Account) -> None:
    tag = models.CreateNetworkInterfaceRequestTag(key="ack.aliyun.com", value="c1")
    tagged = create(account, tag=[tag]).network_interface_id
    create(account)
    found = account.interfaces(tag=[models.DescribeNetworkInterfacesRequestTag(key="ack.aliyun.com", value="c1")])
    assert [each.network_interface_id for each in found] == [tagged]
