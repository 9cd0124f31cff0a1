"""Collections of others, taken out of the package `ansible` that requirements/peers.lock names."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

from tests.lab.build.store import cache_root

_LOCK = Path(__file__).parents[1] / "requirements" / "peers.lock"


def collections_path(*collections: str) -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH that has the collections; what is missing is fetched into the cache."""
    root = cache_root() / "collections" / sha256(_LOCK.read_bytes()).hexdigest()[:16]
    folders = [Path("ansible_collections", *collection.split(".")) for collection in collections]
    missing = [folder for folder in folders if not (root / folder).exists()]
    if missing:
        root.mkdir(parents=True, exist_ok=True)
        _fetch(root, missing)
    return root


def _fetch(root: Path, folders: list[Path]) -> None:
    with tempfile.TemporaryDirectory(dir=root) as directory:
        options = ("--quiet", "--no-deps", "--require-hashes", f"--requirement={_LOCK}", f"--dest={directory}")
        subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True)
        (wheel,) = Path(directory).glob("*.whl")
        wanted = tuple(f"{folder}/" for folder in folders)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory, [name for name in archive.namelist() if name.startswith(wanted)])
        for folder in folders:
            (root / folder).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(directory, folder), root / folder)
