from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.flows import cloud, line, pools, proof
from tests.flows.drive import kubectl
from tests.flows.estates import estate, of_vms, pool
from tests.flows.estates import line as line_of

POOL = "online"
LINE_MBIT, LIMIT_MBIT, CONTROL_MBIT = 100, 40, 5
UNLIMITED = line_of(capacity_mbit=LINE_MBIT, limit_mbit=None, control_mbit=None)
LIMITED = line_of(capacity_mbit=LINE_MBIT, limit_mbit=LIMIT_MBIT, control_mbit=CONTROL_MBIT)
FIRST, SECOND = f"{POOL}-1", f"{POOL}-2"
DATA_CENTRE = "w1"


@dataclass(frozen=True)
class Measured:
    """A VM that sends as much as goes: Mbit/s at the other end, and what the cluster waits meanwhile."""

    mbit: float
    api: line.Latency
    kubelet: line.Latency

    def __str__(self) -> str:
        return f"{self.mbit:.1f} Mbit/s; the kubelet waits {self.api} for the API, the API {self.kubelet} for it"


def run(name, *arguments, of):
    return pools.succeeded(name, of, *arguments)


def sized(count, limit, **of_all):
    """The estate with so many VMs, their limit, and variables of theirs."""
    return estate(f"line-{count}", pool(POOL, count=count), limit, of_vms(**of_all))


def measure(vm):
    with line.sinks(DATA_CENTRE), line.sending(vm, to=DATA_CENTRE):
        return Measured(line.most(DATA_CENTRE), line.api_latency(vm), line.kubelet_latency(vm))


@pytest.fixture(scope="session")
def idle():
    """One VM without a limit, and what the cluster waits while nothing is sent."""
    run("site", of=sized(1, UNLIMITED))
    proof.deploy()
    line.slow(LINE_MBIT)
    yield Measured(0.0, line.api_latency(FIRST), line.kubelet_latency(FIRST))
    line.slow(0)


@pytest.fixture(scope="session")
def free(idle):
    """The same while that VM sends."""
    return measure(FIRST)


@pytest.fixture(scope="session")
def limited(free):
    """The limit, and a second VM, which comes with it."""
    line.slow(0)
    run("cloud", of=sized(2, LIMITED))
    line.slow(LINE_MBIT)
    return proof.web_pods()


@pytest.fixture(scope="session")
def web(limited):
    """The web server's pod of each node."""
    return {pod["spec"]["nodeName"]: pod for pod in limited}


@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    """In the end the cloud is as it was before."""
    yield
    kubectl("delete", "namespace", proof.NAMESPACE, "--ignore-not-found")
    run("cloud", of=sized(0, UNLIMITED))
    assert not cloud.leftovers()
