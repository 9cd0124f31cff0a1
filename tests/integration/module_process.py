"""A module in a process of its own, to be killed, measured, or run beside another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

OURS = "ansible_collections.hybridk8s.estate.plugins.modules."
_RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
name, arguments = sys.argv[1], json.load(open(sys.argv[2]))
module = importlib.import_module(name)
with patch_module_args(arguments):
    module.main()
"""


def start(module: str, directory: Path, **arguments: Any) -> subprocess.Popen[str]:
    """Run a module, named in full; `directory` keeps its arguments."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "arguments.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps({**arguments, "_ansible_remote_tmp": str(directory)}))
    return subprocess.Popen(
        [sys.executable, "-c", _RUNNER, module, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the module returned, when it has ended."""
    output, errors = process.communicate()
    assert output, errors
    result: dict[str, Any] = json.loads(output)
    return result
