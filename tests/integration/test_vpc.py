"""The lab's VPC with real bridges and cables: who reaches whom, and from which address it is seen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import pytest

from tests.fakecloud.machines import Interface
from tests.lab import network, vpc
from tests.lab.identity import Identity, port_of
from tests.lab.inventory import parse
from tests.lab.topology import Cloud, topology_of
from tests.unit.lab.lab_inventories import hybrid

PORT = 7000
ENDS = Path(__file__).resolve().parents[1] / "flows" / "line_ends.py"
LISTEN = f"""
import socket
server = socket.create_server(("0.0.0.0", {PORT}))
print("listening", flush=True)
while True:
    connection, (peer, _port) = server.accept()
    connection.sendall(peer.encode())
    connection.close()
"""
CONNECT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3, source_address=(sys.argv[3], 0))
print(connection.recv(64).decode())
"""
FIRST = Interface("eni-1", "00:16:3e:00:00:01", True, "vsw-node-a", "172.20.1.0/24", "172.20.1.253", ("172.20.1.1",))
SECOND = replace(FIRST, id="eni-2", mac="00:16:3e:00:00:02", addresses=("172.20.1.2",))
POD = "172.20.2.2"
PODS = Interface("eni-3", "00:16:3e:00:00:03", False, "vsw-pod-a", "172.20.2.0/24", "172.20.2.253", ("172.20.2.1", POD))


@dataclass
class Site:
    """The spine with the station, the VPC's router, and two machines."""

    identity: Identity
    cloud: Cloud

    def inside(self, namespace: str, *command: str) -> subprocess.CompletedProcess[str]:
        entry = ["nsenter", f"--net={network.path_of(namespace)}", *command]
        return subprocess.run(entry, capture_output=True, text=True, check=False)

    def rate(self, source: str, target: str, address: str) -> float:
        """Mbit/s that arrive when as much is sent as goes."""
        running = [self._start(target, "serve", "9001", "9000")]
        try:
            while ":9000 " not in self.inside(target, "ss", "-ltn").stdout:
                assert running[0].poll() is None
            running.append(self._start(source, "send", address, "9000", "60"))
            self.inside(target, "sleep", "1")
            device = "spine" if target == self.identity.namespace else "eth0"
            done = self.inside(target, sys.executable, str(ENDS), "count", device, "rx", "1.5")
        finally:
            for process in running:
                process.kill()
                process.wait()
        return mean(map(float, done.stdout.split()))

    def _start(self, namespace: str, *arguments: str) -> subprocess.Popen[bytes]:
        entry = ["nsenter", f"--net={network.path_of(namespace)}", sys.executable, str(ENDS)]
        return subprocess.Popen([*entry, *arguments], stderr=subprocess.DEVNULL)

    def seen_as(self, namespace: str, target: str, source: str = "") -> str | None:
        """The address that `target` sees a connection from this namespace come from; None when there is no way."""
        result = self.inside(namespace, sys.executable, "-c", CONNECT, target, str(PORT), source)
        return result.stdout.strip() or None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    identity = Identity(tmp_path)
    topology = topology_of(parse(hybrid()))
    assert topology.cloud is not None
    listeners = []
    try:
        network.ensure_bridges(identity, topology.segments)
        network.attach(identity, "station", topology.station, identity.namespace)
        vpc.ensure(identity, topology.cloud)
        for name, interface in (("online-1", FIRST), ("online-2", SECOND)):
            network.ensure_namespace(identity.host_namespace(name), {})
            vpc.plug(identity, name, interface)
        for namespace in network.namespaces_of(identity):
            entry = ["nsenter", f"--net={network.path_of(namespace)}", sys.executable, "-c", LISTEN]
            listener = subprocess.Popen(entry, stdout=subprocess.PIPE, text=True)
            listeners.append(listener)
            assert listener.stdout is not None
            assert listener.stdout.readline() == "listening\n"
        yield Site(identity, topology.cloud)
    finally:
        for listener in listeners:
            listener.kill()
            listener.wait()
        for namespace in network.namespaces_of(identity):
            network.delete_namespace(namespace)


def terway(site: Site) -> None:
    """What Terway makes of a plugged interface and one of its addresses."""
    namespace = site.identity.host_namespace("online-1")
    network.set_kernel(namespace, {"net.ipv4.conf.all.rp_filter": "0"})
    network.batch(
        namespace,
        [
            "link set eth1 up",
            "address add 172.20.1.1/32 dev eth1",
            f"address add {POD}/32 dev lo",
            "route add default via 172.20.2.253 dev eth1 onlink table 1001",
            f"rule add from {POD} lookup 1001 pref 2048",
        ],
    )


