# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files, directories, links and managed blocks of a host; private to this collection.

``observe`` reads, ``plan`` decides, ``apply`` does. What a call wrote is remembered as claims, so that the next call
can remove what is no longer asked for, and only that.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import (
    COMMAND_NOT_FOUND,
    Host,
    digest,
    link_atomic,
    problem,
    write_atomic,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

DEFAULT_MODES = {"file": 0o644, "directory": 0o755}
SENSITIVE_MODE = 0o600


@dataclass(frozen=True)
class FileWanted:
    """How one path shall be. ``option`` is what the user wrote it in; None keeps what is there (mode, uid, gid).

    What is not ``ours`` is edited in place of its owner, and never removed when it is not asked for any more.
    """

    path: str
    state: str  # file, directory, link, absent
    option: str
    content: bytes = b""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    target: str = ""
    validate: tuple[str, ...] = ()
    sensitive: bool = False
    follow: bool = False
    ours: bool = True


@dataclass(frozen=True)
class BlockWanted:
    """The lines that are ours in a file of others; empty content takes them out."""

    path: str
    marker: str
    content: str
    option: str
    follow: bool = False


@dataclass(frozen=True)
class FileFact:
    """How one path is. ``kind`` is file, directory, link, other or absent; ``entries`` those of a former directory."""

    kind: str
    content: bytes = b""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    target: str = ""
    entries: tuple[str, ...] = ()


ABSENT = FileFact("absent")


@dataclass(frozen=True)
class FileChange:
    """One path that becomes ``wanted``. ``substantial`` is False when only mode or owner change."""

    step: Step
    wanted: FileWanted
    fact: FileFact
    substantial: bool = True


@dataclass(frozen=True)
class Claim:
    """What we put at a path: for a file the digests, for a link the targets, that mark it as still ours."""

    kind: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claims:
    """All that one name has written on this host: claims by path, and the path and marker of each block."""

    files: Mapping[str, Claim]
    blocks: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Claims:
        """The claims in a record; what is malformed in it claims nothing."""
        files = raw.get("files")
        blocks = raw.get("blocks")
        return cls(
            {
                str(path): Claim(str(claim.get("kind")), tuple(str(mark) for mark in claim.get("marks") or ()))
                for path, claim in (files.items() if isinstance(files, dict) else ())
                if isinstance(claim, dict)
            },
            frozenset(
                (str(block[0]), str(block[1]))
                for block in (blocks if isinstance(blocks, list) else ())
                if isinstance(block, list) and len(block) == 2
            ),
        )

    def as_dict(self) -> dict[str, Any]:
        """The claims as JSON-ready mapping."""
        return {
            "files": {path: {"kind": claim.kind, "marks": list(claim.marks)} for path, claim in self.files.items()},
            "blocks": [list(block) for block in sorted(self.blocks)],
        }


@dataclass(frozen=True)
class FilePlan:
    """What would change, what stands in the way, what a person should know, and the claims while and after."""

    changes: tuple[FileChange, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    claims_during: Claims
    claims_after: Claims


def observe_file(host: Host, path: str, follow: bool = False) -> FileFact:
    """What is at ``path``; its content only when it is a regular file."""
    where = host.at(host.resolve(path) if follow else path)
    try:
        status = os.lstat(where)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    if stat.S_ISLNK(status.st_mode):
        return FileFact("link", target=os.readlink(where))
    content = b""
    kind = "directory" if stat.S_ISDIR(status.st_mode) else "other"
    if stat.S_ISREG(status.st_mode):
        kind = "file"
        with open(where, "rb") as stream:
            content = stream.read()
    return FileFact(kind, content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def observe(
    host: Host, files: Iterable[FileWanted], blocks: Iterable[BlockWanted], claims: Claims
) -> dict[str, FileFact]:
    """The facts of every path that the call names, that our claims name, and of the directories above the wanted."""
    facts: dict[str, FileFact] = {}
    for file in files:
        facts[file.path] = observe_file(host, file.path, file.follow)
    for block in blocks:
        facts[block.path] = observe_file(host, block.path, block.follow)
    for path in [*claims.files, *(path for path, _marker in claims.blocks)]:
        if path not in facts:
            facts[path] = _observe_former(host, path)
    for path in list(facts):
        for parent in _parents(path):
            if parent not in facts:
                is_directory = os.path.isdir(host.at(parent))
                facts[parent] = FileFact("directory") if is_directory else observe_file(host, parent)
    return facts


def _observe_former(host: Host, path: str) -> FileFact:
    fact = observe_file(host, path)
    return replace(fact, entries=tuple(os.listdir(host.at(path)))) if fact.kind == "directory" else fact


def plan(
    files: Sequence[FileWanted],
    blocks: Sequence[BlockWanted],
    facts: Mapping[str, FileFact],
    claims: Claims,
    claimed_by_others: frozenset[str] = frozenset(),
) -> FilePlan:
    """What must change for ``files`` and ``blocks``, and which of our former files are to go."""
    findings = _blocked_parents(files, blocks, facts)
    changes: list[FileChange] = []
    for file in [*_missing_parents(files, blocks, facts), *files]:
        change = _plan_file(file, facts[file.path], findings)
        if change is not None:
            changes.append(change)
    changes += _plan_blocks(blocks, facts, claims, findings)
    stale, kept, warnings = _plan_stale(files, blocks, facts, claims, claimed_by_others)
    changes += stale
    after = _claims_after(files, blocks, claims, changes, kept)
    during = Claims(
        {
            path: Claim(claim.kind, tuple(dict.fromkeys((*_marks(claims, path), *claim.marks))))
            for path, claim in {**claims.files, **after.files}.items()
        },
        claims.blocks | after.blocks,
    )
    return FilePlan(tuple(sorted(changes, key=_order)), tuple(findings), tuple(warnings), during, after)


def apply(host: Host, change: FileChange) -> None:
    """Makes one path as it is wanted. Raises ``OSError``."""
    wanted = change.wanted
    path = host.at(host.resolve(wanted.path) if wanted.follow else wanted.path)
    if wanted.state == "absent":
        _remove(path, recursive=change.fact.kind == "directory" and wanted.option != "")
    elif wanted.state == "link":
        link_atomic(path, wanted.target)
    elif wanted.state == "directory":
        if change.fact.kind == "absent":
            os.mkdir(path, SENSITIVE_MODE | stat.S_IXUSR)
        _set_owner_and_mode(path, wanted, change.fact)
    elif change.substantial:
        kept = change.fact.kind == "file"
        mode = _mode(wanted, change.fact)
        uid = wanted.uid if wanted.uid is not None else change.fact.uid if kept else -1
        gid = wanted.gid if wanted.gid is not None else change.fact.gid if kept else -1
        write_atomic(path, wanted.content, mode, uid, gid)
    else:
        _set_owner_and_mode(path, wanted, change.fact)


def validate(host: Host, changes: Iterable[FileChange], directory: str, check: bool) -> tuple[list[Finding], list[str]]:
    """Shows each new content to the command that the user gave, before any file is replaced.

    The content lies in the private ``directory`` under its final name, since many validators look at the suffix. In
    check mode a command that is not installed yet is a warning. Returns findings and warnings.
    """
    findings: list[Finding] = []
    warnings: list[str] = []
    for number, change in enumerate(changes):
        wanted = change.wanted
        if not wanted.validate or not change.substantial or wanted.state != "file":
            continue
        folder = os.path.join(directory, str(number))
        os.mkdir(folder, 0o700)
        candidate = os.path.join(folder, os.path.basename(wanted.path))
        write_atomic(candidate, wanted.content, SENSITIVE_MODE)
        argv = [argument.replace("{path}", candidate) for argument in wanted.validate]
        ran = host.run(argv, 60.0)
        if ran.rc == COMMAND_NOT_FOUND and check:
            warnings.append(f"{wanted.path} could not be validated yet: {argv[0]} is not installed.")
        elif ran.rc != 0:
            said = "(output hidden: the file is sensitive)" if wanted.sensitive else ran.said or "it printed nothing"
            findings.append(
                problem(
                    "file-refused",
                    f"{wanted.option}.content",
                    f"{argv[0]} refuses the new {wanted.path} (exit {ran.rc}): {said}. Nothing was changed.",
                    "correct the content, or the validate command if that is wrong.",
                )
            )
    return findings, warnings


def _plan_file(wanted: FileWanted, fact: FileFact, findings: list[Finding]) -> FileChange | None:
    if wanted.state == "absent":
        return None if fact.kind == "absent" else FileChange(_remove_step(wanted, fact, ""), wanted, fact)
    if fact.kind in _kinds_in_the_way(wanted.state):
        findings.append(
            problem(
                "file-kind",
                wanted.option,
                f"{wanted.path} shall be a {wanted.state} but is {_article(fact)}.",
                "remove it or choose another path"
                + (", or accept the link with follow: true." if fact.kind == "link" else "."),
            )
        )
        return None
    if wanted.state == "link":
        return _plan_link(wanted, fact)
    reasons = _attribute_reasons(wanted, fact)
    if wanted.state == "directory":
        if fact.kind == "absent":
            mode = f"mode {_mode(wanted, fact):04o}"
            return FileChange(
                Step("create", wanted.path, "directory is missing", "", f"directory, {mode}\n"), wanted, fact
            )
        if not reasons:
            return None
        return FileChange(Step("set", wanted.path, ", ".join(reasons)), wanted, fact, substantial=False)
    if fact.kind == "file" and fact.content == wanted.content:
        if not reasons:
            return None
        return FileChange(Step("set", wanted.path, ", ".join(reasons)), wanted, fact, substantial=False)
    return FileChange(_write_step(wanted, fact, reasons), wanted, fact)


def _kinds_in_the_way(state: str) -> tuple[str, ...]:
    if state == "directory":
        return ("file", "link", "other")
    return ("directory", "other")


def _article(fact: FileFact) -> str:
    return {
        "file": "a file",
        "directory": "a directory",
        "link": f"a link to {fact.target}",
        "other": "a device, pipe or socket",
    }[fact.kind]


def _plan_link(wanted: FileWanted, fact: FileFact) -> FileChange | None:
    if fact.kind == "link" and fact.target == wanted.target:
        return None
    before = {"link": f"link to {fact.target}\n", "file": _text(fact.content)}.get(fact.kind, "")
    reason = {"link": "points elsewhere", "file": "is a file"}.get(fact.kind, "link is missing")
    return FileChange(Step("link", wanted.path, reason, before, f"link to {wanted.target}\n"), wanted, fact)


def _write_step(wanted: FileWanted, fact: FileFact, reasons: list[str]) -> Step:
    if fact.kind == "absent":
        action, why = "create", "file is missing"
    elif fact.kind == "link":
        action, why = "write", f"is a link to {fact.target}"
    else:
        action, why = "write", "content differs"
    reason = ", ".join([why, *reasons])
    if wanted.sensitive:
        return Step(action, wanted.path, f"{reason} (sensitive)")
    before = f"link to {fact.target}\n" if fact.kind == "link" else _text(fact.content)
    return Step(action, wanted.path, reason, before, _text(wanted.content))


def _remove_step(wanted: FileWanted, fact: FileFact, reason: str) -> Step:
    before = {
        "file": "" if wanted.sensitive else _text(fact.content),
        "link": f"link to {fact.target}\n",
        "directory": "directory\n",
    }.get(fact.kind, "")
    return Step("remove", wanted.path, reason, before)


def _attribute_reasons(wanted: FileWanted, fact: FileFact) -> list[str]:
    if fact.kind not in ("file", "directory"):
        return []
    reasons = []
    if wanted.mode is not None and wanted.mode != fact.mode:
        reasons.append(f"mode {fact.mode:04o} -> {wanted.mode:04o}")
    if wanted.uid is not None and wanted.uid != fact.uid:
        reasons.append(f"owner {fact.uid} -> {wanted.uid}")
    if wanted.gid is not None and wanted.gid != fact.gid:
        reasons.append(f"group {fact.gid} -> {wanted.gid}")
    return reasons


def _mode(wanted: FileWanted, fact: FileFact) -> int:
    if wanted.mode is not None:
        return wanted.mode
    if fact.kind == wanted.state:
        return fact.mode
    return SENSITIVE_MODE if wanted.sensitive and wanted.state == "file" else DEFAULT_MODES[wanted.state]


def _plan_blocks(
    blocks: Sequence[BlockWanted], facts: Mapping[str, FileFact], claims: Claims, findings: list[Finding]
) -> list[FileChange]:
    wanted = {(block.path, block.marker) for block in blocks}
    former = [BlockWanted(path, marker, "", "") for path, marker in sorted(claims.blocks - wanted)]
    by_path: dict[str, list[BlockWanted]] = {}
    for block in [*blocks, *former]:
        by_path.setdefault(block.path, []).append(block)
    changes = []
    for path, of_path in by_path.items():
        change = _plan_blocks_of(path, of_path, facts[path], findings)
        if change is not None:
            changes.append(change)
    return changes


def _plan_blocks_of(
    path: str, blocks: Sequence[BlockWanted], fact: FileFact, findings: list[Finding]
) -> FileChange | None:
    option = next((block.option for block in blocks if block.option), "")
    if fact.kind not in ("file", "absent"):
        if option:
            findings.append(
                problem(
                    "block-file",
                    option,
                    f"{path} is {_article(fact)}, so no block can be kept in it.",
                    "name the file itself" + (", or say follow: true." if fact.kind == "link" else "."),
                )
            )
        return None
    text = fact.content.decode("utf-8", "surrogateescape")
    edited = text
    for block in blocks:
        try:
            edited = edit_block(edited, block.marker, block.content)
        except ValueError as error:
            findings.append(
                problem(
                    "block-broken", block.option or path, f"{path}: {error}.", "repair the two marker lines by hand."
                )
            )
            return None
    if edited == text:
        return None
    content = edited.encode("utf-8", "surrogateescape")
    wanted = FileWanted(path, "file", option, content, follow=any(block.follow for block in blocks), ours=False)
    names = ", ".join(block.marker for block in blocks)
    return FileChange(Step("edit", path, f"managed block {names}", _text(fact.content), _text(content)), wanted, fact)


def edit_block(text: str, marker: str, content: str) -> str:
    """``text`` with the block ``marker`` holding ``content``, in its place or at the end; without it when content is
    empty. Raises ``ValueError`` when only one of its two marker lines is there, or more than one pair."""
    begin = f"# BEGIN hybridk8s.estate {marker}"
    end = f"# END hybridk8s.estate {marker}"
    lines = text.splitlines(keepends=True)
    begins = [number for number, line in enumerate(lines) if line.strip() == begin]
    ends = [number for number, line in enumerate(lines) if line.strip() == end]
    if len(begins) != len(ends) or len(begins) > 1 or (begins and begins[0] > ends[0]):
        raise ValueError(f"the lines '{begin}' and '{end}' are not one pair")
    body = content.strip("\n")
    new = [f"{begin}\n", f"{body}\n", f"{end}\n"] if body else []
    if begins:
        return "".join([*lines[: begins[0]], *new, *lines[ends[0] + 1 :]])
    if new and lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join([*lines, *new])


def _missing_parents(
    files: Sequence[FileWanted], blocks: Sequence[BlockWanted], facts: Mapping[str, FileFact]
) -> list[FileWanted]:
    named = {file.path for file in files}
    paths = [file.path for file in files if file.state != "absent"] + [block.path for block in blocks if block.content]
    missing = {
        parent: FileWanted(parent, "directory", "")
        for path in paths
        for parent in _parents(path)
        if facts[parent].kind == "absent" and parent not in named
    }
    return list(missing.values())


def _blocked_parents(
    files: Sequence[FileWanted], blocks: Sequence[BlockWanted], facts: Mapping[str, FileFact]
) -> list[Finding]:
    named = {file.path for file in files}
    return [
        problem(
            "file-kind",
            option,
            f"{path} cannot be made: {parent} is {_article(facts[parent])}, not a directory.",
            f"remove {parent} or choose another path.",
        )
        for path, option in [(file.path, file.option) for file in files]
        + [(block.path, block.option) for block in blocks]
        for parent in _parents(path)
        if parent not in named and facts[parent].kind in ("file", "link", "other")
    ]


def _parents(path: str) -> list[str]:
    parents = []
    while path not in ("/", ""):
        path = os.path.dirname(path)
        parents.append(path)
    return parents


def _plan_stale(
    files: Sequence[FileWanted],
    blocks: Sequence[BlockWanted],
    facts: Mapping[str, FileFact],
    claims: Claims,
    claimed_by_others: frozenset[str],
) -> tuple[list[FileChange], set[str], list[str]]:
    """Removals of what we wrote and nobody asks for now; the claimed paths to remember; warnings."""
    wanted = [file.path for file in files] + [block.path for block in blocks]
    needed = {*wanted, *(parent for path in wanted for parent in _parents(path))}
    changes: list[FileChange] = []
    kept: set[str] = set()
    warnings: list[str] = []
    removed: set[str] = set()
    for path, claim in sorted(claims.files.items(), key=lambda item: -item[0].count("/")):
        fact = facts[path]
        if path in needed:
            kept.add(path)
        elif path in claimed_by_others or fact.kind == "absent":
            continue
        elif fact.kind == claim.kind == "directory":
            if all(os.path.join(path, entry) in removed for entry in fact.entries):
                changes.append(_removal(path, fact))
                removed.add(path)
        elif not _still_ours(claim, fact):
            kept.add(path)
            warnings.append(
                f"{path} is no longer wanted, but was changed since it was written here, so it stays: "
                "remove it, or put it in files with state absent."
            )
        else:
            changes.append(_removal(path, fact))
            removed.add(path)
    return changes, kept, warnings


def _removal(path: str, fact: FileFact) -> FileChange:
    # Whether the former content was a secret is not on record, so no diff shows it.
    former = FileWanted(path, "absent", "", sensitive=True)
    return FileChange(_remove_step(former, fact, "no longer wanted"), former, fact)


def _still_ours(claim: Claim, fact: FileFact) -> bool:
    mark = digest(fact.content) if fact.kind == "file" else fact.target
    return fact.kind == claim.kind and mark in claim.marks


def _marks(claims: Claims, path: str) -> tuple[str, ...]:
    claim = claims.files.get(path)
    return claim.marks if claim else ()


def _claims_after(
    files: Sequence[FileWanted],
    blocks: Sequence[BlockWanted],
    claims: Claims,
    changes: Sequence[FileChange],
    kept: set[str],
) -> Claims:
    removed = {file.path for file in files if file.state == "absent"}
    after = {path: claim for path, claim in claims.files.items() if path in kept and path not in removed}
    for change in changes:
        wanted = change.wanted
        if not change.substantial or wanted.state == "absent" or not wanted.ours:
            continue
        marks = {"file": (digest(wanted.content),), "link": (wanted.target,)}.get(wanted.state, ())
        after[wanted.path] = Claim(wanted.state, marks)
    return Claims(after, frozenset((block.path, block.marker) for block in blocks if block.content))


def _order(change: FileChange) -> tuple[int, int, str]:
    """Removals first and from the leaves up; then directories from the root down, files, and links to them."""
    path = change.wanted.path
    depth = path.count("/")
    if change.wanted.state == "absent":
        return (0, -depth, path)
    return ({"directory": 1, "file": 2, "link": 3}[change.wanted.state], depth, path)


def _remove(path: str, recursive: bool) -> None:
    if recursive:
        shutil.rmtree(path)
    elif os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    else:
        os.unlink(path)


def _set_owner_and_mode(path: str, wanted: FileWanted, fact: FileFact) -> None:
    os.chown(path, wanted.uid if wanted.uid is not None else -1, wanted.gid if wanted.gid is not None else -1)
    os.chmod(path, _mode(wanted, fact))


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
