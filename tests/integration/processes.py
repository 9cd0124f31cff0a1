"""Modules as processes of their own, to be sent signals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
module = importlib.import_module("ansible_collections.hybridk8s.estate.plugins.modules." + sys.argv[1])
with open(sys.argv[2]) as file, patch_module_args(json.load(file)):
    module.main()
"""


def start(module: str, directory: Path, kubeconfig: Mapping[str, Any], **params: Any) -> subprocess.Popen[bytes]:
    """A module at work; it prints its result."""
    arguments = directory / f"{module}.json"
    arguments.touch(mode=0o600)
    arguments.write_text(json.dumps({"kubeconfig": kubeconfig, "_ansible_remote_tmp": str(directory), **params}))
    path = os.pathsep.join(part for part in sys.path if part)
    return subprocess.Popen(
        [sys.executable, "-c", _RUNNER, module, str(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
