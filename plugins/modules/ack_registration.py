#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ack_registration
short_description: Register a cluster with Alibaba Cloud's container service (ACK)
description:
  - Registers the cluster as one of type C(ExternalKubernetes), once, fetches the manifest of ACK's agent, judges it,
    applies it, and waits until ACK says that the cluster runs. Or takes all of it back.
  - There is one registration, whatever ends a run and however many run at once. It is found by its name and the tag
    C(estate.hybridk8s.io/estate), and from the first run on by the ConfigMap
    C(kube-system/estate-ack-registration), which holds its id.
  - Of the manifest nothing is applied unless all of it is as ACK documents it. It may hold an account, its rights, a
    Deployment, ConfigMaps and credentials, with the agent's names, in C(kube-system) and C(kube-public), with images of
    ACK's own registries, and no access to hosts nor to Secrets of others. In the mode V(restricted) it gives no rights
    but those of that mode, and in V(admin) none to anybody but the agent and the account that registered.
  - What the agent itself writes into its ConfigMaps stays, and so do credentials with which it is connected.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._alibaba
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
requirements:
  - PyYAML
attributes:
  check_mode:
    support: full
    details: Where the cluster is not registered yet, what its agent's manifest holds is not known.
  diff_mode:
    support: full
    details: The values of Secrets are not shown.
  idempotent:
    support: full
options:
  estate:
    description: Name of the estate, the registration's tag.
    type: str
    required: true
  state:
    description:
      - V(registered) has ACK know the cluster and judges the agent's manifest, and applies nothing.
      - V(running) also applies the agent, and waits until it is connected.
      - V(absent) takes the registration back, with what ACK made for it, and then the agent.
    type: str
    choices: [registered, running, absent]
    default: running
  name:
    description: The cluster's name in ACK.
    type: str
    required: true
  vpc:
    description: The VPC of ACK's end of the connection.
    type: str
    required: true
  vswitches:
    description: Ids of the vSwitches of ACK's end. Required unless O(state=absent).
    type: list
    elements: str
    default: []
  security_group:
    description: The security group of ACK's end; by default ACK makes one.
    type: str
    default: ''
  service_cidr:
    description: The range of the cluster's services.
    type: str
    default: ''
  public_endpoint:
    description: Whether ACK's end also has a public address.
    type: bool
    default: false
  agent_mode:
    description:
      - What the agent may do in the cluster. With V(restricted) it reads and writes ConfigMaps of its own, with
        V(admin) ACK's console is an administrator of the cluster.
    type: str
    choices: [restricted, admin]
    default: restricted
  private:
    description: Whether the agent connects to ACK's address inside the VPC, over the dedicated line.
    type: bool
    default: true
  registries:
    description: Beginnings of image names that are trusted beside ACK's own registries, such as V(mirror.example/acs/).
    type: list
    elements: str
    default: []
  manifest:
    description:
      - The agent's manifest as YAML, where the API that gives it is not available. By default it is fetched.
      - Look it up from a vaulted file, for it holds credentials.
    type: str
  wait:
    description: Seconds to wait for ACK and for the agent's pods, each time. V(0) does not wait for the agent.
    type: int
    default: 300
seealso:
  - module: hybridk8s.estate.tls_endpoint
  - module: hybridk8s.estate.manifest
"""

EXAMPLES = r"""
- name: Register the cluster with ACK
  hybridk8s.estate.ack_registration:
    kubeconfig: ~/.kube/config
    estate: "{{ estate_name }}"
    name: "{{ estate_name }}"
    region: "{{ estate_cloud.region }}"
    credentials: "{{ estate_cloud.credentials | default({}) }}"
    endpoints: "{{ estate_cloud.endpoints | default({}) }}"
    vpc: "{{ estate_cloud.vpc }}"
    vswitches: "{{ estate_cloud.node_vswitches.values() | map(attribute='id') }}"
    service_cidr: "{{ estate_networks.services }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
