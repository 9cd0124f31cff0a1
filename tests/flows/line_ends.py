"""One end of a measurement over the dedicated line: ``python3 line_ends.py VERB ARGUMENTS``.

    serve ECHO_PORT SINK_PORT        answers at one port, swallows at the other
    send HOST PORT SECONDS [FLOWS]   as much as goes
    ask HOST PORT SECONDS            milliseconds of an answer: median, and the worst of twenty
    request URL CERTIFICATE SECONDS  the same of HTTPS requests on one connection
    count DEVICE WAY SECONDS         Mbit/s that the device received (rx) or sent (tx), a line each half second

Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PERIOD = 0.02
HALF = 0.5


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a request and its answer."""

    median: float
    worst_of_twenty: float

    @classmethod
    def read(cls, text: str) -> Latency:
        """What `ask` and `request` print."""
        return cls(*map(float, text.split()))

    def __str__(self) -> str:
        return f"{self.median:.1f} ms ({self.worst_of_twenty:.1f})"


def serve(echo_port: int, sink_port: int) -> None:
    threading.Thread(target=_listen, args=(echo_port, True), daemon=True).start()
    _listen(sink_port, False)


def _listen(port: int, answers: bool) -> None:
    listener = socket.create_server(("0.0.0.0", port), backlog=64)
    while True:
        threading.Thread(target=_talk, args=(listener.accept()[0], answers), daemon=True).start()


def _talk(connection: socket.socket, answers: bool) -> None:
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(1 << 18):
            if answers:
                connection.sendall(data)


def send(host: str, port: int, seconds: float, flows: int = 1) -> None:
    senders = [threading.Thread(target=_send, args=(host, port, seconds)) for _number in range(flows)]
    for sender in senders:
        sender.start()


def _send(host: str, port: int, seconds: float) -> None:
    with socket.create_connection((host, port), timeout=30) as connection:
        end, block = time.monotonic() + seconds, bytes(1 << 16)
        while time.monotonic() < end:
            connection.sendall(block)


def ask(host: str, port: int, seconds: float) -> None:
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def once() -> None:
            connection.sendall(b"x" * 200)
            connection.recv(1 << 12)

        _time(once, seconds)


def request(url: str, certificate: str, seconds: float) -> None:
    """With a client's certificate, its key in the same file or beside it; the server's is not looked at."""
    place = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    key = Path(certificate).with_suffix(".key")
    context.load_cert_chain(certificate, str(key) if key.exists() else None)
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=30, context=context)

    def once() -> None:
        connection.request("GET", place.path)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{url}: {answer.status}")

    once()
    _time(once, seconds)


def _time(once: Callable[[], None], seconds: float) -> None:
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        once()
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(PERIOD)
    sys.stdout.write(f"{statistics.median(times)} {statistics.quantiles(times, n=20)[-1]}\n")


def count(device: str, way: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    before, began = _bytes(device, way), time.monotonic()
    while began < end:
        time.sleep(HALF)
        after, now = _bytes(device, way), time.monotonic()
        sys.stdout.write(f"{(after - before) * 8 / 1e6 / (now - began)}\n")
        before, began = after, now


def _bytes(device: str, way: str) -> int:
    """Not from /sys, which is that of another network namespace than ours after nsenter."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    counters = next(line for line in lines if line.split(":")[0].strip() == device).split(":")[1].split()
    return int(counters[0 if way == "rx" else 8])


def main(verb: str, *arguments: str) -> None:
    if verb == "serve":
        serve(*map(int, arguments))
    elif verb == "count":
        count(arguments[0], arguments[1], float(arguments[2]))
    elif verb == "request":
        request(arguments[0], arguments[1], float(arguments[2]))
    elif verb == "send":
        send(arguments[0], int(arguments[1]), float(arguments[2]), *map(int, arguments[3:]))
    else:
        ask(arguments[0], int(arguments[1]), float(arguments[2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
