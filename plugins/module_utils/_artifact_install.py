# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Artifacts of a host brought to what is wanted: fetched, unpacked, linked, pruned; private to this collection."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import (
    LIBRARY,
    RECORD,
    ArtifactPlan,
    ArtifactWanted,
    Limits,
    Record,
    Source,
    describe,
    links_path,
    mirrored,
    missing_member,
    observe,
    plan,
    processes_run_from,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import (
    STATE_DIRECTORY,
    Host,
    HostError,
    link_atomic,
    problem,
    sync_directory,
    unusable_host,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

if TYPE_CHECKING:
    from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact_fetch import Download, Fetched

STATE = f"{STATE_DIRECTORY}/artifact"
PARTIAL = f"{STATE}/partial"
PARTIAL_SECONDS = 7 * 86400
LOCK_SECONDS = 1800.0
UNPACKED_ROOM = 5
"""Room for the archive and what is in it: binaries shrink to a third or a quarter."""


@dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be, and the names of the artifacts whose links now lead elsewhere."""

    steps: tuple[Step, ...]
    switched: tuple[str, ...]


def converge(
    artifacts: Sequence[ArtifactWanted], host: Host, mirror: str, limits: Limits, check: bool = False
) -> Outcome:
    """Brings the artifacts to the wanted versions; in check mode only says how, without the network.

    Nothing is linked or removed before everything is fetched and unpacked. Raises :class:`HostError` with all that
    failed; what is complete by then is kept for the next call. Two calls at once work one after the other.
    """
    try:
        plans = make_plans(artifacts, host)
        _raise_findings(plans)
        if check or not any(each.steps for each in plans):
            return _outcome(plans)
        with host.locked(f"{STATE}/.lock", LOCK_SECONDS):
            plans = make_plans(artifacts, host)
            _raise_findings(plans)
            _apply(plans, host, mirror, limits)
        return _outcome(plans)
    except OSError as error:
        raise HostError([unusable_host(error)]) from error


def make_plans(artifacts: Sequence[ArtifactWanted], host: Host) -> list[ArtifactPlan]:
    """What must change for each artifact."""

    def in_use(directory: str) -> bool:
        return processes_run_from(host, directory)

    return [plan(wanted, observe(host, wanted), in_use) for wanted in artifacts]


def _outcome(plans: Sequence[ArtifactPlan]) -> Outcome:
    return Outcome(
        tuple(step for each in plans for step in each.steps), tuple(each.wanted.name for each in plans if each.link)
    )


def _raise_findings(plans: Sequence[ArtifactPlan]) -> None:
    findings = [finding for each in plans for finding in each.findings]
    if findings:
        raise HostError(findings)


def _apply(plans: Sequence[ArtifactPlan], host: Host, mirror: str, limits: Limits) -> None:
    os.makedirs(host.at(LIBRARY), mode=0o755, exist_ok=True)
    fetched = _fetch(plans, host, mirror, limits)
    applied: list[Step] = []
    findings: list[Finding] = []
    for each in plans:
        refused = _install(each, host, fetched)
        findings += refused
        applied += () if refused else each.install_steps
    if findings:
        raise HostError(findings, applied)
    for each in plans:
        try:
            _switch(each, host)
            _prune(each, host)
        except OSError as error:
            raise HostError([_disk_finding(each.wanted, error)], applied) from error
        applied += each.switch_steps
    _forget_partials(host, fetched)


def _install(each: ArtifactPlan, host: Host, fetched: Mapping[Source, Fetched]) -> list[Finding]:
    if not each.changes_files:
        return []
    try:
        return _Installation(each, host, fetched).run()
    except OSError as error:
        return [_disk_finding(each.wanted, error)]


def _fetch(plans: Sequence[ArtifactPlan], host: Host, mirror: str, limits: Limits) -> Mapping[Source, Fetched]:
    sources: dict[Source, tuple[str, int]] = {}
    for each in plans:
        for file in each.fetch_files:
            sources[file.source] = (each.wanted.option, 1)
        if each.fetch_archive and each.wanted.archive:
            sources[each.wanted.archive.source] = (each.wanted.option, UNPACKED_ROOM)
    if not sources:
        return {}
    from ansible_collections.hybridk8s.estate.plugins.module_utils import _artifact_fetch

    downloads: dict[Source, Download] = {
        source: _artifact_fetch.Download(
            mirrored(source.url, mirror),
            source.sha256,
            mirrored(source.sha256_url, mirror) if source.sha256_url else "",
            source.url.rpartition("/")[2],
            option,
            room,
        )
        for source, (option, room) in sources.items()
    }
    fetched = _artifact_fetch.fetch_all(downloads.values(), host.at(PARTIAL), host.at(LIBRARY), limits)
    return {source: fetched[download] for source, download in downloads.items()}


class _Installation:
    """The new files of one version, staged beside its directory and then put there."""

    def __init__(self, planned: ArtifactPlan, host: Host, fetched: Mapping[Source, Fetched]) -> None:
        self.plan = planned
        self.wanted = planned.wanted
        self.fetched = fetched
        self.directory = host.at(planned.wanted.directory)
        self.stage = host.at(f"{planned.wanted.home}/.{planned.wanted.version}.new")
        record = planned.facts.record
        self.sources = {dest: dict(source) for dest, source in record.sources.items()}
        self.archive = dict(record.archive)
        self.entries = {path: dict(entry) for path, entry in record.entries.items()}

    def run(self) -> list[Finding]:
        """Stages, checks, installs. Returns findings, with nothing installed, when the content is not as promised."""
        shutil.rmtree(self.stage, ignore_errors=True)
        os.makedirs(self.stage, mode=0o755)
        try:
            staged = self._stage_files()
            findings = self._stage_archive(staged)
            self._update_record(staged)
            findings += [
                missing_member(self.wanted, path, self.entries)
                for path in self.wanted.links
                if not findings and self.wanted.links[path] not in self.entries
            ]
            if not findings:
                self._install(staged)
            return findings
        finally:
            shutil.rmtree(self.stage, ignore_errors=True)

    def _stage_files(self) -> dict[str, dict[str, Any]]:
        staged = {}
        for file in self.plan.fetch_files:
            fetched = self.fetched[file.source]
            where = os.path.join(self.stage, file.dest)
            os.makedirs(os.path.dirname(where), mode=0o755, exist_ok=True)
            _place(fetched.path, where)
            os.chmod(where, file.mode)
            staged[file.dest] = describe(where, fetched.sha256)
            self.sources[file.dest] = {"url": file.source.url, "sha256": fetched.sha256}
        return staged

    def _stage_archive(self, staged: dict[str, dict[str, Any]]) -> list[Finding]:
        archive = self.wanted.archive
        if not self.plan.fetch_archive or archive is None:
            return []
        from ansible_collections.hybridk8s.estate.plugins.module_utils import _artifact_unpack

        fetched = self.fetched[archive.source]
        try:
            members = _artifact_unpack.unpack(fetched.path, self.stage, archive.members, archive.strip)
        except _artifact_unpack.ArchiveError as error:
            return [
                problem(
                    "archive",
                    f"{self.wanted.option}.archive",
                    f"{archive.source.url}: {error}.",
                    "correct members and strip, or use an archive that stays in its directory.",
                )
            ]
        for path in [path for path in self.entries if path not in self.sources]:
            del self.entries[path]
        staged.update(members)
        self.archive = {"url": archive.source.url, "sha256": fetched.sha256, **archive.as_dict()}
        return []

    def _update_record(self, staged: Mapping[str, dict[str, Any]]) -> None:
        for path in self.plan.remove:
            self.sources.pop(path, None)
            self.entries.pop(path, None)
        if self.wanted.archive is None:
            self.archive = {}
        for path, mode in self.plan.modes.items():
            if path in self.entries:
                self.entries[path]["mode"] = mode
        self.entries.update(staged)

    def _install(self, staged: Mapping[str, Any]) -> None:
        record = Record(self.sources, self.archive, self.entries)
        if not os.path.isdir(self.directory):
            Host(self.stage).write_json(f"/{RECORD}", record.as_dict())
            os.rename(self.stage, self.directory)
            sync_directory(os.path.dirname(self.directory))
            return
        for path in staged:
            where = os.path.join(self.directory, path)
            os.makedirs(os.path.dirname(where), mode=0o755, exist_ok=True)
            os.rename(os.path.join(self.stage, path), where)
        for path in set(self.plan.facts.record.entries) - set(self.entries):
            if os.path.lexists(os.path.join(self.directory, path)):
                os.unlink(os.path.join(self.directory, path))
        for path, mode in self.plan.modes.items():
            if path not in staged and path in self.entries:
                os.chmod(os.path.join(self.directory, path), mode)
        Host(self.directory).write_json(f"/{RECORD}", record.as_dict())


def _place(source: str, destination: str) -> None:
    """Puts a fetched file at its place without copying its bytes where that can be."""
    if os.stat(source).st_nlink == 1:
        try:
            os.link(source, destination)
            return
        except OSError:  # another file system, or one without hard links
            pass
    shutil.copyfile(source, destination)
    with open(destination, "rb") as stream:
        os.fsync(stream.fileno())


def _switch(each: ArtifactPlan, host: Host) -> None:
    wanted = each.wanted
    if each.link or each.unlink:
        # Links of both lists are ours from here on, should this run be killed.
        host.write_json(links_path(wanted.name), {"links": sorted({*wanted.links, *each.unlink})})
    for path in each.link:
        os.makedirs(os.path.dirname(host.at(path)), mode=0o755, exist_ok=True)
        link_atomic(host.at(path), wanted.link_target(path))
    for path in each.unlink:
        os.unlink(host.at(path))
    if each.unlink:
        host.write_json(links_path(wanted.name), {"links": sorted(wanted.links)})


def _prune(each: ArtifactPlan, host: Host) -> None:
    for path in each.facts.leftovers:
        # What was staged by a killed run may be gone: this run staged in the same place.
        shutil.rmtree(host.at(path), ignore_errors=True)
    for path in each.prune:
        shutil.rmtree(host.at(path))


def _forget_partials(host: Host, fetched: Mapping[Source, Fetched]) -> None:
    done = {os.path.basename(each.path) for each in fetched.values()}
    for name in host.entries(PARTIAL):
        where = host.at(f"{PARTIAL}/{name}")
        if name in done or os.stat(where).st_mtime < time.time() - PARTIAL_SECONDS:
            os.unlink(where)


def _disk_finding(wanted: ArtifactWanted, error: OSError) -> Finding:
    return problem(
        "disk",
        wanted.option,
        f"installing {wanted.name} {wanted.version} fails: {error}.",
        "look for a full or read-only file system; what is fetched is kept.",
    )
