"""What an inventory means on the wire: segments, the legs of every machine in them, addresses and routes. Pure.

A rack is one layer-2 segment. Its switches have a leg in it (their `ansible_host`), one in the spine, and one in the
outside segment; the hosts' default gateway is the rack's `gateway`, or else its first switch.

- Spine: `lab_spine`. The switches route to each other over it. The control station (Ansible, the mirror, the name
  server) has a leg there at the address that `estate_mirror` names, and static routes to the racks.
- Outside: the first prefix of `estate_bgp.import`, one segment with a leg of **every** switch and one client.
- Several switches hold a gateway together (VRRP): the outside client's, and that of a rack of several switches whose
  `gateway` is nobody's own address. While one of them lives, it answers.
- Cloud: with `estate_cloud`, its VPC behind one router with a leg in the spine: the dedicated line. The switches have a
  static route to it. The simulated cloud listens at the router's address, which `estate_cloud.endpoints` names.

Names of racks, hosts and switches, addresses and AS numbers come from the inventory alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import combinations
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.lab.errors import InventoryError
from tests.lab.inventory import Inventory

SPINE = "spine"
OUTSIDE = "outside"
DEFAULT_SPINE = "10.98.0.0/24"
ANYWHERE = IPv4Network("0.0.0.0/0")
_FIRST_PRIORITY = 100
_SMALLEST_OUTSIDE = 8

Kind = Literal["host", "switch"]


@dataclass(frozen=True)
class Segment:
    """One layer-2 network: a bridge of the lab."""

    name: str
    subnet: IPv4Network


@dataclass(frozen=True)
class Leg:
    """A network device in a segment."""

    segment: str
    device: str
    addresses: tuple[IPv4Interface, ...]


@dataclass(frozen=True)
class Route:
    """A static route; several next hops share the flows."""

    destination: IPv4Network
    via: tuple[IPv4Address, ...]


@dataclass(frozen=True)
class Attachment:
    """How something is connected. One that fails over leaves out next hops that are gone."""

    legs: tuple[Leg, ...]
    routes: tuple[Route, ...] = ()
    forwards: bool = False
    fails_over: bool = False


@dataclass(frozen=True)
class Machine:
    """A host or a switch of the inventory. `boots` is false for those that stay off until somebody names them."""

    name: str
    kind: Kind
    address: IPv4Address
    attachment: Attachment
    boots: bool = True


@dataclass(frozen=True)
class SharedGateway:
    """A gateway that a switch holds together with others. The living one of the highest `priority` begins."""

    name: str
    device: str
    address: IPv4Address
    priority: int


@dataclass(frozen=True)
class FabricSwitch:
    """A switch as the other switches see it: the prefixes it announces by itself, and its static routes."""

    name: str
    as_number: int
    spine_address: IPv4Address
    networks: tuple[IPv4Network, ...]
    gateways: tuple[SharedGateway, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True)
class Mirror:
    """Where the lab's file server and registry listen, as the inventory's `estate_mirror` says."""

    address: IPv4Address
    downloads_port: int
    registry_port: int


@dataclass(frozen=True)
class Cloud:
    """The VPC. Its subnets are those of its vSwitches; `router` is how it hangs on the spine, at `address`."""

    prefixes: tuple[IPv4Network, ...]
    subnets: tuple[IPv4Network, ...]
    address: IPv4Address
    port: int
    router: Attachment


@dataclass(frozen=True)
class Topology:
    segments: tuple[Segment, ...]
    machines: tuple[Machine, ...]
    fabric: tuple[FabricSwitch, ...]
    mirror: Mirror
    station: Attachment
    client: Attachment | None
    cloud: Cloud | None = None

    def machine(self, name: str) -> Machine:
        found = next((machine for machine in self.machines if machine.name == name), None)
        if found is None:
            names = ", ".join(machine.name for machine in self.machines)
            raise InventoryError(f"no host or switch of this lab is called {name}; there are: {names}")
        return found


@dataclass(frozen=True)
class _Rack:
    """`shared` says that no switch has the gateway as its own address."""

    name: str
    subnet: IPv4Network
    as_number: int
    switches: tuple[str, ...]
    gateway: IPv4Address
    shared: bool


class _Reader:
    """Reads values and collects what is wrong with them, so that one run names every problem."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.problems: list[str] = []

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def network(self, value: object, what: str) -> IPv4Network | None:
        try:
            return IPv4Network(str(value))
        except ValueError as error:
            self.problem(f"{what}: {error}")
            return None

    def address(self, value: object, what: str) -> IPv4Address | None:
        try:
            return IPv4Address(str(value))
        except ValueError as error:
            self.problem(f"{what}: {error}")
            return None

    def host_address(self, host: str) -> IPv4Address | None:
        value = self.inventory.variables_of(host).get("ansible_host")
        if value is None:
            self.problem(f"{host} has no ansible_host")
            return None
        return self.address(value, f"ansible_host of {host}")

    def stop_if_wrong(self) -> None:
        if self.problems:
            raise InventoryError("the lab cannot boot this inventory:\n" + "\n".join(f"- {p}" for p in self.problems))


