"""The images of the lab: what is in each, where, and what it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.build import oci
from tests.lab.build.oci import Blob, Entry, RunConfig
from tests.lab.build.store import BuildError, Item, key_of

# What kubeadm's default image list wants, whatever version is inside: `kubeadm config images list`.
ETCD_TAG = "3.6.8-0"
COREDNS_TAG = "v1.14.2"
PAUSE_TAG = "3.10.2"
# What the simulated cloud wants run.
ACK_AGENT_TAG = "v1.13.1.105"

# Not part of an image: a container's runtime fills them, or nobody reads them.
SKIPPED_IN_BASE = frozenset({"dev", "proc", "sys", "run", "tmp", "var/cache/apt", "var/lib/apt/lists", "var/log"})

CALICO_CNI_PLUGINS = ("bandwidth", "host-local", "loopback", "portmap", "tuning")


@dataclass(frozen=True)
class Built:
    """Directories that images are filled from: the built components by name, and the image base's root."""

    components: Mapping[str, Path]
    base_root: Path

    def program(self, component: str, name: str) -> Path:
        return self.components[component] / "bin" / name

    def shared(self, component: str, path: str) -> Path:
        return self.components[component] / "share" / path


@dataclass(frozen=True)
class Image:
    """An image `repository:tag`: one layer of `entries`, on the Debian base layer if `on_base`."""

    repository: str
    tag: str
    components: tuple[str, ...]
    entries: Callable[[Built], list[Entry]]
    run: RunConfig
    on_base: bool = False

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"


def images(versions: Mapping[str, str]) -> tuple[Image, ...]:
    """Every image of the lab, given the components' versions."""
    kubernetes, calico = f"v{versions['kubernetes']}", f"v{versions['calico']}"
    return (
        *(
            _kubernetes_image(name, kubernetes)
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        ),
        _kubernetes_image("kube-proxy", kubernetes, on_base=True),
        Image(
            "etcd", ETCD_TAG, ("etcd",), _programs("etcd", "usr/local/bin", "etcd", "etcdctl", "etcdutl"), RunConfig()
        ),
        Image(
            "coredns/coredns", COREDNS_TAG, ("coredns",), _programs("coredns", "", "coredns"), RunConfig(("/coredns",))
        ),
        Image("pause", PAUSE_TAG, (), _pause, RunConfig(("/pause", "-P"), user="65535:65535")),
        Image("calico/node", calico, ("calico",), _calico_node, CALICO_NODE_RUN, on_base=True),
        Image(
            "calico/cni", calico, ("calico", "cni-plugins"), _calico_cni, RunConfig(command=("/opt/cni/bin/install",))
        ),
        Image("calico/kube-controllers", calico, ("calico",), _calico_kube_controllers, CALICO_KUBE_CONTROLLERS_RUN),
        Image("acs/terway", f"v{versions['terway']}", ("terway",), _terway, TERWAY_RUN, on_base=True),
        Image(
            "acs/ack-cluster-agent",
            ACK_AGENT_TAG,
            ("ack-agent",),
            _programs("ack-agent", "", "ack-agent"),
            RunConfig(("/ack-agent",), user="65532:65532"),
        ),
        Image(
            "estate-lab/web",
            versions["web"],
            ("web",),
            _programs("web", "", "web"),
            RunConfig(("/web",), user="65532:65532"),
        ),
    )


CALICO_NODE_RUN = RunConfig(
    command=("start_runit",),
    environment=(
        "SVDIR=/etc/service/enabled",
        # Without cgo there is no libbpf, and Felix's clean-up of old eBPF programs panics.
        "FELIX_DebugSkipCTLBCleanup=true",
    ),
)
TERWAY_RUN = RunConfig(("/usr/bin/terwayd",))
CALICO_KUBE_CONTROLLERS_RUN = RunConfig(("/usr/bin/wrapper", "/usr/bin/kube-controllers"), user="999")


def _programs(component: str, directory: str, *names: str) -> Callable[[Built], list[Entry]]:
    def entries(built: Built) -> list[Entry]:
        return [Entry(f"{directory}/{name}".lstrip("/"), source=built.program(component, name)) for name in names]

    return entries


def _kubernetes_image(name: str, tag: str, *, on_base: bool = False) -> Image:
    entries = _programs("kubernetes", "usr/local/bin", name)
    return Image(name, tag, ("kubernetes",), entries, RunConfig((f"/usr/local/bin/{name}",)), on_base)


def _pause(built: Built) -> list[Entry]:
    return [Entry("pause", source=built.base_root / "usr/bin/catatonit")]


