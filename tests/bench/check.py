"""``python -m tests.bench.check``: what the check of an inventory costs by its size; a Markdown table."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import generate_inventory

SIZES = (10, 100, 1000)
FAULTY_EVERY = 2


@dataclass(frozen=True)
class Cost:
    """One run of the check over an inventory of ``hosts`` nodes."""

    hosts: int
    faulty: bool
    status: int
    seconds: float
    cpu_seconds: float


def main() -> int:
    """Measure good inventories and, at the largest size, one in which every second host is wrong."""
    runs = [(hosts, False) for hosts in SIZES] + [(SIZES[-1], True)]
    costs = [measure(hosts, faulty) for hosts, faulty in runs]
    print("\n".join(table(costs)))
    return int(any((cost.status != 0) != cost.faulty for cost in costs))


def measure(hosts: int, faulty: bool) -> Cost:
    """Run the playbook as a person would, start of Ansible included."""
    with tempfile.TemporaryDirectory() as directory:
        generate_inventory.write(Path(directory), hosts, FAULTY_EVERY if faulty else 0)
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", directory, "hybridk8s.estate.check"]
        start, cpu = time.monotonic(), _cpu_of_children()
        run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return Cost(hosts, faulty, run.returncode, time.monotonic() - start, _cpu_of_children() - cpu)


def table(costs: list[Cost]) -> Iterator[str]:
    """The costs as Markdown."""
    yield "| nodes | inventory | exit | wall s | CPU-s |"
    yield "|--:|---|--:|--:|--:|"
    for cost in costs:
        kind = "half of the hosts wrong" if cost.faulty else "in order"
        yield f"| {cost.hosts} | {kind} | {cost.status} | {cost.seconds:.1f} | {cost.cpu_seconds:.1f} |"


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
