"""Ten kinds of blockers planted among 50 nodes: what the plan of node_drain finds, and what its drain then meets."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import node_drain

from tests.integration.kwok import DELETE_DELAY, MANAGED
from tests.integration.kwok_estate import DEFAULT, NODES, PODS, KwokEstate, Workload, even_workloads, node

CLAIMS = f"/api/v1{DEFAULT}/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
BUDGETS = f"/apis/policy/v1{DEFAULT}/poddisruptionbudgets"
HOSTNAME = "kubernetes.io/hostname"
SECONDS = 45
READS = ("get", "list", "watch")
KIND = "blocker"
# Not two of them on one node, so that one can be left out together with its node.
ALONE = {"labelSelector": {"matchExpressions": [{"key": KIND, "operator": "Exists"}]}, "topologyKey": HOSTNAME}


def blocker(name, replicas=1, volume=None, spec=None, **more):
    """A workload that prefers the nodes with its label."""
    own = {"matchExpressions": [{"key": KIND, "operator": "In", "values": [name]}]}
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    affinity = {
        "nodeAffinity": {preferred: [{"weight": 100, "preference": own}]},
        "podAntiAffinity": {preferred: [{"weight": 100, "podAffinityTerm": ALONE}]},
    }
    volumes = {"volumes": [{"name": "data", **volume}]} if volume else {}
    return Workload(
        name, replicas, labels={KIND: name}, pod_spec={"affinity": affinity, **volumes, **(spec or {})}, **more
    )


PLANTED = (
    blocker("scratch", volume={"emptyDir": {}}),
    blocker("never", budget={"minAvailable": 1}),
    blocker("exhausted", 3, budget={"maxUnavailable": 1}),
    blocker("twice", 2, budget={"maxUnavailable": 1}),
    blocker("slow", spec={"terminationGracePeriodSeconds": 7200}, annotations={DELETE_DELAY: "1h"}),
    blocker("special", spec={"nodeSelector": {KIND: "special"}}),
    blocker("bound", volume={"persistentVolumeClaim": {"claimName": "data"}}),
    blocker("kept", finalizers=("example.com/keep",)),
)


class Planted:
    """51 nodes, of which 50 are to be drained: on the other one is a pod that does not become ready."""

    silent = "silent"

    def __init__(self, plane):
        self.plane = plane
        self.estate = KwokEstate(plane)
        self._cluster = self.estate.cluster
        names = self.estate.add_nodes(50)
        places = iter(names)
        for made in PLANTED:
            for place in itertools.islice(places, made.replicas):
                self._cluster.merge(f"{NODES}/{place}", {"metadata": {"labels": {KIND: made.name}}})
        self._add_volume()
        self._cluster.create(f"/api/v1{DEFAULT}/pods", pod("lone", nodeName=names[-1]))
        self._add_silent_node()
        self.estate.add(*even_workloads(200, 10, {"maxUnavailable": "50%"}))
        self.estate.settle()
        self.estate.add(*PLANTED)
        self.estate.settle()
        self._cluster.create(BUDGETS, budget("twice-too", "twice"))
        self.estate.add_nodes(10, "spare")
        self.estate.settle()

        self.where = {}
        for found in self.estate.pods():
            name = found["metadata"]["name"]
            app = found["metadata"].get("labels", {}).get("app", name)
            self.where.setdefault(app, {})[name] = found["spec"]["nodeName"]
        assert len({place for made in PLANTED for place in self.where[made.name].values()}) == 11, self.where
        apart = self._break_one()
        self.names = [*(name for name in names if name != apart), self.silent]

    def _add_volume(self):
        reach = {"matchExpressions": [{"key": KIND, "operator": "In", "values": ["bound"]}]}
        common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
        volume = {
            **common,
            "capacity": {"storage": "1Gi"},
            "local": {"path": "/data"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [reach]}},
        }
        claim = {**common, "volumeName": "data", "resources": {"requests": {"storage": "1Gi"}}}
        for path, kind, spec in (
            (VOLUMES, "PersistentVolume", volume),
            (CLAIMS, "PersistentVolumeClaim", claim),
        ):
            self._cluster.create(path, {"apiVersion": "v1", "kind": kind, "metadata": {"name": "data"}, "spec": spec})

    def _add_silent_node(self):
        """A node that kwok leaves alone, with a pod: nobody lets it end."""
        self._cluster.create(NODES, node(self.silent, metadata={"annotations": dict.fromkeys(MANAGED, "no")}))
        condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
        self._cluster.merge(f"{NODES}/{self.silent}/status", {"status": {"conditions": [condition]}})
        self._cluster.create(f"/api/v1{DEFAULT}/pods", pod("alone", nodeName=self.silent))

    def _break_one(self):
        """A pod of `exhausted` crashes; gives its node."""
        pods = self.where["exhausted"]
        name = min(pods)
        status = {
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [
                {
                    "name": "main",
                    "image": "example.com/main:1",
                    "imageID": "",
                    "ready": False,
                    "restartCount": 5,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                }
            ],
        }
        self._cluster.merge(f"/api/v1{DEFAULT}/pods/{name}/status", {"status": status})
        deadline = time.monotonic() + 30
        while self._cluster.get(f"{BUDGETS}/exhausted")["status"]["disruptionsAllowed"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return pods.pop(name)

    def expected(self):
        """Code, node and object of each finding."""
        yield "DR001-unmanaged-pod", self.silent, "default/alone"
        for app, code in BLOCKED.items():
            for name, place in self.where[app].items():
                yield code, place, f"default/{app if code in ABOUT_BUDGETS else name}"
        yield "DR010-silent-node", self.silent, ""

    def nodes_of(self, *apps):
        return {place for app in apps for place in self.where[app].values()}


BLOCKED = {
    "lone": "DR001-unmanaged-pod",
    "scratch": "DR002-local-data",
    "never": "DR003-budget-without-room",
    "exhausted": "DR004-budget-exhausted",
    "twice": "DR005-two-budgets",
    "slow": "DR006-long-grace",
    "special": "DR007-no-fitting-node",
    "bound": "DR008-volume-bound-to-node",
    "kept": "DR009-finalizer",
}
ABOUT_BUDGETS = ("DR003-budget-without-room", "DR004-budget-exhausted")


def pod(name, **where):
    spec = {**where, "containers": [{"name": "main", "image": "example.com/main:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def budget(name, app):
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app}}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}


def about(finding):
    """The pod or budget that a finding names first."""
    named = re.match(r"(?:pod|PodDisruptionBudget) (\S+)", finding["message"])
    return finding["code"], finding["host"], named[1] if named else ""


@pytest.fixture(scope="module")
def planted(kwok_plane):
    return Planted(kwok_plane)


@pytest.fixture
def drain(planted, run_module):
    def run(names, timeout=SECONDS, **params):
        return run_module(node_drain, kubeconfig=planted.plane.kubeconfig, names=names, timeout=timeout, **params)

    return run


def refused(planted, mark):
    """The pods that the API server did not let go."""
    return {event.name for event in planted.plane.audit(mark) if event.verb == "create" and event.status >= 400}


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "a run"])
def test_all_are_found_none_is_invented_and_nothing_is_written(planted, drain, check):
    mark = planted.plane.audit_mark()
    result = drain(planted.names, check=check)
    assert result.get("failed", False) is not check
    assert sorted(map(about, result["findings"])) == sorted(planted.expected())
    assert len({finding["code"] for finding in result["findings"]}) == 10
    assert [event for event in planted.plane.audit(mark) if event.verb not in READS] == []


def test_the_drain_of_nodes_without_findings_meets_nothing(planted, drain):
    mark = planted.plane.audit_mark()
    clean = sorted(set(planted.names) - {place for _code, place, _object in planted.expected()})
    result = drain(clean, timeout=300)
    assert result["drained"] == clean, result
    assert refused(planted, mark) == set()


def test_a_drain_of_the_others_that_goes_on_meets_each_of_them(planted, drain):
    mark = planted.plane.audit_mark()
    names = sorted({place for _code, place, _object in planted.expected()})
    accept = sorted({code for code, _place, _object in planted.expected()} - {BLOCKED["lone"], BLOCKED["scratch"]})
    result = drain(names, accept=accept, force=True, delete_emptydir_data=True, on_failure="report")
    nodes = result["nodes"]

    stuck = planted.nodes_of("never", "exhausted", "twice", "slow", "kept") | {planted.silent}
    assert set(result["failed_nodes"]) == stuck, (planted.where, result)
    assert set(result["drained"]) == set(names) - stuck

    def fates(app):
        return {nodes[place]["pods"][f"default/{name}"] for name, place in planted.where[app].items()}

    for app in ("never", "exhausted"):
        for place in planted.nodes_of(app):
            assert f"(PodDisruptionBudget default/{app} has no room)" in nodes[place]["message"]
    assert all("more than one PodDisruptionBudget" in fate for fate in fates("twice"))
    assert fates("slow") == fates("kept") == {"evicted, but not gone"}
    assert set(nodes[planted.silent]["pods"].values()) == {"evicted, but not gone"}
    assert fates("lone") == fates("scratch") == fates("special") == fates("bound") == {"evicted"}

    after = planted.estate.cluster.list(PODS)
    present = {found["metadata"]["name"] for found in after}
    assert not present & {"lone", *planted.where["scratch"]}, "gone, and what the pods kept with them"
    homeless = {found["metadata"]["labels"]["app"] for found in after if not found["spec"].get("nodeName")}
    assert homeless == {"special", "bound"}
    assert refused(planted, mark) == set(planted.where["twice"]), "nothing else is asked for in vain"
