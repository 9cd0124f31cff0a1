# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module bgp_status in a play of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
NODE = {"name": "w1", "address": "10.20.1.21", "as_number": 64512, "sees": "Established", "received": 1}
TOR1 = {"name": "tor1", "address": "10.20.1.1", "as_number": 64901, "sees": "not asked", "received": None}
TOPOLOGY = {
    "estate": "lab",
    "as_number": 64512,
    "speakers": [{"name": "w1", "address": "10.20.1.21", "rack": "r1", "cluster_id": "10.0.0.1"}],
    "sessions": [
        {
            "node": "w1",
            "node_address": "10.20.1.21",
            "node_as": 64512,
            "switch": "tor1",
            "switch_address": "10.20.1.1",
            "switch_as": 64901,
            "rack": "r1",
        }
    ],
    "pools": [],
    "imports": [],
}
CLUSTER = {
    "sessions": [{"kind": "switch", "node": NODE, "peer": TOR1, "up": True}],
    "steps": [],
    "routes_missing": [],
    "findings": [],
}
SEEN = {"neighbour": "10.20.1.21", "state": "Established", "remote_as": 64512, "prefixes_received": 3, "uptime": 9.5}


def play(directory: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    task = {"hybridk8s.estate.bgp_status": {"topology": TOPOLOGY, "cluster": CLUSTER, **options}}
    (directory / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    return subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", directory / "play.yml"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("said", "status", "text"),
    [
        ({"sessions": [SEEN], "steps": []}, 0, ""),
        ({"sessions": [{**SEEN, "state": "Idle"}], "steps": []}, 2, "tor1 sees Idle"),
        ({"failed": True, "msg": "vtysh is not installed"}, 2, "switch tor1 could not be asked"),
        ({"unreachable": True, "msg": "timed out"}, 2, "switch tor1 could not be asked"),
        ({}, 2, "switch tor1 could not be asked"),
        ({"sessions": [SEEN], "findings": ["one path."]}, 0, "switch tor1: one path."),
    ],
)
def test_the_exit_code_says_whether_all_is_well(tmp_path: Path, said: dict[str, Any], status: int, text: str) -> None:
    report = tmp_path / "status.json"
    picture = tmp_path / "status.html"
    ended = play(tmp_path, switches={"tor1": said}, report=str(report), picture=str(picture))
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert text in ended.stdout
    written = json.loads(report.read_text())
    assert written["ok"] is (status == 0)
    assert "</html>" in picture.read_text()
    if status == 0:
        assert written["sessions"][0]["peer"]["received"] == 3


def test_a_platform_that_tells_no_sessions_is_judged_by_the_nodes(tmp_path: Path) -> None:
    ended = play(tmp_path, switches={"tor1": {"pending": []}})
    assert ended.returncode == 0, ended.stdout
    assert "1 of 1 sessions are up" in ended.stdout


def test_what_cannot_be_written_or_read_is_said(tmp_path: Path) -> None:
    ended = play(tmp_path, report=str(tmp_path / "no" / "such" / "file"))
    assert "The status cannot be written" in ended.stdout + ended.stderr
    ended = play(tmp_path, topology={"estate": "lab"})
    assert "topology lacks" in ended.stdout + ended.stderr
    ended = play(tmp_path, cluster={"failed": True})
    assert "cluster is no result of hybridk8s.estate.bgp_info" in ended.stdout + ended.stderr
