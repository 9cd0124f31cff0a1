"""The playbook's way to end VMs, on a simulated cloud and a real API server: killed at ten points, and two at once.

The VMs are dead, for nobody could reach them here: their nodes go by the API alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import access_of, open_cloud
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import ESTATE_TAG
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster
from ansible_collections.hybridk8s.estate.plugins.modules import ecs_instances

from tests.fakecloud import admin, world
from tests.fakecloud.server import FakeCloud
from tests.flows.interrupt import kill_with_descendants
from tests.integration.control_plane import ControlPlane, private_file
from tests.integration.faulty_proxy import Fault, FaultyProxy, Request
from tests.integration.module_process import call
from tests.lab import offers

REPOSITORY = Path(__file__).resolve().parents[2]
HYBRID = REPOSITORY / "inventories" / "lab_hybrid"
NODES = "/api/v1/nodes"
VMS = ("online-1", "online-2", "online-3")
KEY = offers.ACCESS_KEY
STEPS = ("check", "steps/cloud_vms", "steps/cloud_forget", "steps/cloud_release", "steps/summary")
# For as long as a request of a dead controller may still be under way.
UNDER_WAY_SECONDS = 4.0


class Site:
    """The lab's hybrid estate, with a pool of three dead VMs that are nodes, and an inventory that wants none."""

    def __init__(self, fake: FakeCloud, cluster: Cluster, directory: Path) -> None:
        self.fake = fake
        self.cluster = cluster
        self.inventory = directory / "inventory"
        self._begun: list[subprocess.Popen[str]] = []
        self._plays = directory / "play.yml"
        imported = [{"ansible.builtin.import_playbook": f"{REPOSITORY}/playbooks/{step}.yml"} for step in STEPS]
        self._plays.write_text(yaml.safe_dump(imported))
        shutil.copytree(HYBRID, self.inventory)
        self._edit("50-cloud.ecs.yml", lambda plugin: plugin["accounts"][0].update(endpoints=self._endpoints("ecs")))
        self.estate = self._edit("group_vars/all/estate.yml", self._wants_none)

    def _edit(self, name: str, edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        path = self.inventory / name
        content: dict[str, Any] = yaml.safe_load(path.read_text())
        edit(content)
        path.write_text(yaml.safe_dump(content))
        return content

    def _endpoints(self, *products: str) -> dict[str, str]:
        return {**dict.fromkeys(products, self.fake.endpoint), "scheme": "http"}

    def _wants_none(self, estate: dict[str, Any]) -> None:
        estate["estate_cloud"]["endpoints"] = self._endpoints("ecs", "vpc", "cs")
        estate["estate_cloud_pools"]["online"]["count"] = 0

    @property
    def _access(self) -> dict[str, Any]:
        names = ("access_key_id", "access_key_secret")
        cloud = self.estate["estate_cloud"]
        credentials = dict(zip(names, KEY.values()))
        return {"region": cloud["region"], "endpoints": cloud["endpoints"], "credentials": credentials}

    def ask(self, verb: str, **options: Any) -> Any:
        return admin.ask(self.fake.cloud, verb, options)

    def instances(self) -> dict[str, str]:
        return {instance["id"]: instance["name"] for instance in self.ask("state")["instances"]}

    def vm_nodes(self) -> dict[str, str]:
        """The ids of the instances whose nodes there are."""
        nodes = self.cluster.list(NODES)
        return {node["spec"]["providerID"].partition(".")[2]: node["metadata"]["name"] for node in nodes}

    def populate(self) -> None:
        """The VMs, one of them with an interface of Terway's, and their nodes, which have fallen silent."""
        cloud = self.estate["estate_cloud"]
        pool = {**self.estate["estate_cloud_pools"]["online"], "count": len(VMS)}
        kept = {name: cloud[name] for name in ("node_vswitches", "pod_vswitches", "security_groups", "ram_role")}
        made = call(ecs_instances, {"estate": "lab", "pools": {"online": pool}, **kept, **self._access})
        assert "failed" not in made, made
        for instance in made["instances"]:
            body = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": instance["name"], "labels": {"alibabacloud.com/external": "true"}},
                "spec": {"providerID": instance["provider_id"]},
            }
            self.cluster.create(NODES, body)
        self._hang_interface(made["instances"][0]["id"], cloud)

    def _hang_interface(self, instance: str, cloud: Mapping[str, Any]) -> None:
        (zone,) = cloud["pod_vswitches"]
        eni = self._call(
            "CreateNetworkInterface",
            VSwitchId=cloud["pod_vswitches"][zone]["id"],
            SecurityGroupId=cloud["security_groups"][0],
            **{"Tag.1.Key": ESTATE_TAG, "Tag.1.Value": "lab"},
        )["NetworkInterfaceId"]
        self._call("AttachNetworkInterface", NetworkInterfaceId=eni, InstanceId=instance)
        self.until(lambda: all(each["status"] == "InUse" for each in self.ask("state")["enis"]))

    def _call(self, action: str, **query: str) -> dict[str, Any]:
        return open_cloud(access_of(self._access)).call(action, **query)

    def begin(self, kubeconfig: Path, name: str = "run") -> subprocess.Popen[str]:
        given = {
            "estate_kubeconfig": str(kubeconfig),
            "cloud_vms_known_hosts": str(self._plays.parent / "known_hosts"),
            "ansible_ssh_common_args": "-o ProxyCommand=false",
            "ansible_python_interpreter": sys.executable,
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.inventory)]
        process = subprocess.Popen(
            [*command, "-e", json.dumps(given), str(self._plays)],
            cwd=REPOSITORY,
            env={**os.environ, **KEY, "ANSIBLE_CONFIG": "ansible.cfg", "ANSIBLE_NOCOLOR": "1", "no_proxy": "127.0.0.1"},
            stdout=(self._plays.parent / f"{name}.log").open("w"),
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._begun.append(process)
        return process

    def end(self) -> None:
        for process in self._begun:
            if process.poll() is None:
                kill_with_descendants(process.pid)
                process.wait()

    def run(self, kubeconfig: Path, name: str = "run") -> str:
        """Run it to its end, which has to be a good one."""
        process = self.begin(kubeconfig, name)
        process.wait(300)
        output = self.output(name)
        assert process.returncode == 0, output
        return output

    def output(self, name: str = "run") -> str:
        return (self._plays.parent / f"{name}.log").read_text()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < deadline, self.ask("state")
            time.sleep(0.02)

    def assert_nothing_is_left(self) -> None:
        assert self.vm_nodes() == {}
        assert {kind: things for kind, things in self.ask("state").items() if things} == {}
        assert self.ask("billing", open=True) == []
        paid = [period for period in self.ask("billing") if period["kind"] == "instance"]
        assert len(paid) == len(VMS), "none was made again"


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCloud]:
    estate = yaml.safe_load((HYBRID / "group_vars" / "all" / "estate.yml").read_text())
    offered = offers.world_of(SimpleNamespace(shared=estate.get))  # type: ignore[arg-type]
    with FakeCloud(tmp_path_factory.mktemp("cloud"), world.parse(offered)) as running:
        yield running


