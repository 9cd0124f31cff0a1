# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helm charts as documents; private to this collection. Helm renders and nothing more: it sees no cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Object
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest import ManifestError, parse

_SECONDS = 60
_MOST_SAID = 600


@dataclass(frozen=True)
class Chart:
    """A chart at ``path`` (a directory or archive), the name of its release, and values beside its own."""

    path: str
    release: str
    values: Mapping[str, Any]
    helm: str

    def documents(self, namespace: str) -> list[Object]:
        """What the chart makes in ``namespace``. Values go by standard input, so no process list shows them."""
        command = [self.helm, "template", self.release, self.path, "--namespace", namespace]
        try:
            done = subprocess.run(
                [*command, "--include-crds", "--values", "-"],
                input=json.dumps(self.values),
                capture_output=True,
                check=False,
                text=True,
                timeout=_SECONDS,
            )
        except FileNotFoundError as error:
            raise ManifestError(f"chart.helm: there is no program {self.helm}. Install Helm, or correct it.") from error
        except PermissionError as error:
            raise ManifestError(f"chart.helm: {self.helm} may not be run: {error.strerror}.") from error
        except subprocess.TimeoutExpired as error:
            raise ManifestError(f"chart: Helm did not render {self.path} within {_SECONDS} s.") from error
        if done.returncode:
            raise ManifestError(f"chart: Helm cannot render {self.path}: {_said(done.stderr)}")
        return parse(done.stdout, f"the chart {self.path}")


def _said(text: str) -> str:
    lines = (line.strip() for line in text.splitlines() if line.strip())
    return " / ".join(lines)[:_MOST_SAID]
