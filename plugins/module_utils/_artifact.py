# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pinned downloads as versioned directories with links to them: what is wanted, what is there, what must change.

Private to this collection. ``/usr/local/lib/hybridk8s/NAME/VERSION/`` holds the files of one version and a record of
what they are; it comes into being by a rename, so what has a record is complete. Telling that nothing changed needs
neither the network nor a hash: size, time and mode of each file are in the record.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable
from urllib.parse import urlsplit

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import (
    STATE_DIRECTORY,
    Host,
    HostError,
    problem,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._mirror import rewrite
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

LIBRARY = "/usr/local/lib/hybridk8s"
RECORD = ".installed.json"
DOWNLOAD_ARGUMENTS: dict[str, dict[str, Any]] = {
    "mirror": {"type": "str"},
    "retries": {"type": "int", "default": 5},
    "timeout": {"type": "int", "default": 30},
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODE = re.compile(r"0[0-7]{3}")


def free_bytes(path: str) -> int:
    """Room for more on the file system of ``path``."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def no_pace(_size: int) -> None:
    """As fast as it comes."""


@dataclass(frozen=True)
class Limits:
    """How to fetch: how many at once, how many attempts in a row may bring nothing, and the seconds of each wait.

    ``pace`` is called with the size of each piece that came; the next one is read when it returns. What the kernel
    takes in ahead of that is ``window`` bytes a connection; 0 leaves it to the kernel, which takes megabytes.
    """

    parallel: int = 4
    retries: int = 5
    timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    free: Callable[[str], int] = free_bytes
    pace: Callable[[int], None] = no_pace
    window: int = 0


@dataclass(frozen=True)
class Source:
    """Where bytes come from, and the SHA-256 that they must have: a literal, or what is published at ``sha256_url``,
    which may be their SHA-512 as well."""

    url: str
    sha256: str
    sha256_url: str

    def is_that_of(self, recorded: Mapping[str, Any]) -> bool:
        """Whether the recorded bytes are these. A published checksum was looked up when they came; it is not again."""
        return recorded.get("url") == self.url and self.sha256 in ("", recorded.get("sha256"))


@dataclass(frozen=True)
class FileWanted:
    """One download that is a file of the version's directory, at the relative path ``dest``."""

    dest: str
    source: Source
    mode: int


@dataclass(frozen=True)
class ArchiveWanted:
    """One download that is unpacked: the members that match a pattern, less ``strip`` leading components."""

    source: Source
    members: tuple[str, ...]
    strip: int

    def as_dict(self) -> dict[str, Any]:
        """What of it decides the unpacked files, apart from the bytes."""
        return {"members": list(self.members), "strip": self.strip}


@dataclass(frozen=True)
class ArtifactWanted:
    """One version of one thing, the links that lead to it, and how many older versions stay."""

    name: str
    version: str
    option: str
    files: tuple[FileWanted, ...]
    archive: ArchiveWanted | None
    links: Mapping[str, str]
    keep: int

    @property
    def home(self) -> str:
        """The directory of all its versions."""
        return f"{LIBRARY}/{self.name}"

    @property
    def directory(self) -> str:
        """The directory of the wanted version."""
        return f"{self.home}/{self.version}"

    def link_target(self, path: str) -> str:
        """What the link at ``path`` leads to."""
        return f"{self.directory}/{self.links[path]}"


@dataclass(frozen=True)
class Record:
    """What a version's directory holds: ``sources`` by dest, the archive, and an entry for each file or link in it."""

    sources: Mapping[str, Mapping[str, Any]]
    archive: Mapping[str, Any]
    entries: Mapping[str, Mapping[str, Any]]

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Record:
        """The record in a JSON object; what is malformed in it is as if it were not there."""
        return cls(objects(raw.get("sources")), _object(raw.get("archive")), objects(raw.get("entries")))

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON-ready mapping."""
        return {"sources": dict(self.sources), "archive": dict(self.archive), "entries": dict(self.entries)}


@dataclass(frozen=True)
class ArtifactFacts:
    """What there is of one artifact. ``broken`` entries are missing or hold other bytes than they came with; ``loose``
    ones have another mode. ``links`` maps a path to its link target, "" when absent, None when it is something else."""

    record: Record
    broken: frozenset[str]
    loose: Mapping[str, int]
    links: Mapping[str, str | None]
    former_links: Mapping[str, str | None]
    old_versions: tuple[str, ...]
    leftovers: tuple[str, ...]


@dataclass(frozen=True)
class ArtifactPlan:
    """What must be done for one artifact."""

    wanted: ArtifactWanted
    facts: ArtifactFacts
    fetch_files: tuple[FileWanted, ...]
    fetch_archive: bool
    remove: tuple[str, ...]
    modes: Mapping[str, int]
    link: tuple[str, ...]
    unlink: tuple[str, ...]
    prune: tuple[str, ...]
    install_steps: tuple[Step, ...]
    switch_steps: tuple[Step, ...]
    findings: tuple[Finding, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in the order in which they are applied."""
        return (*self.install_steps, *self.switch_steps)

    @property
    def changes_files(self) -> bool:
        """Whether the version's directory must change."""
        return bool(self.fetch_files or self.fetch_archive or self.remove or self.modes)


def parse(options: Mapping[str, Any], machine: str) -> list[ArtifactWanted]:
    """The typed form of the module's options on a host whose ``uname -m`` is ``machine``.

    Raises :class:`HostError` with everything that is wrong in them.
    """
    findings: list[Finding] = []

    def wrong(variable: str, message: str, remedy: str) -> None:
        findings.append(problem("option", variable, message, remedy))

    parser = _Parser(machine, ARCHITECTURES.get(machine, machine), options.get("mirror") or "", wrong)
    wanted = [parser.artifact(raw, f"artifacts[{i}]") for i, raw in enumerate(options["artifacts"])]
    _check_unique("artifacts", [artifact.name for artifact in wanted], wrong)
    _check_unique("artifacts", [path for artifact in wanted for path in artifact.links], wrong)
    if findings:
        raise HostError(findings)
    return wanted


def links_path(name: str) -> str:
    """Where the record of an artifact's links lies."""
    return f"{STATE_DIRECTORY}/artifact/{name}.json"


def observe(host: Host, wanted: ArtifactWanted) -> ArtifactFacts:
    """Reads what there is of an artifact; hashes only files whose size or time is not the recorded one."""
    record = Record.from_dict(host.read_json(f"{wanted.directory}/{RECORD}"))
    broken, loose = set(), {}
    for path, entry in record.entries.items():
        where = host.at(f"{wanted.directory}/{path}")
        sound, mode = _check_entry(where, entry)
        if not sound:
            broken.add(path)
        elif mode is not None and mode != entry.get("mode"):
            loose[path] = mode
    former = host.read_json(links_path(wanted.name)).get("links")
    former = former if isinstance(former, list) else []
    versions, leftovers = _versions(host, wanted)
    return ArtifactFacts(
        record,
        frozenset(broken),
        loose,
        {path: _link(host, path) for path in wanted.links},
        {str(path): _link(host, str(path)) for path in former if path not in wanted.links},
        versions,
        leftovers,
    )


def plan(wanted: ArtifactWanted, facts: ArtifactFacts, in_use: Callable[[str], bool]) -> ArtifactPlan:
    """What must change. ``in_use`` says of a version's directory whether a process runs from it."""
    record = facts.record
    reasons = {file: _file_reason(file, record, facts.broken) for file in wanted.files}
    files = tuple(file for file, reason in reasons.items() if reason)
    archive_reason = _archive_reason(wanted, record, facts.broken)
    remove = _not_wanted(wanted, record)
    unpacked = set(record.entries) - set(record.sources) if archive_reason else set()
    modes = _modes(wanted, facts, {file.dest for file in files} | unpacked)
    install = [_fetch_step(f"{wanted.directory}/{file.dest}", file.source, reasons[file]) for file in files]
    if wanted.archive and archive_reason:
        install.append(_fetch_step(wanted.directory, wanted.archive.source, archive_reason))
    install += [Step("remove", f"{wanted.directory}/{path}", "no longer wanted") for path in remove]
    install += [
        Step("set", f"{wanted.directory}/{path}", f"mode {actual:04o} -> {intended:04o}")
        for path, (actual, intended) in modes.items()
    ]
    link = [path for path, target in facts.links.items() if target != wanted.link_target(path)]
    unlink = [path for path, target in facts.former_links.items() if target and target.startswith(f"{wanted.home}/")]
    prune = _superfluous(wanted, facts, in_use)
    switch = [_link_step(wanted, path, facts.links[path]) for path in link]
    switch += [
        Step("remove", path, "link no longer wanted", f"link to {facts.former_links[path]}\n") for path in unlink
    ]
    switch += [Step("remove", path, "old version") for path in prune]
    switch += [Step("remove", path, "left unfinished") for path in facts.leftovers]
    return ArtifactPlan(
        wanted,
        facts,
        files,
        bool(archive_reason),
        tuple(remove),
        {path: intended for path, (_actual, intended) in modes.items()},
        tuple(link),
        tuple(unlink),
        tuple(prune),
        tuple(install),
        tuple(switch),
        tuple(finding for path in link for finding in _link_findings(wanted, facts, path, bool(archive_reason))),
    )


def processes_run_from(host: Host, directory: str) -> bool:
    """Whether any process runs a program below ``directory``."""
    for pid in filter(str.isdigit, host.entries("/proc")):
        try:
            if os.readlink(host.at(f"/proc/{pid}/exe")).startswith(f"{directory}/"):
                return True
        except OSError:
            continue
    return False


def hash_file(path: str) -> str:
    """The SHA-256 of a file's bytes, in hex. Raises ``OSError``."""
    hasher = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            hasher.update(chunk)
    return hasher.hexdigest()


def describe(where: str, sha256: str) -> dict[str, Any]:
    """The entry of a record for the file at ``where``."""
    status = os.lstat(where)
    return {
        "sha256": sha256,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "mode": stat.S_IMODE(status.st_mode),
    }


_Wrong = Callable[[str, str, str], None]


@dataclass(frozen=True)
class _Parser:
    machine: str
    architecture: str
    mirror: str
    wrong: _Wrong

    def artifact(self, raw: Mapping[str, Any], option: str) -> ArtifactWanted:
        for key in ("name", "version"):
            if not _NAME.fullmatch(raw[key]):
                self.wrong(
                    f"{option}.{key}", f"'{raw[key]}' is no name of a directory.", "use letters, digits, . _ + -."
                )
        files = tuple(self.file(file, f"{option}.files[{i}]") for i, file in enumerate(raw.get("files") or ()))
        archive = self.archive(raw["archive"], f"{option}.archive") if raw.get("archive") else None
        if not files and archive is None:
            self.wrong(option, f"{raw['name']} has neither files nor an archive.", "give one of both.")
        _check_unique(f"{option}.files", [file.dest for file in files], self.wrong)
        links = {str(path): str(member) for path, member in (raw.get("links") or {}).items()}
        for path, member in links.items():
            self.link(path, member, f"{option}.links", {file.dest for file in files} if archive is None else None)
        keep = raw.get("keep")
        if keep is not None and keep < 0:
            self.wrong(f"{option}.keep", f"{keep} versions cannot be kept.", "write 0 or more.")
        return ArtifactWanted(
            raw["name"], raw["version"], option, files, archive, links, 1 if keep is None else max(keep, 0)
        )

    def file(self, raw: Mapping[str, Any], option: str) -> FileWanted:
        self.inside(raw["dest"], f"{option}.dest")
        mode = raw.get("mode") or "0755"
        if not _MODE.fullmatch(mode):
            self.wrong(f"{option}.mode", f"'{mode}' is no octal mode.", 'write it in quotes, such as "0755".')
        return FileWanted(raw["dest"], self.source(raw, option), int(mode, 8) if _MODE.fullmatch(mode) else 0)

    def archive(self, raw: Mapping[str, Any], option: str) -> ArchiveWanted:
        return ArchiveWanted(
            self.source(raw, option), tuple(raw.get("members") or ()), max(int(raw.get("strip") or 0), 0)
        )

    def source(self, raw: Mapping[str, Any], option: str) -> Source:
        sha256 = raw.get("sha256") or ""
        if isinstance(sha256, dict):
            if self.architecture not in sha256:
                self.wrong(f"{option}.sha256", f"names no checksum for {self.architecture}.", "add that architecture.")
            sha256 = sha256.get(self.architecture) or ""
        sha256 = str(sha256).lower()
        if sha256 and not _SHA256.fullmatch(sha256):
            self.wrong(f"{option}.sha256", f"'{sha256}' is no SHA-256.", "write its 64 hexadecimal digits.")
        sha256_url = self.url(raw.get("sha256_url") or "", f"{option}.sha256_url")
        if bool(raw.get("sha256")) == bool(sha256_url):
            self.wrong(option, f"{raw['url']} must be pinned once.", "give either sha256 or sha256_url.")
        if urlsplit(sha256_url).scheme == "http" and not self.mirror:
            self.wrong(f"{option}.sha256_url", "a checksum over plain http pins nothing.", "use https, or sha256.")
        return Source(self.url(raw["url"], f"{option}.url"), sha256, sha256_url)

    def url(self, raw: str, option: str) -> str:
        if raw and (urlsplit(raw).scheme not in ("http", "https") or not urlsplit(raw).netloc):
            self.wrong(option, f"'{raw}' is no http(s) URL.", "write it in full, such as https://dl.k8s.io/….")
        return raw.replace("{arch}", self.architecture).replace("{machine}", self.machine)

    def inside(self, path: str, option: str) -> None:
        if os.path.isabs(path) or os.path.normpath(path) != path or path.startswith(".."):
            self.wrong(
                option, f"'{path}' does not stay inside the version's directory.", "write a plain relative path."
            )
        if path == RECORD:
            self.wrong(option, f"'{path}' is the name of the record.", "choose another name.")

    def link(self, path: str, member: str, option: str, members: set[str] | None) -> None:
        if not os.path.isabs(path) or os.path.normpath(path) != path:
            self.wrong(option, f"'{path}' is no absolute, plain path.", "start it with /, without . or ..")
        self.inside(member, option)
        if members is not None and member not in members:
            self.wrong(option, f"{path} leads to '{member}', which is no dest of files.", "correct one of both.")


def mirrored(url: str, mirror: str) -> str:
    """Where ``url`` is fetched at a site with the ``mirror``."""
    return rewrite(url, mirror or None)


def _object(raw: Any) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else {}


def objects(raw: Any) -> dict[str, dict[str, Any]]:
    """The objects in a JSON object, by their keys; what is none is left out."""
    return {key: value for key, value in _object(raw).items() if isinstance(value, dict)}


def _check_unique(option: str, names: Sequence[str], wrong: _Wrong) -> None:
    for name in sorted({name for name in names if list(names).count(name) > 1}):
        wrong(option, f"{name} is there more than once.", "keep one.")


def _check_entry(where: str, entry: Mapping[str, Any]) -> tuple[bool, int | None]:
    """Whether an entry is what was installed, and its mode when it is a file."""
    try:
        status = os.lstat(where)
        if "target" in entry:
            return os.readlink(where) == entry["target"], None
        if not stat.S_ISREG(status.st_mode):
            return False, None
        mode = stat.S_IMODE(status.st_mode)
        if status.st_size == entry.get("size") and status.st_mtime_ns == entry.get("mtime_ns"):
            return True, mode
        return hash_file(where) == entry.get("sha256"), mode
    except OSError:
        return False, None


def _link(host: Host, path: str) -> str | None:
    where = host.at(path)
    if not os.path.lexists(where):
        return ""
    return os.readlink(where) if os.path.islink(where) else None


def _versions(host: Host, wanted: ArtifactWanted) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The directories of other versions, the latest first, and what killed runs left beside them."""
    names = host.entries(wanted.home)
    old = [f"{wanted.home}/{name}" for name in names if not name.startswith(".") and name != wanted.version]
    left = tuple(f"{wanted.home}/{name}" for name in names if name.startswith("."))
    return tuple(sorted(old, key=lambda path: -_installed_at(host, path))), left


def _installed_at(host: Host, directory: str) -> float:
    try:
        return os.stat(host.at(f"{directory}/{RECORD}")).st_mtime
    except OSError:
        return 0.0


def _file_reason(file: FileWanted, record: Record, broken: frozenset[str]) -> str:
    recorded = record.sources.get(file.dest)
    if recorded is None or file.dest not in record.entries:
        return "not installed"
    if not file.source.is_that_of(recorded):
        return "comes from elsewhere now"
    return "missing or changed on disk" if file.dest in broken else ""


def _archive_reason(wanted: ArtifactWanted, record: Record, broken: frozenset[str]) -> str:
    if wanted.archive is None:
        return ""
    if not record.archive:
        return "not installed"
    same_members = all(record.archive.get(key) == value for key, value in wanted.archive.as_dict().items())
    if not same_members or not wanted.archive.source.is_that_of(record.archive):
        return "comes from elsewhere now"
    lost = sorted(broken - set(record.sources))
    return f"missing or changed on disk: {', '.join(lost[:3])}" if lost else ""


def _not_wanted(wanted: ArtifactWanted, record: Record) -> list[str]:
    """Files that are wanted no more. The members that a new archive lacks are known only when it is unpacked."""
    dests = {file.dest for file in wanted.files}
    return sorted(set(record.entries if wanted.archive is None else record.sources) - dests)


def _modes(wanted: ArtifactWanted, facts: ArtifactFacts, fetched: set[str]) -> dict[str, tuple[int, int]]:
    """The mode that each file has and shall have, where they differ and the file is not fetched anyway."""
    of_files = {file.dest: file.mode for file in wanted.files}
    modes = {}
    for path, entry in facts.record.entries.items():
        if path in fetched or path in facts.broken or "target" in entry:
            continue
        recorded = int(entry.get("mode") or 0)
        actual, intended = facts.loose.get(path, recorded), of_files.get(path, recorded)
        if actual != intended:
            modes[path] = (actual, intended)
    return modes


def _fetch_step(path: str, source: Source, reason: str) -> Step:
    return Step("install", path, f"{reason}, from {source.url}")


def _link_step(wanted: ArtifactWanted, path: str, before: str | None) -> Step:
    text = f"link to {before}\n" if before else ""
    return Step("link", path, f"{wanted.name} {wanted.version}", text, f"link to {wanted.link_target(path)}\n")


def _link_findings(wanted: ArtifactWanted, facts: ArtifactFacts, path: str, unpacks: bool) -> list[Finding]:
    findings = []
    if facts.links[path] is None:
        findings.append(
            problem(
                "link-taken",
                f"{wanted.option}.links",
                f"{path} shall be a link to {wanted.link_target(path)}, but something of others is there.",
                f"remove {path} (it may belong to a package) and run again.",
            )
        )
    known = {*facts.record.entries, *(file.dest for file in wanted.files)}
    if not unpacks and wanted.links[path] not in known:
        findings.append(missing_member(wanted, path, known))
    return findings


def missing_member(wanted: ArtifactWanted, path: str, known: Iterable[str]) -> Finding:
    """The finding for a link to what the artifact does not hold."""
    return problem(
        "link-target",
        f"{wanted.option}.links",
        f"{path} leads to '{wanted.links[path]}', which {wanted.name} {wanted.version} does not hold; it holds "
        f"{', '.join(sorted(known)[:8]) or 'nothing'}.",
        "correct the link, or members and strip of the archive.",
    )


def _superfluous(wanted: ArtifactWanted, facts: ArtifactFacts, in_use: Callable[[str], bool]) -> list[str]:
    return [directory for directory in facts.old_versions[wanted.keep :] if not in_use(directory)]
