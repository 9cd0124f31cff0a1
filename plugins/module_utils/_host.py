# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a host as one plan: files, kernel, swap and units, in the order that is safe.

Private to this collection.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils import (
    _host_files,
    _host_kernel,
    _host_processor,
    _host_requirements,
    _host_units,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import (
    STATE_DIRECTORY,
    Host,
    HostError,
    problem,
    unusable_host,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_options import Wanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

RECORDS = f"{STATE_DIRECTORY}/host_state"
LOCK_SECONDS = 300.0


@dataclass(frozen=True)
class Facts:
    """The host as it is, as far as one call asks about it."""

    files: Mapping[str, _host_files.FileFact]
    claims: _host_files.Claims
    claimed_by_others: frozenset[str]
    kernel: _host_kernel.KernelFacts
    units: Mapping[str, _host_units.UnitFact]
    records: Mapping[str, _host_units.UnitRecord | None]
    watched: Mapping[str, _host_units.Watched]
    processors: Sequence[str]


@dataclass(frozen=True)
class Plan:
    """What would change on a host. ``retired`` units are stopped and disabled before their files are removed."""

    files: _host_files.FilePlan
    kernel: _host_kernel.KernelPlan
    units: _host_units.UnitPlan
    retired: tuple[_host_units.UnitWanted, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in the order in which they are applied."""
        files = (change.step for change in self.files.changes)
        return (*self.units.before, *files, *self.kernel.steps, *self.units.after, *self.units.up)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that stands in the way."""
        return (*self.files.findings, *self.kernel.findings, *self.units.findings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know though nothing needs to stop."""
        return (*self.files.warnings, *self.kernel.warnings)


@dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be. Where units were ``held``, nothing was."""

    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    skipped: tuple[str, ...]
    started: tuple[str, ...]
    restarted: tuple[str, ...]
    held: tuple[str, ...] = ()


def converge(wanted: Wanted, host: Host, check: bool = False) -> Outcome:
    """Brings the host to what is wanted; in check mode only says how.

    Raises :class:`HostError`: before anything is touched with all findings, later with the steps applied so far.
    Safe to kill at any point: the next call goes on from what it finds.
    """
    try:
        if check:
            return _converge(wanted, host, check=True)
        with host.locked(f"{RECORDS}/.lock", LOCK_SECONDS):
            return _converge(wanted, host, check=False)
    except OSError as error:
        raise HostError([unusable_host(error)]) from error


def _converge(wanted: Wanted, host: Host, check: bool) -> Outcome:
    wanted_files = _with_derived_files(wanted, host)
    facts = observe(wanted, wanted_files, host)
    plan = make_plan(wanted, wanted_files, facts, check)
    findings, warnings = _host_processor.judge(wanted.processor, facts.processors)
    findings += _host_requirements.judge(host, wanted.requires)
    findings += _host_requirements.judge_frozen(host, wanted.frozen, wanted_files)
    findings += plan.findings
    warnings += plan.warnings
    if any(change.wanted.validate for change in plan.files.changes):
        refused, unsure = _validate(host, plan, check)
        findings += refused
        warnings += unsure
    if findings:
        raise HostError(findings)
    if wanted.hold and not check and plan.units.targets("restart"):
        return Outcome((), tuple(warnings), (), (), (), held=plan.units.targets("restart"))
    steps, skipped = plan.steps, plan.kernel.skipped
    if not check:
        run = _Run(wanted, host, facts, plan)
        run.apply()
        steps, skipped = tuple(run.applied), (*skipped, *run.skipped)
    return Outcome(steps, tuple(warnings), skipped, plan.units.targets("start"), plan.units.targets("restart"))


def observe(wanted: Wanted, wanted_files: Sequence[_host_files.FileWanted], host: Host) -> Facts:
    """Reads all that the plan needs, with at most one call of systemctl."""
    claims = _host_files.Claims.from_dict(host.read_json(_claims_path(wanted.name)))
    kept = {file.path for file in wanted_files if file.state != "absent"}
    leaving = [*claims.files, *(file.path for file in wanted_files)]
    names = [unit.name for unit in wanted.units]
    names += [unit for path in leaving if path not in kept and (unit := _host_units.defined_by(path))]
    names = list(dict.fromkeys(names))
    return Facts(
        _host_files.observe(host, wanted_files, wanted.blocks, claims),
        claims,
        _claims_of_others(host, wanted.name) if set(claims.files) - kept else frozenset(),
        _host_kernel.observe(host, wanted.sysctls, wanted.kernel_modules),
        _host_units.observe(host, names),
        {name: _host_units.read_record(host, name) for name in names},
        {unit.name: _host_units.watch(host, unit.watch) for unit in wanted.units},
        _host_processor.models(host) if wanted.processor else (),
    )


def make_plan(wanted: Wanted, wanted_files: Sequence[_host_files.FileWanted], facts: Facts, check: bool) -> Plan:
    """What must change, from the facts alone."""
    file_plan = _host_files.plan(wanted_files, wanted.blocks, facts.files, facts.claims, facts.claimed_by_others)
    kernel_plan = _host_kernel.plan(wanted.sysctls, wanted.kernel_modules, wanted.swap_off, facts.kernel, check)
    retired = _retired(wanted, file_plan)
    unit_plan = _host_units.plan(
        [*wanted.units, *retired],
        facts.units,
        facts.records,
        facts.watched,
        _changed_paths(file_plan.changes),
        check,
    )
    return Plan(file_plan, kernel_plan, unit_plan, retired)


def _retired(wanted: Wanted, plan: _host_files.FilePlan) -> tuple[_host_units.UnitWanted, ...]:
    """The units whose files this call removes: running on without them, nobody could manage them any more."""
    named = {unit.name for unit in wanted.units}
    units = (
        _host_units.defined_by(change.wanted.path)
        for change in plan.changes
        if change.wanted.state == "absent" and change.fact.kind == "file"
    )
    return tuple(
        _host_units.UnitWanted(name, name, enabled=False, state="stopped")
        for name in units
        if name and name not in named
    )


class _Run:
    """One plan being applied: remembers what is done, so that a failure can say so."""

    def __init__(self, wanted: Wanted, host: Host, facts: Facts, plan: Plan) -> None:
        self.wanted = wanted
        self.host = host
        self.facts = facts
        self.plan = plan
        self.applied: list[Step] = []
        self.skipped: list[str] = []

    def apply(self) -> None:
        """Takes every step of the plan. Raises :class:`HostError` at the first that fails."""
        self._command(self.plan.units.before)
        self._apply_files()
        self._apply_kernel()
        self._command(self.plan.units.after)
        self._bring_up()
        self._keep_records()

    def _apply_files(self) -> None:
        plan, path = self.plan.files, _claims_path(self.wanted.name)
        if plan.claims_during != self.facts.claims:
            self.host.write_json(path, plan.claims_during.as_dict())
        for unit in self.plan.units.targets("restart"):
            record = self.facts.records[unit]
            _host_units.write_record(self.host, unit, record.prints if record else {}, pending=True)
        for change in plan.changes:
            try:
                _host_files.apply(self.host, change)
            except OSError as error:
                self._fail([_file_finding(change, error)])
            self.applied.append(change.step)
        if plan.claims_after != plan.claims_during:
            self.host.write_json(path, plan.claims_after.as_dict())

    def _apply_kernel(self) -> None:
        plan = self.plan.kernel
        steps = iter(plan.steps)
        for module in plan.modules:
            self._done([next(steps)], _host_kernel.load_module(self.host, module))
        refused: list[Finding] = []
        for sysctl in plan.sysctls:
            step = next(steps)
            findings, skipped = _host_kernel.write_sysctl(self.host, sysctl)
            refused += findings
            self.skipped += skipped
            if not findings and not skipped:
                self.applied.append(step)
        if refused:
            self._fail(refused)
        if plan.swap_off:
            self._done([next(steps)], _host_kernel.turn_swap_off(self.host))

    def _command(self, steps: Sequence[Step]) -> None:
        """Tells systemd, once for all units that get the same kind of step."""
        for action in dict.fromkeys(step.action for step in steps):
            same = [step for step in steps if step.action == action]
            names = [step.target for step in same]
            self._done(same, _host_units.systemctl(self.host, action, names, self.wanted.timeout))

    def _bring_up(self) -> None:
        plan, since = self.plan.units, time.time()
        names = [step.target for step in plan.up]
        prints = self._prints(names)
        if names:
            # A unit that does not come up is told by wait_active, with its journal.
            _host_units.systemctl(self.host, "restart", names, self.wanted.timeout)
        awaited = [*names, *plan.await_active]
        if not awaited:
            return
        settle = max((unit.settle for unit in self.wanted.units if unit.name in names), default=0.0)
        up, findings = _host_units.wait_active(self.host, awaited, self.wanted.timeout, since, settle)
        self.applied += [step for step in plan.up if step.target in up]
        for name in up:
            if name in prints:
                _host_units.write_record(self.host, name, prints[name])
        if findings:
            self._fail(findings)

    def _prints(self, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """What the units are about to be started with, read before that so that a later change is not missed."""
        watched = {unit.name: unit.watch for unit in self.wanted.units if unit.watch}
        return {name: _host_units.watch(self.host, watched[name]).prints for name in names if name in watched}

    def _keep_records(self) -> None:
        """Adopts units that run already with what they watch, and forgets those that do not run."""
        done = {step.target for step in self.plan.units.up}
        for unit in (*self.wanted.units, *self.plan.retired):
            up, record = self.facts.units[unit.name].is_up, self.facts.records[unit.name]
            if unit.name in done:
                continue
            if unit.state == "stopped" or not up:
                if record is not None:
                    os.unlink(self.host.at(_host_units.record_path(unit.name)))
            elif unit.watch and record is None:
                _host_units.write_record(self.host, unit.name, self.facts.watched[unit.name].prints)

    def _done(self, steps: Sequence[Step], findings: Sequence[Finding]) -> None:
        if findings:
            self._fail(findings)
        self.applied += steps

    def _fail(self, findings: Sequence[Finding]) -> None:
        raise HostError(findings, self.applied)


def _with_derived_files(wanted: Wanted, host: Host) -> list[_host_files.FileWanted]:
    derived = list(wanted.files)
    if wanted.sysctls:
        derived.append(_host_kernel.sysctl_file(wanted.name, wanted.sysctls))
    if wanted.kernel_modules:
        derived.append(_host_kernel.modules_file(wanted.name, wanted.kernel_modules))
    if wanted.swap_off:
        named = {file.path for file in derived}
        derived += [file for file in _host_kernel.swap_files(host) if file.path not in named]
    return derived


def _validate(host: Host, plan: Plan, check: bool) -> tuple[list[Finding], list[str]]:
    directory = tempfile.mkdtemp(prefix="hybridk8s-") if check else _candidates(host)
    try:
        return _host_files.validate(host, plan.files.changes, directory, check)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _candidates(host: Host) -> str:
    """An empty private directory, always the same so that nothing of a killed run stays: contents may be secrets."""
    directory = host.at(f"{RECORDS}/.candidates")
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory, 0o700)
    return directory


def _changed_paths(changes: Sequence[_host_files.FileChange]) -> list[str]:
    return [change.wanted.path for change in changes if change.substantial]


def _claims_path(name: str) -> str:
    return f"{RECORDS}/{name}.json"


def _claims_of_others(host: Host, name: str) -> frozenset[str]:
    paths: set[str] = set()
    for record in os.listdir(host.at(RECORDS)):
        other = record[: -len(".json")]
        if record.endswith(".json") and "." not in other and other != name:
            paths.update(_host_files.Claims.from_dict(host.read_json(_claims_path(other))).files)
    return frozenset(paths)


def _file_finding(change: _host_files.FileChange, error: OSError) -> Finding:
    return problem(
        "file",
        change.wanted.option or change.wanted.path,
        f"cannot {change.step.action} {change.wanted.path}: {error.strerror or error}.",
        "look for a read-only or full file system, an immutable attribute (lsattr) or a mount on the path.",
    )