@pytest.fixture
def site(fake: FakeCloud, cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    for node in cluster.list(NODES):
        cluster.delete(f"{NODES}/{node['metadata']['name']}")
    made = Site(fake, cluster, tmp_path)
    made.ask("reset")
    made.populate()
    yield made
    made.end()


@dataclass(frozen=True)
class Point:
    """The controller is killed when it asks this for the `number`th time: of the cloud an action, of the API server
    `nodes`, to delete one. The request is lost, done when nobody hears of it, or done while the next run is at work."""

    what: str
    number: int
    how: str

    def __str__(self) -> str:
        return f"{self.what}-{self.number}-{self.how}"


POINTS = (
    Point("DescribeVpcs", 1, "before"),
    Point("DescribeLaunchTemplates", 1, "after"),
    Point("nodes", 1, "before"),
    Point("nodes", 2, "after"),
    Point("TagResources", 1, "before"),
    Point("TagResources", 1, "late"),
    Point("DetachNetworkInterface", 1, "after"),
    Point("DeleteNetworkInterface", 1, "before"),
    Point("DeleteInstances", 1, "before"),
    Point("DeleteInstances", 1, "late"),
)
EVERY = max(1, len(POINTS) // int(os.environ.get("HYBRIDK8S_INTERRUPTIONS", "2")))  # `make test-all` takes each


class Deletions:
    """A rule for the proxy: the point's deletion of a node waits until the controller is dead, and is done or lost."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.seen = 0
        self.hit = False
        self.may_go_on = False

    def __call__(self, request: Request) -> Fault | None:
        if self.point.what != "nodes" or request.method != "DELETE" or not request.path.startswith(NODES):
            return None
        self.seen += 1
        if self.seen != self.point.number:
            return None
        self.hit = True
        while not self.may_go_on:
            time.sleep(0.01)
        return Fault() if self.point.how == "before" else None


@pytest.mark.parametrize("point", POINTS[EVERY - 1 :: EVERY], ids=str)
def test_killed(site: Site, plane: ControlPlane, kubeconfig_file: Path, tmp_path: Path, point: Point) -> None:
    rule = Deletions(point)
    if point.what != "nodes":
        drop = "before" if point.how == "before" else ""
        action = f"*:{point.what}"
        site.ask("fault", action=action, skip=point.number - 1, count=1, delay=UNDER_WAY_SECONDS, drop=drop)
    with FaultyProxy(plane, tmp_path, rule) as proxy:
        through = private_file(tmp_path / "through.conf", proxy.kubeconfig)
        process = site.begin(through, "killed")
        site.until(lambda: rule.hit or any(fault["hits"] for fault in site.ask("faults")) or process.poll() is not None)
        asked = len(site.ask("requests"))
        kill_with_descendants(process.pid)
        process.wait()
        rule.may_go_on = True
        proxy.settle()
    assert process.returncode < 0, site.output("killed")
    if point.what != "nodes" and point.how != "late":
        site.until(lambda: len(site.ask("requests")) > asked)
    assert site.vm_nodes().keys() <= site.instances().keys(), "a VM goes when its node has gone"

    site.run(kubeconfig_file)
    time.sleep(UNDER_WAY_SECONDS if point.how == "late" else 0)

    site.assert_nothing_is_left()


def test_two_at_once(site: Site, kubeconfig_file: Path) -> None:
    both = [site.begin(kubeconfig_file, name) for name in ("one", "other")]
    for process in both:
        process.wait(300)
    site.run(kubeconfig_file)
    site.assert_nothing_is_left()
    assert [process.returncode for process in both] == [0, 0], site.output("one") + site.output("other")


def test_the_api_server_goes_midway(site: Site, plane: ControlPlane, kubeconfig_file: Path, tmp_path: Path) -> None:
    """From the second node on nobody answers: no VM ends whose node is there."""
    gone = []

    def rule(request: Request) -> Fault | None:
        if request.method == "DELETE" and request.path.startswith(NODES):
            gone.append(request.path)
        return Fault() if len(gone) > 1 else None

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        through = private_file(tmp_path / "through.conf", proxy.kubeconfig)
        process = site.begin(through, "cut")
        process.wait(300)
    assert process.returncode != 0, site.output("cut")
    assert site.vm_nodes().keys() <= site.instances().keys()
    assert site.instances()
    site.run(kubeconfig_file)
    site.assert_nothing_is_left()


def test_the_cloud_goes_midway(site: Site, kubeconfig_file: Path) -> None:
    """The nodes have gone, and nobody takes the VMs: a run says so, and the next one ends them."""
    site.ask("fault", action="ecs:DeleteInstances", drop="before")
    process = site.begin(kubeconfig_file, "cut")
    process.wait(300)
    said = site.output("cut")
    assert process.returncode != 0, said
    assert "Check estate_cloud.endpoints and the way to them" in said
    summary = said.rpartition("PLAY RECAP")[0].rpartition("TASK [")[2]
    assert all(vm in summary for vm in VMS), said
    assert sorted(site.instances().values()) == list(VMS)
    site.ask("faults", clear=True)
    site.run(kubeconfig_file)
    site.assert_nothing_is_left()


def test_a_second_run_changes_nothing(site: Site, kubeconfig_file: Path) -> None:
    site.run(kubeconfig_file)
    site.assert_nothing_is_left()
    again = site.run(kubeconfig_file)
    assert set(re.findall(r"changed=(\d+)", again.rpartition("PLAY RECAP")[2])) == {"0"}, again
