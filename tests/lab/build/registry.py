"""The storage directory of docker-registry's filesystem driver, filled from OCI layouts without running a registry.

The layout is the one that distribution documents at the top of registry/storage/paths.go.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.build.oci import link_or_copy


def add_layout(storage: Path, repository: str, tag: str, layout: Path) -> None:
    """Make the layout's image pullable as `repository:tag` from a registry on `storage`."""
    root = storage / "docker" / "registry" / "v2"
    for blob in sorted((layout / "blobs" / "sha256").iterdir()):
        data = root / "blobs" / "sha256" / blob.name[:2] / blob.name / "data"
        if not data.exists():
            link_or_copy(blob, data)
    manifest_digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    manifest = json.loads((layout / "blobs" / manifest_digest.replace(":", "/")).read_text())
    home = root / "repositories" / repository
    for descriptor in (manifest["config"], *manifest["layers"]):
        _write_link(home / "_layers", descriptor["digest"])
    _write_link(home / "_manifests" / "revisions", manifest_digest)
    _write_link(home / "_manifests" / "tags" / tag / "index", manifest_digest)
    (home / "_manifests" / "tags" / tag / "current").mkdir()
    (home / "_manifests" / "tags" / tag / "current" / "link").write_text(manifest_digest)


def _write_link(directory: Path, digest: str) -> None:
    path = directory / digest.replace(":", "/") / "link"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(digest)
