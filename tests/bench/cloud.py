"""What VMs cost on their way from a line in the inventory to a node that takes pods, and back: 1, 4, 100 and 1,000.

The cloud is the simulated one, whose VMs boot in two seconds; kwok is their kubelets, on a real API server. What is
done on a VM by ssh is left out, as it is in the part `join`. The plays have the roles of playbooks/cloud.yml that talk
to the cloud and to the API.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import connect

from tests.bench.api import ApiCost, cost_of
from tests.bench.markdown import table
from tests.bench.site import KUBESPRAY
from tests.fakecloud import admin, world
from tests.fakecloud.server import FakeCloud
from tests.integration.control_plane import WORKLOAD_CONTROLLERS, ControlPlane, private_file
from tests.integration.kwok_cloud import CORES, KwokMachines, bare_metal, environment, pool, write_inventory
from tests.integration.kwok_estate import NODES, KwokEstate

COUNTS = (1, 4, 100, 1000)
BOOT_SECONDS = 2.0
IMAGES = 10
POOL = "online"
PLAYS = Path(__file__).with_name("plays")
OUT, AGAIN, IN = "0 to {}", "{} again", "{} to 0"
# As others reported it: what, how many, how long, and where that stands.
REPORTED = (
    (KUBESPRAY[-1].name, "1", f"{KUBESPRAY[-1].wall} s", "measured, as above; ssh included"),
    ("Kubespray, one node into 1,000", "1", "about 60 min", "kubernetes-sigs/kubespray#10449, a user"),
    ("Kubespray, a whole cluster", "100 to 200", "2 to 4 h", "kubernetes-sigs/kubespray#9059, a user, 2022"),
    ("Kubespray, a whole cluster", "350", "3 h 40 min", "kubernetes-sigs/kubespray#478, a user, 2016"),
    ("TKEx", "2,000 cores", "10 min", "issue 6 of this project; where it was published is not known"),
)


@dataclass(frozen=True)
class Row:
    """A run, and the calls that the cloud answered meanwhile, by action."""

    kind: str
    vms: int
    cost: ApiCost
    calls: Counter[str]

    @property
    def name(self) -> str:
        return self.kind.format(f"{self.vms:,}")


@dataclass(frozen=True)
class Measurement:
    """The runs, and whether each left what it had to: `wrong` says which did not."""

    rows: tuple[Row, ...]
    wrong: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.wrong


def measured() -> Measurement:
    """One cluster and one cloud; for each count VMs come, are left alone, and go."""
    timings = {"pending": 0.0, "starting": BOOT_SECONDS, "stopping": 0.5, "visible": 0.3}
    offered = world.parse({"timings": timings})
    rows: list[Row] = []
    wrong: list[str] = []
    with (
        tempfile.TemporaryDirectory() as work,
        ControlPlane(Path(work, "plane"), WORKLOAD_CONTROLLERS, scheduler=True, kwok=True, audit=True) as plane,
        FakeCloud(Path(work, "cloud"), offered, KwokMachines(plane, BOOT_SECONDS, IMAGES)) as fake,
    ):
        KwokEstate(plane).add_named_nodes(bare_metal(), IMAGES)
        kubeconfig = private_file(Path(work, "admin.conf"), plane.kubeconfig)
        bench = _Bench(plane, fake, Path(work), kubeconfig)
        for count in COUNTS:
            bench.write(count)
            rows.append(bench.row(OUT, count, "cloud_api"))
            wrong += bench.unlike(count, rows[-1])
            rows.append(bench.row(AGAIN, count, "cloud_again_api"))
            wrong += bench.unlike(count, rows[-1])
            rows.append(bench.row(IN, count, "cloud_release_api"))
            wrong += bench.unlike(0, rows[-1])
    return Measurement(tuple(rows), tuple(wrong))


class _Bench:
    def __init__(self, plane: ControlPlane, fake: FakeCloud, work: Path, kubeconfig: Path) -> None:
        self._plane = plane
        self._fake = fake
        self._cluster = connect(plane.kubeconfig)
        self._inventory = work / "inventory"
        self._kubeconfig = kubeconfig

    def write(self, count: int) -> None:
        """The inventory with a pool of so many."""
        write_inventory(self._inventory, self._fake.endpoint, {POOL: pool(count)})

    def row(self, kind: str, count: int, play: str) -> Row:
        before = len(self._requests())
        program = str(Path(sys.executable).parent / "ansible-playbook")
        options = (f"--inventory={self._inventory}", f"--extra-vars=estate_kubeconfig={self._kubeconfig}")
        cost = cost_of(self._plane, (program, *options, str(PLAYS / f"{play}.yml")), environment())
        calls = Counter(entry["action"] for entry in self._requests()[before:])
        return Row(kind, count, cost, calls)

    def unlike(self, count: int, row: Row) -> list[str]:
        """What is not as the run had to leave it."""
        instances = len(admin.state(self._fake.cloud, {})["instances"])
        nodes = self._cluster.list(NODES)
        joined = [made for made in nodes if made["metadata"]["name"].startswith(POOL)]
        open_to_pods = [made for made in joined if not made["spec"].get("taints")]
        found = (instances, len(joined), len(open_to_pods))
        return [] if found == (count,) * 3 else [f"{row.name}: {found} instances, nodes, nodes without taints"]

    def _requests(self) -> list[dict[str, Any]]:
        return list(admin.ask(self._fake.cloud, "requests", {}))


def sections(found: Measurement) -> Iterator[str]:
    """The tables."""
    yield "## VMs from the inventory to nodes that take pods, and back\n"
    yield (
        f"The cloud is simulated: a VM of {CORES} cores runs {BOOT_SECONDS:g} s after it was asked for, and its node\n"
        "registers then, as kwok. The API server is real. **cloud calls** are those that the simulated cloud\n"
        "answered, **API requests** those that the API server did, from the start of `ansible-playbook` to its end;\n"
        "**wall s** are from the line in the inventory to nodes that are Ready, labelled and without taints, or to\n"
        "none. What is done on a VM by ssh (runtime, kubeadm) is **not in it**: that is what `site`, first run, costs\n"
        "a node, above; on the cores of this machine that takes longer for 1,000 VMs than all that is measured here.\n"
    )
    header = ("VMs", "cores", "cloud calls", "API requests", "controller CPU-s", "wall s", "peak MB", "load")
    yield table(header, map(_line, found.rows))
    yield ""
    grown = [row for row in found.rows if row.kind == OUT]
    actions = sorted({action for row in grown for action in row.calls})
    yield table(
        ("cloud calls, by action", *(row.name for row in grown)),
        ((action, *(row.calls[action] for row in grown)) for action in actions),
    )
    yield ""
    yield table(("what", "cloud calls", "API requests", "controller CPU-ms"), _slopes(found.rows))
    for each in found.wrong:
        yield f"\nWRONG: {each}"
    yield ""
    yield table(("others, not measured here", "nodes", "time", "where that stands"), REPORTED)


def _line(row: Row) -> tuple[object, ...]:
    usage = row.cost.usage
    return (
        row.name,
        f"{row.vms * CORES:,}",
        f"{row.calls.total():,}",
        f"{row.cost.requests:,}",
        f"{usage.cpu:.1f}",
        f"{usage.wall:.1f}",
        f"{usage.peak:.0f}",
        f"{usage.load:.0f}",
    )


def _slopes(rows: Sequence[Row]) -> Iterator[tuple[object, ...]]:
    """What each further VM costs, from the fewest to the most."""
    for kind, said in ((OUT, "each further VM that comes"), (AGAIN, "each that is left alone"), (IN, "each that goes")):
        least, *_others, most = (row for row in rows if row.kind == kind)
        more = most.vms - least.vms
        yield (
            said,
            f"{(most.calls.total() - least.calls.total()) / more:.3f}",
            f"{(most.cost.requests - least.cost.requests) / more:.3f}",
            f"{(most.cost.usage.cpu - least.cost.usage.cpu) / more * 1000:.1f}",
        )
