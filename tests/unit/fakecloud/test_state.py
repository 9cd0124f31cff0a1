from __future__ import annotations

import ipaddress
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakecloud import world
from tests.fakecloud.cli import main
from tests.fakecloud.machines import Interface, Machine, StateOnly
from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import KEY, Account, a_world
from tests.unit.fakecloud.test_interfaces import attach, create

CHECKOUT = Path(__file__).resolve().parents[3]


def started(directory: Path) -> tuple[subprocess.Popen[str], FakeCloud]:
    """A cloud of its own process, and as much of it as an account needs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakecloud", "serve", str(directory)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    remote = object.__new__(FakeCloud)
    remote.endpoint = process.stdout.readline().strip()
    return process, remote


def test_everything_survives_a_kill(tmp_path: Path) -> None:
    process, remote = started(tmp_path)
    first = Account(remote).run(client_token="t", amount=2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process, remote = started(tmp_path)
    try:
        account = Account(remote)
        assert account.run(client_token="t", amount=2) == first
        assert {each.instance_id for each in account.instances()} <= set(first)
        third = account.run(host_name="third")
        assert third[0] not in first
    finally:
        process.kill()
        process.wait()


def test_the_billing_log_says_from_when_until_when_and_why(account: Account, fake: FakeCloud) -> None:
    made = account.run()
    fake.advance(3600)
    account.delete(*made)
    assert account.instances() == []
    periods = {period.kind: period for period in fake.cloud.periods()}
    assert set(periods) == {"instance", "disk", "eni", "address"}
    instance = periods["instance"]
    assert instance.began_by.startswith("RunInstances ")
    assert instance.began_by.endswith(f" by {KEY['id']}")
    assert instance.ended_by.startswith("DeleteInstances ")
    for period in periods.values():
        assert period.ended is not None
        assert 3600 <= period.ended - period.began < 3700
    assert periods["disk"].ended_by.startswith(f"with {made[0]}: DeleteInstances ")


def test_the_request_log_tells_reads_from_writes_and_hides_secrets(account: Account, fake: FakeCloud) -> None:
    account.instances()
    account.run(user_data="c2VjcmV0")
    entries = [(entry.action, entry.writes, entry.status) for entry in fake.cloud.requests()]
    assert entries == [("DescribeInstances", False, 200), ("RunInstances", True, 200)]
    written = json.dumps([entry.parameters for entry in fake.cloud.requests()])
    assert "c2VjcmV0" not in written
    assert str(KEY["secret"]) not in written


def test_the_verbs(account: Account, fake: FakeCloud, capsys: pytest.CaptureFixture[str]) -> None:
    made = account.run()

    def ask(*arguments: str) -> Any:
        assert main([*arguments, "--endpoint", fake.endpoint]) == 0
        return json.loads(capsys.readouterr().out)

    assert [each["id"] for each in ask("state")["instances"]] == made
    assert ask("requests")[0]["action"] == "RunInstances"
    assert {each["kind"] for each in ask("billing", "open=1")} == {"instance", "disk", "eni", "address"}
    shown = ask("world", 'stock={"cn-shenzhen-d": {"ecs.g7.xlarge": 3}}', 'timings={"pending": 9}')
    assert shown["stock"] == {"cn-shenzhen-d": {"ecs.g7.xlarge": 3}}
    assert shown["timings"]["pending"] == 9
    assert str(KEY["secret"]) not in json.dumps(shown)
    ask("fault", "action=ecs:*", "code=InternalError", "count=1")
    assert [each["status"] for each in ask("faults", "clear=1")] == []
    ask("interrupt", f"instance={made[0]}")
    ask("advance", "seconds=60")
    assert ask("state")["instances"] == []
    ask("reset")
    assert ask("billing") == []


def test_a_verb_that_is_wrong_says_so(fake: FakeCloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", "weather=fine", "--endpoint", fake.endpoint]) == 1
    assert "the world has no weather" in capsys.readouterr().err
    assert main(["state", "--endpoint", "127.0.0.1:1"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_the_example_world_is_whole() -> None:
    made = world.parse({})
    for vswitch in made.vswitches.values():
        assert vswitch.network.subnet_of(ipaddress.IPv4Network(made.vpcs[vswitch.vpc].cidr))
        assert vswitch.zone in made.regions[made.vpcs[vswitch.vpc].region]


class Recorder(StateOnly):
    """Machines that write down what is asked of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def boot(self, machine: Machine) -> None:
        self.calls.append(("boot", machine.name, len(machine.interfaces)))

    def stop(self, machine: Machine, *, force: bool) -> None:
        self.calls.append(("stop", machine.name, force))

    def delete(self, machine: Machine) -> None:
        self.calls.append(("delete", machine.name))

    def plug(self, machine: Machine, interface: Interface) -> None:
        self.calls.append(("plug", machine.name, interface.addresses))


def test_machines_do_what_happens_to_instances(tmp_path: Path) -> None:
    machines = Recorder()
    with FakeCloud(tmp_path / "cloud", a_world(), machines) as fake:
        account = Account(fake)
        made = account.run(host_name="online-1")
        account.instances()
        eni = create(account)
        attach(account, eni.network_interface_id, made[0])
        account.delete(*made)
        account.instances()
    assert machines.calls == [
        ("boot", "online-1", 1),
        ("plug", "online-1", (eni.private_ip_address,)),
        ("delete", "online-1"),
    ]


class Broken(Recorder):
    """Machines that do not boot, each in a thread of its own."""

    immediate = False

    def boot(self, machine: Machine) -> None:
        super().boot(machine)
        raise OSError("no memory left")


def test_an_instance_whose_machine_does_not_boot_says_so_and_can_be_deleted(tmp_path: Path) -> None:
    with FakeCloud(tmp_path / "cloud", a_world(), Broken()) as fake:
        account = Account(fake)
        made = account.run()
        while [each.status for each in account.instances()] != ["Running"]:
            pass
        assert fake.cloud.instances[made[0]].trouble == "OSError: no memory left"
        account.delete(*made)
        while account.instances():
            pass
