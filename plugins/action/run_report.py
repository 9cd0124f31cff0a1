# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module run_report: hands on what the callback beside the playbooks has heard, so it runs on the controller."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hybridk8s.estate.plugins.module_utils import _report


class ActionModule(ActionBase):
    """Says what became of each host; sets statistics of the run, which Ansible takes from tasks that succeed only."""

    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, options = self.validate_argument_spec(
            argument_spec={
                "remaining": {"type": "str", "choices": ["ignore", "report", "fail"], "default": "report"},
                "accept": {"type": "list", "elements": "str", "default": []},
            }
        )
        document = (task_vars or {}).get(_report.VARIABLE)
        if document is None:
            raise AnsibleActionFail(
                "There is no report of this run: it is kept by the playbooks of this collection. "
                "Import one of them, or leave this task out."
            )
        remaining = document["remaining"]
        if options["remaining"] == "fail":
            unaccepted = [host for host in remaining if document["hosts"][host]["state"] not in options["accept"]]
            # In check mode nothing was done, so nothing can be demanded.
            failed = bool(unaccepted) and not self._task.check_mode
            return {"changed": False, "failed": failed, "msg": _report.verdict(document), "remaining": remaining}
        telling = options["remaining"] == "report"
        return {
            "changed": False,
            "msg": "\n".join(_report.lines(document)) if telling else _report.verdict(document),
            "remaining": remaining,
            "ansible_stats": {"data": {"estate_run": _report.stats(document)}, "per_host": False, "aggregate": False},
            "_ansible_verbose_always": telling,
        }