def topology_of(inventory: Inventory) -> Topology:
    """The lab of an inventory. Raises InventoryError with every problem."""
    reader = _Reader(inventory)
    racks = _racks(reader)
    mirror = _mirror(reader)
    spine = _spine(reader, mirror)
    outside = _outside(reader)
    vpc = _vpc(reader, spine)
    reader.stop_if_wrong()
    assert mirror is not None
    assert spine is not None
    segments = _segments(racks, spine, outside)
    _check_overlaps(reader, [*segments, *(Segment(f"VPC {prefix}", prefix) for prefix in vpc.prefixes)])
    spine_addresses = _assign(
        reader, spine, (switch for rack in racks for switch in rack.switches), {mirror.address, vpc.address}
    )
    client_address = outside.subnet[1] if outside else None
    client_gateway = outside.subnet[-2] if outside else None
    outside_addresses = _assign(
        reader, outside, (switch for rack in racks for switch in rack.switches), {client_address, client_gateway}
    )
    hosts = _hosts(reader, racks)
    reader.stop_if_wrong()
    switches = [
        _switch(reader, rack, name, _legs_beyond(name, (spine, spine_addresses), (outside, outside_addresses)))
        for rack in racks
        for name in rack.switches
    ]
    machines = (*switches, *hosts)
    _check_unique_addresses(reader, machines)
    reader.stop_if_wrong()
    announced_everywhere = (outside.subnet,) if outside else ()
    to_cloud = tuple(Route(prefix, (vpc.address,)) for prefix in vpc.prefixes if vpc.address)
    return Topology(
        segments=segments,
        machines=machines,
        fabric=tuple(
            FabricSwitch(
                name,
                rack.as_number,
                spine_addresses[name],
                (rack.subnet, *announced_everywhere),
                tuple(_gateways(rack, name, client_gateway, list(outside_addresses))),
                to_cloud,
            )
            for rack in racks
            for name in rack.switches
        ),
        mirror=mirror,
        station=_station(spine, mirror, (*_to_racks(racks, spine_addresses), *to_cloud)),
        client=_client(outside, client_address, client_gateway),
        cloud=_cloud(vpc, spine, (*_to_racks(racks, spine_addresses), *_beyond(reader, outside, spine_addresses))),
    )


def rack_segment(rack: str) -> str:
    return f"rack-{rack}"


def _racks(reader: _Reader) -> tuple[_Rack, ...]:
    described = reader.inventory.shared("estate_racks")
    if not isinstance(described, Mapping) or not described:
        reader.problem("estate_racks is missing: a lab has at least one rack")
        return ()
    placed = {name: rack_of_switch(reader.inventory, name) for name in reader.inventory.hosts_of("switches")}
    for name, rack in placed.items():
        if rack not in described:
            reader.problem(f"switch {name} is in no rack: name it in estate_racks.<rack>.switches")
    racks = (_rack(reader, str(name), body, placed) for name, body in sorted(described.items()))
    return tuple(rack for rack in racks if rack is not None)


def rack_of_switch(inventory: Inventory, switch: str) -> str | None:
    """The rack that lists the switch, else the switch's own variable `rack`."""
    racks: Mapping[str, Any] = inventory.shared("estate_racks") or {}
    listing = next((name for name, body in racks.items() if switch in (body.get("switches") or ())), None)
    return listing or inventory.variables_of(switch).get("rack")


def _rack(reader: _Reader, name: str, body: Mapping[str, Any], placed: Mapping[str, str | None]) -> _Rack | None:
    where = f"estate_racks.{name}"
    subnet = reader.network(body.get("subnet"), f"{where}.subnet")
    ours = [switch for switch, rack in placed.items() if rack == name]
    switches = tuple(dict.fromkeys([*(switch for switch in body.get("switches") or () if switch in ours), *ours]))
    if not switches:
        reader.problem(f"{where} has no switch of group switches: its hosts would have no gateway")
        return None
    gateway = (
        reader.address(body["gateway"], f"{where}.gateway") if "gateway" in body else reader.host_address(switches[0])
    )
    if not str(body.get("as", "")).isdigit():
        reader.problem(f"{where}.as must be the AS number of the rack's switches")
        return None
    if subnet is None or gateway is None:
        return None
    if gateway not in subnet:
        reader.problem(f"{where}: its gateway {gateway} is outside its subnet {subnet}")
    shared = gateway not in [reader.host_address(switch) for switch in switches]
    return _Rack(name, subnet, int(body["as"]), switches, gateway, shared)


