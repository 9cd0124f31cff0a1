"""Interfaces and addresses, as instances and interfaces by themselves get them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakecloud.actions import Call, tags_of
from tests.fakecloud.errors import ApiError, addresses_exhausted, malformed, not_found
from tests.fakecloud.model import Eni, Instance
from tests.fakecloud.world import VSwitch


def check_groups(call: Call, groups: tuple[str, ...], vswitch: VSwitch) -> None:
    for group in groups:
        known = call.cloud.world.security_groups.get(group)
        if known is None:
            raise not_found("SecurityGroupId", group)
        if known.vpc != vswitch.vpc:
            text = "The specified security group and vSwitch are not in the same VPC."
            raise ApiError(403, "OperationDenied.InconsistentNetwork", text)


def check_address(call: Call, vswitch: VSwitch, address: str) -> None:
    reserved = {str(vswitch.network[0]), *(str(vswitch.network[-each]) for each in (1, 2, 3))}
    try:
        inside = call.cloud.is_inside(vswitch, address)
    except ValueError:
        raise malformed("PrivateIpAddress") from None
    if not inside or address in reserved:
        raise ApiError(
            400, "InvalidPrivateIpAddress.Malformed", f"{address} is no address for a machine of {vswitch.cidr}."
        )
    if call.cloud.owner_of_address(vswitch.id, address):
        raise ApiError(403, "InvalidPrivateIpAddress.Duplicated", f"The address {address} is already in use.")


def new_interface(
    call: Call,
    vswitch: VSwitch,
    groups: Sequence[str],
    *,
    instance: Instance | None = None,
    primary_address: str | None = None,
    chosen_addresses: Sequence[str] = (),
    secondary_addresses: int = 0,
) -> Eni:
    """An interface with its addresses: the primary one of an instance, or one by itself."""
    cloud, identifier, number = call.cloud, call.cloud.identifier("eni"), call.cloud.number()
    named = [*([primary_address] if primary_address else []), *chosen_addresses]
    count = secondary_addresses + (0 if primary_address else 1)
    if cloud.available_addresses(vswitch) < len(named) + count:
        raise addresses_exhausted(vswitch.id)
    for address in named:
        cloud.take_address(vswitch, address, identifier)
    others = cloud.take_addresses(vswitch, count, identifier)
    addresses = [*named, *others] if primary_address else [*others[:1], *named, *others[1:]]
    eni = Eni(
        id=identifier,
        number=number,
        account=call.account,
        region=call.cloud.world.vpcs[vswitch.vpc].region,
        created=call.now,
        role="Primary" if instance else "Secondary",
        instance=instance.id if instance else "",
        zone=vswitch.zone,
        vpc=vswitch.vpc,
        vswitch=vswitch.id,
        mac=_mac(number),
        security_groups=list(groups),
        addresses=addresses,
        status="InUse" if instance else "Available",
        delete_with_instance=instance is not None,
        tags=tags_of(call),
    )
    cloud.save(eni)
    cloud.begin_billing(eni, "eni", identifier, call.cause, instance=eni.instance, vswitch=vswitch.id)
    for address in addresses:
        cloud.bill_address(eni, address, call.now, call.cause)
    return eni


def _mac(number: int) -> str:
    return ":".join(f"{octet:02x}" for octet in (0x00, 0x16, 0x3E, *(number % 2**24).to_bytes(3, "big")))
