"""What labels, an annotation and a taint cost on many nodes: the module `node`, kubectl and kubernetes.core in one run.

The nodes are objects of the size that kubelets make, on a real API server, which counts the requests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.api import ApiCost, cost_of, play_cost
from tests.bench.markdown import table
from tests.bench.peers import collections_path, kubectl
from tests.integration.control_plane import ControlPlane, private_file
from tests.integration.kwok_estate import KwokEstate
from tests.integration.module_process import OURS, prepare

NODES = 1000
# A second and more each, one after the other; they cost the same in any number.
CORE_NODES = 10
IMAGES = 50
PING = "ansible.modules.ping"


@dataclass(frozen=True)
class Row:
    """A run on so many nodes; `cpu` is the client's CPU-seconds without the start of what it runs in."""

    method: str
    nodes: int
    cost: ApiCost
    cpu: float

    @property
    def cpu_per_node(self) -> float:
        return self.cpu / self.nodes


@dataclass(frozen=True)
class Measurement:
    """Each method twice: when all change, and when nothing is to change."""

    ours: tuple[Row, Row]
    module: tuple[Row, Row]
    kubectl: tuple[Row, Row]
    core: tuple[Row, Row]

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.ours, *self.module, *self.kubectl, *self.core)


def measured() -> Measurement:
    """Run all of them on one API server, one after another."""
    with tempfile.TemporaryDirectory() as work, ControlPlane(Path(work), audit=True) as plane:
        names = KwokEstate(plane).add_nodes(NODES, images=IMAGES)
        directory = Path(work)
        kubeconfig = private_file(directory / "admin.conf", plane.kubeconfig)
        return Measurement(
            ours=_twice(lambda: _play(plane, directory, str(kubeconfig), names)),
            module=_twice(lambda: _module(plane, directory, str(kubeconfig), names)),
            kubectl=_twice(lambda: _kubectl(plane, str(kubeconfig))),
            core=_twice(lambda: _core(plane, directory, str(kubeconfig), names[:CORE_NODES])),
        )


def _twice(run: Callable[[], Row]) -> tuple[Row, Row]:
    return run(), run()


def _play(plane: ControlPlane, directory: Path, kubeconfig: str, names: list[str]) -> Row:
    variables = {"kubeconfig": kubeconfig, "nodes": [_wish(name, "ours") for name in names]}
    node = {"hybridk8s.estate.node": {"nodes": "{{ nodes }}", "kubeconfig": "{{ kubeconfig }}"}}
    start = play_cost(plane, directory, [{"ansible.builtin.ping": {}}], variables)
    cost = play_cost(plane, directory, [node], variables)
    return Row("a play with `node`", len(names), cost, cost.usage.cpu - start.usage.cpu)


def _module(plane: ControlPlane, directory: Path, kubeconfig: str, names: list[str]) -> Row:
    empty = prepare(PING, directory, data="pong")
    start = cost_of(plane, empty.command, empty.environment)
    wishes = [_wish(name, "module") for name in names]
    ours = prepare(f"{OURS}node", directory, kubeconfig=kubeconfig, nodes=wishes)
    cost = cost_of(plane, ours.command, ours.environment)
    return Row("`node`, its process", len(names), cost, cost.usage.cpu - start.usage.cpu)


def _kubectl(plane: ControlPlane, kubeconfig: str) -> Row:
    wish = _wish("", "kubectl")
    base = f"{kubectl()} --kubeconfig={kubeconfig}"
    labels, annotations = (
        " ".join(f"{key}={value}" for key, value in wish[kind].items()) for kind in ("labels", "annotations")
    )
    taints = " ".join(f"{taint['key']}={taint['value']}:{taint['effect']}" for taint in wish["taints"])
    commands = (
        f"{base} label nodes --all --overwrite {labels}",
        f"{base} annotate nodes --all --overwrite {annotations}",
        f"{base} taint nodes --all --overwrite {taints}",
    )
    cost = cost_of(plane, ("sh", "-ec", "\n".join(commands)))
    return Row("kubectl label, annotate, taint", NODES, cost, cost.usage.cpu)


