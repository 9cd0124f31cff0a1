"""The mirror: release files of the components under the host and path of their upstream URLs."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.lab.build.oci import link_or_copy
from tests.lab.build.store import Item, key_of

COMPONENTS = ("calico", "cni-plugins", "containerd", "gvisor", "helm", "kubernetes", "runc", "terway")
GZIP_LEVEL = 1  # it travels over loopback
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def mirror_item(
    components: Mapping[str, Path], versions: Mapping[str, str], keys: Mapping[str, str], architecture: str
) -> Item:
    """The store's item of the mirror: its `tree` directory is `<host>/<path>` of every release file."""
    key = key_of(Path(__file__), [(versions[name], keys[name]) for name in COMPONENTS], architecture)
    return Item("mirror", "tree", key, _maker(components, versions, architecture))


def _maker(components: Mapping[str, Path], versions: Mapping[str, str], architecture: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        tree = path / "tree"
        add_kubernetes(tree, components["kubernetes"], versions["kubernetes"], architecture)
        add_containerd(tree, components["containerd"], versions["containerd"], architecture)
        add_runc(tree, components["runc"], versions["runc"], architecture)
        add_cni_plugins(tree, components["cni-plugins"], versions["cni-plugins"], architecture)
        add_calico(tree, components["calico"], versions["calico"])
        add_gvisor(tree, components["gvisor"], versions["gvisor"], architecture)
        add_helm(tree, components["helm"], versions["helm"], architecture)
        add_terway(tree, components["terway"], versions["terway"])

    return make


def add_kubernetes(tree: Path, built: Path, version: str, architecture: str) -> None:
    directory = tree / "dl.k8s.io" / f"v{version}" / "bin" / "linux" / architecture
    for name in ("kubeadm", "kubectl", "kubelet"):
        link_or_copy(built / "bin" / name, directory / name)
        (directory / f"{name}.sha256").write_text(_sha256(directory / name))


def add_containerd(tree: Path, built: Path, version: str, architecture: str) -> None:
    archive = _github(tree, "containerd/containerd", version) / f"containerd-{version}-linux-{architecture}.tar.gz"
    write_archive(archive, built / "bin", prefix="bin/")
    _write_checksums(archive.with_name(f"{archive.name}.sha256sum"), archive)


def add_runc(tree: Path, built: Path, version: str, architecture: str) -> None:
    directory = _github(tree, "opencontainers/runc", version)
    program = directory / f"runc.{architecture}"
    link_or_copy(built / "bin" / "runc", program)
    # Upstream publishes this list clear-signed; who reads it must find the line inside.
    (directory / "runc.sha256sum").write_text(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
        f"{_sha256(program)}  {program.name}\n"
        "-----BEGIN PGP SIGNATURE-----\n\nThe lab signs nothing.\n-----END PGP SIGNATURE-----\n"
    )


def add_cni_plugins(tree: Path, built: Path, version: str, architecture: str) -> None:
    archive = _github(tree, "containernetworking/plugins", version) / f"cni-plugins-linux-{architecture}-v{version}.tgz"
    write_archive(archive, built / "bin", prefix="./")
    _write_checksums(archive.with_name(f"{archive.name}.sha256"), archive)


def add_calico(tree: Path, built: Path, version: str) -> None:
    manifest = (
        tree / "raw.githubusercontent.com" / "projectcalico" / "calico" / f"v{version}" / "manifests" / "calico.yaml"
    )
    link_or_copy(built / "share" / "manifests" / "calico.yaml", manifest)


def add_helm(tree: Path, built: Path, version: str, architecture: str) -> None:
    archive = tree / "get.helm.sh" / f"helm-v{version}-linux-{architecture}.tar.gz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    write_archive(archive, built / "bin", prefix=f"linux-{architecture}/")
    _write_checksums(archive.with_name(f"{archive.name}.sha256sum"), archive)


def add_gvisor(tree: Path, built: Path, version: str, architecture: str) -> None:
    releases = tree / "storage.googleapis.com" / "gvisor" / "releases" / "release"
    directory = releases / version / _MACHINES.get(architecture, architecture)
    for name in ("containerd-shim-runsc-v1", "runsc"):
        link_or_copy(built / "bin" / name, directory / name)
        (directory / f"{name}.sha512").write_text(f"{_digest(directory / name, 'sha512')}  {name}\n")


def add_terway(tree: Path, built: Path, version: str) -> None:
    versions = tree / "proxy.golang.org" / "github.com" / "!aliyun!container!service" / "terway" / "@v"
    link_or_copy(built / "module.zip", versions / f"v{version}.zip")


def _github(tree: Path, repository: str, version: str) -> Path:
    directory = tree / "github.com" / repository / "releases" / "download" / f"v{version}"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _write_checksums(path: Path, file: Path) -> None:
    path.write_text(f"{_sha256(file)}  {file.name}\n")


def _sha256(path: Path) -> str:
    return _digest(path, "sha256")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()


def write_archive(path: Path, directory: Path, prefix: str) -> None:
    """A reproducible .tar.gz of the programs in `directory`; the directory comes first, as in upstream's."""
    with (
        path.open("wb") as target,
        gzip.GzipFile("", "wb", GZIP_LEVEL, target, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        top = tarfile.TarInfo(prefix)
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(top)
        for program in sorted(directory.iterdir()):
            info = tarfile.TarInfo(f"{prefix}{program.name}")
            info.mode, info.size = 0o755, program.stat().st_size
            with program.open("rb") as handle:
                archive.addfile(info, handle)
