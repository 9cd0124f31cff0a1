from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from tests.lab.errors import InventoryError
from tests.lab.inventory import parse
from tests.lab.topology import ANYWHERE, Mirror, Route, SharedGateway, Topology, topology_of
from tests.unit.lab.lab_inventories import hybrid, three_racks, two_racks


def topology(listing: dict[str, Any]) -> Topology:
    return topology_of(parse(listing))


def legs(topology: Topology, name: str) -> list[tuple[str, str, list[str]]]:
    machine = topology.machine(name)
    return [(leg.segment, leg.device, [str(a) for a in leg.addresses]) for leg in machine.attachment.legs]


def hops(*addresses: str) -> tuple[IPv4Address, ...]:
    return tuple(IPv4Address(address) for address in addresses)


class TestTwoRacks:
    @pytest.fixture
    def lab(self) -> Topology:
        return topology(two_racks())

    def test_one_segment_a_rack_with_a_spine_and_an_outside(self, lab: Topology) -> None:
        assert {segment.name: str(segment.subnet) for segment in lab.segments} == {
            "rack-r1": "10.20.1.0/24",
            "rack-r2": "10.20.2.0/24",
            "spine": "10.98.0.0/24",
            "outside": "10.99.0.0/16",
        }

    def test_a_switch_has_a_leg_in_its_rack_the_spine_and_outside(self, lab: Topology) -> None:
        assert legs(lab, "tor2") == [
            ("rack-r2", "eth0", ["10.20.2.1/24"]),
            ("spine", "eth1", ["10.98.0.3/24"]),
            ("outside", "eth2", ["10.99.0.3/16"]),
        ]
        assert lab.machine("tor2").attachment.forwards

    def test_a_host_has_its_switch_as_gateway(self, lab: Topology) -> None:
        assert legs(lab, "w1") == [("rack-r2", "eth0", ["10.20.2.21/24"])]
        assert lab.machine("w1").attachment.routes == (Route(ANYWHERE, hops("10.20.2.1")),)
        assert not lab.machine("w1").attachment.forwards

    def test_the_station_has_the_address_of_the_mirror_and_a_route_to_each_rack(self, lab: Topology) -> None:
        assert lab.mirror == Mirror(IPv4Address("10.98.0.1"), 8080, 5000)
        assert [str(address) for address in lab.station.legs[0].addresses] == ["10.98.0.1/24"]
        assert lab.station.routes == (
            Route(IPv4Network("10.20.1.0/24"), hops("10.98.0.2")),
            Route(IPv4Network("10.20.2.0/24"), hops("10.98.0.3")),
        )

    def test_every_switch_may_hold_the_gateway_of_the_client(self, lab: Topology) -> None:
        assert lab.client is not None
        assert lab.client.routes == (Route(ANYWHERE, hops("10.99.255.254")),)
        assert {switch.name: switch.gateways for switch in lab.fabric} == {
            "tor1": (SharedGateway("OUTSIDE", "eth2", IPv4Address("10.99.255.254"), 100),),
            "tor2": (SharedGateway("OUTSIDE", "eth2", IPv4Address("10.99.255.254"), 99),),
        }

    def test_a_host_that_boots_later_says_so(self, lab: Topology) -> None:
        assert {machine.name: machine.boots for machine in lab.machines if machine.kind == "host"} == {
            "cp1": True,
            "w1": True,
            "w2": False,
        }

    def test_an_unknown_name_is_answered_with_the_names_there_are(self, lab: Topology) -> None:
        with pytest.raises(InventoryError, match=r"called nosuch; there are: .*cp1"):
            lab.machine("nosuch")


class TestThreeRacks:
    @pytest.fixture
    def lab(self) -> Topology:
        return topology(three_racks())

    def test_without_an_import_prefix_there_is_no_outside(self, lab: Topology) -> None:
        assert lab.client is None
        assert [segment.name for segment in lab.segments] == ["rack-hall-a", "rack-hall-b", "rack-hall-c", "spine"]
        assert [leg.segment for leg in lab.machine("leaf-b").attachment.legs] == ["rack-hall-b", "spine"]

    def test_the_switches_of_a_rack_share_a_gateway_that_is_none_of_theirs(self, lab: Topology) -> None:
        assert legs(lab, "leaf-a1")[0] == ("rack-hall-a", "eth0", ["172.28.10.2/23"])
        gateway = IPv4Address("172.28.11.254")
        assert {switch.name: switch.gateways for switch in lab.fabric} == {
            "leaf-a1": (SharedGateway("RACK", "eth0", gateway, 100),),
            "leaf-a2": (SharedGateway("RACK", "eth0", gateway, 99),),
            "leaf-b": (),
            "leaf-c": (),
        }
        assert lab.machine("earth").attachment.routes == (Route(ANYWHERE, hops("172.28.11.254")),)

    def test_spine_addresses_go_around_the_mirror(self, lab: Topology) -> None:
        assert [(switch.name, str(switch.spine_address), switch.as_number) for switch in lab.fabric] == [
            ("leaf-a1", "192.168.250.1", 4200010001),
            ("leaf-a2", "192.168.250.2", 4200010001),
            ("leaf-b", "192.168.250.4", 4200010002),
            ("leaf-c", "192.168.250.5", 4200010003),
        ]

    def test_the_station_reaches_a_rack_through_all_its_switches(self, lab: Topology) -> None:
        assert lab.station.routes[0] == Route(IPv4Network("172.28.10.0/23"), hops("192.168.250.1", "192.168.250.2"))


