# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tar archives unpacked so that nothing leaves the directory; private to this collection.

Imported only when there is something to unpack.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import tarfile
import zlib
from collections.abc import Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import RECORD, describe


class ArchiveError(Exception):
    """The archive is not what it should be, or is not to be unpacked."""


def unpack(archive: str, directory: str, members: Sequence[str], strip: int) -> dict[str, dict[str, Any]]:
    """Unpacks the members that match one of the patterns (all without patterns), less ``strip`` leading components.

    Files become 0755 when anyone may execute them, else 0644, and belong to the user who unpacks. Returns entries for
    the record. Raises :class:`ArchiveError` for damage, for members that would lie or lead outside ``directory``, for
    devices and pipes, and when a pattern matches nothing.
    """
    entries: dict[str, dict[str, Any]] = {}
    unmatched = set(members)
    try:
        with tarfile.open(archive, "r:*") as opened:
            for member in opened:
                name = _plain(member.name)
                matches = {pattern for pattern in members if fnmatch.fnmatchcase(name, pattern)}
                unmatched -= matches
                path = "/".join(name.split("/")[strip:])
                if member.isdir() or not path or (members and not matches):
                    continue
                entries[path] = _extract(opened, member, directory, path)
    except (tarfile.TarError, EOFError, KeyError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ArchiveError(f"it cannot be unpacked: {error}") from error
    if unmatched:
        raise ArchiveError(f"it has no member {', '.join(sorted(unmatched))}")
    if not entries:
        raise ArchiveError("nothing of it is left to unpack")
    return entries


def _plain(name: str) -> str:
    parts = [part for part in name.split("/") if part != "."]
    if name.startswith("/") or ".." in parts:
        raise ArchiveError(f"its member {name} lies outside")
    return "/".join(part for part in parts if part)


def _extract(opened: tarfile.TarFile, member: tarfile.TarInfo, directory: str, path: str) -> dict[str, Any]:
    if path == RECORD:
        raise ArchiveError(f"its member {path} has the name of the record")
    where = os.path.join(directory, path)
    _make_parents(directory, path)
    if os.path.lexists(where):
        os.unlink(where)
    if member.issym():
        inside = os.path.normpath(os.path.join(os.path.dirname(path), member.linkname))
        if os.path.isabs(member.linkname) or inside.startswith(".."):
            raise ArchiveError(f"its member {member.name} leads outside, to {member.linkname}")
        os.symlink(member.linkname, where)
        return {"target": member.linkname}
    source = opened.extractfile(member) if member.isreg() or member.islnk() else None
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
