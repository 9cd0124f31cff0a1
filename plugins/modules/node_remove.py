#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_remove
short_description: Forget nodes whose hosts have left the cluster
description:
  - Deletes the Node objects of the named hosts. Pods bound to them are then deleted by the cluster itself.
  - Does not drain and does not touch the hosts. See M(hybridk8s.estate.node_drain) and
    M(hybridk8s.estate.kubeadm_node).
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
options:
  names:
    description: Names of nodes. One that does not exist is no error.
    type: list
    elements: str
    required: true
seealso:
  - module: hybridk8s.estate.node_drain
"""

EXAMPLES = r"""
- name: Forget two nodes after their hosts were reset
  hybridk8s.estate.node_remove:
    kubeconfig: ~/.kube/config
    names: [w4, w5]
"""

RETURN = r"""
removed:
  description: Nodes that were deleted (in check mode, would be).
  returned: always
  type: list
  elements: str
steps:
  description: What was done (in check mode, would be), in order.
  returned: always
  type: list
  elements: dict
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils import _nodes
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    CLUSTER_ARGUMENTS,
    KubeError,
    open_cluster,
    parallel,
    segment,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step, result


def main():
    module = AnsibleModule(
        argument_spec={**CLUSTER_ARGUMENTS, "names": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        cluster = open_cluster(module)
        live = _nodes.read(cluster, module.params["names"])
    except KubeError as error:
        module.fail_json(msg=str(error))
    present = sorted(live)
    failed = {}
    if not module.check_mode:
        # The uid spares a node of the same name that registered in the meantime.
        outcomes = parallel(
            lambda name: cluster.delete(f"{_nodes.NODES}/{segment(name)}", live[name]["metadata"]["uid"]), present
        )
        failed = {outcome.item: str(outcome.error) for outcome in outcomes if outcome.error}
    removed = [name for name in present if name not in failed]
    steps = [Step("delete", f"node/{name}", "its host has left the cluster") for name in removed]
    report = result(steps, diff=module._diff, removed=removed, requests=cluster.requests)
    if failed:
        named = "; ".join(f"{name}: {why}" for name, why in sorted(failed.items()))
        module.fail_json(msg=f"{len(failed)} nodes could not be deleted: {named}", **report)
    module.exit_json(**report)


if __name__ == "__main__":
    main()