def _mirror(reader: _Reader) -> Mirror | None:
    described = reader.inventory.shared("estate_mirror")
    if not isinstance(described, Mapping) or not {"downloads", "registry"} <= set(described):
        reader.problem("estate_mirror is missing: the lab serves at the address in its downloads and registry URLs")
        return None
    downloads, registry = urlsplit(str(described["downloads"])), urlsplit(str(described["registry"]))
    address = reader.address(downloads.hostname, "host of estate_mirror.downloads")
    if downloads.hostname != registry.hostname:
        reader.problem(
            "estate_mirror: downloads and registry must name one address in a lab, "
            f"not {downloads.hostname} and {registry.hostname}"
        )
    if address is None:
        return None
    return Mirror(address, downloads.port or 80, registry.port or 80)


def _spine(reader: _Reader, mirror: Mirror | None) -> Segment | None:
    subnet = reader.network(reader.inventory.shared("lab_spine") or DEFAULT_SPINE, "lab_spine")
    if subnet is None:
        return None
    if mirror and mirror.address not in subnet:
        reader.problem(
            f"estate_mirror names {mirror.address}, which is not in the lab's spine {subnet}: "
            "set lab_spine to a subnet that holds it"
        )
    return Segment(SPINE, subnet)


def _outside(reader: _Reader) -> Segment | None:
    prefixes: Sequence[object] = (reader.inventory.shared("estate_bgp") or {}).get("import") or ()
    if not prefixes:
        return None
    subnet = reader.network(prefixes[0], "estate_bgp.import")
    if subnet is None:
        return None
    if subnet.num_addresses < _SMALLEST_OUTSIDE:
        reader.problem(f"estate_bgp.import: {subnet} has no room for a client, its gateway and the switches")
        return None
    return Segment(OUTSIDE, subnet)


def _segments(racks: Iterable[_Rack], spine: Segment, outside: Segment | None) -> tuple[Segment, ...]:
    return (
        *(Segment(rack_segment(rack.name), rack.subnet) for rack in racks),
        spine,
        *((outside,) if outside else ()),
    )


def _check_overlaps(reader: _Reader, segments: Iterable[Segment]) -> None:
    for one, other in combinations(segments, 2):
        if one.subnet.overlaps(other.subnet):
            reader.problem(f"segments {one.name} ({one.subnet}) and {other.name} ({other.subnet}) overlap")


def _check_unique_addresses(reader: _Reader, machines: Iterable[Machine]) -> None:
    owner: dict[IPv4Address, str] = {}
    for machine in machines:
        other = owner.setdefault(machine.address, machine.name)
        if other != machine.name:
            reader.problem(f"{other} and {machine.name} have the same ansible_host {machine.address}")


def _assign(
    reader: _Reader, segment: Segment | None, names: Iterable[str], taken: Iterable[IPv4Address | None]
) -> dict[str, IPv4Address]:
    """The segment's free addresses, one a name, in order."""
    if segment is None:
        return {}
    occupied = set(taken)
    free = (address for address in segment.subnet.hosts() if address not in occupied)
    assigned = {}
    for name in names:
        address = next(free, None)
        if address is None:
            reader.problem(f"segment {segment.name} ({segment.subnet}) is too small for a leg of every switch")
            break
        assigned[name] = address
    return assigned


def _hosts(reader: _Reader, racks: Iterable[_Rack]) -> list[Machine]:
    by_name = {rack.name: rack for rack in racks}
    switches = set(reader.inventory.hosts_of("switches"))
    machines = []
    for name, variables in reader.inventory.hostvars.items():
        if name in switches or variables.get("ansible_connection") == "local":
            continue
        rack = by_name.get(str(variables.get("rack")))
        if rack is None:
            reader.problem(f"{name} is in no rack of estate_racks: the lab boots hosts of racks")
            continue
        address = reader.host_address(name)
        if address is None:
            continue
        if address not in rack.subnet:
            reader.problem(f"{name}: {address} is outside the subnet {rack.subnet} of rack {rack.name}")
        leg = Leg(rack_segment(rack.name), "eth0", (_in(rack.subnet, address),))
        attachment = Attachment((leg,), (Route(ANYWHERE, (rack.gateway,)),))
        machines.append(Machine(name, "host", address, attachment, boots=variables.get("lab_boot", True) is not False))
    return machines


def _switch(reader: _Reader, rack: _Rack, name: str, beyond: tuple[Leg, ...]) -> Machine:
    address = reader.host_address(name) or rack.gateway
    if address not in rack.subnet:
        reader.problem(f"{name}: {address} is outside the subnet {rack.subnet} of rack {rack.name}")
    leg = Leg(rack_segment(rack.name), "eth0", (_in(rack.subnet, address),))
    return Machine(name, "switch", address, Attachment((leg, *beyond), forwards=True, fails_over=True))