def test_machines_reach_each_other_the_data_centre_and_the_metadata_service(site: Site) -> None:
    one, two = (site.identity.host_namespace(name) for name in ("online-1", "online-2"))
    assert site.seen_as(one, "172.20.1.2") == "172.20.1.1"
    assert site.seen_as(two, "172.20.1.1") == "172.20.1.2"
    assert site.seen_as(one, "10.98.0.1") == "172.20.1.1"
    assert site.seen_as(site.identity.namespace, "172.20.1.2") == "10.98.0.1"
    assert site.seen_as(one, vpc.METADATA) == "172.20.1.1"


def test_a_pod_on_a_second_interface_is_reached_and_keeps_its_address(site: Site) -> None:
    one, two = (site.identity.host_namespace(name) for name in ("online-1", "online-2"))
    vpc.plug(site.identity, "online-1", PODS)
    vpc.plug(site.identity, "online-1", PODS)
    assert vpc.device_of(one, PODS.mac) == "eth1"
    terway(site)
    assert site.seen_as(two, POD) == "172.20.1.2"
    assert site.seen_as(site.identity.namespace, POD) == "10.98.0.1"
    assert site.seen_as(one, "172.20.1.2", POD) == POD
    assert site.seen_as(one, "10.98.0.1", POD) == POD
    # The node's own address stands on both interfaces; the VPC sends to the one that has it.
    assert site.seen_as(two, "172.20.1.1") == "172.20.1.2"


def test_an_address_that_is_taken_away_is_not_reached_any_more(site: Site) -> None:
    two = site.identity.host_namespace("online-2")
    vpc.plug(site.identity, "online-1", PODS)
    terway(site)
    assert site.seen_as(two, POD) is not None
    vpc.readdress(site.identity, PODS.mac, PODS.addresses[:1])
    assert site.seen_as(two, POD) is None
    vpc.readdress(site.identity, PODS.mac, PODS.addresses)
    assert site.seen_as(two, POD) is not None
    vpc.unplug(site.identity, "online-1", PODS)
    vpc.unplug(site.identity, "online-1", PODS)
    assert site.seen_as(two, POD) is None
    assert set(network.devices(site.identity.host_namespace("online-1"))) == {"lo", "eth0"}


def test_a_slow_line_is_slow_each_way_and_the_vpc_is_not(site: Site) -> None:
    one, two = (site.identity.host_namespace(name) for name in ("online-1", "online-2"))
    station = site.identity.namespace
    for mbit in (20, 10, 0, 0):
        vpc.slow_line(site.identity, site.cloud, mbit)
        there, back = site.rate(one, station, "10.98.0.1"), site.rate(station, one, "172.20.1.1")
        inside = site.rate(one, two, "172.20.1.2")
        print(f"\n{mbit} Mbit/s: {there:.1f} there, {back:.1f} back, {inside:.0f} inside")
        for rate in (there, back):
            assert mbit * 0.8 < rate < mbit * 1.1 if mbit else rate > 100
        assert inside > 100


def test_nothing_is_lost_while_interfaces_come_and_go(site: Site) -> None:
    before = network.devices(site.identity.vpc_namespace)
    for number in range(4, 9):
        extra = replace(PODS, id=f"eni-{number}", mac=f"00:16:3e:00:00:0{number}", addresses=(f"172.20.2.{number}",))
        vpc.plug(site.identity, "online-1", extra)
        assert site.seen_as(site.identity.host_namespace("online-2"), "172.20.1.1") == "172.20.1.2"
        vpc.unplug(site.identity, "online-1", extra)
    assert network.devices(site.identity.vpc_namespace) == before


def test_a_cut_cable(site: Site) -> None:
    two = site.identity.host_namespace("online-2")
    vpc.switch_ports(site.identity, "online-1", on=False)
    assert site.seen_as(two, "172.20.1.1") is None
    vpc.switch_ports(site.identity, "online-1", on=True)
    assert site.seen_as(two, "172.20.1.1") == "172.20.1.2"


def test_a_machine_that_boots_again_at_once_is_plugged_as_before(site: Site) -> None:
    one = site.identity.host_namespace("online-1")
    for _boot in range(10):
        network.delete_namespace(one)
        network.ensure_namespace(one, {})
        vpc.plug(site.identity, "online-1", FIRST)
    assert site.seen_as(one, "172.20.1.2") == "172.20.1.1"
    assert set(network.devices(one)) == {"lo", "eth0"}


def test_a_machine_that_is_gone_takes_its_cables_with_it(site: Site) -> None:
    network.delete_namespace(site.identity.host_namespace("online-1"))
    vpc.unplug(site.identity, "online-1", FIRST)
    assert FIRST.mac not in site.inside(site.identity.vpc_namespace, "ip", "neigh").stdout
    assert port_of("online-2", "eth0") in network.devices(site.identity.vpc_namespace)
