"""The playbook cloud_report on VMs of a simulated cloud that are nodes of a real API server, and a pool's last day."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import connect
from ansible_collections.hybridk8s.estate.plugins.modules import ecs_instances

from tests.fakecloud import admin, world
from tests.fakecloud.server import FakeCloud
from tests.flows.drive import REPOSITORY
from tests.integration.kwok_cloud import KwokMachines, environment, pool, site, write_inventory
from tests.integration.kwok_estate import NODES, KwokEstate, Workload
from tests.integration.module_process import call

METRICS = "metrics.k8s.io"
QUICK = {"visible": 0.0, "pending": 0.0, "starting": 0.0, "stopping": 0.0, "eni": 0.0}
REQUESTS = [{"name": "main", "image": "example.com/main:1", "resources": {"requests": {"cpu": "1", "memory": "4Gi"}}}]
from tests.integration.control_plane import private_file


def ahead(fake, days):
    """The day by the cloud's clock, so many days from now."""
    return (datetime.fromtimestamp(fake.cloud.now(), timezone.utc) + timedelta(days=days)).date().isoformat()


@pytest.fixture(scope="module")
def fake(kwok_plane, tmp_path_factory):
    with FakeCloud(tmp_path_factory.mktemp("cloud"), world.parse({"timings": QUICK}), KwokMachines(kwok_plane)) as made:
        yield made


@pytest.fixture(scope="module")
def kwok_cluster(kwok_plane):
    opened = connect(kwok_plane.kubeconfig)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def vms(fake, kwok_plane, kwok_cluster):
    """Two VMs that are Ready nodes with a pod each; a bare-metal node is none of them. Their use is measured."""
    made = instances(fake, {"online": pool(2)})
    assert [one["status"] for one in made["instances"]] == ["Running", "Running"]
    for name in ("online-1", "online-2"):
        kwok_cluster.merge(f"{NODES}/{name}", {"spec": {"taints": None}})
    estate = KwokEstate(kwok_plane)
    selector = {"nodeSelector": {"kubernetes.io/hostname": "online-1"}}
    estate.add(Workload("web", kind="Deployment", replicas=2, pod_spec={"containers": REQUESTS, **selector}))
    estate.add_named_nodes(["w1"])
    estate.settle(60)
    measure(kwok_cluster, {"online-1": ("1500m", "8Gi"), "online-2": ("100m", "1Gi"), "w1": ("3", "1Gi")})
    return {one["name"]: one["id"] for one in made["instances"]}


def measure(cluster, used):
    """Metrics as a metrics server has them; a resource definition of its own serves them here."""
    names = {"plural": "nodes", "singular": "node", "kind": "NodeMetrics", "listKind": "NodeMetricsList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    annotations = {"api-approved.kubernetes.io": "unapproved, a test"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"nodes.{METRICS}", "annotations": annotations},
        "spec": {
            "group": METRICS,
            "scope": "Cluster",
            "names": names,
            "versions": [{"name": "v1beta1", "served": True, "storage": True, "schema": schema}],
        },
    }
    cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    for name, (cpu, memory) in used.items():
        body = {
            "apiVersion": f"{METRICS}/v1beta1",
            "kind": "NodeMetrics",
            "metadata": {"name": name},
            "usage": {"cpu": cpu, "memory": memory},
        }
        eventually_create(cluster, f"/apis/{METRICS}/v1beta1/nodes", body)


def eventually_create(cluster, path, body):
    for _try in range(100):
        answer = cluster.request("POST", path, body=body, allow=(404,))
        if answer.status != 404:
            return
        cluster._sleep(0.1)
    raise TimeoutError(path)


def instances(fake, pools, **options):
    """The module that brings pools about."""
    described, key = site(fake.endpoint), world.EXAMPLE["keys"][0]
    where = {name: described[name] for name in ("region", "endpoints", "node_vswitches", "security_groups")}
    return call(
        ecs_instances,
        {
            "estate": "lab",
            "credentials": {"access_key_id": key["id"], "access_key_secret": key["secret"]},
            **where,
            "pools": pools,
            **options,
        },
    )


