"""Cloud VMs for a ControlPlane with kwok: a simulated cloud whose VMs become nodes of it, and an inventory for both.

with FakeCloud(directory, machines=KwokMachines(plane)) as fake:
    write_inventory(inventory, fake.endpoint, {"online": pool(2)})
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import connect
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import JOINING_TAINT

from tests.fakecloud import world
from tests.fakecloud.machines import Machine, StateOnly
from tests.flows import drive
from tests.integration.audit import COMPONENTS
from tests.integration.control_plane import ControlPlane
from tests.integration.kwok_estate import NODES, node

REGION = world.DEFAULT_REGION
KIND = "ecs.g7.xlarge"
CORES = 4
_ESTATE = drive.REPOSITORY / "inventories" / "lab_hybrid"
_CAPACITY = {"cpu": str(CORES), "memory": "16Gi", "pods": "40"}
_AT_ONCE = 8


class KwokMachines(StateOnly):
    """VMs that boot for a while and are nodes then: objects of the API whose kubelet is kwok.

    They register as kubelets do that the collection has join: with its taint, as what no client of the API counts.
    """

    def __init__(self, plane: ControlPlane, boot_seconds: float = 0.0, images: int = 0) -> None:
        self._cluster = connect(plane.kubeconfig_for("kubelets", ("system:masters", COMPONENTS)))
        self._boot_seconds = boot_seconds
        self._images = images
        self._booting = ThreadPoolExecutor(_AT_ONCE)

    def boot(self, machine: Machine) -> None:
        self._booting.submit(self._register, machine, time.monotonic() + self._boot_seconds)

    def _register(self, machine: Machine, when: float) -> None:
        time.sleep(max(0.0, when - time.monotonic()))
        taint = {"key": JOINING_TAINT.key, "effect": JOINING_TAINT.effect}
        body = node(machine.name, self._images, taints=[taint], providerID=f"{REGION}.{machine.id}")
        body["status"].update(allocatable=_CAPACITY, capacity=_CAPACITY)
        self._cluster.create(NODES, body)


def pool(count: int, **settings: Any) -> dict[str, Any]:
    """A pool of VMs, as `estate_cloud_pools` has it."""
    usual = {"instance_types": [KIND], "image": "m-debian12", "owner": "team-shop", "purpose": "figures"}
    return {**usual, "count": count, **settings}


def write_inventory(directory: Path, endpoint: str, pools: Mapping[str, Any], **cloud: Any) -> None:
    """The lab's hybrid inventory with these pools, on the cloud that answers at the endpoint; nobody goes by ssh."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(_ESTATE, directory)
    estate, hosts = directory / "group_vars" / "all" / "estate.yml", directory / "50-cloud.ecs.yml"
    variables = yaml.safe_load(estate.read_text())
    variables |= {"estate_cloud": {**site(endpoint), **cloud}, "estate_cloud_pools": dict(pools)}
    variables["cloud_vms_host_keys"] = "none"
    estate.write_text(yaml.safe_dump(variables))
    account = {"regions": [REGION], "endpoints": {"ecs": endpoint, "scheme": "http"}}
    hosts.write_text(yaml.safe_dump({**yaml.safe_load(hosts.read_text()), "accounts": [account]}))


def site(endpoint: str) -> dict[str, Any]:
    """`estate_cloud` of what the simulated cloud has unless it is told otherwise."""
    example = world.EXAMPLE
    return {
        "provider": "alibaba",
        "region": REGION,
        "vpc": example["vpcs"][0]["id"],
        "cidr": example["vpcs"][0]["cidr"],
        "node_vswitches": _vswitches("node"),
        "pod_vswitches": _vswitches("pod"),
        "security_groups": [group["id"] for group in example["security_groups"]],
        "ram_role": example["roles"][0]["name"],
        "endpoints": {**dict.fromkeys(("ecs", "vpc", "cs"), endpoint), "scheme": "http"},
    }


def bare_metal() -> list[str]:
    """The nodes of that inventory that are no VMs."""
    groups = yaml.safe_load((_ESTATE / "hosts.yml").read_text())["all"]["children"]["kubernetes"]["children"]
    return [name for group in groups.values() for name in group["hosts"]]


def environment() -> dict[str, str]:
    """That of a process which is to find the key of the cloud's account."""
    key = world.EXAMPLE["keys"][0]
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key["id"],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key["secret"],
    }


def _vswitches(kind: str) -> dict[str, dict[str, str]]:
    return {
        each["zone"]: {"id": each["id"], "cidr": each["cidr"]}
        for each in world.EXAMPLE["vswitches"]
        if each["id"].startswith(f"vsw-{kind}")
    }
