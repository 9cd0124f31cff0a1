# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact_unpack import ArchiveError, unpack


def archive(tmp_path: Path, *members: tuple[str, Any], compression: str = "gz") -> str:
    """A tar archive. A member is a name and bytes, or a name and the attributes of what is no plain file."""
    where = tmp_path / "archive"
    with tarfile.open(where, f"w:{compression}") as opened:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                info.mode = 0o6755 if name.startswith(("bin", "./bin")) else 0o600
                opened.addfile(info, io.BytesIO(content))
                continue
            for key, value in content.items():
                setattr(info, key, value)
            opened.addfile(info)
    return str(where)


def link(target: str) -> dict[str, Any]:
    return {"type": tarfile.SYMTYPE, "linkname": target}


def unpacked(tmp_path: Path, where: str, *members: str, strip: int = 0) -> dict[str, dict[str, Any]]:
    (tmp_path / "out").mkdir()
    return unpack(where, str(tmp_path / "out"), members, strip)


@pytest.mark.parametrize("compression", ["gz", "xz", "bz2", ""])
def test_all_members_with_plain_modes(tmp_path: Path, compression: str) -> None:
    where = archive(
        tmp_path, ("./bin/a", b"1"), ("etc/b", b"22"), ("./", {"type": tarfile.DIRTYPE}), compression=compression
    )
    entries = unpacked(tmp_path, where)
    assert sorted(entries) == ["bin/a", "etc/b"]
    assert {path: (entry["size"], entry["mode"]) for path, entry in entries.items()} == {
        "bin/a": (1, 0o755),
        "etc/b": (2, 0o644),
    }
    assert (tmp_path / "out/bin/a").read_bytes() == b"1"
    assert (tmp_path / "out/bin/a").stat().st_mtime_ns == entries["bin/a"]["mtime_ns"]


def test_some_members_without_their_leading_directories(tmp_path: Path) -> None:
    where = archive(tmp_path, ("x/bin/a", b"1"), ("x/bin/b", b"2"), ("x/doc/c", b"3"), ("top", b"4"))
    assert sorted(unpacked(tmp_path, where, "x/bin/*", strip=2)) == ["a", "b"]
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "b"]


def test_links_inside_stay(tmp_path: Path) -> None:
    where = archive(
        tmp_path,
        ("bin/a", b"1"),
        ("bin/b", link("a")),
        ("lib/c", link("../bin/a")),
        ("bin/d", {"type": tarfile.LNKTYPE, "linkname": "bin/a"}),
    )
    entries = unpacked(tmp_path, where)
    assert (entries["bin/b"], entries["lib/c"]) == ({"target": "a"}, {"target": "../bin/a"})
    assert (tmp_path / "out/bin/d").read_bytes() == b"1"
    assert not (tmp_path / "out/bin/d").is_symlink()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("/etc/passwd", b"x")], "lies outside"),
        ([("../x", b"x")], "lies outside"),
        ([("a/../../x", b"x")], "lies outside"),
        ([("a", link("/etc/passwd"))], "leads outside"),
        ([("a/b", link("../../x"))], "leads outside"),
        ([("a", link("b")), ("a/x", b"x")], "below something that is no directory"),
        ([("a", b""), ("a/x", b"x")], "below something that is no directory"),
        ([("a", {"type": tarfile.CHRTYPE})], "neither file, directory nor link"),
        ([("a", {"type": tarfile.FIFOTYPE})], "neither file, directory nor link"),
        ([(".installed.json", b"{}")], "name of the record"),
        ([("a", {"type": tarfile.LNKTYPE, "linkname": "none"})], "cannot be unpacked"),
        ([], "nothing of it"),
    ],
)
def test_what_is_not_to_be_unpacked(tmp_path: Path, members: list[tuple[str, Any]], words: str) -> None:
    where = archive(tmp_path, *members)
    with pytest.raises(ArchiveError, match=words):
        unpacked(tmp_path, where)
    assert not (tmp_path / "x").exists()


def test_a_pattern_that_matches_nothing_is_told(tmp_path: Path) -> None:
    where = archive(tmp_path, ("a", b"1"))
    with pytest.raises(ArchiveError, match="no member b, c"):
        unpacked(tmp_path, where, "a", "c", "b")


def test_stripping_everything_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="nothing of it is left"):
        unpacked(tmp_path, archive(tmp_path, ("a/b", b"1")), strip=2)


@pytest.mark.parametrize("damage", ["cut", "no archive"])
def test_damage_is_told(tmp_path: Path, damage: str) -> None:
    where = Path(archive(tmp_path, ("a", os.urandom(100_000))))
    body = where.read_bytes()
    where.write_bytes({"cut": body[:50_000], "no archive": b"hello"}[damage])
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpacked(tmp_path, str(where))


def zip_archive(tmp_path: Path, *members: tuple[str, bytes, int]) -> str:
    """A zip archive; a member is a name, its bytes, and its mode as Unix has it (0 where the maker knew none)."""
    where = tmp_path / "archive.zip"
    with zipfile.ZipFile(where, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            opened.writestr(info, content)
    return str(where)


def test_some_members_of_a_zip(tmp_path: Path) -> None:
    members = [("m@v1/charts/x/a.yaml", b"a", 0), ("m@v1/charts/x/run", b"b", 0o100755), ("m@v1/go.mod", b"c", 0)]
    where = zip_archive(tmp_path, *members, ("m@v1/charts/x/", b"", 0o040755))
    entries = unpacked(tmp_path, where, "m@v1/charts/x/*", strip=3)
    assert {path: (entry["size"], entry["mode"]) for path, entry in entries.items()} == {
        "a.yaml": (1, 0o644),
        "run": (1, 0o755),
    }
    assert (tmp_path / "out/a.yaml").read_bytes() == b"a"


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (("../a", b"1", 0), "its member ../a lies outside"),
        (("/a", b"1", 0), "its member /a lies outside"),
        (("a", b"/etc/passwd", 0o120777), "its member a leads outside, to /etc/passwd"),
    ],
)
def test_what_is_not_to_be_unpacked_of_a_zip(tmp_path: Path, member: tuple[str, bytes, int], words: str) -> None:
    with pytest.raises(ArchiveError, match=words):
        unpacked(tmp_path, zip_archive(tmp_path, member))


def test_a_damaged_zip_is_told(tmp_path: Path) -> None:
    where = Path(zip_archive(tmp_path, ("a", os.urandom(4096), 0)))
    content = bytearray(where.read_bytes())
    content[1000] ^= 0xFF
    where.write_bytes(content)
    with pytest.raises(ArchiveError, match="it cannot be unpacked"):
        unpacked(tmp_path, str(where))
