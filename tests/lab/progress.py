"""Telling a person what goes on, and how long it took last time."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.lab.build.store import cache_root
from tests.lab.files import write_atomically


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a step with the time it took last time, and its end with the time it took now."""
    before = _durations().get(text)
    say(f"{text} ({'first time' if before is None else f'last time {before:.1f} s'})")
    started = time.monotonic()
    yield
    elapsed = time.monotonic() - started
    say(f"{text}: done in {elapsed:.1f} s")
    write_atomically(_path(), json.dumps({**_durations(), text: round(elapsed, 1)}, indent=1))


def _path() -> Path:
    return cache_root() / "labs" / "durations.json"


def _durations() -> dict[str, float]:
    try:
        return {str(name): float(seconds) for name, seconds in json.loads(_path().read_text()).items()}
    except (OSError, ValueError):
        return {}
