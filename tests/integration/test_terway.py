"""The role terway: upstream's own chart, rendered by Helm, on a real API server that has Calico's own definitions."""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._chart import Chart
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster
from ansible_collections.hybridk8s.estate.plugins.modules import manifest, terway_status

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.integration.conftest import Call
from tests.integration.control_plane import ControlPlane, private_file
from tests.integration.example_play import run_play
from tests.integration.kwok_estate import KwokEstate, Workload
from tests.lab.build import ensure_component, mirror

REPOSITORY = Path(__file__).resolve().parents[2]
SYSTEM = "/api/v1/namespaces/kube-system"
DAEMON_SET = "/apis/apps/v1/namespaces/kube-system/daemonsets/terway-eniip"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
POOLS = "/apis/crd.projectcalico.org/v1/ippools"
HELM_VERSION, TERWAY_VERSION = "4.3.1", "1.17.5"
CHART = f"github.com/AliyunContainerService/terway@v{TERWAY_VERSION}/charts/terway"
PLAY = """
- hosts: control_plane
  gather_facts: false
  roles: [hybridk8s.estate.terway]
"""


VPC_PLAY = """
- hosts: control_plane
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: hybridk8s.estate.terway, tasks_from: vpc}
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mirror with Helm and the chart, as air-gapped sites have one."""
    tree = tmp_path_factory.mktemp("mirror")
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    mirror.add_helm(tree, ensure_component("helm"), HELM_VERSION, architecture)
    mirror.add_terway(tree, ensure_component("terway"), TERWAY_VERSION)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tree))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools")


@pytest.fixture
def calico(run_module: Call) -> None:
    src = ensure_component("calico") / "share/manifests/calico.yaml"
    run_module(manifest, src=str(src), set="calico")


Play = Any


@pytest.fixture
def play(kubeconfig_file: Path, downloads: str, tools: Path, tmp_path: Path) -> Play:
    """Run the role on the hybrid example; gives Ansible's output, or fails with it."""

    def run(*options: str, fails: bool = False, text: str = PLAY, **variables: Any) -> str:
        given = {
            "estate_kubeconfig": str(kubeconfig_file),
            "estate_mirror": {"downloads": downloads},
            "terway_tools": str(tools),
            "terway_wait": 0,
            **variables,
        }
        return run_play(tmp_path, text, given, *options, fails=fails)

    return run


def test_beside_calico_then_unchanged(calico: None, play: Play, cluster: Cluster, plane: ControlPlane) -> None:
    before = cluster.get(f"{DEFINITIONS}/ippools.crd.projectcalico.org")
    pool = {"cidr": "10.41.0.0/16", "ipipMode": "Never", "blockSize": 26}
    named = {"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": "kept"}, "spec": pool}
    cluster.request("POST", POOLS, body=named)

    assert "changed=1" in play("--check"), "check mode says what a first run would do"
    assert cluster.get(DAEMON_SET) is None
    assert "changed=1" in play()
    mark = plane.audit_mark()
    assert "changed=0" in play()
    writes = [event for event in plane.audit(mark) if event.verb not in ("get", "list") and "dryRun" not in event.uri]
    assert not writes

    after = cluster.get(f"{DEFINITIONS}/ippools.crd.projectcalico.org")
    assert after["spec"] == before["spec"], "Calico's definition is as it was"
    assert cluster.get(f"{POOLS}/kept")["spec"] == pool
    cluster.delete(f"{POOLS}/kept")
    for kind in ("serviceaccounts", "configmaps", "secrets"):
        assert cluster.get(f"{SYSTEM}/{kind}/terway-controlplane") is None, "local IPAM has no control plane"


def test_the_daemon_runs_on_cloud_vms_only(calico: None, play: Play, cluster: Cluster) -> None:
    play()
    pod = cluster.get(DAEMON_SET)["spec"]["template"]["spec"]
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {"key": "alibabacloud.com/external", "operator": "In", "values": ["true"]} in term["matchExpressions"]
    kinds = {volume["name"]: volume.get("hostPath", {}).get("type") for volume in pod["volumes"]}
    assert kinds["cni-bin"] == kinds["host-cni"] == "DirectoryOrCreate"
    assert "addon-token" not in kinds
    images = {container["image"] for container in (*pod["initContainers"], *pod["containers"])}
    assert images == {f"registry-cn-hangzhou.ack.aliyuncs.com/acs/terway:v{TERWAY_VERSION}"}


