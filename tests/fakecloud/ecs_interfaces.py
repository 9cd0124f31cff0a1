"""ECS: elastic network interfaces and their addresses."""

from __future__ import annotations

from tests.fakecloud import moments
from tests.fakecloud.actions import (
    Answer,
    Call,
    action,
    either_page,
    has_tags,
    one_of,
    tag_list,
    tags_of,
)
from tests.fakecloud.errors import ApiError, invalid_parameter, not_found
from tests.fakecloud.lookup import own_instance, own_interface
from tests.fakecloud.model import Eni, Instance
from tests.fakecloud.networking import check_address, check_groups, new_interface
from tests.fakecloud.parameters import CLIENT_TOKEN, PAGES, REGION, TAGS, TOKEN_PAGES, Many, One

MOST_SECONDARY_ADDRESSES = 49
INTERFACE = One("NetworkInterfaceId", required=True)
INSTANCE = One("InstanceId", required=True)
COUNT = One("SecondaryPrivateIpAddressCount", "integer", low=1, high=MOST_SECONDARY_ADDRESSES)


@action(
    "ecs",
    "CreateNetworkInterface",
    REGION,
    CLIENT_TOKEN,
    TAGS,
    One("VSwitchId", required=True),
    One("SecurityGroupId"),
    Many("SecurityGroupIds", 16),
    One("PrimaryIpAddress"),
    Many("PrivateIpAddress", MOST_SECONDARY_ADDRESSES),
    COUNT,
    One("NetworkInterfaceName"),
    One("Description"),
    One("InstanceType", choices=("Secondary",)),
    One("SourceDestCheck", "boolean"),
    One("NetworkInterfaceTrafficMode", choices=("Standard",)),
    One("DeleteOnRelease", "boolean"),
    One("ResourceGroupId"),
    writes=True,
)
def create_network_interface(call: Call) -> Answer:
    values, cloud = call.values, call.cloud
    vswitch = cloud.world.vswitches.get(values["VSwitchId"])
    if vswitch is None or vswitch.zone not in cloud.world.regions[call.region]:
        raise not_found("VSwitchId", values["VSwitchId"])
    one_of(call, "SecurityGroupId", "SecurityGroupIds")
    groups = tuple(values["SecurityGroupIds"] or [values["SecurityGroupId"]])
    check_groups(call, groups, vswitch)
    tags_of(call)
    if values["PrivateIpAddress"] and values["SecondaryPrivateIpAddressCount"]:
        raise invalid_parameter("SecondaryPrivateIpAddressCount", "cannot be given together with PrivateIpAddress")
    for address in [*([values["PrimaryIpAddress"]] if values["PrimaryIpAddress"] else []), *values["PrivateIpAddress"]]:
        check_address(call, vswitch, address)
    if len(call.own(cloud.enis)) >= cloud.world.quotas.enis:
        raise ApiError(
            403, "MaxEniCountExceeded", "The maximum number of ENIs of the account in this region is reached."
        )
    eni = new_interface(
        call,
        vswitch,
        groups,
        primary_address=values["PrimaryIpAddress"],
        chosen_addresses=values["PrivateIpAddress"],
        secondary_addresses=values["SecondaryPrivateIpAddressCount"] or 0,
    )
    eni.name = values["NetworkInterfaceName"] or ""
    eni.description = values["Description"] or ""
    eni.source_dest_check = values["SourceDestCheck"] is not False
    eni.delete_with_instance = values["DeleteOnRelease"] is not False
    cloud.save(eni)
    return _shown(eni)


@action(
    "ecs",
    "AttachNetworkInterface",
    One("RegionId"),
    INTERFACE,
    INSTANCE,
    One("WaitForNetworkConfigurationReady", "boolean"),
    One("NetworkCardIndex", "integer", low=0, high=0),
    writes=True,
)
def attach_network_interface(call: Call) -> Answer:
    eni, instance = own_interface(call, call.values["NetworkInterfaceId"]), _ecs(call)
    if eni.status in ("Attaching", "InUse") and eni.instance == instance.id:
        return {}
    _need(eni.status == "Available", _wrong_state())
    _need(instance.status in ("Running", "Stopped") and not instance.is_deleting, _wrong_instance_state())
    _need(eni.zone == instance.zone, _mismatch("AvailabilityZone"))
    _need(eni.vpc == instance.vpc, _mismatch("Vpc"))
    limit = call.cloud.world.instance_types[instance.instance_type].eni_quantity
    if len(call.cloud.enis_of(instance.id)) >= limit:
        raise ApiError(403, "EniPerInstanceLimitExceeded", f"{instance.id} can have {limit} network interfaces.")
    _check_addresses_fit(call, instance, len(eni.addresses))
    eni.instance, eni.status, eni.due = instance.id, "Attaching", call.now + call.cloud.world.timings.eni
    call.cloud.work_on_interface(eni, "plug")
    return {}


