# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module node_summary: needs nothing but the results it is given, so it runs on the controller."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.hybridk8s.estate.plugins.module_utils import _summary


class ActionModule(ActionBase):
    """Compares what the run was for with what it reached; fails when a host is not what it should be."""

    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, options = self.validate_argument_spec(
            argument_spec={
                "wanted": {"type": "list", "elements": "str", "required": True},
                "reached": {"type": "list", "elements": "str", "required": True},
                "missing": {"type": "list", "elements": "str", "required": True},
                "not_ready": {"type": "dict", "required": True},
            }
        )
        summaries = _summary.summarise(**options)
        incomplete = [summary.name for summary in summaries if not summary.complete]
        return {
            "changed": False,
            # In check mode nothing was done, so nothing can be demanded.
            "failed": bool(incomplete) and not self._task.check_mode,
            "msg": "\n".join(_summary.lines(summaries)),
            "incomplete": incomplete,
            "_ansible_verbose_always": True,
        }
