# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Datasets on a host's disk: what is wanted, what is there, and what must be fetched or may go.

Private to this collection. ``ROOT/NAME/VERSION`` holds the files of one version. It comes into being by a rename, so
what has that name is complete, and a pod that mounts it never meets half of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import hash_file, objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, problem
from ansible_collections.hybridk8s.estate.plugins.module_utils._mirror import rewrite
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

RECORD = ".dataset.json"
PARTIAL = ".partial"
LABEL_PREFIX = "dataset."
GIB = 1 << 30
_SHOWN = 3

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Entries = Mapping[str, Mapping[str, Any]]
"""What a version's record says of each file, by its path."""


@dataclass(frozen=True)
class FileWanted:
    """One file of a dataset."""

    path: str
    size: int
    sha256: str
    url: str


@dataclass(frozen=True)
class DatasetWanted:
    """One version of a dataset."""

    root: str
    name: str
    version: str
    option: str
    files: tuple[FileWanted, ...]

    @property
    def directory(self) -> str:
        """Where it lies when it is complete."""
        return f"{self.root}/{self.name}/{self.version}"

    @property
    def incoming(self) -> str:
        """Where it lies until then."""
        return f"{self.root}/{self.name}/.{self.version}"

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Version:
    """A version of a dataset that is on the disk and not wanted; ``wanted_at`` is when it last was, in Unix time.

    ``sizes`` has by checksum the bytes that would become free: those that nothing else links to.
    """

    directory: str
    sizes: Mapping[str, int]
    wanted_at: float
    in_use: bool = False


@dataclass(frozen=True)
class Mount:
    """The directory ``source`` of a device, seen at ``point``."""

    device: str
    source: str
    point: str


@dataclass(frozen=True)
class DatasetFacts:
    """What is there of a wanted dataset. ``home`` is the directory that has it, complete or not.

    ``sound`` files are as wanted; ``changed`` ones are there, but not with the wanted bytes; ``unwanted`` ones came
    with an earlier manifest.
    """

    home: str
    sound: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disk:
    """The file system of the datasets: its bytes, and how many are free for us."""

    total: int
    free: int

    def excess(self, more: int, max_used: float) -> int:
        """How many bytes too many there are when ``more`` come."""
        return int(self.total - self.free + more - self.total * max_used)


@dataclass(frozen=True)
class Facts:
    """What is on the disk. ``copies`` has by checksum where the same bytes lie already; ``begun`` by checksum the bytes
    that came of a download that was cut off; ``stray`` downloads that nothing wanted needs, with their size."""

    datasets: Mapping[str, DatasetFacts]
    disk: Disk
    copies: Mapping[str, str] = field(default_factory=dict)
    begun: Mapping[str, int] = field(default_factory=dict)
    stray: Mapping[str, int] = field(default_factory=dict)
    versions: tuple[Version, ...] = ()


@dataclass(frozen=True)
class DatasetPlan:
    """What must change for one dataset to be complete: files to link from elsewhere on the disk, and to fetch."""

    wanted: DatasetWanted
    facts: DatasetFacts
    link: tuple[tuple[FileWanted, str], ...]
    fetch: tuple[FileWanted, ...]

    @property
    def is_complete(self) -> bool:
        """Whether pods may use it."""
        return self.facts.home == self.wanted.directory and not self.link and not self.fetch

    @property
    def missing_bytes(self) -> int:
        """What the line has to carry."""
        return sum({file.sha256: file.size for file in self.fetch}.values())

    @property
    def steps(self) -> tuple[Step, ...]:
        """What a person is told: one step a kind, however many files there are."""
        steps = []
        if self.link:
            steps.append(Step("link", self.wanted.directory, f"{len(self.link)} files are on this disk already"))
        if self.fetch:
            steps.append(Step("fetch", self.wanted.directory, self._why()))
        if self.facts.unwanted:
            why = f"no longer of this version: {listed(self.facts.unwanted, _SHOWN)}"
            steps.append(Step("remove", self.wanted.directory, why))
        if self.facts.home != self.wanted.directory:
            steps.append(Step("complete", self.wanted.directory, f"{len(self.wanted.files)} files"))
        return tuple(steps)

    def _why(self) -> str:
        changed = sorted({file.path for file in self.fetch} & self.facts.changed)
        missing = len(self.fetch) - len(changed)
        reasons = [f"{missing} of {len(self.wanted.files)} files missing"] if missing else []
        reasons += [f"changed on disk: {listed(changed, _SHOWN)}"] if changed else []
        return f"{'; '.join(reasons)}; {self.missing_bytes / 1e6:.1f} MB"


