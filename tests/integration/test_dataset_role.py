"""The role dataset_preload through ansible-playbook: two hosts with a disk each, and nodes of a real API server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster

from tests.unit.plugins.module_utils.artifact_fake import Web, serve

REPOSITORY = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: all
  gather_facts: false
  roles: [hybridk8s.estate.dataset_preload]
"""
Play = Callable[..., str]


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with serve() as web:
        yield web


@pytest.fixture
def play(web: Web, cluster: Cluster, kubeconfig_file: Path, tmp_path: Path) -> Play:
    """Runs the role for one version of a dataset; gives the recap. `hosts` says what is special about each."""
    for name in ("d1", "d2"):
        cluster.request("POST", "/api/v1/nodes", body={"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        (tmp_path / name).mkdir()
    (tmp_path / "play.yml").write_text(PLAY)

    def run(version: str, *options: str, works: bool = True, **hosts: dict[str, Any]) -> str:
        body = version.encode() * 1000
        file = {"path": "all.tar", "size": len(body), "sha256": web.put(f"/{version}/all.tar", body)}
        assert file["sha256"] == hashlib.sha256(body).hexdigest()
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "estate_kubeconfig": str(kubeconfig_file),
            "dataset_preload_root": f"{tmp_path}/{{{{ inventory_hostname }}}}",
            "dataset_preload_max_used": 1,
            "published": version,
            "dataset_preload_datasets": [
                {"name": "pets", "version": version, "url": f"{web.url}/{{{{ published }}}}", "files": [file]}
            ],
        }
        named = {name: hosts.get(name, {}) for name in ("d1", "d2")}
        groups = {"control_plane": {"hosts": {"d1": {}}}}
        inventory = {"all": {"hosts": named, "vars": variables, "children": groups}}
        (tmp_path / "hosts.json").write_text(json.dumps(inventory))
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment["ANSIBLE_CONFIG"] = str(REPOSITORY / "ansible.cfg")
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", tmp_path / "hosts.json", *options, "play.yml"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is works, done.stdout + done.stderr
        return done.stdout

    return run


def labels(cluster: Cluster) -> dict[str, str | None]:
    nodes = {name: cluster.get(f"/api/v1/nodes/{name}") for name in ("d1", "d2")}
    return {name: (node["metadata"].get("labels") or {}).get("dataset.pets") for name, node in nodes.items()}


def test_nodes_are_labelled_with_what_their_hosts_have(play: Play, cluster: Cluster, tmp_path: Path) -> None:
    play("v1", "--check")
    assert labels(cluster) == {"d1": None, "d2": None}
    play("v1")
    assert labels(cluster) == {"d1": "v1", "d2": "v1"}
    again = play("v1")
    assert again.count("changed=0") == 2

    (tmp_path / "d1/pets/v1/all.tar").write_text("corrupt")
    play("v1")
    assert (tmp_path / "d1/pets/v1/all.tar").read_bytes() == b"v1" * 1000
    assert labels(cluster) == {"d1": "v1", "d2": "v1"}

    failed = play("v2", works=False, d2={"dataset_preload_max_used": 0.000001})
    assert "dataset-room" in failed
    assert labels(cluster) == {"d1": "v2", "d2": "v1"}
    assert (tmp_path / "d2/pets/v1/all.tar").exists()

    # What is not wanted any more loses its label before anything is done.
    assert "HTTP status 404" in play("v3", works=False, d2={"published": "nowhere"})
    assert labels(cluster) == {"d1": "v3", "d2": None}
