# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw ``estate_runtime_profiles`` to their types; private to this collection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import profile as types
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.reader import Reader
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import shown

PROFILES = "estate_runtime_profiles"
_KEYS = (
    "reserved",
    "cpu_manager",
    "memory_manager",
    "topology_manager",
    "eviction",
    "image_gc",
    "container_logs",
    "shutdown",
    "max_pods",
    "pod_pids_limit",
    "parallel_pulls",
    "runtimes",
)
# apimachinery: pkg/api/resource, the suffixes of quantities.
_QUANTITY = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<suffix>m|[kMGTPE]|[KMGTPE]i)?\Z")
_SUFFIXES = {
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Fraction(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    "m": Fraction(1, 1000),
    "": Fraction(1),
}
_SHARE = re.compile(r"(?P<percent>\d+(\.\d+)?)%\Z")
_MOST_PODS = 1_000_000  # math.MaxInt32 to the kubelet; more than this is a slip
_MOST_PIDS = 4_194_304  # PID_MAX_LIMIT of 64-bit Linux
_MOST_PULLS = 100
_LONGEST_SECONDS = 86_400
_LONGEST_HOURS = 8_784
_MOST_LOG_FILES = 1000
_MOST_NUMA_NODES = 1024


def profiles(reader: Reader, value: Any) -> dict[str, types.Profile]:
    """The profiles, by name."""
    found: dict[str, types.Profile] = {}
    for name, item in sorted(reader.mapping("", PROFILES, value).items()):
        variable = f"{PROFILES}.{name}"
        raw = reader.mapping("", variable, item)
        reader.keys("", variable, raw, _KEYS)
        found[name] = types.Profile(
            name=name,
            reserved=_reserved(reader, f"{variable}.reserved", raw.get("reserved")),
            managers=_managers(reader, variable, raw),
            eviction=_eviction(reader, f"{variable}.eviction", raw.get("eviction")),
            limits=_limits(reader, variable, raw),
            shutdown=_shutdown(reader, f"{variable}.shutdown", raw.get("shutdown")),
            runtimes=_runtimes(reader, f"{variable}.runtimes", raw.get("runtimes")),
        )
    return found


def _reserved(reader: Reader, variable: str, value: Any) -> types.Reserved:
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, ("system", "kube", "cpus", "memory"))
    amounts: dict[str, dict[str, types.Quantity]] = {}
    for whose in ("system", "kube"):
        of_whom = reader.mapping("", f"{variable}.{whose}", raw.get(whose))
        reader.keys("", f"{variable}.{whose}", of_whom, types.RESERVED_RESOURCES)
        read = {
            name: _quantity(reader, f"{variable}.{whose}.{name}", of_whom.get(name))
            for name in types.RESERVED_RESOURCES
        }
        amounts[whose] = {name: amount for name, amount in read.items() if amount is not None}
    memory: dict[int, types.Quantity] = {}
    for node, amount in reader.mapping("", f"{variable}.memory", raw.get("memory")).items():
        number = reader.integer(
            f"{variable}.memory.{node}", int(node) if node.isdecimal() else node, 0, _MOST_NUMA_NODES
        )
        quantity = _quantity(reader, f"{variable}.memory.{node}", amount)
        if number is not None and quantity is not None:
            memory[number] = quantity
    return types.Reserved(
        system=amounts["system"],
        kube=amounts["kube"],
        cpus=reader.text("", f"{variable}.cpus", _written(raw.get("cpus"))) or "",
        memory=memory,
    )


def _managers(reader: Reader, variable: str, raw: dict[str, Any]) -> types.Managers:
    cpu = reader.mapping("", f"{variable}.cpu_manager", raw.get("cpu_manager"))
    reader.keys("", f"{variable}.cpu_manager", cpu, ("policy", "options"), ("policy",) if cpu else ())
    memory = reader.mapping("", f"{variable}.memory_manager", raw.get("memory_manager"))
    reader.keys("", f"{variable}.memory_manager", memory, ("policy",), ("policy",) if memory else ())
    topology = reader.mapping("", f"{variable}.topology_manager", raw.get("topology_manager"))
    reader.keys("", f"{variable}.topology_manager", topology, ("policy", "scope"), ("policy",) if topology else ())

    def choice(manager: str, key: str, value: Any, choices: Sequence[str]) -> str:
        return reader.choice("", f"{variable}.{manager}.{key}", value, choices)

    return types.Managers(
        cpu=choice("cpu_manager", "policy", cpu.get("policy"), types.MANAGER_POLICIES),
        cpu_options=reader.strings("", f"{variable}.cpu_manager.options", cpu.get("options")),
        memory=choice("memory_manager", "policy", memory.get("policy"), types.MANAGER_POLICIES),
        topology=choice("topology_manager", "policy", topology.get("policy"), types.TOPOLOGY_POLICIES),
        topology_scope=choice("topology_manager", "scope", topology.get("scope"), types.TOPOLOGY_SCOPES),
    )


