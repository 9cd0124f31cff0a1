#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Take the etcd members of hosts that go out of their cluster
description:
  - Runs on a living control plane whose etcd kubeadm made, and asks that etcd. The hosts that go are not contacted.
  - Members go one after the other, each only if a majority of the voting members serves before it and of the others
    serves without it. After each, the module waits until that is so.
  - A member that still answers belongs to a host that is alive, and is refused unless O(left) names it.
  - Where etcd does not run on the control planes there is nothing to do.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  names:
    description: The nodes whose members are to go, in this order. One without a member is no error.
    type: list
    elements: str
    required: true
  addresses:
    description: Their addresses by name, by which a member is found that never started and so has no name.
    type: dict
    default: {}
  left:
    description: Those of O(names) whose members go although they still answer, as their hosts leave.
    type: list
    elements: str
    default: []
  on_failure:
    description: Whether the module fails when a member could not go, or only reports it in RV(nodes).
    type: str
    choices: [fail, report]
    default: fail
  timeout:
    description: Seconds that etcd gets to let go of each member, and to settle after it.
    type: int
    default: 60
seealso:
  - module: hybridk8s.estate.node_remove
  - module: hybridk8s.estate.kubeadm_node
"""

EXAMPLES = r"""
- name: Take the member of a dead control plane out
  hybridk8s.estate.etcd_member:
    names: [cp1]
    addresses: {cp1: 10.20.1.11}
  delegate_to: cp2
"""

RETURN = r"""
nodes:
  description: What became of each host's member, by name.
  returned: success
  type: dict
  contains:
    state: {description: 'V(removed), V(absent), V(refused) or V(failed)', type: str, returned: success}
    message: {description: Why, type: str, returned: success}
    changed: {description: Whether it was (in check mode would be) removed, type: bool, returned: success}
  sample: {cp1: {state: removed, message: '', changed: true}}
members:
  description: The members that are left (in check mode, would be).
  returned: success
  type: list
  elements: dict
  contains:
    id: {description: Its number, type: str, returned: success}
    name: {description: Its name; empty for one that never started, type: str, returned: success}
    peer_urls: {description: Where the others reach it, type: list, elements: str, returned: success}
    learner: {description: Whether it does not vote yet, type: bool, returned: success}
    serves: {description: Whether it answers and has a leader, type: bool, returned: success}
quorum:
  description: Voting members, those of them that serve, and how many have to, before and after.
  returned: success
  type: dict
  sample:
    before: {voters: 3, serving: 2, needed: 2}
    after: {voters: 2, serving: 2, needed: 2}
steps:
  description: What was done (in check mode, would be), in order.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._etcd_members import Cluster, Going, quorum
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

ARGUMENTS = {
    "names": {"type": "list", "elements": "str", "required": True},
    "addresses": {"type": "dict", "default": {}},
    "left": {"type": "list", "elements": "str", "default": []},
    "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
    "timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    wanted = [Going(name, params["addresses"].get(name, ""), name in params["left"]) for name in params["names"]]
    try:
        outcome = Cluster(Host(), params["timeout"]).remove(wanted, module.check_mode)
    except (Failure, OSError) as error:
        module.fail_json(msg=str(error))
    report = result(
        outcome.steps,
        module._diff,
        nodes={
            name: {"state": state, "message": why, "changed": state == "removed"}
            for name, (state, why) in outcome.states.items()
        },
        members=[member.as_dict() for member in outcome.after],
        quorum={"before": quorum(outcome.before).as_dict(), "after": quorum(outcome.after).as_dict()},
    )
    if outcome.unsettled and params["on_failure"] == "fail":
        named = "; ".join(f"{name}: {why}" for name, why in outcome.unsettled.items())
        module.fail_json(msg=f"Not every member could go. {named}", **report)
    module.exit_json(**report)


if __name__ == "__main__":
    main()
