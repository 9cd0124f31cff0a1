"""`site` and `join` on fresh hosts of the lab, beside what Kubespray costs for the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from tests.bench.markdown import table
from tests.bench.measure import Cost, measure
from tests.flows import drive

NOT_MEASURED = "?"


@dataclass(frozen=True)
class Peer:
    """A run of Kubespray 46dbdd3 (Kubernetes 1.36.3, Calico 3.31; one control plane, two workers; unpatched roles, 20
    forks, pipelining), measured by others on a machine of this kind. The last three are those of a worker."""

    name: str
    wall: int
    cpu: int
    nodes: int
    ok: str = NOT_MEASURED
    skipped: str = NOT_MEASURED
    changed: str = NOT_MEASURED


KUBESPRAY = (
    Peer("Kubespray, first `cluster.yml` (made of two runs)", 861, 350, 3, "314", "316"),
    Peer("Kubespray, `cluster.yml` again", 590, 344, 3, "353", "462", "20"),
    Peer("Kubespray, `scale.yml` of one worker", 244, 101, 1, "365", "505", "76"),
)


@dataclass(frozen=True)
class Measurement:
    """The runs in their order; ``ready`` is the time from the start of ``join`` to the newcomer's Ready, in seconds."""

    first: Cost
    again: Cost
    check: Cost
    join: Cost
    workers: tuple[str, ...]
    newcomer: str
    ready: float

    @property
    def good(self) -> bool:
        """Every run did what it is for; how fast is no matter."""
        runs = (self.first, self.again, self.check, self.join)
        return all(cost.good for cost in runs) and self.again.changed == self.check.changed == 0


def measured() -> Measurement:
    """Measure on freshly booted hosts; the lab is taken down in the end."""
    drive.lab("down")
    drive.lab("up")
    try:
        workers = drive.booted("workers")
        newcomer = next(host for host in drive.inventory().hosts_of("workers") if host not in workers)
        on_lab = partial(measure, inventory=drive.inventory_path(), station=("./lab", "run", "--"))
        limit = f"--limit={drive.limit()}"
        first = on_lab("`site`, first run", "site", limit)
        again = on_lab("`site` again", "site", limit)
        check = on_lab("`site --check --diff`, converged", "site", "--check", "--diff", limit)
        drive.lab("boot", newcomer)
        drive.lab("kill", workers[-1])
        join = on_lab(f"`join` of {newcomer} while {workers[-1]} has no power", "join", f"--limit={newcomer}")
        return Measurement(first, again, check, join, workers, newcomer, _ready_since(newcomer) - join.usage.started)
    finally:
        drive.lab("down")


def _ready_since(node: str) -> float:
    """When a node became Ready, in seconds since 1970, to the second; not a number while it is not Ready or absent."""
    for item in drive.objects("nodes"):
        for condition in item["status"]["conditions"] if item["metadata"]["name"] == node else ():
            if condition["type"] == "Ready" and condition["status"] == "True":
                return datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()
    return float("nan")


def sections(found: Measurement) -> Iterator[str]:
    """The tables."""
    runs = (found.first, found.again, found.check, found.join)
    yield "## Whole runs\n"
    yield table(
        ("run", "wall s", "controller CPU-s", "nodes", "CPU-s a node", "API requests", "changed", "load", "exit"),
        [*map(_run, runs), *map(_peer_run, KUBESPRAY)],
    )
    yield "\n## One node's share\n"
    yield table(
        ("run", "node", "tasks ok", "tasks skipped", "modules run on it", "changed"),
        [
            *(_share(cost, _dearest(cost, found.workers)) for cost in (found.first, found.again, found.check)),
            _share(found.join, found.newcomer),
            *((peer.name, "a worker", peer.ok, peer.skipped, NOT_MEASURED, peer.changed) for peer in KUBESPRAY),
        ],
    )
    yield "\n## Where modules ran\n"
    hosts = [*drive.inventory().hosts_of("kubernetes"), *drive.inventory().hosts_of("switches")]
    yield table(("run", *hosts), [(cost.name, *(_executions(cost, host) for host in hosts)) for cost in runs])
    yield "\n## Targets\n"
    yield table(("what", "target", "measured", ""), _targets(found))


def _run(cost: Cost) -> tuple[object, ...]:
    nodes = _nodes(cost)
    usage = cost.usage
    return (
        cost.name,
        f"{usage.wall:.0f}",
        f"{usage.cpu:.1f}",
        nodes,
        f"{usage.cpu / nodes:.1f}",
        cost.requests,
        cost.changed,
        f"{usage.load:.0f}",
        usage.status,
    )


def _peer_run(peer: Peer) -> tuple[object, ...]:
    figures = (peer.wall, peer.cpu, peer.nodes, f"{peer.cpu / peer.nodes:.0f}")
    return (peer.name, *figures, *(NOT_MEASURED,) * 4)


def _nodes(cost: Cost) -> int:
    return max(1, len(cost.hosts & set(drive.inventory().hosts_of("kubernetes"))))


def _share(cost: Cost, host: str) -> tuple[object, ...]:
    ended = (cost.count(host, "ok", "changed"), cost.count(host, "skipped"))
    return (cost.name, host, *ended, _executions(cost, host), cost.count(host, "changed"))


def _executions(cost: Cost, host: str) -> int:
    """A module that was delegated to the host is counted under the host's address."""
    return cost.executions[host] + cost.executions[drive.address(host)]


def _dearest(cost: Cost, workers: tuple[str, ...]) -> str:
    return max(workers, key=lambda host: _executions(cost, host) + cost.count(host, "skipped"))


def _targets(found: Measurement) -> Iterator[tuple[object, ...]]:
    worker = _dearest(found.again, found.workers)
    again = found.again.usage.cpu / _nodes(found.again)
    for what, target, value in (
        ("`site` again: modules run on a worker", 15, _executions(found.again, worker)),
        ("`site` again: tasks skipped for a worker", 40, found.again.count(worker, "skipped")),
        ("`site` again: changed", 0, found.again.changed),
        ("`site` again: controller CPU-s a node", 3, again),
        ("`join`: controller CPU-s", 6, found.join.usage.cpu),
        ("`join`: s from start to Ready", 40, found.ready),
    ):
        verdict = "met" if value <= target else "missed"
        yield what, f"at most {target}", f"{value:.3g}", verdict
