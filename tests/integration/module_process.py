"""Running a module: in this process, or in one of its own, to be killed, measured, or run beside another."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

OURS = "ansible_collections.hybridk8s.estate.plugins.modules."
_RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
name, arguments = sys.argv[1], json.load(open(sys.argv[2]))
module = importlib.import_module(name)
with patch_module_args(arguments):
    module.main()
"""


@dataclass(frozen=True)
class Prepared:
    """A command line that runs a module, and its environment."""

    command: tuple[str, ...]
    environment: dict[str, str]


def call(
    module: Any, arguments: dict[str, Any], check: bool = False, diff: bool = False, directory: Path = Path("/tmp")
) -> dict[str, Any]:
    """Run a module in this process; its result, without its arguments. Its own files are in `directory`.

    Where a controller's code has been loaded, warnings would be shown instead of returned, and those of before count.
    """
    output = io.StringIO()
    internal = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": str(directory)}
    with (
        contextlib.redirect_stdout(output),
        patch_module_args({**arguments, **internal}),
        mock.patch.object(_internal, "is_controller", False),
        mock.patch.object(warnings, "_global_warnings", {}),
        pytest.raises(SystemExit),
    ):
        module.main()
    result: dict[str, Any] = json.loads(output.getvalue())
    result.pop("invocation", None)
    return result


def prepare(module: str, directory: Path, **arguments: Any) -> Prepared:
    """How to run a module, named in full; `directory` keeps its arguments."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "arguments.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps({**arguments, "_ansible_remote_tmp": str(directory)}))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return Prepared((sys.executable, "-c", _RUNNER, module, str(file)), environment)


def start(module: str, directory: Path, **arguments: Any) -> subprocess.Popen[str]:
    """Run a module; see `prepare`."""
    prepared = prepare(module, directory, **arguments)
    return subprocess.Popen(
        prepared.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=prepared.environment
    )


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the module returned, when it has ended."""
    output, errors = process.communicate()
    assert output, errors
    result: dict[str, Any] = json.loads(output)
    return result
