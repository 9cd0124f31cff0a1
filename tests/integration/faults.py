"""Rules for the FaultyProxy: how an API server in trouble behaves.

    tokens = RotatedToken(proxy.kubeconfig, path, after=50)
    proxy.rule = storm(seed=1, outage=Outage(after=40, seconds=30), tokens=tokens)
    module(kubeconfig=str(path))
    assert applied_differently(plane.audit(mark)) == {}

Draws come from a seeded generator; which request gets which draw is up to the client's threads.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.audit import Event
from tests.integration.faulty_proxy import Fault, Request, Rule

THROTTLED = Fault(429, {"Retry-After": "1"}, "too many requests")
BROKEN = Fault(500, message="etcdserver: request timed out")
CUT = Fault()
CONFLICT = Fault(409, message="the object has been modified")
from tests.integration.control_plane import private_file


def storm(seed: int, outage: Outage | None = None, tokens: RotatedToken | None = None) -> Rule:
    """20 % throttled, 5 % broken and 5 % cut, half of the last two after the request was carried out."""
    shares = Shares(
        seed,
        (0.20, THROTTLED),
        (0.025, BROKEN),
        (0.025, after_the_fact(BROKEN)),
        (0.025, CUT),
        (0.025, after_the_fact(CUT)),
    )
    return first_of(*(rule for rule in (outage, tokens, shares) if rule is not None))


def after_the_fact(fault: Fault) -> Fault:
    """The same answer, but the request is carried out."""
    return Fault(fault.status, fault.headers, fault.message, fault.delay, forwarded=True)


def slow(seconds: float) -> Fault:
    """An answer that says nothing and takes its time to do so."""
    return Fault(504, message="gateway timeout", delay=seconds)


def first_of(*rules: Rule) -> Rule:
    """The first fault that one of the rules has for a request."""

    def rule(request: Request) -> Fault | None:
        return next((fault for asked in rules if (fault := asked(request))), None)

    return rule


class Shares:
    """Faults by their share of all requests; `methods` narrows them to some."""

    def __init__(self, seed: int, *shares: tuple[float, Fault], methods: Iterable[str] = ()) -> None:
        self._shares = shares
        self._random = random.Random(seed)
        self._methods = frozenset(methods)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Fault | None:
        if self._methods and request.method not in self._methods:
            return None
        with self._lock:
            drawn = self._random.random()
        for share, fault in self._shares:
            if drawn < share:
                return fault
            drawn -= share
        return None


@dataclass
class Outage:
    """From the first request after number `after` on, connections are cut for `seconds`; `begins` is called first."""

    after: int
    seconds: float
    begins: Callable[[], None] = lambda: None
    _began: float | None = field(default=None, init=False)

    def __call__(self, request: Request) -> Fault | None:
        if request.number <= self.after:
            return None
        if self._began is None:
            self._began = time.monotonic()
            self.begins()
        return CUT if time.monotonic() < self._began + self.seconds else None

    @property
    def over(self) -> bool:
        """Whether it has been."""
        return self._began is not None and time.monotonic() >= self._began + self.seconds


class RotatedToken:
    """A kubeconfig file with a token that is replaced, and no longer accepted, after request number `after`."""

    def __init__(self, kubeconfig: Mapping[str, Any], path: Path, after: int) -> None:
        self.path = path
        self.rotated = False
        self._kubeconfig = kubeconfig
        self._after = after
        self._lock = threading.Lock()
        self._write("token-1")

    def __call__(self, request: Request) -> Fault | None:
        with self._lock:
            if request.number > self._after and not self.rotated:
                self._write("token-2")
                self.rotated = True
        wanted = "token-2" if self.rotated else "token-1"
        return None if request.authorization == f"Bearer {wanted}" else Fault(401, message="Unauthorized")

    def _write(self, token: str) -> None:
        name = self._kubeconfig["users"][0]["name"]
        content = {**self._kubeconfig, "users": [{"name": name, "user": {"token": token}}]}
        new = private_file(self.path.with_suffix(".new"), content)
        os.replace(new, self.path)


def applied_differently(events: Iterable[Event]) -> dict[str, list[Any]]:
    """The objects that accepted PATCHes of different content, with those; resourceVersions are no content."""
    bodies: dict[str, list[Any]] = {}
    for event in events:
        if event.verb != "patch" or event.status >= 300:
            continue
        metadata = {key: value for key, value in event.body.get("metadata", {}).items() if key != "resourceVersion"}
        content = {**event.body, "metadata": metadata}
        known = bodies.setdefault(f"{event.resource}/{event.namespace}/{event.name}", [])
        if content not in known:
            known.append(content)
    return {name: found for name, found in bodies.items() if len(found) > 1}
