"""Who may log in, and who answers: the lab's ssh key and the host keys, made once a lab."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.lab.files import write_atomically
from tests.lab.process import run
from tests.lab.state import State
from tests.lab.topology import Machine
from tests.lab.virtual import is_virtual


def login_key(state: State) -> Path:
    """The private key that every machine of the lab lets root log in with."""
    return _key(state.ssh / "id_ed25519", "lab")


def host_key(state: State, machine: Machine) -> Path:
    return _key(state.ssh / "hosts" / machine.name, machine.name)


def forget(state: State, name: str) -> None:
    """A machine of this name that comes later has another key."""
    for path in (state.ssh / "hosts" / name, state.ssh / "hosts" / f"{name}.pub"):
        path.unlink(missing_ok=True)


def known_hosts(state: State) -> Path:
    return state.ssh / "known_hosts"


def learned_hosts(state: State) -> Path:
    """What the control station learns of machines that come and go."""
    return state.ssh / "learned_hosts"


def write_known_hosts(state: State, machines: Iterable[Machine]) -> None:
    lines = []
    for machine in machines:
        kind, key, _unused = public(host_key(state, machine)).split(" ", 2)
        # The lab itself knows all by their names. What a cloud makes, a control station does not know by its address.
        names = machine.name if is_virtual(state.hosts / machine.name) else f"{machine.name},{machine.address}"
        lines.append(f"{names} {kind} {key}\n")
    write_atomically(known_hosts(state), "".join(lines))


def public(private: Path) -> str:
    return private.with_name(private.name + ".pub").read_text().strip()


def _key(path: Path, comment: str) -> Path:
    if path.exists() and path.with_name(path.name + ".pub").exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
    return path
