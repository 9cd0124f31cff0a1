# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts send over the dedicated line, each and all of them; private to this collection."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils import _tc
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, problem


@dataclass(frozen=True)
class Usage:
    """What one host sends: Mbit/s of each class, packets it threw away meanwhile, and its limit."""

    rates: Mapping[str, float]
    dropped: int
    limit_mbit: float

    @property
    def total(self) -> float:
        """Mbit/s of all classes."""
        return sum(self.rates.values())

    @property
    def share(self) -> float:
        """How much of its limit the host uses."""
        return self.total / self.limit_mbit

    def as_dict(self) -> dict[str, Any]:
        """The usage in a module's result."""
        return {
            "mbit": round(self.total, 3),
            "classes": {name: round(rate, 3) for name, rate in self.rates.items()},
            "dropped": self.dropped,
            "limit_mbit": self.limit_mbit,
            "share": round(self.share, 4),
        }


@dataclass(frozen=True)
class LineUsage:
    """What all hosts send together, of what the line carries."""

    mbit: float
    capacity_mbit: float
    warn_share: float
    hosts: Mapping[str, float]
    unknown: tuple[str, ...]

    @property
    def share(self) -> float:
        """How much of the line they use."""
        return self.mbit / self.capacity_mbit

    @property
    def is_warning(self) -> bool:
        """Whether it is so much that a person should know."""
        return self.share >= self.warn_share

    @property
    def message(self) -> str:
        """What a person is told."""
        most = ", ".join(f"{name} {rate:.1f}" for name, rate in list(self.hosts.items())[:3])
        said = f"The line carries {self.mbit:.1f} of {self.capacity_mbit:g} Mbit/s ({self.share:.0%})"
        said += f"; most by {most}." if most else "."
        said += f" Too much, from {self.warn_share:.0%} on: lower limit_mbit, or send less." if self.is_warning else ""
        return said + (f" Not known of: {', '.join(self.unknown)}." if self.unknown else "")

    def as_dict(self) -> dict[str, Any]:
        """The usage as a filter's value."""
        return {
            "mbit": round(self.mbit, 3),
            "capacity_mbit": self.capacity_mbit,
            "share": round(self.share, 4),
            "warning": self.is_warning,
            "hosts": dict(self.hosts),
            "unknown": list(self.unknown),
            "message": self.message,
        }


def measure(host: Host, seconds: float) -> Usage:
    """Counts for some seconds what the host sends. Raises :class:`HostError` when it has no limit to count at."""
    began, before = time.monotonic(), _tc.counters(host)
    limit = _tc.limit_of(host)
    if not before or limit is None:
        raise HostError([_no_limit()])
    time.sleep(seconds)
    after = _tc.counters(host)
    passed = time.monotonic() - began
    if set(after) != set(before) or any(after[name].sent_bytes < was.sent_bytes for name, was in before.items()):
        raise HostError([_no_limit("was made anew while it was measured")])
    rates = {name: (after[name].sent_bytes - was.sent_bytes) * 8 / 1e6 / passed for name, was in before.items()}
    dropped = sum(after[name].dropped - was.dropped for name, was in before.items())
    return Usage(rates, dropped, limit / 1e6)


def line_usage(measured: Mapping[str, Any], capacity_mbit: float, warn_share: float) -> LineUsage:
    """The sum of what hosts measured; ``measured`` has each host's result of the module line_usage, or what failed."""
    rates = {name: float(result["mbit"]) for name, result in measured.items() if _is_measured(result)}
    most_first = dict(sorted(rates.items(), key=lambda item: (-item[1], item[0])))
    unknown = tuple(sorted(set(measured) - set(rates)))
    return LineUsage(sum(rates.values()), capacity_mbit, warn_share, most_first, unknown)


def _is_measured(result: Any) -> bool:
    return isinstance(result, Mapping) and not result.get("failed") and "mbit" in result


def _no_limit(what: str = "is not there") -> Finding:
    return problem(
        "line-no-limit",
        _tc.DEVICE,
        f"the limit by which traffic is counted {what}.",
        "apply the role egress_limit to the host, then measure again.",
    )