def _calico_node(built: Built) -> list[Entry]:
    return [
        Entry("usr/bin/calico-node", source=built.program("calico", "calico-node")),
        Entry("usr/bin/mountns", source=built.program("calico", "mountns")),
        # The liveness probe runs /bin/birdcl, Calico's name for it; without it the pod is killed every few minutes.
        Entry("usr/bin/birdcl", target="/usr/sbin/birdc"),
        Entry("usr/bin/birdcl6", target="/usr/sbin/birdc6"),
        *_tree(built.shared("calico", "node/filesystem/etc"), "etc"),
        # The module cache drops the executable bit, and rc.local has no interpreter line to know it by.
        Entry("etc/rc.local", source=built.shared("calico", "node/filesystem/etc/rc.local")),
        *_tree(built.shared("calico", "node/filesystem/sbin"), "usr/sbin"),
        *(_without_tunnels(entry) for entry in _tree(built.shared("calico", "confd/etc"), "etc")),
    ]


def _tree(source: Path, prefix: str) -> list[Entry]:
    files = (path for path in sorted(source.rglob("*")) if path.is_file())
    return [Entry(f"{prefix}/{path.relative_to(source)}", path.stat().st_mode & 0o777, path) for path in files]


def _without_tunnels(entry: Entry) -> Entry:
    """Debian's BIRD does not know `krt_tunnel`, Calico's own addition for IPIP (which this lab cannot do anyway)."""
    if not entry.path.endswith("/bird_ipam.cfg.template"):
        return entry
    assert isinstance(entry.source, Path)
    kept = [line for line in entry.source.read_bytes().splitlines(keepends=True) if b"krt_tunnel" not in line]
    return Entry(entry.path, entry.mode, b"".join(kept))


def _calico_cni(built: Built) -> list[Entry]:
    directory = "opt/cni/bin"
    return [
        Entry(f"{directory}/calico", source=built.program("calico", "calico")),
        Entry(f"{directory}/calico-ipam", same_as=f"{directory}/calico"),
        Entry(f"{directory}/install", source=built.program("calico", "install")),
        *(Entry(f"{directory}/{name}", source=built.program("cni-plugins", name)) for name in CALICO_CNI_PLUGINS),
    ]


def _calico_kube_controllers(built: Built) -> list[Entry]:
    programs = _programs("calico", "usr/bin", "kube-controllers", "check-status", "wrapper")(built)
    return [*programs, Entry("status", uid=999), Entry("profiles", uid=999)]


def _terway(built: Built) -> list[Entry]:
    return [
        *_programs("terway", "usr/bin", "terway", "terwayd", "terway-cli")(built),
        Entry("usr/bin/init.sh", source=built.shared("terway", "hack/init.sh")),
        *(
            Entry(f"usr/bin/{name}", source=built.shared("terway", f"policy/{name}"))
            for name in ("policyinit.sh", "uninstall_policy.sh")
        ),
        # init.sh copies it to the host; nothing runs it where pods are on veths.
        Entry("usr/bin/cilium-cni", source=b"#!/bin/sh\nexit 1\n"),
    ]


def base_layer_item(root: Path, rootfs_key: str) -> Item:
    """The Debian base layer: `layer.tar` and its digest."""

    def make(path: Path) -> None:
        blob = oci.write_tree_layer(root, SKIPPED_IN_BASE, path / "layer.tar")
        (path / "blob.json").write_text(json.dumps({"digest": blob.digest, "size": blob.size}))

    return Item("layers", "base", key_of(_source(), rootfs_key), make)


def read_layer(path: Path) -> Blob:
    return Blob(path / "layer.tar", **json.loads((path / "blob.json").read_text()))


def image_item(
    image: Image, built: Built, keys: Mapping[str, str], base_key: str, base: Path, architecture: str
) -> Item:
    """The store's item of an image: an OCI layout. `keys` are the components' keys, `base` the base layer's item."""

    def make(path: Path) -> None:
        layer_path = path / "layer.tar"
        layer = oci.write_layer([Entry("tmp", 0o1777), *image.entries(built)], layer_path)
        layers = [read_layer(base), layer] if image.on_base else [layer]
        oci.write_layout(path, image.tag, architecture, layers, image.run)
        layer_path.unlink()

    name = image.reference.replace("/", "-").replace(":", "-")
    return Item(
        "images", name, key_of(_source(), [keys[name] for name in image.components], base_key, image.reference), make
    )


def _source() -> str:
    """Images take seconds to make: they are made again whenever the code that makes them changes."""
    return Path(__file__).read_text() + Path(oci.__file__).read_text()


def check_kubeadm_images(wanted: str, served: tuple[Image, ...]) -> None:
    """BuildError if `kubeadm config images list` names an image that is not served (its registry aside)."""
    references = {image.reference for image in served}
    absent = [line for line in wanted.split() if line.partition("/")[2] not in references]
    if absent:
        raise BuildError(
            f"kubeadm wants images that the lab does not make: {', '.join(absent)}; see tests/lab/build/images.py"
        )
