"""One machine of the lab, host or switch: a systemd in a container of its own. Its power, its cables, what it does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.lab import cgroups, network
from tests.lab.disk import DATA_DIRECTORIES, Credentials, Disk, files_of
from tests.lab.identity import Identity
from tests.lab.keys import host_key, login_key, public
from tests.lab.process import PROC, kill, kill_all, listens, start, wait_until
from tests.lab.state import State
from tests.lab.topology import Machine, Topology

SSH_PORT = 22
# What a systemd shuts itself down for.
POWER_OFF = signal.SIGRTMIN + 3
POWER_CUT_WITHIN_SECONDS = 10.0
DEVICES = ("/dev/kmsg", "/dev/fuse")
SYSTEM_CALLS = "@keyring bpf perf_event_open @mount @module @raw-io @known"

# Arguments: control groups to enter, "--", the overlay's options and mount point, the network namespace, the command.
# The mount is in a namespace of its own: it goes away with the machine, however that ends. A machine that reboots by
# itself ends with status 133; the network namespace outlives that, without the packet filter.
LAUNCH = """\
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done
shift
exec unshare --mount --propagation slave -- sh -c '
  mount -t overlay overlay -o "$1" "$2" || exit 1
  network=$3
  shift 3
  while "$@"; [ $? = 133 ]; do nsenter --net="$network" nft flush ruleset; done' sh "$@"
"""

PowerState = Literal["off", "booting", "running", "cut"]


@dataclass(frozen=True)
class Observation:
    """What a machine is doing. `pid` is its PID 1 as the machine sees it."""

    state: PowerState
    pid: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Host:
    """A machine of a lab."""

    identity: Identity
    state: State
    bases: Sequence[Path]
    machine: Machine

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def namespace(self) -> str:
        return self.identity.host_namespace(self.name)

    @property
    def directory(self) -> Path:
        return self.state.host(self.name)

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def has_disk(self) -> bool:
        return (self.directory / "installed").exists()

    def pids(self) -> list[int]:
        return cgroups.pids(self.bases, self.name)

    def leader(self, pids: Sequence[int]) -> int | None:
        """The machine's PID 1: it is 1 in the one process namespace below ours; containers on it are further down."""
        for pid in pids:
            with contextlib.suppress(OSError):
                for line in (PROC / str(pid) / "status").read_text().splitlines():
                    if line.startswith("NSpid:") and line.split()[2:] == ["1"]:
                        return pid
        return None

    def observe(self, ports: dict[str, bool]) -> Observation:
        """`ports` are the devices of the lab's namespace and whether each is on."""
        pids = self.pids()
        if not pids:
            return Observation("off")
        leader, used = self.leader(pids), cgroups.memory(self.bases, self.name)
        if leader is None or not listens(leader, SSH_PORT):
            return Observation("booting", leader, used)
        cabled = all(ports.get(port, False) for port in network.ports_of(self.name, self.machine.attachment))
        return Observation("running" if cabled else "cut", leader, used)

    def boot(self, image: Path, topology: Topology) -> tuple[subprocess.Popen[bytes], bool]:
        """Switch a machine that is off on. The process that runs it, and whether it had to get a new disk."""
        disk = Disk(self.directory, image, DATA_DIRECTORIES if self.machine.kind == "host" else ())
        fresh = disk.install(files_of(self.machine, topology, self._credentials(), self.identity.id))
        self.clear()
        network.attach(self.identity, self.name, self.machine.attachment, self.namespace)
        groups = cgroups.make(self.bases, self.name)
        environment = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"}
        if cgroups.has_v1():
            environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "0"
        place: list[str | Path] = [disk.mount_options(), disk.mountpoint, network.path_of(self.namespace)]
        command = ["sh", "-c", LAUNCH, "lab-machine", *groups, "--", *place, *self._container(disk)]
        return start(command, self.console, environment), fresh

    def _credentials(self) -> Credentials:
        private = host_key(self.state, self.machine)
        return Credentials(public(login_key(self.state)), private.read_text(), public(private))

    def _container(self, disk: Disk) -> list[str | Path]:
        # Entered before nspawn starts, so that /sys too shows the machine's own network devices.
        namespace = network.path_of(self.namespace)
        bindings = [f"--bind={source}:{target}" for source, target in disk.bindings()]
        devices = [f"--bind={device}" for device in DEVICES if Path(device).exists()]
        return [
            *("nsenter", f"--net={namespace}", "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"),
            f"--directory={disk.mountpoint}",
            f"--network-namespace-path={namespace}",
            f"--machine={self.identity.container(self.name)}",
            f"--hostname={self.name}",
            *("--resolv-conf=off", "--timezone=off", "--console=pipe"),
            *("--capability=all", f"--system-call-filter={SYSTEM_CALLS}"),
            *bindings,
            *devices,
        ]

    def kill(self) -> None:
        """Cut the power: PID 1 and with it everything ends at once. The disk stays."""
        leader = self.leader(self.pids())
        if leader is not None:
            kill(leader)
            wait_until(lambda: not self.pids(), POWER_CUT_WITHIN_SECONDS)
        kill_all(self.pids, self.name)
        self.clear()

    def shut_down(self, seconds: float) -> None:
        """Ask the machine to switch itself off; one that is still on after so many seconds is left as it is."""
        leader = self.leader(self.pids())
        if leader is not None:
            os.kill(leader, POWER_OFF)
            wait_until(lambda: not self.pids(), seconds)

    def clear(self) -> None:
        """Remove what a machine that is off left behind."""
        network.detach(self.identity, self.name, self.machine.attachment, self.namespace)
        cgroups.remove(self.bases, self.name)

    def repair_network(self, ports: dict[str, bool]) -> bool:
        """Put back cables that a running machine lost. False when its namespace is gone: it needs a power cycle."""
        if not network.namespace_exists(self.namespace):
            return False
        if not set(network.ports_of(self.name, self.machine.attachment)) <= set(ports):
            network.attach(self.identity, self.name, self.machine.attachment, self.namespace)
        return True

    def remove(self) -> None:
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def console_tail(self, lines: int = 15) -> str:
        try:
            return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def is_switched_on(process: subprocess.Popen[bytes]) -> bool:
    """Whether a machine's process still runs; also takes note of its end, so that it does not linger."""
    return process.poll() is None and os.path.exists(PROC / str(process.pid))
