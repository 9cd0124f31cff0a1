"""The machines behind instances: what the cloud asks of whoever runs them. Without one, an instance is state alone."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Interface:
    """A network interface as a machine gets it. `addresses` begins with the primary one."""

    id: str
    mac: str
    primary: bool
    vswitch: str
    cidr: str
    gateway: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """An instance as its machine needs to know it."""

    id: str
    name: str
    image: str
    instance_type: str
    key_pair: str
    user_data: str
    interfaces: tuple[Interface, ...]


class Machines(Protocol):
    """Each call may be repeated after the cloud was killed, and has to be all right then.

    Calls for one machine come one after another, of several machines at once. `immediate` machines take no time.
    """

    immediate: bool

    def boot(self, machine: Machine) -> None:
        """Switch on, with all interfaces plugged; what runs already stays as it is."""

    def reboot(self, machine: Machine, *, force: bool) -> None: ...

    def stop(self, machine: Machine, *, force: bool) -> None:
        """Switch off; the disks stay."""

    def delete(self, machine: Machine) -> None:
        """Switch off and throw the disks away; nothing of it is left."""

    def plug(self, machine: Machine, interface: Interface) -> None: ...

    def unplug(self, machine: Machine, interface: Interface) -> None: ...

    def readdress(self, machine: Machine, interface: Interface) -> None:
        """The addresses of an interface that is plugged are these from now on."""

    def console(self, machine: Machine) -> str:
        """What it has written on its console since it was switched on."""


class StateOnly:
    """No machines: everything asked for has happened."""

    immediate = True

    def boot(self, machine: Machine) -> None: ...

    def reboot(self, machine: Machine, *, force: bool) -> None: ...

    def stop(self, machine: Machine, *, force: bool) -> None: ...

    def delete(self, machine: Machine) -> None: ...

    def plug(self, machine: Machine, interface: Interface) -> None: ...

    def unplug(self, machine: Machine, interface: Interface) -> None: ...

    def readdress(self, machine: Machine, interface: Interface) -> None: ...

    def console(self, machine: Machine) -> str:
        key = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + hashlib.sha256(machine.id.encode()).digest()).decode()
        return cloud_init_console(machine.name, [f"ssh-ed25519 {key} root@{machine.name}"])


def cloud_init_console(name: str, keys: Sequence[str]) -> str:
    """A console as cloud-init leaves it behind at the first boot."""
    lines = [
        f"{name} login: ci-info: no authorized SSH keys fingerprints found for user root.",
        "<14>Nov 23 08:00:01 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----",
        "<14>Nov 23 08:00:01 cloud-init: 256 SHA256:of-no-interest root (ED25519)",
        "<14>Nov 23 08:00:01 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----",
        "-----BEGIN SSH HOST KEY KEYS-----",
        *keys,
        "-----END SSH HOST KEY KEYS-----",
        "[    9.1] cloud-init[740]: Cloud-init finished",
    ]
    return "".join(f"{line}\r\n" for line in lines)


Job = Callable[[], None]


class Jobs:
    """Work on machines: one job after another for each machine, the machines side by side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, deque[Job]] = {}

    def submit(self, machine: str, job: Job) -> None:
        with self._lock:
            queue = self._queues.get(machine)
            if queue is not None:
                queue.append(job)
                return
            self._queues[machine] = deque([job])
        threading.Thread(target=self._work, args=(machine,), name=f"machine {machine}", daemon=True).start()

    def _work(self, machine: str) -> None:
        while True:
            with self._lock:
                queue = self._queues[machine]
                if not queue:
                    del self._queues[machine]
                    return
                job = queue.popleft()
            with contextlib.suppress(Exception):
                job()
