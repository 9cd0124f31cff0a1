#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: frr_bgp
short_description: Peer an FRR switch with the route reflectors of an estate
description:
  - Keeps the estate's part of an FRR configuration as it is wanted, a peer-group C(ESTATE-<NAME>) with its neighbours,
    two prefix-lists and two route-maps in the C(router bgp) of the default VRF. What others configured is neither
    changed nor removed.
  - The new configuration is checked by C(vtysh -C) as a whole before a line of it is loaded. Then only the lines that
    differ are loaded into the running daemons, so sessions of others, and sessions of ours that do not change, stay up.
    When the daemons refuse a line, what was there before is put back.
  - C(frr-reload.py) is not used. It compares the whole configuration, so it would act on lines of others too, and it
    passes what it removes, passwords among it, as command arguments.
  - The configuration file is changed in the same places only, and replaced in one step.
  - FRR is a graceful-restart helper by default, which is what reflectors need. The module changes nothing there,
    because such a change takes effect only when sessions are reset.
options:
  estate:
    description: Name of the estate, a DNS label; our objects are named after it.
    type: str
    required: true
  state:
    description: With V(absent) everything of the estate is removed; C(router bgp) itself is left.
    type: str
    choices: [present, absent]
    default: present
  as_number:
    description:
      - The AS of the switch's C(router bgp). When that has another one, the module fails and changes nothing.
      - When it runs no C(router bgp) yet, one is created with this AS.
      - V(0) stands for whatever the switch runs; only without O(neighbours).
    type: int
    required: true
    aliases: [as]
  local_as:
    description:
      - The AS that our neighbours see, where it is not that of C(router bgp). Each of them gets
        C(local-as ... no-prepend replace-as), so that neither they nor the fabric see the other one in paths.
      - Only for neighbours in a third AS.
    type: int
  neighbours:
    description: The route reflectors.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: IPv4 address of the node.
        type: str
        required: true
      remote_as:
        description: AS of the cluster.
        type: int
        required: true
      description:
        description: A text for people who look at the switch.
        type: str
        default: ""
      multihop:
        description:
          - TTL of the session in hops. More than V(1) also lets next hops lie outside the connected networks, which
            they do when the owner of a pod block stands in another rack.
        type: int
        default: 2
      password:
        description: TCP-MD5 password of the session. It is in no argument list, no difference and no message.
        type: str
  prune:
    description:
      - Whether neighbours of our peer-group that are not listed are removed. With V(false) they stay for now, so that
        a session that replaces theirs can come up first.
    type: bool
    default: true
  may_reset:
    description:
      - Addresses of the neighbours whose sessions may be reset by this run; without it all of them.
      - Of the others, what cannot change without a reset (C(remote-as), C(local-as), C(password), C(ebgp-multihop) and
        the like) stays as it is, and is returned as RV(pending). All else is changed.
      - So AS numbers and passwords can be rolled through the sessions one after the other. A neighbour that is new or
        goes does not count as one that is reset; see O(prune) for the latter.
    type: list
    elements: str
  import_prefixes:
    description: What the switch takes from the reflectors, normally the pod pools. Nothing else is taken.
    type: list
    elements: dict
    default: []
    suboptions: &prefix
      prefix:
        description: An IPv4 network.
        type: str
        required: true
      ge:
        description: Smallest prefix length, in bits.
        type: int
      le:
        description: Largest prefix length, in bits.
        type: int
  export_prefixes:
    description:
      - What the reflectors may learn from the switch. Nothing else is announced to them.
      - A prefix that holds the address of a neighbour is refused. Nodes that learn their own network by BGP lose their
        routes to each other.
    type: list
    elements: dict
    default: []
    suboptions: *prefix
  services:
    description:
      - Those networks of O(import_prefixes) that all reflectors announce alike. They only serve RV(findings).
    type: list
    elements: str
    default: []
  max_prefix:
    description:
      - A session that sends more prefixes than this is closed for five minutes; at 80% a warning is logged.
        V(0) is no limit.
    type: int
    default: 2000
  timers:
    description: Timers of the sessions, in seconds.
    type: dict
    default: {}
    suboptions:
      keepalive:
        description: Time between keepalives.
        type: int
        default: 10
      hold:
        description: Silence after which the session is down; at least three times O(timers.keepalive).
        type: int
        default: 30
      connect:
        description: Time between attempts to connect.
        type: int
        default: 10
  config_file:
    description: The integrated configuration file that FRR reads at its start.
    type: path
    default: /etc/frr/frr.conf
  wait_established:
    description:
      - How long to wait for every session to be established, in seconds. V(0) only reports what is seen.
      - The first run on a new estate cannot wait, because the reflectors are told of the switch afterwards.
    type: int
    default: 0
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - FRR 8.4 or newer with bgpd running and an integrated configuration file
seealso:
  - module: hybridk8s.estate.bgp_topology
