# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The few questions that a host asks the Kubernetes API with its own kubeconfig; private to this collection.

Standard library only. It reads the kubeconfigs that kubeadm and the kubelet write, no others: their form is fixed
(sigs.k8s.io/yaml, one cluster, one user), so that the few values are found without a YAML parser.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the API said: an HTTP status and a JSON body, or an ``error`` when it did not answer at all."""

    status: int = 0
    body: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def answered(self) -> bool:
        """Whether the API itself answered, whatever it said."""
        return self.status != 0

    def forbids(self) -> bool:
        """Whether the API knows who asks and says that they may not."""
        return self.status == 403 and self.body.get("reason") == "Forbidden"

    def denies(self, resource: str, name: str) -> bool:
        """Whether the API says positively that the object is not there (a proxy's 404 is no such word)."""
        details = self.body.get("details") or {}
        return (
            self.status == 404
            and self.body.get("reason") == "NotFound"
            and details.get("name") == name
            and details.get("kind") == resource
        )


@dataclass(frozen=True)
class Kubeconfig:
    """Server, CA (PEM) and credentials: PEM texts, or a path of the client certificate with its key, or a token."""

    server: str
    ca: str
    client_pem: str = ""
    client_path: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Kubeconfig(server={self.server!r})"


def parse_kubeconfig(text: str) -> Kubeconfig:
    """Raises ValueError when it has no server or CA."""
    server = _value(text, "server")
    ca = _decoded(text, "certificate-authority-data")
    if not server or not ca:
        raise ValueError("no server or no certificate-authority-data in it")
    return Kubeconfig(
        server=server,
        ca=ca,
        client_pem=_decoded(text, "client-certificate-data") + _decoded(text, "client-key-data"),
        client_path=_value(text, "client-certificate"),
    )


def request(
    kubeconfig: Kubeconfig,
    method: str,
    path: str,
    timeout: float = 5.0,
    address: tuple[str, int] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Answer:
    """One request, with ``body`` as JSON; never raises for what the network or the server does.

    ``address`` is connected to instead of the server's (a local API server behind the cluster's endpoint); TLS is
    verified against the kubeconfig's CA and the server's name either way. Proxies of the environment are not used.
    """
    url = urllib.parse.urlsplit(kubeconfig.server)
    host, port = url.hostname or "", url.port or 443
    try:
        context = ssl.create_default_context(cadata=kubeconfig.ca)
        with _client_certificate(kubeconfig) as certificate:
            if certificate:
                context.load_cert_chain(certificate)
        connection = _Connection(host, port, context, timeout, address)
    except (OSError, ValueError) as error:
        return Answer(error=f"the kubeconfig's certificates cannot be used: {error}")
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, path, content, _headers(kubeconfig))
        response = connection.getresponse()
        return Answer(status=response.status, body=_json(response.read()))
    except (OSError, http.client.HTTPException) as error:
        return Answer(error=f"{kubeconfig.server}: {str(error) or type(error).__name__}")
    finally:
        connection.close()


def _headers(kubeconfig: Kubeconfig) -> dict[str, str]:
    bearer = {"Authorization": f"Bearer {kubeconfig.token}"} if kubeconfig.token else {}
    return {"Accept": "application/json", **bearer}


class _Connection(http.client.HTTPSConnection):
    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, timeout: float, address: tuple[str, int] | None
    ) -> None:
        super().__init__(host, port, context=context, timeout=timeout)
        self._address = address or (host, port)
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection(self._address, self.timeout)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except (OSError, ValueError):
            plain.close()
            raise


@contextlib.contextmanager
def _client_certificate(kubeconfig: Kubeconfig) -> Iterator[str]:
    """A path that holds certificate and key: OpenSSL reads files only, and a key must not lie on a disk."""
    if kubeconfig.client_path or not kubeconfig.client_pem:
        yield kubeconfig.client_path
        return
    descriptor = os.memfd_create("client")
    try:
        os.write(descriptor, kubeconfig.client_pem.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _value(text: str, key: str) -> str:
    found = re.search(rf'^[\s"-]*{re.escape(key)}"?:[ ]*"?([^\s",]+)', text, re.MULTILINE)
    return found.group(1) if found else ""


def _decoded(text: str, key: str) -> str:
    try:
        return base64.b64decode(_value(text, key), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _json(raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