@pytest.fixture
def play(fake, kwok_plane, tmp_path):
    def run(pools, *options, kubeconfig=None, **cloud):
        """What the playbook says, the report and the page."""
        write_inventory(tmp_path / "inventory", fake.endpoint, pools, **cloud)
        file = private_file(tmp_path / "admin.conf", kubeconfig or kwok_plane.kubeconfig)
        report, page = tmp_path / "vms.json", tmp_path / "vms.html"
        variables = {"estate_kubeconfig": str(file), "cloud_vms_report": str(report), "cloud_vms_page": str(page)}
        variables["ansible_python_interpreter"] = sys.executable
        program = str(Path(sys.executable).parent / "ansible-playbook")
        inventory = f"--inventory={tmp_path / 'inventory'}"
        done = subprocess.run(
            [program, inventory, "-e", json.dumps(variables), "hybridk8s.estate.cloud_report", *options],
            cwd=REPOSITORY,
            env={**environment(), "ANSIBLE_CONFIG": "ansible.cfg", "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        # Warnings are broken into lines.
        return " ".join(f"{done.stdout} {done.stderr}".split()), json.loads(report.read_text()), page.read_text()

    return run


def test_a_report_of_vms_that_are_nodes(play, fake, vms, kwok_plane):
    fake.advance(2 * 3600)
    mark = kwok_plane.audit_mark()
    before = len(admin.requests(fake.cloud, {}))
    said, report, page = play({"online": pool(2)}, prices={"ecs.g7.xlarge": 0.92}, currency="CNY")

    assert {(one["name"], one["id"], one["ready"]) for one in report["vms"]} == {
        (name, identifier, True) for name, identifier in vms.items()
    }
    total, web = report["total"], next(one for one in report["vms"] if one["name"] == "online-1")
    assert (total["vms"], total["ready"], total["pods"]) == (2, 2, 2)
    assert 4.0 <= total["hours"] < 4.2
    assert total["cost"] == pytest.approx(total["hours"] * 0.92, abs=0.02)
    assert web["cpu"] == {
        "allocatable": 4.0,
        "requested": 2.0,
        "requested_share": 0.5,
        "used": 1.5,
        "used_share": 0.375,
    }
    assert (total["memory"]["requested"], total["memory"]["used"]) == (8.0, 9.0)
    assert f"online team-shop: 2 VMs (2 Ready), in use; {total['hours']:.1f} h, cost" in said
    assert "CNY an hour" in page

    assert {event.verb for event in kwok_plane.audit(mark)} <= {"get", "list"}
    asked = admin.requests(fake.cloud, {})[before:]
    assert asked
    assert not [entry["action"] for entry in asked if entry["writes"]]


@pytest.mark.usefixtures("vms")
def test_check_mode_is_the_same(play):
    _said, report, _page = play({"online": pool(2)}, "--check", prices={"ecs.g7.xlarge": 0.92})
    assert report["total"]["ready"] == 2


@pytest.mark.usefixtures("vms")
def test_without_prices_nothing_has_a_cost(play):
    said, report, page = play({"online": pool(2)})
    assert {report["total"]["cost"], *(one["cost"] for one in report["vms"])} == {None}
    assert "cost not known (no price for ecs.g7.xlarge)" in said
    assert "no price for ecs.g7.xlarge" in page


@pytest.mark.usefixtures("vms")
def test_a_cluster_that_refuses_us_leaves_the_report_of_the_cloud(play, kwok_plane):
    stranger = kwok_plane.kubeconfig_for("nobody")
    said, report, _page = play({"online": pool(2)}, kubeconfig=stranger)
    assert [each["code"] for each in report["findings"]] == ["CR005-cluster-not-asked"]
    assert (report["total"]["vms"], report["total"]["cpu"]["requested"]) == (2, None)
    assert "how much of the VMs is used is not known" in said


@pytest.mark.usefixtures("vms")
@pytest.mark.parametrize(
    ("days", "settings", "state", "wanted", "surplus"),
    [
        (20, {}, "in use", 2, []),
        (5, {}, "ends soon", 2, []),
        (0, {"release_expired": True}, "ends soon", 2, []),
        (-2, {}, "ended", 2, []),
        (-2, {"release_expired": True}, "ended", 0, ["online-1", "online-2"]),
    ],
)
def test_the_last_day_of_a_pool(play, fake, days, settings, state, wanted, surplus):
    """Warned of before; released after it, and only where the pool says so."""
    ending = {"online": pool(2, expires=ahead(fake, days), **settings)}
    said, report, _page = play(ending)
    assert (report["pools"][0]["state"], report["pools"][0]["wanted"]) == (state, wanted)
    codes = [each["code"] for each in report["findings"]]
    assert codes == ([] if state == "in use" else ["EC001-expires"])
    assert ("Ask team-shop" in said) is (state != "in use")
    brought = instances(fake, ending)
    assert sorted(brought["surplus"]) == surplus
    assert len(brought["instances"]) == 2, "what is too many is drained first, by the playbook cloud"


def test_it_is_warned_as_far_ahead_as_the_inventory_says(play, fake, vms):
    assert len(vms) == 2
    _said, report, _page = play({"online": pool(2, expires=ahead(fake, 20))}, warn_days=30)
    assert [each["code"] for each in report["findings"]] == ["EC001-expires"]
