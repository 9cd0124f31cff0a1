"""Evidence that an estate works, taken from the outside in: a request through a switch to a pod, BGP on both sides, the
nodes as the API has them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.flows.drive import (
    DriveError,
    booted,
    eventually,
    kubectl,
    objects,
    outside,
    rack,
    ssh,
)

NAMESPACE = "proof"
_BIRD_SESSION = re.compile(r"^(?P<name>\S+)\s+BGP\s+\S+\s+\S+\s+\S+\s+(?P<state>\S+)", re.MULTILINE)
_WEB = {"app.kubernetes.io/name": "web"}


@dataclass(frozen=True)
class Node:
    """A node as the API has it."""

    name: str
    ready: bool
    schedulable: bool
    version: str
    address: str


@dataclass(frozen=True)
class Session:
    """A BGP session as one of its ends reports it; ``name`` is the peer's address or the router's own name for it."""

    on: str
    name: str
    established: bool

    @property
    def peer(self) -> str:
        """The peer's address: FRR's name for it, and a part of BIRD's."""
        return ".".join(re.findall(r"\d+", self.name)[:4])


@dataclass(frozen=True)
class Answer:
    """What the outside client got from a pod, and the routers on its way there (the pod's address is the last hop)."""

    rack: str
    node: str
    pod: str
    address: str
    said: str
    seen_from: str
    hops: tuple[str, ...]


def nodes() -> tuple[Node, ...]:
    """All nodes of the cluster, by name."""
    return tuple(sorted((parse_node(node) for node in objects("nodes")), key=lambda node: node.name))


def await_silence(name: str, seconds: float = 120) -> None:
    """Wait until the cluster has taken note that a host without power is silent: its node's Ready is Unknown."""

    def silent() -> bool:
        node = next(node for node in objects("nodes") if node["metadata"]["name"] == name)
        return any(one["type"] == "Ready" and one["status"] == "Unknown" for one in node["status"]["conditions"])

    eventually(silent, seconds, f"the cluster takes note that {name} is silent")


def parse_node(node: dict[str, Any]) -> Node:
    """A Node object, reduced to what a person asks first."""
    status = node["status"]
    return Node(
        name=node["metadata"]["name"],
        ready=any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ())),
        schedulable=not node["spec"].get("unschedulable", False),
        version=status["nodeInfo"]["kubeletVersion"],
        address=next((one["address"] for one in status["addresses"] if one["type"] == "InternalIP"), ""),
    )


def switch_sessions(switch: str) -> tuple[Session, ...]:
    """The IPv4 sessions of a switch."""
    return parse_switch_sessions(switch, ssh(switch, "vtysh -c 'show bgp ipv4 unicast summary json'"))


def parse_switch_sessions(switch: str, text: str) -> tuple[Session, ...]:
    """The peers in FRR's summary."""
    peers: dict[str, Any] = json.loads(text).get("peers", {})
    return tuple(Session(switch, name, peer["state"] == "Established") for name, peer in sorted(peers.items()))


def node_sessions(node: str) -> tuple[Session, ...]:
    """The BGP sessions of a node's BIRD."""
    pod = next(pod for pod in _pods("kube-system", "k8s-app=calico-node") if pod["spec"]["nodeName"] == node)
    name = pod["metadata"]["name"]
    bird = ("birdcl", "-s", "/var/run/calico/bird.ctl", "show", "protocols")
    return parse_bird_sessions(node, kubectl("exec", "-n=kube-system", name, "-c=calico-node", "--", *bird))


def parse_bird_sessions(node: str, text: str) -> tuple[Session, ...]:
    """The BGP protocols in what ``birdc show protocols`` prints."""
    return tuple(Session(node, line["name"], line["state"] == "Established") for line in _BIRD_SESSION.finditer(text))


def pod_blocks() -> dict[str, str]:
    """Calico's pod blocks, each with the node that owns it."""
    specs = [item["spec"] for item in objects("blockaffinities.crd.projectcalico.org")]
    return {spec["cidr"]: spec["node"] for spec in specs if spec["state"] == "confirmed" and spec["deleted"] != "true"}


def switch_routes(switch: str) -> dict[str, set[str]]:
    """The prefixes in a switch's BGP table, each with the next hops of its best paths."""
    return parse_switch_routes(ssh(switch, "vtysh -c 'show bgp ipv4 unicast json'"))


def parse_switch_routes(text: str) -> dict[str, set[str]]:
    """Best paths (and those used beside them) in FRR's BGP table."""
    routes: dict[str, list[dict[str, Any]]] = json.loads(text).get("routes", {})
    return {
        prefix: {
            hop["ip"]
            for path in paths
            if path.get("bestpath") or path.get("multipath")
            for hop in path["nexthops"]
            if hop.get("used")
        }
        for prefix, paths in routes.items()
    }


