"""Reflectors and switches without power: what is lost, who reports it, and that all of it comes back by itself."""

from __future__ import annotations

import pytest

from tests.flows import fabric, proof
from tests.flows.drive import booted, eventually, lab, playbook, rack
from tests.flows.traffic import probing

AT_MOST_MS = 1000
REFLECTOR = "a1"


def whole(full):
    def well():
        return all(session.established for session in proof.sessions()) and not any(
            proof.missing_blocks(switch) for switch in booted("switches")
        )

    eventually(well, 180, "every session is up and every switch has every block")
    status = fabric.bgp_status(estate=full)
    assert status.ok, status.run.output


def test_a_reflector_without_power(full):
    with probing() as traffic:
        lab("kill", REFLECTOR)
        proof.await_silence(REFLECTOR)
        run = playbook("bgp", estate=full)
        status = fabric.bgp_status(estate=full)
    result = traffic.result.without(REFLECTOR)
    print(f"reflector {REFLECTOR} without power; the run after that: {run.seconds:.0f} s\n{result}")

    assert result.of("within").lost == 0, str(result)
    assert result.longest_ms <= AT_MOST_MS, str(result)
    assert run.seconds < 60, run.output
    assert REFLECTOR in run.output
    assert run.hosts_with("changed") == set(), run.output
    assert not status.ok


def test_the_reflector_comes_back_and_rejoins(full):
    with probing() as traffic:
        lab("boot", REFLECTOR)
        eventually(lambda: all(node.ready for node in proof.nodes()), 180, f"{REFLECTOR} is Ready")
        eventually(lambda: REFLECTOR in {p["spec"]["nodeName"] for p in proof.web_pods()}, 120, "its pod runs")
        whole(full)
    print(f"{REFLECTOR} comes back:\n{traffic.result}")

    assert traffic.result.lost == 0, str(traffic.result)


@pytest.mark.parametrize("switch", ["left", "right"])
def test_a_switch_of_two_reboots(switch, full):
    with probing() as traffic:
        lab("kill", switch)
        lab("boot", switch)
        whole(full)
    print(f"switch {switch} of two rebooted:\n{traffic.result}")

    assert traffic.result.of("within").lost == 0, str(traffic.result)
    assert traffic.result.of("across").longest_ms <= AT_MOST_MS, str(traffic.result)
    # A reflector's own pods answer the outside through the switch that it learned the outside from, gone or not.
    others = traffic.result.of("outside").without(*booted("route_reflectors"))
    assert others.longest_ms <= AT_MOST_MS, str(traffic.result)
    assert not any(flow.broken for flow in traffic.result.flows), str(traffic.result)


def test_the_only_switch_of_a_rack_reboots(full):
    behind = [node for node in booted("kubernetes") if rack(node) == "r2"]
    with probing() as traffic:
        lab("kill", "single")
        lab("boot", "single")
        whole(full)
    print(f"the only switch of a rack rebooted:\n{traffic.result}")

    assert traffic.result.of("within").lost == 0, str(traffic.result)
    assert traffic.result.without(*behind).longest_ms <= AT_MOST_MS, str(traffic.result)
    assert traffic.result.of("across").lost, "nobody was cut off: the switch was not off"
    with probing() as after:
        pass
    assert after.result.lost == 0, str(after.result)
