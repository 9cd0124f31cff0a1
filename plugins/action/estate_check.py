# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of the module estate_check: it alone sees the whole inventory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import Estate
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.parse import parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._whole_file import as_json, write_text
from ansible_collections.hybridk8s.estate.plugins.plugin_utils import _origin
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._inventory import Inventory, read_inventory
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._secrets import clear_secrets

_MOST_SHOWN = 100
# What Ansible needs before it has facts of a host; secrets are left alone.
_CONNECTION_VARIABLES = (
    "ansible_become",
    "ansible_become_method",
    "ansible_become_user",
    "ansible_connection",
    "ansible_port",
    "ansible_python_interpreter",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_private_key_file",
    "ansible_user",
)


class ActionModule(ActionBase):
    """Judge the inventory; nothing is connected to."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec({"report": {"type": "path"}})
        variables = task_vars or {}
        inventory = read_inventory(variables["hostvars"], also=_CONNECTION_VARIABLES, needs_vault=False)
        secrets = clear_secrets(inventory.raw, frozenset(load_extra_vars(self._loader)))
        parsed = parse(
            inventory.hosts,
            variables["groups"],
            inventory.unreadable,
            secrets,
            _controller_becomes(variables["hostvars"]),
        )
        findings = sorted((*parsed.findings, *rules.check(parsed.estate)), key=_order)
        shown = [_shown(finding, inventory) for finding in findings]
        errors = [finding for finding in findings if finding.severity == ERROR]
        result.update(
            changed=False,
            estate=parsed.estate.name,
            findings=shown,
            summary=_summary(parsed.estate, findings),
            msg=_verdict(parsed.estate, errors, inventory),
            failed=bool(errors),
        )
        others = [finding for finding in findings if finding.severity != ERROR]
        if others:
            result["warnings"] = _lines(others, inventory)
        if arguments["report"]:
            _write_report(arguments["report"], parsed.estate, result)
        return result


def _controller_becomes(hostvars: Mapping[str, Any]) -> bool:
    local = read_inventory(hostvars, ["localhost"], also=("ansible_become",)).hosts.get("localhost", {})
    return boolean(local.get("ansible_become"), strict=False)


def _order(finding: Finding) -> tuple[bool, Finding]:
    return (finding.severity != ERROR, finding)


def _summary(estate: Estate, findings: Sequence[Finding]) -> dict[str, int]:
    errors = sum(finding.severity == ERROR for finding in findings)
    return {
        "errors": errors,
        "warnings": len(findings) - errors,
        "hosts": len(estate.hosts),
        "control_planes": len(estate.control_planes),
        "nodes": len(estate.nodes),
        "racks": len(estate.racks),
        "switches": len(estate.switches),
    }


def _verdict(estate: Estate, errors: Sequence[Finding], inventory: Inventory) -> str:
    if not errors:
        return (
            f"The inventory of estate {estate.name} is in order: "
            f"{len(estate.nodes)} nodes, {len(estate.racks)} racks, {len(estate.switches)} switches."
        )
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return "\n".join([f"The inventory has {count}; nothing was connected to.", *_lines(errors, inventory)])


def _lines(findings: Sequence[Finding], inventory: Inventory) -> list[str]:
    """A paragraph a finding; one for all hosts that have the same."""
    alike: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.code, finding.variable, finding.message, finding.remedy), []).append(finding)
    lines = []
    for (code, variable, message, remedy), group in list(alike.items())[:_MOST_SHOWN]:
        hosts = listed([finding.host for finding in group if finding.host])
        where = _origin.of_variable(_variables(group[0], inventory), variable)
        lines.append(
            f"{hosts}{': ' if hosts else ''}{variable}: {message} [{code}{', ' if where else ''}{where}]\n    {remedy}"
        )
    if len(alike) > _MOST_SHOWN:
        lines.append(f"and {len(alike) - _MOST_SHOWN} more; option report writes all of them to a file.")
    return lines


def _shown(finding: Finding, inventory: Inventory) -> dict[str, Any]:
    origin = _origin.of_variable(_variables(finding, inventory), finding.variable)
    return {**finding.as_dict(), "why": rules.why(finding.code), "origin": origin}


def _variables(finding: Finding, inventory: Inventory) -> Mapping[str, Any]:
    if finding.host in inventory.raw:
        return inventory.raw[finding.host]
    return next((raw for raw in inventory.raw.values() if finding.variable.split(".")[0] in raw), {})


def _write_report(path: str, estate: Estate, result: Mapping[str, Any]) -> None:
    report = {"estate": estate.name, "summary": result["summary"], "findings": result["findings"]}
    try:
        write_text(path, as_json(report))
    except OSError as error:
        raise AnsibleActionFail(f"The report cannot be written to {path} (option report): {error}") from error
