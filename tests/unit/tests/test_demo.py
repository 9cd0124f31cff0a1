from __future__ import annotations

from ipaddress import IPv4Interface
from types import SimpleNamespace

import pytest

from tests.flows import drive, proof
from tests.lab import demo
from tests.lab.inventory import Inventory
from tests.lab.topology import Attachment, Leg

HOSTS = {
    "cp1": {"ansible_host": "10.20.1.11", "rack": "r1"},
    "w1": {"ansible_host": "10.20.1.21", "rack": "r1"},
    "w3": {"ansible_host": "10.20.2.21", "rack": "r2"},
    "w5": {"ansible_host": "10.20.2.23", "rack": "r2"},
    "tor1": {"ansible_host": "10.20.1.1"},
}
RACKS = {"r1": {}, "r2": {}}
GROUPS = {
    "all": tuple(HOSTS),
    "kubernetes": ("cp1", "w1", "w3", "w5"),
    "control_plane": ("cp1",),
    "workers": ("w1", "w3", "w5"),
    "switches": ("tor1",),
}
NODES = tuple(proof.Node(name, True, True, "v1.36.3", HOSTS[name]["ansible_host"]) for name in ("cp1", "w1", "w3"))
SESSIONS = (proof.Session("tor1", "10.20.1.21", True), proof.Session("w1", "Node_10_20_1_1", True))
ANSWERS = (
    proof.Answer("r1", "w1", "web-a", "10.21.0.5", "web-a", "10.99.0.2", ("10.99.0.1", "10.20.1.21", "10.21.0.5")),
    proof.Answer("r2", "w3", "web-b", "10.21.7.5", "web-b", "10.99.0.2", ("10.99.0.1", "10.20.2.21", "10.21.7.5")),
)


@pytest.fixture(autouse=True)
def estate(monkeypatch):
    leg = Leg("outside", "eth1", (IPv4Interface("10.99.0.1/16"),))
    legs = {name: Leg("rack", "eth0", (IPv4Interface(f"{own['ansible_host']}/24"),)) for name, own in HOSTS.items()}
    attachments = {name: (one, leg) if name == "tor1" else (one,) for name, one in legs.items()}
    machines = tuple(SimpleNamespace(name=name, attachment=Attachment(own)) for name, own in attachments.items())
    monkeypatch.setattr(demo, "topology_of", lambda _: SimpleNamespace(machines=machines))
    hostvars = {name: {**own, "estate_name": "lab", "estate_racks": RACKS} for name, own in HOSTS.items()}
    monkeypatch.setattr(drive, "inventory", lambda: Inventory(hostvars, GROUPS))
    monkeypatch.setattr(drive, "booted", lambda group: tuple(host for host in GROUPS[group] if host != "w5"))
    monkeypatch.setattr(proof, "missing_blocks", lambda _unused: {})


def text_of(found, rich=False):
    evidence = demo.Evidence(NODES, SESSIONS, ANSWERS, tuple(found))
    return "\n".join(demo.summary(evidence, demo.Style(rich)))


def test_an_estate_without_problems_has_none():
    assert list(demo.problems(NODES, SESSIONS, ANSWERS)) == []


@pytest.mark.parametrize(
    ("nodes", "sessions", "answers", "problem"),
    [
        (NODES[:2], SESSIONS, ANSWERS, "w3 is powered on and not a Ready node"),
        (NODES, (proof.Session("tor1", "10.20.1.21", False),), ANSWERS, "tor1: session 10.20.1.21 is not Established"),
        (NODES, SESSIONS, ANSWERS[:1], "no pod in rack r2 answered the outside"),
    ],
)
def test_each_problem_is_named(nodes, sessions, answers, problem):
    assert list(demo.problems(nodes, sessions, answers)) == [problem]


def test_a_block_that_a_switch_lacks_is_a_problem(monkeypatch):
    monkeypatch.setattr(proof, "missing_blocks", lambda _unused: {"10.21.7.0/26": "owner w3"})

    assert list(demo.problems(NODES, SESSIONS, ANSWERS)) == ["tor1: block 10.21.7.0/26: owner w3"]


def test_the_summary_names_both_ends_and_the_way():
    text = text_of([])

    assert "The estate 'lab' works" in text
    assert "tor1         w1 10.20.1.21" in text
    assert "w1           tor1 10.20.1.1" in text
    assert "rack r2: 10.99.0.2 > tor1 10.99.0.1 > w3 10.20.2.21 > pod 10.21.7.5 on w3: web-b" in text
    assert "./lab boot w5" in text
    assert "\033" not in text


def test_the_summary_of_a_failed_proof_says_why():
    text = text_of(["w3 is gone"], rich=True)

    assert "does not work" in text
    assert "w3 is gone" in text
    assert "\033[31m" in text


def test_the_demo_fails_when_a_step_does(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        demo, "run", lambda *_unused: (_unused for _unused in ()).throw(drive.DriveError("no disk left"))
    )
    monkeypatch.setenv("HYBRIDK8S_CACHE", str(tmp_path))

    assert demo.main() == 1
    assert "no disk left" in capsys.readouterr().err
