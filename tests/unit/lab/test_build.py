"""The pure parts of the lab's build: keys, the store, layers and layouts, registry storage, mirror, apt sources."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import threading
from pathlib import Path

import pytest

from tests.lab.build import images, machine, mirror, oci, registry, rootfs
from tests.lab.build.components import (
    Component,
    Patch,
    build_command,
    build_environment,
    component_item,
    load_components,
)
from tests.lab.build.go import Go, parse_version, required_version
from tests.lab.build.oci import Entry, RunConfig
from tests.lab.build.store import BuildError, Item, Store, cache_root, key_of

GO = Go(program="/go/bin/go", version="go1.26.8", architecture="amd64")


def nothing(_unused: object) -> None:
    """A progress nobody reads; a build that leaves its directory empty."""


def quiet(root: Path) -> Store:
    return Store(root, progress=nothing)


def write(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


class TestKey:
    def test_says_the_same_for_the_same(self) -> None:
        assert key_of("a", 1, ["b"]) == key_of("a", 1, ["b"])

    @pytest.mark.parametrize("other", [(b"ab", b"c"), (b"a", b"bc", b""), (b"abc",), (b"a", b"bd"), (b"bc", b"a")])
    def test_depends_on_every_part_and_where_it_ends(self, other: tuple[bytes, ...]) -> None:
        assert key_of(b"a", b"bc") != key_of(*other)

    def test_of_a_path_is_of_its_content(self, tmp_path: Path) -> None:
        one, two = write(tmp_path / "one", "x"), write(tmp_path / "two", "x")
        before = key_of(one)
        assert before == key_of(two)
        write(one, "y")
        assert key_of(one) != before


class TestStore:
    def item(self, make: object, name: str = "thing", key: str = "k") -> Item:
        return Item("kind", name, key, make)  # type: ignore[arg-type]

    def test_builds_once(self, tmp_path: Path) -> None:
        calls: list[Path] = []
        item = self.item(calls.append)
        store = quiet(tmp_path)
        assert store.ensure(item) == store.ensure(item) == tmp_path / "kind" / "thing-k"
        assert len(calls) == 1

    def test_another_key_is_another_thing(self, tmp_path: Path) -> None:
        store = quiet(tmp_path)
        paths = {store.ensure(self.item(nothing, key=key)) for key in ("a", "b")}
        assert len(paths) == 2

    def test_nothing_is_there_until_it_is_whole(self, tmp_path: Path) -> None:
        store = quiet(tmp_path)
        seen: list[bool] = []
        item = self.item(lambda _unused: seen.append((tmp_path / "kind" / "thing-k").exists()))
        store.ensure(item)
        assert seen == [False]

    @pytest.mark.parametrize("error", [BuildError("compiler says no"), FileNotFoundError("gone")])
    def test_a_failure_names_the_item_and_leaves_nothing(self, tmp_path: Path, error: Exception) -> None:
        def fail(path: Path) -> None:
            write(path / "half", "x")
            raise error

        store = quiet(tmp_path)
        with pytest.raises(BuildError, match=rf"^kind/thing: {error}"):
            store.ensure(self.item(fail))
        assert not store.has(self.item(fail))

    def test_the_next_build_removes_what_a_killed_one_left(self, tmp_path: Path) -> None:
        left = write(tmp_path / "kind" / ".thing.tmp" / "half", "x")
        others = write(tmp_path / "kind" / ".thing-else.tmp" / "half", "x")
        path = quiet(tmp_path).ensure(self.item(nothing))
        assert not left.exists()
        assert list(path.iterdir()) == []
        assert others.exists()

    def test_prune_removes_other_keys_of_the_same_name_only(self, tmp_path: Path) -> None:
        store = quiet(tmp_path)
        old, new = (self.item(nothing, key=key * 16) for key in ("a", "b"))
        longer = self.item(nothing, name="thing-2", key="c" * 16)
        for item in (old, new, longer):
            store.ensure(item)
        assert store.prune([new]) == [store.path(old)]
        assert not store.has(old)
        assert store.has(new)
        assert store.has(longer)

    def test_two_at_a_time_build_it_once(self, tmp_path: Path) -> None:
        lines: list[str] = []
        calls: list[Path] = []
        waiting = threading.Event()

        def progress(line: str) -> None:
            lines.append(line)
            if "waiting" in line:
                waiting.set()

        def make(path: Path) -> None:
            calls.append(path)
            assert waiting.wait(10)

        store = Store(tmp_path, progress)
        item = self.item(make)
        threads = [threading.Thread(target=store.ensure, args=(item,)) for _unused in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(calls) == 1
        assert "kind/thing: another process builds it, waiting" in lines

    def test_tells_how_long_it_took_last_time(self, tmp_path: Path) -> None:
        lines: list[str] = []
        store = Store(tmp_path, lines.append)
        write(tmp_path / "durations.json", json.dumps({"kind/thing": 61.4}))
        store.ensure(self.item(nothing))
        assert lines[0] == "kind/thing: building (last time 61 s)"
        assert store.durations()["kind/thing"] < 60

    @pytest.mark.parametrize("text", ["", "{", '{"a": "x"}'])
    def test_a_broken_record_of_durations_is_no_record(self, tmp_path: Path, text: str) -> None:
        write(tmp_path / "durations.json", text)
        assert quiet(tmp_path).durations() == {}

    def test_the_cache_is_where_the_environment_says(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HYBRIDK8S_CACHE", str(tmp_path))
        assert cache_root() == tmp_path
        monkeypatch.setenv("HYBRIDK8S_CACHE", "")
        assert cache_root() == Path.home() / ".cache" / "hybridk8s-estate"


COMPONENTS = load_components()


class TestComponents:
    @pytest.mark.parametrize("component", COMPONENTS.values(), ids=lambda c: c.name)
    def test_go_mod_pins_every_program(self, component: Component) -> None:
        if component.module is None:
            return
        go_mod = (component.directory / "go.mod").read_text()
        for package in component.binaries.values():
            assert f"tool {package}\n" in go_mod or f"\t{package}\n" in go_mod
        assert (component.directory / "go.sum").stat().st_size > 0

    def test_a_pin_that_go_mod_contradicts_is_an_error(self, tmp_path: Path) -> None:
        write(tmp_path / "x" / "go.mod", "module m\n\nrequire a.b/c v1.0.0\n")
        write(
            tmp_path / "x" / "component.toml", 'version = "1.0.1"\n[module]\npath = "a.b/c"\n[binaries]\nc = "a.b/c"\n'
        )
        with pytest.raises(BuildError, match=r"go\.mod requires a\.b/c \['v1\.0\.0'\], component\.toml says v1\.0\.1"):
            load_components(tmp_path)

    @pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go", "component.toml"])
    def test_the_key_covers_every_input(self, tmp_path: Path, changed: str) -> None:
        directory = tmp_path / "x"
        for name in ("go.mod", "go.sum", "main.go"):
            write(directory / name, "")
        write(directory / "component.toml", 'version = "1"\n[binaries]\nx = "x"\n')
        before = self.key(tmp_path, GO)
        assert before == self.key(tmp_path, GO)
        with (directory / changed).open("a") as handle:
            handle.write("\n")
        assert self.key(tmp_path, GO) != before

    def test_the_key_covers_the_toolchain(self, tmp_path: Path) -> None:
        write(tmp_path / "x" / "component.toml", 'version = "1"\n[binaries]\nx = "x"\n')
        newer = Go(GO.program, "go1.27.3", GO.architecture)
        elsewhere = Go("/other/go", GO.version, GO.architecture)
        assert self.key(tmp_path, newer) != self.key(tmp_path, GO) == self.key(tmp_path, elsewhere)

    def key(self, directory: Path, go: Go) -> str:
        return component_item(load_components(directory)["x"], go, quiet(directory)).key

    def test_the_command(self) -> None:
        command = build_command(COMPONENTS["runc"], GO, "a.b/c", Path("/out/bin/d"))
        assert command == [
            *("/go/bin/go", "build", "-mod=readonly", "-trimpath", "-tags=seccomp,urfave_cli_no_docs"),
            *("-ldflags=-s -w", "-o", "/out/bin/d", "a.b/c"),
        ]
        assert build_environment(COMPONENTS["runc"], GO)["CGO_ENABLED"] == "1"
        assert build_environment(COMPONENTS["etcd"], GO)["CGO_ENABLED"] == "0"

    def test_a_patch_goes_before_the_line_it_names(self, tmp_path: Path) -> None:
        write(tmp_path / "d.go", "one\n\t// two\nthree\n")
        Patch("a.b/c", "d.go", "// two", "ours\n").apply(tmp_path)
        assert (tmp_path / "d.go").read_text() == "one\nours\n\t// two\nthree\n"

    @pytest.mark.parametrize(("text", "times"), [("other\n", 0), ("two\ntwo\n", 2)])
    def test_a_patch_that_fits_no_longer_is_an_error(self, tmp_path: Path, text: str, times: int) -> None:
        write(tmp_path / "d.go", text)
        with pytest.raises(BuildError, match=rf"a\.b/c: d\.go has the line 'two' {times} times, not once"):
            Patch("a.b/c", "d.go", "two", "ours\n").apply(tmp_path)

    def test_versions_get_into_the_programs(self) -> None:
        assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in COMPONENTS["kubernetes"].ldflags


class TestGo:
    @pytest.mark.parametrize(
        ("text", "version"), [("go1.26.8", (1, 26, 8)), ("1.27", (1, 27)), ("go1.26.0 X:boringcrypto", (1, 26, 0))]
    )
    def test_version(self, text: str, version: tuple[int, ...]) -> None:
        assert parse_version(text) == version

    def test_the_most_demanding_component_decides(self, tmp_path: Path) -> None:
        texts = ["module a\n\ngo 1.26.8\n", "module b\n\ngo 1.9.0\n", "module c\n"]
        assert required_version([write(tmp_path / str(i), text) for i, text in enumerate(texts)]) == (1, 26, 8)


def names_and_types(layer: oci.Blob) -> list[tuple[str, bytes]]:
    with tarfile.open(layer.path) as archive:
        return [(member.name, member.type) for member in archive]


class TestLayer:
    def test_is_the_same_whatever_the_order_and_the_times(self, tmp_path: Path) -> None:
        one, two = write(tmp_path / "1", "one"), write(tmp_path / "2", "two")
        entries = [Entry("usr/bin/one", source=one), Entry("opt/two", 0o644, two), Entry("usr/bin/three", target="one")]
        first = oci.write_layer(entries, tmp_path / "a.tar")
        os.utime(one, (1, 1))
        second = oci.write_layer(entries[::-1], tmp_path / "b.tar")
        assert first.digest == second.digest
        assert first.digest == f"sha256:{hashlib.sha256(first.path.read_bytes()).hexdigest()}"
        assert first.size == first.path.stat().st_size

    def test_has_the_directories_above_and_links_after_what_they_link(self, tmp_path: Path) -> None:
        entries = [Entry("opt/cni/a", same_as="opt/cni/b"), Entry("opt/cni/b", source=b"x"), Entry("tmp", 0o1777)]
        layer = oci.write_layer(entries, tmp_path / "layer.tar")
        assert names_and_types(layer) == [
            ("opt", tarfile.DIRTYPE),
            ("opt/cni", tarfile.DIRTYPE),
            ("opt/cni/b", tarfile.REGTYPE),
            ("tmp", tarfile.DIRTYPE),
            ("opt/cni/a", tarfile.LNKTYPE),
        ]

    def test_keeps_modes_and_owners_and_forgets_times(self, tmp_path: Path) -> None:
        entries = [Entry("status", uid=999), Entry("f", 0o640, b"x")]
        layer = oci.write_layer(entries, tmp_path / "layer.tar")
        with tarfile.open(layer.path) as archive:
            members = {m.name: (m.mode, m.uid, m.gid, m.mtime, m.uname) for m in archive}
        assert members == {"status": (0o755, 999, 999, 0, ""), "f": (0o640, 0, 0, 0, "")}

    def test_of_a_tree_keeps_links_and_leaves_out_what_is_skipped(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        write(root / "usr/bin/a", "a", 0o755)
        os.link(root / "usr/bin/a", root / "usr/bin/b")
        (root / "bin").symlink_to("usr/bin")
        write(root / "dev/null", "")
        layer = oci.write_tree_layer(root, frozenset({"dev"}), tmp_path / "layer.tar")
        assert names_and_types(layer) == [
            ("bin", tarfile.SYMTYPE),
            ("dev", tarfile.DIRTYPE),
            ("usr", tarfile.DIRTYPE),
            ("usr/bin", tarfile.DIRTYPE),
            ("usr/bin/a", tarfile.REGTYPE),
            ("usr/bin/b", tarfile.LNKTYPE),
        ]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    layers = [oci.write_layer([Entry(name, source=name.encode())], tmp_path / f"{name}.tar") for name in ("a", "b")]
    directory = tmp_path / "layout"
    oci.write_layout(directory, "v1", "amd64", layers, RunConfig(("/a",), ("b",), ("X=y",), "999"))
    return directory


class TestLayout:
    def test_every_blob_is_named_by_its_digest_and_described_by_its_size(self, layout: Path) -> None:
        blobs = layout / "blobs" / "sha256"
        for path in blobs.iterdir():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
        index = json.loads((layout / "index.json").read_text())
        manifest_descriptor = index["manifests"][0]
        manifest = self.blob(layout, manifest_descriptor)
        described = [manifest_descriptor, manifest["config"], *manifest["layers"]]
        assert {d["digest"][7:]: d["size"] for d in described} == {p.name: p.stat().st_size for p in blobs.iterdir()}
        assert manifest_descriptor["annotations"] == {"org.opencontainers.image.ref.name": "v1"}

    def test_configuration(self, layout: Path) -> None:
        index = json.loads((layout / "index.json").read_text())
        manifest = self.blob(layout, index["manifests"][0])
        config = self.blob(layout, manifest["config"])
        assert config["config"] == {
            "Env": [oci.SEARCH_PATH, "X=y"],
            "Entrypoint": ["/a"],
            "Cmd": ["b"],
            "User": "999",
        }
        assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
        assert (config["architecture"], config["os"]) == ("amd64", "linux")

    def blob(self, layout: Path, descriptor: dict[str, str]) -> dict:  # type: ignore[type-arg]
        return json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_text())

    def test_registry_storage_leads_from_the_tag_to_every_blob(self, layout: Path, tmp_path: Path) -> None:
        storage = tmp_path / "storage"
        registry.add_layout(storage, "calico/node", "v1", layout)
        root = storage / "docker/registry/v2"
        home = root / "repositories/calico/node"
        manifest_digest = (home / "_manifests/tags/v1/current/link").read_text()
        assert (home / "_manifests/revisions/sha256" / manifest_digest[7:] / "link").read_text() == manifest_digest
        assert (home / "_manifests/tags/v1/index/sha256" / manifest_digest[7:] / "link").read_text() == manifest_digest
        manifest = json.loads(self.data(root, manifest_digest))
        for digest in [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]:
            assert (home / "_layers/sha256" / digest[7:] / "link").read_text() == digest
            assert f"sha256:{hashlib.sha256(self.data(root, digest)).hexdigest()}" == digest

    def data(self, root: Path, digest: str) -> bytes:
        return (root / "blobs/sha256" / digest[7:9] / digest[7:] / "data").read_bytes()

    def test_images_may_share_blobs(self, layout: Path, tmp_path: Path) -> None:
        for repository in ("a", "b"):
            registry.add_layout(tmp_path / "storage", repository, "v1", layout)
        assert {p.name for p in (tmp_path / "storage/docker/registry/v2/repositories").iterdir()} == {"a", "b"}


VERSIONS = {name: component.version for name, component in COMPONENTS.items()}
KUBEADM_1_36_3 = """\
registry.k8s.io/kube-apiserver:v1.36.3
registry.k8s.io/kube-controller-manager:v1.36.3
registry.k8s.io/kube-scheduler:v1.36.3
registry.k8s.io/kube-proxy:v1.36.3
registry.k8s.io/coredns/coredns:v1.14.2
registry.k8s.io/pause:3.10.2
registry.k8s.io/etcd:3.6.8-0
"""


class TestImages:
    def test_kubeadm_gets_what_it_wants(self) -> None:
        images.check_kubeadm_images(KUBEADM_1_36_3, images.images(VERSIONS))

    def test_what_kubeadm_lacks_is_named(self) -> None:
        wanted = KUBEADM_1_36_3.replace("pause:3.10.2", "pause:3.11")
        with pytest.raises(BuildError, match=r"registry\.k8s\.io/pause:3\.11;"):
            images.check_kubeadm_images(wanted, images.images(VERSIONS))

    def test_calico_is_there_in_its_version(self) -> None:
        references = {image.reference for image in images.images(VERSIONS)}
        assert {f"calico/{name}:v3.31.0" for name in ("node", "cni", "kube-controllers")} <= references

    def test_calico_node_is_where_debian_has_its_directories(self, tmp_path: Path) -> None:
        share = tmp_path / "share"
        write(share / "node/filesystem/sbin/start_runit", "#!", 0o755)
        write(share / "node/filesystem/etc/rc.local", "x")
        write(share / "confd/etc/calico/confd/templates/bird_ipam.cfg.template", "a\n  krt_tunnel = 1;\nb\n")
        write(share / "confd/etc/calico/confd/templates/bird.cfg.template", "krt_tunnel\n")
        (calico_node,) = [image for image in images.images(VERSIONS) if image.repository == "calico/node"]
        entries = {e.path: e for e in calico_node.entries(images.Built({"calico": tmp_path}, tmp_path))}
        assert entries["usr/sbin/start_runit"].mode == entries["etc/rc.local"].mode == 0o755
        assert not any(path.startswith(("sbin/", "bin/")) for path in entries)
        assert entries["etc/calico/confd/templates/bird_ipam.cfg.template"].source == b"a\nb\n"
        assert isinstance(entries["etc/calico/confd/templates/bird.cfg.template"].source, Path)
        assert entries["usr/bin/birdcl"].target == "/usr/sbin/birdc"


@pytest.fixture
def built(tmp_path: Path) -> dict[str, Path]:
    """Components whose programs hold their own names."""
    paths = {name: tmp_path / "components" / name for name in mirror.COMPONENTS}
    for name, path in paths.items():
        for program in COMPONENTS[name].binaries:
            write(path / "bin" / program, program, 0o755)
    write(paths["calico"] / "share/manifests/calico.yaml", "kind: List\n")
    write(paths["terway"] / "module.zip", "zip")
    return paths


class TestMirror:
    def tree(self, built: dict[str, Path], path: Path) -> Path:
        path.mkdir()
        mirror.mirror_item(built, VERSIONS, dict.fromkeys(built, "k"), "amd64").make(path)
        return path / "tree"

    def test_has_the_paths_of_the_upstream_urls(self, built: dict[str, Path], tmp_path: Path) -> None:
        tree = self.tree(built, tmp_path / "mirror")
        containerd = "github.com/containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-linux-amd64.tar.gz"
        cni = "github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz"
        runc = "github.com/opencontainers/runc/releases/download/v1.4.3"
        helm = "get.helm.sh/helm-v4.3.1-linux-amd64.tar.gz"
        gvisor = "storage.googleapis.com/gvisor/releases/release/20260905.0/x86_64"
        kubernetes = [f"dl.k8s.io/v1.36.3/bin/linux/amd64/{name}" for name in ("kubeadm", "kubectl", "kubelet")]
        assert {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()} == {
            *kubernetes,
            *(f"{path}.sha256" for path in kubernetes),
            *(
                containerd,
                f"{containerd}.sha256sum",
                cni,
                f"{cni}.sha256",
                f"{runc}/runc.amd64",
                f"{runc}/runc.sha256sum",
                helm,
                f"{helm}.sha256sum",
                *(f"{gvisor}/{name}{end}" for name in ("runsc", "containerd-shim-runsc-v1") for end in ("", ".sha512")),
            ),
            "proxy.golang.org/github.com/!aliyun!container!service/terway/@v/v1.17.5.zip",
            "raw.githubusercontent.com/projectcalico/calico/v3.31.0/manifests/calico.yaml",
        }

    def test_checksums_are_those_of_the_files(self, built: dict[str, Path], tmp_path: Path) -> None:
        tree = self.tree(built, tmp_path / "mirror")
        kubelet = tree / "dl.k8s.io/v1.36.3/bin/linux/amd64/kubelet"
        assert (kubelet.parent / "kubelet.sha256").read_text() == hashlib.sha256(b"kubelet").hexdigest()
        (runsc,) = tree.rglob("runsc.sha512")
        assert runsc.read_text() == f"{hashlib.sha512(b'runsc').hexdigest()}  runsc\n"
        runc = tree / "github.com/opencontainers/runc/releases/download/v1.4.3/runc.sha256sum"
        assert f"{hashlib.sha256(b'runc').hexdigest()}  runc.amd64" in runc.read_text().splitlines()
        (archive,) = tree.rglob("*.tgz")
        expected = f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n"
        assert archive.with_name(f"{archive.name}.sha256").read_text() == expected

    def test_archives_are_as_upstream_packs_them(self, built: dict[str, Path], tmp_path: Path) -> None:
        tree = self.tree(built, tmp_path / "mirror")
        (containerd,) = tree.rglob("containerd-*.tar.gz")
        with tarfile.open(containerd) as archive:
            assert archive.getnames() == ["bin", "bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr"]
            assert archive.getmember("bin/ctr").mode == 0o755
            member = archive.extractfile("bin/ctr")
            assert member is not None
            assert member.read() == b"ctr"
        (cni,) = tree.rglob("cni-plugins-*.tgz")
        with tarfile.open(cni) as archive:
            assert archive.getnames()[:3] == [".", "./bandwidth", "./bridge"]

    def test_is_the_same_when_made_again(self, built: dict[str, Path], tmp_path: Path) -> None:
        one, two = (self.tree(built, tmp_path / name) for name in ("one", "two"))
        for path in (path for path in one.rglob("*") if path.is_file()):
            assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
        for archive in one.rglob("*.*gz"):
            assert archive.read_bytes()[4:8] == bytes(4), "gzip's time stamp"


DEBIAN = """\
# a comment
Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.test/debian
Suites: trixie
Components: main

