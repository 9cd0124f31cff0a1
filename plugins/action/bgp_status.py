# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module bgp_status: what it needs is on the controller already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.status import lines, status
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._json_file import write_json


class ActionModule(ActionBase):
    """Compare both ends of every session; nothing is connected to."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, options = self.validate_argument_spec(
            argument_spec={
                "estate": {"type": "str", "required": True},
                "cluster": {"type": "dict", "required": True},
                "switches": {"type": "dict", "default": {}},
                "report": {"type": "path", "default": ""},
            }
        )
        if "sessions" not in options["cluster"]:
            raise AnsibleActionFail("cluster is no result of hybridk8s.estate.bgp_info; register one and pass it on.")
        switches = {name: _answer(said) for name, said in options["switches"].items()}
        found = status(options["estate"], options["cluster"], switches)
        if options["report"]:
            _write(options["report"], found)
        return {"changed": False, "failed": not found["ok"], "msg": "\n".join(lines(found)), "status": found}


def _answer(said: object) -> Mapping[str, Any] | None:
    if not isinstance(said, Mapping) or said.get("failed") or "sessions" not in said:
        return None
    return said


def _write(path: str, found: Mapping[str, Any]) -> None:
    try:
        write_json(path, found)
    except OSError as error:
        raise AnsibleActionFail(f"The status cannot be written to {path} (variable bgp_report): {error}") from error
