"""The module node_remove against a real API server: bare, and with real controllers and kwok for the kubelets."""

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import connect
from ansible_collections.hybridk8s.estate.plugins.modules import node_remove

from tests.integration.control_plane import WORKLOAD_CONTROLLERS, ControlPlane
from tests.integration.kwok_estate import KwokEstate, Workload

NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
REFUGE = "worker-0007"
BLOCKS = "/apis/crd.projectcalico.org/v1/blockaffinities"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
REMOVING = "estate.hybridk8s.io/removing"
LEASE_SECONDS = 8
SILENT_AFTER = 60


def make(cluster, name, **labels):
    cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})


def states(result):
    return {name: node["state"] for name, node in result["nodes"].items()}


def until(condition, seconds=SILENT_AFTER):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_removes_those_that_exist_and_no_other(cluster, run_module):
    for name in ("gone-1", "gone-2", "stays"):
        make(cluster, name)
    planned = run_module(node_remove, names=["gone-1", "gone-2", "never-was"], check=True)
    assert (planned["changed"], planned["removed"]) == (True, ["gone-1", "gone-2"])
    assert cluster.get(f"{NODES}/gone-1") is not None

    removed = run_module(node_remove, names=["gone-1", "gone-2", "never-was"])
    assert removed["steps"] == planned["steps"]
    assert states(removed) == {"gone-1": "removed", "gone-2": "removed", "never-was": "absent"}
    assert cluster.get(f"{NODES}/gone-1") is None
    assert cluster.get(f"{NODES}/stays") is not None

    again = run_module(node_remove, names=["gone-1", "gone-2", "never-was"])
    assert (again["changed"], again["removed"]) == (False, [])


def test_without_a_cluster_the_plan_is_empty(run_module):
    planned = run_module(node_remove, names=["w1"], check=True, kubeconfig=None)
    assert planned["changed"] is False


class Attacher:
    """A CSI driver's external attacher: attaches what is asked for, and lets go of what is deleted."""

    def __init__(self, plane):
        self._cluster = connect(plane.kubeconfig)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self.broken = False

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._ended.set()
        self._thread.join()

    def _play(self):
        while not self._ended.wait(0.2):
            for found in self._cluster.list(ATTACHMENTS):
                path = f"{ATTACHMENTS}/{found['metadata']['name']}"
                if found["metadata"].get("deletionTimestamp"):
                    if not self.broken:
                        self._cluster.merge(path, {"metadata": {"finalizers": None}})
                elif not found.get("status", {}).get("attached"):
                    self._cluster.merge(path, {"metadata": {"finalizers": ["test/attacher"]}})
                    self._cluster.merge(f"{path}/status", {"status": {"attached": True}})


