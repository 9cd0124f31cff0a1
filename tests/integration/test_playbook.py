"""All modules in one play, through ansible-playbook: packing, module_defaults, check mode, what is shown of secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/hybridk8s.estate.cluster:
      kubeconfig: "{{ kubeconfig }}"
  tasks:
    - hybridk8s.estate.bootstrap_token:
      register: made
      no_log: true
    - hybridk8s.estate.bootstrap_token:
        state: absent
        token_id: "{{ made.token_id }}"
    - hybridk8s.estate.manifest:
        documents:
          - {apiVersion: v1, kind: Node, metadata: {name: play-1}}
          - {apiVersion: v1, kind: ConfigMap, metadata: {name: play-1}, data: {mode: "on"}}
    - hybridk8s.estate.node:
        nodes: [{name: play-1, labels: {rack: r1, version: v1}}]
    - hybridk8s.estate.node_drain:
        names: [play-1]
    - hybridk8s.estate.node_info:
        names: [play-1]
      register: info
    - ansible.builtin.assert:
        that:
          - ansible_check_mode or info.nodes[0].labels.version == "v1"
          - ansible_check_mode or not info.nodes[0].schedulable
"""
from tests.integration.control_plane import private_file


def play(tmp_path, kubeconfig, *options):
    (tmp_path / "play.yml").write_text(PLAY)
    variables = private_file(
        tmp_path / "variables.json", {"kubeconfig": kubeconfig, "ansible_python_interpreter": sys.executable}
    )
    command = ["-i", "localhost,", "-c", "local", "-e", f"@{variables}", *options, str(tmp_path / "play.yml")]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    program = str(Path(sys.executable).parent / "ansible-playbook")
    return subprocess.run(
        [program, *command], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def test_a_play_with_all_modules(plane, cluster, tmp_path):
    untouched = play(tmp_path, None, "--check", "--diff")
    assert untouched.returncode == 0, untouched.stdout
    assert "changed=3" in untouched.stdout, "what a first run would do: a token, two objects, a label"
    done = play(tmp_path, plane.kubeconfig, "-vvv", "--diff")
    assert done.returncode == 0, done.stdout
    assert plane.kubeconfig["users"][0]["user"]["client-key-data"] not in done.stdout
    assert "+  mode: 'on'" in done.stdout
