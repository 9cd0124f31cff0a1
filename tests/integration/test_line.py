"""The limit of the dedicated line with real traffic control, in namespaces of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _host_units, _line_agent, _tc
from ansible_collections.hybridk8s.estate.plugins.module_utils._egress_limit import LIBRARY, UNIT, configuration
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, Ran
from ansible_collections.hybridk8s.estate.plugins.module_utils._line import measure
from ansible_collections.hybridk8s.estate.plugins.modules import egress_limit

from tests.integration.control_plane import die_with_parent
from tests.integration.line_net import DATA_CENTRE, PEER, LineNet
from tests.integration.module_process import call
from tests.unit.plugins.module_utils.host_fake import FakeUnit, Killed, Machine

LINE_MBIT, LIMIT_MBIT = 100, 60
GREETINGS = 1000  # bytes that IPv6 sends of its own accord over any interface that is up, the limiting one too
OPTIONS: dict[str, Any] = {
    "prefixes": ["10.40.0.0/16"],
    "exempt": [],
    "limit_mbit": LIMIT_MBIT,
    "control_mbit": 10,
    "control": [{"protocol": "tcp", "to_port": 6443}, {"protocol": "icmp"}],
}
AGENT = f"""
import sys
from {_line_agent.__name__} import Agent, CONFIGURATION, Host
Agent(Host(sys.argv[1]), CONFIGURATION).run()
"""


@pytest.fixture(scope="module", autouse=True)
def swept() -> None:
    """These tests need no API server."""


@pytest.fixture(scope="module")
def net() -> Iterator[LineNet]:
    with LineNet() as net:
        net.slow_line(LINE_MBIT)
        yield net


@pytest.fixture
def vm(net: LineNet, tmp_path: Path) -> Iterator[Host]:
    """The VM, both of its interfaces leading out. After a test it is as it was, to the last qdisc."""
    net.plug_pods_way()
    host = net.host("vm", tmp_path)
    before = state(net)
    yield host
    _tc.remove(host)
    assert state(net) == before


def state(net: LineNet) -> str:
    return net.do("vm", "tc", "qdisc", "show") + net.do("vm", "ip", "-br", "link", "show")


def limit_on(host: Host, **changes: Any) -> _tc.Plan:
    return _line_agent.hold(host, {**OPTIONS, **changes})[0]


@contextlib.contextmanager
def load(net: LineNet, *senders: str, to: str = DATA_CENTRE) -> Iterator[None]:
    processes = [net.sending(name, to, 60) for name in senders]
    try:
        time.sleep(1.5)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_one_limit_for_the_host_and_its_pods_and_control_traffic_waits_for_nothing(net: LineNet, vm: Host) -> None:
    with load(net, "vm", "vm", "vm", "vm", "pod", "pod"):
        free, waited = net.rate("dc", "eth0", 3), net.latency("vm", DATA_CENTRE, 2)
    limit_on(vm)
    with load(net, "vm", "vm", "pod"):
        held, quick = net.rate("dc", "eth0", 4), net.latency("vm", DATA_CENTRE, 2)
    print(f"\nline {LINE_MBIT} Mbit/s, limit {LIMIT_MBIT}: {free:.1f} Mbit/s and {waited} without; {held:.1f}, {quick}")
    assert free > LINE_MBIT * 0.9
    assert LIMIT_MBIT * 0.95 <= held <= LIMIT_MBIT * 1.05
    assert waited.median > 20
    assert quick.median < 5


def test_a_pod_on_a_network_interface_of_its_own_is_limited_alone(net: LineNet, vm: Host) -> None:
    limit_on(vm, limit_mbit=30)
    with load(net, "pod"):
        held = net.rate("dc", "eth0", 3)
    print(f"\npod alone, limit 30: {held:.1f} Mbit/s")
    assert 30 * 0.95 <= held <= 30 * 1.05


def test_what_stays_inside_the_vpc_is_not_limited(net: LineNet, vm: Host) -> None:
    limit_on(vm)
    with load(net, "vm", to=PEER):
        rate = net.rate("peer", "eth0", 2)
    print(f"\ninside the VPC, limit {LIMIT_MBIT}: {rate:.0f} Mbit/s")
    assert rate > 10 * LIMIT_MBIT
    assert sum(counters.sent_bytes for counters in _tc.counters(vm).values()) < GREETINGS


def test_an_exempt_network_inside_the_prefixes_is_not_limited(net: LineNet, vm: Host) -> None:
    limit_on(vm, prefixes=["10.40.0.0/16", "172.16.0.0/12"], exempt=["172.20.17.0/24"])
    with load(net, "vm", to=PEER):
        assert net.rate("peer", "eth0", 1) > 10 * LIMIT_MBIT
    with load(net, "vm"):
        assert net.rate("dc", "eth0", 2) < LIMIT_MBIT * 1.05


def test_a_second_run_changes_nothing(vm: Host) -> None:
    assert limit_on(vm).steps
    assert limit_on(vm).steps == ()


def test_a_new_limit_holds_while_traffic_flows(net: LineNet, vm: Host) -> None:
    limit_on(vm)
    with load(net, "vm", "pod"):
        changed = limit_on(vm, limit_mbit=20, control_mbit=5, prefixes=["10.40.0.0/16", "10.50.0.0/16"])
        time.sleep(0.5)
        held = net.rate("dc", "eth0", 3)
    assert {step.target for step in changed.steps} == {
        *("estate-line limit", "estate-line control", "estate-line bulk", "estate-line bulk queue"),
        *("eth0 way to the line", "eth1 way to the line"),
    }
    assert 20 * 0.95 <= held <= 20 * 1.05


@pytest.mark.parametrize(
    ("damage", "repaired"),
    [
        ("tc filter del dev eth1 egress", ["eth1 way to the line"]),
        ("tc qdisc del dev eth0 clsact", ["eth0 clsact", "eth0 way to the line"]),
        ("ip link set estate-line down", ["estate-line"]),
        (
            "tc class change dev estate-line parent 1:1 classid 1:20 htb rate 90mbit ceil 90mbit prio 1",
            ["estate-line bulk"],
        ),
        ("tc filter del dev estate-line parent 1: pref 10", ["estate-line priorities"]),
        ("tc qdisc del dev estate-line parent 1:10", ["estate-line control queue"]),
        (
            "tc filter add dev eth0 egress protocol ip pref 11 u32 match ip dst 10.0.0.0/8 flowid ffff:1",
            ["eth0 way to the line"],
        ),
    ],
)
def test_what_others_take_off_is_found_and_repaired_alone(
    net: LineNet, vm: Host, damage: str, repaired: list[str]
) -> None:
    limit_on(vm)
    net.do("vm", *damage.split())
    assert [step.target for step in limit_on(vm).steps] == repaired
    assert limit_on(vm).steps == ()


def test_an_interface_that_leads_to_the_line_no_longer_is_let_go(net: LineNet, vm: Host) -> None:
    limit_on(vm)
    net.do("vm", "ip", "route", "del", "default", "table", "1001")
    assert [str(step.target) for step in limit_on(vm).steps] == ["eth1 way to the line"]
    assert net.do("vm", "tc", "filter", "show", "dev", "eth1", "egress") == ""


def test_the_filters_of_others_stay(net: LineNet, vm: Host) -> None:
    hooks = (("eth0", "ingress"), ("eth1", "egress"))
    net.do("vm", "tc", "qdisc", "add", "dev", "eth0", "clsact")
    limit_on(vm)
    for hook in hooks:
        theirs = "protocol ip pref 40 u32 match ip dst 192.0.2.0/24 flowid ffff:2"
        net.do("vm", "tc", "filter", "add", "dev", *hook, *theirs.split())
    _tc.remove(vm)
    for name, way in hooks:
        left = _tc.parse_filters(net.do("vm", "tc", "-j", "filter", "show", "dev", name, way))
        assert list(left) == [40]
        net.do("vm", "tc", "qdisc", "del", "dev", name, "clsact")


def test_a_qdisc_that_was_there_before_stays(net: LineNet, vm: Host) -> None:
    net.do("vm", "tc", "qdisc", "add", "dev", "eth0", "clsact")
    limit_on(vm)
    _tc.remove(vm)
    assert [line for line in state(net).splitlines() if "clsact" in line and "eth0" in line]
    net.do("vm", "tc", "qdisc", "del", "dev", "eth0", "clsact")


def test_an_ingress_qdisc_of_others_is_told_before_anything_is_touched(net: LineNet, vm: Host) -> None:
    net.do("vm", "tc", "qdisc", "add", "dev", "eth1", "ingress")
    try:
        with pytest.raises(HostError, match=r"line-ingress.*eth1 has an ingress qdisc.*Remedy") as refused:
            limit_on(vm)
        assert refused.value.applied == ()
        assert "estate-line" not in state(net)
    finally:
        net.do("vm", "tc", "qdisc", "del", "dev", "eth1", "ingress")


def test_usage_is_what_goes_over_the_line(net: LineNet, vm: Host) -> None:
    limit_on(vm)
    with load(net, "vm", "pod"):
        usage = measure(vm, 3.0)
        assert 0.93 <= usage.share <= 1.05
        assert usage.rates["bulk"] > 10 * usage.rates["control"]
    time.sleep(1)
    assert measure(vm, 0.5).share < 0.01


def running_agent(net: LineNet, root: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(
        [*net.enter("vm"), sys.executable, "-c", AGENT, str(root)], env=environment, preexec_fn=die_with_parent
    )


def wait_until(true: Callable[[], bool], seconds: float) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it does not come true"
        time.sleep(0.05)
    return time.monotonic() - began


def test_the_service_holds_the_limit_on_interfaces_that_come_and_repairs_it(
    net: LineNet, vm: Host, tmp_path: Path
) -> None:
    net.do("vm", "ip", "route", "del", "default", "table", "1001")
    file = tmp_path / _line_agent.CONFIGURATION.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_text(configuration({**OPTIONS, "textfile": "/line.prom"}))

    def is_limited(name: str) -> bool:
        return "redirect" in net.do("vm", *f"tc -j filter show dev {name} egress".split())

    agent = running_agent(net, tmp_path)
    try:
        wait_until(lambda: is_limited("eth0"), 20)
        wait_until((tmp_path / "line.prom").exists, 20)
        time.sleep(3)  # it looks once more at what it did itself, and would find by chance what it shall be told
        assert not is_limited("eth1")
        net.plug_pods_way()
        plugged = wait_until(lambda: is_limited("eth1"), 20)
        net.do("vm", "tc", "qdisc", "del", "dev", "eth0", "clsact")
        repaired = wait_until(lambda: is_limited("eth0"), 20)
        net.do("vm", "ip", "link", "del", "estate-line")
        wait_until(lambda: _tc.plan(_tc.parse_limit(OPTIONS), _tc.observe(vm)).steps == (), 20)
        print(f"\nlimited {plugged:.2f} s after the route came, repaired in {repaired:.2f} s")
        text = (tmp_path / "line.prom").read_text()
    finally:
        agent.terminate()
        agent.wait(20)
    assert "estate_line_limit_bits_per_second 60000000\n" in text
    assert not (tmp_path / "line.prom").exists()


class Played(Machine):
    """The VM's files and systemd are played, its network is real. It can be killed before any of its commands."""

    network: Host
    kill_before: int = -1
    count: int = 0

    def run(self, argv: Sequence[str], timeout: float) -> Ran:
        if self.count == self.kill_before:
            raise Killed
        self.count += 1
        return self.network.run(argv, timeout) if argv[0] in ("ip", "tc") else super().run(argv, timeout)


