"""What the module `node` costs on many nodes: labels, an annotation and a taint.

The nodes are objects without kubelets on a real API server. Client CPU-seconds are those of the process less those of
an empty module's: what is beside Ansible's own start.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, connect, parallel

from tests.bench.markdown import table
from tests.integration.control_plane import ControlPlane

RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
name, arguments = sys.argv[1], json.load(open(sys.argv[2]))
module = importlib.import_module(name)
with patch_module_args(arguments):
    module.main()
"""
PING = "ansible.modules.ping"
NODE = "ansible_collections.hybridk8s.estate.plugins.modules.node"


def measured(count: int) -> str:
    """A Markdown table."""
    with tempfile.TemporaryDirectory() as directory, ControlPlane(Path(directory)) as plane:
        cluster = connect(plane.kubeconfig)
        names = [f"node-{number:04}" for number in range(count)]
        made = parallel(lambda name: _register(cluster, name), names)
        assert not [outcome for outcome in made if outcome.error]
        base = _run(PING, {"data": "pong"}, Path(directory))
        rows = []
        for label, revision in (("all change", "1"), ("nothing to change", "1"), ("all change again", "2")):
            before = plane.cpu_seconds("kube-apiserver")
            nodes = [_wish(name, revision) for name in names]
            run = _run(NODE, {"kubeconfig": plane.kubeconfig, "nodes": nodes}, Path(directory))
            result = run["result"]
            assert not result.get("failed"), result
            rows.append(
                (
                    label,
                    count,
                    result["requests"],
                    len(result["steps"]),
                    f"{run['cpu'] - base['cpu']:.2f}",
                    f"{run['cpu']:.2f}",
                    f"{run['wall']:.1f}",
                    f"{run['peak']:.0f}",
                    f"{plane.cpu_seconds('kube-apiserver') - before:.1f}",
                )
            )
    return table(
        (
            "node",
            "nodes",
            "requests",
            "changed",
            "client CPU-s",
            "with start",
            "wall s",
            "peak MB",
            "API server CPU-s",
        ),
        rows,
    )


def _register(cluster: Cluster, name: str) -> None:
    """A node of the size that kubelets make: about 10 KB, most of it images."""
    labels = {"kubernetes.io/hostname": name}
    cluster.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    images = [
        {
            "names": [f"registry.example/team/image-{n}@sha256:{n:064}", f"registry.example/team/image-{n}:1.{n}"],
            "sizeBytes": n,
        }
        for n in range(50)
    ]
    cluster.merge(f"/api/v1/nodes/{name}/status", {"status": {"images": images}})


def _wish(name: str, revision: str) -> dict[str, Any]:
    return {
        "name": name,
        "labels": {"rack": "r1", "io-class": "nvme", "revision": revision},
        "annotations": {"example.com/revision": revision},
        "taints": [{"key": "dedicated", "value": f"pool-{revision}", "effect": "NoSchedule"}],
    }


def _run(module: str, arguments: dict[str, Any], directory: Path) -> dict[str, Any]:
    file = directory / "arguments.json"
    file.write_text(json.dumps({**arguments, "_ansible_remote_tmp": str(directory)}))
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-c", RUNNER, module, str(file)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout, done.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The largest child so far; the module is larger than what ran before it.
    return {"result": json.loads(done.stdout), "cpu": cpu, "wall": wall, "peak": after.ru_maxrss / 1024}
