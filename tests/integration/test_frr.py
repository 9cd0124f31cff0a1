"""The module frr_bgp against real FRR routers: the switch, two reflectors of its rack, a neighbour of somebody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.reset import HITLESS
from ansible_collections.hybridk8s.estate.plugins.modules import frr_bgp

from tests.integration.frr_fabric import Fabric, Router
from tests.integration.module_process import call

ROOT = Path(__file__).parents[2]
ANSIBLE = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache")}
SWITCH, FIRST, SECOND, FABRIC = "10.20.1.1", "10.20.1.11", "10.20.1.12", "10.20.1.99"
CLUSTER_AS, SWITCH_AS, FABRIC_AS = 64512, 64901, 64999
THEIRS = f"""\
frr defaults traditional
hostname tor1
service integrated-vtysh-config
!
router bgp {SWITCH_AS}
 bgp router-id {SWITCH}
 no bgp network import-check
 neighbor SPINE peer-group
 neighbor SPINE timers 3 9
 neighbor SPINE timers connect 1
 neighbor {FABRIC} remote-as {FABRIC_AS}
 neighbor {FABRIC} peer-group SPINE
 neighbor {FABRIC} description somebody else
 !
 address-family ipv4 unicast
  network 10.99.1.0/24
  neighbor SPINE route-map ALL in
  neighbor SPINE route-map ALL out
 exit-address-family
exit
!
ip prefix-list OTHERS seq 5 permit 10.0.0.0/8
!
route-map ALL permit 10
exit
!
end
"""
PEER = """\
frr defaults traditional
hostname {name}
!
router bgp {own}
 bgp router-id {address}
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor {switch} remote-as {switch_as}
 neighbor {switch} ebgp-multihop 2
 neighbor {switch} timers connect 1
{lines} address-family ipv4 unicast
  network {network}
 exit-address-family
