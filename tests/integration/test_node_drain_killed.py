"""The module node_drain, killed at ten points of a drain of 20 nodes, and what the next run makes of that."""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import dataclass

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import node_drain

from tests.integration.faulty_proxy import Fault, FaultyProxy
from tests.integration.kwok_estate import NODES, KwokEstate, even_workloads
from tests.integration.module_process import OURS, start

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
DRAINING = "estate.hybridk8s.io/draining"
SEED = 6
PODS = 60
SIZE = 20

# What a drain asks for, in this order, and how often: one node of each side is cordoned from the beginning.
REQUESTS = {
    "begin": (1, lambda request: request.method == "POST" and request.path.startswith(LEASES)),
    "cordon": (SIZE - 1, lambda request: _patches_node(request) and isinstance(request.json, dict)),
    "evict": (PODS, lambda request: request.path.endswith("/eviction")),
    "unmark": (SIZE - 1, lambda request: _patches_node(request) and isinstance(request.json, list)),
    "end": (1, lambda request: request.method == "DELETE" and request.path.startswith(LEASES)),
}


def _patches_node(request):
    return request.method == "PATCH" and request.path.startswith(NODES)


@dataclass(frozen=True)
class Point:
    """The process is killed as it makes this request for the `number`th time, which is carried out or not."""

    what: str
    number: int
    carried_out: bool

    def __str__(self):
        return f"{self.what}-{self.number}-{'after' if self.carried_out else 'before'}"


def points():
    """The ends of each phase, and places within it."""
    draw = random.Random(SEED)
    yield Point("begin", 1, True)
    yield Point("cordon", 1, False)
    yield Point("cordon", draw.randint(2, SIZE - 2), True)
    yield Point("cordon", SIZE - 1, True)
    yield Point("evict", 1, True)
    for part in range(3):
        yield Point("evict", draw.randint(2 + part * PODS // 3, (part + 1) * PODS // 3 - 1), bool(part % 2))
    yield Point("unmark", draw.randint(2, SIZE - 2), True)
    yield Point("end", 1, False)


class Killer:
    """A rule for the proxy."""

    def __init__(self, point):
        self.process = None
        self._point = point
        self._concerns = REQUESTS[point.what][1]
        self._seen = 0
        self._lock = threading.Lock()

    def __call__(self, request):
        with self._lock:
            self._seen += self._concerns(request)
            if self._seen < self._point.number:
                return None
            self._seen = -(10**6)
        os.kill(self.process.pid, signal.SIGKILL)
        return None if self._point.carried_out else Fault()


class Sides:
    """Two sides of 20 nodes: all pods are on one, and are drained to the other. The first node of each was cordoned
    before, and so was one that belongs to neither."""

    def __init__(self, plane):
        self.plane = plane
        self.estate = KwokEstate(plane)
        self.full = self.estate.add_nodes(SIZE, "left")
        (self.other,) = self.estate.add_nodes(1, "other")
        self.before = {self.full[0], self.other}
        self.cordon(*self.before)
        self.estate.add(*even_workloads(PODS, 6, {"maxUnavailable": 2}))
        self.estate.settle()
        self.empty = self.estate.add_nodes(SIZE, "right")
        self.before.add(self.empty[0])
        self.cordon(self.empty[0])
        self.estate.settle()

    def cordon(self, *names):
        for name in names:
            self.estate.cluster.merge(f"{NODES}/{name}", {"spec": {"unschedulable": True}})

    def states(self):
        """The nodes that are cordoned, and those that have a mark."""
        nodes = self.estate.cluster.list(NODES)
        cordoned = {node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")}
        marked = {node["metadata"]["name"] for node in nodes if DRAINING in node["metadata"]["annotations"]}
        return cordoned, marked

    def occupied(self):
        """The nodes that have pods; a new pod has none yet."""
        return {pod["spec"]["nodeName"] for pod in self.estate.pods() if "nodeName" in pod["spec"]}

    def leases(self):
        return self.estate.cluster.list(LEASES, {"labelSelector": "estate.hybridk8s.io/run=node-drain"})

    def turn(self):
        """The side that was drained takes the pods of the next one."""
        self.estate.uncordon([name for name in self.full if name not in self.before])
        self.full, self.empty = self.empty, self.full


@pytest.fixture(scope="module")
def sides(kwok_plane):
    return Sides(kwok_plane)


@pytest.fixture
def drain(sides, run_module):
    return lambda names: run_module(node_drain, kubeconfig=sides.plane.kubeconfig, names=names, timeout=120)


@pytest.mark.parametrize(("index", "point"), list(enumerate(points())), ids=str)
def test_a_drain_that_is_killed_is_finished_or_given_back_by_the_next(sides, drain, tmp_path, index, point):
    killer = Killer(point)
    with FaultyProxy(sides.plane, tmp_path, killer) as proxy:
        killer.process = start(f"{OURS}node_drain", tmp_path, kubeconfig=proxy.kubeconfig, names=sides.full)
        output, errors = killer.process.communicate(timeout=120)
        proxy.settle()
    assert killer.process.returncode == -signal.SIGKILL, (output, errors)
    cordoned, marked = sides.states()
    finished = cordoned - marked - sides.before
    assert not finished & sides.occupied(), "without a mark a node is cordoned only when it is empty"

    if index % 2:
        # Whatever the next run drains, it gives back what the dead one had taken.
        result = drain([sides.other])
        assert (result["drained"], set(result["repaired"])) == ([sides.other], marked)
        assert sides.states() == (sides.before | finished, set())
        assert sides.leases() == []
    result = drain(sides.full)
    assert result["drained"] == sides.full, result["failed_nodes"]
    assert sides.states() == (sides.before | set(sides.full), set())
    assert sides.leases() == []
    assert not set(sides.full) & sides.occupied()
    sides.turn()
