"""A VM is reported while it is there; after its pool's last day it stays, until the pool says that it is released."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from tests.flows import cloud, proof
from tests.flows.drive import REPOSITORY, eventually, kubectl, objects
from tests.flows.estates import cloud_settings, estate, pool
from tests.flows.pools import succeeded, unchanged

POOL = "online"
VM = f"{POOL}-1"
PRICES = {"ecs.g7.xlarge": 0.92}
OVER = (datetime.now(timezone.utc) - timedelta(days=2)).date().isoformat()
REPORT, PAGE = (REPOSITORY / ".cache" / f"cloud-report.{ending}" for ending in ("json", "html"))


def shop(**changes):
    return estate(
        "-".join(("reported", *changes)), pool(POOL, count=1, **changes), cloud_settings(prices=PRICES, currency="CNY")
    )


def reported(inventory_of):
    """What the playbook says, and the report; it changes nothing."""
    files = {"cloud_vms_report": str(REPORT), "cloud_vms_page": str(PAGE)}
    run = succeeded("cloud_report", inventory_of, "--extra-vars", json.dumps(files))
    unchanged(run)
    return run.output, json.loads(REPORT.read_text())


@pytest.fixture(scope="module", autouse=True)
def running():
    """One VM, which is a Ready node."""
    succeeded("site", shop())
    assert VM in {node.name for node in proof.nodes() if node.ready}


def test_the_vm_is_reported():
    said, report = reported(shop())
    print(said[said.index("TASK [hybridk8s.estate.cloud_vms : Say") : said.index("PLAY RECAP")])
    (vm,) = report["vms"]
    instance = cloud.state()["instances"][0]
    assert (vm["name"], vm["id"], vm["owner"], vm["ready"]) == (VM, instance["id"], "team-shop", True)
    assert vm["node"] == VM
    assert vm["cost"] == pytest.approx(vm["hours"] * PRICES[vm["type"]], abs=0.01)
    assert report["findings"] == []
    # What Terway and kube-proxy ask for.
    assert 0 < vm["cpu"]["requested"] < vm["cpu"]["allocatable"]
    assert "metrics.k8s.io" in report["sources"]["used"]
    assert f"{POOL}  team-shop: 1 VMs (1 Ready), in use" in said
    assert PAGE.read_text().count("CNY")


def test_without_leave_to_release_a_pool_that_is_over_is_only_warned_of():
    run = succeeded("cloud", shop(expires=OVER))
    assert f"expired after {OVER}; nothing releases them" in " ".join(run.output.split())
    assert [each["name"] for each in cloud.state()["instances"]] == [VM]
    assert VM in {node.name for node in proof.nodes() if node.ready and node.schedulable}


def on_the_vm():
    pods = objects("pods", f"--namespace={proof.NAMESPACE}")
    return [pod["metadata"]["name"] for pod in pods if pod["spec"].get("nodeName") == VM]


def test_with_it_the_next_run_drains_and_releases_them():
    proof.deploy()
    over = shop(expires=OVER, release_expired=True)
    run = succeeded("cloud", over)
    assert f"{VM} released" in " ".join(run.output.split())
    assert not cloud.leftovers()
    assert VM not in {node.name for node in proof.nodes()}
    eventually(lambda: not on_the_vm(), 120, "the cluster forgets pods of a node that is gone")
    _said, report = reported(over)
    assert (report["total"]["vms"], report["pools"][0]["state"]) == (0, "empty")
    kubectl("delete", "namespace", proof.NAMESPACE)
