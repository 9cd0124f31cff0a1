# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a server is reached, and speaks TLS of our century with a certificate that can be verified.

Private to this collection; runs on managed hosts.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, WARNING, Finding

OLDEST = ssl.TLSVersion.TLSv1_2


@dataclass(frozen=True)
class Server:
    """Who is asked. Its certificate names ``name`` and is signed by ``authority`` (PEM), or by whom the host trusts."""

    host: str
    port: int
    name: str = ""
    authority: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Seen:
    """What came of a handshake: the protocol's version, or why there was none, and whether the certificate holds."""

    version: str = ""
    seconds: float = 0.0
    unreachable: str = ""
    refused: str = ""
    unverified: str = ""


def shake_hands(server: Server, seconds: float) -> Seen:
    """Greet the server once; where its certificate does not hold, once more to see what else there is to say."""
    try:
        verifying = _context(server.authority)
    except (ssl.SSLError, ValueError) as error:
        return Seen(unverified=f"the authority that it is to be verified by is no certificate ({_reason(error)})")
    first = _greet(server, verifying, seconds)
    if not first.unverified:
        return first
    second = _greet(server, _trusting(), seconds)
    return Seen(second.version, second.seconds, second.unreachable, second.refused, first.unverified)


def judge(server: Server, seen: Seen, host: str, must_verify: bool = True) -> Iterator[Finding]:
    """What is wrong between this host and the server."""
    if seen.unreachable:
        yield Finding(
            "TL601-unreachable",
            ERROR,
            host,
            str(server),
            f"it is not reached: {seen.unreachable}.",
            f"Have TCP port {server.port} opened and the way there and back routed.",
        )
    if seen.refused:
        yield Finding(
            "TL602-no-tls",
            ERROR,
            host,
            str(server),
            f"it does not speak TLS 1.2 or later: {seen.refused}.",
            "Find out who answers there; something between may end connections.",
        )
    if seen.unverified:
        yield Finding(
            "TL603-unverified",
            ERROR if must_verify else WARNING,
            host,
            str(server),
            f"its certificate cannot be verified: {seen.unverified}.",
            "Have the certificate of the authority that signed it, and check that nobody answers in its place.",
        )


def _context(authority: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority or None)
    context.minimum_version = OLDEST
    return context


def _trusting() -> ssl.SSLContext:
    """For a second look at a server that failed to prove who it is: nothing is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = OLDEST
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _greet(server: Server, context: ssl.SSLContext, seconds: float) -> Seen:
    begin = time.monotonic()
    try:
        plain = socket.create_connection((server.host, server.port), seconds)
    except OSError as error:
        return Seen(unreachable=_reason(error))
    with plain:
        try:
            with context.wrap_socket(plain, server_hostname=server.name or server.host) as connection:
                return Seen(connection.version() or "", time.monotonic() - begin)
        except ssl.SSLCertVerificationError as error:
            return Seen(unverified=error.verify_message or _reason(error))
        except OSError as error:  # also what is wrong with TLS
            return Seen(refused=_reason(error))


def _reason(error: Exception) -> str:
    said = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).replace("_", " ").lower()
