"""What the role admission_policies makes, on a real API server: a table of pods, enforced and audited."""

from __future__ import annotations

import copy
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.filter.admission_policies import admission_policies
from ansible_collections.hybridk8s.estate.plugins.module_utils._admission_policies.documents import LXCFS_FILES
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, connect
from ansible_collections.hybridk8s.estate.plugins.modules import manifest

from tests.integration.control_plane import ControlPlane
from tests.integration.module_process import call

REPOSITORY = Path(__file__).resolve().parents[2]
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
KINDS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
}
LXCFS = "estate.hybridk8s.io/lxcfs"
SHARE = "estate.hybridk8s.io/share-process-namespace"
WORKLOAD = "estate.hybridk8s.io/workload"
NAME = "app.kubernetes.io/name"
MIRROR = {"kubernetes.io/config.mirror": "x"}

# What the settings are in, and the labels that opt them in.
NAMESPACES: dict[str, dict[str, str]] = {
    "plain": {},
    "equal": {},
    "disk": {},
    "excluded": {SHARE: "true", LXCFS: "true", WORKLOAD: "online"},
    "shared": {SHARE: "true"},
    "viewed": {LXCFS: "true"},
    "guarded": {LXCFS: "true", "pod-security.kubernetes.io/enforce": "baseline"},
    "online": {WORKLOAD: "online"},
    "offline": {WORKLOAD: "offline"},
    "neither": {WORKLOAD: "sometimes"},
    "every": {SHARE: "true", LXCFS: "true", WORKLOAD: "online"},
}


def settings(mode: str) -> dict[str, Any]:
    return {
        "excluded_namespaces": ["excluded"],
        "equal_requests": {"mode": mode, "namespaces": ["equal"]},
        "ephemeral_storage": {"mode": mode, "namespaces": ["disk", "every"], "request": "1Gi", "limit": "2Gi"},
        "anti_affinity": {"mode": mode},
        "share_process_namespace": {"mode": mode},
        "priority": {"mode": mode},
        "lxcfs": {"mode": mode, "runtime_classes": ["nvidia"]},
    }


def container(name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "x", **fields}


def resources(limits: dict[str, str] | None = None, **requests: str) -> dict[str, Any]:
    asked = {key.replace("_", "-"): value for key, value in requests.items()}
    return {"resources": {"requests": asked, **({"limits": limits} if limits else {})}}


SMALL = {"cpu": "1", "memory": "1Gi"}
EQUAL = resources(SMALL, **SMALL)
DISK = "ephemeral-storage"
AFFINITY = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}


def pod(
    *containers: dict[str, Any],
    labels: dict[str, str] | None = None,
    owner: str = "",
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "x", "uid": "1", "controller": True}] if owner else []
    metadata = {"labels": labels or {}, "ownerReferences": owners, "annotations": annotations or {}}
    body = {"containers": list(containers) or [container()], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def views(made: dict[str, Any]) -> dict[str, Any]:
    """Which containers have which of LXCFS's files, and which node the pod asks for."""
    sources = {
        volume["name"]: volume["hostPath"]["path"]
        for volume in made["spec"].get("volumes", ())
        if "hostPath" in volume and volume["hostPath"]["path"].startswith("/var/lib/lxcfs/")
    }
    every = [*made["spec"]["containers"], *made["spec"].get("initContainers", ())]
    found = {one["name"]: sorted(m["mountPath"] for m in one.get("volumeMounts", ())) for one in every}
    assert all(
        sources[mount["name"]] == "/var/lib/lxcfs" + mount["mountPath"] and mount["readOnly"]
        for one in every
        for mount in one.get("volumeMounts", ())
        if mount["name"] in sources
    )
    return {"mounts": found, "nodes": made["spec"].get("nodeSelector")}


def disk(made: dict[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    """Request and limit of ephemeral storage by container."""
    every = [*made["spec"]["containers"], *made["spec"].get("initContainers", ())]
    found = {one["name"]: one["resources"] for one in every}
    return {name: (one.get("requests", {}).get(DISK), one.get("limits", {}).get(DISK)) for name, one in found.items()}


def classed(made: dict[str, Any]) -> tuple[Any, ...]:
    spec = made["spec"]
    return spec.get("priorityClassName"), spec["priority"], spec["preemptionPolicy"]


def affinity(made: dict[str, Any]) -> Any:
    return made["spec"].get("affinity")


def shared(made: dict[str, Any]) -> Any:
    return made["spec"].get("shareProcessNamespace")


def apart(value: str) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {NAME: value}}, "topologyKey": "kubernetes.io/hostname"}
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    }


