# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tar and zip archives unpacked so that nothing leaves the directory; private to this collection.

Imported only when there is something to unpack.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Callable

from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import RECORD, describe


class ArchiveError(Exception):
    """The archive is not what it should be, or is not to be unpacked."""


@dataclass(frozen=True)
class _Member:
    """One member of an archive of either kind; ``open`` gives None for what is no file."""

    name: str
    is_directory: bool
    mode: int
    link: str
    open: Callable[[], IO[bytes] | None]


def unpack(archive: str, directory: str, members: Sequence[str], strip: int) -> dict[str, dict[str, Any]]:
    """Unpacks the members that match one of the patterns (all without patterns), less ``strip`` leading components.

    Files become 0755 when anyone may execute them, else 0644, and belong to the user who unpacks. Returns entries for
    the record. Raises :class:`ArchiveError` for damage, for members that would lie or lead outside ``directory``, for
    devices and pipes, and when a pattern matches nothing.
    """
    entries: dict[str, dict[str, Any]] = {}
    unmatched = set(members)
    try:
        with _opened(archive) as found:
            for member in found:
                name = _plain(member.name)
                matches = {pattern for pattern in members if fnmatch.fnmatchcase(name, pattern)}
                unmatched -= matches
                path = "/".join(name.split("/")[strip:])
                if member.is_directory or not path or (members and not matches):
                    continue
                entries[path] = _extract(member, directory, path)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, KeyError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ArchiveError(f"it cannot be unpacked: {error}") from error
    if unmatched:
        raise ArchiveError(f"it has no member {', '.join(sorted(unmatched))}")
    if not entries:
        raise ArchiveError("nothing of it is left to unpack")
    return entries


@contextmanager
def _opened(archive: str) -> Iterator[Iterator[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield (_zip_member(zipped, info) for info in zipped.infolist())
        return
    with tarfile.open(archive, "r:*") as opened:
        yield (_tar_member(opened, info) for info in opened)


def _tar_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    link = info.linkname if info.issym() else ""

    def source() -> IO[bytes] | None:
        return opened.extractfile(info) if info.isreg() or info.islnk() else None

    return _Member(info.name, info.isdir(), info.mode, link, source)


def _zip_member(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = info.external_attr >> 16
    link = zipped.read(info).decode() if stat.S_ISLNK(mode) else ""
    return _Member(info.filename, info.is_dir(), mode, link, lambda: zipped.open(info))


def _plain(name: str) -> str:
    parts = [part for part in name.split("/") if part != "."]
    if name.startswith("/") or ".." in parts:
        raise ArchiveError(f"its member {name} lies outside")
    return "/".join(part for part in parts if part)


def _extract(member: _Member, directory: str, path: str) -> dict[str, Any]:
    if path == RECORD:
        raise ArchiveError(f"its member {path} has the name of the record")
    where = os.path.join(directory, path)
    _make_parents(directory, path)
    if os.path.lexists(where):
        os.unlink(where)
    if member.link:
        inside = os.path.normpath(os.path.join(os.path.dirname(path), member.link))
        if os.path.isabs(member.link) or inside.startswith(".."):
            raise ArchiveError(f"its member {member.name} leads outside, to {member.link}")
        os.symlink(member.link, where)
        return {"target": member.link}
    source = member.open()
    if source is None:
        raise ArchiveError(f"its member {member.name} is neither file, directory nor link")
    hasher = hashlib.sha256()
    with source, open(where, "xb") as stream:
        for chunk in iter(lambda: source.read(1 << 20), b""):
            hasher.update(chunk)
            stream.write(chunk)
        os.fchmod(stream.fileno(), 0o755 if member.mode & 0o111 else 0o644)
        stream.flush()
        os.fsync(stream.fileno())
    return describe(where, hasher.hexdigest())


def _make_parents(directory: str, path: str) -> None:
    """Makes the directories above ``path``, none of which may be a link that the archive planted."""
    where = directory
    for part in path.split("/")[:-1]:
        where = os.path.join(where, part)
        if os.path.islink(where) or (os.path.lexists(where) and not os.path.isdir(where)):
            raise ArchiveError(f"its member {path} lies below something that is no directory")
        os.makedirs(where, mode=0o755, exist_ok=True)
