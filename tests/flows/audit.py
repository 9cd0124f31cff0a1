"""What the collection asks of the cluster's API server, by the server's own audit log.

A cluster of the collection has no audit log; `keep` gives one to the first control plane of a lab.
"""

from __future__ import annotations

import json

import yaml

from tests.flows.drive import booted, eventually, kubectl, ssh
from tests.integration.audit import Event, parse_events

AGENT = "hybridk8s.estate"
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_DIRECTORY = "/var/log/kubernetes-audit"
_POLICY, _LOG = f"{_DIRECTORY}/policy.yaml", f"{_DIRECTORY}/audit.log"
_WHAT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "userGroups": ["kubeadm:cluster-admins"]}, {"level": "None"}],
}


def keep() -> None:
    """Have the API server write down what administrators ask from here on."""
    host = _host()
    manifest = yaml.safe_load(ssh(host, f"cat {_MANIFEST}"))
    spec = manifest["spec"]
    container = spec["containers"][0]
    container["command"] += [f"--audit-policy-file={_POLICY}", f"--audit-log-path={_LOG}"]
    container["volumeMounts"].append({"name": "audit", "mountPath": _DIRECTORY})
    spec["volumes"].append({"name": "audit", "hostPath": {"path": _DIRECTORY, "type": "Directory"}})
    ssh(host, f"mkdir -p {_DIRECTORY} && cat > {_POLICY}", stdin=json.dumps(_WHAT))
    ssh(host, f"cat > {_MANIFEST}.new && mv {_MANIFEST}.new {_DIRECTORY}/manifest", stdin=yaml.safe_dump(manifest))
    ssh(host, f"mv {_DIRECTORY}/manifest {_MANIFEST}")
    eventually(lambda: _asks_and_hears(host), 120, "the API server writes its audit log")


def mark() -> int:
    """How long the log is: what `since` starts from."""
    return int(ssh(_host(), f"stat --format=%s {_LOG}"))


def since(marked: int) -> list[Event]:
    """What the collection asked after that."""
    text = ssh(_host(), f"tail --bytes=+{marked + 1} {_LOG}")
    return [event for event in parse_events(text) if event.agent == AGENT]


def writes(marked: int) -> list[Event]:
    """What of it wrote; what was asked to be tried alone did not."""
    return [event for event in since(marked) if event.verb in WRITES and "dryRun=All" not in event.uri]


def _asks_and_hears(host: str) -> bool:
    kubectl("get", "nodes")
    return mark() > 0


def _host() -> str:
    return booted("control_plane")[0]