def test_the_configuration_is_the_inventory_s(calico: None, play: Play, cluster: Cluster) -> None:
    play(terway_eni_conf={"ip_pool_sync_period": "10s"})
    data = cluster.get(f"{SYSTEM}/configmaps/eni-config")["data"]
    found = json.loads(data["eni_conf"])
    assert found["vswitches"] == {
        "cn-shenzhen-d": ["vsw-wz9examplepods000001"],
        "cn-shenzhen-e": ["vsw-wz9examplepods000002"],
    }
    assert found["eni_tags"] == {"estate.hybridk8s.io/estate": "shenzhen-1"}
    assert (found["service_cidr"], found["ip_pool_sync_period"]) == ("10.42.0.0/16", "10s")
    assert "access_key" not in found
    assert "ipam_type" not in found
    assert data["disable_network_policy"] == "true"
    first = annotations(cluster)
    assert "changed=1" in play(), "another configuration"
    assert annotations(cluster) != first, "restarts the daemon, which reads it once"


def annotations(cluster: Cluster) -> Any:
    return cluster.get(DAEMON_SET)["spec"]["template"]["metadata"]["annotations"]["estate.hybridk8s.io/terway-config"]


def test_the_control_plane_comes_and_goes_with_its_mode(calico: None, play: Play, cluster: Cluster) -> None:
    deployment = "/apis/apps/v1/namespaces/kube-system/deployments/terway-controlplane"
    play(terway_ipam="crd")
    assert json.loads(cluster.get(f"{SYSTEM}/configmaps/eni-config")["data"]["eni_conf"])["ipam_type"] == "crd"
    assert cluster.get(deployment)["spec"]["template"]["spec"]["nodeSelector"] == {"alibabacloud.com/external": "true"}
    play()
    assert cluster.get(deployment) is None
    assert cluster.get(f"{SYSTEM}/secrets/terway-controlplane-credential") is None


def test_endpoints_of_a_cloud_of_one_s_own(calico: None, play: Play, cluster: Cluster) -> None:
    cloud = {
        "provider": "alibaba",
        "region": "cn-lab",
        "cidr": "172.20.0.0/16",
        "pod_vswitches": {"cn-lab-a": {"id": "vsw-p", "cidr": "172.20.2.0/24"}},
        "endpoints": {"ecs": "172.20.1.253:8080", "vpc": "172.20.1.253:8080", "scheme": "http"},
    }
    play(estate_cloud=cloud)
    containers = {c["name"]: c for c in cluster.get(DAEMON_SET)["spec"]["template"]["spec"]["containers"]}
    environment = {entry["name"]: entry.get("value") for entry in containers["terway"]["env"]}
    assert (
        environment.items()
        >= {
            "ECS_ENDPOINT": "172.20.1.253:8080",
            "VPC_ENDPOINT": "172.20.1.253:8080",
            "ALICLOUD_CLIENT_SCHEME": "HTTP",
            "NODE_NAME": None,
        }.items()
    )


def test_no_pod_vswitch_is_refused_before_anything_is_applied(play: Play) -> None:
    cloud = {"provider": "alibaba", "region": "cn-lab", "cidr": "172.20.0.0/16"}
    said = play(estate_cloud=cloud, fails=True)
    assert "estate_cloud.pod_vswitches: there is none" in said


def test_upstream_s_chart_is_still_what_the_patches_are_for(play: Play, tools: Path) -> None:
    """Planted: what is applied where nobody patches. Should upstream mend one of these, its patch can go."""
    play("--check")
    library = tools / "usr/local/lib/hybridk8s"
    chart = Chart(
        str(library / "terway-chart" / TERWAY_VERSION / CHART),
        "terway-eniip",
        {},
        str(library / "helm" / HELM_VERSION / "helm"),
    )
    documents = {(d["kind"], d["metadata"]["name"]): d for d in chart.documents("kube-system")}
    stub = documents["CustomResourceDefinition", "ippools.crd.projectcalico.org"]["spec"]["versions"][0]
    assert set(stub["schema"]["openAPIV3Schema"]["properties"]) == {"apiVersion"}
    pod = documents["DaemonSet", "terway-eniip"]["spec"]["template"]["spec"]
    assert {"name": "cni-bin", "hostPath": {"path": "/opt/cni/bin", "type": "Directory"}} in pod["volumes"]
    assert "alibabacloud.com/external" not in json.dumps(pod["affinity"])
    configuration = documents["ConfigMap", "eni-config"]["data"]["eni_conf"]
    assert "access_key" in configuration
    assert "eni_tags" not in configuration