@dataclass(frozen=True)
class Plan:
    """What goes to make room, and what comes: links first, as they may be to what goes, and downloads last."""

    remove: tuple[str, ...]
    datasets: tuple[DatasetPlan, ...]
    findings: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def complete(self) -> frozenset[str]:
        """The names of those that pods may use already."""
        return frozenset(each.wanted.name for each in self.datasets if each.is_complete)

    @property
    def removals(self) -> tuple[Step, ...]:
        """The steps that make room."""
        return tuple(Step("remove", path, "room is needed and nothing wants it") for path in self.remove)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in the order in which they are applied."""
        steps = [step for each in self.datasets for step in each.steps]
        links = [step for step in steps if step.action == "link"]
        return (*links, *self.removals, *(step for step in steps if step.action != "link"))


def label_of(name: str) -> str:
    """The label of nodes that have the dataset; its value is the version."""
    return LABEL_PREFIX + name


def parse(options: Mapping[str, Any]) -> tuple[DatasetWanted, ...]:
    """The wanted datasets. Raises :class:`HostError` with everything that is wrong in the options."""
    findings: list[Finding] = []
    root = options["root"]
    if not os.path.isabs(root) or os.path.normpath(root) != root or root == "/":
        findings.append(_wrong("root", f"'{root}' is no directory of its own.", "write its absolute path."))
    datasets = tuple(
        _dataset(raw, options, f"datasets[{number}]", findings) for number, raw in enumerate(options["datasets"])
    )
    names = [dataset.name for dataset in datasets]
    for name in sorted({name for name in names if names.count(name) > 1}):
        findings.append(_wrong("datasets", f"{name} is there more than once.", "a node has one version of a dataset."))
    if not 0 < float(options["max_used"]) <= 1:
        findings.append(_wrong("max_used", f"{options['max_used']} is no share.", "write more than 0 and up to 1."))
    if findings:
        raise HostError(findings)
    return datasets


def observe(host: Host, root: str, datasets: Sequence[DatasetWanted], verify: bool) -> Facts:
    """Reads what is on the disk. A file is hashed where its size and time are not those recorded; with ``verify``
    always. Raises ``OSError``."""
    wanted = {dataset.directory for dataset in datasets} | {dataset.incoming for dataset in datasets}
    sums = {file.sha256 for dataset in datasets for file in dataset.files}
    records = {directory: recorded(host, directory) for directory in _directories(host, root)}
    copies: dict[str, str] = {}
    versions = []
    own, everywhere = _mounts(host)
    for directory, entries in records.items():
        for path, entry in entries.items():
            if entry.get("sha256") in sums and _is_recorded(host.at(f"{directory}/{path}"), entry):
                copies.setdefault(str(entry["sha256"]), f"{directory}/{path}")
        if directory not in wanted:
            versions.append(_version(host, directory, entries, is_mounted(directory, own, everywhere)))
    status = os.statvfs(host.at(root))
    partial = _partial(host, root)
    return Facts(
        {dataset.name: _observe_dataset(host, dataset, records, verify) for dataset in datasets},
        Disk(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize),
        copies,
        {name: size for name, size in partial.items() if name in sums},
        {f"{root}/{PARTIAL}/{name}": size for name, size in partial.items() if name not in sums},
        tuple(versions),
    )


def plan(datasets: Sequence[DatasetWanted], facts: Facts, max_used: float) -> Plan:
    """What must change. Nothing goes while there is room; then what was not wanted for longest goes first."""
    plans = tuple(_plan_dataset(dataset, facts) for dataset in datasets)
    fetch = {file.sha256: file for each in plans for file in each.fetch}
    more = sum(max(file.size - facts.begun.get(sha256, 0), 0) for sha256, file in fetch.items())
    linked = {file.sha256 for each in plans for file, _source in each.link}
    excess = facts.disk.excess(more, max_used)
    remove = []
    for path, size in _may_go(facts, linked):
        if excess <= 0:
            break
        remove.append(path)
        excess -= size
    if excess <= 0:
        return Plan(tuple(remove), plans)
    used, total = more + facts.disk.total - facts.disk.free, facts.disk.total
    said = (
        f"{used / GIB:.2f} GiB would be used of {total / GIB:.2f} GiB; even without what may go that is "
        f"{excess / GIB:.2f} GiB more than max_used ({max_used:.0%}) allows"
    )
    if not more:
        return Plan(tuple(remove), plans, warnings=(f"The disk of the datasets is full: {said}.",))
    finding = problem(
        "dataset-room",
        "datasets",
        f"{said}; nothing was changed.",
        "take a dataset out, give the host a larger disk, or raise max_used.",
    )
    return Plan((), plans, (finding,))


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """The mounts in a mountinfo of proc(5)."""
    lines = [line.split() for line in text.splitlines()]
    return tuple(Mount(fields[2], _unescaped(fields[3]), _unescaped(fields[4])) for fields in lines)


def is_mounted(directory: str, own: Sequence[Mount], everywhere: Collection[Mount]) -> bool:
    """Whether a version's directory, something in it or the dataset's directory is mounted somewhere by itself."""
    holding = [mount for mount in own if _is_within(directory, mount.point)]
    if not holding:
        return False
    mount = max(holding, key=lambda mount: len(mount.point))
    path = os.path.join(mount.source, os.path.relpath(directory, mount.point))
    same = (other.source for other in everywhere if other.device == mount.device)
    return any(_is_within(source, path) or source == os.path.dirname(path) for source in same)


def recorded(host: Host, directory: str) -> Entries:
    """The record of a version's directory; empty when there is none. What is malformed in it is as if not there."""
    return objects(host.read_json(f"{directory}/{RECORD}").get("files"))


