"""What a command costs that works on an API server of the integration tests' kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.bench.meter import Usage
from tests.flows import drive
from tests.integration.audit import Event
from tests.integration.control_plane import ControlPlane, private_file


@dataclass(frozen=True)
class ApiCost:
    """A metered run: what it asked of the API server, which spent `server_cpu` seconds meanwhile, and what it said."""

    usage: Usage
    events: tuple[Event, ...]
    server_cpu: float
    output: str

    @property
    def requests(self) -> int:
        """All of them, those that were refused too; the server counts, so it is the same for everyone."""
        return len(self.events)


def cost_of(
    plane: ControlPlane,
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    limit: int = 0,
    good: Container[int] = (0,),
) -> ApiCost:
    """Run a command to its end, or for `limit` seconds; then its status is 124.

    One whose status is not `good` ends the benchmark with what it said.
    """
    limited = ("timeout", "--kill-after=10", str(limit)) if limit else ()
    mark, server = plane.audit_mark(), plane.cpu_seconds("kube-apiserver")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "usage.json")
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.meter", str(file), "--", *limited, *command],
            cwd=drive.REPOSITORY,
            env=dict(environment or os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in good:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        usage = Usage(**json.loads(file.read_text()))
    events = tuple(plane.audit(mark))
    return ApiCost(usage, events, plane.cpu_seconds("kube-apiserver") - server, done.stdout)


def play_cost(
    plane: ControlPlane,
    directory: Path,
    tasks: Sequence[Mapping[str, Any]],
    variables: Mapping[str, Any],
    collections: Path | None = None,
    limit: int = 0,
    good: Container[int] = (0,),
) -> ApiCost:
    """Run a play of these tasks on localhost; `collections` is a further place to find some. See `cost_of`."""
    play, given = directory / "play.yml", directory / "variables.json"
    play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]))
    private_file(given, {**variables, "ansible_python_interpreter": sys.executable})
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if collections:
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
    program = str(Path(sys.executable).parent / "ansible-playbook")
    options = ("--inventory=localhost,", "--connection=local", f"--extra-vars=@{given}")
    return cost_of(plane, (program, *options, str(play)), environment, limit, good)
