"""Where the agents of registered clusters connect, over TLS, and a stand-in for the agent.

The words are this project's own: one line of JSON with the cluster and its token, answered by `ok`; then a line now and
then, answered by `ack`. A cluster runs as long as an agent of it is connected. As a program the module is the stand-in,
which keeps the connection: `python agent.py HOST:PORT CLUSTER` with the token on standard input; the server's
certificate is verified by the CA in SSL_CERT_FILE.
"""

from __future__ import annotations

import hmac
import json
import re
import socket
import socketserver
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from tests.fakecloud.cloud import Cloud

HEARTBEAT_SECONDS = 3.0
HANDSHAKE_WITHIN_SECONDS = 10.0
_CERTIFICATES = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


class AgentServer(socketserver.ThreadingTCPServer):
    """Takes agents in; each has a thread."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, cloud: Cloud, address: tuple[str, int], certificate: Path) -> None:
        self.cloud = cloud
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(certificate)
        # Signed by itself, it is what agents verify it by.
        self.authority = "\n".join(_CERTIFICATES.findall(certificate.read_text()))
        self._connected: dict[str, int] = {}
        super().__init__(address, _Connection)
        host, port = self.server_address[:2]
        self.endpoint = f"{host!s}:{port}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def secure(self, connection: socket.socket) -> ssl.SSLSocket:
        connection.settimeout(HANDSHAKE_WITHIN_SECONDS)
        return self._context.wrap_socket(connection, server_side=True)

    def admit(self, greeting: str) -> str | None:
        """The cluster of an agent that says this; None when it has no business here."""
        try:
            said = json.loads(greeting)
            cluster = self.cloud.clusters.get(str(said["cluster"]))
            token = str(said["token"])
        except (ValueError, TypeError, KeyError):
            return None
        if cluster is None or not hmac.compare_digest(cluster.agent_token, token):
            return None
        return cluster.id

    def count(self, cluster: str, change: int) -> None:
        """An agent of the cluster came or went."""
        with self.cloud.lock:
            self._connected[cluster] = self._connected.get(cluster, 0) + change
            known = self.cloud.clusters.get(cluster)
            if known is not None and known.state in ("waiting", "running"):
                known.state = "running" if self._connected[cluster] else "waiting"
                self.cloud.save(known)
                self.cloud.commit()


class _Connection(socketserver.BaseRequestHandler):
    server: AgentServer

    def handle(self) -> None:
        try:
            with self.server.secure(self.request) as connection, connection.makefile() as lines:
                self._serve(connection, lines)
        except OSError:
            return

    def _serve(self, connection: ssl.SSLSocket, lines: TextIO) -> None:
        cluster = self.server.admit(lines.readline())
        if cluster is None:
            connection.sendall(b"refused\n")
            return
        self.server.count(cluster, 1)
        try:
            connection.sendall(b"ok\n")
            connection.settimeout(None)
            for _line in lines:
                connection.sendall(b"ack\n")
        finally:
            self.server.count(cluster, -1)


def connect(address: str, cluster: str, token: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    """An agent's connection. ConnectionRefusedError when the cloud does not want it."""
    host, _colon, port = address.rpartition(":")
    plain = socket.create_connection((host, int(port)), HANDSHAKE_WITHIN_SECONDS)
    connection = context.wrap_socket(plain, server_hostname=host)
    connection.sendall(json.dumps({"cluster": cluster, "token": token}).encode() + b"\n")
    if connection.recv(64) != b"ok\n":
        connection.close()
        raise ConnectionRefusedError(f"{address} does not want an agent of {cluster}")
    return connection


def main(address: str, cluster: str) -> None:
    token = sys.stdin.readline().strip()
    with connect(address, cluster, token, ssl.create_default_context()) as connection:
        while True:
            connection.sendall(b"heartbeat\n")
            if not connection.recv(64):
                raise ConnectionResetError(f"{address} closed the connection")
            time.sleep(HEARTBEAT_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:3])
