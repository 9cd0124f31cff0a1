"""The dedicated line of the lab: what goes over it, and how long the cluster's own requests take meanwhile.

with sinks("w1"), sending("online-1", to="w1"):
    most("w1"), api_latency("online-1")
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

from tests.flows import proof
from tests.flows.cloud import address_of
from tests.flows.drive import address, booted, eventually, lab, ssh
from tests.flows.line_ends import Latency
from tests.flows.traffic import namespace_of

ECHO_PORT, SINK_PORT = 9001, 9000
LONGEST_SECONDS = 180
FLOWS = 4
_ENDS = Path(__file__).with_name("line_ends.py")
_REMOTE = "/run/line-ends.py"
_KUBELETS_OWN = "/var/lib/kubelet/pki/kubelet-client-current.pem"
_TO_KUBELETS = "/etc/kubernetes/pki/apiserver-kubelet-client.crt"
_units = itertools.count(1)


def slow(mbit: int) -> None:
    """The line carries so much each way; 0 is as much as the machine can."""
    lab("line", str(mbit))


@contextmanager
def sinks(*hosts: str) -> Iterator[None]:
    """These hosts swallow what is sent to them."""
    with ExitStack() as stack:
        for host in hosts:
            stack.enter_context(_running(host, "serve", ECHO_PORT, SINK_PORT))
            eventually(lambda host=host: f":{SINK_PORT} " in ssh(host, "ss -ltn"), 20, f"{host} listens")
        yield


@contextmanager
def sending(host: str, *, to: str, pod: dict[str, Any] | None = None) -> Iterator[None]:
    """A host, or a pod on it, sends to an address or another host as much as goes.

    Over several connections: a single one leaves room in the line's buffer, and in the limit's.
    """
    target = to if to[0].isdigit() else node_address(to)
    with _running(host, "send", target, SINK_PORT, LONGEST_SECONDS, FLOWS, pod=pod):
        ssh(host, "sleep 1.5")
        yield


def rates(host: str, seconds: float, *, way: str = "rx") -> list[float]:
    """Mbit/s that a host receives or sends, by half seconds."""
    _install(host)
    return [float(line) for line in ssh(host, f"python3 {_REMOTE} count eth0 {way} {seconds}").split()]


def most(host: str, seconds: float = 3) -> float:
    """The most Mbit/s that a host receives in any of three spells: a busy machine may not let the senders send."""
    return max(mean(rates(host, seconds)) for _spell in range(3))


def api_latency(vm: str, seconds: float = 3) -> Latency:
    """What the kubelet of a VM waits for the API server."""
    api = address(booted("control_plane")[0])
    return _request(vm, f"https://{api}:6443/api/v1/nodes/{vm}", _KUBELETS_OWN, seconds)


def kubelet_latency(vm: str, seconds: float = 3) -> Latency:
    """What the API server waits for the kubelet of a VM, as with `kubectl logs` and `exec`."""
    return _request(booted("control_plane")[0], f"https://{node_address(vm)}:10250/healthz", _TO_KUBELETS, seconds)


def node_address(name: str) -> str:
    """The address of a node; VMs are not in the lab's inventory."""
    return next(node.address for node in proof.nodes() if node.name == name)


def way_of(pod: dict[str, Any]) -> str:
    """The device of its host by which a pod on a cloud VM leaves."""
    rule = f"ip -o rule show from {address_of(pod)} | sed 's/.*lookup //'"
    routes = ssh(pod["spec"]["nodeName"], f"ip -o route show default table $({rule})").split()
    return routes[routes.index("dev") + 1]


def is_limited(host: str, device: str) -> bool:
    """Whether what leaves for the line by this device goes through the limit."""
    return "estate-line" in ssh(host, f"tc filter show dev {device} egress")


def traces(host: str) -> str:
    """What a host shows of the limit: devices, qdiscs, files and the service; empty without it."""
    shown = "{ ip -o link; tc qdisc show; ls /run/hybridk8s; } | grep -E 'estate-line|clsact|egress_limit.json'"
    unit = "systemctl is-active hybridk8s-egress-limit | grep -v inactive"
    files = "find /usr/local/lib/hybridk8s /etc/hybridk8s /etc/systemd/system -name '*egress*limit*'"
    return ssh(host, f"exec 2>/dev/null; {shown}; {files}; {unit}; true")


def _request(host: str, url: str, certificate: str, seconds: float) -> Latency:
    _install(host)
    return Latency.read(ssh(host, f"python3 {_REMOTE} request {url} {certificate} {seconds}"))


@contextmanager
def _running(host: str, *arguments: object, pod: dict[str, Any] | None = None) -> Iterator[None]:
    """A program that runs on a host, maybe in a pod's network, until the end of the block."""
    _install(host)
    unit = f"line-ends-{next(_units)}"
    inside = f"ns=$({namespace_of(address_of(pod))}); [ $ns ] && " if pod else ""
    enter = "nsenter --net=$ns " if pod else ""
    words = " ".join(map(str, arguments))
    ssh(host, f"{inside}systemd-run --quiet --collect --unit={unit} {enter}python3 {_REMOTE} {words}")
    try:
        yield
    finally:
        ssh(host, f"systemctl stop {unit} 2>/dev/null || true")


def _install(host: str) -> None:
    ssh(host, f"cat > {_REMOTE}", stdin=_ENDS.read_text())
