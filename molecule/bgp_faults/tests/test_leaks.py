"""A switch announces what nobody asked of it: no node takes any of it, and where a filter is missing it is seen."""

from __future__ import annotations

import json

from tests.flows import fabric
from tests.flows.drive import address, booted, eventually, kubectl, playbook, racks, ssh
from tests.flows.traffic import probing

STRANGE_BLOCK = "10.31.250.0/26"
EVERYTHING = "ip prefix-list ESTATE-FABRIC-OUTSIDE seq 1 permit 0.0.0.0/0 le 32"
LEAKS = (
    EVERYTHING,
    f"ip route {STRANGE_BLOCK} blackhole",
    "router bgp 64901",
    "address-family ipv4 unicast",
    f"network {STRANGE_BLOCK}",
    "neighbor ESTATE-FABRIC default-originate",
)
CLEAN_UP = (
    "router bgp 64901",
    "address-family ipv4 unicast",
    f"no network {STRANGE_BLOCK}",
    "no neighbor ESTATE-FABRIC default-originate",
    "exit",
    "exit",
    f"no ip route {STRANGE_BLOCK} blackhole",
)


def announced(switch, neighbour):
    show = f"show bgp ipv4 unicast neighbors {address(neighbour)} advertised-routes json"
    said = json.loads(ssh(switch, f"vtysh -c '{show}'"))
    routes = set(said["advertisedRoutes"])
    return routes | ({"0.0.0.0/0"} if said.get("bgpOriginatingDefaultNetwork") else set())


def taken():
    """What nodes have of a switch beside what they may, and routes that lead nowhere."""
    leaked = {"default", STRANGE_BLOCK, *(body["subnet"] for body in racks().values())}
    found = set()
    for node in booted("kubernetes"):
        for line in ssh(node, "ip route show proto bird").splitlines():
            words = line.split()
            if words[0] == "unreachable" or words[0] in leaked:
                found.add(f"{node}: {line}")
    return found


def test_no_node_takes_what_is_not_meant_for_it(full):
    with probing() as traffic:
        fabric.configure("left", *LEAKS)
        wanted = {"0.0.0.0/0", STRANGE_BLOCK, *(body["subnet"] for body in racks().values())}
        eventually(lambda: announced("left", "a1") >= wanted, 30, "the switch announces all of it")
        seen = fabric.bgp_status(estate=full)
        assert taken() == set()
    print(f"leaks of a switch:\n{traffic.result}")

    assert traffic.result.lost == 0, str(traffic.result)
    assert "left" in {one["where"] for one in seen.drift}, seen.run.output
    assert seen.routes_missing == []


def test_without_the_filter_it_is_seen_and_put_right(full):
    kubectl(
        "patch", "bgppeers.crd.projectcalico.org", "fabric-r1-left", "--type=merge", '--patch={"spec":{"filters":[]}}'
    )
    eventually(taken, 30, "a node takes what the switch announces")
    print("without the filter: " + "; ".join(sorted(taken())))

    ill = fabric.bgp_status(estate=full)
    assert (ill.run.status, ill.ok) == (2, False)
    assert ("cluster", "BGPPeer/fabric-r1-left") in {(one["where"], one["target"]) for one in ill.drift}
    assert ill.routes_missing, "routes that lead nowhere are told"

    run = playbook("bgp", estate=full)
    assert run.status == 0, run.output
    assert taken() == set()
    fabric.configure("left", *CLEAN_UP)
    well = fabric.bgp_status(estate=full)
    assert well.ok, well.run.output
