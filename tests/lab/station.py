"""The control station: commands in the lab's network namespace, with Ansible set up for the lab's hosts."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab import network
from tests.lab.errors import NotUp
from tests.lab.identity import Identity
from tests.lab.keys import known_hosts, learned_hosts, login_key
from tests.lab.offers import ACCESS_KEY
from tests.lab.state import State
from tests.lab.topology import Machine

LEARNED_HOSTS = "LAB_LEARNED_HOSTS"  # where inventories of the lab tell roles to write host keys down
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")  # out of reach from the lab's namespace


def environment(identity: Identity, state: State, inventory: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command on the control station. Pure, but for making the ssh key where there is none."""
    checkout = identity.checkout
    return {
        **{name: value for name, value in inherited.items() if name.lower() not in PROXIES},
        **ACCESS_KEY,
        "PATH": f"{checkout / '.cache' / 'venv' / 'bin'}:{inherited.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(checkout / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(checkout / ".cache"),
        "ANSIBLE_INVENTORY": str(inventory),
        "ANSIBLE_PRIVATE_KEY_FILE": str(login_key(state)),
        "ANSIBLE_SSH_COMMON_ARGS": shlex.join(_options(state)),
        LEARNED_HOSTS: str(learned_hosts(state)),
        # Another lab may have hosts of the same addresses: it must not find our connections, nor we its.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(control_sockets(identity)),
    }


def control_sockets(identity: Identity) -> Path:
    """Short, because the path of a socket may have 107 characters."""
    return Path("/run") / identity.prefix


def _options(state: State) -> list[str]:
    settings = {
        "UserKnownHostsFile": f"{known_hosts(state)} {learned_hosts(state)}",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "ConnectTimeout": 5,
        # A host whose power was cut says nothing any more; a kept connection to it must not hang for ever.
        "ServerAliveInterval": 5,
        "ServerAliveCountMax": 3,
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def execute(namespace: str, command: Sequence[str], env: Mapping[str, str]) -> None:
    """Become `command` in a namespace: its exit code is ours. NotUp when there is no such namespace."""
    if not network.namespace_exists(namespace):
        raise NotUp("the lab is not up; `./lab up` boots it")
    entry = ["nsenter", f"--net={network.path_of(namespace)}", "--", *command]
    os.execvpe(entry[0], entry, dict(env))


def ssh_command(state: State, machine: Machine, command: Sequence[str]) -> list[str]:
    known_as = ["-o", f"HostKeyAlias={machine.name}"]
    return ["ssh", "-i", str(login_key(state)), *_options(state), *known_as, f"root@{machine.address}", *command]
