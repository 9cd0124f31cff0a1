"""A session that cannot come up: the gate ends in its time, the old path stays, and the message says who sees what."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.flows import fabric
from tests.flows.drive import address, kubectl, playbook, ssh
from tests.flows.estates import bgp, estate, looked_up, rack, reflectors
from tests.flows.interrupt import KillPoint, run_through
from tests.flows.traffic import probing

NEWCOMER = "a2"
GATE = 20
# Beside the gate: the start of the run, the switches, and nodes that are waited for.
OVERHEAD = 40
SWITCHES_ARE_DONE = KillPoint("hybridk8s.estate.bgp : Peer nodes, reflectors and switches as the inventory says", 1, 0)


@dataclass(frozen=True)
class Obstacle:
    """What stands in a new session's way as soon as the switches are done; ``said`` is in the message."""

    put_up: Callable[[], AbstractContextManager[None]]
    said: tuple[str, ...]


@contextmanager
def port_filtered(host, peer):
    """Somebody's packet filter between two ends of a session to be."""
    rules = (
        "add table ip lab_filter",
        "add chain ip lab_filter input { type filter hook input priority 0 ; }",
        f"add rule ip lab_filter input ip saddr {address(peer)} tcp dport 179 drop",
        f"add rule ip lab_filter input ip saddr {address(peer)} tcp sport 179 drop",
    )
    ssh(host, "nft -f -", stdin="\n".join(rules) + "\n")
    try:
        yield
    finally:
        ssh(host, "nft delete table ip lab_filter")


@contextmanager
def wrong_as(host):
    """Somebody gave the node an AS of its own."""
    kubectl("annotate", "--overwrite", "node", host, "projectcalico.org/ASNumber=65009")
    try:
        yield
    finally:
        kubectl("annotate", "node", host, "projectcalico.org/ASNumber-")


@contextmanager
def wrong_password(switch, host):
    """Somebody typed another password into the switch; the next run puts it right."""
    fabric.configure(switch, "router bgp 64901", f"neighbor {address(host)} password somebody")
    yield


WITH_SWITCH = (
    f"session {NEWCOMER} ({{a2}}, AS 64512) <-> switch left ({{left}}, AS 64901)",
    f"{NEWCOMER} sees",
    "left sees",
)
OBSTACLES = {
    "port 179 filtered between reflector and switch": Obstacle(lambda: port_filtered(NEWCOMER, "left"), WITH_SWITCH),
    "port 179 filtered between nodes": Obstacle(
        lambda: port_filtered(NEWCOMER, "b2"),
        (f"{NEWCOMER} ({{a2}}, AS 64512)", "b2 ({b2}, AS 64512)", "b2 sees", f"{NEWCOMER} sees"),
    ),
    "a wrong password on the switch": Obstacle(lambda: wrong_password("left", NEWCOMER), WITH_SWITCH),
    "a wrong AS on the node": Obstacle(lambda: wrong_as(NEWCOMER), (f"{NEWCOMER} ({{a2}}, AS 64512)", "sees")),
}


@pytest.fixture(scope="module")
def secret(full):
    """The whole fabric, with a password; and without one again."""
    inventory = estate("secret", bgp(password=looked_up("of-the-fabric")))
    run = playbook("bgp", estate=inventory)
    assert run.status == 0, run.output
    yield inventory
    run = playbook("bgp", estate=full)
    assert run.status == 0, run.output


@pytest.fixture
def without_newcomer(secret):
    """One reflector in the rack; the change under test adds the other."""
    run = playbook("bgp", estate=estate("edited", bgp(password=looked_up("of-the-fabric")), reflectors("a1", "b1")))
    assert run.status == 0, run.output
    return secret


@pytest.mark.parametrize("what", OBSTACLES)
def test_an_obstacle(what, without_newcomer):
    obstacle = OBSTACLES[what]
    addresses = {host: address(host) for host in ("a2", "b2", "left")}
    with probing() as traffic:
        began = time.monotonic()
        with ExitStack() as until_told:
            status, output = run_through(
                SWITCHES_ARE_DONE,
                lambda: until_told.enter_context(obstacle.put_up()),
                "bgp",
                f"--extra-vars=bgp_gate_timeout={GATE}",
                estate=without_newcomer,
            )
            seconds = time.monotonic() - began
        repaired = playbook("bgp", estate=without_newcomer)
    # A node that becomes a reflector starts all of its sessions anew.
    others = traffic.result.without(NEWCOMER)
    print(f"{what}: {seconds:.0f} s with a gate of {GATE} s; put right: {repaired.seconds:.0f} s\n{others}\n{output}")

    assert status != 0
    after_the_gate = output.partition("PLAY [Start sessions anew")[2].partition("PLAY [")[2].partition("PLAY [")[0]
    assert "\nok: " not in after_the_gate, "former sessions stay where their successors are not up"
    assert seconds < GATE + OVERHEAD
    for words in obstacle.said:
        assert words.format(**addresses) in output, output
    assert others.lost == 0, str(others)
    assert repaired.status == 0, repaired.output
    well = fabric.bgp_status(estate=without_newcomer)
    assert well.ok, well.run.output


def test_a_wrong_as_in_the_inventory(full):
    with probing() as traffic:
        run = playbook("bgp", estate=estate("edited", rack("r2", **{"as": 64999})))
        repaired = playbook("bgp", estate=full)
    print(f"a wrong AS in the inventory:\n{traffic.result}")

    assert run.status != 0
    assert "the switch runs router bgp 64902, but the inventory says AS 64999" in run.output
    assert traffic.result.lost == 0, str(traffic.result)
    assert repaired.status == 0, repaired.output
