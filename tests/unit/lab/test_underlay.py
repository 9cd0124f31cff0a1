from __future__ import annotations

from tests.lab.inventory import parse
from tests.lab.topology import topology_of
from tests.lab.underlay import frr_configuration, gateway_configuration
from tests.unit.lab.lab_inventories import hybrid, three_racks, two_racks


def test_a_switch_peers_with_the_others_and_announces_its_rack_and_the_outside() -> None:
    lines = frr_configuration(topology_of(parse(two_racks())), "tor1").splitlines()
    assert "router bgp 64901" in lines
    assert " bgp router-id 10.98.0.2" in lines
    assert [line for line in lines if "remote-as" in line] == [" neighbor 10.98.0.3 remote-as 64902"]
    assert [line for line in lines if "network" in line] == ["  network 10.20.1.0/24", "  network 10.99.0.0/16"]


def test_every_other_switch_is_a_neighbour_of_the_fabric_group() -> None:
    lines = frr_configuration(topology_of(parse(three_racks())), "leaf-b").splitlines()
    assert [line for line in lines if "remote-as" in line or "peer-group" in line] == [
        " neighbor FABRIC peer-group",
        " neighbor 192.168.250.1 remote-as 4200010001",
        " neighbor 192.168.250.1 peer-group FABRIC",
        " neighbor 192.168.250.2 remote-as 4200010001",
        " neighbor 192.168.250.2 peer-group FABRIC",
        " neighbor 192.168.250.5 remote-as 4200010003",
        " neighbor 192.168.250.5 peer-group FABRIC",
    ]
    assert [line for line in lines if "network" in line] == ["  network 172.28.20.0/23"]


def test_the_other_switch_of_a_rack_is_in_a_group_of_its_own() -> None:
    lines = frr_configuration(topology_of(parse(three_racks())), "leaf-a2").splitlines()
    assert [line for line in lines if line.endswith(" peer-group")] == [
        " neighbor FABRIC peer-group",
        " neighbor RACK peer-group",
    ]
    assert [line for line in lines if "peer-group " in line] == [
        " neighbor 192.168.250.4 peer-group FABRIC",
        " neighbor 192.168.250.5 peer-group FABRIC",
        " neighbor 192.168.250.1 peer-group RACK",
    ]
    assert "  neighbor RACK route-map FABRIC-OUT out" in lines


def test_a_switch_of_two_holds_the_gateway_of_its_rack_until_it_is_gone() -> None:
    text = gateway_configuration(topology_of(parse(three_racks())), "leaf-a2")
    assert "vrrp_instance RACK {" in text
    assert "interface eth0" in text
    assert "172.28.11.254/32" in text
    assert "nopreempt" in text


def test_a_switch_that_is_a_gateway_by_itself_shares_none() -> None:
    assert gateway_configuration(topology_of(parse(three_racks())), "leaf-b") == ""


def test_the_switches_have_a_static_route_to_the_vpc() -> None:
    lines = frr_configuration(topology_of(parse(hybrid())), "tor2").splitlines()
    assert lines[lines.index("service integrated-vtysh-config") :][1:5] == [
        "!",
        "ip route 172.20.0.0/16 10.98.0.100",
        "!",
        "router bgp 64902",
    ]
