from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakecloud.machines import Interface, Machine
from tests.lab import cloud
from tests.lab.cloud import LabMachines
from tests.lab.errors import LabError
from tests.lab.host import Host
from tests.lab.identity import Identity
from tests.lab.inventory import parse
from tests.lab.keys import host_key, known_hosts
from tests.lab.lab import Lab
from tests.lab.state import State
from tests.lab.topology import topology_of
from tests.unit.lab.lab_inventories import hybrid

PRIMARY = Interface("eni-1", "00:16:3e:00:00:01", True, "vsw-node-a", "172.20.1.0/24", "172.20.1.253", ("172.20.1.1",))
SECOND = replace(PRIMARY, id="eni-2", mac="00:16:3e:00:00:02", primary=False, addresses=("172.20.2.1",))
ONE = Machine("i-1", "online-1", "m-lab", "ecs.g7.xlarge", "lab", "", (PRIMARY, SECOND))


class Wires:
    """What is done to the network and to the power of machines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.on: set[str] = set()
        for name in ("plug", "unplug", "readdress"):
            monkeypatch.setattr(cloud.vpc, name, self._recorder(name))
        monkeypatch.setattr(Host, "pids", lambda host: [1] if host.name in self.on else [])
        monkeypatch.setattr(Host, "boot", lambda host, _image, _topology: self._boot(host))
        monkeypatch.setattr(Host, "kill", self._killer())
        monkeypatch.setattr(Host, "shut_down", lambda host, _seconds: self.done.append(("shut down", host.name)))

    def _recorder(self, name: str) -> Any:
        return lambda _identity, *arguments: self.done.append((name, *arguments))

    def _boot(self, host: Host) -> None:
        self.done.append(("boot", host.name))
        self.on.add(host.name)

    def _killer(self) -> Callable[[Host], None]:
        def kill(host: Host) -> None:
            self.done.append(("kill", host.name))
            self.on.discard(host.name)

        return kill


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Wires:
    return Wires(monkeypatch)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("HYBRIDK8S_CACHE", str(tmp_path / "cache"))
    identity = Identity(tmp_path)
    state = State(identity)
    topology = topology_of(parse(hybrid()))
    for machine in topology.machines:
        host_key(state, machine)
    return Lab(identity, state, tmp_path / "inventory", (), topology)


@pytest.fixture
def machines(lab: Lab, wires: Wires) -> LabMachines:
    return LabMachines(lab, Path("/image"))


def test_a_machine_boots_with_all_its_interfaces_and_is_known(machines: LabMachines, lab: Lab, wires: Wires) -> None:
    machines.boot(ONE)
    assert wires.done == [("boot", "online-1"), ("plug", "online-1", PRIMARY), ("plug", "online-1", SECOND)]
    assert str(lab.machine("online-1").address) == "172.20.1.1"
    assert "\nonline-1 ssh-ed25519 " in known_hosts(lab.state).read_text()
    assert "tor1,10.20.1.1 ssh-ed25519 " in known_hosts(lab.state).read_text()


def test_a_machine_that_runs_is_not_booted_again(machines: LabMachines, wires: Wires) -> None:
    machines.boot(ONE)
    wires.done.clear()
    machines.boot(ONE)
    assert [step[0] for step in wires.done] == ["plug", "plug"]


@pytest.mark.parametrize(("force", "steps"), [(False, ["shut down", "kill"]), (True, ["kill"])])
def test_a_machine_is_asked_to_stop_unless_that_is_forced(
    machines: LabMachines, wires: Wires, force: bool, steps: list[str]
) -> None:
    machines.boot(ONE)
    wires.done.clear()
    machines.stop(ONE, force=force)
    assert [step[0] for step in wires.done] == steps


def test_nothing_is_left_of_a_machine_that_is_deleted(machines: LabMachines, lab: Lab, wires: Wires) -> None:
    machines.boot(ONE)
    machines.delete(ONE)
    assert [step[0] for step in wires.done[-3:]] == ["kill", "readdress", "readdress"]
    assert not lab.state.host("online-1").exists()
    assert "online-1" not in known_hosts(lab.state).read_text()
    assert [each.name for each in lab.machines()] == [each.name for each in lab.topology.machines]
    machines.delete(ONE)


def test_a_name_belongs_to_one_instance(machines: LabMachines, lab: Lab) -> None:
    machines.boot(ONE)
    with pytest.raises(LabError, match="online-1 is that of i-1 already, i-2 cannot have it"):
        machines.boot(replace(ONE, id="i-2"))
    machines.delete(replace(ONE, id="i-2"))
    assert lab.state.host("online-1").exists()
    with pytest.raises(LabError, match="w1 is a host of the inventory"):
        machines.boot(replace(ONE, id="i-3", name="w1"))


def test_an_interface_of_a_machine_that_is_off_is_plugged_when_it_boots(machines: LabMachines, wires: Wires) -> None:
    machines.plug(ONE, SECOND)
    assert wires.done == []
    machines.boot(ONE)
    machines.plug(ONE, SECOND)
    assert wires.done[-1] == ("plug", "online-1", SECOND)
