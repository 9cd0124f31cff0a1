#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bootstrap_token
short_description: A short-lived token with which hosts join the cluster
description:
  - Makes a bootstrap token, or deletes one. Its Secret is C(bootstrap-token-ID) in the namespace C(kube-system).
  - Each run with O(state=present) makes a new token; a token is meant for one run and to be deleted after it.
  - Tokens of this collection that have expired are deleted in passing, whatever the state.
  - The result holds the secret; set C(no_log) on the task.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
attributes:
  check_mode:
    support: full
    details: In check mode RV(token) has the right form and is not valid anywhere.
  diff_mode:
    support: full
    details: Names the Secrets, never shows their content.
  idempotent:
    support: partial
    details: Only O(state=absent); O(state=present) makes a new token each time.
options:
  state:
    description: Whether to make a token or to delete the one named by O(token_id).
    type: str
    choices: [present, absent]
    default: present
  token_id:
    description: The public half of the token to delete. Required with O(state=absent).
    type: str
  ttl:
    description: How long the token is valid, such as V(15m) or V(1h30m); at most 24 hours.
    type: str
    default: 15m
  groups:
    description: Groups that a host has which shows the token. The default is what kubeadm's rules let join.
    type: list
    elements: str
    default: [system:bootstrappers:kubeadm:default-node-token]
  description:
    description: What the token is for, shown by C(kubeadm token list).
    type: str
    default: made by hybridk8s.estate
"""

EXAMPLES = r"""
- name: Make a token for this run
  hybridk8s.estate.bootstrap_token:
    kubeconfig: "{{ admin_kubeconfig }}"
    description: join w5
  register: join_token
  no_log: true

- name: Revoke it after use
  hybridk8s.estate.bootstrap_token:
    kubeconfig: "{{ admin_kubeconfig }}"
    state: absent
    token_id: "{{ join_token.token_id }}"
"""

RETURN = r"""
token:
  description: The token, C(ID.SECRET).
  returned: with O(state=present)
  type: str
  sample: abcdef.0123456789abcdef
token_id:
  description: The public half of the token.
  returned: always
  type: str
  sample: abcdef
expires:
  description: When the token expires, in UTC.
  returned: with O(state=present)
  type: str
  sample: '2026-11-23T06:00:00Z'
steps:
  description: What was (or in check mode would be) done.
  returned: always
  type: list
  elements: dict
  contains:
    action: {description: V(create) or V(delete), type: str, returned: always}
    target: {description: The Secret, type: str, returned: always}
    reason: {description: Why, type: str, returned: always}
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils import _token
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    CLUSTER_ARGUMENTS,
    FIELD_MANAGER,
    KubeError,
    open_cluster,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step, result

ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "token_id": {"type": "str", "no_log": False},
    "ttl": {"type": "str", "default": "15m"},
    "groups": {"type": "list", "elements": "str", "default": [_token.JOIN_GROUP]},
    "description": {"type": "str", "default": "made by hybridk8s.estate"},
}
OURS = {
    "labelSelector": f"app.kubernetes.io/managed-by={FIELD_MANAGER}",
    "fieldSelector": "type=bootstrap.kubernetes.io/token",
}


def target(name):
    return f"secret/kube-system/{name}"


def prune(module, cluster, now, spared):
    """Delete our tokens that have expired, but the one that is deleted by name."""
    names = [name for name in _token.expired(cluster.list(_token.SECRETS, OURS), now) if name != spared]
    if not module.check_mode:
        names = [name for name in names if cluster.delete(f"{_token.SECRETS}/{name}")]
    return [Step("delete", target(name), "the token has expired") for name in names]


def create(cluster, made):
    try:
        cluster.create(_token.SECRETS, made)
    except KubeError as error:
        # The id is random: what is there already is this token, from a request whose answer was lost.
        if error.status != 409:
            raise


def present(module, cluster):
    now = datetime.now(timezone.utc)
    expires = now + _token.duration(module.params["ttl"])
    token = _token.fresh()
    steps = prune(module, cluster, now, spared="")
    if not module.check_mode:
        made = _token.secret_of(token, expires, module.params["groups"], module.params["description"])
        create(cluster, made)
    until = _token.rfc3339(expires)
    steps.append(Step("create", target(_token.secret_name(token.id)), f"a token valid until {until}"))
    return steps, {"token": str(token), "token_id": token.id, "expires": until}


def absent(module, cluster):
    token_id = module.params["token_id"]
    name = _token.secret_name(token_id)
    path = f"{_token.SECRETS}/{name}"
    there = cluster.get(path) is not None if module.check_mode else cluster.delete(path)
    steps = [Step("delete", target(name), "the token is no longer wanted")] if there else []
    steps += prune(module, cluster, datetime.now(timezone.utc), spared=name)
    return steps, {"token_id": token_id}


def problem_with(params):
    """What is wrong with the options, as a message; empty when they can be used."""
    if params["state"] == "absent":
        return "" if _token.TOKEN_ID.match(params["token_id"]) else "token_id: six letters a-z and digits are wanted."
    bad = _token.bad_groups(params["groups"])
    if bad:
        return (
            f"groups: {', '.join(bad)} does not start with system:bootstrappers: and hold a-z, 0-9, ':' and '-' only."
        )
    try:
        _token.duration(params["ttl"])
    except ValueError as error:
        return f"ttl: {error}."
    return ""


def main():
    module = AnsibleModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, required_if=[("state", "absent", ["token_id"])]
    )
    try:
        cluster = open_cluster(module)
        problem = problem_with(module.params)
        if problem:
            module.fail_json(msg=problem)
        steps, extra = (present if module.params["state"] == "present" else absent)(module, cluster)
    except KubeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result(steps, diff=module._diff, requests=cluster.requests, **extra))


if __name__ == "__main__":
    main()
