"""Drains of 50 of 1,000 nodes under disruption budgets: `node_drain`, kubectl and kubernetes.core in one run.

The cluster has real controllers and a real scheduler; kwok plays the kubelets, and a new pod is Ready after 20 s. What
the budgets allow then decides how long a drain takes, and not how fast this machine is.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.api import ApiCost, cost_of, play_cost
from tests.bench.markdown import table
from tests.bench.peers import collections_path, kubectl
from tests.integration.control_plane import WORKLOAD_CONTROLLERS, ControlPlane, private_file
from tests.integration.kwok import DELETE_DELAY
from tests.integration.kwok_estate import KwokEstate, even_workloads
from tests.integration.module_process import OURS, prepare

PODS = 10_000
EACH = 20
# The others are to spare: they come when the pods have their places.
NODES, NODES_WITH_PODS = 1_000, 910
IMAGES = 50
RACK = 50
READY_SECONDS = 20
END_SECONDS = 3
SHARE, SINGLE = {"maxUnavailable": "10%"}, {"maxUnavailable": 1}
# Peers are cut off then; what they had done by then counts.
LIMIT_SECONDS = 300
_CUT_OFF = 124


@dataclass(frozen=True)
class Bound:
    """What the budgets make of the drain of a rack: so many pods leave, and that takes so long at least."""

    pods: int
    seconds: int


@dataclass(frozen=True)
class Row:
    """The drain of one rack. `emptied` are the nodes without pods at the end; `ready` are the seconds that each of the
    new pods took to be Ready."""

    method: str
    budgets: str
    bound: Bound
    cost: ApiCost
    emptied: int
    ready: tuple[float, ...]

    @property
    def answers(self) -> Counter[int]:
        """How often an eviction was answered with which status."""
        return Counter(event.status for event in self.cost.events if event.resource == "pods/eviction")

    @property
    def evicted(self) -> int:
        return self.answers[201]

    @property
    def requests_per_pod(self) -> float:
        return self.cost.requests / max(1, self.evicted)

    @property
    def ratio(self) -> float:
        return self.cost.usage.wall / self.bound.seconds

    @property
    def cut_off(self) -> bool:
        return self.cost.usage.status == _CUT_OFF


@dataclass(frozen=True)
class Measurement:
    """Ours under both kinds of budgets, and what others have."""

    ours: Row
    single: Row
    peers: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        return (self.ours, self.single, *self.peers)


def measured() -> Measurement:
    """One cluster; each drain empties another rack, whose nodes are free again before the next begins."""
    with (
        tempfile.TemporaryDirectory() as work,
        ControlPlane(Path(work, "plane"), WORKLOAD_CONTROLLERS, scheduler=True, kwok=True, audit=True) as plane,
    ):
        racks = _Racks(plane, Path(work))
        racks.fill()
        ours = racks.drained("`node_drain`, its process", "10 %", racks.ours)
        racks.estate.set_budgets(SINGLE)
        single = racks.drained("`node_drain`, its process", "1 pod", racks.ours)
        racks.estate.set_budgets(SHARE)
        peers = (
            racks.drained("`kubectl drain` of all 50", "10 %", racks.kubectl),
            racks.drained("`kubectl drain`, node by node", "10 %", racks.kubectl_loop),
            racks.drained("kubernetes.core `k8s_drain`, in a loop", "10 %", racks.core),
        )
        return Measurement(ours, single, peers)


class _Racks:
    """An estate of which one rack after another is drained."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        self.estate = KwokEstate(plane)
        self._plane = plane
        self._directory = directory
        self._kubeconfig = private_file(directory / "admin.conf", plane.kubeconfig)
        self._full: list[list[str]] = []

    def fill(self) -> None:
        names = self.estate.add_nodes(NODES_WITH_PODS, images=IMAGES)
        ending = {DELETE_DELAY: f"{END_SECONDS}s"}
        self.estate.add(*(replace(made, annotations=ending) for made in even_workloads(PODS, EACH, SHARE)))
        self.estate.settle(1800)
        self.estate.add_nodes(NODES - NODES_WITH_PODS, "spare", images=IMAGES)
        self.estate.settle()
        self._plane.set_ready_delay(READY_SECONDS)
        self._full = [names[start : start + RACK] for start in range(0, len(names) - RACK + 1, RACK)]

    def drained(self, method: str, budgets: str, drain: Callable[[Sequence[str]], ApiCost]) -> Row:
        """Drain a rack that has not been, when all else has come to rest; give it back."""
        self.estate.settle()
        names = self._full.pop()
        before = self.estate.pods()
        bound = bound_of(before, names, self.estate.budgets())
        cost = drain(names)
        after = self.estate.pods()
        occupied = {pod["spec"].get("nodeName") for pod in after}
        known = {pod["metadata"]["uid"] for pod in before}
        ready = [_seconds_to_ready(pod) for pod in after if pod["metadata"]["uid"] not in known]
        self.estate.uncordon(names)
        seconds = tuple(each for each in ready if each is not None)
        return Row(method, budgets, bound, cost, len(set(names) - occupied), seconds)

    def ours(self, names: Sequence[str]) -> ApiCost:
        prepared = prepare(
            f"{OURS}node_drain", self._directory, kubeconfig=str(self._kubeconfig), names=names, timeout=1800
        )
        return cost_of(self._plane, prepared.command, prepared.environment)

    def kubectl(self, names: Sequence[str]) -> ApiCost:
        return self._limited(*self._kubectl_drain(*names))

    def kubectl_loop(self, names: Sequence[str]) -> ApiCost:
        return self._limited("sh", "-ec", "\n".join(" ".join(self._kubectl_drain(name)) for name in names))

    def core(self, names: Sequence[str]) -> ApiCost:
        """It fails at the first pod whose budget has no room, so it is tried again, as its users do."""
        task = {
            "kubernetes.core.k8s_drain": {"name": "{{ item }}", "kubeconfig": str(self._kubeconfig)},
            "loop": "{{ names }}",
            "register": "drained",
            "until": "drained is success",
            "retries": 60,
            "delay": 5,
        }
        variables = {"names": list(names)}
        return play_cost(
            self._plane, self._directory, [task], variables, collections_path(), LIMIT_SECONDS, (0, 2, _CUT_OFF)
        )

    def _kubectl_drain(self, *names: str) -> tuple[str, ...]:
        return (kubectl(), f"--kubeconfig={self._kubeconfig}", "drain", *names)

    def _limited(self, *command: str) -> ApiCost:
        return cost_of(self._plane, command, limit=LIMIT_SECONDS, good=(0, _CUT_OFF))