Enabled: no
Types: deb
URIs: http://mirror.test/disabled
Suites: bookworm
Components: main
"""


SIGNED = "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian"
ONE_LINE = "deb [arch=amd64 signed-by=/k.gpg] https://m.test/security bookworm-security main"
INLINE_KEY = "Types: deb\nURIs: http://m.test\nSuites: bookworm\nComponents: main\nSigned-By:\n key\n"
WITH_SOURCES = "deb http://m.test bookworm main # why\ndeb-src http://m.test bookworm main\n"
OTHER_VENDORS = "deb https://vendor.test/apt cloud-sdk-bookworm main\ndeb\ndeb http://x\n"
NO_SUITE = "Types: deb\nURIs: https://vendor.test\nSuites: nodistro\nComponents: main\n"


class TestMachine:
    @pytest.mark.parametrize(
        ("name", "text", "expected"),
        [
            ("a.sources", DEBIAN, [f"{SIGNED} bookworm main contrib", f"{SIGNED} bookworm-updates main contrib"]),
            ("a.sources", INLINE_KEY, ["deb http://m.test bookworm main"]),
            ("a.sources", NO_SUITE, []),
            ("a.list", WITH_SOURCES, ["deb http://m.test bookworm main"]),
            ("a.list", ONE_LINE, [ONE_LINE]),
            ("a.list", OTHER_VENDORS, []),
        ],
    )
    def test_only_the_distribution_s_own_sources(self, name: str, text: str, expected: list[str]) -> None:
        assert machine.debian_sources({name: text}, "bookworm") == expected

    def test_not_installed(self) -> None:
        listing = "gcc installed\nskopeo config-files\nlibc6-dev installed\n"
        assert machine.not_installed(("gcc", "skopeo", "mmdebstrap"), listing) == ["skopeo", "mmdebstrap"]

    def test_mmdebstrap_uses_the_machine_s_sources(self) -> None:
        sources = ["deb http://mirror.test/debian bookworm main"]
        command = rootfs.mmdebstrap_command(rootfs.SWITCH, "bookworm", sources, Path("/out/root"))
        assert command[-3:] == ["bookworm", "/out/root", *sources]
        assert "frr" in next(word for word in command if word.startswith("--include=")).split(",")
        assert f"--customize-hook={rootfs.ENABLE_BGPD}" in command