def missing_blocks(switch: str) -> dict[str, str]:
    """The pod blocks that a switch does not route to their owner, each with what the switch has instead."""
    routes, address = switch_routes(switch), {node.name: node.address for node in nodes()}
    return {
        block: f"owner {owner} {address.get(owner)}, switch has {sorted(routes.get(block, ()))}"
        for block, owner in pod_blocks().items()
        if address.get(owner) not in routes.get(block, ())
    }


def deploy() -> None:
    """A web server on each node, and a service before them."""
    metadata = {"name": "web", "namespace": NAMESPACE, "labels": _WEB}
    container = {"name": "web", "image": "estate-lab/web:1", "ports": [{"containerPort": 8080}]}
    pod = {"containers": [container], "tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 1}
    daemonset = {"selector": {"matchLabels": _WEB}, "template": {"metadata": {"labels": _WEB}, "spec": pod}}
    manifests = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": daemonset},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": _WEB, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]
    kubectl("apply", "--filename=-", stdin="\n---\n".join(json.dumps(manifest) for manifest in manifests))


def service_address() -> str:
    """The cluster IP of the web service."""
    return kubectl("get", "service", "web", f"--namespace={NAMESPACE}", "--output=jsonpath={.spec.clusterIP}")


def web_pods(seconds: float = 120) -> tuple[dict[str, Any], ...]:
    """The web server's pods, one on each Ready node, as soon as all of them run."""

    def running() -> tuple[dict[str, Any], ...]:
        ready = {node.name for node in nodes() if node.ready}
        pods = tuple(pod for pod in _pods(NAMESPACE, "app.kubernetes.io/name=web") if _is_ready(pod))
        if {pod["spec"]["nodeName"] for pod in pods} < ready:
            raise DriveError(f"web runs on {len(pods)} of {len(ready)} nodes")
        return pods

    return eventually(running, seconds, "a web server on each node")


def _pods(namespace: str, selector: str) -> list[dict[str, Any]]:
    return objects("pods", f"--namespace={namespace}", f"--selector={selector}")


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))


def ask(pod: dict[str, Any], seconds: float = 60) -> Answer:
    """Request a pod by its address from outside of the cluster, until it answers with its own name."""
    name, node, address = pod["metadata"]["name"], pod["spec"]["nodeName"], pod["status"]["podIP"]

    def answer() -> tuple[str, str]:
        text = outside("curl", "--silent", "--show-error", "--max-time", "5", f"http://{address}:8080/")
        said, seen = text.strip().split("\n")
        if said != name:
            raise DriveError(f"{address} is {said!r}, not {name!r}")
        return said, seen.rpartition(":")[0]

    said, seen_from = eventually(answer, seconds, f"an answer of pod {name} ({address}, node {node}) to the outside")
    hops = tuple(outside("python3", "tests/flows/hops.py", address).split())
    return Answer(rack(node), node, name, address, said, seen_from, hops)


def ask_from_a_pod(seconds: float = 60) -> str:
    """What a pod gets that asks the web service by its name: the cluster's DNS and a service address at work."""
    image = objects("daemonsets", "--namespace=kube-system", "--selector=k8s-app=kube-proxy")[0]["spec"]["template"][
        "spec"
    ]["containers"][0]["image"]
    script = (
        f"exec 3<>/dev/tcp/web.{NAMESPACE}.svc.cluster.local/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asker", "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "OnFailure",
            "containers": [{"name": "asker", "image": image, "command": ["bash", "-c", script]}],
        },
    }
    kubectl("delete", "pod", "asker", f"--namespace={NAMESPACE}", "--ignore-not-found", "--grace-period=1")
    kubectl("apply", "--filename=-", stdin=json.dumps(pod))

    def finished() -> str:
        phase = kubectl("get", "pod", "asker", f"--namespace={NAMESPACE}", "--output=jsonpath={.status.phase}")
        return kubectl("logs", "asker", f"--namespace={NAMESPACE}") if phase == "Succeeded" else ""

    return eventually(finished, seconds, f"a pod that asks web.{NAMESPACE} by name")


def sessions() -> tuple[Session, ...]:
    """Every BGP session, as the switches and as the route reflectors report it."""
    on_switches = [session for switch in booted("switches") for session in switch_sessions(switch)]
    on_reflectors = [session for node in booted("route_reflectors") for session in node_sessions(node)]
    return (*on_switches, *on_reflectors)
