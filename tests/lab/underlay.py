"""The fabric that is there before the collection comes: what others configured on a switch, FRR and VRRP. Pure.

Every switch speaks eBGP with every other over the spine (iBGP where they share the AS of a rack) and announces the
subnet of its rack and the outside prefix. What the collection adds later are neighbours of its own beside these.
Written as `show running-config` prints it, so that a reload finds no difference.
"""

from __future__ import annotations

from tests.lab.topology import FabricSwitch, SharedGateway, Topology


def gateway_configuration(topology: Topology, switch_name: str) -> str:
    """/etc/keepalived/keepalived.conf of one switch; empty when it shares no gateway.

    Another switch takes over when three advertisements are missing, and keeps the gateway when the first one is back:
    that one has an address again long before it has routes.
    """
    instances = [_gateway(gateway) for gateway in _of(topology, switch_name).gateways]
    head = "global_defs {\n    vrrp_version 3\n    vrrp_priority -20\n}\n"
    return head + "".join(instances) if instances else ""


def _gateway(gateway: SharedGateway) -> str:
    return f"""\
vrrp_instance {gateway.name} {{
    state BACKUP
    nopreempt
    interface {gateway.device}
    virtual_router_id 1
    priority {gateway.priority}
    advert_int 0.2
    virtual_ipaddress {{
        {gateway.address}/32
    }}
}}
"""


def _of(topology: Topology, switch_name: str) -> FabricSwitch:
    return next(each for each in topology.fabric if each.name == switch_name)


def frr_configuration(topology: Topology, switch_name: str) -> str:
    """/etc/frr/frr.conf of one switch of the topology."""
    switch = _of(topology, switch_name)
    groups = _groups(switch, [each for each in topology.fabric if each.name != switch_name])
    return "\n".join(
        [
            "frr defaults traditional",
            f"hostname {switch.name}",
            "log syslog informational",
            "no ipv6 forwarding",
            "service integrated-vtysh-config",
            "!",
            *_static(switch),
            f"router bgp {switch.as_number}",
            f" bgp router-id {switch.spine_address}",
            *(line for group in groups for line in _group(group)),
            *(line for group, others in groups.items() for other in others for line in _neighbor(group, other)),
            " !",
            " address-family ipv4 unicast",
            *(f"  network {network}" for network in switch.networks),
            *(f"  neighbor {group} route-map FABRIC-{way.upper()} {way}" for group in groups for way in ("in", "out")),
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


def _static(switch: FabricSwitch) -> list[str]:
    lines = [f"ip route {route.destination} {hop}" for route in switch.routes for hop in route.via]
    return [*lines, "!"] if lines else []


def _groups(switch: FabricSwitch, others: list[FabricSwitch]) -> dict[str, list[FabricSwitch]]:
    """FRR takes neighbours of the own AS and of others into one peer-group only to ignore half of them."""
    found: dict[str, list[FabricSwitch]] = {}
    for other in others:
        found.setdefault("RACK" if other.as_number == switch.as_number else "FABRIC", []).append(other)
    return dict(sorted(found.items()))


def _group(name: str) -> list[str]:
    return [
        f" neighbor {name} peer-group",
        f" neighbor {name} advertisement-interval 0",
        f" neighbor {name} timers 3 9",
        f" neighbor {name} timers connect 1",
    ]


def _neighbor(group: str, other: FabricSwitch) -> list[str]:
    return [
        f" neighbor {other.spine_address} remote-as {other.as_number}",
        f" neighbor {other.spine_address} peer-group {group}",
        f" neighbor {other.spine_address} description {other.name}",
    ]
