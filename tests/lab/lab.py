"""A lab as a whole: up, down, what state it is in, and faults."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import build, cgroups, keys, limits, network, services, station, vpc
from tests.lab.errors import InventoryError, LabError
from tests.lab.host import Host, is_switched_on
from tests.lab.identity import Identity, bridge_of
from tests.lab.inventory import listing_of, parse
from tests.lab.offers import world_of
from tests.lab.process import all_pids, is_own_ancestor, kill_all, wait_until
from tests.lab.progress import say, step
from tests.lab.state import State
from tests.lab.topology import Cloud, Machine, Topology, switches_of, topology_of
from tests.lab.virtual import is_virtual, virtual_machines

WORKERS = 8
BOOTED_WITHIN_SECONDS = 90.0
FABRIC_WITHIN_SECONDS = 45.0


@dataclass(frozen=True)
class Lab:
    """A lab with the inventory that it was brought up for."""

    identity: Identity
    state: State
    inventory: Path
    bases: tuple[Path, ...]
    topology: Topology

    def machines(self) -> list[Machine]:
        """Those of the inventory, and those that its cloud made."""
        return [*self.topology.machines, *virtual_machines(self.state.hosts)]

    def machine(self, name: str) -> Machine:
        virtual = next((each for each in virtual_machines(self.state.hosts) if each.name == name), None)
        return virtual or self.topology.machine(name)

    def host(self, name: str) -> Host:
        return self.of(self.machine(name))

    def hosts(self) -> list[Host]:
        return [self.of(machine) for machine in self.machines()]

    def of(self, machine: Machine) -> Host:
        return Host(self.identity, self.state, self.bases, machine)


def load(identity: Identity) -> Lab:
    """The lab of a checkout as it was last brought up. NotUp when there is none."""
    state = State(identity)
    record = state.load()
    topology = topology_of(parse(record["listing"]))
    return Lab(identity, state, Path(record["inventory"]), tuple(Path(base) for base in record["cgroups"]), topology)


def up(identity: Identity, inventory: Path, names: Sequence[str] = ()) -> Lab:
    """Bring up the whole lab, or the named machines; repair what is not as it should be.

    Without names, machines with `lab_boot: false` that were never named stay off.
    """
    listing = listing_of(inventory, identity.checkout)
    topology = topology_of(parse(listing))
    offered = world_of(parse(listing)) if topology.cloud else {}
    for name in names:
        topology.machine(name)
    state = State(identity)
    with state.lock():
        lab = _open(identity, state, inventory, listing, topology)
        artifacts = build.ensure(say)
        limits.raise_limits()
        _remove_machines_not_in(lab)
        _ensure_network(lab)
        paths = services.ServicePaths(artifacts.mirror_dir, artifacts.registry_storage)
        services.ensure(identity, state, services.services_of(topology, paths, state.services, offered))
        keys.login_key(state)
        _each(lambda machine: keys.host_key(state, machine), topology.machines)
        keys.write_known_hosts(state, lab.machines())
        wanted = [host for host in lab.hosts() if host.name in names or (not names and _belongs(host))]
        images = {"host": artifacts.host_rootfs, "switch": artifacts.switch_rootfs}
        _bring_up(lab, wanted, images)
        _wait_for_fabric(lab)
    return lab


def _open(identity: Identity, state: State, inventory: Path, listing: dict[str, Any], topology: Topology) -> Lab:
    """Write down what the lab is, before anything is made of it."""
    bases = tuple(cgroups.new_bases(identity.prefix))
    if state.exists:
        record = state.load()
        if record["inventory"] != str(inventory):
            raise LabError(
                f"this lab is up for {record['inventory']}; `./lab down` before it can be that of {inventory}"
            )
        bases = tuple(Path(base) for base in record["cgroups"])
    state.save(
        {
            "checkout": str(identity.checkout),
            "inventory": str(inventory),
            "cgroups": [str(base) for base in bases],
            "listing": listing,
        }
    )
    return Lab(identity, state, inventory, bases, topology)


def _belongs(host: Host) -> bool:
    return not is_virtual(host.directory) and (host.machine.boots or host.has_disk)


def _remove_machines_not_in(lab: Lab) -> None:
    """A machine that the inventory no longer has goes, with its disk."""
    known = {machine.name for machine in lab.machines()}
    if not lab.state.hosts.is_dir():
        return
    for directory in lab.state.hosts.iterdir():
        if directory.name not in known:
            say(f"{directory.name} is no longer in the inventory: removed")
            _end_hosts_group(lab.bases, directory.name)
            network.delete_namespace(lab.identity.host_namespace(directory.name))
            shutil.rmtree(directory)


def _end_hosts_group(bases: Sequence[Path], name: str) -> None:
    kill_all(lambda: cgroups.pids(bases, name), name)
    cgroups.remove(bases, name)


def _ensure_network(lab: Lab) -> None:
    identity, topology = lab.identity, lab.topology
    network.ensure_bridges(identity, topology.segments)
    network.attach(identity, "station", topology.station, identity.namespace)
    if topology.client:
        network.attach(identity, "client", topology.client, identity.client_namespace)
    if topology.cloud:
        vpc.ensure(identity, topology.cloud)


def _bring_up(lab: Lab, wanted: Sequence[Host], images: dict[str, Path]) -> None:
    ports = network.devices(lab.identity.namespace)
    off, booting = [], []
    for host in wanted:
        power = host.observe(ports).state
        if power != "off" and not host.repair_network(ports):
            say(f"{host.name} has lost its network namespace: power-cycled")
            host.kill()
            power = "off"
        if power == "off":
            off.append(host)
        elif power == "booting":
            booting.append(host)
    if not off and not booting:
        return
    with step(f"booting {_counted([*off, *booting])}"):
        started = dict(
            zip(off, _each(lambda host: host.boot(images[host.machine.kind], lab.topology), off), strict=True)
        )
        for host, (_unused, replaced) in started.items():
            if replaced:
                say(f"{host.name}: its disk was made for another inventory or build; it got a new one")
        processes = {host: process for host, (process, _unused) in started.items()}
        _wait_for_boot(lab, {**processes, **dict.fromkeys(booting)})


def _counted(hosts: Iterable[Host]) -> str:
    kinds = [host.machine.kind for host in hosts]
    plural = {"host": "hosts", "switch": "switches"}
    counts = [(kinds.count(kind), kind) for kind in ("host", "switch") if kind in kinds]
    return " and ".join(f"{count} {kind if count == 1 else plural[kind]}" for count, kind in counts)


def _wait_for_boot(lab: Lab, started: Mapping[Host, subprocess.Popen[bytes] | None]) -> None:
    """Wait until every machine answers ssh; LabError with the console of those that don't.

    There is no process for a machine that was switched on before.
    """
    waiting = dict(started)
    failed: list[Host] = []
    deadline = time.monotonic() + BOOTED_WITHIN_SECONDS
    while waiting and time.monotonic() < deadline:
        ports = network.devices(lab.identity.namespace)
        for host, process in list(waiting.items()):
            if process is not None and not is_switched_on(process):
                failed.append(host)
                del waiting[host]
            elif host.observe(ports).state == "running":
                del waiting[host]
        time.sleep(0.1)
    failed.extend(waiting)
    if failed:
        consoles = (f"{host.name} ({host.console}):\n{host.console_tail()}" for host in failed)
        remedy = "`./lab kill HOST` and `./lab up` try again"
        raise LabError(f"these machines did not boot; {remedy}; their consoles end with:\n" + "\n\n".join(consoles))


def _wait_for_fabric(lab: Lab) -> None:
    """Wait until every switch that runs has a route to the racks of every other that runs, and gateways are held."""
    running = [host for host in map(lab.host, (m.name for m in switches_of(lab.topology))) if host.pids()]
    on = [switch for switch in lab.topology.fabric if switch.name in {host.name for host in running}]
    expected = {str(prefix) for switch in on for prefix in switch.networks}
    gateways = {str(gateway.address) for switch in on for gateway in switch.gateways}

    def missing() -> list[str]:
        held = {address for host in running for address in network.addresses(host.namespace)}
        return [
            *(f"no switch holds {address}" for address in sorted(gateways - held)),
            *(
                f"{host.name} has no route to {', '.join(sorted(expected - network.routes(host.namespace)))}"
                for host in running
                if not expected <= network.routes(host.namespace)
            ),
        ]

    if not missing():
        return
    with step(f"fabric of {len(running)} switches: waiting for routes"):
        if not wait_until(lambda: not missing(), FABRIC_WITHIN_SECONDS, interval=0.2):
            raise LabError("the fabric is not whole: " + "; ".join(missing()))


def boot(identity: Identity, name: str) -> None:
    """Switch one machine of a lab that is up on."""
    up(identity, load(identity).inventory, [name])


def kill(identity: Identity, name: str) -> None:
    with State(identity).lock():
        load(identity).host(name).kill()


def wipe(identity: Identity, name: str) -> None:
    """Switch a machine off and throw its disk away."""
    with State(identity).lock():
        host = load(identity).host(name)
        host.kill()
        host.remove()


def cable(identity: Identity, name: str, *, plugged: bool) -> None:
    """Pull a machine's network cables, or plug them in."""
    with State(identity).lock():
        host = load(identity).host(name)
        if not host.pids():
            raise LabError(f"{name} is off; a machine that boots has its cables plugged in")
        network.switch_ports(identity, name, host.machine.attachment, on=plugged)
        if is_virtual(host.directory):
            vpc.switch_ports(identity, name, on=plugged)