ALL_VIEWS = sorted(LXCFS_FILES)
ON_LXCFS = {LXCFS: "true"}


@dataclass(frozen=True)
class Case:
    """A pod and what becomes of it: refused with a message, or made so that `sees` gives `expected`, or left alone."""

    name: str
    namespace: str
    body: dict[str, Any]
    refused: str = ""
    sees: Callable[[dict[str, Any]], Any] | None = None
    expected: Any = field(default=None)

    @property
    def acts(self) -> bool:
        return bool(self.refused or self.sees)


def mounted(
    name: str, namespace: str, body: dict[str, Any], nodes: dict[str, str] | None = None, **mounts: Any
) -> Case:
    expected = {"mounts": mounts or {"main": ALL_VIEWS}, "nodes": ON_LXCFS if nodes is None else nodes}
    return Case(name, namespace, body, sees=views, expected=expected)


UNEQUAL = container("b", **resources(SMALL, cpu="500m", memory="1Gi"))
CASES = {
    "equal-requests": [
        Case("equal", "equal", pod(container(**EQUAL))),
        Case("another way of writing it", "equal", pod(container(**resources(SMALL, cpu="1000m", memory="1024Mi")))),
        Case("limits alone, which are requests too", "equal", pod(container(resources={"limits": SMALL}))),
        Case("nothing said", "equal", pod(), refused="not for main"),
        Case("requests alone", "equal", pod(container(**resources(None, **SMALL))), refused="not for main"),
        Case("less asked", "equal", pod(UNEQUAL), refused="not for b"),
        Case("no memory", "equal", pod(container(**resources({"cpu": "1"}, cpu="1"))), refused="not for main"),
        Case("one of three", "equal", pod(container(**EQUAL), UNEQUAL, container("c", **EQUAL)), refused="not for b"),
        Case("two of three", "equal", pod(container(), UNEQUAL, container("c", **EQUAL)), refused="not for main, b"),
        Case("init", "equal", pod(container(**EQUAL), initContainers=[UNEQUAL]), refused="not for b"),
        Case(
            "sidecar",
            "equal",
            pod(container(**EQUAL), initContainers=[{**UNEQUAL, "restartPolicy": "Always"}]),
            refused="not for b",
        ),
        Case("pod as a whole", "equal", pod(container(), resources=EQUAL["resources"])),
        Case(
            "pod as a whole, containers unequal",
            "equal",
            pod(UNEQUAL, resources=EQUAL["resources"]),
        ),
        Case(
            "pod as a whole unequal",
            "equal",
            pod(container(), **resources(SMALL, cpu="500m", memory="1Gi")),
            refused="not for the pod as a whole",
        ),
        Case("of a ReplicaSet", "equal", pod(UNEQUAL, owner="ReplicaSet"), refused="not for b"),
        Case("static", "equal", pod(annotations=MIRROR, nodeName="n1")),
        Case("elsewhere", "plain", pod(UNEQUAL)),
    ],
    "ephemeral-storage": [
        Case("nothing said", "disk", pod(), sees=disk, expected={"main": ("1Gi", "2Gi")}),
        Case(
            "cpu said",
            "disk",
            pod(container(**EQUAL)),
            sees=lambda made: made["spec"]["containers"][0]["resources"],
            expected={"limits": {**SMALL, DISK: "2Gi"}, "requests": {**SMALL, DISK: "1Gi"}},
        ),
        Case(
            "request said",
            "disk",
            pod(container(**resources(ephemeral_storage="1500Mi"))),
            sees=disk,
            expected={"main": ("1500Mi", "2Gi")},
        ),
        Case(
            "much requested",
            "disk",
            pod(container(**resources(ephemeral_storage="5Gi"))),
            sees=disk,
            expected={"main": ("5Gi", "5Gi")},
        ),
        Case("limit said", "disk", pod(container(resources={"limits": {DISK: "100Mi"}}))),
        Case(
            "one of two",
            "disk",
            pod(container("a"), container("b", resources={"limits": {DISK: "100Mi"}})),
            sees=disk,
            expected={"a": ("1Gi", "2Gi"), "b": ("100Mi", "100Mi")},
        ),
        Case(
            "init and sidecar",
            "disk",
            pod(initContainers=[container("i"), container("s", restartPolicy="Always")]),
            sees=disk,
            expected=dict.fromkeys(("main", "i", "s"), ("1Gi", "2Gi")),
        ),
        Case(
            "a variable twice",
            "disk",
            pod(container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])),
            sees=lambda made: (disk(made), [entry["value"] for entry in made["spec"]["containers"][0]["env"]]),
            expected=({"main": ("1Gi", "2Gi")}, ["1", "2"]),
        ),
        Case("of a Job", "disk", pod(owner="Job", restartPolicy="Never"), sees=disk, expected={"main": ("1Gi", "2Gi")}),
        Case("static", "disk", pod(annotations=MIRROR, nodeName="n1")),
        Case("elsewhere", "plain", pod()),
    ],
    "anti-affinity": [
        Case("labelled", "plain", pod(labels={NAME: "shop"}), sees=affinity, expected=apart("shop")),
        Case(
            "of a ReplicaSet",
            "plain",
            pod(labels={NAME: "shop"}, owner="ReplicaSet"),
            sees=affinity,
            expected=apart("shop"),
        ),
        Case(
            "other affinity said",
            "plain",
            pod(
                labels={NAME: "shop"},
                affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [AFFINITY]}},
            ),
            sees=affinity,
            expected={**apart("shop"), "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [AFFINITY]}},
        ),
        Case("no label", "plain", pod(labels={"app": "shop"})),
        Case(
            "said itself",
            "plain",
            pod(
                labels={NAME: "shop"},
                affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [AFFINITY]}},
            ),
        ),
        Case("said to be none", "plain", pod(labels={NAME: "shop"}, affinity={"podAntiAffinity": {}})),
        Case("excluded", "excluded", pod(labels={NAME: "shop"})),
        Case("kube-system", "kube-system", pod(labels={NAME: "shop"})),
    ],
    "share-process-namespace": [
        Case("by its namespace", "shared", pod(), sees=shared, expected=True),
        Case("by itself", "plain", pod(labels={SHARE: "true"}), sees=shared, expected=True),
        Case("by both", "shared", pod(labels={SHARE: "true"}), sees=shared, expected=True),
        Case("opted out", "shared", pod(labels={SHARE: "false"})),
        Case("not opted in", "plain", pod()),
        Case("processes of the host", "shared", pod(hostPID=True)),
        Case("said itself", "shared", pod(shareProcessNamespace=False)),
        Case("Windows", "shared", pod(os={"name": "windows"})),
        Case("excluded", "excluded", pod()),
        Case("excluded, though it opts in", "excluded", pod(labels={SHARE: "true"})),
    ],
    "priority": [
        Case("online", "online", pod(), sees=classed, expected=("online", 100_000, "PreemptLowerPriority")),
        Case("offline", "offline", pod(), sees=classed, expected=("offline", -1_000, "Never")),
        Case(
            "of a ReplicaSet",
            "offline",
            pod(owner="ReplicaSet"),
            sees=classed,
            expected=("offline", -1_000, "Never"),
        ),
        Case("named itself", "offline", pod(priorityClassName="others")),
        Case("another value", "neither", pod()),
        Case("a pod's label is not asked", "plain", pod(labels={WORKLOAD: "online"})),
        Case("excluded", "excluded", pod()),
    ],
    "lxcfs": [
        mounted("by its namespace", "viewed", pod()),
        mounted("by itself", "plain", pod(labels={LXCFS: "true"})),
        mounted("by both", "viewed", pod(labels={LXCFS: "true"})),
        mounted("of a ReplicaSet", "viewed", pod(owner="ReplicaSet")),
        mounted(
            "all of its containers",
            "viewed",
            pod(
                container("a"),
                container("b"),
                initContainers=[container("i"), container("s", restartPolicy="Always")],
            ),
            a=ALL_VIEWS,
            b=ALL_VIEWS,
            i=ALL_VIEWS,
            s=ALL_VIEWS,
        ),
        mounted(
            "with mounts of its own",
            "viewed",
            pod(
                container(volumeMounts=[{"name": "data", "mountPath": "/data"}]),
                volumes=[{"name": "data", "emptyDir": {}}],
            ),
            main=["/data", *ALL_VIEWS],
        ),
        mounted(
            "with a /proc/meminfo of its own",
            "viewed",
            pod(
                container(volumeMounts=[{"name": "data", "mountPath": "/proc/meminfo"}]),
                container("b"),
                volumes=[{"name": "data", "emptyDir": {}}],
            ),
            main=["/proc/meminfo"],
            b=ALL_VIEWS,
        ),
        mounted("on nodes of its own", "viewed", pod(nodeSelector={"disk": "nvme"}), {"disk": "nvme", LXCFS: "true"}),
        mounted("of a DaemonSet for such nodes", "viewed", pod(owner="DaemonSet", nodeSelector=ON_LXCFS)),
        mounted("of a class that is named", "viewed", pod(runtimeClassName="nvidia")),
        Case("opted out", "viewed", pod(labels={LXCFS: "false"})),
        Case("not opted in", "plain", pod()),
        Case("elsewhere, by its own selector", "viewed", pod(nodeSelector={LXCFS: "false"})),
        Case("of a DaemonSet", "viewed", pod(owner="DaemonSet")),
        Case("bound", "viewed", pod(nodeName="n1")),
        Case("of a class that is not named", "viewed", pod(runtimeClassName="gvisor")),
        Case("processes of the host", "viewed", pod(hostPID=True)),
        Case("users of its own", "viewed", pod(hostUsers=False)),
        Case("Windows", "viewed", pod(os={"name": "windows"})),
        Case("where no path of the host may be mounted", "guarded", pod()),
        Case("there by itself", "guarded", pod(labels={LXCFS: "true"})),
        Case("excluded", "excluded", pod()),
    ],
}
TABLE = [pytest.param(policy, case, id=f"{policy}: {case.name}") for policy, cases in CASES.items() for case in cases]


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    warnings: tuple[str, ...]

    def policies(self) -> list[str]:
        """Those that the warnings are of."""
        return sorted(found for said in self.warnings for found in re.findall(r"Policy 'estate-([a-z-]+)'", said))


