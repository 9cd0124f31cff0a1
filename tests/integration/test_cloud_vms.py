"""The role cloud_vms on a real API server and a simulated cloud: nodes of VMs that the cloud no longer has."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import ESTATE_TAG

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.integration.control_plane import WORKLOAD_CONTROLLERS, ControlPlane, private_file
from tests.integration.example_play import run_play
from tests.integration.kwok_estate import NODES, KwokEstate
from tests.unit.plugins.module_utils._ecs.ecs_estate import KEY, Estate

TIMINGS = {"visible": 0.2, "pending": 0.1, "starting": 0.1, "stopping": 0.1, "eni": 0.05}
LEASE_SECONDS = 8
FORGET = """
- hosts: control_plane
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: hybridk8s.estate.cloud_vms, tasks_from: forget}
    - ansible.builtin.copy:
        content: "{{ cloud_vms_forgotten.nodes | default({}) | to_json }}"
        dest: "{{ told }}"
        mode: "600"
      delegate_to: localhost
      check_mode: false
"""


@pytest.fixture(scope="module")
def powered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster that sees within seconds that a kubelet is silent."""
    directory = tmp_path_factory.mktemp("powered")
    with ControlPlane(
        directory, WORKLOAD_CONTROLLERS, scheduler=True, kwok=True, audit=True, lease_seconds=LEASE_SECONDS
    ) as running:
        yield running


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with FakeCloud(tmp_path_factory.mktemp("cloud"), world.parse({"timings": TIMINGS})) as fake:
        yield Estate(fake)


Forget = Callable[..., dict[str, Any]]


@pytest.fixture
def forget(powered: ControlPlane, estate: Estate, tmp_path: Path) -> Forget:
    """Run the entry point; what became of the nodes that it named."""
    kubeconfig = private_file(tmp_path / "admin.conf", powered.kubeconfig)
    cloud = {
        "provider": "alibaba",
        "region": "cn-shenzhen",
        "endpoints": {"ecs": estate.fake.endpoint, "scheme": "http"},
        "credentials": {"access_key_id": KEY["id"], "access_key_secret": KEY["secret"]},
    }

    def run(*options: str) -> dict[str, Any]:
        given = {
            "estate_kubeconfig": str(kubeconfig),
            "estate_cloud": cloud,
            "told": str(tmp_path / "told"),
            "cloud_vms_silence_timeout": 2 * LEASE_SECONDS,
        }
        run_play(tmp_path, FORGET, given, *options)
        found: dict[str, Any] = json.loads((tmp_path / "told").read_text())
        return found

    return run


def test_nodes_of_vms_that_are_gone_go(powered: ControlPlane, estate: Estate, forget: Forget) -> None:
    """One was taken back and is silent; one has lost its tags, one is of another cloud, one is none; one that the
    cloud does not know is alive."""
    estate.run(3)
    ids = {instance["name"]: instance["id"] for instance in estate.instances}
    estate.cloud().call("UntagResources", ResourceType="instance", ResourceId=[ids["online-3"]], TagKey=[ESTATE_TAG])
    estate.admin("interrupt", instance=ids["online-2"])
    nodes = KwokEstate(powered)
    of = {
        "online-1": f"cn-shenzhen.{ids['online-1']}",
        "online-2": f"cn-shenzhen.{ids['online-2']}",
        "online-3": f"cn-shenzhen.{ids['online-3']}",
        "alive": "cn-shenzhen.i-never-was",
        "elsewhere": "cn-beijing.i-never-was",
    }
    for name, provider_id in of.items():
        nodes.add_named_nodes([name], providerID=provider_id)
    nodes.add_named_nodes(["bare-1"])
    nodes.settle()
    while len(estate.instances) > 2:
        time.sleep(0.05)
    # Only these two fall silent; the others' kubelets go on.
    for name in ("online-2", "elsewhere"):
        nodes.cluster.merge(f"{NODES}/{name}", {"metadata": {"annotations": {"kwok.x-k8s.io/node": None}}})
    powered.set_ready_delay(0)

    told = forget()

    assert {name: node["state"] for name, node in told.items()} == {"online-2": "removed", "alive": "refused"}
    assert "its host answers" in told["alive"]["message"]
    left = {node["metadata"]["name"] for node in nodes.cluster.list(NODES)}
    assert left == {"online-1", "online-3", "alive", "elsewhere", "bare-1"}

    nodes.cluster.delete(f"{NODES}/alive")
    mark = powered.audit_mark()
    assert forget() == {}
    assert forget("--check") == {}
    assert [event.uri for event in powered.audit(mark) if event.verb not in ("get", "list", "watch")] == []