def line(identity: Identity, mbit: int) -> None:
    """Make the line between VPC and data centre slow, or with 0 as fast as it goes."""
    with State(identity).lock():
        vpc.slow_line(identity, cloud_of(load(identity)), mbit)


def cloud_of(lab: Lab) -> Cloud:
    """The lab's cloud; InventoryError where there is none."""
    if lab.topology.cloud is None:
        raise InventoryError("this estate has no cloud: it has no estate_cloud")
    return lab.topology.cloud


def down(identity: Identity) -> None:
    """Remove everything that the lab made, whatever is left of it and of its records."""
    state = State(identity)
    with state.lock():
        bases = _all_bases(identity, state)
        services.stop_all(identity)
        groups = sorted({entry.name for base in bases for entry in _directories(base)})
        _each(lambda name: kill_all(lambda: cgroups.pids(bases, name), name), groups)
        namespaces = network.namespaces_of(identity)
        kill_all(lambda: _strangers_in(namespaces), "commands in the lab's namespaces")
        for namespace in namespaces:
            network.delete_namespace(namespace)
        cgroups.remove(bases)
        state.remove()
        shutil.rmtree(station.control_sockets(identity), ignore_errors=True)


def _all_bases(identity: Identity, state: State) -> tuple[Path, ...]:
    recorded = [Path(base) for base in state.load()["cgroups"]] if state.exists else []
    return tuple(dict.fromkeys([*recorded, *cgroups.find_bases(identity.prefix)]))


