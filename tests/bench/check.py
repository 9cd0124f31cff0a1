"""`check`, which runs `estate_check`, on generated inventories of many hosts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.bench import generate_inventory
from tests.bench.markdown import table
from tests.bench.measure import Cost, measure

SIZES = (10, 100, 1000)
FAULTY_EVERY = 2
TARGET_SECONDS = 10


def measured() -> list[Cost]:
    """Inventories in order and, at the largest size, one in which every second host is wrong."""
    return [_measure(hosts, faulty=False) for hosts in SIZES] + [_measure(SIZES[-1], faulty=True)]


def _measure(hosts: int, faulty: bool) -> Cost:
    name = f"{hosts:,} hosts, {'half of them wrong' if faulty else 'in order'}"
    with tempfile.TemporaryDirectory() as directory:
        generate_inventory.write(Path(directory), hosts, FAULTY_EVERY if faulty else 0)
        return measure(name, "check", inventory=Path(directory), expected=2 if faulty else 0)


def sections(costs: Iterable[Cost]) -> Iterator[str]:
    """The table."""
    yield f"## The check of an inventory (target: 1,000 hosts in {TARGET_SECONDS} s)\n"
    rows = [
        (cost.name, f"{cost.usage.wall:.1f}", f"{cost.usage.cpu:.1f}", f"{cost.usage.load:.0f}", cost.usage.status)
        for cost in costs
    ]
    yield table(("inventory", "wall s", "CPU-s", "load", "exit"), rows)
