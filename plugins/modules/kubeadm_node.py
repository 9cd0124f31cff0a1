#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_node
short_description: Make a host a member of a Kubernetes cluster, or none
description:
  - Observes what a host is to a cluster and runs C(kubeadm init), C(kubeadm join) or C(kubeadm reset) where that is
    needed. A member is never initialised or joined again.
  - A marker on the host (C(/var/lib/hybridk8s/kubeadm/in-progress)) says that kubeadm was begun and not seen to end. A
    lock that kubeadm inherits lets a later run wait for a kubeadm that outlived its controller.
  - A join that fails is cleaned up at once. One that was interrupted is taken as done when the node is registered (for
    a control plane, also marked and with its own API ready), otherwise it is cleaned up and made again.
  - A control plane's etcd member is taken out of its cluster before its data goes. While etcd does not agree, nothing
    is reset.
  - An unfinished init whose API answers is finished by kubeadm's remaining phases and not reset. It is reset only while
    no other node is registered in its API, or when that API was never seen to answer, so that nobody can have joined.
  - Kubernetes files without a marker and without a kubelet's credentials are another's. The module touches nothing then
    and fails; O(state=absent) removes them.
  - Secrets are written to files of mode 0600 in C(/run), removed afterwards, and never stand in a command line.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
    details: Works on a host where kubeadm is not installed yet.
  diff_mode:
    support: full
    details: Shows the configuration that kubeadm would get, without secrets.
  idempotent:
    support: full
