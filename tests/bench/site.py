"""``python -m tests.bench.site``: a first `site`, a second one and a `join`, on fresh hosts; a Markdown table."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.flows import drive
from tests.lab.progress import say

CALLBACKS = Path(__file__).with_name("callbacks")


@dataclass(frozen=True)
class Cost:
    """One measured run; ``counts`` maps a host to its ``remote`` modules and ``skipped`` tasks."""

    name: str
    run: drive.Run
    counts: dict[str, dict[str, int]]
    targets: tuple[str, ...]

    def most(self, count: str) -> int:
        """The highest such count of the workers that the run was for."""
        return max((self.counts.get(host, {}).get(count, 0) for host in self.targets), default=0)


def main() -> int:
    """Measure on fresh hosts; the lab is taken down in the end."""
    drive.lab("down")
    drive.lab("up")
    workers = drive.booted("workers")
    newcomers = tuple(host for host in drive.inventory().hosts_of("workers") if host not in workers)
    limit = f"--limit={drive.limit()}"
    costs = [measure("site, first run", workers, "site", limit), measure("site, second run", workers, "site", limit)]
    for host in newcomers[:1]:
        drive.lab("boot", host)
        costs.append(measure(f"join {host}", (host,), "join", f"--limit={host}"))
    drive.lab("down")
    print("\n".join(table(costs)))
    return int(any(cost.run.status for cost in costs))


def measure(name: str, targets: tuple[str, ...], playbook: str, *arguments: str) -> Cost:
    """Run a playbook with the counting callback."""
    say(f"measuring: {name}")
    with tempfile.TemporaryDirectory() as directory:
        counts = Path(directory, "counts.json")
        os.environ.update(
            ANSIBLE_CALLBACK_PLUGINS=str(CALLBACKS),
            ANSIBLE_CALLBACKS_ENABLED="estate_counts",
            ESTATE_COUNTS=str(counts),
        )
        run = drive.playbook(playbook, *arguments)
        if run.status:
            say(run.output)
        return Cost(name, run, json.loads(counts.read_text()), targets)


def table(costs: Iterable[Cost]) -> Iterator[str]:
    """The costs as Markdown; the counts are those of the worker that has most."""
    yield "| run | exit | wall s | controller CPU-s | CPU-s a node | modules a worker | skipped a worker | changed |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for cost in costs:
        nodes = len([host for host in cost.run.recap if host in drive.inventory().hosts_of("kubernetes")])
        changed = sum(counts["changed"] for counts in cost.run.recap.values())
        cells = (
            cost.name,
            cost.run.status,
            f"{cost.run.seconds:.0f}",
            f"{cost.run.cpu_seconds:.1f}",
            f"{cost.run.cpu_seconds / max(nodes, 1):.1f}",
            cost.most("remote"),
            cost.most("skipped"),
            changed,
        )
        yield "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    sys.exit(main())
