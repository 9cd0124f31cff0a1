# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limit of the dedicated line on a host: traffic control now, and the service that holds it from then on.

Private to this collection. The service is this collection's own code, so that what it does after a reboot is what the
module does.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils import (
    _findings,
    _host,
    _host_base,
    _line_agent,
    _lock,
    _plan,
    _tc,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_options import Wanted, parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

LIBRARY = "/usr/local/lib/hybridk8s/egress_limit"
UNIT = "hybridk8s-egress-limit.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
SHIPPED: tuple[ModuleType, ...] = (_findings, _host_base, _line_agent, _lock, _plan, _tc)
UNIT_TEXT = """\
# Made by hybridk8s.estate.
[Unit]
Description=Limit of what this host sends over the dedicated line
After=network-pre.target
Wants=network-pre.target
Before=kubelet.service

[Service]
Environment=PYTHONPATH={library} PYTHONDONTWRITEBYTECODE=1
ExecStart={python} -m {agent} run
Restart=always
RestartSec=5
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be, and the interfaces that lead to the line."""

    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    interfaces: tuple[str, ...]


def converge(options: Mapping[str, Any], host: Host, check: bool) -> Outcome:
    """Makes the limit hold, now and later. Raises :class:`HostError` with the steps taken before it."""
    limit = _tc.parse_limit(options)
    service = service_wanted(options)
    if check:
        plan, facts = _planned(limit, host)
        return _outcome(plan, _host.converge(service, host, check=True), facts.leading_to(limit))
    # A service that runs with the former configuration waits for the lock and then reads the new one.
    with host.locked(_line_agent.LOCK, _line_agent.LOCK_SECONDS):
        plan, facts = _planned(limit, host)
        try:
            _tc.apply(host, plan.changes)
        except HostError:
            if facts.device is None:
                _tc.remove(host)
            raise
        with _after(plan.steps):
            done = _host.converge(service, host)
    return _outcome(plan, done, facts.leading_to(limit))


def _planned(limit: _tc.Limit, host: Host) -> tuple[_tc.Plan, _tc.Facts]:
    facts = _tc.observe(host)
    plan = _tc.plan(limit, facts)
    if plan.findings:
        raise HostError(plan.findings)
    return plan, facts


def remove(host: Host, check: bool) -> Outcome:
    """Takes the limit off: first the service, which would bring it back."""
    absent = parse({"name": "egress_limit"})
    if check:
        return _outcome(_tc.removal(host), _host.converge(absent, host, check=True), [])
    done = _host.converge(absent, host)
    with _after(done.steps), host.locked(_line_agent.LOCK, _line_agent.LOCK_SECONDS):
        plan = _tc.remove(host)
    return Outcome((*done.steps, *plan.steps), (*plan.warnings, *done.warnings), ())


def service_wanted(options: Mapping[str, Any]) -> Wanted:
    """The files and the unit of the service."""
    package = f"{LIBRARY}/ansible_collections"
    # The file makes it the package of that name, even where another one is installed for the host's Python.
    files = [{"path": f"{package}/__init__.py", "content": ""}]
    files += [{"path": _path(module), "content": inspect.getsource(module)} for module in SHIPPED]
    files += [
        {"path": _line_agent.CONFIGURATION, "content": configuration(options)},
        {
            "path": UNIT_PATH,
            "content": UNIT_TEXT.format(library=LIBRARY, python=sys.executable, agent=_line_agent.__name__),
        },
    ]
    watch = [f"{package}/", _line_agent.CONFIGURATION, UNIT_PATH]
    unit = {"name": UNIT, "enabled": True, "state": "started", "watch": watch}
    return parse({"name": "egress_limit", "files": files, "units": [unit]})


def configuration(options: Mapping[str, Any]) -> str:
    """What the service reads: the module's options, as they are."""
    kept = ("prefixes", "exempt", "limit_mbit", "control_mbit", "control", "textfile")
    return json.dumps({name: options.get(name) for name in kept}, indent=1, sort_keys=True) + "\n"


def _path(module: ModuleType) -> str:
    return f"{LIBRARY}/{module.__name__.replace('.', '/')}.py"


@contextmanager
def _after(steps: Sequence[Step]) -> Iterator[None]:
    """Whoever fails in it is told of the steps taken before, too."""
    try:
        yield
    except HostError as error:
        raise HostError(error.findings, (*steps, *error.applied)) from error


def _outcome(plan: _tc.Plan, service: _host.Outcome, interfaces: list[str]) -> Outcome:
    return Outcome((*plan.steps, *service.steps), (*plan.warnings, *service.warnings), tuple(interfaces))