author: hybridk8s.estate authors (@hybridk8s)
"""

EXAMPLES = r"""
- name: Peer with the reflectors of the rack
  hybridk8s.estate.frr_bgp:
    estate: lab
    as_number: 64901
    neighbours:
      - address: 10.20.1.11
        remote_as: 64512
        description: cp1
    import_prefixes:
      - prefix: 10.21.0.0/16
        ge: 26
        le: 32
    export_prefixes:
      - prefix: 10.99.0.0/16
        le: 32
"""

RETURN = r"""
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: The verb.
      type: str
      sample: create
    target:
      description: The object.
      type: str
      sample: neighbour/10.20.1.11
    reason:
      description: Why.
      type: str
commands:
  description: The lines that were loaded into the running configuration, passwords hidden.
  returned: success
  type: list
  elements: str
findings:
  description: What the switch's own settings make of our routes, for people; the module does not change those.
  returned: success
  type: list
  elements: str
pending:
  description: Neighbours that differ from what is wanted in what they may not be reset for; see O(may_reset).
  returned: success
  type: list
  elements: dict
  contains:
    neighbour:
      description: Address of the neighbour.
      type: str
    attributes:
      description: What would change.
      type: list
      elements: str
      sample: [password, remote-as]
sessions:
  description: Every session of ours as the switch sees it; not what would be, in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    neighbour:
      description: Address of the reflector.
      type: str
    state:
      description: Its BGP state, V(Missing) when the switch does not know it.
      type: str
      sample: Established
    remote_as:
      description: AS of the reflector.
      type: int
    prefixes_received:
      description: Number of prefixes taken from it.
      type: int
    uptime:
      description: Seconds since it was established.
      type: float
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import Configuration, Parts, hide
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.objects import wanted_parts, with_former
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.plan import commands, findings, steps_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.reset import hold
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.sessions import Session, sessions_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.text import merge, read
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.vtysh import Switch, alone, text_of, write
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step, result
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import (
    Pending,
    SwitchError,
    Wanted,
    refusal,
    wanted_of,
)

PREFIX = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {"prefix": {"type": "str", "required": True}, "ge": {"type": "int"}, "le": {"type": "int"}},
}
ARGUMENTS: dict[str, Any] = {
    "estate": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "as_number": {"type": "int", "required": True, "aliases": ["as"]},
    "local_as": {"type": "int"},
    "neighbours": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "address": {"type": "str", "required": True},
            "remote_as": {"type": "int", "required": True},
            "description": {"type": "str", "default": ""},
            "multihop": {"type": "int", "default": 2},
            "password": {"type": "str", "no_log": True},
        },
    },
    "prune": {"type": "bool", "default": True},
    "may_reset": {"type": "list", "elements": "str"},
    "import_prefixes": PREFIX,
    "export_prefixes": PREFIX,
    "services": {"type": "list", "elements": "str", "default": []},
    "max_prefix": {"type": "int", "default": 2000},
    "timers": {
        "type": "dict",
        "default": {},
        "options": {
            "keepalive": {"type": "int", "default": 10},
            "hold": {"type": "int", "default": 30},
            "connect": {"type": "int", "default": 10},
        },
    },
    "config_file": {"type": "path", "default": "/etc/frr/frr.conf"},
    "wait_established": {"type": "int", "default": 0},
}
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """What a run does: ``lines`` for the daemons, the file from ``written`` to ``saved``, and what it puts off."""

    before: Configuration
    parts: Parts
    steps: list[Step]
    lines: list[str]
    written: str
    saved: str
    pending: tuple[Pending, ...]


