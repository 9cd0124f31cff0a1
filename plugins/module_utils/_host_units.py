# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd units of a host: enabled, running, and running with the files they have now; private to this collection.

A unit is restarted when what it watches is not what it was started with. The fingerprint of the watched paths is
written to a record after each start that we made, and the record is marked *pending* before a watched file is replaced:
a run that is killed anywhere in between leaves a mark or a difference, and the next run restarts.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import (
    STATE_DIRECTORY,
    Host,
    HostError,
    is_temporary,
    problem,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

UNIT_DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
UNIT_NAME = re.compile(
    r"[A-Za-z0-9:_.\\@-]+\.(service|socket|timer|target|mount|automount|swap|path|slice|scope|device)"
)
HASHED_BYTES = 1 << 20
"""Bigger files are told apart by size and time: binaries come by rename and never change in place."""
PROPERTIES = (
    "ActiveEnterTimestampMonotonic",
    "ActiveState",
    "LoadState",
    "NeedDaemonReload",
    "RemainAfterExit",
    "SubState",
    "Type",
    "UnitFileState",
)
ENABLED_STATES = ("enabled", "alias", "generated", "indirect")
SETTLE_SECONDS = 0.5
"""systemd calls a unit of type simple active as soon as it forked; one that dies at once is found out after this."""


@dataclass(frozen=True)
class UnitWanted:
    """How one unit shall be; ``enabled`` None leaves it. ``watch``: files, directories, or prefixes ending in ``*``.
    After a start it has to stay up for ``settle`` seconds before it counts as up."""

    name: str
    option: str
    enabled: bool | None = None
    state: str = "unmanaged"  # started, stopped, unmanaged
    watch: tuple[str, ...] = ()
    settle: float = 0.0


@dataclass(frozen=True)
class UnitFact:
    """What systemd says of a unit. ``active_since`` is Unix time in seconds, 0 when it is not active."""

    load: str
    active: str
    sub: str
    file_state: str
    kind: str
    remain: bool
    need_reload: bool
    active_since: float

    @property
    def is_up(self) -> bool:
        """Active, or on its way there; a unit between two crashes is not."""
        return self.active in ("active", "reloading") or (self.active == "activating" and self.sub != "auto-restart")


@dataclass(frozen=True)
class Watched:
    """The fingerprint of each path that a unit watches, and when the latest of them changed, in Unix time."""

    prints: Mapping[str, str]
    changed_at: float


@dataclass(frozen=True)
class UnitRecord:
    """What a unit was last started with by us; ``pending`` when a watched path was about to change since."""

    prints: Mapping[str, str]
    pending: bool


@dataclass(frozen=True)
class UnitPlan:
    """What to tell systemd: ``before`` files change, ``after`` they did, and what brings units ``up`` in the end.

    ``await_active`` are units that are on their way up by themselves.
    """

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    up: tuple[Step, ...]
    findings: tuple[Finding, ...]
    await_active: tuple[str, ...]

    def targets(self, action: str) -> tuple[str, ...]:
        """The units that get one kind of step."""
        return tuple(step.target for step in (*self.before, *self.after, *self.up) if step.action == action)


def observe(host: Host, names: Sequence[str]) -> dict[str, UnitFact]:
    """The facts of all units by one call of systemctl. Raises :class:`HostError` when systemd does not answer."""
    if not names:
        return {}
    ran = host.run(["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *names], 60.0)
    blocks = [_properties(block) for block in ran.out.strip().split("\n\n")] if ran.out.strip() else []
    if ran.rc != 0 or len(blocks) != len(names):
        raise HostError(
            [
                problem(
                    "systemd",
                    "units",
                    f"systemctl show fails: {ran.said or 'it did not describe every unit'}.",
                    "the host must run systemd as process 1, and unit names must be valid.",
                )
            ]
        )
    booted = time.time() - time.monotonic()
    return {name: _seen_on_disk(host, name, _fact(block, booted)) for name, block in zip(names, blocks)}


def _seen_on_disk(host: Host, name: str, fact: UnitFact) -> UnitFact:
    """A unit that systemd once looked for in vain stays not found until a reload, even when its file has come."""
    if fact.load == "not-found" and any(os.path.exists(host.at(path)) for path in _unit_files(name)):
        return replace(fact, load="loaded", need_reload=True)
    return fact


def record_path(unit: str) -> str:
    """Where the record of a unit lies; unit names have a dot, names of host states have none."""
    return f"{STATE_DIRECTORY}/host_state/{unit}.json"


def read_record(host: Host, unit: str) -> UnitRecord | None:
    """The record of a unit, None when we never started it."""
    raw = host.read_json(record_path(unit))
    prints = raw.get("watched")
    if not isinstance(prints, dict):
        return None
    return UnitRecord({str(path): str(value) for path, value in prints.items()}, bool(raw.get("pending")))


def write_record(host: Host, unit: str, prints: Mapping[str, str], pending: bool = False) -> None:
    """Remembers what a unit was started with, or that this is about to be no longer true."""
    host.write_json(record_path(unit), {"watched": dict(prints), "pending": pending})


def watch(host: Host, entries: Iterable[str]) -> Watched:
    """Reads what a unit watches. A path that is missing counts too, so that its appearance is a change."""
    prints: dict[str, str] = {}
    changed_at = 0.0
    for entry in entries:
        for path in _expand(host, entry):
            prints[path], at = _fingerprint(host, path)
            changed_at = max(changed_at, at)
    return Watched(prints, changed_at)


def watches(wanted: UnitWanted, path: str) -> bool:
    """Whether a change of ``path`` is a change of what the unit watches."""
    return any(
        path.startswith(entry[:-1])
        if entry.endswith("*")
        else path == entry or path.startswith(entry.rstrip("/") + "/")
        for entry in wanted.watch
    )


def plan(
    units: Sequence[UnitWanted],
    facts: Mapping[str, UnitFact],
    records: Mapping[str, UnitRecord | None],
    watched: Mapping[str, Watched],
    changed_paths: Sequence[str],
    check: bool,
) -> UnitPlan:
    """What systemd must be told, given the paths whose content this call changes.

    In check mode a unit that does not exist yet is one that would be made by what was only planned before.
    """
    findings: list[Finding] = []
    why: dict[str, dict[str, str]] = {"stop": {}, "disable": {}, "enable": {}, "start": {}, "restart": {}}
    awaited = []
    for wanted in units:
        fact = facts[wanted.name]
        findings += _unit_findings(wanted, fact, changed_paths, check)
        if wanted.enabled is True and fact.file_state not in ENABLED_STATES:
            why["enable"][wanted.name] = f"is {fact.file_state or 'not installed'}"
        if wanted.enabled is False and fact.file_state in ("enabled", "enabled-runtime"):
            why["disable"][wanted.name] = f"is {fact.file_state}"
        if wanted.state == "stopped" and fact.active not in ("inactive", "failed"):
            why["stop"][wanted.name] = f"is {fact.active}"
        if wanted.state == "started" and not fact.is_up:
            why["start"][wanted.name] = f"is {fact.active}" + (" (auto-restart)" if fact.sub == "auto-restart" else "")
        elif wanted.state != "stopped" and fact.is_up:
            reason = _restart_reason(wanted, fact, records[wanted.name], watched[wanted.name], changed_paths)
            if reason:
                why["restart"][wanted.name] = reason
            elif wanted.state == "started" and fact.active == "activating":
                awaited.append(wanted.name)
    steps = {verb: [Step(verb, unit, reason) for unit, reason in of_verb.items()] for verb, of_verb in why.items()}
    reload_reason = _reload_reason(facts, changed_paths)
    reload = [Step("reload", "systemd", reload_reason)] if reload_reason else []
    return UnitPlan(
        (*steps["stop"], *steps["disable"]),
        (*reload, *steps["enable"]),
        (*steps["start"], *steps["restart"]),
        tuple(findings),
        tuple(awaited),
    )


def defined_by(path: str) -> str:
    """The name of the unit of which ``path`` is the file; empty for templates and everything else."""
    directory, name = os.path.split(path)
    return name if directory in UNIT_DIRECTORIES and UNIT_NAME.fullmatch(name) and "@." not in name else ""


def systemctl(host: Host, action: str, units: Sequence[str], timeout: float) -> list[Finding]:
    """Takes one kind of step for all units that get it; a refusal is a finding."""
    arguments = ["daemon-reload"] if action == "reload" else [action, *units]
    ran = host.run(["systemctl", "--no-ask-password", *arguments], timeout)
    if ran.rc == 0:
        return []
    return [
        problem(
            "systemd",
            "units",
            f"systemctl {' '.join(arguments)} fails: {ran.said}.",
            "look at it with systemctl status on the host.",
        )
    ]


def wait_active(
    host: Host, names: Sequence[str], timeout: float, since: float, settle: float = 0.0
) -> tuple[list[str], list[Finding]]:
    """Waits until the units are active and stay so, for ``settle`` seconds at least. Returns those that are, and a
    finding for each other, with what its journal says from the Unix time ``since`` on."""
    deadline = time.monotonic() + timeout
    settled_at: float | None = None
    while True:
        facts = observe(host, names)
        waiting = [name for name in names if facts[name].active != "active"]
        now = time.monotonic()
        hopeless = all(not facts[name].is_up for name in waiting)
        if waiting and (hopeless or now > deadline):
            break
        if not waiting:
            forked_only = any(fact.kind in ("simple", "exec", "idle") for fact in facts.values())
            settled_at = settled_at or now + max(settle, SETTLE_SECONDS if forked_only else 0.0)
            if now >= settled_at:
                return list(names), []
        time.sleep(0.1)
    return [name for name in names if name not in waiting], [
        _failed_unit(host, name, facts[name], since) for name in waiting
    ]


def _failed_unit(host: Host, name: str, fact: UnitFact, since: float) -> Finding:
    if fact.kind == "oneshot" and fact.active == "inactive":
        return problem(
            "unit",
            f"units: {name}",
            f"{name} ran and ended, so it cannot be kept started.",
            "give its unit file RemainAfterExit=yes, or do not ask for state started.",
        )
    options = ["--no-pager", "--quiet", "--lines=15", "--output=cat", f"--since=@{since:.0f}", f"--unit={name}"]
    ran = host.run(["journalctl", *options], 30.0)
    journal = "\n".join(f"    {line}" for line in ran.out.strip().splitlines()[-15:]) or "    (the journal has nothing)"
    return problem(
        "unit",
        f"units: {name}",
        f"{name} is {fact.active} ({fact.sub}) and does not become active. Its last journal lines:\n{journal}\n",
        f"repair what they say and run again; more with journalctl -u {name}.",
    )


def _properties(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _fact(properties: Mapping[str, str], booted: float) -> UnitFact:
    entered = int(properties.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    return UnitFact(
        load=properties.get("LoadState", ""),
        active=properties.get("ActiveState", ""),
        sub=properties.get("SubState", ""),
        file_state=properties.get("UnitFileState", ""),
        kind=properties.get("Type", ""),
        remain=properties.get("RemainAfterExit") == "yes",
        need_reload=properties.get("NeedDaemonReload") == "yes",
        active_since=booted + entered if entered else 0.0,
    )


def _expand(host: Host, entry: str) -> list[str]:
    if entry.endswith("*"):
        directory, prefix = os.path.split(entry[:-1])
        names = [name for name in host.entries(directory) if name.startswith(prefix) and not is_temporary(name)]
        return [path for name in names for path in _expand(host, os.path.join(directory, name))] or [entry]
    where = host.at(host.resolve(entry))
    if not os.path.isdir(where):
        return [entry]
    paths = []
    for directory, folders, files in os.walk(where):
        folders.sort()
        inside = os.path.relpath(directory, where)
        paths += [
            os.path.normpath(os.path.join(entry, inside, name)) for name in sorted(files) if not is_temporary(name)
        ]
    return paths or [entry]


def _fingerprint(host: Host, path: str) -> tuple[str, float]:
    target = host.resolve(path)
    try:
        link, status = os.lstat(host.at(path)), os.stat(host.at(target))
    except OSError:
        return "missing", 0.0
    changed_at = max(link.st_mtime, link.st_ctime, status.st_mtime, status.st_ctime)
    if stat.S_ISREG(status.st_mode) and status.st_size <= HASHED_BYTES:
        text = hashlib.sha256(host.read(target) or b"").hexdigest()
    elif stat.S_ISREG(status.st_mode):
        text = f"size={status.st_size} mtime={status.st_mtime_ns}"
    else:
        text = "not a file"
    return (text if target == path else f"{target} {text}"), changed_at


def _unit_findings(wanted: UnitWanted, fact: UnitFact, changed_paths: Sequence[str], check: bool) -> list[Finding]:
    needed = wanted.enabled or wanted.state == "started"
    if not needed:
        return []
    if fact.load == "masked":
        return [
            problem(
                "unit",
                wanted.option,
                f"{wanted.name} is masked, so it can be neither enabled nor started.",
                f"find out who masked it, then systemctl unmask {wanted.name}.",
            )
        ]
    if fact.load == "not-found" and not check and not _is_defined_by(changed_paths, wanted.name):
        return [
            problem(
                "unit",
                wanted.option,
                f"{wanted.name} does not exist on this host.",
                "install what brings it first, or write its unit file in files.",
            )
        ]
    if wanted.enabled and fact.file_state in ("static", "transient") and not _is_defined_by(changed_paths, wanted.name):
        return [
            problem(
                "unit",
                f"{wanted.option}.enabled",
                f"{wanted.name} is {fact.file_state}: its unit file has no [Install] section, so it cannot be enabled.",
                "add the section by a drop-in, or leave enabled out.",
            )
        ]
    return []


def _is_defined_by(paths: Sequence[str], unit: str) -> bool:
    """Whether one of ``paths`` is the unit's file, its template or a drop-in of either."""
    files = _unit_files(unit)
    return any(path in files or os.path.dirname(path)[: -len(".d")] in files for path in paths)


def _unit_files(unit: str) -> set[str]:
    prefix, at, suffix = unit.partition("@")
    names = (unit, f"{prefix}@.{suffix.rpartition('.')[2]}") if at else (unit,)
    return {f"{directory}/{name}" for directory in UNIT_DIRECTORIES for name in names}


def _restart_reason(
    wanted: UnitWanted,
    fact: UnitFact,
    record: UnitRecord | None,
    watched: Watched,
    changed_paths: Sequence[str],
) -> str:
    if not wanted.watch:
        return ""
    changed = [path for path in changed_paths if watches(wanted, path)]
    if changed:
        return _changed(changed)
    if record is None:
        return "started before its files changed" if fact.active_since < watched.changed_at else ""
    if record.pending:
        return "an earlier run changed its files and did not restart it"
    different = [
        path
        for path in sorted({*record.prints, *watched.prints})
        if record.prints.get(path) != watched.prints.get(path)
    ]
    return _changed(different) if different else ""


def _changed(paths: Sequence[str]) -> str:
    return "changed: " + ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _reload_reason(facts: Mapping[str, UnitFact], changed_paths: Sequence[str]) -> str:
    changed = [path for path in changed_paths if path == "/etc/fstab" or path.startswith(UNIT_DIRECTORIES)]
    if changed:
        return _changed(changed)
    stale = [name for name, fact in facts.items() if fact.need_reload]
    return "unit files on disk are newer: " + ", ".join(stale) if stale else ""
