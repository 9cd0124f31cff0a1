"""From the mesh to route reflectors on a running cluster: what traffic loses, by the order in which it is done.

The orders of others are applied as the same objects, by kubectl, with no pause that they do not ask for: their
playbooks have tasks between the steps, in which a cut lasts longer.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.markdown import table
from tests.flows import drive, fabric, proof
from tests.flows.estates import estate, mesh
from tests.flows.traffic import Result, probing
from tests.lab.progress import say

INVENTORY = "molecule/bgp/inventory"
CLUSTER_ID = "projectcalico.org/RouteReflectorClusterID"
# How long probes go on after the last step: sessions that it began have to come up.
AFTERWARDS = 20.0
_CALICO = "crd.projectcalico.org"
EXPLANATION = """\
Two racks, six nodes with a pod each. A probe every 20 ms between each pair of pods, and from outside to each pod, over
UDP and on a TCP connection that is kept, until 20 s after the last step. Lost are probes without an answer; the longest
cut is that of UDP. The switches have static routes to all pods and do not route back into a rack: within it, only the
nodes' own routes lead to a pod. A node that becomes a reflector starts all of its sessions anew: with `bgp.yml` it is
drained before, and the pods counted here are those of a DaemonSet, which stay. The orders of others are applied by
kubectl, without a pause that they do not ask for; `bgp.yml` peers with the switches as well.
"""


@dataclass(frozen=True)
class Row:
    """What traffic lost of a change that was done in one way."""

    method: str
    result: Result
    whole: bool


def measured() -> list[Row]:
    """Measure on a lab of its own, which is taken down in the end."""
    os.environ["LAB_INVENTORY"] = INVENTORY
    drive.inventory.cache_clear()
    drive.lab("down")
    drive.lab("up")
    try:
        start, target = estate("mesh", mesh), estate("full")
        _run("site", start)
        proof.deploy()
        proof.web_pods()
        fabric.static_routes()
        fabric.turning_back(allowed=False)
        rows = [
            _measured(*way) for way in (("Kubespray's order", _kubespray, _undo), ("kubeasz's order", _kubeasz, _undo))
        ]
        ours = _measured("`bgp.yml`", lambda: _run("bgp", target), lambda: None)
        return [ours, *rows]
    finally:
        drive.lab("down")
        del os.environ["LAB_INVENTORY"]
        drive.inventory.cache_clear()


def _run(playbook: str, inventory: Path) -> None:
    run = drive.playbook(playbook, estate=inventory)
    if run.status:
        raise RuntimeError(f"{playbook} ended with {run.status}:\n{run.output}")


def _measured(method: str, change: Callable[[], None], undo: Callable[[], None]) -> Row:
    say(f"measuring: {method}")
    with probing() as traffic:
        change()
        time.sleep(AFTERWARDS)
    whole = fabric.reflectors() == set(_reflectors()) and not fabric.mesh_is_on()
    say(f"{method}:\n{traffic.result}")
    undo()
    drive.eventually(_quiet, 120, "traffic flows again")
    return Row(method, traffic.result, whole)


def _quiet() -> bool:
    with probing() as traffic:
        pass
    return traffic.result.lost == 0


def _reflectors() -> tuple[str, ...]:
    return drive.inventory().hosts_of("route_reflectors")


def _kubespray() -> None:
    """roles/network_plugin/calico/tasks/install.yml: the mesh goes off, then the peers come; the reflectors are made
    by roles/network_plugin/calico/rr (update-node.yml), in a later play."""
    _configure_mesh(on=False)
    _peer("peer-to-rrs", "!has(i-am-a-route-reflector)", "has(i-am-a-route-reflector)")
    _peer("rr-mesh", "has(i-am-a-route-reflector)", "has(i-am-a-route-reflector)")
    for node in _reflectors():
        drive.kubectl("label", "node", node, "i-am-a-route-reflector=true")
        drive.kubectl("annotate", "node", node, f"{CLUSTER_ID}=1.0.0.1")


def _kubeasz() -> None:
    """roles/calico/tasks/calico-rr.yml: all cluster ids, all labels, the peer, five seconds, and the mesh goes off."""
    for node in _reflectors():
        drive.kubectl("annotate", "node", node, f"{CLUSTER_ID}=244.0.0.1")
    for node in _reflectors():
        drive.kubectl("label", "node", node, "route-reflector=true", "--overwrite")
    _peer("peer-with-route-reflectors", "all()", "route-reflector == 'true'")
    time.sleep(5)
    _configure_mesh(on=False)


def _undo() -> None:
    """Back to the mesh. It goes on first; what is lost on the way back nobody counts."""
    _configure_mesh(on=True)
    for node in _reflectors():
        drive.kubectl("label", "node", node, "i-am-a-route-reflector-", "route-reflector-")
        drive.kubectl("annotate", "node", node, f"{CLUSTER_ID}-")
    names = ("peer-to-rrs", "rr-mesh", "peer-with-route-reflectors")
    drive.kubectl("delete", f"bgppeers.{_CALICO}", *names, "--ignore-not-found")


def _configure_mesh(*, on: bool) -> None:
    spec = json.dumps({"spec": {"nodeToNodeMeshEnabled": on}})
    drive.kubectl("patch", f"bgpconfigurations.{_CALICO}", "default", "--type=merge", f"--patch={spec}")


def _peer(name: str, nodes: str, peers: str) -> None:
    spec: dict[str, Any] = {"nodeSelector": nodes, "peerSelector": peers}
    body = {"apiVersion": f"{_CALICO}/v1", "kind": "BGPPeer", "metadata": {"name": name}, "spec": spec}
    drive.kubectl("apply", "--filename=-", stdin=json.dumps(body))


def sections(rows: Iterable[Row]) -> Iterator[str]:
    """The table."""
    yield "## From the mesh to route reflectors on a running cluster\n"
    yield EXPLANATION
    kinds = ("within a rack", "within, with a reflector to be", "across racks", "from outside")
    yield table(("order", *(f"{kind}: {what}" for kind in kinds for what in ("lost", "longest ms"))), map(_line, rows))


def _line(row: Row) -> tuple[object, ...]:
    reflectors = _reflectors()
    within = row.result.of("within")
    parts = (
        within.without(*reflectors),
        within.of(ends=reflectors),
        row.result.of("across"),
        row.result.of("outside"),
    )
    return (
        row.method,
        *(cell for part in parts for cell in (f"{part.lost:,} of {part.sent:,}", part.longest_ms)),
    )
