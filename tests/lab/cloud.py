"""The lab's cloud: the simulated Alibaba Cloud with machines of the lab behind its instances.

A program by itself, in the namespace of the VPC's router: `python -m tests.lab.cloud CHECKOUT`.
"""

from __future__ import annotations

import json
import os
import sys
from ipaddress import IPv4Address
from pathlib import Path

from tests.fakecloud import machines, world
from tests.fakecloud.certificates import self_signed
from tests.fakecloud.machines import Interface
from tests.fakecloud.server import FakeCloud
from tests.fakecloud.world import World
from tests.lab import build, keys, lab, services, vpc
from tests.lab.errors import LabError
from tests.lab.host import Host
from tests.lab.identity import Identity
from tests.lab.lab import Lab
from tests.lab.progress import say
from tests.lab.virtual import record_of, virtual_machine, write_record

METADATA_PORT = 80
AGENTS_PORT = 5533
STOPS_WITHIN_SECONDS = 60.0


class LabMachines:
    """Instances as hosts of the lab."""

    immediate = False

    def __init__(self, running: Lab, image: Path) -> None:
        self._lab = running
        self._image = image

    def boot(self, machine: machines.Machine) -> None:
        host = self._host(machine)
        self._claim(machine, host)
        if not host.pids():
            host.boot(self._image, self._lab.topology)
        for interface in machine.interfaces:
            vpc.plug(self._lab.identity, host.name, interface)
        self._write_known_hosts()

    def reboot(self, machine: machines.Machine, *, force: bool) -> None:
        self.stop(machine, force=force)
        self.boot(machine)

    def stop(self, machine: machines.Machine, *, force: bool) -> None:
        host = self._host(machine)
        if not force:
            host.shut_down(STOPS_WITHIN_SECONDS)
        host.kill()

    def delete(self, machine: machines.Machine) -> None:
        host = self._host(machine)
        if record_of(host.directory).get("instance") not in (None, machine.id):
            return
        host.kill()
        for interface in machine.interfaces:
            vpc.readdress(self._lab.identity, interface.mac, ())
        host.remove()
        keys.forget(self._lab.state, host.name)
        self._write_known_hosts()

    def plug(self, machine: machines.Machine, interface: Interface) -> None:
        if self._host(machine).pids():
            vpc.plug(self._lab.identity, machine.name, interface)

    def unplug(self, machine: machines.Machine, interface: Interface) -> None:
        vpc.unplug(self._lab.identity, machine.name, interface)

    def readdress(self, machine: machines.Machine, interface: Interface) -> None:
        vpc.readdress(self._lab.identity, interface.mac, interface.addresses)

    def console(self, machine: machines.Machine) -> str:
        host = self._host(machine)
        if not host.pids():
            return ""
        return machines.cloud_init_console(machine.name, [keys.public(keys.host_key(self._lab.state, host.machine))])

    def _write_known_hosts(self) -> None:
        with self._lab.state.lock():
            keys.write_known_hosts(self._lab.state, self._lab.machines())

    def _host(self, machine: machines.Machine) -> Host:
        address = IPv4Address(machine.interfaces[0].addresses[0])
        return self._lab.of(virtual_machine(machine.name, address))

    def _claim(self, machine: machines.Machine, host: Host) -> None:
        """A name belongs to one instance: two of one name would be one machine."""
        owner = record_of(host.directory).get("instance")
        if owner not in (None, machine.id):
            raise LabError(f"the machine {machine.name} is that of {owner} already, {machine.id} cannot have it")
        if any(each.name == machine.name for each in self._lab.topology.machines):
            raise LabError(f"{machine.name} is a host of the inventory; {machine.id} cannot have its name")
        write_record(host.directory, machine.id, host.machine.address)


def main(checkout: str) -> None:
    # The machines that it starts are not this service, and outlive it.
    os.environ.pop(services.MARK, None)
    running = lab.load(Identity(Path(checkout)))
    cloud = running.topology.cloud
    if cloud is None:
        raise LabError("this inventory has no estate_cloud")
    made = LabMachines(running, build.ensure(say).host_rootfs)
    offered: World = world.parse(json.loads(services.configuration_of(running.state, services.CLOUD).read_text()))
    address, directory = str(cloud.address), running.state.root / "cloud"
    directory.mkdir(exist_ok=True)
    with FakeCloud(
        directory,
        offered,
        made,
        address=(address, cloud.port),
        also=[(vpc.METADATA, METADATA_PORT)],
        agents=((address, AGENTS_PORT), _certificate(directory, address)),
    ) as fake:
        fake.wait()


def _certificate(directory: Path, address: str) -> Path:
    """What agents of clusters verify the cloud by; it stays the same as long as the lab's state does."""
    there = directory / "both.pem"
    return there if there.exists() else self_signed(directory, f"IP:{address}")


if __name__ == "__main__":
    main(sys.argv[1])