class Api:
    """Requests whose warnings are wanted too."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        certificate, key = plane.authority.issue("author", ("system:masters",))
        files = [directory / "client.crt", directory / "client.key"]
        for file, content in zip(files, (certificate, key), strict=True):
            file.touch(mode=0o600)
            file.write_bytes(content)
        context = ssl.create_default_context(cadata=plane.authority.pem.decode())
        context.load_cert_chain(*files)
        self._connection = http.client.HTTPSConnection("127.0.0.1", plane.port, context=context, timeout=30)

    def ask(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Answer:
        self._connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": content})
        with self._connection.getresponse() as answer:
            text = answer.read().decode()
            found = json.loads(text) if "json" in (answer.getheader("Content-Type") or "") else text
            return Answer(answer.status, found, tuple(answer.headers.get_all("Warning") or ()))

    def create(self, namespace: str, body: dict[str, Any], name: str = "x", dry_run: bool = True) -> Answer:
        named = {**body, "metadata": {**body["metadata"], "name": name}}
        return self.ask("POST", f"/api/v1/namespaces/{namespace}/pods{'?dryRun=All' * dry_run}", named)


@pytest.fixture(scope="module")
def api(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Api:
    return Api(plane, tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def apply(plane: ControlPlane) -> Iterator[Callable[..., dict[str, Any]]]:
    """Applies settings as the role does; in the end all of it is off again."""

    def run(wanted: dict[str, Any], check: bool = False) -> dict[str, Any]:
        documents = admission_policies(wanted)
        arguments = {"documents": documents, "set": "admission-policies", "prune": True, "estate": "test"}
        return call(manifest, {"kubeconfig": plane.kubeconfig, **arguments}, check)

    yield run
    run({})


@pytest.fixture(scope="module")
def world(plane: ControlPlane) -> Iterator[None]:
    """Namespaces and classes that the pods of the table name."""
    cluster = connect(plane.kubeconfig)
    for name, labels in NAMESPACES.items():
        cluster.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    for name in ("nvidia", "gvisor"):
        cluster.create("/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": name}, "handler": name})
    cluster.create("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "others"}, "value": 7})
    yield
    for name in NAMESPACES:
        cluster.delete(f"/api/v1/namespaces/{name}")
    cluster.delete("/apis/scheduling.k8s.io/v1/priorityclasses/others")
    cluster.close()


@pytest.fixture(scope="module")
def untouched(world: None, api: Api) -> dict[str, Any]:
    """What becomes of each pod where there are no policies."""
    made = {}
    for policy, cases in CASES.items():
        for case in cases:
            answer = api.create(case.namespace, case.body)
            assert answer.status == 201, answer.body
            made[policy, case.name] = content(answer.body)
    return made


@pytest.fixture(scope="module", params=["enforce", "audit"])
def mode(request: pytest.FixtureRequest, apply: Callable[..., Any], untouched: Any, api: Api) -> str:
    """Every policy in this mode, and in effect: the API server takes them up within seconds."""
    apply(settings(request.param))
    everything = pod(labels={NAME: "x"})
    mutations = {"ephemeral-storage", "anti-affinity", "share-process-namespace", "priority-online", "lxcfs"}

    def in_effect() -> bool:
        changed, refused = api.create("every", everything), api.create("equal", pod())
        if request.param == "audit":
            warned = set(changed.policies()) | set(refused.policies())
            alone = changed.status == refused.status == 201 and "volumes" not in changed.body["spec"]
            return alone and warned == mutations | {"equal-requests"}
        spec = changed.body["spec"]
        fields = ("volumes", "affinity", "shareProcessNamespace", "priorityClassName")
        return (
            refused.status == 403 and all(key in spec for key in fields) and disk(changed.body) != {"main": (None,) * 2}
        )

    eventually(in_effect)
    return str(request.param)


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the API server has not taken up the policies"
        time.sleep(0.1)


def content(made: dict[str, Any]) -> dict[str, Any]:
    """A pod without what is different each time."""
    plain = copy.deepcopy(made)
    for key in ("uid", "creationTimestamp", "managedFields"):
        plain["metadata"].pop(key, None)
    return plain


@pytest.mark.parametrize(("policy", "case"), TABLE)
def test_pod(mode: str, policy: str, case: Case, api: Api, untouched: dict[Any, Any]) -> None:
    answer = api.create(case.namespace, case.body)

    if mode == "enforce" and case.refused:
        assert answer.status == 403, answer.body
        assert f"estate-{policy}" in answer.body["message"]
        assert answer.body["message"].endswith(f"they are {case.refused}")
        return
    assert answer.status == 201, answer.body
    if mode == "enforce" and case.sees:
        assert case.sees(answer.body) == case.expected
        assert answer.policies() == []
        return
    assert content(answer.body) == untouched[policy, case.name]
    about = [found for found in answer.policies() if found.startswith(policy)]
    assert len(about) == (1 if mode == "audit" and case.acts else 0), answer.warnings


def test_a_second_run_writes_nothing(mode: str, apply: Callable[..., dict[str, Any]], plane: ControlPlane) -> None:
    mark = plane.audit_mark()

    again = apply(settings(mode))

    assert (again["changed"], again["steps"]) == (False, [])
    written = [event for event in plane.audit(mark) if event.verb not in ("get", "list", "watch")]
    assert [event.uri for event in written if "dryRun=All" not in event.uri] == []


def test_pods_that_are_there_may_be_updated(mode: str, api: Api, untouched: Any) -> None:
    """Most of a pod can never be changed: a policy that tried to would refuse each update."""
    name = f"updated-{mode}"
    assert api.create("every", pod(labels={NAME: "x"}), name, dry_run=False).status == 201
    path = f"/api/v1/namespaces/every/pods/{name}"

    merge = "application/merge-patch+json"
    answer = api.ask("PATCH", path, {"metadata": {"labels": {"a": "b"}, "finalizers": []}}, merge)

    assert answer.status == 200, answer.body
    assert answer.warnings == ()
    api.ask("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})


@pytest.mark.parametrize("mode", ["enforce"], indirect=True)
def test_a_container_that_somebody_injects_later_is_like_the_others(mode: str, api: Api, cluster: Cluster) -> None:
    sidecar = 'Object.spec.containers{name: "injected", image: "x"}'
    injector: dict[str, Any] = {
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "every"}},
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": f"Object{{spec: Object.spec{{containers: [{sidecar}]}}}}"},
            }
        ],
    }
    binding = {"metadata": {"name": "zz-injector"}, "spec": {"policyName": "zz-injector"}}
    cluster.create(f"{ADMISSION}/mutatingadmissionpolicies", {"metadata": binding["metadata"], "spec": injector})
    cluster.create(f"{ADMISSION}/mutatingadmissionpolicybindings", binding)

    try:
        eventually(lambda: len(api.create("every", pod()).body["spec"]["containers"]) == 2)
        made = api.create("every", pod()).body
    finally:
        cluster.delete(f"{ADMISSION}/mutatingadmissionpolicybindings/zz-injector")
        cluster.delete(f"{ADMISSION}/mutatingadmissionpolicies/zz-injector")
    assert disk(made) == {"main": ("1Gi", "2Gi"), "injected": ("1Gi", "2Gi")}
    assert views(made)["mounts"] == {"main": ALL_VIEWS, "injected": ALL_VIEWS}
    eventually(lambda: len(api.create("every", pod()).body["spec"]["containers"]) == 1)


def checks(api: Api, policy: str) -> dict[str, int]:
    """How often the API server counted a validating policy, by what came of it."""
    found: dict[str, int] = {}
    for line in api.ask("GET", "/metrics").body.splitlines():
        if (
            line.startswith("apiserver_validating_admission_policy_check_total{")
            and f'policy="estate-{policy}"' in line
        ):
            action = re.findall(r'enforcement_action="(\w+)"', line)[0]
            found[action] = found.get(action, 0) + int(line.rpartition(" ")[2])
    return found


@pytest.mark.parametrize("mode", ["audit"], indirect=True)
@pytest.mark.parametrize("policy", CASES)
def test_audited_pods_are_counted_and_in_the_audit_log(policy: str, mode: str, api: Api, plane: ControlPlane) -> None:
    case = next(case for case in CASES[policy] if case.acts)
    named = f"{policy}-{case.namespace}" if policy == "priority" else policy
    before, mark = checks(api, named), plane.audit_mark()

    for number in range(3):
        api.create(case.namespace, case.body, f"counted-{number}")

    after = checks(api, named)
    assert {action: after[action] - before.get(action, 0) for action in ("audit", "warn")} == {"audit": 3, "warn": 3}
    assert after.get("deny", 0) == before.get("deny", 0)
    failures = [
        event.annotations.get("validation.policy.admission.k8s.io/validation_failure") for event in plane.audit(mark)
    ]
    assert [json.loads(failure)[0]["policy"] for failure in failures if failure] == [f"estate-{named}"] * 3


def live(cluster: Cluster) -> set[str]:
    paths = [f"{ADMISSION}/{plural}" for plural in KINDS.values()]
    return {item["metadata"]["name"] for path in paths for item in cluster.list(path)}


def test_what_is_off_goes_and_others_stay(apply: Callable[..., dict[str, Any]], world: None, cluster: Cluster) -> None:
    apply(settings("enforce"))
    others = {
        "someone": {"name": "someone"},
        "estate-someone": {"name": "estate-someone", "labels": {"app.kubernetes.io/managed-by": "hybridk8s.estate"}},
    }
    for metadata in others.values():
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nodes"]}
        spec = {"validations": [{"expression": "true"}], "matchConstraints": {"resourceRules": [rule]}}
        cluster.create(f"{ADMISSION}/validatingadmissionpolicies", {"metadata": metadata, "spec": spec})
    every = live(cluster)

    fewer = {**settings("enforce"), "lxcfs": {"mode": "off"}}
    planned = apply(fewer, check=True)
    assert live(cluster) == every
    assert apply(fewer)["steps"] == planned["steps"]
    assert every - live(cluster) == {"estate-lxcfs", "estate-lxcfs-by-namespace", "estate-lxcfs-by-pod"}
    assert apply({})["changed"]
    assert live(cluster) == set(others)
    assert {item["metadata"]["name"] for item in cluster.list("/apis/scheduling.k8s.io/v1/priorityclasses")} >= {
        "others"
    }
    assert cluster.get("/apis/scheduling.k8s.io/v1/priorityclasses/online") is None
    assert not apply({})["changed"]
    for name in others:
        cluster.delete(f"{ADMISSION}/validatingadmissionpolicies/{name}")


def test_a_pod_from_before_may_be_resized_and_another_not_made_unequal(
    apply: Callable[..., dict[str, Any]], world: None, api: Api
) -> None:
    memory = {"cpu": "100m", "memory": "1Gi"}
    before, after = (container(resources={"requests": memory, "limits": {"memory": size}}) for size in ("2Gi", "1Gi"))
    apply({})
    eventually(lambda: api.create("equal", pod()).status == 201)
    assert api.create("equal", pod(before), "before", dry_run=False).status == 201
    apply({"equal_requests": {"mode": "enforce", "namespaces": ["equal"], "resources": ["memory"]}})
    eventually(lambda: api.create("equal", pod(before)).status == 403)
    assert api.create("equal", pod(after), "after", dry_run=False).status == 201

    def resize(name: str, limit: str) -> Answer:
        patch = {"spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": limit}}}]}}
        kind = "application/strategic-merge-patch+json"
        return api.ask("PATCH", f"/api/v1/namespaces/equal/pods/{name}/resize", patch, kind)

    assert resize("before", "3Gi").status == 200
    refused = resize("after", "3Gi")
    assert (refused.status, "not for main" in refused.body["message"]) == (403, True), refused.body


@pytest.fixture
def play(kubeconfig_file: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The step of `site` with these variables of the inventory."""

    def run(variables: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
        inventory = tmp_path / "hosts.yml"
        given = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
        hosts = {"control_plane": {"hosts": {"cp1": {}}}}
        everything = {"vars": {**given, "estate_kubeconfig": str(kubeconfig_file)}, "children": hosts}
        # A mode of `off` without quotes is what people write.
        inventory.write_text(json.dumps({"all": everything}).replace('"off"', "off"))
        return subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook",
                "-i",
                inventory,
                *options,
                "playbooks/steps/policies.yml",
            ],
            cwd=REPOSITORY,
            env={**os.environ, "ANSIBLE_CONFIG": "ansible.cfg", "no_proxy": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_step_of_site(play: Any, apply: Callable[..., dict[str, Any]], cluster: Cluster) -> None:
    apply({})
    wanted = {
        "admission_policies_equal_requests": {"mode": "audit", "namespaces": ["shop"]},
        "admission_policies_lxcfs": {"mode": "off"},
    }

    wrong = play({**wanted, "admission_policies_anti_affinity": {"mode": "audit", "weight": 500}})
    assert wrong.returncode != 0
    assert "admission_policies_anti_affinity.weight: 500 is no number from 1 to 100" in wrong.stdout
    assert {name for name in live(cluster) if name.startswith("estate-equal")} == set()

    checked = play(wanted, "--check", "--diff")
    assert (checked.returncode, "changed=1" in checked.stdout) == (0, True), checked.stdout
    assert "estate-equal-requests" in checked.stdout
    assert {name for name in live(cluster) if name.startswith("estate-equal")} == set()
    done = play(wanted)
    assert (done.returncode, "changed=1" in done.stdout) == (0, True), done.stdout
    assert "estate-equal-requests" in live(cluster)
    assert "changed=0" in play(wanted).stdout
