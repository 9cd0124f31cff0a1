# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pretended machine for the kubeadm tests: a root directory, a kubeadm, and an API that says what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer, Kubeconfig
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Completed, Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import KUBEADM_FILES

CA_PEM = "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n"
CA_DATA = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClEwRT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
KUBECONFIG = f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {CA_DATA}
    server: https://api.lab.internal:7443
  name: kubernetes
users:
- name: system:node:w1
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
"""
DISCOVERY = {
    "clusters": [
        {"cluster": {"server": "https://api.lab.internal:7443", "certificate-authority-data": CA_DATA}, "name": "k"}
    ]
}
TOKEN = "abcdef.0123456789abcdef"
SILENT = Answer(error="connection refused")
ETCD_MANIFEST = """    - etcd
    - --advertise-client-urls=https://10.20.1.12:2379
    - --initial-advertise-peer-urls=https://10.20.1.12:2380
    - --initial-cluster=w1=https://10.20.1.12:2380,cp1=https://10.20.1.11:2380
    - --listen-client-urls=https://127.0.0.1:2379,https://10.20.1.12:2379
"""
LIST = "POST /v3/cluster/member/list"
REMOVE = "POST /v3/cluster/member/remove"
WORKER_FILES = {
    "/etc/kubernetes/kubelet.conf": KUBECONFIG,
    "/etc/kubernetes/pki/ca.crt": CA_PEM,
    "/var/lib/kubelet/config.yaml": "kind: KubeletConfiguration\n",
}
CONTROL_PLANE_FILES = {
    **WORKER_FILES,
    **{path: KUBECONFIG for path in KUBEADM_FILES if path.endswith(".conf") and "bootstrap" not in path},
    **{path: "--advertise-address=10.20.1.11\n" for path in KUBEADM_FILES if path.endswith(".yaml")},
    "/etc/kubernetes/manifests/etcd.yaml": ETCD_MANIFEST,
    "/etc/kubernetes/pki/etcd/ca.crt": CA_PEM,
    "/etc/kubernetes/pki/apiserver-etcd-client.crt": "CERT",
    "/etc/kubernetes/pki/apiserver-etcd-client.key": "KEY",
    "/var/lib/etcd/member/snap": "data",
}


def missing(name: str, kind: str = "nodes") -> Answer:
    return Answer(404, {"kind": "Status", "reason": "NotFound", "details": {"name": name, "kind": kind}})


def node(name: str, ready: bool = True, **labels: str) -> Answer:
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]}
    return Answer(200, {"metadata": {"name": name, "labels": labels}, "status": status})


def members(*names: str, learner: str = "") -> Answer:
    """etcd's list of members: w1 is this host, cp1 and cp3 are others."""
    listed = [
        {
            "ID": f"1{_LAST[name]}",
            "name": name,
            "peerURLs": [f"https://10.20.1.1{_LAST[name]}:2380"],
            "clientURLs": [f"https://10.20.1.1{_LAST[name]}:2379"],
            **({"isLearner": True} if name == learner else {}),
        }
        for name in names
    ]
    return Answer(200, {"members": listed})


_LAST = {"cp1": 1, "w1": 2, "cp3": 3}


def nodes(*names: str) -> Answer:
    return Answer(200, {"items": [{"metadata": {"name": name}} for name in names]})


@dataclass
class Call:
    argv: list[str]
    stdin: str
    config: list[dict]
    config_mode: str
    pass_fds: tuple[int, ...]
    discovery: str
    timeout: float


@dataclass
class Question:
    method: str
    path: str
    kubeconfig: Kubeconfig
    address: tuple[str, int] | None
    timeout: float
    body: Mapping[str, Any] | None


@dataclass
class Machine:
    """``effects`` maps a kubeadm verb to what it does to the machine; ``answers`` a path (before it a method other than
    GET, before that a server) to what is said: one answer, or a list of which each is given once and the last for
    ever."""

    root: Path
    effects: dict[str, Callable[[Machine], Completed]] = field(default_factory=dict)
    answers: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    commands: dict[str, Completed] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    time: float = 0.0

    def host(self) -> Host:
        return Host(root=self.root, run=self.run, ask=self.ask, sleep=self.sleep, clock=lambda: self.time)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def put(self, *files: dict[str, str]) -> None:
        for path, text in (item for group in files for item in group.items()):
            target = self.root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def has(self, path: str) -> bool:
        return (self.root / path.lstrip("/")).exists()

    def take(self, *paths: str) -> None:
        for path in paths:
            (self.root / path.lstrip("/")).unlink(missing_ok=True)

    def listing(self) -> dict[str, str]:
        """All files and their content."""
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {f"/{path.relative_to(self.root)}": path.read_text() for path in files}

    def verbs(self) -> list[str]:
        return [call.argv[1] for call in self.calls if call.argv[0] == "kubeadm" and call.argv[1] != "version"]

    def call(self, verb: str) -> Call:
        return next(call for call in self.calls if call.argv[:2] == ["kubeadm", verb])

    def run(
        self, argv: Sequence[str], *, timeout: float, stdin: str = "", log: str = "", pass_fds: Sequence[int] = ()
    ) -> Completed:
        config = Path(argv[argv.index("--config") + 1]) if "--config" in argv else None
        discovery = config.parent / "discovery.conf" if config else None
        self.calls.append(
            Call(
                list(argv),
                stdin,
                [json.loads(part) for part in config.read_text().split("---\n")] if config else [],
                oct(config.stat().st_mode & 0o777) if config else "",
                tuple(pass_fds),
                discovery.read_text() if discovery and discovery.exists() else "",
                timeout,
            )
        )
        if argv[0] != "kubeadm":
            return self.commands.get(" ".join(argv), Completed(127, "", f"{argv[0]}: not found"))
        effect = self.effects.get(argv[1])
        done = effect(self) if effect else self._default(argv[1])
        if log:
            Path(log).write_text(done.output)
        return done

    def _default(self, verb: str) -> Completed:
        if verb == "version":
            return Completed(0, "v1.36.3\n")
        if verb == "reset":
            self.take(*KUBEADM_FILES, *(path for path in CONTROL_PLANE_FILES if "etcd/member" not in path))
            return Completed(0)
        if verb == "init":
            self.put(CONTROL_PLANE_FILES)
            return Completed(0)
        self.put(WORKER_FILES)
        return Completed(0)

    def ask(
        self,
        kubeconfig: Kubeconfig,
        method: str,
        path: str,
        timeout: float = 5.0,
        address: tuple[str, int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        self.asked.append(Question(method, path, kubeconfig, address, timeout, body))
        key = path if method == "GET" else f"{method} {path}"
        said = self.answers.get(f"{kubeconfig.server} {key}", self.answers.get(key, SILENT))
        if not isinstance(said, list):
            return said
        return said.pop(0) if len(said) > 1 else said[0]