def _gateways(
    rack: _Rack, name: str, client_gateway: IPv4Address | None, everyone: Sequence[str]
) -> Iterator[SharedGateway]:
    if rack.shared:
        yield SharedGateway("RACK", "eth0", rack.gateway, _FIRST_PRIORITY - rack.switches.index(name))
    if client_gateway is not None:
        yield SharedGateway("OUTSIDE", "eth2", client_gateway, _FIRST_PRIORITY - everyone.index(name))


def _legs_beyond(name: str, *assignments: tuple[Segment | None, Mapping[str, IPv4Address]]) -> tuple[Leg, ...]:
    """The switch's legs outside its rack: eth1, eth2…"""
    present = [(segment, addresses[name]) for segment, addresses in assignments if segment is not None]
    return tuple(
        Leg(segment.name, f"eth{number}", (_in(segment.subnet, address),))
        for number, (segment, address) in enumerate(present, start=1)
    )


def _to_racks(racks: Iterable[_Rack], spine_addresses: Mapping[str, IPv4Address]) -> Iterator[Route]:
    return (Route(rack.subnet, tuple(spine_addresses[name] for name in rack.switches)) for rack in racks)


def _beyond(reader: _Reader, outside: Segment | None, spine_addresses: Mapping[str, IPv4Address]) -> Iterator[Route]:
    """What any switch knows the way to: the pods of the data centre, and the outside."""
    pods = ((reader.inventory.shared("estate_networks") or {}).get("pods") or {}).get("bare_metal")
    for prefix in (*([pods] if isinstance(pods, str) else pods or ()), *([outside.subnet] if outside else ())):
        yield Route(IPv4Network(str(prefix)), tuple(spine_addresses.values()))


def _station(spine: Segment, mirror: Mirror, routes: tuple[Route, ...]) -> Attachment:
    leg = Leg(spine.name, "spine", (_in(spine.subnet, mirror.address),))
    return Attachment((leg,), routes, fails_over=True)


@dataclass(frozen=True)
class _Vpc:
    """The inventory's VPC; without one, nothing."""

    prefixes: tuple[IPv4Network, ...] = ()
    subnets: tuple[IPv4Network, ...] = ()
    address: IPv4Address | None = None
    port: int = 0


def _vpc(reader: _Reader, spine: Segment | None) -> _Vpc:
    described = reader.inventory.shared("estate_cloud")
    if not isinstance(described, Mapping):
        return _Vpc()
    prefixes = [
        reader.network(described.get("cidr"), "estate_cloud.cidr"),
        *(reader.network(each, "estate_cloud.secondary_cidrs") for each in described.get("secondary_cidrs") or ()),
    ]
    subnets = [
        reader.network(body.get("cidr"), f"estate_cloud.{kind}.{zone}.cidr")
        for kind in ("node_vswitches", "pod_vswitches")
        for zone, body in sorted((described.get(kind) or {}).items())
    ]
    endpoint = urlsplit(f"//{(described.get('endpoints') or {}).get('ecs')}")
    address = reader.address(endpoint.hostname, "host of estate_cloud.endpoints.ecs")
    if address is not None and spine is not None and address not in spine.subnet:
        reader.problem(f"estate_cloud.endpoints.ecs names {address}, which is not in the lab's spine {spine.subnet}")
    return _Vpc(
        tuple(each for each in prefixes if each is not None),
        tuple(each for each in subnets if each is not None),
        address,
        endpoint.port or 80,
    )


def _cloud(vpc: _Vpc, spine: Segment, routes: tuple[Route, ...]) -> Cloud | None:
    if vpc.address is None:
        return None
    leg = Leg(spine.name, "spine", (_in(spine.subnet, vpc.address),))
    router = Attachment((leg,), routes, forwards=True, fails_over=True)
    return Cloud(vpc.prefixes, vpc.subnets, vpc.address, vpc.port, router)


def _client(outside: Segment | None, address: IPv4Address | None, gateway: IPv4Address | None) -> Attachment | None:
    if outside is None or address is None or gateway is None:
        return None
    leg = Leg(outside.name, "eth0", (_in(outside.subnet, address),))
    return Attachment((leg,), (Route(ANYWHERE, (gateway,)),))


def _in(subnet: IPv4Network, address: IPv4Address) -> IPv4Interface:
    return IPv4Interface((address, subnet.prefixlen))


def switches_of(topology: Topology) -> Iterator[Machine]:
    return (machine for machine in topology.machines if machine.kind == "switch")
