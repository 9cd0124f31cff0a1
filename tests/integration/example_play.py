"""Plays on the hybrid example's inventory, with variables that put a test's own services in the place of its."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]


def run_play(directory: Path, text: str, variables: Mapping[str, Any], *options: str, fails: bool = False) -> str:
    """Run a play, whose files are in `directory`; Ansible's output. It has to end well, or else to fail."""
    (directory / "play.yml").write_text(text)
    (directory / "vault").write_text("example")
    given = {"ansible_python_interpreter": sys.executable, **variables}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventories/example_hybrid"]
    command += ["--vault-password-file", str(directory / "vault"), "-e", json.dumps(given), *options]
    environment = {**os.environ, "ANSIBLE_CONFIG": "ansible.cfg", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        [*command, str(directory / "play.yml")],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout
