# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run did and what remains, host by host; private to this collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VARIABLE = "__estate_report"
"""The variable in which plays see the report of their own run."""

CHANGED, UNCHANGED = "changed", "unchanged"
FAILED, UNREACHABLE, NOT_STARTED, UNFINISHED = "failed", "unreachable", "not_started", "unfinished"
DONE = frozenset({CHANGED, UNCHANGED, "admitted", "drained", "removed", "absent", "created", "released", "kept"})
"""States of a host on which nothing remains to be done; every other one is trouble."""


@dataclass
class _Host:
    begun: bool = False
    changed: bool = False
    # What a module that works on many nodes said of this one last, unless only that it changed or not.
    told: str = ""
    told_message: str = ""
    failure: str = ""
    failure_message: str = ""
    failed_with_others: bool = False
    step: str = ""
    did: list[dict[str, Any]] = field(default_factory=list)


class Report:
    """The report of one run while it goes on: fed with what happens, asked for a document at any time."""

    def __init__(self, playbook: str, check_mode: bool, begun: str) -> None:
        self._playbook = playbook
        self._check_mode = check_mode
        self._begun = begun
        self._inventory: dict[str, Any] = {}
        self._step = ""
        self._hosts: dict[str, _Host] = {}
        self._in_step: tuple[str, ...] = ()
        self._did: list[dict[str, Any]] = []

    def judged(self, estate: str, summary: Mapping[str, int], findings: Sequence[Mapping[str, Any]]) -> None:
        """The check of the inventory came to this."""
        self._inventory = {"estate": estate, "summary": summary, "findings": findings}

    def step(self, name: str, hosts: Iterable[str]) -> None:
        """A step of the playbook begins, for these hosts."""
        self._step = name
        self._in_step = tuple(hosts)
        for host in self._in_step:
            self._hosts.setdefault(host, _Host())

    def done(self, host: str, task: str, changed: bool, steps: Sequence[str]) -> None:
        """A task of one host ended well."""
        record = self._active(host)
        if changed:
            record.changed = True
            record.did.append({"task": task, "steps": list(steps)})

    def done_for_all(self, task: str, steps: Sequence[str]) -> None:
        """A task that belongs to no single host changed something."""
        self._did.append({"task": task, "steps": list(steps)})

    def told(self, task: str, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        """A module that works on many nodes ended, well or not: ``nodes`` holds what became of each."""
        for host, node in nodes.items():
            record = self._active(host)
            state, message = str(node["state"]), str(node.get("message", ""))
            record.told = "" if state in (CHANGED, UNCHANGED) else state
            record.told_message = message
            if node.get("changed") or state == CHANGED:
                record.changed = True
                record.did.append({"task": task, "steps": [message] if message else []})

    def failed(self, host: str, task: str, message: str, state: str = FAILED) -> None:
        """A task failed on one host, or the host was not reached."""
        record = self._active(host)
        record.failure, record.failure_message, record.failed_with_others = state, f"{task}: {message}", False

    def failed_for_all(self, task: str, message: str, told: Collection[str] = ()) -> None:
        """A task that is done once for all hosts of the step failed; of those in ``told`` the module knew more."""
        for host in self._in_step:
            record = self._hosts[host]
            if host not in told and not record.failure:
                record.failure, record.failure_message = FAILED, f"{task}: {message}"
                record.failed_with_others = True

    def recovered(self, hosts: Iterable[str]) -> None:
        """The failures of these hosts were caught, and they went on."""
        for host in hosts:
            record = self._hosts.get(host)
            if record and not record.failed_with_others:
                record.failure = record.failure_message = ""

    def document(self, complete: bool, ended: str | None = None) -> dict[str, Any]:
        """The report as plain data. ``complete`` says that the run has come to its last step."""
        hosts = {name: self._outcome(record, complete) for name, record in self._hosts.items()}
        return {
            "estate": "",
            **self._inventory,
            "playbook": self._playbook,
            "check_mode": self._check_mode,
            "begun": self._begun,
            "ended": ended,
            "counts": dict(sorted(Counter(host["state"] for host in hosts.values()).items())),
            "remaining": [name for name, host in hosts.items() if host["state"] not in DONE],
            "did": self._did,
            "hosts": hosts,
        }

    def _active(self, host: str) -> _Host:
        record = self._hosts.setdefault(host, _Host())
        record.begun, record.step = True, self._step
        return record

    def _outcome(self, record: _Host, complete: bool) -> dict[str, Any]:
        state, message = _state(record, complete)
        return {"state": state, "changed": record.changed, "message": message, "step": record.step, "did": record.did}


def stats(document: Mapping[str, Any]) -> dict[str, Any]:
    """The report without what was done in detail: small enough to be handed from job to job."""
    hosts = {name: {"state": host["state"], "message": host["message"]} for name, host in document["hosts"].items()}
    kept = ("estate", "playbook", "check_mode", "counts", "remaining")
    return {**{key: document[key] for key in kept}, "hosts": hosts}


def lines(document: Mapping[str, Any]) -> list[str]:
    """The report for people: a line a host, and what remains."""
    hosts = document["hosts"]
    width = max((len(name) for name in hosts), default=0)
    return [*(f"{name:{width}}  {_text(host)}" for name, host in hosts.items()), verdict(document)]


def verdict(document: Mapping[str, Any]) -> str:
    """The report in a sentence, with what to do about what remains."""
    hosts, remaining = document["hosts"], document["remaining"]
    if document["check_mode"]:
        changing = sum(1 for host in hosts.values() if host["changed"])
        return f"Nothing was done (check mode). It would change {changing} of {len(hosts)} hosts."
    done = f"{len(hosts) - len(remaining)} of {len(hosts)} hosts are as they should be"
    if not remaining:
        return f"{done}."
    return f"{done}. What remains, once it is put right: run again with --limit {','.join(remaining)}"


def _state(record: _Host, complete: bool) -> tuple[str, str]:
    if record.told and record.told not in DONE:
        return record.told, record.told_message
    if record.failure:
        return record.failure, record.failure_message
    if not complete:
        return (UNFINISHED, f"the run has not come further than: {record.step}") if record.begun else (NOT_STARTED, "")
    if record.told:
        return record.told, record.told_message
    return CHANGED if record.changed else UNCHANGED, record.told_message


def _text(host: Mapping[str, Any]) -> str:
    first_line = str(host["message"]).partition("\n")[0]
    return f"{host['state']}: {first_line}" if first_line else str(host["state"])