def plan_of(params: dict[str, Any], switch: Switch, wanted: Wanted) -> Plan:
    """Compare what is wanted with what runs and with the file; SwitchError where the switch must not be touched."""
    running, path = switch.running(), params["config_file"]
    before, written = read(running, wanted.estate), text_of(path)
    refused = refusal(wanted, before.as_number, before.foreign)
    if refused:
        raise SwitchError(refused)
    parts = wanted_parts(wanted) if params["prune"] else with_former(wanted_parts(wanted), before)
    parts, pending = hold(parts, before, params["may_reset"])
    steps = steps_of(before, wanted, parts)
    unwritten = steps_of(read(written, wanted.estate), wanted, parts)
    saved = merge(written, wanted, parts) if unwritten else written
    if steps or unwritten:
        for name, text in ((path, saved), ("the running configuration", merge(running, wanted, parts))):
            said = switch.refusal(text)
            if said:
                raise SwitchError(f"FRR's parser refuses {name} as it would become, nothing was changed: {said}.")
    return Plan(before, parts, steps, commands(before, wanted, parts), written, saved, pending)


def change(switch: Switch, wanted: Wanted, plan: Plan) -> None:
    """Load what differs; put back what was there when the switch does not take it."""
    said = switch.load(plan.lines)
    after = read(switch.running(), wanted.estate)
    missing = steps_of(after, wanted, plan.parts)
    if not said and not missing:
        return
    switch.load(commands(after, wanted, plan.before.parts))
    named = ", ".join(step.target for step in missing) or "a line"
    raise SwitchError(
        f"the switch did not take {named}: {said or 'no reason given'}. What was configured before has been put back. "
        "Compare the switch's own configuration with the inventory."
    )


def wait(module: AnsibleModule, switch: Switch, wanted: Wanted, seconds: int) -> tuple[Session, ...]:
    """The sessions once all are established; fails when they are not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        sessions = sessions_of(switch.show("bgp ipv4 unicast summary json"), wanted)
        down = [session for session in sessions if not session.established]
        if not down or not seconds:
            return sessions
        if time.monotonic() >= deadline:
            listed = ", ".join(f"{s.neighbour} (AS {s.remote_as}): {s.state}" for s in down)
            module.fail_json(
                msg=f"after {seconds} s these sessions of AS {wanted.shown_as} are not established: {listed}. Check "
                "that the reflector runs, that it peers with this switch (AS, password) and that TCP port 179 is open.",
                sessions=[asdict(session) for session in sessions],
            )
        time.sleep(POLL_SECONDS)


def run(module: AnsibleModule, switch: Switch) -> dict[str, Any]:
    """Observe, plan, apply; the module's result."""
    absent = {"neighbours": []} if module.params["state"] == "absent" else {}
    wanted, path = wanted_of({**module.params, **absent}), module.params["config_file"]
    with alone(path):
        plan = plan_of(module.params, switch, wanted)
        unwritten = plan.saved != plan.written
        if plan.steps and not module.check_mode:
            change(switch, wanted, plan)
        if unwritten and not module.check_mode:
            write(path, plan.saved, module.atomic_move)
    writing = [Step("write", path, "keeps our part over a restart of FRR")] if unwritten else []
    seconds = 0 if module.check_mode else module.params["wait_established"]
    sessions = wait(module, switch, wanted, seconds) if plan.parts else ()
    return result(
        [*plan.steps, *writing],
        diff=module._diff,
        commands=[hide(line) for line in plan.lines],
        findings=findings(plan.before, module.params["services"]),
        pending=[asdict(pending) for pending in plan.pending],
        sessions=[asdict(session) for session in sessions],
    )


def main() -> None:
    """Do it and report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    vtysh = module.get_bin_path("vtysh")
    if not vtysh:
        module.fail_json(
            msg="vtysh is not installed. Install FRR (package frr), or take this host out of the group switches."
        )
    try:
        done = run(module, Switch(vtysh, module.run_command, module.tmpdir))
    except SwitchError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error}. Correct config_file (switch_bgp_config_file), or the switch's file system.")
    module.exit_json(**done)


if __name__ == "__main__":
    main()