def _directories(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if entry.is_dir()] if path.is_dir() else []


def _strangers_in(namespaces: Iterable[str]) -> list[int]:
    """Processes in the namespaces, such as a shell or a kept ssh connection; not this command, if it runs in one."""
    pids = [pid for pid in all_pids() if not is_own_ancestor(pid)]
    return sorted({pid for namespace in namespaces for pid in network.pids_in(namespace, pids)})


def status(lab: Lab) -> dict[str, Any]:
    """What the lab is doing, as plain data."""
    ports = network.devices(lab.identity.namespace)
    running = services.pids_by_name(lab.identity)
    mirror, cloud = lab.topology.mirror, lab.topology.cloud
    listening = {
        "registry": f"{mirror.address}:{mirror.registry_port}",
        "files": f"{mirror.address}:{mirror.downloads_port}",
        "names": f"{mirror.address}:{services.DNS_PORT}",
        **({services.CLOUD: f"{cloud.address}:{cloud.port}"} if cloud else {}),
    }
    return {
        "id": lab.identity.id,
        "inventory": str(lab.inventory),
        "namespace": lab.identity.namespace,
        "hosts": {host.name: _described(host, ports) for host in lab.hosts()},
        "services": {
            name: {
                "state": "running" if running.get(name) else "off",
                "address": address,
                "pid": next((pid for pid, _unused in running.get(name, ())), None),
            }
            for name, address in listening.items()
        },
        "segments": {
            segment.name: {
                "subnet": str(segment.subnet),
                "bridge": bridge_of(segment.name),
                "state": "up" if ports.get(bridge_of(segment.name)) else "missing",
            }
            for segment in lab.topology.segments
        },
    }


def _described(host: Host, ports: dict[str, bool]) -> dict[str, Any]:
    seen = host.observe(ports)
    return {
        "kind": host.machine.kind,
        "state": seen.state,
        "address": str(host.machine.address),
        "pid": seen.pid,
        "memory_bytes": seen.memory_bytes,
        "expected": _belongs(host),
    }


def is_whole(described: dict[str, Any]) -> bool:
    """Whether everything that should run does."""
    return (
        all(host["state"] == "running" for host in described["hosts"].values() if host["expected"])
        and all(service["state"] == "running" for service in described["services"].values())
        and all(segment["state"] == "up" for segment in described["segments"].values())
    )


def _each(action: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """The action's results, of several items at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(action, items))
