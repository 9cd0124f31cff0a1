# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service on each host that holds the limit of the dedicated line; private to this collection.

The kernel tells it of routes, so that an interface which the cloud plugs in has the limit when it gets its first way to
the line, and of traffic control, so that what others take off comes back. What it was not told of it finds at the next
look. It writes the counters for node_exporter beside that.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils import _tc
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, write_atomic

CONFIGURATION = "/etc/hybridk8s/egress_limit.json"
LOCK = "/run/hybridk8s/egress_limit.lock"
LOCK_SECONDS = 300.0
LOOK_SECONDS = 60.0
COUNT_SECONDS = 15.0
SETTLE_SECONDS = 0.1
"""Events come in bundles; one look answers for all of them."""
PAUSE_SECONDS = 1.0

_GROUPS = 0x1 | 0x8 | 0x40  # links, traffic control, IPv4 routes
_HEADER = struct.Struct("=IHHII")
_OBJECT = struct.Struct("=4xi")  # the interface in ifinfomsg and tcmsg
_NEW_ROUTE = 24
_OF_INTERFACES = frozenset({16, 17, 36, 37, 40, 41, 44, 45})  # links, qdiscs, classes, filters: new and gone


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The types and bodies of the netlink messages in what a socket received."""
    while len(data) >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data)[:2]
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def matters(kind: int, body: bytes, interfaces: Iterable[int], longest: int) -> bool:
    """Whether a message may be about the line: a route to no less than a network, or what hangs on ``interfaces``.

    ``longest`` is the length of the longest prefix behind the line; pods come and go with routes longer than that.
    """
    if kind == _NEW_ROUTE:
        return len(body) > 1 and body[1] <= longest
    return kind in _OF_INTERFACES and len(body) >= _OBJECT.size and _OBJECT.unpack_from(body)[0] in interfaces


def metrics(limit: _tc.Limit, counted: Mapping[str, _tc.Counters], interfaces: int) -> str:
    """The counters in the form of a textfile of node_exporter."""
    families = {
        ("sent_bytes_total", "counter", "Bytes sent over the dedicated line."): {
            f'{{class="{name}"}}': counters.sent_bytes for name, counters in counted.items()
        },
        ("dropped_packets_total", "counter", "Packets that did not get onto the dedicated line."): {
            f'{{class="{name}"}}': counters.dropped for name, counters in counted.items()
        },
        ("limit_bits_per_second", "gauge", "What this host may send over the dedicated line."): {
            "": limit.limit_mbit * 10**6
        },
        ("control_bits_per_second", "gauge", "What of it is kept for control traffic."): {
            "": limit.control_mbit * 10**6
        },
        ("interfaces", "gauge", "Interfaces that lead to the dedicated line."): {"": interfaces},
    }
    lines = []
    for (name, kind, told), samples in families.items():
        lines += [f"# HELP estate_line_{name} {told}", f"# TYPE estate_line_{name} {kind}"]
        lines += [f"estate_line_{name}{labels} {value}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


def hold(host: Host, options: Mapping[str, Any]) -> tuple[_tc.Plan, list[str]]:
    """Makes the limit hold. Returns what had to be done and the interfaces that lead to the line."""
    limit = _tc.parse_limit(options)
    facts = _tc.observe(host)
    plan = _tc.plan(limit, facts)
    if any(finding.code != _tc.NO_WAY for finding in plan.findings):
        raise HostError(plan.findings)
    _tc.apply(host, plan.changes)
    return plan, facts.leading_to(limit)


class Agent:
    """Holds the limit that the configuration says, for as long as it runs."""

    def __init__(self, host: Host, configuration: str) -> None:
        self.host = host
        self.configuration = configuration
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, _GROUPS))
        self._socket.setblocking(False)
        self._interfaces: list[str] = []
        self._indexes: frozenset[int] = frozenset()
        self._longest = 32
        self._said = ""
        self._written = ""

    def run(self) -> None:
        """Runs until it is told to end; what it wrote for others to read goes with it."""
        signal.signal(signal.SIGTERM, _end)
        try:
            self._run()
        finally:
            if self._written:
                os.unlink(self.host.at(self._written))

    def _run(self) -> None:
        looked = counted = float("-inf")
        while True:
            now = time.monotonic()
            if now - looked >= LOOK_SECONDS:
                self.look()
                looked = time.monotonic()
            if now - counted >= COUNT_SECONDS:
                self.count()
                counted = time.monotonic()
            if self._wait(min(looked + LOOK_SECONDS, counted + COUNT_SECONDS) - time.monotonic()):
                time.sleep(max(SETTLE_SECONDS, looked + PAUSE_SECONDS - time.monotonic()))
                looked = float("-inf")

    def look(self) -> None:
        """Puts right what is not as it should be, and says so; a failure is told once and tried again."""
        self._drain()
        try:
            with self.host.locked(LOCK, LOCK_SECONDS):
                options = self.host.read_json(self.configuration)
                plan, self._interfaces = hold(self.host, options)
            for step in plan.steps:
                _tell(f"{step.action} {step.target}: {step.why}")
            self._longest = max(network.prefixlen for network in _tc.parse_limit(options).prefixes)
            self._say("\n".join([*map(str, plan.findings), *plan.warnings]))
        except (HostError, KeyError, OSError) as error:
            self._say(str(error) if isinstance(error, HostError) else f"{self.configuration}: {error!r}")
        self._indexes = frozenset(_indexes([_tc.DEVICE, *self._interfaces]))

    def count(self) -> None:
        """Writes the counters where the configuration says."""
        options = self.host.read_json(self.configuration)
        path = options.get("textfile")
        counted = _tc.counters(self.host) if path else {}
        if not path or not counted:
            return
        text = metrics(_tc.parse_limit(options), counted, len(self._interfaces))
        try:
            write_atomic(self.host.at(path), text.encode(), 0o644)
            self._written = path
        except OSError as error:
            self._say(f"{path}: {error}")

    def _wait(self, seconds: float) -> bool:
        """Whether the kernel told something that matters within ``seconds``."""
        ready, _writable, _failed = select.select([self._socket], [], [], max(seconds, 0.0))
        return bool(ready) and self._drain()

    def _drain(self) -> bool:
        found = False
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return found
            except OSError:  # more came than the socket could keep
                found = True
                continue
            found |= any(matters(kind, body, self._indexes, self._longest) for kind, body in messages(data))

    def _say(self, text: str) -> None:
        if text and text != self._said:
            _tell(text)
        self._said = text


def _tell(text: str) -> None:
    """To the journal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _end(_signal: int, _frame: object) -> None:
    raise SystemExit


def _indexes(names: Iterable[str]) -> Iterator[int]:
    for name in names:
        try:
            yield socket.if_nametoindex(name)
        except OSError:
            continue


def main(arguments: Sequence[str]) -> None:
    """``run`` holds the limit; ``remove`` takes it off, for the person at the host."""
    host = Host()
    if list(arguments) == ["remove"]:
        with host.locked(LOCK, LOCK_SECONDS):
            _tc.remove(host)
        return
    if list(arguments) != ["run"]:
        raise SystemExit("usage: run | remove")
    Agent(host, CONFIGURATION).run()


if __name__ == "__main__":
    main(sys.argv[1:])