def no_mirror(listing: dict[str, Any]) -> None:
    for variables in listing["_meta"]["hostvars"].values():
        del variables["estate_mirror"]


def everywhere(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(listing: dict[str, Any]) -> None:
        for variables in listing["_meta"]["hostvars"].values():
            variables.update(values)

    return change


def of_host(name: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda listing: listing["_meta"]["hostvars"][name].update(values)


def no_switch_in_second_rack(listing: dict[str, Any]) -> None:
    listing["switches"]["hosts"].remove("tor2")
    del listing["_meta"]["hostvars"]["tor2"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (no_mirror, "estate_mirror is missing"),
        (everywhere(lab_spine="10.97.0.0/24"), "names 10.98.0.1, which is not in the lab's spine 10.97.0.0/24"),
        (everywhere(lab_spine="10.98.0.0/31"), "too small for a leg of every switch"),
        (everywhere(lab_spine="spine"), "lab_spine: "),
        (everywhere(estate_bgp={"import": ["10.20.0.0/16"]}), r"rack-r1 \(10.20.1.0/24\) and outside .* overlap"),
        (everywhere(estate_bgp={"import": ["10.99.0.1/32"]}), "10.99.0.1/32 has no room for a client"),
        (everywhere(estate_racks={}), "estate_racks is missing"),
        (no_switch_in_second_rack, "estate_racks.r2 has no switch"),
        (of_host("w1", rack="r9"), "w1 is in no rack"),
        (of_host("w1", ansible_host="10.20.1.21"), "w1: 10.20.1.21 is outside the subnet 10.20.2.0/24 of rack r2"),
        (of_host("w1", ansible_host="10.20.2.22"), "w1 and w2 have the same ansible_host"),
        (of_host("w1", ansible_host="w1.example"), "ansible_host of w1: "),
    ],
)
def test_an_inventory_that_cannot_be_booted_is_refused(change: Callable[[dict[str, Any]], None], problem: str) -> None:
    listing = two_racks()
    change(listing)
    with pytest.raises(InventoryError, match=problem):
        topology(listing)


def test_every_problem_is_named_at_once() -> None:
    listing = two_racks()
    of_host("w1", rack="r9")(listing)
    of_host("w2", ansible_host="10.1.1.1")(listing)
    with pytest.raises(InventoryError) as caught:
        topology(listing)
    assert "w1 is in no rack" in str(caught.value)
    assert "w2: 10.1.1.1 is outside" in str(caught.value)


def test_a_local_connection_is_no_machine() -> None:
    listing = two_racks()
    listing["ungrouped"] = {"hosts": ["localhost"]}
    listing["_meta"]["hostvars"]["localhost"] = {"ansible_connection": "local"}
    assert "localhost" not in [machine.name for machine in topology(listing).machines]


class TestHybrid:
    @pytest.fixture
    def lab(self) -> Topology:
        return topology(hybrid())

    def test_the_router_of_the_vpc_is_where_the_endpoints_say_and_knows_the_data_centre(self, lab: Topology) -> None:
        assert lab.cloud is not None
        assert (str(lab.cloud.address), lab.cloud.port) == ("10.98.0.100", 8090)
        assert [str(subnet) for subnet in lab.cloud.subnets] == ["172.20.1.0/24", "172.20.2.0/24", "172.20.3.0/24"]
        switches = hops("10.98.0.2", "10.98.0.3")
        assert lab.cloud.router.routes == (
            Route(IPv4Network("10.20.1.0/24"), switches[:1]),
            Route(IPv4Network("10.20.2.0/24"), switches[1:]),
            Route(IPv4Network("10.21.0.0/16"), switches),
            Route(IPv4Network("10.99.0.0/16"), switches),
        )

    def test_the_data_centre_knows_the_way_to_the_vpc(self, lab: Topology) -> None:
        to_vpc = Route(IPv4Network("172.20.0.0/16"), hops("10.98.0.100"))
        assert to_vpc in lab.station.routes
        assert [switch.routes for switch in lab.fabric] == [(to_vpc,), (to_vpc,)]

    def test_without_a_cloud_there_is_none(self) -> None:
        assert topology(two_racks()).cloud is None

    @pytest.mark.parametrize(
        ("key", "value", "problem"),
        [
            ("endpoints", {"ecs": "10.77.0.1:80"}, "which is not in the lab's spine 10.98.0.0/24"),
            ("endpoints", {}, "host of estate_cloud.endpoints.ecs"),
            ("cidr", "10.20.0.0/16", "segments rack-r1 (10.20.1.0/24) and VPC 10.20.0.0/16 (10.20.0.0/16) overlap"),
            ("cidr", "nonsense", "estate_cloud.cidr"),
        ],
    )
    def test_a_vpc_that_the_lab_cannot_make_is_refused(self, key: str, value: object, problem: str) -> None:
        described = hybrid()
        for variables in described["_meta"]["hostvars"].values():
            variables["estate_cloud"][key] = value
        with pytest.raises(InventoryError) as caught:
            topology(described)
        assert problem in str(caught.value)
