# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes documents: read, patch structurally, order, compare with what is live; private to this collection."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    FIELD_MANAGER,
    MANAGED_BY,
    OWN_PREFIX,
    Cluster,
    Object,
    all_parallel,
    segment,
)

try:
    import yaml

    MISSING_YAML = ""
except ImportError as _error:
    MISSING_YAML = str(_error)

ESTATE = OWN_PREFIX + "estate"
SET = OWN_PREFIX + "set"

# Kinds in the order in which they are applied; what is not named here (custom resources) comes before workloads.
_ORDER = (
    ("Namespace",),
    ("CustomResourceDefinition",),
    ("PriorityClass", "RuntimeClass", "StorageClass", "CSIDriver", "IngressClass"),
    ("ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"),
    (
        "ConfigMap",
        "Secret",
        "ResourceQuota",
        "LimitRange",
        "NetworkPolicy",
        "PersistentVolume",
        "PersistentVolumeClaim",
    ),
    ("Service", "PodDisruptionBudget"),
    (),
    ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob", "Pod", "HorizontalPodAutoscaler"),
    (
        "APIService",
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicyBinding",
        "MutatingAdmissionPolicyBinding",
    ),
)
_RANK = {kind: rank for rank, kinds in enumerate(_ORDER) for kind in kinds}
_OTHERS = _ORDER.index(())
# The server writes these; they say nothing about what somebody wants.
_SERVER_METADATA = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


class ManifestError(Exception):
    """The documents, or what is to be done with them, make no sense; the message says where and what to do."""


@dataclass(frozen=True)
class Identity:
    """What names an object: its API group and version, kind, namespace (empty for cluster-wide ones) and name."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same when the object is read in another version."""
        return self.group, self.kind, self.namespace, self.name


@dataclass(frozen=True)
class Resource:
    """How a kind is served: the plural in its paths, and whether its objects lie in namespaces."""

    plural: str
    namespaced: bool


Resources = Mapping[tuple[str, str], Resource]


