"""One end of the traffic probes: ``python3 traffic_probe.py SPEC LOG``, in the network namespace of a pod or a client.

Every 20 ms it sends a datagram, and a frame on a connection that it keeps, to each of its targets; and it answers what
others send. SPEC is JSON: ``name`` of this end, ``targets`` (their addresses by name), and ``ports`` (UDP, TCP) where
they are not the usual ones. At SIGTERM it sends no more, listens on for those that are told later, and writes to LOG
what it sent, what was answered, and what it received.

Standard library only: it runs with the Python of the host, as the images of pods have none.
"""

from __future__ import annotations

import json
import selectors
import signal
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PERIOD = 0.02
DRAIN = 5.0
PORTS = (7901, 7902)
_NAME = struct.Struct("!32s")
_FRAME = struct.Struct("!I")
_DATAGRAM = struct.Struct("!32sI")
_RETRY = 0.2
# In struct tcp_info: tcpi_total_retrans, and tcpi_dsack_dups, those of them that the other end had already.
_TCP_INFO = struct.Struct("=100xI112xI")


class Target:
    """What is sent to one other end. ``sent`` and ``answered`` are times by the machine's monotonic clock."""

    def __init__(self, own: bytes, address: str, ports: tuple[int, int]) -> None:
        self._own = own
        self._tcp_address = (address, ports[1])
        self.sent: dict[str, list[float]] = {"udp": [], "tcp": []}
        self.answered: dict[str, dict[int, float]] = {"udp": {}, "tcp": {}}
        self.resent = 0
        self.broken: list[float] = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setblocking(False)
        self.udp.connect((address, ports[0]))
        self.tcp: socket.socket | None = None
        self._connected = False
        self._tried = 0.0
        self._rest = b""

    def send(self, now: float) -> None:
        number = len(self.sent["udp"])
        self.sent["udp"].append(now)
        with suppress(OSError):
            self.udp.send(_DATAGRAM.pack(self._own, number))
        if not (self._connected or self.sent["tcp"]):
            return  # not connected for the first time yet; later a frame that has no connection is a lost one
        number = len(self.sent["tcp"])
        self.sent["tcp"].append(now)
        if self.tcp and self._connected:
            with suppress(OSError):
                self.tcp.send(_FRAME.pack(number))

    def connect(self, now: float) -> socket.socket | None:
        """A new connection where there is none; None when there is, or when the last try was just now."""
        if self.tcp is not None or now - self._tried < _RETRY:
            return None
        self._tried = now
        self._rest = b""
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setblocking(False)
        self.tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tcp.connect_ex(self._tcp_address)
        return self.tcp

    def opened(self) -> bool:
        """Whether the connection that was being made stands now."""
        assert self.tcp is not None
        if self.tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        self.tcp.send(_NAME.pack(self._own))
        self._connected = True
        return True

    def close(self) -> None:
        assert self.tcp is not None
        self.count_resent()
        if self._connected:
            self.broken.append(time.monotonic())
        self.tcp.close()
        self.tcp, self._connected = None, False

    def count_resent(self) -> None:
        if self.tcp is not None and self._connected:
            self.resent += _resent(self.tcp)

    def heard_udp(self, now: float) -> None:
        with suppress(OSError):
            _own, number = _DATAGRAM.unpack(self.udp.recv(64))
            self.answered["udp"].setdefault(number, now)

    def heard_tcp(self, now: float) -> bool:
        """Note what was answered; False at the connection's end."""
        assert self.tcp is not None
        try:
            data = self.tcp.recv(4096)
        except OSError:
            return False
        self._rest += data
        whole = len(self._rest) // _FRAME.size * _FRAME.size
        for (number,) in _FRAME.iter_unpack(self._rest[:whole]):
            self.answered["tcp"].setdefault(number, now)
        self._rest = self._rest[whole:]
        return bool(data)


def _resent(connection: socket.socket) -> int:
    """How many segments this end of a connection had to send again because they did not arrive."""
    again, needless = _TCP_INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    return max(0, int(again) - int(needless))


