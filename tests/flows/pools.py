"""Estates of the lab that differ in the size of its pool of VMs, and what is left of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.flows import cloud, proof, state
from tests.flows.drive import Run, booted, inventory, lab, objects, playbook, ssh
from tests.flows.estates import estate, pool
from tests.integration.audit import Event
from tests.lab.station import LEARNED_HOSTS

POOL = "online"
_ENDS = {
    "DetachNetworkInterface": "interfaces detached",
    "DeleteNetworkInterface": "interfaces deleted",
    "DeleteInstances": "instance deleted",
}
_CALICO = (
    "bgpconfigurations",
    "bgppeers",
    "bgpfilters",
    "ippools",
    "blockaffinities",
    "ipamblocks",
    "caliconodestatuses",
)


@dataclass(frozen=True)
class Grown:
    """How long new VMs took: the whole run, and from the request to the cloud until the last is Ready."""

    run: Run
    ready_after: float


def sized(count: int) -> Path:
    """The lab's estate with a pool of that many VMs."""
    return estate(f"pool-{count}", pool(POOL, count=count))


def vms(count: int) -> set[str]:
    """The names of so many VMs."""
    return {f"{POOL}-{number}" for number in range(1, count + 1)}


def succeeded(name: str, inventory_of: Path, *arguments: str) -> Run:
    """A playbook that had to work, and printed how long it took; its output where it did not."""
    run = playbook(name, *arguments, estate=inventory_of)
    assert run.status == 0, run.output
    print(f"{name}: {run.seconds:.0f} s")
    return run


def grow(name: str, count: int) -> Grown:
    """Bring the pool to that size by a playbook, and print how long that took."""
    began = time.time()
    run = succeeded(name, sized(count))
    asked = min(each["time"] for each in cloud.writes(began) if each["action"] == "RunInstances")
    new = {each["name"] for each in cloud.state()["instances"] if each["created"] >= began}
    ready = max(_ready_since(node) for node in objects("nodes") if node["metadata"]["name"] in new)
    print(f"{name} to {count} VMs, {len(new)} of them new: Ready {ready - asked:.0f} s after the request to the cloud,")
    print(f"  the whole run {run.seconds:.0f} s")
    return Grown(run, ready - asked)


def shrink(count: int) -> Run:
    """Bring the pool down to that size, and print how long that took."""
    run = succeeded("cloud", sized(count))
    print(f"cloud down to {count} VMs: {run.seconds:.0f} s")
    return run


def unchanged(run: Run) -> None:
    """A run that changed nothing, on no host."""
    assert run.hosts_with("changed") == set(), run.output


def addresses() -> set[str]:
    """The VMs' own addresses."""
    return {address for eni in cloud.state()["enis"] if eni["role"] == "Primary" for address in eni["addresses"]}


def known_hosts() -> set[str]:
    """Whom the control station has come to know, beside the hosts of the inventory."""
    file = lab("run", "--", "printenv", LEARNED_HOSTS).strip()
    lines = lab("run", "--", "cat", file).splitlines()
    return {line.split()[0] for line in lines}


def nodes() -> set[str]:
    """The nodes that are Ready and take pods."""
    return {node.name for node in proof.nodes() if node.ready and node.schedulable}


def remembered() -> dict[str, Any]:
    """Everything that VMs could leave behind: in the cloud, in the API, on switches and on the other nodes."""
    return {
        "cloud": cloud.state(),
        "nodes": {node["metadata"]["name"]: state.reduce_node(node) for node in objects("nodes")},
        "calico": {
            kind: {item["metadata"]["name"] for item in objects(f"{kind}.crd.projectcalico.org")} for kind in _CALICO
        },
        "routes": {switch: set(proof.switch_routes(switch)) for switch in booted("switches")},
        "hosts": {
            host: set(ssh(host, "ip -o -4 route show table all | sed 's/ proto.*//'; ip -o rule show").splitlines())
            for host in inventory().hosts_of("kubernetes")
        },
    }


def end_of_each(
    instances: Mapping[str, str],
    interfaces: Mapping[str, str],
    asked: Iterable[Mapping[str, Any]],
    events: Iterable[Event],
) -> dict[str, list[str]]:
    """What was done to each VM until its end, step by step, each when it was done last; from both sides' logs.

    ``instances`` has the VMs' names by id, ``interfaces`` the instances' ids by interface.
    """
    done: dict[str, dict[str, float]] = {name: {} for name in instances.values()}
    for event in events:
        step = {("patch", "nodes"): "cordoned", ("delete", "nodes"): "node removed"}.get((event.verb, event.resource))
        if step and event.name in done:
            # Of several patches the first one cordons.
            done[event.name].setdefault(step, event.ended.timestamp())
    for request in asked:
        parameters = request["parameters"]
        step = _ENDS.get(request["action"])
        ids = [
            str(value) for key, value in parameters.items() if key.split(".")[0] in ("InstanceId", "NetworkInterfaceId")
        ]
        for each in {interfaces.get(one, one) for one in ids} if step and request["status"] == 200 else ():
            if each in instances:
                done[instances[each]][str(step)] = request["time"]
    return {name: sorted(steps, key=steps.__getitem__) for name, steps in done.items()}


def _ready_since(node: dict[str, Any]) -> float:
    ready = next(each for each in node["status"]["conditions"] if each["type"] == "Ready")
    assert ready["status"] == "True", node["metadata"]["name"]
    return datetime.fromisoformat(ready["lastTransitionTime"]).timestamp()
