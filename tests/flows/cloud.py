"""The lab's cloud from the outside, and what pods on both sides of the line see of each other."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import open_cloud
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import Access

from tests.flows.drive import inventory, lab, objects, ssh
from tests.flows.traffic import namespace_of
from tests.lab.offers import ACCESS_KEY

CONTROLLER = ACCESS_KEY["ALIBABA_CLOUD_ACCESS_KEY_ID"]

_OF_INSTANCES = ("instances", "disks", "enis", "launch_templates")


def ask(verb: str, **options: Any) -> Any:
    """A verb of the simulated cloud, beside its API: `state`, `billing`, `fault`, ..."""
    given = [f"{name}={json.dumps(value)}" for name, value in options.items()]
    return json.loads(lab("cloud", verb, *given))


def call(action: str, **query: str) -> dict[str, Any]:
    """An action of ECS, as a person takes it at the console; the lab's station has a key in its environment."""
    site = inventory().shared("estate_cloud")
    endpoints = {product: where for product, where in site["endpoints"].items() if product != "scheme"}
    return open_cloud(Access(site["region"], endpoints=endpoints, scheme=site["endpoints"]["scheme"])).call(
        action, **query
    )


def reboot(name: str) -> None:
    """Power a VM off and on."""
    call("RebootInstance", InstanceId=named(name)["id"], ForceStop="true")


def state() -> dict[str, list[dict[str, Any]]]:
    """What exists in the simulated cloud, by kind."""
    return dict(ask("state"))


def requests() -> list[dict[str, Any]]:
    """Every request to the cloud and its answer's status, in their order."""
    return list(ask("requests"))


def writes(since: float) -> list[dict[str, Any]]:
    """What the controller asked the cloud to change after that moment; Terway on the VMs has other keys."""
    return [each for each in requests() if each["time"] >= since and each["writes"] and each["key"] == CONTROLLER]


def named(name: str) -> dict[str, Any]:
    """The instance of this name."""
    return next(instance for instance in state()["instances"] if instance["name"] == name)


def ever_billed(kind: str = "instance") -> int:
    """How many of this kind there have ever been."""
    return len([period for period in ask("billing") if period["kind"] == kind])


def unaccounted() -> list[str]:
    """What is paid for, or written down, without an instance that it belongs to."""
    there = state()
    instances = {instance["id"] for instance in there["instances"]}
    lost = [thing["id"] for kind in ("disks", "enis") for thing in there[kind] if thing["instance"] not in instances]
    paid = Counter(period["kind"] for period in ask("billing", open=True))
    have = Counter({"instance": len(instances), "disk": len(there["disks"]), "eni": len(there["enis"])})
    have["address"] = sum(len(eni["addresses"]) for eni in there["enis"])
    return [*lost, *(template["id"] for template in there["launch_templates"]), *(paid - have)]


def vm_nodes() -> dict[str, str]:
    """The provider ids of the nodes that are VMs, by name."""
    selected = objects("nodes", "--selector=alibabacloud.com/external=true")
    return {node["metadata"]["name"]: node["spec"].get("providerID", "") for node in selected}


def leftovers() -> dict[str, list[dict[str, Any]]]:
    """What there is of instances, whole or in parts."""
    return {kind: things for kind, things in state().items() if kind in _OF_INSTANCES and things}


def pod_networks() -> tuple[IPv4Network, ...]:
    """The ranges of the pod vSwitches."""
    return tuple(IPv4Network(each["cidr"]) for each in inventory().shared("estate_cloud")["pod_vswitches"].values())


def address_of(pod: dict[str, Any]) -> str:
    return str(pod["status"]["podIP"])


def in_pod(pod: dict[str, Any], *command: str) -> str:
    """Run a command of the pod's host in the pod's network; its standard output."""
    inside = f"ns=$({namespace_of(address_of(pod))}); [ $ns ] && nsenter --net=$ns {shlex.join(command)}"
    return ssh(pod["spec"]["nodeName"], inside)


def web(pod: dict[str, Any], address: str, port: int = 8080) -> tuple[str, str]:
    """Who answers the pod at an address, and from which address the pod was seen there."""
    said, seen = in_pod(pod, "curl", "--silent", "--show-error", "--max-time", "5", f"http://{address}:{port}/").split()
    return said, seen.rpartition(":")[0]


def udp(source: dict[str, Any], target: dict[str, Any]) -> str:
    """From which address a datagram of one pod is seen by another, as that one answers."""
    listen = (
        "import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('',9));s.settimeout(20);"
        "seen=s.recvfrom(9)[1];s.sendto(seen[0].encode(),seen)"
    )
    ask = (
        "import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(0.5);"
        "s.connect((sys.argv[1],9))\n"
        "for each in range(30):\n"
        " try: s.send(b'?'); print(s.recv(64).decode()); break\n"
        " except OSError: pass"
    )
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(in_pod, target, "python3", "-c", listen)
        said = in_pod(source, "python3", "-c", ask, address_of(target))
        listening.result()
    return said.strip()


def pairs(some: Iterable[dict[str, Any]], others: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], ...]]:
    """Each of one side with each of the other, both ways."""
    return [way for one in some for other in others for way in ((one, other), (other, one))]
