# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module bgp_status: what it needs is on the controller already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.picture import page
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.status import lines, status
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology, TopologyError, from_dict
from ansible_collections.hybridk8s.estate.plugins.module_utils._whole_file import as_json, write_text


class ActionModule(ActionBase):
    """Compare both ends of every session; nothing is connected to."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, options = self.validate_argument_spec(
            argument_spec={
                "topology": {"type": "dict", "required": True},
                "cluster": {"type": "dict", "required": True},
                "switches": {"type": "dict", "default": {}},
                "report": {"type": "path", "default": ""},
                "picture": {"type": "path", "default": ""},
            }
        )
        if "sessions" not in options["cluster"]:
            raise AnsibleActionFail("cluster is no result of hybridk8s.estate.bgp_info; register one and pass it on.")
        switches = {name: _answer(said) for name, said in options["switches"].items() if not _tells_no_sessions(said)}
        topology = _topology(options["topology"])
        found = status(topology.estate, options["cluster"], switches)
        now = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
        _write("bgp_report", options["report"], lambda: as_json(found))
        _write("bgp_picture", options["picture"], lambda: page(topology, found, now))
        return {
            "changed": False,
            "failed": not found["ok"],
            "msg": "\n".join(lines(found)),
            "ok": found["ok"],
            "counts": found["counts"],
            "_ansible_verbose_always": True,
        }


def _answer(said: object) -> Mapping[str, Any] | None:
    if not isinstance(said, Mapping) or said.get("failed") or "sessions" not in said:
        return None
    return said


def _tells_no_sessions(said: object) -> bool:
    """The modules of some platforms tell nothing of sessions: the nodes' end has to do."""
    return isinstance(said, Mapping) and "pending" in said and "sessions" not in said


def _topology(data: Mapping[str, Any]) -> Topology:
    try:
        return from_dict(data)
    except TopologyError as error:
        raise AnsibleActionFail(str(error)) from error


def _write(variable: str, path: str, text: Callable[[], str]) -> None:
    if not path:
        return
    try:
        write_text(path, text())
    except OSError as error:
        raise AnsibleActionFail(f"The status cannot be written to {path} (variable {variable}): {error}") from error
