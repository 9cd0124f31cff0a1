"""The fabric as others keep it: what network engineers type into switches, and what ``bgp_status`` says of it all."""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.flows import proof
from tests.flows.drive import Run, address, booted, objects, playbook, ssh

_PEERS = "bgppeers.crd.projectcalico.org"


@dataclass(frozen=True)
class Status:
    """A run of ``bgp_status`` and the report that it wrote."""

    run: Run
    ok: bool
    sessions: list[dict[str, Any]]
    drift: list[dict[str, str]]
    routes_missing: list[str]
    findings: list[str]


def bgp_status(*arguments: str, estate: Path | None = None) -> Status:
    """What the collection says of every session."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "report")
        run = playbook("bgp_status", f"--extra-vars=bgp_report={report}", *arguments, estate=estate)
        assert report.exists(), run.output
        said = json.loads(report.read_text())
    return Status(run, *(said[name] for name in ("ok", "sessions", "drift", "routes_missing", "findings")))


def configure(switch: str, *lines: str) -> None:
    """Lines that somebody types into a switch."""
    typed = [part for line in ("configure terminal", *lines) for part in ("-c", line)]
    ssh(switch, shlex.join(["vtysh", *typed]))


def static_routes(*, wanted: bool = True) -> None:
    """Static routes to every pod block on every switch, as networks without BGP have them; or none any more."""
    lines = [
        f"{'' if wanted else 'no '}ip route {block} {address(owner)}" for block, owner in proof.pod_blocks().items()
    ]
    for switch in booted("switches"):
        configure(switch, *lines)


def turning_back(*, allowed: bool) -> None:
    """Whether switches route a packet back into the rack that it came from. Where they do, they help out a node that
    has no route for a while, which hides that it has none."""
    rules = [
        "add table ip lab",
        "add chain ip lab forward { type filter hook forward priority 0 ; }",
        "flush chain ip lab forward",
    ]
    if not allowed:
        rules.append("add rule ip lab forward iifname eth0 oifname eth0 drop")
    for switch in booted("switches"):
        ssh(switch, "nft -f -", stdin="\n".join(rules) + "\n")


def peers() -> dict[str, dict[str, Any]]:
    """The specs of Calico's BGPPeers, by name."""
    return {item["metadata"]["name"]: item["spec"] for item in objects(_PEERS)}


def mesh_is_on() -> bool:
    """Whether Calico's nodes all speak with each other."""
    specs = {item["metadata"]["name"]: item["spec"] for item in objects("bgpconfigurations.crd.projectcalico.org")}
    return specs.get("default", {}).get("nodeToNodeMeshEnabled", True) is not False


def reflectors() -> set[str]:
    """The nodes that are route reflectors now."""
    mark = "projectcalico.org/RouteReflectorClusterID"
    return {one["metadata"]["name"] for one in objects("nodes") if mark in one["metadata"].get("annotations", {})}