def parse(text: str, source: str) -> list[Object]:
    """The documents in YAML (or JSON) ``text``; Lists are opened, empty documents skipped.

    Dates stay text, as for kubectl. Raises ManifestError naming ``source``.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_loader()))
    except yaml.YAMLError as error:
        raise ManifestError(f"{source} is not YAML: {error}") from error
    return checked(documents, source)


def checked(documents: Iterable[Any], source: str) -> list[Object]:
    """The documents as objects with ``apiVersion``, ``kind`` and a name; raises ManifestError otherwise."""
    objects: list[Object] = []
    for number, document in enumerate(documents, 1):
        if document is None or document == {}:
            continue
        where = f"document {number} of {source}"
        if not isinstance(document, Mapping):
            raise ManifestError(f"{where} is not a mapping but {type(document).__name__}.")
        missing = [key for key in ("apiVersion", "kind") if not isinstance(document.get(key), str)]
        if missing:
            raise ManifestError(f"{where} has no {' and no '.join(missing)}.")
        if document["kind"].endswith("List") and isinstance(document.get("items"), list):
            objects += checked(document["items"], f"the List that is {where}")
            continue
        metadata = document.get("metadata")
        if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
            raise ManifestError(f"{where}, a {document['kind']}, has no metadata.name.")
        objects.append(_plain(document, where))
    return objects


def _plain(document: Mapping[str, Any], where: str) -> Object:
    """A copy as JSON has it, with keys that are text, and without status, which belongs to controllers."""
    try:
        copied: Object = json.loads(json.dumps(document))
    except (TypeError, ValueError) as error:
        raise ManifestError(f"{where} holds what JSON cannot: {error}.") from error
    copied.pop("status", None)
    return copied


def _loader() -> Any:
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("ManifestLoader", (base,), {})
    # "=" in enums has no constructor in PyYAML, and a date is text to Kubernetes.
    odd = {"tag:yaml.org,2002:value", "tag:yaml.org,2002:timestamp"}
    loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in resolvers if tag not in odd]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    return loader


def select(documents: Sequence[Object], omit: Sequence[Mapping[str, Any]]) -> list[Object]:
    """The documents without those that an entry of ``omit`` (``kind`` and maybe ``name``, ``namespace``) names.

    A name may be a pattern: nothing in Kubernetes has a name with ``*`` in it.

    Raises ManifestError for an entry that names none, because then an upstream manifest has changed under it.
    """
    for entry in omit:
        if not any(_matches(document, entry) for document in documents):
            raise ManifestError(f"omit: no document is {_describe(entry)}. Correct it or take it out.")
    return [document for document in documents if not any(_matches(document, entry) for entry in omit)]


def overlaid(documents: Sequence[Object], overlays: Sequence[Mapping[str, Any]]) -> list[Object]:
    """The documents, each overlay merged into all that it names; raises ManifestError for one that names none."""
    result = list(documents)
    for entry in overlays:
        hits = [place for place, document in enumerate(result) if _matches(document, entry)]
        if not hits:
            raise ManifestError(f"overlays: no document is {_describe(entry)}. Correct it or take it out.")
        for place in hits:
            result[place] = merged(result[place], entry["overlay"])
    return result


def merged(base: Any, overlay: Any) -> Any:
    """``overlay`` laid over ``base``.

    Mappings are merged key by key and ``None`` removes a key. Lists whose items all are mappings with a ``name`` are
    merged by that name, new names go to the end and ``{name: x, $patch: delete}`` removes one. All else is replaced.
    """
    if isinstance(base, Mapping) and isinstance(overlay, Mapping):
        result = {key: value for key, value in base.items() if key not in overlay}
        for key, value in overlay.items():
            if value is not None:
                result[key] = merged(base.get(key), value)
        return {
            key: result[key] for key in [*(key for key in base if key in result), *(k for k in result if k not in base)]
        }
    if _named(overlay) and _named(base):
        wanted = {item["name"]: item for item in overlay}
        kept = [merged(item, wanted.pop(item["name"])) if item["name"] in wanted else item for item in base]
        return [
            item for item in (*kept, *(merged({}, item) for item in wanted.values())) if item.get("$patch") != "delete"
        ]
    if isinstance(overlay, Mapping):
        return merged({}, overlay)
    return overlay


def _named(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) and "name" in item for item in value)
    )


def _matches(document: Object, entry: Mapping[str, Any]) -> bool:
    metadata = document["metadata"]
    return (
        document["kind"] == entry["kind"]
        and (entry.get("name") is None or fnmatch.fnmatchcase(metadata["name"], entry["name"]))
        and entry.get("namespace") in (None, metadata.get("namespace", ""))
        and entry.get("api_version") in (None, document["apiVersion"])
    )


def _describe(entry: Mapping[str, Any]) -> str:
    known = (str(entry[key]) for key in ("api_version", "kind", "namespace", "name") if entry.get(key))
    return "/".join(known)


def marked(document: Object, estate: str = "", member_of: str = "") -> Object:
    """The document with our label and, if given, the annotations that name its estate and the set it is a member of."""
    annotations = {key: value for key, value in ((ESTATE, estate), (SET, member_of)) if value}
    marks: Object = {"metadata": {"labels": dict(MANAGED_BY), **({"annotations": annotations} if annotations else {})}}
    made: Object = merged(document, marks)
    return made


def ordered(documents: Sequence[Object]) -> list[list[Object]]:
    """The documents in groups that are applied one after the other; the order within a group is as given."""
    groups: dict[int, list[Object]] = {}
    for document in documents:
        groups.setdefault(_RANK.get(document["kind"], _OTHERS), []).append(document)
    return [groups[rank] for rank in sorted(groups)]


def declared(documents: Iterable[Object]) -> dict[tuple[str, str], Resource]:
    """The kinds that CustomResourceDefinitions among the documents make."""
    found: dict[tuple[str, str], Resource] = {}
    for document in documents:
        if document["kind"] != "CustomResourceDefinition":
            continue
        try:
            spec, names = document["spec"], document["spec"]["names"]
            resource = Resource(names["plural"], spec.get("scope") == "Namespaced")
            found.update(
                {(f"{spec['group']}/{version['name']}", names["kind"]): resource for version in spec["versions"]}
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"{identity(document)} is no definition: {error!r} is missing or wrong.") from error
    return found


def discover(cluster: Cluster, api_versions: Iterable[str]) -> dict[tuple[str, str], Resource]:
    """How the kinds of these API versions are served; versions that are not served are left out."""
    found: dict[tuple[str, str], Resource] = {}
    for version, served in all_parallel(lambda version: cluster.get(group_path(version)), sorted(set(api_versions))):
        for entry in (served or {}).get("resources") or ():
            if "/" not in entry["name"]:
                found[(version, entry["kind"])] = Resource(entry["name"], entry["namespaced"])
    return found


def group_path(api_version: str) -> str:
    """The API path of a version."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def placed(document: Object, resources: Resources, namespace: str) -> Object:
    """The document with ``namespace`` where it needs one and has none, and without one where it must not have one."""
    resource = resources.get((document["apiVersion"], document["kind"]))
    if resource is None:
        return document
    metadata = {key: value for key, value in document["metadata"].items() if key != "namespace"}
    if resource.namespaced:
        metadata["namespace"] = document["metadata"].get("namespace") or namespace
    return {**document, "metadata": metadata}


def identity(document: Object) -> Identity:
    """What names this document's object."""
    metadata = document["metadata"]
    return Identity(document["apiVersion"], document["kind"], metadata.get("namespace") or "", metadata["name"])


