"""What the API's part of a join costs the controller, as the estate grows from ten nodes to a thousand.

The hosts' part is left out (kubeadm runs there); kwok registers the new nodes as their kubelets would. The play has the
tasks of the role kubernetes_node that talk to the API, and the role nodes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import JOINING_TAINT

from tests.bench import generate_inventory
from tests.bench.api import ApiCost, cost_of
from tests.bench.markdown import table
from tests.integration.control_plane import WORKLOAD_CONTROLLERS, ControlPlane, private_file
from tests.integration.kwok_estate import KwokEstate, Workload

SIZES = (10, 100, 1000)
NEWCOMERS = (1, 10)
IMAGES = 50
TRIES = 3
# Two runs of the same differ by as much on a machine that has other work.
TOLERANCE = 0.15
PLAYS = Path(__file__).with_name("plays")


@dataclass(frozen=True)
class Row:
    """`newcomers` joined an estate of `nodes`; `start` is a play that does nothing on the same inventory."""

    nodes: int
    newcomers: int
    cost: ApiCost
    start: ApiCost

    @property
    def cpu(self) -> float:
        return self.cost.usage.cpu - self.start.usage.cpu


def measured() -> list[Row]:
    """One cluster, which grows."""
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as work,
        ControlPlane(Path(work, "plane"), WORKLOAD_CONTROLLERS, scheduler=True, kwok=True, audit=True) as plane,
    ):
        estate = KwokEstate(plane)
        estate.add(Workload("network", kind="DaemonSet"))
        kubeconfig = private_file(Path(work, "admin.conf"), plane.kubeconfig)
        for nodes in SIZES:
            for newcomers in NEWCOMERS:
                inventory = Path(work, f"inventory-{nodes}-{newcomers}")
                generate_inventory.write(inventory, nodes + newcomers)
                names = [f"n{number:04d}" for number in range(nodes + newcomers)]
                estate.add_named_nodes([name for name in names[:nodes] if name not in estate.names], IMAGES)
                tries = [_joined(plane, estate, inventory, names[nodes:], kubeconfig) for _try in range(TRIES)]
                starts = [_play(plane, "nothing", inventory, names[nodes:], kubeconfig) for _try in range(TRIES)]
                rows.append(Row(nodes, newcomers, min(tries, key=_cpu), min(starts, key=_cpu)))
    return rows


def _joined(
    plane: ControlPlane, estate: KwokEstate, inventory: Path, names: Sequence[str], kubeconfig: Path
) -> ApiCost:
    taint = {"key": JOINING_TAINT.key, "effect": JOINING_TAINT.effect}
    estate.add_named_nodes(names, IMAGES, taints=[taint])
    estate.settle()
    cost = _play(plane, "join_api", inventory, names, kubeconfig)
    estate.remove_nodes(names)
    return cost


def _cpu(cost: ApiCost) -> float:
    return cost.usage.cpu


def _play(plane: ControlPlane, play: str, inventory: Path, names: Sequence[str], kubeconfig: Path) -> ApiCost:
    program = str(Path(sys.executable).parent / "ansible-playbook")
    options = (f"--inventory={inventory}", f"--limit={','.join(names)}", f"--extra-vars=estate_kubeconfig={kubeconfig}")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return cost_of(plane, (program, *options, str(PLAYS / f"{play}.yml")), environment)


def sections(rows: Sequence[Row]) -> Iterator[str]:
    """The tables."""
    yield "## The API's part of a join, by the size of the estate\n"
    yield (
        "CPU-s are those of the play less those of a play that does nothing on the same inventory: Ansible reads all\n"
        f"of it, and that share is shown beside. Of {TRIES} runs the one that took least CPU counts.\n"
    )
    header = ("nodes before", "new", "requests", "controller CPU-s", "start CPU-s", "wall s", "peak MB")
    yield table(header, map(_line, rows))
    yield ""
    yield table(("what", "target", "measured", ""), _slopes(rows))


def _line(row: Row) -> tuple[object, ...]:
    usage = row.cost.usage
    return (
        f"{row.nodes:,}",
        row.newcomers,
        row.cost.requests,
        f"{row.cpu:.2f}",
        f"{row.start.usage.cpu:.2f}",
        f"{usage.wall:.1f}",
        f"{usage.peak:.0f}",
    )


def _slopes(rows: Sequence[Row]) -> Iterator[tuple[object, ...]]:
    for newcomers in NEWCOMERS:
        least, *_others, most = (row for row in rows if row.newcomers == newcomers)
        more = most.nodes - least.nodes
        requests = (most.cost.requests - least.cost.requests) / more
        cpu = (most.cpu - least.cpu) / more * 1000
        grown = most.cpu / least.cpu - 1
        per_node = f"for each of {more:,} more nodes"
        yield f"{newcomers} new: requests {per_node}", "0", f"{requests:.4f}", "met" if requests == 0 else "missed"
        verdict = "met" if grown <= TOLERANCE else "missed"
        yield f"{newcomers} new: CPU-ms {per_node}", "0", f"{cpu:.2f} ({grown:+.0%} in all)", verdict
