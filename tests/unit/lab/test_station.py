from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.lab import station
from tests.lab.identity import Identity
from tests.lab.state import State
from tests.lab.topology import Attachment, Machine


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setenv("HYBRIDK8S_CACHE", str(tmp_path / "cache"))
    state = State(Identity(tmp_path / "checkout"))
    state.ssh.mkdir(parents=True)
    for name in ("id_ed25519", "id_ed25519.pub"):
        (state.ssh / name).write_text("key")
    return state


def environment(state: State, **inherited: str) -> dict[str, str]:
    return station.environment(state.identity, state, Path("/inventory"), inherited)


def test_the_virtual_environment_comes_first(state: State) -> None:
    checkout = state.identity.checkout
    found = environment(state, PATH="/usr/bin", LANG="C")
    assert found["PATH"] == f"{checkout}/.cache/venv/bin:/usr/bin"
    assert found["ANSIBLE_CONFIG"] == f"{checkout}/ansible.cfg"
    assert found["ANSIBLE_COLLECTIONS_PATH"] == f"{checkout}/.cache"
    assert found["LANG"] == "C"


def test_ssh_trusts_the_lab_and_nobody_else(state: State) -> None:
    found = environment(state)
    assert found["ANSIBLE_PRIVATE_KEY_FILE"] == str(state.ssh / "id_ed25519")
    known = f"-o 'UserKnownHostsFile={state.ssh}/known_hosts {state.ssh}/learned_hosts'"
    assert known in found["ANSIBLE_SSH_COMMON_ARGS"]
    assert found["LAB_LEARNED_HOSTS"] == f"{state.ssh}/learned_hosts"
    assert "-o StrictHostKeyChecking=yes" in found["ANSIBLE_SSH_COMMON_ARGS"]
    machine = Machine("w1", "host", IPv4Address("10.0.0.1"), Attachment(()))
    assert station.ssh_command(state, machine, ["uptime"])[-4:] == [
        "-o",
        "HostKeyAlias=w1",
        "root@10.0.0.1",
        "uptime",
    ]


def test_proxies_of_the_machine_are_left_behind(state: State) -> None:
    assert not {"http_proxy", "HTTPS_PROXY"} & set(environment(state, http_proxy="x", HTTPS_PROXY="y"))


def test_kept_connections_of_two_labs_are_apart(state: State) -> None:
    other = Identity(Path("/another/checkout"))
    assert station.control_sockets(other) != station.control_sockets(state.identity)
    assert len(str(station.control_sockets(other))) < 40
