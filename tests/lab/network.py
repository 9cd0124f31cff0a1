"""Namespaces, bridges and cables of the lab. All in namespaces of its own: the machine's network stays as it is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.lab.identity import Identity, bridge_of, mac_of, port_of
from tests.lab.process import PROC, run
from tests.lab.topology import Attachment, Leg, Segment

NAMESPACES = Path("/run/netns")

QUIET = {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}
FORWARDING = {
    "net.ipv4.ip_forward": "1",
    # Its neighbours hear at once that a switch is there again.
    "net.ipv4.conf.all.arp_notify": "1",
    "net.ipv4.conf.default.arp_notify": "1",
}
FAILOVER = {
    "net.ipv4.fib_multipath_hash_policy": "1",
    # A next hop that does not answer ARP is left out…
    "net.ipv4.fib_multipath_use_neigh": "1",
}
# … which is found out soon (milliseconds).
ATTENTIVE = "base_reachable 200 delay_probe 200 retrans 100 ucast_probes 2"


def path_of(namespace: str) -> Path:
    return NAMESPACES / namespace


def namespace_exists(namespace: str) -> bool:
    """Whether the name leads to a network namespace; after an interrupted `ip netns add` it is a plain file."""
    with contextlib.suppress(OSError):
        return path_of(namespace).stat().st_dev == (PROC / "self/ns/net").stat().st_dev
    return False


def ensure_namespace(namespace: str, settings: Mapping[str, str]) -> None:
    if not namespace_exists(namespace):
        delete_namespace(namespace)
        run(["ip", "netns", "add", namespace])
    batch(namespace, ["link set lo up"])
    if settings:
        set_kernel(namespace, settings)


def set_kernel(namespace: str, settings: Mapping[str, str]) -> None:
    """Settings of the kernel for a namespace."""
    assignments = [f"{name}={value}" for name, value in settings.items()]
    run(["nsenter", f"--net={path_of(namespace)}", "sysctl", "--quiet", "--write", *assignments])


def delete_namespace(namespace: str) -> None:
    if not path_of(namespace).exists():
        return
    if namespace_exists(namespace):
        run(["ip", "netns", "delete", namespace])
    else:
        path_of(namespace).unlink()


def namespaces_of(identity: Identity) -> list[str]:
    if not NAMESPACES.is_dir():
        return []
    return sorted(entry.name for entry in NAMESPACES.iterdir() if identity.owns_namespace(entry.name))


def pids_in(namespace: str, among: Iterable[int]) -> list[int]:
    """The processes, of those in `among`, that are in the network namespace."""
    try:
        inode = path_of(namespace).stat().st_ino
    except OSError:
        return []
    found = []
    for pid in among:
        with contextlib.suppress(OSError):
            if (PROC / str(pid) / "ns/net").stat().st_ino == inode:
                found.append(pid)
    return found


def ensure_bridges(identity: Identity, segments: Iterable[Segment]) -> None:
    ensure_namespace(identity.namespace, QUIET)
    present = set(devices(identity.namespace))
    commands = []
    for segment in segments:
        bridge = bridge_of(segment.name)
        if bridge not in present:
            commands.append(f"link add {bridge} type bridge forward_delay 0 stp_state 0 mcast_snooping 0")
        commands.append(f"link set {bridge} up")
    batch(identity.namespace, commands)


def devices(namespace: str) -> dict[str, bool]:
    """The devices of a namespace, and whether each is switched on; none when the namespace is gone."""
    if not namespace_exists(namespace):
        return {}
    listing = json.loads(run(["ip", "-json", "-netns", namespace, "link", "show"]))
    return {str(device["ifname"]): "UP" in device["flags"] for device in listing}


def addresses(namespace: str) -> set[str]:
    """The IPv4 addresses in a namespace; none when it is gone."""
    if not namespace_exists(namespace):
        return set()
    listing = json.loads(run(["ip", "-json", "-4", "-netns", namespace, "address", "show"]))
    return {str(address["local"]) for device in listing for address in device.get("addr_info", ())}


def routes(namespace: str) -> set[str]:
    """Destinations that the namespace has a route to."""
    listing = json.loads(run(["ip", "-json", "-netns", namespace, "route", "show"]))
    return {str(route["dst"]) for route in listing}


def ports_of(owner: str, attachment: Attachment) -> list[str]:
    return [port_of(owner, leg.device) for leg in attachment.legs]


def attach(identity: Identity, owner: str, attachment: Attachment, namespace: str) -> None:
    """Plug every leg into its segment and give it its addresses and routes; what is there already stays."""
    ensure_namespace(namespace, _settings(attachment))
    ours, plugged = set(devices(namespace)), set(devices(identity.namespace))
    cables = []
    for leg in attachment.legs:
        port = port_of(owner, leg.device)
        whole = port in plugged and leg.device in ours
        if not whole and port in plugged:
            cables.append(f"link delete {port}")
        if not whole and leg.device in ours:
            batch(namespace, [f"link delete {leg.device}"])
        if not whole:
            peer = f"peer name {leg.device} address {mac_of(owner, leg.device)} netns {namespace}"
            cables.append(f"link add {port} type veth {peer}")
        cables.append(f"link set {port} master {bridge_of(leg.segment)} up")
    batch(identity.namespace, cables)
    batch(namespace, [line for leg in attachment.legs for line in _addressing(leg)] + _routing(attachment))
    if attachment.fails_over:
        batch(namespace, [f"ntable change name arp_cache dev {leg.device} {ATTENTIVE}" for leg in attachment.legs])


def _settings(attachment: Attachment) -> Mapping[str, str]:
    return {**(FORWARDING if attachment.forwards else {}), **(FAILOVER if attachment.fails_over else {})}


def _addressing(leg: Leg) -> list[str]:
    addresses = [f"address replace {address} dev {leg.device}" for address in leg.addresses]
    return [*addresses, f"link set {leg.device} up"]


def _routing(attachment: Attachment) -> list[str]:
    lines = []
    for route in attachment.routes:
        hops = " ".join(f"nexthop via {hop}" for hop in route.via)
        lines.append(f"route replace {route.destination} {hops}")
    return lines


def detach(identity: Identity, owner: str, attachment: Attachment, namespace: str) -> None:
    """Take a machine that is off from the network: its namespace, and cables that are left of it."""
    delete_namespace(namespace)
    present = devices(identity.namespace)
    for port in ports_of(owner, attachment):
        if port in present:
            # The kernel clears a namespace away in the background and may be faster.
            with contextlib.suppress(Exception):
                batch(identity.namespace, [f"link delete {port}"])


def switch_ports(identity: Identity, owner: str, attachment: Attachment, *, on: bool) -> None:
    """Pull the cables of a machine, or plug them in again."""
    batch(identity.namespace, [f"link set {port} {'up' if on else 'down'}" for port in ports_of(owner, attachment)])


def batch(namespace: str, commands: Sequence[str]) -> None:
    """Commands of `ip` in a namespace, in one call; after one that fails none is done."""
    if commands:
        run(["ip", "-netns", namespace, "-batch", "-"], stdin="\n".join(commands) + "\n")
