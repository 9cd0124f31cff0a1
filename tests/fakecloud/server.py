"""The simulated cloud as an HTTP server: every product at one address, told apart by the version that requests name."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakecloud import admin, lifecycle, metadata
from tests.fakecloud.agent import AgentServer
from tests.fakecloud.api import Api, Reply
from tests.fakecloud.cloud import Cloud
from tests.fakecloud.machines import Machines
from tests.fakecloud.signature import Signed
from tests.fakecloud.world import World

TICK_SECONDS = 0.05


class FakeCloud:
    """A running simulated cloud.

    with FakeCloud(directory) as cloud:
        cloud.endpoint             # host:port of every product
        cloud.cloud.faults.add({"action": "ecs:RunInstances", "code": "Throttling.User", "count": 2})

    It listens at the addresses in `also` too, without TLS, and takes `agents` of clusters at an address of their own.
    """

    def __init__(
        self,
        directory: Path,
        world: World | None = None,
        machines: Machines | None = None,
        *,
        address: tuple[str, int] = ("127.0.0.1", 0),
        also: Sequence[tuple[str, int]] = (),
        certificate: Path | None = None,
        agents: tuple[tuple[str, int], Path] | None = None,
    ) -> None:
        self.cloud = Cloud(directory, world, machines)
        self._agents = AgentServer(self.cloud, *agents) if agents else None
        if self._agents:
            self.cloud.change_world({"agent_address": self._agents.endpoint, "agent_authority": self._agents.authority})
        handler = _handler(self.cloud, Api(self.cloud))
        self._servers = [_Server(each, handler) for each in (address, *also)]
        if certificate is not None:
            self._servers[0].serve_tls(certificate)
        self._ended = threading.Event()
        self._threads = [
            *(threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True) for each in self._servers),
            threading.Thread(target=self._tick, daemon=True),
        ]
        host, port = self._servers[0].server_address[:2]
        self.endpoint = f"{host!s}:{port}"

    def __enter__(self) -> FakeCloud:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        self._ended.wait()

    def advance(self, seconds: float) -> None:
        """Let time pass at once, and everything happen that is due by then."""
        with self.cloud.lock:
            self.cloud.shift(seconds)
            lifecycle.tick(self.cloud)

    def close(self) -> None:
        """Stop serving; connections that are kept open end too."""
        self._ended.set()
        for server in (*self._servers, *([self._agents] if self._agents else [])):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()
        for server in self._servers:
            server.cut()
        self.cloud.close()

    def _tick(self) -> None:
        while not self._ended.wait(TICK_SECONDS):
            with self.cloud.lock:
                lifecycle.tick(self.cloud)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def serve_tls(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def cut(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _handler(cloud: Cloud, api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            parts = urlsplit(self.path)
            if parts.path.startswith(admin.PREFIX):
                self._send(admin.answer(cloud, self.command, parts.path, parts.query, body))
                return
            request = self._signed(parts.path, parts.query, body)
            if parts.path.startswith(metadata.PREFIX):
                self._send(api.metadata(request, self.client_address[0]))
                return
            self._send(api.answer(request))

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _any

        def _signed(self, path: str, query: str, body: bytes) -> Signed:
            form = self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
            return Signed(
                method=self.command,
                path=path or "/",
                headers={name.lower(): value for name, value in self.headers.items()},
                query=dict(parse_qsl(query, keep_blank_values=True)),
                form=dict(parse_qsl(body.decode(), keep_blank_values=True)) if form else {},
                body=body,
            )

        def _send(self, reply: Reply) -> None:
            if reply.cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            plain = isinstance(reply.body, str)
            content = (reply.body if plain else json.dumps(reply.body)).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "text/plain" if plain else "application/json;charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self._headers_buffer.append(b"\r\n" + content)  # type: ignore[attr-defined]
            self.flush_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(cloud.now() if timestamp is None else timestamp)

        def log_message(self, *_arguments: object) -> None:
            return None

    return Handler
