"""Real FRR routers in namespaces of their own, out of the root file system that the switches of the lab have.

    with Fabric(directory) as fabric:
        tor = fabric.router("tor1", "10.20.1.1", configuration)
        cp1 = fabric.router("cp1", "10.20.1.11", configuration)
        tor.show("bgp summary json")

All routers are on one segment, 10.20.1.0/24. They end with the test process, however that ends.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.integration.control_plane import die_with_parent
from tests.lab.build.api import Plan
from tests.lab.build.store import Store, cache_root, to_stderr

START_SECONDS = 60.0
UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private")

# Arguments: the root file system, a directory for the overlay, the directory that both sides see at the same path.
BOOT = """\
set -eu
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mkdir -p "$2/root$3"
mount --bind "$3" "$2/root$3"
mount --bind "$3/etc" "$2/root/etc/frr"
mount -t proc proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
ip link set lo up
chown frr:frr "$2/root/etc/frr" "$2/root/etc/frr/frr.conf" 2>/dev/null || chroot "$2/root" chown -R frr:frr /etc/frr
chroot "$2/root" install -d -o frr -g frr /run/frr
chroot "$2/root" sh -c "$4"
touch "$3/booted"
# It also takes note of daemons that end.
while :; do sleep 3600; done
"""
START = "/usr/lib/frr/zebra -d && /usr/lib/frr/bgpd -d && /usr/bin/vtysh -b"
STOP = """\
for name in bgpd zebra; do
  pid=$(cat /run/frr/$name.pid)
  kill "$pid"
  while kill -0 "$pid"; do sleep 0.1; done
done
"""


class Router:
    """One router: zebra, bgpd and vtysh. `bin` has a vtysh for a PATH, `configuration` is the file that it reads."""

    def __init__(self, image: Path, directory: Path, name: str, configuration: str) -> None:
        self.name = name
        self.bin = directory / "bin"
        self.configuration = directory / "etc" / "frr.conf"
        self.log = directory / "log"
        self.directory = directory
        for each in ("bin", "etc", "disk"):
            (directory / each).mkdir(parents=True)
        self.configuration.write_text(configuration)
        (directory / "etc" / "vtysh.conf").touch()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*UNSHARE, "sh", "-c", BOOT, "boot", str(image), str(directory / "disk"), str(directory), START],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent,
            )
        self._wait_until_booted()
        self.pid = int(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text())
        namespaces = ("nsenter", f"--target={self.pid}", "--mount", "--pid", "--net")
        self._enter = (*namespaces, "chroot", str(directory / "disk" / "root"))
        wrapper = self.bin / "vtysh"
        wrapper.write_text(f'#!/bin/sh\nexec {" ".join(self._enter)} /usr/bin/vtysh "$@"\n')
        wrapper.chmod(0o755)

    def _wait_until_booted(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not (self.directory / "booted").exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not start: {self.log.read_text()}")
            time.sleep(0.05)

    def vtysh(self, *commands: str) -> str:
        """What commands print, one after the other in one session."""
        arguments = [argument for command in commands for argument in ("-c", command)]
        run = subprocess.run([self.bin / "vtysh", *arguments], capture_output=True, text=True, check=False)
        assert run.returncode == 0, (commands, run.stdout, run.stderr)
        return run.stdout

    def configure(self, *lines: str) -> None:
        """What a person at the switch would type."""
        self.vtysh("configure terminal", *lines)

    def running(self) -> str:
        return self.vtysh("show running-config")

    def inside(self, *command: str) -> None:
        """Run a command of this machine in the router's network."""
        subprocess.run(["nsenter", f"--target={self.pid}", "--net", *command], check=True)

    def restart(self) -> None:
        """The daemons end and begin again with what the file says."""
        run = subprocess.run([*self._enter, "sh", "-c", STOP + START], capture_output=True, text=True, check=False)
        assert run.returncode == 0, (run.stdout, run.stderr)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Fabric:
    """Routers on one segment; the first one has the bridge that the others are plugged into."""

    def __init__(self, directory: Path) -> None:
        (path,) = Plan(Store(cache_root(), to_stderr)).ensure_named(["rootfs/switch"])
        self._image = path / "root"
        self._directory = directory
        self._routers: list[Router] = []

    def __enter__(self) -> Fabric:
        return self

    def __exit__(self, *_exception: object) -> None:
        for router in self._routers:
            router.stop()

    def router(self, name: str, address: str, configuration: str) -> Router:
        """Start another router and plug it in."""
        router = Router(self._image, self._directory / name, name, configuration)
        self._routers.append(router)
        first = self._routers[0]
        if router is first:
            router.inside("ip", "link", "add", "segment", "type", "bridge")
            port = "segment"
        else:
            port = "eth0"
            cable = ["ip", "link", "add", name, "type", "veth", "peer", "name", port, "netns", str(router.pid)]
            first.inside(*cable)
            first.inside("ip", "link", "set", name, "master", "segment", "up")
        router.inside("ip", "address", "add", f"{address}/24", "dev", port)
        router.inside("ip", "link", "set", port, "up")
        return router
