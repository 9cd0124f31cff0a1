"""An HTTPS proxy in front of a test's API server that misbehaves by rule, and keeps a log of what passed.

    with FaultyProxy(plane, rule) as proxy:
        proxy.kubeconfig           # the administrator's, with the proxy as server

`rule` gets each Request before it is forwarded and returns a Fault, or None to let it pass. It may itself change things
in the cluster to win a race; rules to choose from are in `faults`. The proxy speaks to the API server as administrator.
Watches are passed on event by event; `cut_watches` ends those that are open.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import urllib3

from tests.integration.control_plane import ControlPlane


@dataclass(frozen=True)
class Request:
    """A request as the proxy sees it; `number` counts all of them from 1."""

    number: int
    method: str
    path: str
    body: bytes
    authorization: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Fault:
    """What happens instead: an answer of `status`, after `delay` seconds, or a cut connection when it is 0.

    With `forwarded` the request reaches the API server all the same; only its answer is lost.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "injected"
    delay: float = 0.0
    forwarded: bool = False


Rule = Callable[[Request], "Fault | None"]


class FaultyProxy:
    """The proxy; `log` holds (method, path, status) of all requests, status 0 for those that were cut."""

    def __init__(self, plane: ControlPlane, directory: Path, rule: Rule = lambda _request: None) -> None:
        self.rule = rule
        self.log: list[tuple[str, str, int]] = []
        self._lock = threading.Lock()
        self._number = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = _server_context(plane, directory).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.server = f"https://127.0.0.1:{self._server.server_address[1]}"
        self.kubeconfig = plane.kubeconfig_for("admin", ("system:masters",), server=self.server)
        self._target = plane.server
        self._pool = urllib3.PoolManager(ssl_context=_client_context(plane, directory), maxsize=32)
        self._watches: list[socket.socket] = []
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        with self._lock:
            self._number += 1
            number = self._number
        body = handler.rfile.read(length)
        request = Request(number, handler.command, handler.path, body, handler.headers.get("Authorization", ""))
        fault = self.rule(request)
        if fault is None and "watch=" in request.path:
            self._stream(handler, request)
            return
        if fault is None or fault.forwarded:
            answer = self._forward(handler, request)
            if fault is None:
                kept = {key: answer.headers[key] for key in ("Content-Type", "Retry-After") if key in answer.headers}
                self._answer(handler, answer.status, kept, answer.data)
                return
        time.sleep(fault.delay)
        self.log.append((request.method, request.path, fault.status))
        if not fault.status:
            handler.close_connection = True
            return
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": fault.message}
        self._send(
            handler, fault.status, {"Content-Type": "application/json", **fault.headers}, json.dumps(status).encode()
        )

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until nothing is on its way to the API server, as after a client has died."""
        deadline = time.monotonic() + seconds
        while len(self.log) < self._number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._number - len(self.log)} requests are still under way")
            time.sleep(0.05)

    def cut_watches(self) -> None:
        """Cut every watch that is open now."""
        while self._watches:
            with contextlib.suppress(OSError):
                self._watches.pop().shutdown(socket.SHUT_RDWR)

    def _forward(self, handler: BaseHTTPRequestHandler, request: Request, **options: Any) -> Any:
        headers = {
            key: value for key, value in handler.headers.items() if key in ("Accept", "Content-Type", "User-Agent")
        }
        url = self._target + request.path
        return self._pool.request(
            request.method, url, body=request.body or None, headers=headers, retries=False, **options
        )

    def _stream(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        answer = self._forward(handler, request, preload_content=False)
        self.log.append((handler.command, handler.path, answer.status))
        handler.close_connection = True
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        handler.send_header("Connection", "close")
        handler.end_headers()
        self._watches.append(handler.connection)
        with contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
            while part := answer.read1():
                handler.wfile.write(part)
        answer.close()

    def _answer(self, handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.log.append((handler.command, handler.path, status))
        self._send(handler, status, headers, body)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes) -> None:
        handler.send_response(status)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def _handler(proxy: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            proxy.handle(self)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _any

        def log_message(self, *_arguments: object) -> None:
            return None

    return Handler


def _server_context(plane: ControlPlane, directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, directory / "proxy", *plane.authority.issue("proxy", hosts=("127.0.0.1", "api.test.internal")))
    return context


def _client_context(plane: ControlPlane, directory: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=plane.authority.pem.decode())
    _load(context, directory / "proxy-client", *plane.authority.issue("admin", ("system:masters",)))
    return context


def _load(context: ssl.SSLContext, path: Path, certificate: bytes, key: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(certificate + key)
    context.load_cert_chain(path)