@pytest.fixture(scope="module")
def powered(tmp_path_factory):
    """A cluster whose node lifecycle controller sees within seconds that a kubelet is silent."""
    with ControlPlane(
        tmp_path_factory.mktemp("powered"),
        WORKLOAD_CONTROLLERS,
        scheduler=True,
        kwok=True,
        audit=True,
        lease_seconds=LEASE_SECONDS,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def estate(powered):
    """Workers, three control planes, two reflectors, all Ready; Calico's table of blocks, with nobody who works it."""
    estate = KwokEstate(powered)
    attached_by_controller = {"annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}
    estate.add_nodes(8, "worker", metadata=attached_by_controller)
    estate.add_nodes(3, "master", metadata={"labels": {"node-role.kubernetes.io/control-plane": ""}})
    estate.add_nodes(2, "mirror", metadata={"labels": {"route-reflector": "true"}})
    estate.settle()
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "blockaffinities.crd.projectcalico.org"},
        "spec": {
            "group": "crd.projectcalico.org",
            "scope": "Cluster",
            "names": {"kind": "BlockAffinity", "plural": "blockaffinities"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }
    estate.cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    return estate


@pytest.fixture
def remove(powered, run_module):
    def call(*names, **params):
        return run_module(node_remove, kubeconfig=powered.kubeconfig, names=list(names), **params)

    return call


@pytest.fixture
def power_off(powered, estate):
    """kwok forgets these nodes, which it does when it starts anew; wait until the cluster takes note."""

    def call(*names):
        for name in names:
            estate.cluster.merge(f"{NODES}/{name}", {"metadata": {"annotations": {"kwok.x-k8s.io/node": None}}})
        powered.set_ready_delay(0)
        until(lambda: all(ready_status(estate, name) == "Unknown" for name in names))

    return call


def ready_status(estate, name):
    conditions = estate.cluster.get(f"{NODES}/{name}")["status"]["conditions"]
    return next(condition["status"] for condition in conditions if condition["type"] == "Ready")


def add_volume(estate, name):
    """A volume and a claim that are bound to each other."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "volumeName": name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    uid = estate.cluster.create(CLAIMS, claim)["metadata"]["uid"]
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "test.example", "volumeHandle": name},
            "claimRef": {"namespace": "default", "name": name, "uid": uid},
        },
    }
    estate.cluster.create(VOLUMES, volume)
    for path in (f"{VOLUMES}/{name}", f"{CLAIMS}/{name}"):
        estate.cluster.merge(f"{path}/status", {"status": {"phase": "Bound"}})


def stateful(name, claim, on):
    """One pod with a volume, on this node first, and when that is out of service on one that no test takes away."""
    return Workload(
        name,
        1,
        "StatefulSet",
        pod_spec={
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
            "affinity": {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [preferred(on, 100), preferred(REFUGE, 50)]
                }
            },
        },
    )


def preferred(node, weight):
    wanted = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {"weight": weight, "preference": {"matchExpressions": [wanted]}}


def attachments(estate):
    return {found["spec"]["nodeName"] for found in estate.cluster.list(ATTACHMENTS)}


def place_of(estate, workload):
    pods = [pod for pod in estate.pods() if pod["metadata"]["labels"].get("app") == workload]
    return {pod["spec"].get("nodeName") for pod in pods if not pod["metadata"].get("deletionTimestamp")}


def test_a_dead_hosts_pods_and_volumes_are_let_go_before_its_node_goes(estate, remove, powered, power_off):
    victim = "worker-0000"
    with Attacher(powered):
        add_volume(estate, "data-a")
        estate.add(stateful("db-a", "data-a", victim))
        until(lambda: victim in attachments(estate))
        volume = {"name": "kubernetes.io/csi/test.example^data-a", "devicePath": ""}
        # What its kubelet said last: the volume is mounted. Without the taint it stays attached for six minutes.
        estate.cluster.merge(f"{NODES}/{victim}/status", {"status": {"volumesInUse": [volume["name"]]}})
        alive = remove(victim)
        assert alive["failed"] is True
        assert states(alive) == {victim: "refused"}
        assert "its host answers: Ready is True" in alive["msg"]

        power_off(victim)
        planned = remove(victim, check=True)
        began = time.monotonic()
        result = remove(victim)
        print(f"a dead host with a volume: removed in {time.monotonic() - began:.0f} s, {result['requests']} requests")
        assert "failed" not in result, result
        assert [step["action"] for step in result["steps"]] == ["taint", "delete"]
        assert result["steps"] == planned["steps"]
        assert victim not in attachments(estate)
        assert estate.cluster.get(f"{NODES}/{victim}") is None
        until(lambda: place_of(estate, "db-a") not in (set(), {victim}, {None}))
    again = remove(victim)
    assert (again["changed"], states(again)) == (False, {victim: "absent"})


def test_a_volume_that_is_not_let_go_keeps_the_node_and_the_taint_is_taken_back(estate, remove, powered, power_off):
    victim = "worker-0001"
    with Attacher(powered) as attacher:
        attacher.broken = True
        add_volume(estate, "data-b")
        estate.add(stateful("db-b", "data-b", victim))
        until(lambda: victim in attachments(estate))
        power_off(victim)
        result = remove(victim, timeout=30)
        assert result["failed"] is True
        assert states(result) == {victim: "failed"}
        assert "not let go within 30 s: csi-" in result["msg"]
        assert "with abandon" in result["msg"]
        node = estate.cluster.get(f"{NODES}/{victim}")
        assert REMOVING not in node["metadata"]["annotations"]
        assert OUT_OF_SERVICE not in {taint["key"] for taint in node["spec"]["taints"]}

        abandoned = remove(victim, timeout=1, abandon=True)
        assert states(abandoned) == {victim: "removed"}
        assert estate.cluster.get(f"{NODES}/{victim}") is None


def test_control_planes_and_reflectors_of_which_no_ready_one_would_be_left_stay(estate, remove, power_off):
    masters = [f"master-{number:04}" for number in range(3)]
    mirrors = [f"mirror-{number:04}" for number in range(2)]
    everyone = remove(*masters, *mirrors, left=[*masters, *mirrors], check=True, on_failure="report")
    assert set(states(everyone).values()) == {"refused"}
    assert {finding["code"] for finding in everyone["findings"]} == {"NR002-last-control-plane", "NR003-last-reflector"}

    power_off(masters[0], mirrors[0])
    last = remove(masters[0], masters[1], *mirrors, left=[masters[1], mirrors[1]], check=True, on_failure="report")
    assert states(last) == {
        masters[0]: "removed",
        masters[1]: "removed",
        mirrors[0]: "removed",
        mirrors[1]: "refused",
    }
    dead = remove(masters[0], mirrors[0])
    assert states(dead) == {masters[0]: "removed", mirrors[0]: "removed"}


def test_a_host_that_comes_back_meanwhile_keeps_its_node(estate, remove, powered, power_off):
    victim = "worker-0002"
    with Attacher(powered) as attacher:
        attacher.broken = True
        add_volume(estate, "data-c")
        estate.add(stateful("db-c", "data-c", victim))
        until(lambda: victim in attachments(estate))
        power_off(victim)

        def come_back():
            until(lambda: REMOVING in estate.cluster.get(f"{NODES}/{victim}")["metadata"]["annotations"])
            estate.cluster.merge(f"{NODES}/{victim}", {"metadata": {"annotations": {"kwok.x-k8s.io/node": "fake"}}})
            powered.set_ready_delay(0)
            until(lambda: ready_status(estate, victim) == "True")
            # The kubelet ends what was deleted while it was away; the garbage collector of pods may take 20 s.
            for pod in estate.pods(victim):
                path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
                estate.cluster.request("DELETE", path, body={"gracePeriodSeconds": 0})
            attacher.broken = False

        back = threading.Thread(target=come_back)
        back.start()
        result = remove(victim, timeout=90)
        back.join()
    assert states(result) == {victim: "refused"}
    assert "came back meanwhile" in result["msg"]
    node = estate.cluster.get(f"{NODES}/{victim}")
    assert REMOVING not in node["metadata"]["annotations"]
    assert not [taint for taint in node["spec"].get("taints", ()) if taint["key"] == OUT_OF_SERVICE]


def test_blocks_are_waited_for_and_those_that_stay_are_named(estate, remove, power_off):
    victim = "worker-0003"
    for number in (1, 2):
        body = {
            "apiVersion": "crd.projectcalico.org/v1",
            "kind": "BlockAffinity",
            "metadata": {"name": f"{victim}-{number}"},
            "spec": {"node": victim, "cidr": f"10.21.{number}.0/26", "state": "confirmed", "deleted": "false"},
        }
        estate.cluster.create(BLOCKS, body)
    power_off(victim)

    def release_one():
        until(lambda: estate.cluster.get(f"{NODES}/{victim}") is None, seconds=3 * SILENT_AFTER)
        estate.cluster.delete(f"{BLOCKS}/{victim}-1")

    releasing = threading.Thread(target=release_one)
    releasing.start()
    result = remove(victim, blocks_timeout=5)
    releasing.join()
    assert "failed" not in result, result
    assert result["nodes"][victim]["blocks"] == ["10.21.2.0/26"]
    assert "calico-kube-controllers" in result["nodes"][victim]["message"]
    assert [finding["code"] for finding in result["findings"]] == ["NR004-blocks-remain"]

    estate.cluster.delete(f"{BLOCKS}/{victim}-2")
    again = remove(victim)
    assert (again["findings"], again["nodes"][victim]["blocks"]) == ([], [])


def test_a_node_that_was_made_anew_in_the_meantime_is_spared(estate, remove, power_off, monkeypatch):
    victim = "worker-0004"
    power_off(victim)
    observe = node_remove.Nodes.observe

    def replaced(nodes, names):
        plans = observe(nodes, names)
        estate.cluster.delete(f"{NODES}/{victim}")
        make(estate.cluster, victim)
        return plans

    monkeypatch.setattr(node_remove.Nodes, "observe", replaced)
    result = remove(victim)
    assert states(result) == {victim: "failed"}
    assert estate.cluster.get(f"{NODES}/{victim}") is not None
    estate.cluster.delete(f"{NODES}/{victim}")