def is_sound(host: Host, directory: str, file: FileWanted, entry: Mapping[str, Any], verify: bool) -> bool | None:
    """Whether a file has the wanted bytes; None when there is none."""
    where = host.at(f"{directory}/{file.path}")
    try:
        status = os.lstat(where)
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
            return False
        if not verify and entry.get("sha256") == file.sha256 and _is_recorded(where, entry):
            return True
        return hash_file(where) == file.sha256
    except (FileNotFoundError, NotADirectoryError):
        return None


def _may_go(facts: Facts, linked: Collection[str]) -> Iterator[tuple[str, int]]:
    """What nothing needs, in the order in which it goes, with the bytes that become free."""
    yield from facts.stray.items()
    for version in sorted(facts.versions, key=lambda version: version.wanted_at):
        if not version.in_use:
            yield version.directory, sum(size for sha256, size in version.sizes.items() if sha256 not in linked)


def _observe_dataset(host: Host, dataset: DatasetWanted, records: Mapping[str, Entries], verify: bool) -> DatasetFacts:
    home = dataset.directory if os.path.isdir(host.at(dataset.directory)) else dataset.incoming
    entries = records.get(home, {})
    found = {file.path: is_sound(host, home, file, entries.get(file.path, {}), verify) for file in dataset.files}
    return DatasetFacts(
        home,
        frozenset(path for path, sound in found.items() if sound),
        frozenset(path for path, sound in found.items() if sound is False),
        tuple(sorted(path for path in set(entries) - set(found) if os.path.lexists(host.at(f"{home}/{path}")))),
    )


def _plan_dataset(dataset: DatasetWanted, facts: Facts) -> DatasetPlan:
    here = facts.datasets[dataset.name]
    missing = [file for file in dataset.files if file.path not in here.sound]
    broken = {f"{here.home}/{path}" for path in here.changed}
    copies = {sha256: path for sha256, path in facts.copies.items() if path not in broken}
    return DatasetPlan(
        dataset,
        here,
        tuple((file, copies[file.sha256]) for file in missing if file.sha256 in copies),
        tuple(file for file in missing if file.sha256 not in copies),
    )


