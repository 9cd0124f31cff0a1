"""A real etcd and kube-apiserver on loopback for tests, up in seconds; all else of a cluster only on request.

    with ControlPlane(directory) as plane:
        plane.kubeconfig          # a mapping with the administrator's certificate
    with ControlPlane(directory, controllers=WORKLOAD_CONTROLLERS, scheduler=True, kwok=True, audit=True) as plane:
        plane.set_ready_delay(20) # from now on a started pod is Ready after 20 s
        plane.audit()             # what clients asked of the API server; controllers and kwok are left out

Every process is a child that dies with the test process, is ended by its own pid, and keeps its state in `directory`.
"""

from __future__ import annotations

import base64
import ctypes
import datetime
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.integration import kwok as kwok_settings
from tests.integration.audit import COMPONENTS, POLICY, Event, read_events
from tests.lab.build import ensure_component

START_SECONDS = 180.0
WORKLOAD_CONTROLLERS = (
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-binder-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "statefulset-controller",
    "taint-eviction-controller",
)
_PR_SET_PDEATHSIG = 1


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, name: str = "test-ca") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, user: str, groups: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
        """Certificate and key in PEM, for a client or, with `hosts`, for a server that is a client of its like too."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
                x509.NameAttribute(NameOID.COMMON_NAME, user),
            ]
        )
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        builder = _builder(subject, self._name, key.public_key()).add_extension(
            x509.ExtendedKeyUsage(usages), critical=False
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(h) for h in hosts]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class ControlPlane:
    """etcd and kube-apiserver as child processes, and what else is asked for.

    `controllers` names those of a kube-controller-manager. With `kwok`, nodes that carry the annotation `kwok.MANAGED`
    become Ready and run the pods that the `scheduler` gives them. Their leases are renewed, and a node without a fresh
    one becomes Unknown, when `lease_seconds` is given.
    """

    def __init__(
        self,
        directory: Path,
        controllers: tuple[str, ...] = (),
        scheduler: bool = False,
        kwok: bool = False,
        audit: bool = False,
        lease_seconds: int = 0,
    ) -> None:
        self.directory = directory
        self.controllers = controllers
        self.authority = Authority()
        self.port = free_port()
        self.server = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = self.kubeconfig_for("admin", ("system:masters",))
        self._scheduler = scheduler
        self._kwok = kwok
        self._audit = audit
        self._lease_seconds = lease_seconds
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> ControlPlane:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def kubeconfig_for(
        self,
        user: str,
        groups: tuple[str, ...] = (),
        server: str = "",
        authority: Authority | None = None,
        issuer: Authority | None = None,
    ) -> dict[str, object]:
        """A kubeconfig as mapping; another `authority` to trust or `issuer` of the client make it a wrong one."""
        certificate, key = (issuer or self.authority).issue(user, groups)
        trusted = (authority or self.authority).pem
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": server or self.server, "certificate-authority-data": _b64(trusted)},
                }
            ],
            "users": [
                {"name": user, "user": {"client-certificate-data": _b64(certificate), "client-key-data": _b64(key)}}
            ],
        }

    def stop(self) -> None:
        """End the processes, the API server before its etcd."""
        for name in reversed(list(self._children)):
            self._end(name)

    def set_ready_delay(self, seconds: float) -> None:
        """Restart kwok: from now on a pod is Ready this long after it has started, at first at once."""
        self._end("kwok")
        self._start_kwok(seconds)

    def audit_mark(self) -> int:
        """Where the audit log ends now, for `audit`."""
        return self._audit_log.stat().st_size

    def audit(self, since: int = 0) -> list[Event]:
        """What clients asked of the API server, in the order of its answers; reads and bodies of changes included."""
        return read_events(self._audit_log, since)

    @property
    def _audit_log(self) -> Path:
        return self.directory / "audit.log"

    def _end(self, name: str) -> None:
        child = self._children.pop(name)
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def cpu_seconds(self, name: str) -> float:
        """CPU time that a process has used so far."""
        fields = Path(f"/proc/{self._children[name].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        client, peer = free_port(), free_port()
        etcd = f"http://127.0.0.1:{client}"
        self._spawn(
            "etcd",
            ensure_component("etcd") / "bin" / "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        )
        kubernetes = ensure_component("kubernetes") / "bin"
        certificate, key = self.authority.issue("kube-apiserver", hosts=("127.0.0.1", "localhost", "api.test.internal"))
        account_key = _pem(rsa.generate_private_key(65537, 2048))
        self._spawn(
            "kube-apiserver",
            kubernetes / "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self._file('server.crt', certificate)}",
            f"--tls-private-key-file={self._file('server.key', key)}",
            f"--client-ca-file={self._file('ca.crt', self.authority.pem)}",
            f"--service-account-issuer={self.server}",
            f"--service-account-key-file={self._file('account.key', account_key)}",
            f"--service-account-signing-key-file={self._file('account.key', account_key)}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            "--enable-bootstrap-token-auth=true",
            "--allow-privileged=true",
            # Pods of tests have no service account controller to give them a token.
            "--disable-admission-plugins=ServiceAccount",
            *self._audit_flags(),
        )
        self._await_ready()
        if self.controllers:
            self._start_controllers(kubernetes)
        if self._scheduler:
            self._start_scheduler(kubernetes)
        if self._kwok:
            self._start_kwok(ready_delay=0)

    def _audit_flags(self) -> list[str]:
        if not self._audit:
            return []
        return [
            f"--audit-log-path={self._audit_log}",
            f"--audit-policy-file={self._file('audit-policy.json', _json(POLICY))}",
        ]

    def _start_controllers(self, kubernetes: Path) -> None:
        grace = kwok_settings.grace_seconds(self._lease_seconds)
        self._spawn(
            "kube-controller-manager",
            kubernetes / "kube-controller-manager",
            f"--kubeconfig={self._component_kubeconfig('kube-controller-manager')}",
            f"--controllers={','.join(self.controllers)}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
            f"--node-monitor-grace-period={grace}s",
            f"--node-startup-grace-period={grace}s",
        )

    def _start_scheduler(self, kubernetes: Path) -> None:
        configuration = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {
                "kubeconfig": str(self._component_kubeconfig("kube-scheduler")),
                "qps": 1000,
                "burst": 2000,
            },
        }
        self._spawn(
            "kube-scheduler",
            kubernetes / "kube-scheduler",
            f"--config={self._file('scheduler.json', _json(configuration))}",
            "--secure-port=0",
        )

    def _start_kwok(self, ready_delay: float) -> None:
        component = ensure_component("kwok")
        stages = kwok_settings.stages(component / "share", ready_delay)
        self._spawn(
            "kwok",
            component / "bin" / "kwok",
            f"--kubeconfig={self._component_kubeconfig('kwok')}",
            f"--config={self._file('kwok.yaml', stages.encode())}",
            f"--manage-nodes-with-annotation-selector={kwok_settings.MANAGED_SELECTOR}",
            f"--node-lease-duration-seconds={self._lease_seconds}",
        )

    def _component_kubeconfig(self, name: str) -> Path:
        return self._file(f"{name}.conf", _json(self.kubeconfig_for(name, ("system:masters", COMPONENTS))))

    def _file(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path

    def _spawn(self, name: str, *command: str | Path) -> None:
        with (self.directory / f"{name}.log").open("wb") as log:
            self._children[name] = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )

    def _await_ready(self) -> None:
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        deadline = time.monotonic() + START_SECONDS
        while True:
            for name, child in self._children.items():
                if child.poll() is not None:
                    raise RuntimeError(f"{name} ended at its start:\n{self._tail(name)}")
            try:
                with urllib.request.urlopen(f"{self.server}/readyz", context=context, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"kube-apiserver is not ready:\n{self._tail('kube-apiserver')}")
            time.sleep(0.1)

    def _tail(self, name: str) -> str:
        return "\n".join((self.directory / f"{name}.log").read_text(errors="replace").splitlines()[-15:])


def private_file(path: Path, content: object) -> Path:
    """A file of JSON that nobody else may read, such as a kubeconfig."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return path


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def die_with_parent() -> None:
    """For `preexec_fn`: the child ends when the test process does, however that was."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
