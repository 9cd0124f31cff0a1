"""The cluster is registered with ACK by its playbook: pods of the agent's stand-in connect over the line."""

from __future__ import annotations

import pytest

from tests.flows import cloud
from tests.flows.drive import objects
from tests.flows.estates import cloud_settings, estate, pool
from tests.flows.pools import succeeded, unchanged

SYSTEM = "--namespace=kube-system"
KINDS = ("deployments", "secrets", "serviceaccounts", "roles", "rolebindings", "clusterroles", "clusterrolebindings")


def registered(**changes):
    return estate("registered", pool("online", count=0), cloud_settings(ack=changes))


def agents():
    """Names of what the cluster has of the agent."""
    return {item["metadata"]["name"] for kind in KINDS for item in objects(kind, SYSTEM) if is_agents(item)}


def is_agents(item):
    return item["metadata"].get("annotations", {}).get("estate.hybridk8s.io/set") == "ack"


@pytest.fixture(scope="module", autouse=True)
def running():
    succeeded("site", estate("unregistered", pool("online", count=0)))
    assert cloud.state()["clusters"] == []
    assert agents() == set()


def test_a_first_run_says_what_it_would_do():
    planned = succeeded("ack", registered(), "--check", "--diff")
    assert "register ACK cluster lab" in planned.output
    assert cloud.state()["clusters"] == []


def test_the_agent_s_pods_connect_and_the_cluster_runs():
    run = succeeded("ack", registered())
    (cluster,) = cloud.state()["clusters"]
    assert (cluster["name"], cluster["state"], cluster["service_cidr"]) == ("lab", "running", "10.22.0.0/16")
    assert cluster["tags"] == {"estate.hybridk8s.io/estate": "lab"}
    pods = objects("pods", SYSTEM, "--selector=app=ack-cluster-agent")
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert run.hosts_with("failed") == set()


def test_a_second_run_changes_nothing_and_registers_nothing():
    for name in ("ack", "site"):
        again = succeeded(name, registered())
        unchanged(again)
    assert len(cloud.state()["clusters"]) == 1


def test_the_registration_is_taken_back():
    succeeded("ack", registered(state="absent"))
    assert cloud.state()["clusters"] == []
    assert agents() == set()
    again = succeeded("ack", registered(state="absent"))
    unchanged(again)