def bound_of(pods: Sequence[Mapping[str, Any]], names: Sequence[str], budgets: Sequence[Mapping[str, Any]]) -> Bound:
    """Each budget lets so many pods be away at once; the one that takes longest decides.

    Between two rounds a new pod has to become Ready; a StatefulSet makes it only when the old one has ended.
    """
    leaving = [pod for pod in pods if pod["spec"].get("nodeName") in names]
    count = Counter(pod["metadata"]["labels"]["app"] for pod in leaving)
    kinds = {pod["metadata"]["labels"]["app"]: pod["metadata"]["ownerReferences"][0]["kind"] for pod in leaving}

    def seconds(budget: Mapping[str, Any]) -> int:
        name, status = budget["metadata"]["name"], budget["status"]
        rounds = math.ceil(count[name] / (status["expectedPods"] - status["desiredHealthy"]))
        between = READY_SECONDS + END_SECONDS * (kinds.get(name) == "StatefulSet")
        return max(0, rounds - 1) * between + END_SECONDS

    return Bound(len(leaving), max(map(seconds, budgets)))


def _seconds_to_ready(pod: Mapping[str, Any]) -> float | None:
    conditions = {entry["type"]: entry for entry in pod["status"].get("conditions") or ()}
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        return None
    made, turned = map(datetime.fromisoformat, (pod["metadata"]["creationTimestamp"], ready["lastTransitionTime"]))
    return (turned - made).total_seconds()


def sections(found: Measurement) -> Iterator[str]:
    """The tables."""
    yield f"## Drain of {RACK} of {NODES:,} nodes with {PODS:,} pods\n"
    yield (
        f"{PODS // EACH} workloads of {EACH} pods, a budget each: 10 % are 2 pods at once. A pod ends {END_SECONDS} s\n"
        f"after it was evicted, and a new one is Ready after {READY_SECONDS} s. The bound is that of the budget that\n"
        "takes longest: its pods cannot leave sooner. Wall and CPU-s are those of the whole process, its start and\n"
        "its plan included; those of `k8s_drain` are Ansible's. Each drains another rack. Others are cut off after\n"
        f"{LIMIT_SECONDS} s (marked *); `k8s_drain` fails at a budget without room and is tried again after 5 s.\n"
    )
    header = (
        "method",
        "budgets",
        "nodes emptied",
        "pods evicted",
        "bound s",
        "wall s",
        "requests",
        "requests a pod",
        "429s",
        "CPU-s",
        "peak MB",
        "server CPU-s",
        "load",
    )
    yield table(header, map(_line, found.rows))
    yield ""
    yield table(("what", "target", "measured", ""), _targets(found))
    yield ""
    yield _machine(found)


def _line(row: Row) -> tuple[object, ...]:
    usage = row.cost.usage
    return (
        row.method,
        row.budgets,
        f"{row.emptied} of {RACK}",
        f"{row.evicted} of {row.bound.pods}",
        row.bound.seconds,
        f"{usage.wall:.1f}{'*' if row.cut_off else ''}",
        f"{row.cost.requests:,}",
        f"{row.requests_per_pod:.2f}",
        row.answers[429],
        f"{usage.cpu:.2f}",
        f"{usage.peak:.0f}",
        f"{row.cost.server_cpu:.1f}",
        f"{usage.load:.0f}",
    )


def _targets(found: Measurement) -> Iterator[tuple[object, ...]]:
    for row in (found.ours, found.single):
        for what, most, value in (
            ("wall over bound", 1.15, row.ratio),
            ("requests a pod", 1.6, row.requests_per_pod),
            ("429s", 0, row.answers[429]),
            ("peak memory, MB", 100, row.cost.usage.peak),
        ):
            verdict = "met" if value <= most else "missed"
            yield f"budgets of {row.budgets}: {what}", f"at most {most}", f"{value:.3g}", verdict


def _machine(found: Measurement) -> str:
    """What the cluster under test added to the time that new pods take by design."""
    said = []
    for row in (found.ours, found.single):
        median, most = statistics.median(row.ready), max(row.ready)
        said.append(f"with budgets of {row.budgets} {median:.0f} s after they were made, at most {most:.0f} s")
    more = f"What is above {READY_SECONDS} s is what the cluster adds on these cores."
    return f"New pods were Ready {'; '.join(said)}. {more}"
