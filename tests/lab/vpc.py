"""The VPC: a router with the gateways of all vSwitches, and the network interfaces that are plugged into machines.

A VPC knows which interface has which address; it does not ask. Nobody in a machine answers for a pod's address, so the
router gets a permanent neighbour for each. Machines talk to each other through the router, as they do there.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from tests.fakecloud.machines import Interface
from tests.lab import network
from tests.lab.errors import LabError
from tests.lab.identity import Identity, mac_of, port_of
from tests.lab.process import run
from tests.lab.topology import Cloud

ROUTER = "vpc"
BRIDGE = "br-vpc"
METADATA = "100.100.100.200"
LINE_BUFFER = ("burst", "10kb", "latency", "100ms")
FIRST_SECONDARY, LAST_SECONDARY = 1, 9
SETTINGS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
}
BRIDGE_SETTINGS = {
    f"net.ipv4.conf.{BRIDGE}.rp_filter": "0",
    f"net.ipv4.conf.{BRIDGE}.send_redirects": "0",
    # Machines of one vSwitch cannot hear each other: the router answers for all of them.
    f"net.ipv4.conf.{BRIDGE}.proxy_arp_pvlan": "1",
    # At once, not after up to 0.8 seconds.
    f"net.ipv4.neigh.{BRIDGE}.proxy_delay": "0",
    # It asks nobody for an address that it does not know.
    f"net.ipv4.neigh.{BRIDGE}.mcast_solicit": "0",
    f"net.ipv4.neigh.{BRIDGE}.ucast_solicit": "0",
}


def ensure(identity: Identity, cloud: Cloud) -> None:
    """The router and its bridge; what is there already stays."""
    namespace = identity.vpc_namespace
    network.ensure_namespace(namespace, SETTINGS)
    network.attach(identity, ROUTER, cloud.router, namespace)
    if BRIDGE not in network.devices(namespace):
        # A bridge takes the lowest address of its ports, and forgets all neighbours whenever that changes.
        pinned = mac_of(ROUTER, BRIDGE)
        kind = "type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
        network.batch(namespace, [f"link add {BRIDGE} address {pinned} {kind}", f"link set {BRIDGE} address {pinned}"])
    gateways = [f"address replace {subnet[-3]}/{subnet.prefixlen} dev {BRIDGE}" for subnet in cloud.subnets]
    network.batch(namespace, [*gateways, f"address replace {METADATA}/32 dev {BRIDGE}", f"link set {BRIDGE} up"])
    network.set_kernel(namespace, BRIDGE_SETTINGS)


def slow_line(identity: Identity, cloud: Cloud, mbit: int) -> None:
    """The dedicated line carries so much each way, and keeps the rest waiting; 0 is as much as this machine can."""
    leg = cloud.router.legs[0].device
    for namespace, device in ((identity.vpc_namespace, leg), (identity.namespace, port_of(ROUTER, leg))):
        qdisc = ["tc", "-netns", namespace, "qdisc"]
        if mbit:
            run([*qdisc, "replace", "dev", device, "root", "tbf", "rate", f"{mbit}mbit", *LINE_BUFFER])
        elif "tbf" in run([*qdisc, "show", "dev", device]):
            run([*qdisc, "delete", "dev", device, "root"])


def plug(identity: Identity, owner: str, interface: Interface) -> None:
    """Put an interface into a machine that is on. The primary one is ready for use, others are as a new card is."""
    namespace, router = identity.host_namespace(owner), identity.vpc_namespace
    if device_of(namespace, interface.mac) is None:
        device = _free_device(namespace, owner, primary=interface.primary)
        port = port_of(owner, device)
        if port in network.devices(router):
            # Left of a machine that is off; the kernel clears its namespace away in the background and may be faster.
            with contextlib.suppress(LabError):
                network.batch(router, [f"link delete {port}"])
        peer = f"peer name {device} address {interface.mac} netns {namespace}"
        network.batch(router, [f"link add {port} type veth {peer}", f"link set {port} master {BRIDGE} up"])
        run(["bridge", "-netns", router, "link", "set", "dev", port, "isolated", "on"])
        if interface.primary:
            network.batch(namespace, _primary(interface, device))
    readdress(identity, interface.mac, interface.addresses)


def unplug(identity: Identity, owner: str, interface: Interface) -> None:
    """Take an interface out, wherever in the machine it is; nothing to do is fine."""
    namespace = identity.host_namespace(owner)
    device = device_of(namespace, interface.mac)
    if device is not None:
        network.batch(namespace, [f"link delete {device}"])
    readdress(identity, interface.mac, ())


def switch_ports(identity: Identity, owner: str, *, on: bool) -> None:
    """Pull the cables of a machine, or plug them in again."""
    devices = [str(each["ifname"]) for each in _links(identity.host_namespace(owner))]
    ports = {port_of(owner, device) for device in devices} & set(network.devices(identity.vpc_namespace))
    network.batch(identity.vpc_namespace, [f"link set {port} {'up' if on else 'down'}" for port in sorted(ports)])


def readdress(identity: Identity, mac: str, addresses: Sequence[str]) -> None:
    """The router knows exactly these addresses behind the interface."""
    router = identity.vpc_namespace
    known = {entry["dst"] for entry in _neighbours(router) if entry.get("lladdr") == mac}
    network.batch(
        router,
        [
            *(f"neigh del {address} dev {BRIDGE}" for address in sorted(known - set(addresses))),
            *(f"neigh replace {address} lladdr {mac} dev {BRIDGE} nud permanent" for address in addresses),
        ],
    )


def device_of(namespace: str, mac: str) -> str | None:
    """The device of a machine that has this address; None when there is none, or no machine."""
    if not network.namespace_exists(namespace):
        return None
    return next((str(each["ifname"]) for each in _links(namespace) if each.get("address") == mac), None)


def _primary(interface: Interface, device: str) -> list[str]:
    prefix = interface.cidr.partition("/")[2]
    return [
        f"address replace {interface.addresses[0]}/{prefix} dev {device}",
        f"link set {device} up",
        f"route replace default via {interface.gateway} dev {device}",
    ]


def _free_device(namespace: str, owner: str, *, primary: bool) -> str:
    if primary:
        return "eth0"
    taken = {str(each["ifname"]) for each in _links(namespace)}
    devices = (f"eth{number}" for number in range(FIRST_SECONDARY, LAST_SECONDARY + 1))
    free = next((device for device in devices if device not in taken), None)
    if free is None:
        raise LabError(f"{owner} has eth{FIRST_SECONDARY} to eth{LAST_SECONDARY} already; a lab machine takes no more")
    return free


def _links(namespace: str) -> Iterable[dict[str, Any]]:
    return list(json.loads(run(["ip", "-json", "-netns", namespace, "link", "show"])))


def _neighbours(router: str) -> Iterable[dict[str, Any]]:
    command = ["ip", "-json", "-4", "-netns", router, "neigh", "show", "dev", BRIDGE, "nud", "permanent"]
    return list(json.loads(run(command) or "[]"))
