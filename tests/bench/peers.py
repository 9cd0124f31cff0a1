"""What others have for the same: kubectl and kubernetes.core."""

from __future__ import annotations

from pathlib import Path

from tests import ansible_package
from tests.lab.build import ensure_component


def kubectl() -> str:
    """The path of the program."""
    return str(ensure_component("kubernetes") / "bin" / "kubectl")


def collections_path() -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH that has kubernetes.core."""
    return ansible_package.collections_path("kubernetes.core")