options:
  state:
    description:
      - V(initialized) is a control plane of a cluster, created by this host if it is no member yet. Let exactly one
        host have this (see P(hybridk8s.estate.kubeadm_initializer#filter)).
      - V(joined) is a member of an existing cluster; a control plane if O(config) has C(controlPlane).
      - V(absent) is no member, with nothing of Kubernetes left. A control plane leaves etcd first. It does not drain
        and does not delete the node from the API.
    type: str
    choices: [initialized, joined, absent]
    required: true
  node_name:
    description: Name of the node. Required unless O(state=absent).
    type: str
  config:
    description:
      - Documents of C(kubeadm.k8s.io/v1beta4) and component configurations, without secrets. Make them by
        P(hybridk8s.estate.kubeadm_init#filter) or P(hybridk8s.estate.kubeadm_join#filter).
      - Required unless O(state=absent).
    type: list
    elements: dict
  discovery:
    description:
      - Kubeconfig without credentials that names the cluster's endpoint and CA. Make it by
        P(hybridk8s.estate.kubeadm_discovery#filter).
      - Needed when the host has to join. A worker's kubelet keeps its server.
      - When a member's CA is not this one, the host belongs to another cluster and the module fails.
    type: dict
  token:
    description: Bootstrap token. Needed when the host has to join.
    type: str
  certificate_key:
    description: Key of the uploaded control-plane certificates. Needed when the host has to join as control plane.
    type: str
  orphaned:
    description:
      - What to do with a worker whose node was deleted from the API, which must say so itself. V(rejoin) cleans the
        host and joins it again, V(keep) leaves it.
      - When the API cannot be asked, RV(registered) is V(unknown) and nothing is changed.
    type: str
    choices: [rejoin, keep]
    default: rejoin
  force:
    description:
      - Whether to go on when etcd refuses to let go of this host's member, because the cluster would lose its quorum.
      - Without it nothing is reset then. An etcd that does not answer is only a warning with O(state=absent).
    type: bool
    default: false
  cri_socket:
    description: Socket of the container runtime, for C(kubeadm reset). O(config) has its own.
    type: str
    default: unix:///run/containerd/containerd.sock
  ignore_preflight_errors:
    description: Preflight checks that C(kubeadm reset) may fail. O(config) has its own.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that one run of kubeadm may take.
    type: int
    default: 600
  lock_timeout:
    description: Seconds to wait for a kubeadm that is already at work on the host.
    type: int
    default: 600
  api_timeout:
    description: Seconds to wait for the API before a join and before an unfinished init is given up.
    type: int
    default: 60
seealso:
  - module: hybridk8s.estate.kubeadm_info
  - module: hybridk8s.estate.kubeadm_certificates
  - module: hybridk8s.estate.bootstrap_token
"""

EXAMPLES = r"""
- name: Create the cluster on the first control plane
  hybridk8s.estate.kubeadm_node:
    state: initialized
    node_name: "{{ inventory_hostname }}"
    config: "{{ node | hybridk8s.estate.kubeadm_init(cluster) }}"
  vars:
    node:
      name: "{{ inventory_hostname }}"
      ip: "{{ ansible_host }}"
      labels: {topology.kubernetes.io/zone: r1}
      ignore_preflight_errors: [SystemVerification]
    cluster:
      name: lab
      version: 1.36.3
      endpoint: api.lab.internal:7443
      service_cidr: 10.22.0.0/16
      pod_cidrs: [10.21.0.0/16]
      cert_sans: [10.20.1.11, 10.20.2.11, 10.20.2.12]
      kubelet: {failCgroupV1: false}
      kube_proxy: {conntrack: {maxPerCore: 0, min: 0}}

- name: Join a worker
  hybridk8s.estate.kubeadm_node:
    state: joined
    node_name: "{{ inventory_hostname }}"
    config: "{{ node | hybridk8s.estate.kubeadm_join }}"
    discovery: "{{ kubeconfig | hybridk8s.estate.kubeadm_discovery('https://api.lab.internal:7443') }}"
    token: "{{ bootstrap_token }}"
  vars:
    node:
      name: "{{ inventory_hostname }}"
      ip: "{{ ansible_host }}"
      taints: [{key: nvidia.com/gpu, value: present, effect: NoSchedule}]

- name: Join a control plane, one host after the other
  hybridk8s.estate.kubeadm_node:
    state: joined
    node_name: "{{ inventory_hostname }}"
    config: "{{ node | hybridk8s.estate.kubeadm_join(control_plane=true) }}"
    discovery: "{{ kubeconfig | hybridk8s.estate.kubeadm_discovery('https://api.lab.internal:7443') }}"
    token: "{{ bootstrap_token }}"
    certificate_key: "{{ certificates.certificate_key }}"
  throttle: 1

- name: Take a host out for good, after drain
  hybridk8s.estate.kubeadm_node:
    state: absent
    node_name: "{{ inventory_hostname }}"
"""

RETURN = r"""
node_name:
  description: The node's name as given.
  returned: success
  type: str
  sample: w1
membership:
  description:
    - What the host was and is (in check mode, would be).
    - One of V(none), V(worker), V(control_plane), V(half_initialized), V(half_joined), V(half_reset), V(foreign).
  returned: success
  type: dict
  contains:
    before:
      description: What was found.
      type: str
    after:
      description: What it is now.
      type: str
  sample: {before: none, after: worker}
registered:
  description:
    - Whether the API had the node when the module looked, V(yes), V(no), V(unknown), or empty where the host had no
      credentials to ask with.
  returned: success
  type: str
  sample: 'yes'
detail:
  description: Why RV(registered) is V(unknown), or that kubeadm is at work on the host now.
  returned: success
  type: str
  sample: ''
steps:
  description: What was done (in check mode, would be), in order.
  returned: success
  type: list
  elements: dict
  sample: [{action: join, target: node/w1, reason: it is no member of a cluster}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_node import converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure, Request
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

ARGUMENTS = {
    "state": {"type": "str", "choices": ["initialized", "joined", "absent"], "required": True},
    "node_name": {"type": "str"},
    "config": {"type": "list", "elements": "dict"},
    "discovery": {"type": "dict"},
    "token": {"type": "str", "no_log": True},
    "certificate_key": {"type": "str", "no_log": True},
    "orphaned": {"type": "str", "choices": ["rejoin", "keep"], "default": "rejoin"},
    "force": {"type": "bool", "default": False},
    "cri_socket": {"type": "str", "default": "unix:///run/containerd/containerd.sock"},
    "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 600},
    "lock_timeout": {"type": "int", "default": 600},
    "api_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[("state", "initialized", ["node_name", "config"]), ("state", "joined", ["node_name", "config"])],
        supports_check_mode=True,
    )
    given = {key: value for key, value in module.params.items() if value is not None}
    try:
        outcome = converge(Host(), Request(**given), module.check_mode)
    except (Failure, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(
        **result(
            outcome.steps,
            module._diff,
            node_name=module.params["node_name"] or "",
            membership={"before": outcome.before.membership, "after": outcome.after},
            registered=outcome.before.registered,
            detail=outcome.before.detail,
        )
    )


if __name__ == "__main__":
    main()