def _eviction(reader: Reader, variable: str, value: Any) -> types.Eviction:
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, ("hard", "soft", "soft_grace_seconds", "max_pod_grace_seconds"))
    graces = reader.mapping("", f"{variable}.soft_grace_seconds", raw.get("soft_grace_seconds"))
    reader.keys("", f"{variable}.soft_grace_seconds", graces, types.SIGNALS)
    read = {name: _seconds(reader, f"{variable}.soft_grace_seconds.{name}", graces.get(name)) for name in types.SIGNALS}
    return types.Eviction(
        hard=_thresholds(reader, f"{variable}.hard", raw.get("hard")),
        soft=_thresholds(reader, f"{variable}.soft", raw.get("soft")),
        soft_grace_seconds={name: seconds for name, seconds in read.items() if seconds is not None},
        max_pod_grace_seconds=_seconds(reader, f"{variable}.max_pod_grace_seconds", raw.get("max_pod_grace_seconds")),
    )


def _thresholds(reader: Reader, variable: str, value: Any) -> dict[str, types.Threshold]:
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, types.SIGNALS)
    read = {name: _threshold(reader, f"{variable}.{name}", raw.get(name)) for name in types.SIGNALS}
    return {name: threshold for name, threshold in read.items() if threshold is not None}


def _threshold(reader: Reader, variable: str, value: Any) -> types.Threshold | None:
    share = _SHARE.match(value) if isinstance(value, str) else None
    if share:
        return types.Threshold(str(value), Fraction(share["percent"]) / 100, is_share=True)
    amount = _quantity(reader, variable, value, "or a share such as 10%")
    return types.Threshold(amount.text, amount.value) if amount is not None else None


def _limits(reader: Reader, variable: str, raw: dict[str, Any]) -> types.Limits:
    images = reader.mapping("", f"{variable}.image_gc", raw.get("image_gc"))
    reader.keys("", f"{variable}.image_gc", images, ("high_percent", "low_percent", "max_age_hours"))
    logs = reader.mapping("", f"{variable}.container_logs", raw.get("container_logs"))
    reader.keys("", f"{variable}.container_logs", logs, ("max_size", "files"))

    def number(path: str, value: Any, low: int, high: int) -> int | None:
        return reader.integer(f"{variable}.{path}", value, low, high)

    return types.Limits(
        max_pods=number("max_pods", raw.get("max_pods"), 1, _MOST_PODS),
        pod_pids=number("pod_pids_limit", raw.get("pod_pids_limit"), 1, _MOST_PIDS),
        parallel_pulls=number("parallel_pulls", raw.get("parallel_pulls"), 1, _MOST_PULLS),
        image_gc_high_percent=number("image_gc.high_percent", images.get("high_percent"), 1, 100),
        image_gc_low_percent=number("image_gc.low_percent", images.get("low_percent"), 0, 99),
        image_max_age_hours=number("image_gc.max_age_hours", images.get("max_age_hours"), 1, _LONGEST_HOURS),
        log_max_size=_quantity(reader, f"{variable}.container_logs.max_size", logs.get("max_size")),
        log_files=number("container_logs.files", logs.get("files"), 2, _MOST_LOG_FILES),
    )


def _shutdown(reader: Reader, variable: str, value: Any) -> types.Shutdown:
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, ("total_seconds", "critical_seconds"), ("total_seconds",) if raw else ())
    return types.Shutdown(
        total_seconds=_seconds(reader, f"{variable}.total_seconds", raw.get("total_seconds")),
        critical_seconds=_seconds(reader, f"{variable}.critical_seconds", raw.get("critical_seconds")),
    )


def _runtimes(reader: Reader, variable: str, value: Any) -> tuple[str, ...]:
    """In the order of RUNTIMES, each once; runc is everywhere and goes without saying."""
    given = [
        reader.choice("", f"{variable}[{index}]", item, types.RUNTIMES)
        for index, item in enumerate(reader.sequence("", variable, value))
    ]
    return tuple(name for name in types.RUNTIMES if name in given and name != types.RUNC)


def _seconds(reader: Reader, variable: str, value: Any) -> int | None:
    return reader.integer(variable, value, 0, _LONGEST_SECONDS)


def _written(value: Any) -> Any:
    """The text of what YAML takes for a whole number, as a single processor or 2 CPUs."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _quantity(reader: Reader, variable: str, value: Any, also: str = "") -> types.Quantity | None:
    if value is None:
        return None
    text = _written(value)
    match = _QUANTITY.match(text) if isinstance(text, str) else None
    if match:
        worth = Fraction(match["number"]) * _SUFFIXES[match["suffix"] or ""]
        return types.Quantity(str(text), worth)
    reader.report(
        "ES022-not-a-quantity",
        "",
        variable,
        f"{shown(value)} is not an amount.",
        f"Write it as Kubernetes does, for instance 500m of CPU or 2Gi of memory{f', {also}' if also else ''}.",
    )
    return None