@action("ecs", "DetachNetworkInterface", One("RegionId"), INTERFACE, INSTANCE, writes=True)
def detach_network_interface(call: Call) -> Answer:
    eni, instance = own_interface(call, call.values["NetworkInterfaceId"]), _ecs(call)
    if eni.role == "Primary":
        text = "Detaching primary ENI from ECS instance is not allowed."
        raise ApiError(400, "InvalidOperation.DetachPrimaryEniNotAllowed", text)
    _need(eni.instance == instance.id and eni.status in ("InUse", "Detaching"), _wrong_state())
    _need(instance.status in ("Running", "Stopped"), _wrong_instance_state())
    if eni.status == "InUse":
        eni.status, eni.due = "Detaching", call.now + call.cloud.world.timings.eni
        call.cloud.work_on_interface(eni, "unplug")
    return {}


@action("ecs", "DeleteNetworkInterface", One("RegionId"), INTERFACE, writes=True)
def delete_network_interface(call: Call) -> Answer:
    eni = own_interface(call, call.values["NetworkInterfaceId"])
    _need(eni.status == "Available", _wrong_state())
    eni.status, eni.due, eni.cause = "Deleting", call.now + call.cloud.world.timings.eni, call.cause
    call.cloud.save(eni)
    return {}


@action(
    "ecs",
    "AssignPrivateIpAddresses",
    One("RegionId"),
    CLIENT_TOKEN,
    INTERFACE,
    COUNT,
    Many("PrivateIpAddress", MOST_SECONDARY_ADDRESSES),
    writes=True,
)
def assign_private_ip_addresses(call: Call) -> Answer:
    eni = own_interface(call, call.values["NetworkInterfaceId"])
    one_of(call, "PrivateIpAddress", "SecondaryPrivateIpAddressCount")
    _need(eni.status in ("InUse", "Available"), _wrong_state())
    vswitch = call.cloud.world.vswitches[eni.vswitch]
    chosen, count = call.values["PrivateIpAddress"], call.values["SecondaryPrivateIpAddressCount"] or 0
    for address in chosen:
        check_address(call, vswitch, address)
    if eni.instance:
        _check_addresses_fit(call, call.cloud.instances[eni.instance], len(eni.addresses) + len(chosen) + count)
    added = [*chosen, *call.cloud.take_addresses(vswitch, count, eni.id)]
    for address in added:
        call.cloud.take_address(vswitch, address, eni.id)
        call.cloud.bill_address(eni, address, call.now, call.cause)
    eni.addresses.extend(added)
    call.cloud.save(eni)
    call.cloud.readdress(eni)
    shown = {"NetworkInterfaceId": eni.id, "PrivateIpSet": {"PrivateIpAddress": added}}
    return {"AssignedPrivateIpAddressesSet": shown}


@action(
    "ecs",
    "UnassignPrivateIpAddresses",
    One("RegionId"),
    INTERFACE,
    Many("PrivateIpAddress", MOST_SECONDARY_ADDRESSES, required=True),
    writes=True,
)
def unassign_private_ip_addresses(call: Call) -> Answer:
    eni = own_interface(call, call.values["NetworkInterfaceId"])
    _need(eni.status in ("InUse", "Available"), _wrong_state())
    leaving = call.values["PrivateIpAddress"]
    for address in leaving:
        if address == eni.addresses[0]:
            text = f"The primary address {address} cannot be unassigned."
            raise ApiError(400, "InvalidIp.PrimaryIpCannotUnassign", text)
        if address not in eni.addresses:
            raise ApiError(403, "InvalidIp.IpUnassigned", f"The address {address} is not assigned to {eni.id}.")
    for address in leaving:
        eni.addresses.remove(address)
        call.cloud.free_address(eni.vswitch, address)
        call.cloud.end_billing("address", address, call.now, call.cause)
    call.cloud.save(eni)
    call.cloud.readdress(eni)
    return {}


@action(
    "ecs",
    "ModifyNetworkInterfaceAttribute",
    One("RegionId"),
    INTERFACE,
    One("NetworkInterfaceName"),
    One("Description"),
    Many("SecurityGroupId", 16),
    One("DeleteOnRelease", "boolean"),
    One("SourceDestCheck", "boolean"),
    writes=True,
)
def modify_network_interface_attribute(call: Call) -> Answer:
    eni, values = own_interface(call, call.values["NetworkInterfaceId"]), call.values
    check_groups(call, tuple(values["SecurityGroupId"]), call.cloud.world.vswitches[eni.vswitch])
    for attribute, name in (
        ("name", "NetworkInterfaceName"),
        ("description", "Description"),
        ("delete_with_instance", "DeleteOnRelease"),
        ("source_dest_check", "SourceDestCheck"),
    ):
        if values[name] is not None:
            setattr(eni, attribute, values[name])
    if values["SecurityGroupId"]:
        eni.security_groups = list(values["SecurityGroupId"])
    call.cloud.save(eni)
    return {}


