"""A cloud VM with two network interfaces, a pod on the second one, a VPC, and a data centre behind a dedicated line.

    with LineNet() as net:
        net.transfer("pod", DATA_CENTRE, seconds=2)

            pod 172.20.128.5 (behind the VM, out by eth1)
    vm ---- eth0 172.20.16.11 ------ router ---- line ---- dc 10.40.0.10
       \\--- eth1 (no address) ------/   \\--- peer 172.20.17.12, a VM of the VPC

The line is as slow as it is made, with a buffer of 100 ms. Namespaces end with the test process, however that ends.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, Ran, run_command

from tests.flows import line_ends
from tests.flows.line_ends import Latency
from tests.integration.control_plane import die_with_parent

DATA_CENTRE, PEER = "10.40.0.10", "172.20.17.12"
CONTROL_PORT, BULK_PORT, FILES_PORT = 6443, 9000, 8080
LINE_BUFFER = "100ms"
ENDS = Path(line_ends.__file__)
FILESERVER = Path(__file__).resolve().parents[1] / "lab" / "fileserver.py"
WIRES = (
    ("vm", "eth0", "172.20.16.11/24", "vm0", "172.20.16.253/24"),
    ("vm", "eth1", "", "vm1", "172.20.128.253/24"),
    ("peer", "eth0", f"{PEER}/24", "peer0", "172.20.17.253/24"),
    ("dc", "eth0", f"{DATA_CENTRE}/16", "line", "10.40.0.1/16"),
)


class LineNet:
    """The namespaces, and what is measured between them."""

    def __init__(self) -> None:
        self._processes = {name: _namespace() for name in ("vm", "pod", "router", "peer", "dc")}

    def __enter__(self) -> LineNet:
        for name, near, near_address, far, far_address in WIRES:
            self._wire(name, near, near_address, "router", far, far_address)
        self._wire("pod", "eth0", "172.20.128.5/32", "vm", "cali1", "")
        for name in self._processes:
            self.do(name, "ip", "link", "set", "lo", "up")
        for name in ("vm", "router"):
            self.do(name, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
            self.do(name, "sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done")
        self._route("vm", "default", "via", "172.20.16.253")
        self._route("peer", "default", "via", "172.20.17.253")
        self._route("dc", "default", "via", "10.40.0.1")
        self._route("pod", "169.254.1.1", "dev", "eth0", "scope", "link")
        self._route("pod", "default", "via", "169.254.1.1")
        self.do("vm", "sysctl", "-qw", "net.ipv4.conf.cali1.proxy_arp=1")
        self._route("vm", "172.20.128.5/32", "dev", "cali1")
        self.do("vm", "ip", "rule", "add", "from", "172.20.128.5", "lookup", "1001", "pref", "2048")
        mac = self._mac("vm", "eth1")
        self.do("router", "ip", "neigh", "replace", "172.20.128.5", "lladdr", mac, "dev", "vm1", "nud", "permanent")
        for name in ("dc", "peer"):
            self._processes[f"{name} serves"] = self._start(name, ENDS, "serve", CONTROL_PORT, BULK_PORT)
            self._wait_for(name, BULK_PORT)
        return self

    def __exit__(self, *_exception: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def host(self, name: str, root: Path) -> Host:
        """A host as modules see it: its files in `root`, its network a namespace of ours."""

        def run(argv: Sequence[str], timeout: float) -> Ran:
            return run_command([*self.enter(name), *argv], timeout)

        return Host(str(root), run)

    def enter(self, name: str) -> tuple[str, ...]:
        return ("nsenter", f"--target={self._processes[name].pid}", "--net")

    def do(self, name: str, *command: str) -> str:
        done = subprocess.run([*self.enter(name), *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (name, command, done.stdout, done.stderr)
        return done.stdout

    def plug_pods_way(self) -> None:
        """What Terway does last when the cloud has plugged in a network interface: the way out by it."""
        way = ("default", "via", "172.20.128.253", "dev", "eth1", "onlink", "table", "1001")
        self.do("vm", "ip", "route", "replace", *way)

    def slow_line(self, mbit: int) -> None:
        """The dedicated line carries so much and keeps the rest waiting."""
        rate = f"{mbit}mbit"
        self.do("router", *f"tc qdisc replace dev line root tbf rate {rate} burst 10kb latency {LINE_BUFFER}".split())

    def sending(self, name: str, to: str, seconds: float, port: int = BULK_PORT) -> subprocess.Popen[str]:
        return self._start(name, ENDS, "send", to, port, seconds)

    def publish(self, directory: Path) -> str:
        """The data centre's files by HTTP; gives the URL of `directory`."""
        self._processes["dc publishes"] = self._start("dc", FILESERVER, DATA_CENTRE, FILES_PORT, directory)
        self._wait_for("dc", FILES_PORT)
        return f"http://{DATA_CENTRE}:{FILES_PORT}"

    def rate(self, name: str, interface: str, seconds: float) -> float:
        """Mbit/s that come in by an interface, as packets on the wire."""
        began, before = time.monotonic(), self.received(name, interface)
        time.sleep(seconds)
        return (self.received(name, interface) - before) * 8 / 1e6 / (time.monotonic() - began)

    def latency(self, name: str, to: str, seconds: float) -> Latency:
        process = self._start(name, ENDS, "ask", to, CONTROL_PORT, seconds)
        out, _errors = process.communicate(timeout=seconds + 60)
        return Latency.read(out)

    def _wait_for(self, name: str, port: int) -> None:
        deadline = time.monotonic() + 20
        while f":{port} " not in self.do(name, "ss", "-ltn"):
            assert time.monotonic() < deadline, f"nobody listens at port {port} of {name}"
            time.sleep(0.1)

    def received(self, name: str, interface: str) -> int:
        """Bytes that came in by an interface."""
        for line in self.do(name, "cat", "/proc/net/dev").splitlines():
            if line.split(":")[0].strip() == interface:
                return int(line.split(":")[1].split()[0])
        raise AssertionError(f"{name} has no {interface}")

    def _start(self, name: str, program: Path, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.enter(name), sys.executable, str(program), *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )

    def _wire(self, name: str, near: str, near_address: str, other: str, far: str, far_address: str) -> None:
        far_pid = str(self._processes[other].pid)
        self.do(name, "ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", far_pid)
        for owner, interface, address in ((name, near, near_address), (other, far, far_address)):
            if address:
                self.do(owner, "ip", "address", "add", address, "dev", interface)
            self.do(owner, "ip", "link", "set", interface, "up")

    def _route(self, name: str, *route: str) -> None:
        self.do(name, "ip", "route", "add", *route)

    def _mac(self, name: str, interface: str) -> str:
        return self.do(name, "ip", "-br", "link", "show", interface).split()[2]


def _namespace() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        ["unshare", "--net", "sleep", "infinity"], text=True, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent
    )
    own = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{process.pid}/ns/net").readlink() == own:
        time.sleep(0.01)
    return process