registration:
  description: The cluster as ACK has it; empty where it has none.
  returned: always
  type: dict
  contains:
    id: {description: ACK's id of the cluster, type: str, returned: always}
    name: {description: Its name, type: str, returned: always}
    state: {description: 'V(waiting) until an agent is connected, then V(running)', type: str, returned: always}
    endpoint:
      description: Where its agent connects, C(host) and C(port), and C(authority), by which its server is verified.
      type: dict
      returned: always
findings:
  description: What is wrong with the agent's manifest or the registration.
  returned: always
  type: list
  elements: dict
  contains:
    code: {description: Which finding it is, type: str, returned: always}
    severity: {description: V(error) or V(warning), type: str, returned: always}
    message: {description: What is wrong, type: str, returned: always}
    remedy: {description: What to do, type: str, returned: always}
steps:
  description: What was done (in check mode, would be), in order.
  returned: always
  type: list
  elements: dict
requests:
  description: How many requests were made to the cloud, by action.
  returned: always
  type: dict
  sample: {DescribeClusterDetail: 1, DescribeExternalAgent: 1}
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hybridk8s.estate.plugins.module_utils import _manifest
from ansible_collections.hybridk8s.estate.plugins.module_utils._ack.agent import MODES
from ansible_collections.hybridk8s.estate.plugins.module_utils._ack.registration import (
    Registration,
    RegistrationError,
    shown,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ack.service import Service, Wanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    CLOUD_ARGUMENTS,
    access_of,
    open_cloud,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import conclude
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

ARGUMENTS = {
    **CLOUD_ARGUMENTS,
    **CLUSTER_ARGUMENTS,
    "estate": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["registered", "running", "absent"], "default": "running"},
    "name": {"type": "str", "required": True},
    "vpc": {"type": "str", "required": True},
    "vswitches": {"type": "list", "elements": "str", "default": []},
    "security_group": {"type": "str", "default": ""},
    "service_cidr": {"type": "str", "default": ""},
    "public_endpoint": {"type": "bool", "default": False},
    "agent_mode": {"type": "str", "choices": list(MODES), "default": "restricted"},
    "private": {"type": "bool", "default": True},
    "registries": {"type": "list", "elements": "str", "default": []},
    "manifest": {"type": "str", "no_log": True},
    "wait": {"type": "int", "default": 300},
}
TROUBLES = (CloudError, KubeError, _manifest.ManifestError, RegistrationError)


def wanted_of(params):
    """The registration that the options describe."""
    return Wanted(
        estate=params["estate"],
        name=params["name"],
        vpc=params["vpc"],
        vswitches=tuple(params["vswitches"]),
        security_group=params["security_group"],
        service_cidr=params["service_cidr"],
        public_endpoint=params["public_endpoint"],
        agent_mode=params["agent_mode"],
        private=params["private"],
    )


def main():
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
    )
    if _manifest.MISSING_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    params = module.params
    if params["state"] != "absent" and not params["vswitches"]:
        module.fail_json(msg="vswitches is empty; ACK's end of the connection needs one at least.")
    try:
        cloud = open_cloud(access_of(params))
        registration = Registration(
            service=Service(cloud),
            cluster=open_cluster(module),
            wanted=wanted_of(params),
            check=module.check_mode,
            diff=module._diff,
            registries=params["registries"],
            manifest=params["manifest"] or "",
            seconds=params["wait"],
            hide=module.no_log_values.update,
        )
    except (CloudError, KubeError) as error:
        module.fail_json(msg=str(error))
    act = {"registered": registration.register, "running": registration.run, "absent": registration.take_back}
    try:
        act[params["state"]]()
    except TROUBLES as error:
        findings = [finding.as_dict() for finding in registration.outcome.findings]
        module.fail_json(msg=str(error), findings=findings, **report(module, registration, cloud))
    conclude(module, registration.outcome.findings, **report(module, registration, cloud))


def report(module, registration, cloud):
    """The module's result so far."""
    outcome = registration.outcome
    return result(
        outcome.steps,
        module._diff,
        registration=shown(outcome),
        requests=dict(cloud.requests),
    )


if __name__ == "__main__":
    main()
