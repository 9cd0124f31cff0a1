"""From nothing to a proven estate: build what is missing, boot the lab, run `site`, prove the result, explain it.

``python -m tests.lab.demo`` (`make demo`) works on the inventory that ``LAB_INVENTORY`` names; without it, on
``inventories/lab``. The exit status is 0 when the proof holds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.flows import drive, proof
from tests.lab.progress import say, step
from tests.lab.topology import topology_of

SITE_LOG = drive.REPOSITORY / ".cache" / "demo-site.log"
_HEADLINE = re.compile(r"^(?:PLAY|TASK|RUNNING HANDLER) \[(?P<name>.+)\] \*+$")


@dataclass(frozen=True)
class Evidence:
    """What the proof found; ``problems`` is empty when all is well."""

    nodes: tuple[proof.Node, ...]
    sessions: tuple[proof.Session, ...]
    answers: tuple[proof.Answer, ...]
    problems: tuple[str, ...]


def main() -> int:
    """Run the demo."""
    try:
        with step("build the components"):
            run("./lab", "build")
        with step("boot the lab"):
            run("./lab", "up")
        with step("make the estate (site.yml)"):
            site()
        with step("prove it"):
            evidence = prove()
    except (drive.DriveError, subprocess.CalledProcessError) as error:
        say(f"The demo ends here: {error}")
        return 1
    print("\n".join(summary(evidence, Style(sys.stdout.isatty() and not os.environ.get("NO_COLOR")))))
    return int(bool(evidence.problems))


def run(*command: str) -> None:
    """Run a command whose own progress a person should see."""
    subprocess.run(command, cwd=drive.REPOSITORY, check=True)


def site() -> None:
    """Run `site` on every host that is powered on: the names of its tasks here, everything in a log."""
    command = drive.playbook_command("site", f"--limit={drive.limit()}")
    with SITE_LOG.open("w") as log:
        process = subprocess.Popen(
            command, cwd=drive.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in process.stdout or ():
            log.write(line)
            if (headline := _HEADLINE.match(line)) and "Validating arguments" not in line:
                say(f"  {headline['name'].removeprefix('hybridk8s.estate.')}")
    if process.wait():
        tail = "\n".join(SITE_LOG.read_text().splitlines()[-40:])
        raise drive.DriveError(f"site: exit {process.returncode}; all of it is in {SITE_LOG}\n{tail}")


def prove() -> Evidence:
    """Deploy a web server on each node and ask it from outside; look at nodes, routes and sessions."""
    proof.deploy()
    answers = tuple(sorted((proof.ask(pod) for pod in proof.web_pods()), key=lambda answer: answer.node))
    nodes, sessions = proof.nodes(), proof.sessions()
    return Evidence(nodes, sessions, answers, tuple(problems(nodes, sessions, answers)))


def problems(
    nodes: Sequence[proof.Node], sessions: Sequence[proof.Session], answers: Sequence[proof.Answer]
) -> Iterator[str]:
    """Everything about the estate that is not as its inventory wants it."""
    ready = {node.name for node in nodes if node.ready}
    yield from (
        f"{host} is powered on and not a Ready node" for host in drive.booted("kubernetes") if host not in ready
    )
    yield from (f"{one.on}: session {one.name} is not Established" for one in sessions if not one.established)
    unheard = set(drive.racks()) - {answer.rack for answer in answers}
    yield from (f"no pod in rack {rack} answered the outside" for rack in sorted(unheard))
    for switch in drive.booted("switches"):
        yield from (f"{switch}: block {block}: {what}" for block, what in proof.missing_blocks(switch).items())


@dataclass(frozen=True)
class Style:
    """Rich text for a terminal, plain text for everything else."""

    rich: bool

    def bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self.rich else text

    def good(self, text: str) -> str:
        return f"\033[32m{text}\033[0m" if self.rich else text

    def bad(self, text: str) -> str:
        return f"\033[31m{text}\033[0m" if self.rich else text

    def verdict(self, holds: bool, good: str, bad: str) -> str:
        return self.good(good) if holds else self.bad(bad)


def summary(evidence: Evidence, style: Style) -> Iterator[str]:
    """What a person reads in the end, line by line."""
    name = drive.inventory().shared("estate_name")
    yield ""
    yield style.bold(f"The estate {name!r}") + " " + style.verdict(not evidence.problems, "works", "does not work")
    yield from (style.bad(f"  {problem}") for problem in evidence.problems)
    yield from _section("Nodes", _nodes(evidence.nodes, style), style)
    yield from _section("BGP sessions, each as this end reports it", _sessions(evidence.sessions, style), style)
    yield from _section("Requests from outside of the cluster to pods", _answers(evidence.answers), style)
    yield from _section("Look around", _hints(evidence), style)
    yield from _section("Take it down", ["./lab down"], style)


def _section(title: str, lines: Iterable[str], style: Style) -> Iterator[str]:
    yield ""
    yield style.bold(title)
    yield from (f"  {line}" for line in lines)


def _nodes(nodes: Iterable[proof.Node], style: Style) -> Iterator[str]:
    for node in nodes:
        state = style.verdict(node.ready, "Ready", "NotReady") + ("" if node.schedulable else ", cordoned")
        yield f"{node.name:<12} rack {drive.rack(node.name):<10} {node.address:<16} {node.version:<10} {state}"


def _sessions(sessions: Iterable[proof.Session], style: Style) -> Iterator[str]:
    for session in sessions:
        peer = _peer(session)
        yield f"{session.on:<12} {peer:<28} {style.verdict(session.established, 'Established', 'down')}"


def _peer(session: proof.Session) -> str:
    return f"{_owner(session.peer)} {session.peer}"


def _owner(address: str) -> str:
    """The machine that has the address, on whichever of its legs."""
    machines = topology_of(drive.inventory()).machines
    addresses = {str(own.ip): one.name for one in machines for leg in one.attachment.legs for own in leg.addresses}
    return addresses.get(address, "unknown")


def _answers(answers: Iterable[proof.Answer]) -> Iterator[str]:
    for answer in answers:
        routers = "".join(f" > {_owner(hop)} {hop}" for hop in answer.hops[:-1])
        yield f"rack {answer.rack}: {answer.seen_from}{routers} > pod {answer.address} on {answer.node}: {answer.said}"


def _hints(evidence: Evidence) -> Iterator[str]:
    path = drive.inventory_path().relative_to(drive.REPOSITORY)
    off = [host for host in drive.inventory().hosts_of("workers") if host not in drive.booted("workers")]
    yield "./lab status"
    control_plane = drive.booted("control_plane")[0]
    yield f"./lab ssh {control_plane} kubectl --kubeconfig={drive.KUBECONFIG} get pods -A -o wide"
    for switch in drive.booted("switches")[:1]:
        yield f"./lab ssh {switch} \"vtysh -c 'show bgp ipv4 unicast'\""
    for answer in evidence.answers[-1:]:
        yield f"./lab outside -- curl http://{answer.address}:8080/"
    yield f"./lab run -- ansible-playbook -i {path} hybridk8s.estate.site --check --diff --limit '{drive.limit()}'"
    for host in off[:1]:
        yield f"./lab boot {host} && ./lab run -- ansible-playbook -i {path} hybridk8s.estate.join --limit {host}"


if __name__ == "__main__":
    sys.exit(main())