def twins(documents: Iterable[Object]) -> list[Identity]:
    """Objects that more than one document describes."""
    seen: set[tuple[str, str, str, str]] = set()
    twice = []
    for named in map(identity, documents):
        if named.key in seen:
            twice.append(named)
        seen.add(named.key)
    return twice


def path_of(named: Identity, resources: Resources) -> str | None:
    """The API path of an object; None when its kind is not served."""
    resource = resources.get((named.api_version, named.kind))
    if resource is None:
        return None
    root = group_path(named.api_version)
    inner = f"/namespaces/{segment(named.namespace)}" if resource.namespaced else ""
    return f"{root}{inner}/{resource.plural}/{segment(named.name)}"


def differs(live: Object, dry: Object) -> bool:
    """Whether an apply, of which ``dry`` is the dry run, would change ``live`` or the set of fields that are ours."""
    return content(live) != content(dry) or our_fields(live) != our_fields(dry)


def content(document: Object) -> Object:
    """What somebody wants of an object: without status and without what the server adds."""
    metadata = {key: value for key, value in document["metadata"].items() if key not in _SERVER_METADATA}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}


def our_fields(document: Object) -> Any:
    """The fields of a live object that are ours by server-side apply, in the API server's own form; None for none."""
    for entry in document["metadata"].get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return entry.get("fieldsV1")
    return None


def changed_paths(before: Any, after: Any, path: str = "", depth: int = 6) -> list[str]:
    """Where two values differ, as dotted paths no deeper than ``depth``."""
    if before == after:
        return []
    if depth and isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = sorted({*before, *after}, key=str)
        return [
            found
            for key in keys
            for found in changed_paths(
                before.get(key), after.get(key), f"{path}.{key}" if path else str(key), depth - 1
            )
        ]
    return [path]


def text(document: Object | None) -> str:
    """The document as YAML for ``--diff``; the values of a Secret are not shown."""
    if document is None:
        return ""
    shown = content(document)
    if shown["kind"] == "Secret":
        shown = {
            key: dict.fromkeys(value, "(hidden)") if key in ("data", "stringData") and value else value
            for key, value in shown.items()
        }
    return str(yaml.dump(shown, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=True))


def established(crd: Object | None) -> bool:
    """Whether a CustomResourceDefinition is served."""
    conditions = ((crd or {}).get("status") or {}).get("conditions") or ()
    return any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)


def lagging(workload: Object, lost: int = 0) -> str:
    """Why a Deployment, DaemonSet or StatefulSet is not rolled out; empty when it is.

    ``lost`` pods of a DaemonSet are on nodes that are not Ready; they are not waited for.
    """
    spec, status = workload.get("spec", {}), workload.get("status", {})
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return "its controller has not seen it yet"
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0) - lost
        counts = (
            ("updated", status.get("updatedNumberScheduled", 0)),
            ("available", status.get("numberAvailable", 0)),
        )
    else:
        wanted = spec.get("replicas", 1)
        available = "readyReplicas" if workload["kind"] == "StatefulSet" else "availableReplicas"
        counts = (("updated", status.get("updatedReplicas", 0)), ("available", status.get(available, 0)))
        if status.get("replicas", 0) > wanted:
            return f"{status['replicas'] - wanted} old pods are still there"
    for word, count in counts:
        if count < wanted:
            return f"{count} of {wanted} pods {word}"
    return ""


def complaint(pod: Object) -> str:
    """Why a pod is not ready, in the words of its containers or conditions; empty when it is."""
    status = pod.get("status", {})
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            stopped = (container.get("lastState") or {}).get("terminated") or {}
            if waiting.get("reason") and waiting["reason"] != "PodInitializing":
                detail = waiting.get("message") or (f"exit code {stopped['exitCode']}" if "exitCode" in stopped else "")
                return f"{container['name']}: {waiting['reason']}" + (f" ({detail})" if detail else "")
    for kind in ("PodScheduled", "Initialized", "ContainersReady"):
        if conditions.get(kind, {}).get("status") == "False":
            entry = conditions[kind]
            return str(entry.get("message") or entry.get("reason") or f"{kind} is false")
    return str(status.get("phase") or "no status yet")


def selector_of(workload: Object) -> str:
    """The label selector of a workload's pods, as a query value."""
    selector = workload["spec"].get("selector") or {}
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or ():
        values = ",".join(rule.get("values") or ())
        terms.append(
            {
                "In": f"{rule['key']} in ({values})",
                "NotIn": f"{rule['key']} notin ({values})",
                "Exists": rule["key"],
                "DoesNotExist": f"!{rule['key']}",
            }[rule["operator"]]
        )
    return ",".join(terms)