def _core(plane: ControlPlane, directory: Path, kubeconfig: str, names: list[str]) -> Row:
    wish = _wish("", "core")
    metadata = {"labels": wish["labels"], "annotations": wish["annotations"]}
    node = {"kind": "Node", "name": "{{ item }}", "kubeconfig": kubeconfig}
    tasks = [
        {
            "kubernetes.core.k8s": {**node, "state": "patched", "definition": {"metadata": metadata}},
            "loop": "{{ names }}",
        },
        {
            "kubernetes.core.k8s_taint": {"name": "{{ item }}", "kubeconfig": kubeconfig, "taints": wish["taints"]},
            "loop": "{{ names }}",
        },
    ]
    collections = collections_path()
    start = play_cost(plane, directory, [{"ansible.builtin.ping": {}}], {"names": names}, collections)
    cost = play_cost(plane, directory, tasks, {"names": names}, collections)
    return Row("kubernetes.core k8s and k8s_taint, in loops", len(names), cost, cost.usage.cpu - start.usage.cpu)


def _wish(name: str, who: str) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {f"{who}-rack": "r1", f"{who}-io-class": "nvme", f"{who}-pool": "general"},
        "annotations": {f"example.com/{who}": "1"},
        "taints": [{"key": f"{who}-dedicated", "value": "batch", "effect": "PreferNoSchedule"}],
    }


def sections(found: Measurement) -> Iterator[str]:
    """The tables."""
    yield f"## Three labels, an annotation and a taint on {NODES:,} nodes\n"
    yield (
        "Client CPU-s are those of the play less those of a play that only pings, with the same variables; the\n"
        "process of the module is measured alone as well, less that of an empty one, since a play's memory is\n"
        "Ansible's own. kubernetes.core has fewer nodes: it goes through them one by one.\n"
    )
    header = ("method", "", "nodes", "requests", "client CPU-s", "CPU-ms a node", "wall s", "peak MB", "server CPU-s")
    yield table(header, [_line(row, index) for index, row in enumerate(found.rows)])
    yield ""
    yield table(("what", "target", "measured", ""), list(_targets(found)))


def _line(row: Row, index: int) -> tuple[object, ...]:
    return (
        row.method,
        "nothing to change" if index % 2 else "all change",
        f"{row.nodes:,}",
        f"{row.cost.requests:,}",
        f"{row.cpu:.2f}",
        f"{row.cpu_per_node * 1000:.2f}",
        f"{row.cost.usage.wall:.1f}",
        f"{row.cost.usage.peak:.0f}",
        f"{row.cost.server_cpu:.1f}",
    )


def _targets(found: Measurement) -> Iterator[tuple[object, ...]]:
    change, same = found.ours
    rivals = zip(found.ours, found.core, strict=True)
    less = min(core.cpu_per_node / ours.cpu_per_node for ours, core in rivals)
    peak = max(row.cost.usage.peak for row in found.module)
    kubectls = min(theirs.cpu / ours.cpu for ours, theirs in zip(found.ours, found.kubectl, strict=True))
    for what, target, value, met in (
        ("all change: requests", f"at most {NODES + 1:,}", change.cost.requests, change.cost.requests <= NODES + 1),
        ("all change: client CPU-s", "at most 2", change.cpu, change.cpu <= 2),
        ("nothing to change: requests", "at most 1", same.cost.requests, same.cost.requests <= 1),
        ("nothing to change: client CPU-s", "at most 0.6", same.cpu, same.cpu <= 0.6),
        ("kubernetes.core's CPU a node over ours", "at least 500", less, less >= 500),
        ("kubectl's CPU over ours", "more than 1", kubectls, kubectls > 1),
        ("peak memory of the module, MB", "at most 100", peak, peak <= 100),
    ):
        yield what, target, f"{value:.3g}" if isinstance(value, float) else value, "met" if met else "missed"
