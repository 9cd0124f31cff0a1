"""Trouble on request: rules that say which requests go wrong, and how."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, Literal


@dataclass
class Fault:
    """One rule. `action` is a pattern of PRODUCT:ACTION.

    The first `skip` requests that match are let pass; of those that follow a `share` is hit, `count` at most (None: no
    end). What happens to them: they wait `delay` seconds; are answered with `code` and `status` if there is a code;
    `drop` cuts the connection, before the work is done or after.
    """

    action: str = "*"
    code: str = ""
    status: int = 0
    message: str = "injected"
    skip: int = 0
    count: int | None = None
    share: float = 1.0
    delay: float = 0.0
    drop: Literal["", "before", "after"] = ""
    seed: int = 0
    hits: int = 0
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.code and not self.status:
            self.status = (
                400 if self.code.startswith("Throttling") else 403 if self.code.startswith("Forbidden") else 500
            )
        self._random = random.Random(self.seed)

    def strikes(self, name: str) -> bool:
        if not fnmatchcase(name, self.action):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.count == 0 or self._random.random() >= self.share:
            return False
        if self.count is not None:
            self.count -= 1
        self.hits += 1
        return True

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class Faults:
    """The rules; the first that strikes is the one that happens."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, values: Mapping[str, Any]) -> Fault:
        known = {each.name for each in fields(Fault) if each.init}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        fault = Fault(**values)
        with self._lock:
            self._rules.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def strike(self, product: str, action: str) -> Fault | None:
        with self._lock:
            return next((rule for rule in self._rules if rule.strikes(f"{product}:{action}")), None)

    def to_list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [rule.to_dict() for rule in self._rules]
