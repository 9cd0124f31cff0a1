"""How the lab's nodes run pods: what their kubelets say of themselves, when containers began, which kernel pods see."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.flows import proof
from tests.flows.drive import REPOSITORY, booted, eventually, inventory, kubectl, objects, ssh

UNITS = ("containerd", "kubelet")
# Without systemd's cgroups, and under runc's shim. That waits until nobody holds the output of `start`, and the
# container, which begins with it, would hold it for ever; what the container prints is lost.
_RUNSC = """#!/bin/sh
for argument; do [ "$argument" != start ] || exec >/dev/null 2>&1; done
exec /usr/local/bin/runsc --ignore-cgroups --platform=systrap "$@"
"""
_STREAM = Path(__file__).with_name("service_stream.py")
_REMOTE = "/run/service_stream.py"


def put_runsc_wrapper() -> None:
    """What inventories/lab has as the program of gVisor, on every worker."""
    for host in booted("workers"):
        ssh(host, "cat > /usr/local/bin/runsc-in-lab; chmod 755 /usr/local/bin/runsc-in-lab", stdin=_RUNSC)


def kubelet_config(node: str) -> dict[str, Any]:
    """The configuration with which a node's kubelet runs."""
    config: dict[str, Any] = json.loads(kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"))
    return dict(config["kubeletconfig"])


def handlers() -> dict[str, set[str]]:
    """The runtimes that each worker's containerd tells its kubelet, runc's two names aside."""
    return {
        node["metadata"]["name"]: {one["name"] for one in node["status"].get("runtimeHandlers", ())} - {"", "runc"}
        for node in objects("nodes", "--selector=!node-role.kubernetes.io/control-plane")
    }


def await_handlers(**wanted: set[str]) -> None:
    """A kubelet asks containerd every few seconds."""
    expected = {**{host: set() for host in booted("workers")}, **wanted}
    eventually(lambda: handlers() == expected, 60, f"the nodes' runtimes are {expected}")


def containers() -> dict[tuple[str, str], tuple[str, int]]:
    """Every container of the cluster that runs, by pod and name: when it was started, and how often again."""
    return {
        (pod["metadata"]["uid"], status["name"]): (status["state"]["running"]["startedAt"], status["restartCount"])
        for pod in objects("pods", "--all-namespaces")
        for status in pod["status"].get("containerStatuses", ())
        if "running" in status["state"]
    }


def started(host: str) -> dict[str, float]:
    """When systemd last started each unit of a host, in seconds of the one clock that all hosts of the lab share."""
    line = " ".join(f"{unit}.service" for unit in UNITS)
    said = ssh(host, f"systemctl show --property=ActiveEnterTimestampMonotonic --value {line}")
    return {unit: int(value) / 1e6 for unit, value in zip(UNITS, said.split(), strict=True)}


@dataclass
class Stream:
    """Requests through a service, each on a connection of its own; known when the stream has ended."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    longest: float = 0.0


@contextmanager
def requests_through_the_service(host: str) -> Iterator[Stream]:
    """A stream of requests from a host of the cluster to the web service, until the end of the block."""
    ssh(host, f"cat > {_REMOTE}", stdin=_STREAM.read_text())
    stream = Stream()
    command = ["./lab", "ssh", host, f"python3 {_REMOTE} http://{proof.service_address()}/"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield stream
        finally:
            said, _unused = process.communicate(timeout=60)
    for name, value in json.loads(said).items():
        setattr(stream, name, value)


def run_pod(name: str, node: str, runtime_class: str = "") -> None:
    """A pod that waits on one node. Its image has more programs than one, and is on every node."""
    image = f"registry.k8s.io/kube-proxy:v{inventory().shared('estate_kubernetes_version')}"
    spec: dict[str, Any] = {
        "containers": [
            {
                "name": "kernel",
                "image": image,
                "command": ["sleep", "3600"],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            }
        ],
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 1,
        **({"runtimeClassName": runtime_class} if runtime_class else {}),
    }
    metadata = {"name": name, "namespace": proof.NAMESPACE}
    kubectl(
        "apply",
        "--filename=-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}),
    )


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", "pod", name, f"--namespace={proof.NAMESPACE}", "--output=json"))
    return found


def kernel_of(name: str) -> str:
    """What a pod's kernel calls itself, once the pod runs."""
    eventually(lambda: pod(name)["status"]["phase"] == "Running", 90, f"pod {name} runs")
    return kubectl("exec", name, f"--namespace={proof.NAMESPACE}", "--", "cat", "/proc/version")


def why_unscheduled(name: str) -> str:
    """What the scheduler says of a pod that it has no node for."""

    def said() -> str:
        conditions = pod(name)["status"].get("conditions", ())
        return next((c["message"] for c in conditions if c.get("reason") == "Unschedulable"), "")

    return eventually(said, 30, f"the scheduler says that {name} finds no node")
