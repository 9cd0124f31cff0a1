# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest of ACK's agent: what it may hold, judged before any of it is applied; private to this collection.

What is allowed is what ACK documents ("RBAC permissions required by ack-cluster-agent") and its published agent has
(AliyunContainerService/alibabacloud-ack-connector). All of it is pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._ack.service import Wanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Object
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest import identity, our_fields

SYSTEM = "kube-system"
ADMIN = "admin"
MODES = ("restricted", ADMIN)
# Who pushes there is Alibaba Cloud: the namespace acs of its own registries. At a customer's own registry
# (NAME-registry.REGION.cr.aliyuncs.com) and in other namespaces anybody does.
REGISTRIES = (
    r"registry(-vpc|-internal|-intl)?\.[a-z0-9-]+\.aliyuncs\.com/acs/",
    r"registry(-intl)?-[a-z0-9-]+(-vpc)?\.ack\.aliyuncs\.com/acs/",
)
# What only the agent, or whoever uses ACK, writes after it was made.
_KEPT_KINDS = ("ConfigMap", "Secret")
_RBAC = "rbac.authorization.k8s.io/v1"
_KINDS = {
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("apps/v1", "Deployment"),
    *((_RBAC, kind) for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")),
}
_NAMESPACES = {
    "ConfigMap": {SYSTEM},
    "Deployment": {SYSTEM},
    "Role": {SYSTEM, "kube-public"},
    "RoleBinding": {SYSTEM, "kube-public"},
    "Secret": {SYSTEM},
    "ServiceAccount": {SYSTEM},
}
_CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding")
# Others might be those of another component, which the agent's would replace.
_ACCOUNT = "ack"
_RIGHTS_NAMES = r"ack-.+|\d+-cluster-admin-clusterrolebinding"
_NAMES = {
    "ConfigMap": r"ack-.+|provider",
    "Deployment": r"(alibabacloud-)?ack-.+",
    "Secret": r"ack-.+",
    "ServiceAccount": _ACCOUNT,
    **dict.fromkeys(("Role", "RoleBinding", *_CLUSTER_WIDE), _RIGHTS_NAMES),
}
_READ = {"get", "list", "watch"}
_OWN_CONFIG_MAPS = {"ack-agent-config", "provider", "kube-root-ca.crt"}
_ADDRESS, _CLUSTER, _INTERNAL = "ALI_STUB_REGISTER_ADDR", "KUBERNETES_CLUSTER_ID", "INTERNAL_ENDPOINT"
_VOLUMES = {"name", "secret", "configMap", "emptyDir", "downwardAPI", "projected"}
_SHORTEST_SECRET = 8
_NO_SECRETS = ("ca", "url")
_REFUSED = "The manifest is not applied. Ask Alibaba Cloud's support what it is for"
_REFUSED_OR_ADMIN = f"{_REFUSED}, or set estate_cloud.ack.agent_mode to admin if ACK is to administrate the cluster."
_VALUE_SOURCES = ("secretKeyRef", "configMapKeyRef", "secretRef", "configMapRef")


@dataclass(frozen=True)
class Endpoint:
    """Where the agent connects; ``authority`` is the certificate in PEM that its server is verified by, maybe none."""

    host: str
    port: int
    authority: str = ""


def judge(documents: Sequence[Object], wanted: Wanted, cluster: str, registries: Sequence[str] = ()) -> list[Finding]:
    """Everything in the agent's manifest that ACK does not document, or that is for another cluster than this.

    ``registries`` are beginnings of images that are trusted beside ACK's own.
    """
    return [
        *_kinds(documents),
        *_rights(documents, wanted.agent_mode),
        *_pods(documents, registries),
        *_agent(documents, wanted, cluster),
    ]


def endpoint(documents: Iterable[Object]) -> Endpoint | None:
    """Where the agent connects; None where the manifest does not say."""
    authority = next((values["ca"] for values in map(_values, documents) if values.get("ca")), "")
    for container in _containers(documents):
        host, colon, port = _environment(container).get(_ADDRESS, "").rpartition(":")
        if colon and host and port.isdigit():
            return Endpoint(host, int(port), authority)
    return None


def secrets(documents: Iterable[Object]) -> set[str]:
    """The values that nobody may read, as they stand in the manifest and decoded."""
    found: set[str] = set()
    for document in documents:
        for key, value in _values(document).items():
            if key not in _NO_SECRETS and len(value) >= _SHORTEST_SECRET:
                found |= {value, base64.b64encode(value.encode()).decode()}
    return found


def settled(document: Object, live: Object | None, is_running: bool) -> Object:
    """The document as it is to be applied over ``live``.

    ConfigMaps are the agent's once they are there, and credentials that work are not replaced by others: ACK may give
    new ones to whoever asks for the manifest. What others wrote is not even claimed.
    """
    plain = _without_string_data(document)
    if live is None or document["kind"] not in _KEPT_KINDS or (document["kind"] == "Secret" and not is_running):
        return plain
    there = live.get("data") or {}
    ours = (our_fields(live) or {}).get("f:data") or {}
    given = (plain.get("data") or {}).items()
    data = {key: there.get(key, value) for key, value in given if key not in there or f"f:{key}" in ours}
    rest = {key: value for key, value in plain.items() if key != "data"}
    return {**rest, "data": data} if data else rest


def _without_string_data(document: Object) -> Object:
    """A Secret as the API server keeps it: what is written as text is never seen again as such."""
    texts = document.get("stringData") if document["kind"] == "Secret" else None
    if not texts:
        return document
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
    kept = {key: value for key, value in document.items() if key != "stringData"}
    return {**kept, "data": {**(document.get("data") or {}), **encoded}}


def _values(document: Object) -> dict[str, str]:
    """What a Secret holds, decoded; nothing for other kinds, and for what is no text."""
    if document["kind"] != "Secret":
        return {}
    found = {str(key): str(value) for key, value in (document.get("stringData") or {}).items()}
    for key, value in (document.get("data") or {}).items():
        try:
            found[str(key)] = base64.b64decode(str(value), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            found[str(key)] = str(value)
    return found


def _finding(code: str, document: Object | None, message: str, remedy: str) -> Finding:
    subject = f"{identity(document)}: " if document is not None else ""
    return Finding(code, ERROR, "", "estate_cloud.ack", f"the agent's manifest: {subject}{message}", remedy)


def _kinds(documents: Sequence[Object]) -> Iterator[Finding]:
    for document in documents:
        kind, namespace = document["kind"], document["metadata"].get("namespace") or SYSTEM
        if (document["apiVersion"], kind) not in _KINDS:
            message = f"an agent needs no {document['apiVersion']} {kind}."
            yield _finding("AK501-unexpected-kind", document, message, f"{_REFUSED}.")
        elif kind not in _CLUSTER_WIDE and namespace not in _NAMESPACES[kind]:
            message = f"the agent has no business in the namespace {namespace}."
            yield _finding("AK502-other-namespace", document, message, f"{_REFUSED}.")
        elif not re.fullmatch(_NAMES[kind], document["metadata"]["name"]):
            message = "the name is none of the agent's; what has it belongs to another component."
            yield _finding("AK510-other-name", document, message, f"{_REFUSED}.")


def _rights(documents: Sequence[Object], mode: str) -> Iterator[Finding]:
    roles = {_role(document) for document in documents if document["kind"] in ("Role", "ClusterRole")}
    users = _impersonated(documents)
    for document in documents:
        if document["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            yield from _binding(document, mode, users, roles)
        elif document["kind"] in ("Role", "ClusterRole") and mode != ADMIN:
            yield from _rules(document)


def _role(document: Object) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def _impersonated(documents: Iterable[Object]) -> set[str]:
    """The cloud accounts whose console acts as users of their numbers, by the agent's leave to impersonate them."""
    names = {
        str(name)
        for document in documents
        if document["kind"] == "ClusterRole"
        for rule in document.get("rules") or ()
        if "impersonate" in _of(rule, "verbs")
        for name in _of(rule, "resourceNames")
    }
    return {name for name in names if name.isdigit()}


def _binding(document: Object, mode: str, users: set[str], roles: set[tuple[str, str]]) -> Iterator[Finding]:
    reference = document.get("roleRef") or {}
    role = (str(reference.get("kind")), str(reference.get("name")))
    for subject in document.get("subjects") or ():
        if not _is_the_agents(subject, users if mode == ADMIN else set()):
            who = "/".join(str(subject[key]) for key in ("kind", "namespace", "name") if subject.get(key))
            message = f"it gives the rights of {role[0]}/{role[1]} to {who}, which is not the agent."
            yield _finding("AK504-more-than-documented", document, message, f"{_REFUSED}.")
    if role in roles or mode == ADMIN:
        return
    message = f"it gives the rights of {role[0]}/{role[1]}, and the agent is wanted in the mode restricted."
    yield _finding("AK504-more-than-documented", document, message, _REFUSED_OR_ADMIN)


def _is_the_agents(subject: Mapping[str, Any], users: set[str]) -> bool:
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "ServiceAccount":
        return (subject.get("namespace"), name) == (SYSTEM, _ACCOUNT)
    return kind == "User" and name in users


def _rules(document: Object) -> Iterator[Finding]:
    for index, rule in enumerate(document.get("rules") or ()):
        if not _is_documented(rule):
            resources = listed(sorted(_of(rule, "resources") | _of(rule, "nonResourceURLs")))
            message = f"rule {index} allows {listed(sorted(_of(rule, 'verbs')))} on {resources}."
            yield _finding("AK504-more-than-documented", document, message, _REFUSED_OR_ADMIN)


def _is_documented(rule: Mapping[str, Any]) -> bool:
    """Whether ACK's mode restricted has it: its own ConfigMaps, the list of nodes, the account's own user."""
    if rule.get("nonResourceURLs") or _of(rule, "apiGroups") != {""}:
        return False
    resources, verbs, names = (_of(rule, key) for key in ("resources", "verbs", "resourceNames"))
    if resources == {"nodes"}:
        return verbs <= _READ
    if resources == {"users"}:
        return verbs == {"impersonate"} and bool(names) and all(name.isdigit() for name in names)
    if resources == {"configmaps"}:
        return verbs == {"create"} or (verbs <= {*_READ, "update"} and bool(names) and names <= _OWN_CONFIG_MAPS)
    return False


def _of(rule: Mapping[str, Any], key: str) -> set[str]:
    return {str(value) for value in rule.get(key) or ()}


def _pods(documents: Sequence[Object], registries: Sequence[str]) -> Iterator[Finding]:
    mounted = {document["metadata"]["name"] for document in documents if document["kind"] in ("Secret", "ConfigMap")}
    for document in documents:
        if document["kind"] != "Deployment":
            continue
        spec = _pod_spec(document)
        for container in _containers([document]):
            image = str(container.get("image") or "")
            if not is_trusted(image, registries):
                yield _finding(
                    "AK503-image-of-another-registry",
                    document,
                    f"the image {image or '(none)'} is not of a registry of ACK's own.",
                    "Add the beginning of its name to estate_cloud.ack.registries if you trust it.",
                )
        account = spec.get("serviceAccountName") or "default"
        if account != _ACCOUNT:
            message = f"its pods act as {account}, and the agent's account is {_ACCOUNT}."
            yield _finding("AK504-more-than-documented", document, message, f"{_REFUSED}.")
        touched = sorted({*_host_access(spec), *_foreign_volumes(spec, mounted), *_foreign_values(spec, mounted)})
        if touched:
            message = f"its pods take more than a connection needs: {listed(touched)}."
            yield _finding("AK505-more-than-a-connection", document, message, f"{_REFUSED}.")


def is_trusted(image: str, registries: Sequence[str] = ()) -> bool:
    """Whether an image is ACK's own, or its name begins with one of ``registries``."""
    return any(re.match(pattern, image) for pattern in REGISTRIES) or image.startswith(tuple(registries))


def _host_access(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    for container in _containers_of(spec):
        context = container.get("securityContext") or {}
        yield from (key for key in ("privileged", "allowPrivilegeEscalation") if context.get(key))
        if (context.get("capabilities") or {}).get("add"):
            yield "capabilities"


def _foreign_volumes(spec: Mapping[str, Any], mounted: set[str]) -> Iterator[str]:
    """Volumes of the host, and Secrets and ConfigMaps that do not come with the agent."""
    for volume in spec.get("volumes") or ():
        yield from sorted(set(volume) - _VOLUMES)
        used = {(volume.get("secret") or {}).get("secretName"), (volume.get("configMap") or {}).get("name")}
        for source in (volume.get("projected") or {}).get("sources") or ():
            used |= {(source.get(kind) or {}).get("name") for kind in ("secret", "configMap")}
        yield from sorted(f"volume of {name}" for name in used - {None, "kube-root-ca.crt"} - mounted)


def _foreign_values(spec: Mapping[str, Any], mounted: set[str]) -> Iterator[str]:
    """Secrets and ConfigMaps in the environment that do not come with the agent."""
    for container in _containers_of(spec):
        sources = [entry.get("valueFrom") or {} for entry in container.get("env") or ()]
        sources += container.get("envFrom") or ()
        used = {(source.get(key) or {}).get("name") for source in sources for key in _VALUE_SOURCES}
        yield from sorted(f"environment of {name}" for name in used - {None} - mounted)


def _agent(documents: Sequence[Object], wanted: Wanted, cluster: str) -> Iterator[Finding]:
    agents = [one for one in map(_environment, _containers(documents)) if _ADDRESS in one]
    if endpoint(documents) is None:
        message = f"no Deployment says in {_ADDRESS} where its agent connects (HOST:PORT)."
        yield _finding("AK506-no-agent", None, message, "Have ACK send another: the cluster may not be ready for it.")
    for environment in agents:
        theirs = environment.get(_CLUSTER, "")
        if theirs != cluster:
            message = f"it is for the cluster {theirs or '(none)'}, and this one is registered as {cluster}."
            yield _finding("AK507-other-cluster", None, message, "Fetch the manifest of this registration.")
        internal = environment.get(_INTERNAL, "").lower() == "true"
        if internal != wanted.private:
            way = "the dedicated line" if internal else "the Internet"
            yield _finding(
                "AK508-other-way",
                None,
                f"its agent connects over {way}, and estate_cloud.ack.private is {str(wanted.private).lower()}.",
                "Correct estate_cloud.ack.private, or fetch the manifest for the other way.",
            )
    for document in documents:
        url = _values(document).get("url", "")
        if url and not url.startswith("https://"):
            message = f"credentials would be fetched unencrypted, from {url.partition('://')[0]}://."
            yield _finding("AK509-unencrypted", document, message, f"{_REFUSED}.")


def _pod_spec(document: Object) -> dict[str, Any]:
    return ((document.get("spec") or {}).get("template") or {}).get("spec") or {}


def _containers(documents: Iterable[Object]) -> Iterator[dict[str, Any]]:
    for document in documents:
        if document["kind"] == "Deployment":
            yield from _containers_of(_pod_spec(document))


def _containers_of(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def _environment(container: Mapping[str, Any]) -> dict[str, str]:
    return {str(entry.get("name")): str(entry.get("value") or "") for entry in container.get("env") or ()}
