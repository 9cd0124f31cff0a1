"""A machine's disk: an overlay on a root file system that all share, with what an installer would have written."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.lab.files import write_atomically
from tests.lab.identity import machine_id_of
from tests.lab.topology import Machine, Topology
from tests.lab.underlay import frr_configuration, gateway_configuration

# overlayfs cannot stack on the overlay that is the root, and the kubelet and etcd write much.
DATA_DIRECTORIES = ("/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd")

MACHINE_UNIT = "lab-machine.service"
MACHINE_UNIT_TEXT = """\
[Unit]
Description=What a machine has and a container lacks
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-machine

[Install]
WantedBy=sysinit.target
"""
MACHINE_SCRIPT = """\
#!/bin/sh
# Writable control groups, a BPF file system, shared mounts: as on a machine that is no container.
set -eu
awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts | while read -r target; do
  mount -o remount,rw,bind "$target"
done
mkdir -p /sys/fs/bpf
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
mount --make-rshared /
"""
# Every machine would store the kernel log of all.
JOURNAL_SETTINGS = "[Journal]\nReadKMsg=no\nRuntimeMaxUse=16M\nSystemMaxUse=64M\n"
# They look at disks that no container has, or fetch packages.
MASKED_UNITS = (
    "e2scrub_reap.service",
    "e2scrub_all.timer",
    "fstrim.timer",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
)


@dataclass(frozen=True)
class File:
    """A file, or a symbolic link to `link`."""

    path: str
    text: str = ""
    mode: int = 0o644
    owner: str = "root"
    link: str | None = None


@dataclass(frozen=True)
class Credentials:
    """What ssh needs on a machine: who may log in, and the machine's own key."""

    authorized: str
    host_key: str
    host_key_public: str


def files_of(machine: Machine, topology: Topology, credentials: Credentials, lab_id: str) -> list[File]:
    """What the installer writes on a machine's new disk. Pure."""
    unit = f"/etc/systemd/system/{MACHINE_UNIT}"
    files = [
        File("/etc/hostname", f"{machine.name}\n"),
        File("/etc/hosts", _hosts_file(machine.name, machine.address)),
        File("/etc/resolv.conf", f"nameserver {topology.mirror.address}\noptions timeout:1 attempts:2\n"),
        File("/etc/machine-id", f"{machine_id_of(lab_id, machine.name)}\n", 0o444),
        File("/root/.ssh/authorized_keys", f"{credentials.authorized}\n", 0o600),
        File("/etc/ssh/ssh_host_ed25519_key", credentials.host_key, 0o600),
        File("/etc/ssh/ssh_host_ed25519_key.pub", f"{credentials.host_key_public}\n"),
        File(
            "/etc/ssh/sshd_config.d/lab.conf",
            "HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\nUseDNS no\n",
        ),
        File("/etc/systemd/journald.conf.d/lab.conf", JOURNAL_SETTINGS),
        File("/usr/local/sbin/lab-machine", MACHINE_SCRIPT, 0o755),
        File(unit, MACHINE_UNIT_TEXT),
        File(f"/etc/systemd/system/sysinit.target.wants/{MACHINE_UNIT}", link=unit),
        *(File(f"/etc/systemd/system/{masked}", link="/dev/null") for masked in MASKED_UNITS),
    ]
    if machine.kind == "switch":
        files += [
            File("/etc/frr/frr.conf", frr_configuration(topology, machine.name), 0o640, "frr"),
            File("/etc/keepalived/keepalived.conf", gateway_configuration(topology, machine.name)),
            File("/etc/default/keepalived", "DAEMON_ARGS=--vrrp\n"),
            # It lets go of a gateway before the routes are gone, and takes one when routes can be there.
            File("/etc/systemd/system/keepalived.service.d/lab.conf", "[Unit]\nAfter=frr.service\n"),
        ]
    return files


def _hosts_file(name: str, address: IPv4Address) -> str:
    return f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{address} {name}\n"


@dataclass(frozen=True)
class Disk:
    """The overlay of one machine below `root`, on the read-only root file system `image`."""

    root: Path
    image: Path
    data: tuple[str, ...]

    @property
    def upper(self) -> Path:
        return self.root / "upper"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def mountpoint(self) -> Path:
        return self.root / "root"

    @property
    def _installed(self) -> Path:
        return self.root / "installed"

    def bindings(self) -> list[tuple[Path, str]]:
        """Directories beside the overlay, and where the machine sees them."""
        return [(self.root / "data" / Path(target).name, target) for target in self.data]

    def mount_options(self) -> str:
        return f"lowerdir={self.image},upperdir={self.upper},workdir={self.work}"

    def install(self, files: Iterable[File]) -> bool:
        """Make the disk, unless it was made of the same things. Whether an older one had to give way."""
        files = list(files)
        fingerprint = hashlib.sha256(repr((str(self.image), self.data, files)).encode()).hexdigest()
        if self._installed.exists() and self._installed.read_text() == fingerprint:
            return False
        replaced = self._installed.exists()
        self.remove()
        for directory in (self.upper, self.work, self.mountpoint, *(source for source, _unused in self.bindings())):
            directory.mkdir(parents=True)
        shutil.copystat(self.image, self.upper)
        for file in files:
            self._write(file)
        write_atomically(self._installed, fingerprint)
        return replaced

    def remove(self) -> None:
        self._installed.unlink(missing_ok=True)
        for directory in (self.upper, self.work, self.mountpoint, self.root / "data"):
            if directory.exists():
                shutil.rmtree(directory)

    def _write(self, file: File) -> None:
        target = self.upper / file.path.lstrip("/")
        self._make_directories(target.parent)
        if file.link is not None:
            target.symlink_to(file.link)
            return
        target.write_text(file.text)
        target.chmod(file.mode)
        if file.owner != "root":
            os.chown(target, *self._ids_of(file.owner))

    def _make_directories(self, directory: Path) -> None:
        """A directory of the overlay hides the mode and owner of the image's: it gets the same."""
        if directory.exists():
            return
        self._make_directories(directory.parent)
        directory.mkdir()
        original = self.image / directory.relative_to(self.upper)
        if original.exists():
            shutil.copystat(original, directory)
            os.chown(directory, original.stat().st_uid, original.stat().st_gid)
        elif directory.name == ".ssh":
            directory.chmod(0o700)

    def _ids_of(self, owner: str) -> tuple[int, int]:
        for line in (self.image / "etc/passwd").read_text().splitlines():
            entry = pwd.struct_passwd((line.split(":") + [""] * 7)[:7])
            if entry.pw_name == owner:
                return int(entry.pw_uid), int(entry.pw_gid)
        raise KeyError(f"{owner} is not in {self.image}/etc/passwd")
