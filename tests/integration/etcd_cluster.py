"""A real etcd cluster with TLS, each member as kubeadm would have it on a control plane of its own.

    with EtcdCluster(directory, "cp1", "cp2", "cp3") as cluster:
        cluster.host("cp2")       # the Host that modules see there: PKI and static pod manifest in a directory
        cluster.kill("cp1")

Members listen on addresses of loopback and on etcd's usual ports, which kubeadm does not let one choose either.
"""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from types import TracebackType

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_etcd import MANIFEST, Gateway
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host

from tests.integration.control_plane import Authority, die_with_parent
from tests.lab.build import ensure_component

START_SECONDS = 30.0
_PKI = "etc/kubernetes/pki"


class EtcdCluster:
    """Members by name, as child processes that end with the test."""

    def __init__(self, directory: Path, *names: str) -> None:
        self._directory = directory
        self._authority = Authority("etcd-ca")
        network = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self.addresses = {name: f"{network}.{number}" for number, name in enumerate(names, start=1)}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> EtcdCluster:
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the members that run."""
        for name in list(self._children):
            self.kill(name)

    def host(self, name: str) -> Host:
        """What a module that runs on this control plane sees."""
        return Host(root=self._directory / name)

    def url(self, name: str) -> str:
        """Where clients reach a member."""
        return f"https://{self.addresses[name]}:2379"

    def serves(self, name: str) -> bool:
        """Whether the member answers and has a leader."""
        return Gateway(self.host(name)).serves([self.url(name)])

    def listed(self, asked: str) -> set[str]:
        """The names of the members, as one of them has it; its address for one that never started."""
        members = Gateway(self.host(asked)).members([self.url(asked)]) or []
        return {str(member.get("name") or member["peerURLs"][0]) for member in members}

    def kill(self, name: str) -> None:
        """Cut a member's power."""
        child = self._children.pop(name)
        child.kill()
        child.wait()

    def start(self, name: str) -> None:
        """Start a member, with the data it had."""
        with (self._directory / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                [str(ensure_component("etcd") / "bin" / "etcd"), *self._flags(name)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )

    def _start_all(self) -> None:
        for name in self.addresses:
            self._write(name)
            self.start(name)
        deadline = time.monotonic() + START_SECONDS
        while not all(map(self.serves, self.addresses)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"etcd does not start; see the logs in {self._directory}")
            time.sleep(0.1)

    def _flags(self, name: str) -> list[str]:
        root = self._directory / name
        peer = f"https://{self.addresses[name]}:2380"
        everyone = ",".join(f"{each}=https://{address}:2380" for each, address in self.addresses.items())
        ca = root / _PKI / "etcd" / "ca.crt"
        tls = [f"cert-file={root / 'server.crt'}", f"key-file={root / 'server.key'}", f"trusted-ca-file={ca}"]
        return [
            f"--name={name}",
            f"--data-dir={root / 'data'}",
            f"--advertise-client-urls={self.url(name)}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={everyone}",
            f"--listen-client-urls={self.url(name)}",
            f"--listen-peer-urls={peer}",
            "--client-cert-auth=true",
            "--peer-client-cert-auth=true",
            "--unsafe-no-fsync",
            *(f"--{flag}" for flag in tls),
            *(f"--peer-{flag}" for flag in tls),
        ]

    def _write(self, name: str) -> None:
        root = self._directory / name
        files = {f"{_PKI}/etcd/ca.crt": self._authority.pem}
        pair = self._authority.issue("kube-apiserver-etcd-client")
        files |= zip((f"{_PKI}/apiserver-etcd-client.crt", f"{_PKI}/apiserver-etcd-client.key"), pair, strict=True)
        # Peers check where a connection comes from, and on loopback that is this address.
        pair = self._authority.issue(name, hosts=(self.addresses[name], "127.0.0.1"))
        files |= zip(("server.crt", "server.key"), pair, strict=True)
        files[MANIFEST.lstrip("/")] = "".join(f"    - {flag}\n" for flag in self._flags(name)).encode()
        for path, content in files.items():
            target = root / path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.touch(mode=0o600)
            target.write_bytes(content)
