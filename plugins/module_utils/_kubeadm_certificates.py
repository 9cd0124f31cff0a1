# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lending a cluster's certificates to joining control planes; private to this collection."""

from __future__ import annotations

import re

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import KUBEADM_API, serialise
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_errors import report
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import SECRETS, Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_node import ADMIN_CONF, kubeconfig, local_api
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

SECRET = "kubeadm-certs"
PLACEHOLDER = "0" * 64
_SECRETS_PATH = "/api/v1/namespaces/kube-system/secrets"


def upload(host: Host, timeout: float, check: bool) -> tuple[list[Step], str]:
    """Upload them under a new key, which is returned with the steps. Raises Failure.

    The version is given in the configuration: without one kubeadm looks it up on the internet. Output goes through a
    pipe and not to the log, because the key is in it.
    """
    steps = [Step("upload", f"secret/{SECRET}", "control planes are to join")]
    if check:
        return steps, PLACEHOLDER
    version = host.run(["kubeadm", "version", "-o", "short"], timeout=30.0)
    if version.rc:
        raise Failure(f"kubeadm does not run here: {version.stderr.strip()}. Role kubernetes_node installs it.")
    document = {
        "apiVersion": KUBEADM_API,
        "kind": "ClusterConfiguration",
        "kubernetesVersion": version.stdout.strip(),
    }
    path = f"{SECRETS}/certificates.yaml"
    host.write(path, serialise([document]))
    try:
        arguments = ["--upload-certs", "--config", str(host.path(path))]
        done = host.run(["kubeadm", "init", "phase", "upload-certs", *arguments], timeout=timeout)
    finally:
        host.remove(path)
    key = re.search(r"^\s*([0-9a-f]{64})\s*$", done.stdout, re.MULTILINE)
    if done.rc or not key:
        raise Failure(report("Uploading the control-plane certificates", done.output))
    return steps, key.group(1)


def remove(host: Host, check: bool) -> list[Step]:
    """Delete the Secret, and the short-lived token that owns it. Raises Failure."""
    config = kubeconfig(host, ADMIN_CONF)
    if config is None:
        if check:
            return []
        raise Failure(f"{ADMIN_CONF} is not there. Run this on a control plane that is a member.")

    def ask(method: str, name: str) -> Answer:
        answer = host.ask(config, method, f"{_SECRETS_PATH}/{name}", address=local_api(host))
        if answer.status in (200, 202) or answer.denies("secrets", name):
            return answer
        why = answer.error or f"{answer.status} {answer.body.get('message', '')}"
        raise Failure(f"{method} secret/{name} failed on this control plane's API: {why}. Run again when it answers.")

    found = ask("GET", SECRET)
    if found.status == 404:
        return []
    owners = (found.body.get("metadata") or {}).get("ownerReferences") or []
    names = [SECRET, *(str(owner["name"]) for owner in owners if owner.get("kind") == "Secret")]
    steps = [Step("delete", f"secret/{name}", "no control plane joins any more") for name in names]
    if not check:
        for name in names:
            ask("DELETE", name)
    return steps
