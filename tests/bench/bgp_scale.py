"""BGP of 1,000 nodes: planning, and the status as both ends see it.

The API server is real and has Calico's definitions; the nodes' reports are written by the benchmark, as no Calico runs.
The switch is a real FRR; the speakers that it is in session with are simulated (:mod:`tests.bench.speakers`): the
reflectors of the estate, and others of somebody else's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import plan as planning
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.status import lines, status
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import (
    Topology,
    as_dict,
    switch_side,
    topology_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, connect, parallel

from tests.bench.api import ApiCost, cost_of
from tests.bench.markdown import table
from tests.flows import drive
from tests.integration.control_plane import ControlPlane, die_with_parent, private_file
from tests.integration.frr_fabric import Fabric, Router
from tests.integration.module_process import OURS, prepare
from tests.lab.build import ensure_component

RACKS, NODES_PER_RACK, REFLECTORS_PER_RACK, SPEAKERS = 40, 25, 2, 200
CLUSTER_AS, SWITCH_AS, OTHER_AS = 64512, 64601, 64701
SWITCH = "10.79.255.1"
SEGMENT = IPv4Network("10.64.0.0/12")
GROUPS = ("workers", "route_reflectors", "switches")
CALICO_GROUP = "crd.projectcalico.org"
SESSION_SECONDS = 300
PLAN_SECONDS, STATUS_SECONDS = 2, 10


@dataclass(frozen=True)
class Row:
    """A run of a module in a process of its own."""

    what: str
    cost: ApiCost
    result: dict[str, Any]


@dataclass(frozen=True)
class Measurement:
    """``compared`` is how long both ends took to compare, in this process; ``routes`` what the switch holds."""

    fresh: Row
    same: Row
    info: Row
    switch: Row
    compared: float
    ok: bool
    verdict: str
    sessions: int
    routes: int


def estate() -> model.Estate:
    """40 racks of 25 nodes, two of them reflectors, behind one switch."""
    racks = {f"r{number:02d}": number for number in range(RACKS)}
    hosts = [_host(name, number, place) for name, number in racks.items() for place in range(NODES_PER_RACK)]
    hosts.append(model.Host("tor", frozenset({"switches"}), IPv4Address(SWITCH), "r00", ""))
    return model.Estate(
        name="bench",
        groups={group: tuple(h.name for h in hosts if group in h.groups) for group in GROUPS},
        networks=model.Networks(
            services=IPv4Network("10.22.0.0/16"), pods={"bare_metal": IPv4Network("10.128.0.0/12")}
        ),
        bgp=model.Bgp(CLUSTER_AS, (IPv4Network("192.168.0.0/16"),)),
        racks={name: model.Rack(name, _subnet(number), ("tor",), SWITCH_AS) for name, number in racks.items()},
        hosts={host.name: host for host in hosts},
    )


def _subnet(number: int) -> IPv4Network:
    return IPv4Network(f"10.64.{number}.0/24")


def _host(rack: str, number: int, place: int) -> model.Host:
    groups = {"workers", *(["route_reflectors"] if place < REFLECTORS_PER_RACK else [])}
    address = _subnet(number).network_address + 10 + place
    return model.Host(f"{rack}-n{place:02d}", frozenset(groups), address, rack, "bare_metal")


def measured() -> Measurement:
    """All of it on one API server and one switch."""
    sample = estate()
    topology = topology_of(sample)
    with tempfile.TemporaryDirectory() as work, ControlPlane(Path(work, "api"), audit=True) as plane:
        directory = Path(work)
        kubeconfig = private_file(directory / "admin.conf", plane.kubeconfig)
        common = {"kubeconfig": str(kubeconfig), "topology": as_dict(topology)}
        api = connect(plane.kubeconfig)
        _add_calico(api)
        _add_nodes(api, topology)
        fresh = _run(plane, directory, "plan: everything is new", "bgp_topology", _ansible_check_mode=True, **common)
        _make_so(api, topology)
        _add_reports(api, topology)
        same = _run(plane, directory, "plan: nothing to change", "bgp_topology", _ansible_check_mode=True, **common)
        info = _run(plane, directory, "status: the cluster's end", "bgp_info", **common)
        with Fabric(directory / "fabric") as fabric:
            router = _switch(fabric, plane, sample)
            side = _side(router, sample, check=True)
            switch = _run(plane, router.directory, "status: the switch's end", "frr_bgp", **side)
            routes = router.vtysh("show bgp ipv4 unicast summary json")
        begun = time.perf_counter()
        found = status("bench", info.result, {"tor": switch.result})
        verdict = lines(found)[-1]
        compared = time.perf_counter() - begun
        summary = json.loads(routes)
        up = sum(peer["state"] == "Established" for peer in summary["peers"].values())
        held = sum(peer.get("pfxRcd", 0) for peer in summary["peers"].values())
        return Measurement(fresh, same, info, switch, compared, bool(found["ok"]), verdict, up, held)


def _run(plane: ControlPlane, directory: Path, what: str, module: str, **arguments: Any) -> Row:
    path = arguments.pop("path", "")
    prepared = prepare(f"{OURS}{module}", directory / "run", **arguments)
    environment = {**prepared.environment, **({"PATH": f"{path}:{prepared.environment['PATH']}"} if path else {})}
    cost = cost_of(plane, prepared.command, environment)
    return Row(what, cost, json.loads(cost.output))


def _add_calico(api: Cluster) -> None:
    manifest = ensure_component("calico") / "share/manifests/calico.yaml"
    for found in yaml.load_all(manifest.read_text(encoding="utf-8"), yaml.CSafeLoader):
        if found and found["kind"] == "CustomResourceDefinition" and found["spec"]["group"] == CALICO_GROUP:
            api.create(objects.DEFINITIONS_PATH, found)
    for resource in objects.CALICO_KINDS:
        while api.request("GET", objects.path_of(resource), allow=(404,)).status != 200:
            time.sleep(0.1)


def _add_nodes(api: Cluster, topology: Topology) -> None:
    def add(speaker: Any) -> None:
        labels = {derive.RACK_LABEL: speaker.rack, derive.NODE_CLASS_LABEL: "bare_metal"}
        api.create("/api/v1/nodes", {"metadata": {"name": speaker.name, "labels": labels}})
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        api.merge(f"/api/v1/nodes/{speaker.name}/status", {"status": ready})

    _all(add, topology.speakers)


def _make_so(api: Cluster, topology: Topology) -> None:
    """All that a plan writes, without its gates, which no router would open here."""
    plan = planning.plan(topology, apply.observe(api, topology))
    apply.Runner(api, topology).run(replace(plan, stages=plan.writes))


def _add_reports(api: Cluster, topology: Topology) -> None:
    """Every node says that it is in session with every reflector, and each reflector with every node and the switch."""
    reflectors = [str(speaker.address) for speaker in topology.reflectors]
    everyone = [*(str(speaker.address) for speaker in topology.speakers), SWITCH]
    numbers = {f"number{state}{family}": 0 for state in ("Established", "NotEstablished") for family in ("V4", "V6")}

    def report(speaker: Any) -> None:
        peers = [
            {"peerIP": address, "type": "NodePeer", "state": "Established", "since": "10:00:00"}
            for address in (everyone if speaker.cluster_id else reflectors)
            if address != str(speaker.address)
        ]
        said = {"lastUpdated": time.strftime("%FT%TZ", time.gmtime()), "bgp": {**numbers, "peersV4": peers}}
        api.merge(objects.path_of(objects.STATUSES, speaker.name), {"status": said})

    _all(report, topology.speakers)


def _all(work: Any, items: Sequence[Any]) -> None:
    for outcome in parallel(work, list(items)):
        if outcome.error:
            raise outcome.error


def _switch(fabric: Fabric, plane: ControlPlane, sample: model.Estate) -> Router:
    """An FRR with the neighbours of the estate and of others, all of them in session."""
    reflectors = [str(host.address) for host in derive.reflectors(sample)]
    others = [f"10.72.{number // 250}.{number % 250 + 1}" for number in range(SPEAKERS - len(reflectors))]
    theirs = "".join(
        f" neighbor {address} remote-as {OTHER_AS}\n neighbor {address} ebgp-multihop 2\n" for address in others
    )
    head = f"frr defaults traditional\nhostname tor\n!\nrouter bgp {SWITCH_AS}\n bgp router-id {SWITCH}\n"
    router = fabric.router("tor", SWITCH, f"{head} no bgp ebgp-requires-policy\n{theirs}exit\n!\nend\n")
    router.inside("ip", "address", "add", f"{SWITCH}/{SEGMENT.prefixlen}", "dev", "segment")
    _run(plane, router.directory, "", "frr_bgp", **_side(router, sample, check=False))
    blocks = list(sample.networks.pods["bare_metal"].subnets(new_prefix=26))
    routes = [[str(block), str(host.address)] for block, host in zip(blocks, sample.nodes.values(), strict=False)]
    speakers = [*([address, CLUSTER_AS] for address in reflectors), *([address, OTHER_AS] for address in others)]
    _speak(router, [*reflectors, *others], {"speakers": speakers, "routes": routes})
    deadline = time.monotonic() + SESSION_SECONDS
    while time.monotonic() < deadline:
        summary = json.loads(router.vtysh("show bgp ipv4 unicast summary json"))
        whole = [peer for peer in summary["peers"].values() if peer.get("pfxRcd") == len(routes)]
        if len(whole) == len(speakers):
            return router
        time.sleep(1)
    raise RuntimeError(f"{len(whole)} of {len(speakers)} sessions are up with all routes after {SESSION_SECONDS} s")


def _speak(router: Router, addresses: Sequence[str], told: dict[str, Any]) -> None:
    """Start the speakers in a network of their own that hangs on the switch's segment."""
    speaking = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-m", "tests.bench.speakers", SWITCH],
        cwd=drive.REPOSITORY,
        stdin=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    assert speaking.stdin
    speaking.stdin.write(json.dumps(told).encode())
    speaking.stdin.close()
    while os.readlink(f"/proc/{speaking.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.05)
    router.inside("ip", "link", "add", "speakers", "type", "veth", "peer", "name", "eth0", "netns", str(speaking.pid))
    router.inside("ip", "link", "set", "speakers", "master", "segment", "up")
    lines_ = [f"address add {address}/{SEGMENT.prefixlen} dev eth0" for address in addresses]
    batch = "\n".join([*lines_, "link set lo up", "link set eth0 up"])
    enter = ["nsenter", f"--target={speaking.pid}", "--net", "ip", "-batch", "-"]
    subprocess.run(enter, input=batch, text=True, check=True)


def _side(router: Router, sample: model.Estate, check: bool) -> dict[str, Any]:
    file = {"config_file": str(router.configuration), "path": str(router.bin)}
    return {**switch_side(sample, "tor"), **file, "_ansible_check_mode": check}


def sections(found: Measurement) -> Iterator[str]:
    """The tables."""
    compared = len(found.info.result["sessions"])
    nodes, reflectors = RACKS * NODES_PER_RACK, RACKS * REFLECTORS_PER_RACK
    yield f"## BGP of {nodes:,} nodes in {RACKS} racks with {reflectors} route reflectors\n"
    yield (
        f"A real API server; simulated are the nodes' reports, and the {SPEAKERS} speakers that a real FRR is in\n"
        f"session with: {found.sessions} sessions, {found.routes:,} prefixes received. Every module runs in a process\n"
        f"of its own. To compare both ends of {compared:,} sessions took {found.compared:.2f} s.\n"
    )
    rows = (found.fresh, found.same, found.info, found.switch)
    yield table(("what", "requests", "wall s", "CPU-s", "peak MB"), [_line(row) for row in rows])
    yield ""
    plan = max(found.fresh.cost.usage.wall, found.same.cost.usage.wall)
    whole = found.info.cost.usage.wall + found.switch.cost.usage.wall + found.compared
    targets = (("planning", PLAN_SECONDS, plan), ("status", STATUS_SECONDS, whole))
    lines_ = [
        (what, f"at most {most}", f"{is_:.1f}", "met" if is_ <= most else "missed") for what, most, is_ in targets
    ]
    yield table(("wall s of", "target", "measured", ""), lines_)


def _line(row: Row) -> tuple[object, ...]:
    usage = row.cost.usage
    return row.what, row.cost.requests, f"{usage.wall:.1f}", f"{usage.cpu:.1f}", f"{usage.peak:.0f}"
