# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module failure_budget: needs nothing but how the play stands, so it runs on the controller."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hybridk8s.estate.plugins.module_utils import _report
from ansible_collections.hybridk8s.estate.plugins.module_utils._budget import failure_budget
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed


class ActionModule(ActionBase):
    """Fails the host that would be begun although too many others have failed."""

    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, options = self.validate_argument_spec(
            argument_spec={
                "max_fail": {"type": "str", "default": "100%"},
                "wanted": {"type": "list", "elements": "str", "required": True},
                "reached": {"type": "list", "elements": "str", "required": True},
            }
        )
        reached = frozenset(options["reached"])
        failed = [host for host in options["wanted"] if host not in reached]
        try:
            budget = failure_budget(options["max_fail"], len(options["wanted"]))
        except ValueError as error:
            raise AnsibleActionFail(f"max_fail: {error}") from error
        if len(failed) <= budget:
            return {"changed": False}
        # Those that were not begun count as failed for Ansible; they come last.
        why = (
            f"not begun, because more hosts failed ({listed(failed[: budget + 1])}) than the {budget} of "
            f"{len(options['wanted'])} that max_fail={options['max_fail']} allows."
        )
        host = (task_vars or {})["inventory_hostname"]
        return {
            "changed": False,
            "failed": True,
            "msg": f"{why} Put them right and run again, or allow more.",
            "nodes": {host: {"state": _report.NOT_STARTED, "message": why, "changed": False}},
        }
