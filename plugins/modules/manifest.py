#!/usr/bin/python
# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest
short_description: Apply Kubernetes documents, upstream ones patched structurally
description:
  - Applies documents that are given, fetched at a pinned checksum, or rendered of a Helm chart, or all of these, with
    server-side apply as the field manager C(hybridk8s.estate). Fields of other managers are taken over.
  - Upstream manifests and charts are not copied but patched, with O(omit) and O(overlays). An entry that fits no
    document is an error, so that a patch never silently misses a new upstream version.
  - What would change is found by a dry run that is compared with the live object. A second run changes nothing.
  - The order is namespaces, custom resource definitions (and until they are served), access rules, configuration, other
    kinds, workloads, webhooks; each group in parallel.
author: hybridk8s.estate authors (@hybridk8s)
extends_documentation_fragment:
  - hybridk8s.estate._cluster
  - hybridk8s.estate._attributes
requirements:
  - PyYAML
attributes:
  check_mode:
    support: full
    details: Documents of a kind that is not defined yet count as to be created.
  diff_mode:
    support: full
    details: The values of Secrets are not shown.
  idempotent:
    support: full
options:
  documents:
    description: The documents, as mappings.
    type: list
    elements: dict
  src:
    description:
      - More documents, as YAML, from an URL (V(http://), V(https://)) or a path on the host the module runs on.
      - One of O(documents), O(src) and O(chart) is required.
    type: str
  checksum:
    description: SHA-256 of O(src), in hexadecimal, maybe with V(sha256:) before it. Required when it is an URL.
    type: str
  mirror:
    description: Base URL of a mirror. V(https://HOST/PATH) is then fetched as C(<mirror>/HOST/PATH).
    type: str
  chart:
    description:
      - A Helm chart whose documents are wanted. Helm only renders it, on the host the module runs on; it sees no
        cluster and keeps no release.
    type: dict
    suboptions:
      path:
        description: Directory or archive of the chart.
        type: path
        required: true
      release:
        description: Name of the release, which charts put into names and labels.
        type: str
        required: true
      values:
        description: Values beside the chart's own.
        type: dict
        default: {}
      helm:
        description: The Helm program, a name or a path.
        type: path
        default: helm
  omit:
    description: Documents to leave out.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Kind of the document.
        type: str
        required: true
      name:
        description: Its name, or a pattern such as V(*.crd.projectcalico.org); all of that kind when left out.
        type: str
      namespace:
        description: Its namespace; any when left out.
        type: str
      api_version:
        description: Its API version; any when left out.
        type: str
  overlays:
    description: What to lay over documents, in this order.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Kind of the document.
        type: str
        required: true
      name:
        description: Its name.
        type: str
        required: true
      namespace:
        description: Its namespace; any when left out.
        type: str
      api_version:
        description: Its API version; any when left out.
        type: str
      overlay:
        description:
          - Merged into the document. Mappings are merged key by key, V(null) removes a key. Lists whose items are
            mappings with a C(name) are merged by that name; C($patch=delete) in such an item removes it. All else is
            replaced.
        type: dict
        required: true
  namespace:
    description: Namespace of documents that need one and name none.
    type: str
    default: default
  estate:
    description: Name of the estate, written to each object as annotation C(estate.hybridk8s.io/estate).
    type: str
  set:
    description: Name of the set of objects that the documents make, written as annotation C(estate.hybridk8s.io/set).
    type: str
  prune:
    description:
      - Delete objects of O(set) that the documents no longer have. They are found by their label
        C(app.kubernetes.io/managed-by=hybridk8s.estate) and that annotation.
    type: bool
    default: false
  wait:
    description:
      - Seconds to wait until the Deployments, DaemonSets and StatefulSets among the documents are rolled out. V(0) does
        not wait. Pods of DaemonSets on nodes that are not Ready are not waited for.
      - When the time is over the module fails and names pods and reasons. Not done in check mode.
    type: int
    default: 0
seealso:
  - module: hybridk8s.estate.node
"""

EXAMPLES = r"""
- name: Apply the official Calico manifest, without encapsulation
  hybridk8s.estate.manifest:
    kubeconfig: "{{ admin_kubeconfig }}"
    src: https://raw.githubusercontent.com/projectcalico/calico/v3.31.0/manifests/calico.yaml
    checksum: "{{ calico_manifest_sha256 }}"
    mirror: "{{ estate_mirror.downloads }}"
    set: calico
    overlays:
      - kind: DaemonSet
        name: calico-node
        overlay:
          spec:
            template:
              spec:
                containers:
                  - name: calico-node
                    env:
                      - {name: CALICO_IPV4POOL_IPIP, value: Never}
    wait: 300

- name: Apply own documents and delete those that are no longer among them
  hybridk8s.estate.manifest:
    kubeconfig: ~/.kube/config
    documents: "{{ lookup('ansible.builtin.file', 'peers.yml') | from_yaml_all | list }}"
    set: bgp
    prune: true
"""

RETURN = r"""
steps:
  description: What was (or in check mode would be) done, one entry an object.
  returned: always
  type: list
  elements: dict
  contains:
    action: {description: 'V(create), V(update) or V(delete)', type: str, returned: always}
    target: {description: The object, type: str, returned: always, sample: DaemonSet/kube-system/calico-node}
    reason: {description: Which fields differ or why else, type: str, returned: always}
objects:
  description: How many objects the documents describe.
  returned: always
  type: int
requests:
  description: How many requests were made to the API server.
  returned: always
  type: int
"""

import hashlib

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.urls import open_url
from ansible_collections.hybridk8s.estate.plugins.module_utils import _manifest
from ansible_collections.hybridk8s.estate.plugins.module_utils._chart import Chart
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import CLUSTER_ARGUMENTS, KubeError, open_cluster
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest_apply import Rollout
from ansible_collections.hybridk8s.estate.plugins.module_utils._mirror import rewrite
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import result

_NAMED = {"kind": {"type": "str", "required": True}, "namespace": {"type": "str"}, "api_version": {"type": "str"}}
ARGUMENTS = {
    **CLUSTER_ARGUMENTS,
    "documents": {"type": "list", "elements": "dict"},
    "src": {"type": "str"},
    "checksum": {"type": "str"},
    "mirror": {"type": "str"},
    "chart": {
        "type": "dict",
        "options": {
            "path": {"type": "path", "required": True},
            "release": {"type": "str", "required": True},
            "values": {"type": "dict", "default": {}},
            "helm": {"type": "path", "default": "helm"},
        },
    },
    "omit": {"type": "list", "elements": "dict", "default": [], "options": {**_NAMED, "name": {"type": "str"}}},
    "overlays": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **_NAMED,
            "name": {"type": "str", "required": True},
            "overlay": {"type": "dict", "required": True},
        },
    },
    "namespace": {"type": "str", "default": "default"},
    "estate": {"type": "str"},
    "set": {"type": "str"},
    "prune": {"type": "bool", "default": False},
    "wait": {"type": "int", "default": 0},
}
TRIES = 3


def fetch(url):
    for left in reversed(range(TRIES)):
        try:
            return open_url(url, timeout=30, http_agent="hybridk8s.estate").read()
        except OSError as error:
            if not left or getattr(error, "code", 500) < 500:
                raise _manifest.ManifestError(f"src: {url} cannot be fetched: {error}. Check it, or mirror.") from error
    raise AssertionError("not reached")


def read_source(params):
    """The text of src, verified."""
    source, checksum = params["src"], (params["checksum"] or "").removeprefix("sha256:").lower()
    if source.startswith(("http://", "https://")):
        if not checksum:
            raise _manifest.ManifestError(f"checksum is not set; what {source} delivers must be pinned by its SHA-256.")
        data = fetch(rewrite(source, params["mirror"]))
    else:
        try:
            with open(source, "rb") as file:
                data = file.read()
        except OSError as error:
            raise _manifest.ManifestError(f"src: {source} cannot be read: {error.strerror}.") from error
    found = hashlib.sha256(data).hexdigest()
    if checksum and found != checksum:
        raise _manifest.ManifestError(
            f"src: {source} has the SHA-256 {found} and not {checksum}. Do not use it unseen."
        )
    return data.decode("utf-8", "replace")


def documents_of(params):
    """The documents that the options describe, patched and marked as ours."""
    documents = _manifest.parse(read_source(params), params["src"]) if params["src"] else []
    documents += Chart(**params["chart"]).documents(params["namespace"]) if params["chart"] else []
    documents += _manifest.checked(params["documents"] or [], "documents")
    documents = _manifest.overlaid(_manifest.select(documents, params["omit"]), params["overlays"])
    documents = _manifest.checked(documents, "what the overlays made")
    return [_manifest.marked(document, params["estate"] or "", params["set"] or "") for document in documents]


def main():
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_one_of=[("documents", "src", "chart")],
        required_if=[("prune", True, ["set"])],
    )
    if _manifest.MISSING_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    params = module.params
    try:
        rollout = Rollout(
            cluster=open_cluster(module),
            documents=documents_of(params),
            namespace=params["namespace"],
            check_mode=module.check_mode,
            diff=module._diff,
        )
    except (KubeError, _manifest.ManifestError) as error:
        module.fail_json(msg=str(error))
    try:
        changes = rollout.plan()
        orphans = rollout.orphans(params["set"]) if params["prune"] else []
        if module.check_mode:
            rollout.done = [change.step for change in changes] + [step for _path, _document, step in orphans]
        else:
            rollout.apply(changes)
            rollout.prune(orphans)
            if params["wait"]:
                rollout.wait(params["wait"])
    except (KubeError, _manifest.ManifestError) as error:
        module.fail_json(msg=str(error), **report(module, rollout))
    module.exit_json(**report(module, rollout))


def report(module, rollout):
    return result(rollout.done, diff=module._diff, objects=len(rollout.documents), requests=rollout.cluster.requests)


if __name__ == "__main__":
    main()
