"""OCI image layouts with reproducible layers: sorted members, no times, no host names.

Layers are not compressed: they travel over loopback, and every host of the lab would spend its time unpacking them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Entry:
    """A member of a layer: a file (`source`), a symbolic link (`target`), a hard link (`same_as`) or a directory."""

    path: str
    mode: int = 0o755
    source: Path | bytes | None = None
    target: str | None = None
    same_as: str | None = None
    uid: int = 0


@dataclass(frozen=True)
class Blob:
    """A file and what OCI calls it by."""

    path: Path
    digest: str
    size: int

    def descriptor(self, media_type: str) -> dict[str, object]:
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class RunConfig:
    """What a container of the image runs."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = field(default=())
    user: str = ""

    def as_json(self) -> dict[str, object]:
        fields: dict[str, object] = {
            "Env": [SEARCH_PATH, *self.environment],
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "User": self.user,
        }
        return {name: value for name, value in fields.items() if value}


class _HashingWriter(io.RawIOBase):
    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        assert isinstance(data, (bytes, bytearray, memoryview))
        self._hash.update(data)
        self._target.write(data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def write_layer(entries: Iterable[Entry], path: Path) -> Blob:
    """A layer of the entries and, mode 0755, of the directories above them."""
    by_path = {entry.path: entry for entry in entries}
    parents = {str(parent) for entry_path in by_path for parent in PurePosixPath(entry_path).parents} - {"."}
    everything = {**{parent: Entry(parent) for parent in parents}, **by_path}
    return _write_tar((_member(entry) for _unused, entry in sorted(everything.items(), key=_links_last)), path)


def _links_last(item: tuple[str, Entry]) -> tuple[bool, str]:
    return item[1].same_as is not None, item[0]


def _member(entry: Entry) -> tuple[tarfile.TarInfo, Path | bytes | None]:
    info = tarfile.TarInfo(entry.path)
    info.mode = entry.mode
    info.uid = info.gid = entry.uid
    if entry.target is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
    elif entry.same_as is not None:
        info.type, info.linkname = tarfile.LNKTYPE, entry.same_as
    elif entry.source is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = len(entry.source) if isinstance(entry.source, bytes) else entry.source.stat().st_size
    return info, entry.source


def write_tree_layer(root: Path, skip: frozenset[str], path: Path) -> Blob:
    """A layer of a whole root file system, owners and hard links kept, without what lies below the `skip` paths."""
    return _write_tar(_tree_members(root, skip), path)


def _tree_members(root: Path, skip: frozenset[str]) -> Iterator[tuple[tarfile.TarInfo, Path | bytes | None]]:
    first_name: dict[int, str] = {}
    for path in _walk(root, root, skip):
        name = path.relative_to(root).as_posix()
        status = path.lstat()
        info = tarfile.TarInfo(name)
        info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        if stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        elif status.st_ino in first_name:
            info.type, info.linkname = tarfile.LNKTYPE, first_name[status.st_ino]
        elif stat.S_ISREG(status.st_mode):
            first_name[status.st_ino] = name
            info.size = status.st_size
            yield info, path
            continue
        else:
            continue
        yield info, None


def _walk(directory: Path, root: Path, skip: frozenset[str]) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink() and path.relative_to(root).as_posix() not in skip:
            yield from _walk(path, root, skip)


def _write_tar(members: Iterable[tuple[tarfile.TarInfo, Path | bytes | None]], path: Path) -> Blob:
    with path.open("wb") as target:
        writer = _HashingWriter(target)
        with tarfile.open(fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for info, source in members:
                if isinstance(source, bytes):
                    archive.addfile(info, io.BytesIO(source))
                elif source is not None:
                    with source.open("rb") as handle:
                        archive.addfile(info, handle)
                else:
                    archive.addfile(info)
        return Blob(path, writer.digest, writer.size)


def write_layout(directory: Path, reference: str, architecture: str, layers: list[Blob], config: RunConfig) -> None:
    """An OCI image layout of one image in `directory`; blobs are hard links where the file system allows."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for layer in layers:
        link_or_copy(layer.path, blobs / layer.digest.removeprefix("sha256:"))
    config_blob = _write_json(
        blobs,
        {
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": config.as_json(),
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        },
    )
    manifest_blob = _write_json(
        blobs,
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config_blob.descriptor(CONFIG_TYPE),
            "layers": [layer.descriptor(LAYER_TYPE) for layer in layers],
        },
    )
    name = {"org.opencontainers.image.ref.name": reference}
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [{**manifest_blob.descriptor(MANIFEST_TYPE), "annotations": name}],
    }
    (directory / "index.json").write_bytes(_json(index))
    (directory / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def _write_json(blobs: Path, content: dict[str, object]) -> Blob:
    data = _json(content)
    blob = blob_of_bytes(blobs, data)
    blob.path.write_bytes(data)
    return blob


def blob_of_bytes(blobs: Path, data: bytes) -> Blob:
    hexadecimal = hashlib.sha256(data).hexdigest()
    return Blob(blobs / hexadecimal, f"sha256:{hexadecimal}", len(data))


def _json(content: dict[str, object]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy where the two are on different file systems."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())
        target.chmod(stat.S_IMODE(source.stat().st_mode))
