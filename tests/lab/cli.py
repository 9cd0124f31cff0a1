"""The lab's commands. Exit codes: 0 done, 1 failed, 2 wrong usage or inventory, 3 the lab is not up; `run`, `outside`
and `ssh` have that of their command."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.lab import build, lab, station
from tests.lab.build import BuildError
from tests.lab.errors import InventoryError, LabError
from tests.lab.identity import Identity
from tests.lab.progress import say, step

CHECKOUT = Path(__file__).resolve().parents[2]
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed) or 0)
    except LabError as error:
        say(f"lab: {error}")
        return error.exit_code
    except BuildError as error:
        say(f"lab: {error}")
        return LabError.exit_code
    except KeyboardInterrupt:
        say("lab: interrupted; `./lab up` goes on from here, `./lab down` removes what there is")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab", description="Boot the hosts and switches of an inventory on this machine."
    )
    parser.add_argument(
        "--inventory",
        default=os.environ.get("LAB_INVENTORY") or str(CHECKOUT / "inventories" / "lab"),
        help="the inventory to boot (default: $LAB_INVENTORY, or inventories/lab)",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    command("build", _build, "build what the lab needs, and is not in the cache")
    up = command("up", _up, "boot the whole lab or the named hosts; repair what is broken; nothing to do is fine")
    up.add_argument("hosts", nargs="*", metavar="HOST", help="default: all but those with lab_boot: false")
    command("down", _down, "remove everything that the lab made, disks included")
    status = command("status", _status, "what runs; exit code 0 only if all that should run does")
    status.add_argument("--json", action="store_true", help="as JSON on standard output")
    _takes_command(command("run", _run, "run a command on the control station: Ansible, kubectl, curl to the mirror"))
    _takes_command(command("outside", _outside, "run a command as the client outside, behind the switches"))
    cloud = command("cloud", _cloud, "ask the simulated cloud: state, billing, requests, fault…; --help tells all")
    cloud.add_argument("command", nargs=argparse.REMAINDER, metavar="VERB")
    line = command("line", _line, "make the line between VPC and data centre slow, with a buffer of 100 ms, each way")
    line.add_argument("mbit", metavar="MBIT", type=int, help="Mbit/s; 0 for as many as this machine can")
    ssh = command("ssh", _ssh, "log in to a host or switch, or run a command there")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    for name, run, text in (
        ("kill", _kill, "cut a machine's power; its disk stays"),
        ("boot", _boot, "switch a machine on"),
        ("cut", _cut, "pull a machine's network cables"),
        ("heal", _heal, "plug a machine's network cables in"),
        ("wipe", _wipe, "switch a machine off and throw its disk away; it boots with a fresh one"),
    ):
        command(name, run, text).add_argument("host", metavar="HOST")
    return parser


def _takes_command(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} [-h] -- CMD [ARG...]"
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")


def _identity() -> Identity:
    return Identity(CHECKOUT)


def _command_of(parsed: argparse.Namespace) -> list[str]:
    command = parsed.command[1:] if parsed.command[:1] == ["--"] else parsed.command
    if not command:
        raise InventoryError("name a command: ./lab run -- CMD")
    return list(command)


def _build(parsed: argparse.Namespace) -> None:
    del parsed
    build.ensure(say)


def _up(parsed: argparse.Namespace) -> None:
    running = lab.up(_identity(), Path(parsed.inventory).resolve(), parsed.hosts)
    _print_table(lab.status(running))


def _down(parsed: argparse.Namespace) -> None:
    del parsed
    with step("taking the lab down"):
        lab.down(_identity())


def _status(parsed: argparse.Namespace) -> int:
    described = lab.status(lab.load(_identity()))
    if parsed.json:
        print(json.dumps(described, indent=1))
    else:
        _print_table(described)
    return 0 if lab.is_whole(described) else 1


def _print_table(described: dict[str, Any]) -> None:
    print(f"lab {described['id']} of {described['inventory']}, network namespace {described['namespace']}")
    rows = [
        (name, host["kind"], host["state"], host["address"], _megabytes(host["memory_bytes"]), host["pid"] or "")
        for name, host in described["hosts"].items()
    ]
    rows += [(n, "service", s["state"], s["address"], "", s["pid"] or "") for n, s in described["services"].items()]
    rows += [(n, "segment", s["state"], s["subnet"], "", s["bridge"]) for n, s in described["segments"].items()]
    header = ("NAME", "KIND", "STATE", "ADDRESS", "MEMORY", "PID/BRIDGE")
    widths = [max(len(str(row[column])) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.0f} MB"


def _run(parsed: argparse.Namespace) -> None:
    loaded = lab.load(_identity())
    env = station.environment(loaded.identity, loaded.state, loaded.inventory, os.environ)
    station.execute(loaded.identity.namespace, _command_of(parsed), env)


def _outside(parsed: argparse.Namespace) -> None:
    loaded = lab.load(_identity())
    if loaded.topology.client is None:
        raise InventoryError("this estate has no outside client: estate_bgp.import names no prefix")
    station.execute(loaded.identity.client_namespace, _command_of(parsed), os.environ)


def _cloud(parsed: argparse.Namespace) -> None:
    loaded = lab.load(_identity())
    cloud = lab.cloud_of(loaded)
    env = station.environment(loaded.identity, loaded.state, loaded.inventory, os.environ)
    command = [sys.executable, "-m", "tests.fakecloud", *(parsed.command or ["--help"])]
    station.execute(
        loaded.identity.namespace,
        command,
        {**env, "PYTHONPATH": str(CHECKOUT), "FAKECLOUD_ENDPOINT": f"{cloud.address}:{cloud.port}"},
    )


def _line(parsed: argparse.Namespace) -> None:
    lab.line(_identity(), parsed.mbit)


def _ssh(parsed: argparse.Namespace) -> None:
    loaded = lab.load(_identity())
    command = parsed.command[1:] if parsed.command[:1] == ["--"] else parsed.command
    login = station.ssh_command(loaded.state, loaded.machine(parsed.host), command)
    station.execute(loaded.identity.namespace, login, os.environ)


def _kill(parsed: argparse.Namespace) -> None:
    lab.kill(_identity(), parsed.host)


def _boot(parsed: argparse.Namespace) -> None:
    lab.boot(_identity(), parsed.host)


def _cut(parsed: argparse.Namespace) -> None:
    lab.cable(_identity(), parsed.host, plugged=False)


def _heal(parsed: argparse.Namespace) -> None:
    lab.cable(_identity(), parsed.host, plugged=True)


def _wipe(parsed: argparse.Namespace) -> None:
    lab.wipe(_identity(), parsed.host)