@action(
    "ecs",
    "DescribeNetworkInterfaces",
    REGION,
    *PAGES,
    *TOKEN_PAGES,
    TAGS,
    Many("NetworkInterfaceId", 100),
    One("InstanceId"),
    One("VSwitchId"),
    One("VpcId"),
    One("Type", choices=("Primary", "Secondary")),
    One("PrimaryIpAddress"),
    Many("PrivateIpAddress", 100),
    One("SecurityGroupId"),
    One("NetworkInterfaceName"),
    One("ResourceGroupId"),
    One("ServiceManaged", "boolean"),
    One("Status", choices=("Available", "Attaching", "InUse", "Detaching", "Deleting")),
)
def describe_network_interfaces(call: Call) -> Answer:
    found = [eni for eni in call.own(call.cloud.enis) if _is_asked_for(call, eni)]
    part, pages = either_page(call, found, most=500)
    return {**pages, "NetworkInterfaceSets": {"NetworkInterfaceSet": [_shown(eni) for eni in part]}}


def _is_asked_for(call: Call, eni: Eni) -> bool:
    values = call.values
    same = {
        "InstanceId": eni.instance,
        "VSwitchId": eni.vswitch,
        "VpcId": eni.vpc,
        "Type": eni.role,
        "Status": eni.status,
        "PrimaryIpAddress": eni.addresses[0],
        "NetworkInterfaceName": eni.name,
    }
    if any(values[name] not in (None, "", value) for name, value in same.items()):
        return False
    if values["NetworkInterfaceId"] and eni.id not in values["NetworkInterfaceId"]:
        return False
    if values["PrivateIpAddress"] and not set(values["PrivateIpAddress"]) & set(eni.addresses):
        return False
    if values["SecurityGroupId"] and values["SecurityGroupId"] not in eni.security_groups:
        return False
    return has_tags(eni.tags, values["Tag"])


def _shown(eni: Eni) -> Answer:
    return {
        "NetworkInterfaceId": eni.id,
        "NetworkInterfaceName": eni.name,
        "Description": eni.description,
        "Status": eni.status,
        "Type": eni.role,
        "NetworkInterfaceTrafficMode": "Standard",
        "InstanceId": eni.instance,
        "MacAddress": eni.mac,
        "VpcId": eni.vpc,
        "VSwitchId": eni.vswitch,
        "ZoneId": eni.zone,
        "CreationTime": moments.seconds(eni.created),
        "DeleteOnRelease": eni.delete_with_instance,
        "SourceDestCheck": eni.source_dest_check,
        "PrivateIpAddress": eni.addresses[0],
        "PrivateIpSets": {
            "PrivateIpSet": [
                {"PrivateIpAddress": address, "Primary": address == eni.addresses[0]} for address in eni.addresses
            ]
        },
        "Ipv6Sets": {"Ipv6Set": []},
        "SecurityGroupIds": {"SecurityGroupId": eni.security_groups},
        "Tags": {"Tag": tag_list(eni.tags)},
    }


def _ecs(call: Call) -> Instance:
    """The instance of a call about interfaces, which have a code of their own for one that is not there."""
    try:
        return own_instance(call, call.values["InstanceId"])
    except ApiError:
        raise ApiError(404, "InvalidEcsId.NotFound", "The specified EcsId does not exist.") from None


def _check_addresses_fit(call: Call, instance: Instance, count: int) -> None:
    limit = call.cloud.world.instance_types[instance.instance_type].addresses_per_eni
    if count > limit:
        text = f"A network interface of {instance.instance_type} can have {limit} addresses."
        raise ApiError(403, "InvalidOperation.Ipv4CountExceeded", text)


def _need(fine: bool, error: ApiError) -> None:
    if not fine:
        raise error


def _wrong_state() -> ApiError:
    return ApiError(403, "InvalidOperation.InvalidEniState", "The operation is not allowed in the current ENI state.")


def _wrong_instance_state() -> ApiError:
    return ApiError(400, "InvalidOperation.InvalidEcsState", "The operation is not allowed in the current ECS state.")


def _mismatch(what: str) -> ApiError:
    text = f"The {what} of the network interface and of the instance are not the same."
    return ApiError(403, f"InvalidOperation.{what}Mismatch", text)