exit
!
end
"""


def peer(fabric: Fabric, name: str, address: str, own: int, network: str, password: str = "") -> Router:
    lines = f" neighbor {SWITCH} password {password}\n" if password else ""
    known = {"name": name, "own": own, "address": address, "network": network, "lines": lines}
    return fabric.router(name, address, PEER.format(switch=SWITCH, switch_as=SWITCH_AS, **known))


def options(**changes: Any) -> dict[str, Any]:
    neighbours = [
        {"address": FIRST, "remote_as": CLUSTER_AS, "description": "cp1", "password": "s3cret"},
        {"address": SECOND, "remote_as": CLUSTER_AS},
    ]
    return {
        "estate": "lab",
        "as_number": SWITCH_AS,
        "neighbours": neighbours,
        "import_prefixes": [{"prefix": "10.21.0.0/16", "ge": 26, "le": 32}],
        "export_prefixes": [{"prefix": "10.99.0.0/16", "le": 32}],
        "timers": {"keepalive": 3, "hold": 9, "connect": 1},
        **changes,
    }


@pytest.fixture(scope="module", autouse=True)
def swept() -> None:
    """These tests need no API server."""


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Router]]:
    with Fabric(tmp_path_factory.mktemp("fabric")) as fabric:
        yield {
            "tor": fabric.router("tor1", SWITCH, THEIRS),
            FIRST: peer(fabric, "cp1", FIRST, CLUSTER_AS, "10.21.0.0/26", "s3cret"),
            SECOND: peer(fabric, "w1", SECOND, CLUSTER_AS, "10.21.0.64/26"),
            FABRIC: peer(fabric, "spine", FABRIC, FABRIC_AS, "10.98.0.0/24"),
        }


@pytest.fixture
def tor(fabric: dict[str, Router], monkeypatch: pytest.MonkeyPatch) -> Iterator[Router]:
    """The switch as others left it; after a test it is that again."""
    tor = fabric["tor"]
    monkeypatch.setenv("PATH", str(tor.bin), prepend=":")
    yield tor
    for estate in ("lab", "lab-b"):
        done = run(tor, estate=estate, neighbours=[])
        assert "failed" not in done, done


@pytest.fixture
def before(tor: Router) -> str:
    return tor.running()


def run(tor: Router, check: bool = False, diff: bool = False, **changes: Any) -> dict[str, Any]:
    return call(frr_bgp, options(config_file=str(tor.configuration), **changes), check, diff, tor.directory)


def established(tor: Router, *addresses: str) -> dict[str, int]:
    """How often each session has come up, once all of them are up."""
    told: dict[str, Any] = {}

    def up() -> bool:
        told.update(json.loads(tor.vtysh("show bgp neighbors json")))
        return all(told.get(address, {}).get("bgpState") == "Established" for address in addresses)

    wait_for(up, lambda: {address: told.get(address, {}).get("bgpState") for address in addresses})
    return {address: told[address]["connectionsEstablished"] for address in addresses}


def wait_for(happened: Callable[[], bool], told: Callable[[], Any], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, told()
        time.sleep(0.3)


def paths(router: Router, prefix: str) -> list[str]:
    found = json.loads(router.vtysh(f"show bgp ipv4 unicast {prefix} json"))
    return [path["aspath"]["string"] for path in found.get("paths", [])]


def theirs(text: str) -> list[str]:
    """The lines that are not ours."""
    ours = ("ESTATE-", FIRST, SECOND)
    lines = iter(text.splitlines())
    kept = []
    for line in lines:
        if line.startswith("route-map ESTATE-"):
            while line.strip() != "exit":
                line = next(lines)
            continue
        if line.strip() not in ("!", "") and not any(word in line for word in ours):
            kept.append(line)
    return kept


def test_sessions_come_up_and_the_second_run_changes_nothing(tor: Router, before: str) -> None:
    assert run(tor, check=True)["changed"] is True
    assert tor.running() == before
    done = run(tor, wait_established=40)
    assert [session["state"] for session in done["sessions"]] == ["Established", "Established"]
    assert "s3cret" not in json.dumps(done)
    for check in (True, False):
        again = run(tor, check=check)
        assert (again["changed"], again["commands"], again["pending"]) == (False, [], [])


def test_lines_of_others_stay_byte_for_byte(tor: Router, before: str) -> None:
    odd = "! by hand \t\n" + THEIRS.replace(" description somebody else", "   description  somebody else  ")
    tor.configuration.write_text(odd)
    run(tor)
    assert theirs(tor.running()) == theirs(before)
    assert theirs(tor.configuration.read_text()) == theirs(odd)
    established(tor, FABRIC)
    run(tor, state="absent")
    assert tor.running() == before
    assert theirs(tor.configuration.read_text()) == theirs(odd)
    tor.configuration.write_text(THEIRS)


def test_the_file_that_was_written_is_what_runs_after_a_restart(tor: Router) -> None:
    run(tor, local_as=64950)
    running = tor.running()
    tor.restart()
    assert sorted(tor.running().splitlines()) == sorted(running.splitlines())
    assert run(tor, local_as=64950)["changed"] is False


def test_another_as_is_shown_to_our_neighbours_alone(tor: Router, fabric: dict[str, Router]) -> None:
    run(tor, wait_established=40)
    ups = established(tor, FABRIC)
    fabric[FIRST].configure(f"router bgp {CLUSTER_AS}", f"neighbor {SWITCH} remote-as 64950")
    try:
        done = run(tor, local_as=64950, may_reset=[FIRST])
        assert [one["neighbour"] for one in done["pending"]] == [SECOND]
        ups_after = established(tor, FABRIC, FIRST, SECOND)
        assert ups_after[FABRIC] == ups[FABRIC]
        wait_for(lambda: bool(paths(fabric[FIRST], "10.99.1.0/24")), lambda: fabric[FIRST].vtysh("show bgp summary"))
        assert paths(fabric[FIRST], "10.99.1.0/24") == ["64950"]
        wait_for(lambda: bool(paths(fabric[FABRIC], "10.21.0.0/26")), lambda: fabric[FABRIC].vtysh("show bgp summary"))
        assert paths(fabric[FABRIC], "10.21.0.0/26") == [f"{SWITCH_AS} {CLUSTER_AS}"]
    finally:
        fabric[FIRST].configure(f"router bgp {CLUSTER_AS}", f"neighbor {SWITCH} remote-as {SWITCH_AS}")


def test_a_switch_of_another_as_is_refused_unless_the_inventory_says_so(tor: Router, before: str) -> None:
    failed = run(tor, as_number=64950)
    assert f"switch_bgp_router_as: {SWITCH_AS}" in failed["msg"]
    assert tor.running() == before
    assert run(tor, as_number=SWITCH_AS, local_as=64950)["changed"] is True
    assert run(tor, as_number=SWITCH_AS, local_as=64950)["changed"] is False


DRIFT = {
    "advertisement-interval": "neighbor {0} advertisement-interval 5",
    "default-originate": "neighbor {0} default-originate",
    "description": "neighbor {0} description by hand",
    "distribute-list": "neighbor {0} distribute-list X in",
    "filter-list": "neighbor {0} filter-list X in",
    "maximum-prefix": "neighbor {0} maximum-prefix 77",
    "next-hop-self": "neighbor {0} next-hop-self",
    "prefix-list": "neighbor {0} prefix-list OTHERS in",
    "route-map": "neighbor {0} route-map ALL in",
    "send-community": "no neighbor {0} send-community",
    "soft-reconfiguration": "no neighbor ESTATE-LAB soft-reconfiguration inbound",
    "timers": "neighbor {0} timers 7 21",
    "weight": "neighbor {0} weight 5",
}
TOP = ("advertisement-interval", "description", "timers")


def test_what_counts_as_hitless_is(tor: Router) -> None:
    assert DRIFT.keys() == HITLESS
    run(tor, wait_established=40)
    ups = established(tor, FIRST, SECOND)
    for attribute, line in DRIFT.items():
        family = [] if attribute in TOP else ["address-family ipv4 unicast"]
        tor.configure(f"router bgp {SWITCH_AS}", *family, line.format(SECOND))
        done = run(tor, may_reset=[])
        assert (done["changed"], done["pending"]) == (True, []), (attribute, done)
        assert established(tor, FIRST, SECOND) == ups, attribute
    run(tor, may_reset=[], max_prefix=700, timers={"keepalive": 4, "hold": 12, "connect": 2})
    assert established(tor, FIRST, SECOND) == ups


def test_a_password_is_rolled_session_by_session(tor: Router, fabric: dict[str, Router]) -> None:
    run(tor, wait_established=40)
    ups = established(tor, FIRST, SECOND)
    rolled = [{"address": FIRST, "remote_as": CLUSTER_AS, "description": "cp1", "password": "n3wer"}]
    rolled.append({"address": SECOND, "remote_as": CLUSTER_AS, "description": "now w1"})
    held = run(tor, diff=True, may_reset=[SECOND], neighbours=rolled)
    assert held["pending"] == [{"neighbour": FIRST, "attributes": ["password"]}]
    assert held["commands"] == [f"router bgp {SWITCH_AS}", f" neighbor {SECOND} description now w1", "exit"]
    assert established(tor, FIRST, SECOND) == ups
    foreseen = run(tor, check=True, diff=True, neighbours=rolled)
    assert foreseen["steps"][0]["reason"].endswith("password changes, which resets the session")
    fabric[FIRST].configure(f"router bgp {CLUSTER_AS}", f"neighbor {SWITCH} password n3wer")
    try:
        done = run(tor, diff=True, neighbours=rolled, wait_established=40)
        assert done["pending"] == []
        for told in (held, foreseen, done):
            assert not any(secret in json.dumps(told) for secret in ("n3wer", "s3cret"))
        after = established(tor, FIRST, SECOND)
        assert (after[FIRST] > ups[FIRST], after[SECOND]) == (True, ups[SECOND])
    finally:
        fabric[FIRST].configure(f"router bgp {CLUSTER_AS}", f"neighbor {SWITCH} password s3cret")


def test_two_estates_on_one_switch_do_not_disturb_each_other(tor: Router) -> None:
    first = {"neighbours": options()["neighbours"][:1]}
    other = {"estate": "lab-b", "neighbours": [{"address": SECOND, "remote_as": CLUSTER_AS}], "max_prefix": 50}
    run(tor, wait_established=40, **first)
    ups = established(tor, FIRST)
    assert run(tor, wait_established=40, **other)["changed"] is True
    both = tor.running()
    for estate in (first, other):
        assert run(tor, **estate)["changed"] is False
    changed = run(tor, **{**other, "max_prefix": 60, "import_prefixes": [{"prefix": "10.31.0.0/16"}]})
    assert not [line for line in changed["commands"] if FIRST in line or "ESTATE-LAB-IN" in line.split()]
    assert run(tor, **first)["changed"] is False
    taken = run(tor, neighbours=options()["neighbours"])
    assert f"neighbor {SECOND} is configured outside peer-group ESTATE-LAB" in taken["msg"]
    assert run(tor, estate="lab-b", state="absent")["changed"] is True
    assert "ESTATE-LAB-B" not in tor.running() + tor.configuration.read_text()
    assert "ESTATE-LAB-B" in both
    assert established(tor, FIRST) == ups


def test_the_role_says_what_the_inventory_says(tor: Router, tmp_path: Path) -> None:
    switch = {
        "ansible_host": SWITCH,
        "switch_bgp_router_as": SWITCH_AS,
        "switch_bgp_config_file": str(tor.configuration),
    }
    estate = {
        "estate_name": "lab",
        "estate_kubernetes_version": "1.36.3",
        "estate_networks": {"services": "10.22.0.0/16", "pods": {"bare_metal": "10.21.0.0/16"}},
        "estate_bgp": {"as": CLUSTER_AS, "import": ["10.99.0.0/16"], "password": "s3cret"},
        "estate_racks": {"r1": {"subnet": "10.20.1.0/24", "switches": ["tor1"], "as": 64950}},
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(tor.directory / "remote"),
    }
    groups = {
        "switches": {"hosts": {"tor1": switch}},
        "kubernetes": {"hosts": {"cp1": {"ansible_host": FIRST, "rack": "r1"}}},
        **{group: {"hosts": {"cp1": {}}} for group in ("control_plane", "bare_metal", "route_reflectors")},
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"vars": estate, "children": groups}}))
    play = [{"hosts": "switches", "gather_facts": False, "roles": ["hybridk8s.estate.switch_bgp"]}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.json", "play.yml", "--diff"]
    for changed in (1, 0):
        ended = subprocess.run(
            command, cwd=tmp_path, env=ANSIBLE | os.environ, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert f"changed={changed} " in ended.stdout
        assert "s3cret" not in ended.stdout + ended.stderr
    assert f"neighbor {FIRST} local-as 64950 no-prepend replace-as" in tor.running()
    del switch["switch_bgp_router_as"]
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"vars": estate, "children": groups}}))
    ended = subprocess.run(command, cwd=tmp_path, env=ANSIBLE | os.environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert f"set switch_bgp_router_as: {SWITCH_AS}" in ended.stdout


def test_a_wrong_configuration_is_refused_before_it_is_loaded(tor: Router, before: str) -> None:
    broken = THEIRS.replace(f"neighbor {FABRIC} description", f"neighbor {FABRIC} descripton")
    tor.configuration.write_text(broken)
    for check in (True, False):
        failed = run(tor, check=check)
        assert "parser refuses" in failed["msg"]
        assert "descripton" in failed["msg"]
        assert "s3cret" not in json.dumps(failed)
    assert tor.running() == before
    assert tor.configuration.read_text() == broken
    tor.configuration.write_text(THEIRS)


def test_what_bgpd_refuses_is_taken_back(tor: Router) -> None:
    run(tor)
    before = tor.running()
    group = f"neighbor {SECOND} ttl-security hops 1"
    tor.configure(f"router bgp {SWITCH_AS}", f"no neighbor {SECOND} ebgp-multihop", group)
    drifted = tor.running()
    assert drifted != before
    assert run(tor)["changed"] is True
    assert tor.running() == before
