"""Root file systems, made by mmdebstrap from the machine's own apt sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.build.machine import machine_sources
from tests.lab.build.process import run_logged
from tests.lab.build.store import Item, Store, key_of

RECIPE = 1

HOST_PACKAGES = (
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "e2fsprogs",
    "ethtool",
    "haproxy",
    "iproute2",
    "ipset",
    "iptables",
    "iputils-ping",
    "kmod",
    "lxcfs",
    "netbase",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "socat",
    "systemd",
    "systemd-sysv",
)
SWITCH_PACKAGES = (*HOST_PACKAGES, "frr", "frr-pythontools", "keepalived")
IMAGE_BASE_PACKAGES = (
    "bird",
    "bpftool",
    "ca-certificates",
    "catatonit",
    "conntrack",
    "iproute2",
    "ipset",
    "iptables",
    "jq",
    "kmod",
    "mount",
    "nftables",
    "procps",
    "runit",
)

# Jobs that a laboratory host only wastes processor time on.
MASK_HOUSEKEEPING = (
    'systemctl --root="$1" mask '
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer"
)
# mmdebstrap copies these two from the machine.
FORGET_MACHINE = 'rm -f "$1/etc/hostname" "$1/etc/resolv.conf"'
# Debian starts it with a configuration that has no listener, which fails.
DISABLE_HAPROXY = 'systemctl --root="$1" disable haproxy.service'
ENABLE_BGPD = 'sed -i "s/^bgpd=no/bgpd=yes/" "$1/etc/frr/daemons"'

# mmdebstrap starts Python once a package: not through somebody's wrapper of it.
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"

WITHOUT_DOCUMENTATION = (
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/lintian/*",
)


@dataclass(frozen=True)
class RootFs:
    name: str
    variant: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = (FORGET_MACHINE,)


HOST = RootFs("host", "minbase", HOST_PACKAGES, (FORGET_MACHINE, MASK_HOUSEKEEPING, DISABLE_HAPROXY))
SWITCH = RootFs("switch", "minbase", SWITCH_PACKAGES, (*HOST.hooks, ENABLE_BGPD))
IMAGE_BASE = RootFs("image-base", "essential", IMAGE_BASE_PACKAGES)
ROOT_FILE_SYSTEMS = (HOST, SWITCH, IMAGE_BASE)


def rootfs_item(rootfs: RootFs, codename: str, store: Store) -> Item:
    """The store's item of a root file system: its `root` directory is the file system."""
    key = key_of(RECIPE, codename, rootfs.variant, rootfs.packages, rootfs.hooks, WITHOUT_DOCUMENTATION)
    return Item("rootfs", rootfs.name, key, _maker(rootfs, store))


def _maker(rootfs: RootFs, store: Store) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        codename, sources = machine_sources()
        root = path / "root"
        command = mmdebstrap_command(rootfs, codename, sources, root)
        run_logged(command, store.log("rootfs", rootfs.name), env={"PATH": SYSTEM_PATH})

    return make


def mmdebstrap_command(rootfs: RootFs, codename: str, sources: list[str], root: Path) -> list[str]:
    return [
        "mmdebstrap",
        "--mode=root",
        "--format=directory",
        f"--variant={rootfs.variant}",
        f"--include={','.join(rootfs.packages)}",
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt={option}" for option in WITHOUT_DOCUMENTATION),
        *(f"--customize-hook={hook}" for hook in rootfs.hooks),
        codename,
        str(root),
        *sources,
    ]
