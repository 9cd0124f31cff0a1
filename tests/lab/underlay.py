"""The fabric that is there before the collection comes: the FRR configuration that others left on a switch. Pure.

Every switch speaks eBGP with every other over the spine (iBGP where they share the AS of a rack) and announces the
subnet of its rack and the outside prefix. What the collection adds later are neighbours of its own beside these.
Written as `show running-config` prints it, so that a reload finds no difference.
"""

from __future__ import annotations

from tests.lab.topology import FabricSwitch, Topology


def frr_configuration(topology: Topology, switch_name: str) -> str:
    """/etc/frr/frr.conf of one switch of the topology."""
    switch = next(each for each in topology.fabric if each.name == switch_name)
    others = [each for each in topology.fabric if each.name != switch_name]
    return "\n".join(
        [
            "frr defaults traditional",
            f"hostname {switch.name}",
            "log syslog informational",
            "no ipv6 forwarding",
            "service integrated-vtysh-config",
            "!",
            f"router bgp {switch.as_number}",
            f" bgp router-id {switch.spine_address}",
            *_neighbors(others),
            " !",
            " address-family ipv4 unicast",
            *(f"  network {network}" for network in switch.networks),
            "  neighbor FABRIC route-map FABRIC-IN in",
            "  neighbor FABRIC route-map FABRIC-OUT out",
            " exit-address-family",
            "exit",
            "!",
            "route-map FABRIC-IN permit 10",
            "exit",
            "!",
            "route-map FABRIC-OUT permit 10",
            "exit",
            "!",
            "end",
            "",
        ]
    )


def _neighbors(others: list[FabricSwitch]) -> list[str]:
    group = [
        " neighbor FABRIC peer-group",
        " neighbor FABRIC advertisement-interval 0",
        " neighbor FABRIC timers 3 9",
        " neighbor FABRIC timers connect 1",
    ]
    for other in others:
        group += [
            f" neighbor {other.spine_address} remote-as {other.as_number}",
            f" neighbor {other.spine_address} peer-group FABRIC",
            f" neighbor {other.spine_address} description {other.name}",
        ]
    return group