@pytest.fixture
def machine(vm: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    machine = Played(tmp_path, units={UNIT: FakeUnit(load="not-found", file_state="", kind="simple")})
    machine.network = vm
    monkeypatch.setattr(egress_limit, "Host", lambda: machine.host)
    monkeypatch.setattr(_host_units, "SETTLE_SECONDS", 0.0)
    return machine


def test_the_module_checks_makes_keeps_and_takes_off(net: LineNet, machine: Played) -> None:
    before, files = state(net), machine.tree()
    planned = call(egress_limit, OPTIONS, check=True)
    assert planned["changed"]
    assert (state(net), machine.tree()) == (before, files)
    made = call(egress_limit, OPTIONS)
    assert made["steps"] == planned["steps"]
    assert made["interfaces"] == ["eth0", "eth1"]
    assert machine.units[UNIT].active == "active"
    assert call(egress_limit, OPTIONS)["changed"] is False
    assert call(egress_limit, OPTIONS, check=True)["changed"] is False
    slower = call(egress_limit, {**OPTIONS, "limit_mbit": 40}, diff=True)
    assert "30 Mbit/s, up to 40 Mbit/s" in str(slower["diff"])
    assert machine.units[UNIT].starts == 2
    assert call(egress_limit, {"state": "absent"}, check=True)["changed"]
    assert call(egress_limit, {"state": "absent"})["changed"]
    assert machine.units[UNIT].active == "inactive"
    assert state(net) == before
    assert [path for path, (content, _mode) in machine.tree().items() if content] == []
    assert call(egress_limit, {"state": "absent"})["changed"] is False


def test_the_service_that_is_installed_runs(net: LineNet, machine: Played, tmp_path: Path) -> None:
    """Its code is complete, and needs nothing but itself and the standard library, whatever else is installed."""
    call(egress_limit, OPTIONS)
    other = tmp_path / "installed" / "ansible_collections" / "__init__.py"
    other.parent.mkdir(parents=True)
    other.touch()
    command = [sys.executable, "-S", "-m", _line_agent.__name__]
    path = f"{tmp_path}{LIBRARY}{os.pathsep}{tmp_path}/installed"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
    done = subprocess.run([*command, "nonsense"], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == "usage: run | remove\n"


def test_killed_at_any_command_the_next_run_converges(net: LineNet, machine: Played) -> None:
    before = state(net)
    for wanted in (OPTIONS, {"state": "absent"}):
        call(egress_limit, {"state": "absent"} if wanted is OPTIONS else OPTIONS)
        killed = True
        at = 0
        while killed:
            machine.count, machine.kill_before = 0, at
            try:
                call(egress_limit, wanted)
                killed = False
            except Killed:
                machine.kill_before = -1
                call(egress_limit, wanted)
                assert call(egress_limit, wanted)["changed"] is False
                call(egress_limit, {"state": "absent"} if wanted is OPTIONS else OPTIONS)
            at += 1
        machine.kill_before = -1
        print(f"\nkilled at each of {at - 1} commands")
    call(egress_limit, {"state": "absent"})
    assert state(net) == before


def test_a_kernel_that_refuses_leaves_nothing_behind(net: LineNet, machine: Played) -> None:
    before = state(net)
    real = machine.network.run

    def refuse(argv: Sequence[str], timeout: float) -> Ran:
        no = Ran(2, err="Error: TC classifier not found.\nWe have an error talking to the kernel")
        return no if "mirred" in argv else real(argv, timeout)

    machine.network = Host(machine.network.root, refuse)
    failed = call(egress_limit, OPTIONS)
    machine.network = Host(machine.network.root, real)
    assert failed["failed"]
    assert "eth0 way to the line" in failed["msg"]
    assert "cls_u32" in failed["msg"]
    assert state(net) == before
    assert machine.units[UNIT].starts == 0
