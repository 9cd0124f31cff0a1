"""What the control station serves: an OCI registry, release files, and names. Processes that carry the lab's mark.

They are found by that mark in their environment, so a lab whose records are lost, or that was interrupted between
starting a process and writing it down, still knows its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.lab import network
from tests.lab.errors import LabError
from tests.lab.files import write_atomically
from tests.lab.identity import Identity
from tests.lab.process import all_pids, environment_of, is_alive, kill_all, listens, start, wait_until
from tests.lab.state import State
from tests.lab.topology import Cloud, Topology

MARK = "HYBRIDK8S_LAB_SERVICE"
DNS_PORT = 53
READY_WITHIN_SECONDS = 15.0
CLOUD = "cloud"
HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]


@dataclass(frozen=True)
class Service:
    """A process of the control station, or of the VPC's router. It reads its `configuration` besides its arguments."""

    name: str
    command: tuple[str, ...]
    address: str
    port: int
    protocol: str = "tcp"
    configuration: str = ""
    on_router: bool = False

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class ServicePaths:
    """What the services serve."""

    mirror: Path
    registry: Path


def services_of(
    topology: Topology, paths: ServicePaths, directory: Path, offered: Mapping[str, Any] | None = None
) -> list[Service]:
    """The services of a lab; their configuration files lie in `directory`, the cloud has what is offered. Pure."""
    mirror = topology.mirror
    address = str(mirror.address)
    names = {machine.name: str(machine.address) for machine in topology.machines}
    return [
        Service(
            "registry",
            ("docker-registry", "serve", str(directory / "registry.conf")),
            address,
            mirror.registry_port,
            configuration=_registry_configuration(f"{address}:{mirror.registry_port}", paths.registry),
        ),
        Service(
            "files",
            (sys.executable, str(HERE / "fileserver.py"), address, str(mirror.downloads_port), str(paths.mirror)),
            address,
            mirror.downloads_port,
        ),
        Service(
            "names",
            (sys.executable, str(HERE / "nameserver.py"), address, str(DNS_PORT), str(directory / "names.conf")),
            address,
            DNS_PORT,
            protocol="udp",
            configuration=json.dumps(names, indent=1),
        ),
        *([_cloud(topology.cloud, offered or {})] if topology.cloud else []),
    ]


def _cloud(cloud: Cloud, offered: Mapping[str, Any]) -> Service:
    command = (sys.executable, "-m", "tests.lab.cloud", str(CHECKOUT))
    configuration = json.dumps(offered, indent=1)
    return Service(CLOUD, command, str(cloud.address), cloud.port, configuration=configuration, on_router=True)


def _registry_configuration(listen: str, storage: Path) -> str:
    """JSON, which is YAML too. Read-only: every lab of this user serves the same storage."""
    return json.dumps(
        {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(storage)},
                "cache": {"blobdescriptor": "inmemory"},
                "maintenance": {"readonly": {"enabled": True}, "uploadpurging": {"enabled": False}},
            },
            "http": {"addr": listen},
        },
        indent=1,
    )


def ensure(identity: Identity, state: State, services: Sequence[Service]) -> None:
    """Start what does not run, or runs with another configuration; return when all listen."""
    running = pids_by_name(identity)
    for service in services:
        processes = dict(running.get(service.name, ()))
        in_place = network.pids_in(_namespace(identity, service), processes)
        if _mark(identity, service) not in {processes[pid] for pid in in_place}:
            stop(identity, service.name)
            write_configuration(state, service)
            _start(identity, state, service)
    for service in services:
        if not wait_until(partial(is_ready, identity, service), READY_WITHIN_SECONDS):
            raise LabError(f"service {service.name} does not listen; its log is {_log(state, service.name)}")


def write_configuration(state: State, service: Service) -> None:
    state.services.mkdir(parents=True, exist_ok=True)
    if service.configuration:
        write_atomically(configuration_of(state, service.name), service.configuration)


def configuration_of(state: State, name: str) -> Path:
    return state.services / f"{name}.conf"


def _namespace(identity: Identity, service: Service) -> str:
    return identity.vpc_namespace if service.on_router else identity.namespace


def _start(identity: Identity, state: State, service: Service) -> None:
    command = ["nsenter", f"--net={network.path_of(_namespace(identity, service))}", *service.command]
    environment = {MARK: _mark(identity, service), "PYTHONPATH": str(CHECKOUT)}
    start(command, _log(state, service.name), environment)


def _log(state: State, name: str) -> Path:
    return state.services / f"{name}.log"


def _mark(identity: Identity, service: Service) -> str:
    return f"{identity.id}/{service.name}/{service.fingerprint}"


def pids_by_name(identity: Identity) -> dict[str, list[tuple[int, str]]]:
    """Processes of the lab's services with their marks, by service."""
    start_of_ours = f"{MARK}={identity.id}/"
    found: dict[str, list[tuple[int, str]]] = {}
    for pid in all_pids():
        for variable in environment_of(pid):
            if variable.startswith(start_of_ours) and is_alive(pid):
                mark = variable.removeprefix(f"{MARK}=")
                found.setdefault(mark.split("/")[1], []).append((pid, mark))
    return found


def is_ready(identity: Identity, service: Service) -> bool:
    running = pids_by_name(identity).get(service.name, ())
    return any(listens(pid, service.port, protocol=service.protocol) for pid, _unused in running)


def stop(identity: Identity, name: str) -> None:
    kill_all(lambda: [pid for pid, _unused in pids_by_name(identity).get(name, ())], f"service {name}")


def stop_all(identity: Identity) -> None:
    kill_all(lambda: [pid for found in pids_by_name(identity).values() for pid, _unused in found], "services")
