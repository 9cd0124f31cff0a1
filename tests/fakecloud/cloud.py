"""The simulated cloud itself: what exists, how it goes on with time, and what is written down of it."""

from __future__ import annotations

import heapq
import ipaddress
import itertools
import secrets
import string
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.fakecloud import world as worlds
from tests.fakecloud.errors import ApiError, addresses_exhausted
from tests.fakecloud.faults import Faults
from tests.fakecloud.machines import Interface, Jobs, Machine, Machines, StateOnly
from tests.fakecloud.model import Cluster, Disk, Eni, Instance, LaunchTemplate, Resource, Session, Token
from tests.fakecloud.store import LoggedRequest, Period, Store
from tests.fakecloud.world import VSwitch, World

WAIT_FOR_MACHINE_SECONDS = 0.05
ALPHABET = string.ascii_lowercase + string.digits

Kind = TypeVar("Kind", bound=Resource)


class Cloud:
    """All state. Whoever reads or changes it holds `lock`; what was changed is committed by `commit`."""

    def __init__(self, directory: Path, world: World | None = None, machines: Machines | None = None) -> None:
        self.lock = threading.RLock()
        self.faults = Faults()
        self.machines = machines or StateOnly()
        self.nonces: dict[str, float] = {}
        self._store = Store(directory)
        self._jobs = Jobs()
        self._log: list[LoggedRequest] = []
        self._shift = float(self._store.setting("shift") or 0.0)
        self.world = world or worlds.parse(self._store.setting("world") or {})
        self._store.set("world", self.world.to_dict())
        self._forget()
        with self.lock:
            for resource in self._store.load():
                self._adopt(resource)
            self._resume()
            self.commit()

    def _forget(self) -> None:
        self.instances: dict[str, Instance] = {}
        self.disks: dict[str, Disk] = {}
        self.enis: dict[str, Eni] = {}
        self.clusters: dict[str, Cluster] = {}
        self.launch_templates: dict[str, LaunchTemplate] = {}
        self.tokens: dict[str, Token] = {}
        self.sessions: dict[str, Session] = {}
        self._tables: dict[str, dict[str, Any]] = {
            "instance": self.instances,
            "disk": self.disks,
            "eni": self.enis,
            "cluster": self.clusters,
            "launch_template": self.launch_templates,
            "token": self.tokens,
            "session": self.sessions,
        }
        self._agenda: list[tuple[float, int, str, str]] = []
        self._order = itertools.count()
        self._numbers = itertools.count(1)
        self._taken: dict[str, dict[str, str]] = defaultdict(dict)
        self._interfaces: dict[str, set[str]] = defaultdict(set)
        self._holder: dict[str, str] = {}
        self._cursor: dict[str, int] = {}

    def _adopt(self, resource: Resource) -> None:
        """Take up what the disk has of an earlier life."""
        self._tables[resource.kind][resource.id] = resource
        self._numbers = itertools.count(max(next(self._numbers), resource.number + 1))
        self._schedule(resource)
        if isinstance(resource, Eni):
            self._index(resource, resource.instance)
            for address in resource.addresses:
                self._taken[resource.vswitch][address] = resource.id

    def _resume(self) -> None:
        for instance in list(self.instances.values()):
            if instance.job:
                self.work(instance, instance.job)
        for eni in list(self.enis.values()):
            if eni.job:
                self.work_on_interface(eni, eni.job)

    # Time

    def now(self) -> float:
        return time.time() + self._shift

    def shift(self, seconds: float) -> None:
        """Let time pass at once."""
        self._shift += seconds
        self._store.set("shift", self._shift)

    def due(self) -> Iterator[tuple[Resource, float]]:
        """Resources for which a step may be due, and when it was: in their order, until there is none."""
        while self._agenda and self._agenda[0][0] <= self.now():
            moment, _order, kind, identifier = heapq.heappop(self._agenda)
            resource = self._tables[kind].get(identifier)
            if resource is not None:
                yield resource, moment

    def _schedule(self, resource: Resource) -> None:
        for moment in _moments(resource, self.world):
            heapq.heappush(self._agenda, (moment, next(self._order), resource.kind, resource.id))

    # What exists

    def identifier(self, prefix: str) -> str:
        return f"{prefix}-{''.join(secrets.choice(ALPHABET) for _place in range(20))}"

    def number(self) -> int:
        return next(self._numbers)

    def save(self, resource: Resource) -> None:
        """Put a resource into the cloud, or write down that it has changed."""
        self._tables[resource.kind][resource.id] = resource
        self._store.save(resource)
        self._schedule(resource)
        if isinstance(resource, Eni):
            self._index(resource, resource.instance)

    def _index(self, eni: Eni, instance: str) -> None:
        self._interfaces[self._holder.pop(eni.id, "")].discard(eni.id)
        if instance:
            self._holder[eni.id] = instance
            self._interfaces[instance].add(eni.id)

    def remove(self, resource: Resource) -> None:
        if isinstance(resource, Eni):
            self._index(resource, "")
        self._tables[resource.kind].pop(resource.id, None)
        self._store.remove(resource)

    def enis_of(self, instance: str) -> list[Eni]:
        """The interfaces of an instance, the primary one first."""
        found = (self.enis[identifier] for identifier in self._interfaces.get(instance, ()))
        return sorted(found, key=lambda eni: (eni.role != "Primary", eni.number))

    def disks_of(self, instance: str) -> list[Disk]:
        return sorted((disk for disk in self.disks.values() if disk.instance == instance), key=lambda disk: disk.number)

    def stock_left(self, zone: str, instance_type: str) -> int | None:
        """What the zone has for everybody; an instance comes out of it and goes back. None: without end."""
        stock = self.world.stock.get(zone, {}).get(instance_type)
        if stock is None:
            return None
        there = (each for each in self.instances.values() if each.zone == zone and each.instance_type == instance_type)
        return stock - sum(1 for _each in there)

    # Addresses

    def primary_address(self, instance: str) -> str:
        return next((eni.addresses[0] for eni in self.enis_of(instance) if eni.role == "Primary"), "")

    @staticmethod
    def is_inside(vswitch: VSwitch, address: str) -> bool:
        return ipaddress.IPv4Address(address) in vswitch.network

    def available_addresses(self, vswitch: VSwitch) -> int:
        return vswitch.capacity - len(self._taken[vswitch.id])

    def owner_of_address(self, vswitch: str, address: str) -> str | None:
        return self._taken[vswitch].get(address)

    def take_addresses(self, vswitch: VSwitch, count: int, eni: str) -> list[str]:
        """Free addresses, those that were not used for the longest time first."""
        if self.available_addresses(vswitch) < count:
            raise addresses_exhausted(vswitch.id)
        taken, network = self._taken[vswitch.id], vswitch.network
        start = self._cursor.get(vswitch.id, 0)
        found: list[str] = []
        for step in itertools.count(start):
            if len(found) == count:
                self._cursor[vswitch.id] = step % vswitch.capacity
                return found
            address = str(network[1 + step % vswitch.capacity])
            if address not in taken:
                taken[address] = eni
                found.append(address)
        raise AssertionError("unreachable")

    def reuse_addresses(self) -> None:
        self._cursor.clear()

    def take_address(self, vswitch: VSwitch, address: str, eni: str) -> None:
        self._taken[vswitch.id][address] = eni

    def free_address(self, vswitch: str, address: str) -> None:
        self._taken[vswitch].pop(address, None)

    # Machines

    def machine(self, instance: Instance) -> Machine:
        return Machine(
            id=instance.id,
            name=instance.host_name or instance.id,
            image=instance.image,
            instance_type=instance.instance_type,
            key_pair=instance.key_pair,
            user_data=instance.user_data,
            interfaces=tuple(self.interface(eni) for eni in self.enis_of(instance.id)),
        )

    def interface(self, eni: Eni) -> Interface:
        vswitch = self.world.vswitches[eni.vswitch]
        return Interface(
            id=eni.id,
            mac=eni.mac,
            primary=eni.role == "Primary",
            vswitch=vswitch.id,
            cidr=vswitch.cidr,
            gateway=vswitch.gateway,
            addresses=tuple(eni.addresses),
        )

    def work(self, instance: Instance, job: str, *, force: bool = False) -> None:
        """Have a machine do something; the instance's next step waits for it."""
        instance.job = job  # type: ignore[assignment]
        instance.trouble = ""
        self.save(instance)
        machine, machines = self.machine(instance), self.machines
        calls: dict[str, Callable[[], None]] = {
            "boot": lambda: machines.boot(machine),
            "reboot": lambda: machines.reboot(machine, force=force),
            "stop": lambda: machines.stop(machine, force=force),
            "delete": lambda: machines.delete(machine),
        }
        self._do(instance.id, calls[job], lambda error: self._done(instance, job, error))

    def work_on_interface(self, eni: Eni, job: str) -> None:
        eni.job = job  # type: ignore[assignment]
        eni.trouble = ""
        self.save(eni)
        machine, interface, machines = self.machine(self.instances[eni.instance]), self.interface(eni), self.machines
        call = machines.plug if job == "plug" else machines.unplug
        self._do(eni.instance, lambda: call(machine, interface), lambda error: self._done(eni, job, error))

    def readdress(self, eni: Eni) -> None:
        if eni.instance:
            machine, interface = self.machine(self.instances[eni.instance]), self.interface(eni)
            self._do(eni.instance, lambda: self.machines.readdress(machine, interface), lambda _error: None)

    def _do(self, machine: str, call: Callable[[], None], done: Callable[[str], None]) -> None:
        def run() -> None:
            error = ""
            try:
                call()
            except Exception as trouble:
                error = f"{type(trouble).__name__}: {trouble}"
            with self.lock:
                done(error)
                self._store.commit()

        if self.machines.immediate:
            run()
        else:
            self._jobs.submit(machine, run)

    def _done(self, resource: Instance | Eni, job: str, error: str) -> None:
        if resource.job != job or self._tables[resource.kind].get(resource.id) is not resource:
            return
        resource.job = ""
        resource.trouble = error
        self.save(resource)

    # What is written down

    def begin_billing(self, resource: Resource, kind: str, identifier: str, cause: str, **detail: Any) -> None:
        self._store.begin_period(Period(kind, identifier, resource.account, resource.created, None, cause, "", detail))

    def bill_address(self, eni: Eni, address: str, moment: float, cause: str) -> None:
        detail = {"eni": eni.id, "vswitch": eni.vswitch}
        self._store.begin_period(Period("address", address, eni.account, moment, None, cause, "", detail))

    def end_billing(self, kind: str, identifier: str, moment: float, cause: str) -> None:
        self._store.end_period(kind, identifier, moment, cause)

    def periods(self) -> list[Period]:
        with self.lock:
            return self._store.periods()

    def log(self, request: LoggedRequest) -> None:
        self._log.append(request)

    def requests(self) -> list[LoggedRequest]:
        with self.lock:
            self.commit()
            return self._store.requests()

    def commit(self) -> None:
        self._store.log(self._log)
        self._log.clear()
        self._store.commit()

    def change_world(self, changes: dict[str, Any]) -> None:
        """Replace parts of the world; of quotas and timings only what is named."""
        values = self.world.to_dict()
        for name, value in changes.items():
            if name not in values:
                raise ValueError(f"the world has no {name}; it has {', '.join(sorted(values))}")
            values[name] = {**values[name], **value} if name in ("quotas", "timings") else value
        with self.lock:
            self.world = worlds.parse(values)
            self._store.set("world", self.world.to_dict())
            self.commit()

    def reset(self) -> None:
        """Forget everything that was made, billed and asked; the world stays."""
        for instance in list(self.instances.values()):
            machine = self.machine(instance)
            self._do(instance.id, lambda machine=machine: self.machines.delete(machine), lambda _error: None)  # type: ignore[misc]
        self._store.clear(keep_settings=True)
        self._shift = 0.0
        self._store.set("shift", 0.0)
        self._log.clear()
        self.nonces.clear()
        self.faults.clear()
        self._forget()
        self.commit()

    def close(self) -> None:
        with self.lock:
            self.commit()
            self._store.close()


def _moments(resource: Resource, world: World) -> Iterator[float]:
    due = getattr(resource, "due", None)
    if due is not None:
        yield due
    if isinstance(resource, Instance):
        if resource.auto_release is not None:
            yield resource.auto_release
        if resource.expires is not None:
            yield resource.expires
            yield resource.expires + world.timings.released_after_expiry


def need(table: dict[str, Kind], identifier: str, error: ApiError, account: str) -> Kind:
    """The resource with this id, if the account has it."""
    found = table.get(identifier)
    if found is None or found.account != account:
        raise error
    return found