class End:
    """This end: a sender to its targets, and a listener for all others."""

    def __init__(self, name: str, targets: dict[str, str], ports: tuple[int, int] = PORTS) -> None:
        own = name.encode()
        self.name = name
        self.targets = {other: Target(own, address, ports) for other, address in targets.items()}
        self.received: dict[str, dict[str, list[int]]] = defaultdict(lambda: {"udp": [], "tcp": []})
        self.resent: dict[str, int] = defaultdict(int)
        self.stopped = 0.0
        self.longest_pause = 0.0
        self._selector = selectors.DefaultSelector()
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("", ports[0]))
        self._datagrams.setblocking(False)
        self._listener = socket.create_server(("", ports[1]))
        self._listener.setblocking(False)
        self._watch(self._datagrams, self._answer_datagram)
        self._watch(self._listener, self._accept)
        for target in self.targets.values():
            self._watch(target.udp, target.heard_udp)

    def _watch(self, what: socket.socket, react: Callable[[float], object], events: int = selectors.EVENT_READ) -> None:
        self._selector.register(what, events, react)

    def run(self) -> None:
        """Send until told to stop, and listen a while longer."""
        began = last = time.monotonic()
        tick = 0
        while not self.stopped or time.monotonic() < self.stopped + DRAIN:
            now = time.monotonic()
            if now >= began + tick * PERIOD:
                tick = int((now - began) / PERIOD) + 1
                if not self.stopped:
                    self.longest_pause = max(self.longest_pause, now - last)
                    last = now
                    self._send(now)
            for key, _events in self._selector.select(max(0.0, began + tick * PERIOD - time.monotonic())):
                key.data(time.monotonic())
        for target in self.targets.values():
            target.count_resent()

    def _send(self, now: float) -> None:
        for target in self.targets.values():
            target.send(now)
            if connection := target.connect(now):
                self._watch(connection, self._opening(target), selectors.EVENT_WRITE)

    def _opening(self, target: Target) -> Callable[[float], None]:
        def react(_now: float) -> None:
            assert target.tcp is not None
            self._selector.unregister(target.tcp)
            if target.opened():
                self._watch(target.tcp, self._hearing(target))
            else:
                target.close()

        return react

    def _hearing(self, target: Target) -> Callable[[float], None]:
        def react(now: float) -> None:
            assert target.tcp is not None
            if not target.heard_tcp(now):
                self._selector.unregister(target.tcp)
                target.close()

        return react

    def _answer_datagram(self, _now: float) -> None:
        with suppress(OSError):
            data, sender = self._datagrams.recvfrom(64)
            name, number = _DATAGRAM.unpack(data)
            self.received[_text(name)]["udp"].append(number)
            self._datagrams.sendto(data, sender)

    def _accept(self, _now: float) -> None:
        with suppress(OSError):
            connection, _sender = self._listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._watch(connection, self._answering(connection))

    def _answering(self, connection: socket.socket) -> Callable[[float], None]:
        waiting = bytearray()
        sender: list[str] = []

        def react(_now: float) -> None:
            try:
                data = connection.recv(4096)
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(connection)
                connection.close()
                return
            waiting.extend(data)
            if not sender and len(waiting) >= _NAME.size:
                sender.append(_text(bytes(waiting[: _NAME.size])))
                del waiting[: _NAME.size]
            whole = len(waiting) // _FRAME.size * _FRAME.size if sender else 0
            if whole:
                frames = bytes(waiting[:whole])
                del waiting[:whole]
                self.received[sender[0]]["tcp"] += [number for (number,) in _FRAME.iter_unpack(frames)]
                with suppress(OSError):
                    connection.send(frames)
                self.resent[sender[0]] = _resent(connection)

        return react

    def log(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "stopped": self.stopped,
            "longest_pause": self.longest_pause,
            "targets": {
                name: {
                    "sent": target.sent,
                    "answered": target.answered,
                    "resent": target.resent,
                    "broken": target.broken,
                }
                for name, target in self.targets.items()
            },
            "received": self.received,
            "resent": self.resent,
        }


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode()


def main(spec: str, log: str) -> None:
    """Probe until SIGTERM, then write the log."""
    described = json.loads(Path(spec).read_text())
    udp, tcp = described.get("ports", PORTS)
    end = End(described["name"], described["targets"], (udp, tcp))

    def stop(_signal: int, _frame: object) -> None:
        end.stopped = end.stopped or time.monotonic()

    signal.signal(signal.SIGTERM, stop)
    end.run()
    Path(log).write_text(json.dumps(end.log()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