def test_it_lands_on_cloud_vms_and_nowhere_else(
    play: Play, kwok_plane: ControlPlane, run_module: Call, tmp_path: Path
) -> None:
    """A real scheduler and DaemonSet controller; kwok plays the kubelets, so Terway itself does not run."""
    estate = KwokEstate(kwok_plane)
    estate.add_named_nodes(["vm-1", "vm-2", "bare-1", "forgotten"])
    kubelets = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    external = {"alibabacloud.com/external": "true", "topology.kubernetes.io/zone": "cn-shenzhen-d"}
    labels = {"vm-1": external, "vm-2": external, "bare-1": {"k8s.aliyun.com/ignore-by-terway": "true"}}
    for name in estate.names:
        change = {"metadata": {"labels": {**kubelets, **labels.get(name, {})}}}
        estate.cluster.merge(f"/api/v1/nodes/{name}", change)
    kubeconfig = private_file(tmp_path / "kwok.conf", kwok_plane.kubeconfig)

    assert "changed=1" in play(estate_kubeconfig=str(kubeconfig), terway_wait=60)
    daemons = [pod for pod in estate.pods() if pod["metadata"]["labels"].get("app") == "terway-eniip"]
    assert sorted(pod["spec"]["nodeName"] for pod in daemons) == ["vm-1", "vm-2"]

    def status(**options: Any) -> dict[str, Any]:
        vswitches = {"cn-shenzhen-d": {"id": "vsw-1", "cidr": "172.20.128.0/19"}}
        return run_module(terway_status, kubeconfig=kwok_plane.kubeconfig, vswitches=vswitches, **options)

    good = status(vms=["vm-1", "vm-2"])
    assert (good.get("failed", False), good["findings"]) == (False, [])
    assert [finding["code"] for finding in status(vms=["vm-1", "vm-3"])["findings"]] == ["TW304-no-cloud-node"]

    estate.add(Workload("planted", pod_spec={"nodeName": "vm-1"}))
    estate.settle(60)
    (planted,) = [pod for pod in estate.pods("vm-1") if pod["metadata"]["labels"]["app"] == "planted"]
    bad = status()
    assert bad["failed"] is True
    assert [(finding["code"], finding["host"]) for finding in bad["findings"]] == [
        ("TW308-pod-outside-vswitch", "vm-1")
    ]
    assert bad["pods"] == {"vm-1": [planted["status"]["podIP"]], "vm-2": []}


def test_the_vpc_is_asked_for_and_no_secret_is_told(play: Play, tmp_path: Path) -> None:
    secret = "planted-secret-of-the-controller"
    key = {**world.EXAMPLE["keys"][0], "secret": secret}
    kind = {"cn-shenzhen-d": {"id": "vsw-node-d", "cidr": "172.20.16.0/20"}}
    with FakeCloud(tmp_path / "cloud", world.parse({"keys": [key]})) as fake:
        cloud = {
            "provider": "alibaba",
            "region": "cn-shenzhen",
            "vpc": "vpc-1",
            "cidr": "172.20.0.0/16",
            "node_vswitches": kind,
            "pod_vswitches": {"cn-shenzhen-d": {"id": "vsw-pod-d", "cidr": "172.20.128.0/19"}},
            "security_groups": ["sg-1"],
            "credentials": {"access_key_id": key["id"], "access_key_secret": secret},
            "endpoints": {"ecs": fake.endpoint, "vpc": fake.endpoint, "scheme": "http"},
        }
        # Extra variables are shown by -vvv as they were given; a file of them is what people use for secrets.
        given = private_file(tmp_path / "cloud.json", {"estate_cloud": cloud})
        said = play("-vvv", "--check", "-e", f"@{given}", text=VPC_PLAY)
        assert "changed=0" in said
        assert secret not in said
        given.write_text(json.dumps({"estate_cloud": {**cloud, "vpc": "vpc-9"}}))
        refused = play("-vvv", "-e", f"@{given}", text=VPC_PLAY, fails=True)
        assert "TW401-no-vpc" in refused
        assert secret not in refused
