"""The lab and the control station, as Python calls.

The inventory is the one that ``LAB_INVENTORY`` names, as for ``./lab`` itself; without it, ``inventories/lab``.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from tests.lab.inventory import Inventory, listing_of, parse

REPOSITORY = Path(__file__).resolve().parents[2]
KUBECONFIG = "/etc/kubernetes/admin.conf"

_T = TypeVar("_T")
_ASKED: ContextVar[str] = ContextVar("asked", default="")
_RECAP_LINE = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+ .*)$", re.MULTILINE)


class DriveError(AssertionError):
    """A command that had to work did not, or a condition that had to come did not."""


@dataclass(frozen=True)
class Run:
    """One finished ``ansible-playbook``: wall ``seconds``, ``cpu_seconds`` of the controller, and ``recap``, which maps
    each host to its counts (ok, changed, failed, ...)."""

    status: int
    output: str
    seconds: float
    cpu_seconds: float
    recap: dict[str, dict[str, int]] = field(default_factory=dict)

    def hosts_with(self, count: str) -> set[str]:
        """The hosts whose count of that name is not zero."""
        return {host for host, counts in self.recap.items() if counts.get(count)}


def command(*arguments: str, stdin: str | None = None, timeout: float = 600, accept: tuple[int, ...] = (0,)) -> str:
    """Run a command in the repository and return its standard output; DriveError for an exit code not accepted."""
    try:
        done = subprocess.run(
            arguments, cwd=REPOSITORY, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DriveError(f"{shlex.join(arguments)}: no end after {timeout:.0f} s") from error
    if done.returncode not in accept:
        raise DriveError(f"{shlex.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def lab(*arguments: str, stdin: str | None = None, timeout: float = 600) -> str:
    """``./lab ARGUMENTS``; its standard output."""
    return command("./lab", *arguments, stdin=stdin, timeout=timeout)


def ssh(host: str, line: str, *, stdin: str | None = None, timeout: float = 120) -> str:
    """Run a shell line on a host of the lab; its standard output."""
    return lab("ssh", host, line, stdin=stdin, timeout=timeout)


def outside(*arguments: str, timeout: float = 30) -> str:
    """Run a command as the client outside of the cluster, behind the fabric."""
    return lab("outside", "--", *arguments, timeout=timeout)


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
    """Run kubectl on the first control plane of the inventory that is powered on, or on the one that is `asking`."""
    line = shlex.join(["kubectl", f"--kubeconfig={KUBECONFIG}", *arguments])
    return ssh(_ASKED.get() or next(iter(booted("control_plane"))), line, stdin=stdin, timeout=timeout)


@contextmanager
def asking(control_plane: str) -> Iterator[None]:
    """kubectl runs on this host, in a lab of two clusters."""
    token = _ASKED.set(control_plane)
    try:
        yield
    finally:
        _ASKED.reset(token)


def objects(kind: str, *arguments: str) -> list[dict[str, Any]]:
    """The objects of a kind, as the API has them."""
    items: list[dict[str, Any]] = json.loads(kubectl("get", kind, "--output=json", *arguments))["items"]
    return items


@cache
def inventory() -> Inventory:
    """The inventory of the lab, read by ansible-inventory once."""
    return parse(listing_of(inventory_path(), REPOSITORY))


def inventory_path() -> Path:
    """Where the inventory of the lab is."""
    return REPOSITORY / os.environ.get("LAB_INVENTORY", "inventories/lab")


def address(host: str) -> str:
    """``ansible_host``: the address of a node or a switch."""
    return str(inventory().variables_of(host)["ansible_host"])


def rack(host: str) -> str:
    """The rack of a host."""
    return str(inventory().variables_of(host)["rack"])


def racks() -> dict[str, dict[str, Any]]:
    """``estate_racks``."""
    return dict(inventory().shared("estate_racks"))


def booted(group: str) -> tuple[str, ...]:
    """The hosts of a group that are powered on, in the inventory's order."""
    hosts = json.loads(command("./lab", "status", "--json", accept=(0, 1)))["hosts"]  # 1: a host has no power
    return tuple(host for host in inventory().hosts_of(group) if hosts[host]["state"] == "running")


def limit() -> str:
    """A ``--limit`` that leaves out the hosts that are powered off, and nothing else."""
    up = booted("all")
    return ":".join(["all", "localhost", *(f"!{host}" for host in inventory().hosts_of("all") if host not in up)])


def playbook_command(name: str, *arguments: str, estate: Path | None = None) -> list[str]:
    """The command that runs a playbook of the collection on the control station; ``estate`` is another inventory."""
    inventory_option = f"--inventory={estate or inventory_path()}"
    return ["./lab", "run", "--", "ansible-playbook", inventory_option, f"hybridk8s.estate.{name}", *arguments]


def playbook(name: str, *arguments: str, estate: Path | None = None, timeout: float = 1800) -> Run:
    """Run a playbook of the collection to its end, whatever that is."""
    started, cpu_before = time.monotonic(), _cpu_of_children()
    done = subprocess.run(
        playbook_command(name, *arguments, estate=estate),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    seconds, cpu_seconds = time.monotonic() - started, _cpu_of_children() - cpu_before
    return Run(done.returncode, done.stdout, seconds, cpu_seconds, recap(done.stdout))


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def recap(output: str) -> dict[str, dict[str, int]]:
    """The counts in the play recap of an ansible-playbook's output, by host."""
    tail = output.rpartition("PLAY RECAP")[2]
    return {
        line["host"]: {name: int(value) for name, value in (pair.split("=") for pair in line["counts"].split())}
        for line in _RECAP_LINE.finditer(tail)
    }


def eventually(check: Callable[[], _T], seconds: float, what: str) -> _T:
    """Ask until ``check`` returns something true, and return that; raise DriveError after ``seconds``."""
    deadline = time.monotonic() + seconds
    last: object = "never asked"
    while time.monotonic() < deadline:
        try:
            answer = check()
        except DriveError as error:
            last = error
        else:
            if answer:
                return answer
            last = answer
        time.sleep(0.5)
    raise DriveError(f"{what}: not within {seconds:.0f} s; last: {last}")