def _dataset(raw: Mapping[str, Any], options: Mapping[str, Any], option: str, findings: list[Finding]) -> DatasetWanted:
    name, version = str(raw["name"]), str(raw["version"])
    if not _NAME.fullmatch(name):
        said = f"'{name}' cannot be part of a node's label."
        findings.append(_wrong(f"{option}.name", said, "use up to 52 lower case letters, digits and -."))
    if not _VERSION.fullmatch(version):
        said = f"'{version}' cannot be the value of a node's label."
        findings.append(_wrong(f"{option}.version", said, "use up to 63 letters, digits, . _ and -."))
    files = tuple(
        _file(file, raw.get("url") or "", options.get("mirror") or "", f"{option}.files[{number}]", findings)
        for number, file in enumerate(raw["files"])
    )
    if not files:
        findings.append(_wrong(f"{option}.files", f"{name} has no files.", "list them."))
    paths = [file.path for file in files]
    above = {parent for path in paths for parent in _parents(path)}
    for path in sorted({path for path in paths if paths.count(path) > 1 or path in above}):
        findings.append(_wrong(f"{option}.files", f"{path} is there twice, or is a directory too.", "keep one."))
    return DatasetWanted(str(options["root"]), name, version, option, files)


def _file(raw: Mapping[str, Any], base: str, mirror: str, option: str, findings: list[Finding]) -> FileWanted:
    path, sha256 = str(raw["path"]), str(raw["sha256"]).lower()
    if os.path.isabs(path) or os.path.normpath(path) != path or path.startswith("..") or path in (".", RECORD):
        findings.append(_wrong(f"{option}.path", f"'{path}' is no file inside the dataset.", "write a relative path."))
    if not _SHA256.fullmatch(sha256):
        findings.append(_wrong(f"{option}.sha256", f"'{sha256}' is no SHA-256.", "write its 64 hexadecimal digits."))
    if int(raw["size"]) < 0:
        findings.append(_wrong(f"{option}.size", f"{raw['size']} is no size.", "write how many bytes it has."))
    url = str(raw.get("url") or (f"{base.rstrip('/')}/{quote(path)}" if base else ""))
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        findings.append(_wrong(f"{option}.url", f"'{url}' is no http(s) URL.", "give one, or the dataset's url."))
    return FileWanted(path, int(raw["size"]), sha256, rewrite(url, mirror or None))


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


def _directories(host: Host, root: str) -> list[str]:
    """The directories of all versions of all datasets, complete or not."""
    names = sorted(name for name in os.listdir(host.at(root)) if _NAME.fullmatch(name))
    found = []
    for name in names:
        if os.path.isdir(host.at(f"{root}/{name}")):
            found += [f"{root}/{name}/{version}" for version in sorted(os.listdir(host.at(f"{root}/{name}")))]
    return [path for path in found if os.path.isfile(host.at(f"{path}/{RECORD}"))]


def _version(host: Host, directory: str, entries: Entries, in_use: bool) -> Version:
    sizes: dict[str, int] = {}
    for path, entry in entries.items():
        with contextlib.suppress(OSError):
            status = os.lstat(host.at(f"{directory}/{path}"))
            if status.st_nlink == 1:
                sizes[str(entry.get("sha256"))] = status.st_size
    wanted_at = os.stat(host.at(f"{directory}/{RECORD}")).st_mtime
    return Version(directory, sizes, wanted_at, in_use)


def _partial(host: Host, root: str) -> dict[str, int]:
    where = host.at(f"{root}/{PARTIAL}")
    try:
        return {entry.name: entry.stat().st_size for entry in os.scandir(where) if entry.is_file()}
    except FileNotFoundError:
        return {}


def _mounts(host: Host) -> tuple[tuple[Mount, ...], frozenset[Mount]]:
    """The host's mounts, and those of everything that runs on it, containers too."""
    seen: set[str] = set()
    found: set[Mount] = set()
    for pid in filter(str.isdigit, host.entries("/proc")):
        try:
            namespace = os.readlink(host.at(f"/proc/{pid}/ns/mnt"))
        except OSError:
            continue
        if namespace not in seen:
            seen.add(namespace)
            found.update(parse_mounts(host.read_text(f"/proc/{pid}/mountinfo")))
    return parse_mounts(host.read_text("/proc/self/mountinfo")), frozenset(found)


def _is_recorded(where: str, entry: Mapping[str, Any]) -> bool:
    try:
        status = os.lstat(where)
    except OSError:
        return False
    return status.st_size == entry.get("size") and status.st_mtime_ns == entry.get("mtime_ns")


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _wrong(variable: str, message: str, remedy: str) -> Finding:
    return problem("option", variable, message, remedy)
