# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._tls import Seen, Server, judge, shake_hands

from tests.fakecloud.certificates import self_signed


@contextmanager
def serving(context: ssl.SSLContext | None) -> Iterator[int]:
    """A server on loopback that greets, and ends the connection: over TLS, or without a context in plain words."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    if context is None:
                        connection.sendall(b"220 hello\r\n")
                        connection.recv(1024)
                    else:
                        context.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate for localhost; the certificate alone lies beside."""
    return self_signed(tmp_path_factory.mktemp("keys"))


def of(keys: Path, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys)
    if newest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    return context


def authority(keys: Path) -> str:
    return (keys.parent / "certificate.pem").read_text()


def codes(server: Server, seen: Seen, must_verify: bool = True) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in judge(server, seen, "a1", must_verify)]


@pytest.mark.parametrize(
    ("newest", "version"), [(ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")]
)
def test_a_server_that_proves_who_it_is(keys: Path, newest: ssl.TLSVersion, version: str) -> None:
    with serving(of(keys, newest)) as port:
        server = Server("127.0.0.1", port, "localhost", authority(keys))
        seen = shake_hands(server, 5)
    assert (seen.version, codes(server, seen)) == (version, [])
    assert 0 < seen.seconds < 5


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_old_tls_is_refused(keys: Path) -> None:
    with serving(of(keys, ssl.TLSVersion.TLSv1_1)) as port:
        server = Server("127.0.0.1", port, "localhost", authority(keys))
        seen = shake_hands(server, 5)
    assert seen.version == ""
    assert codes(server, seen) == [("TL602-no-tls", "error")]


def test_who_speaks_plainly_is_refused(keys: Path) -> None:
    with serving(None) as port:
        server = Server("127.0.0.1", port, "localhost", authority(keys))
        assert codes(server, shake_hands(server, 5)) == [("TL602-no-tls", "error")]


def test_an_authority_that_did_not_sign_is_found(keys: Path) -> None:
    with serving(of(keys)) as port:
        server = Server("localhost", port)
        seen = shake_hands(server, 5)
    assert seen.version == "TLSv1.3", "what else there is to say is said"
    assert codes(server, seen) == [("TL603-unverified", "error")]
    assert codes(server, seen, must_verify=False) == [("TL603-unverified", "warning")]
    assert "self-signed" in seen.unverified


def test_another_s_name_is_found(keys: Path) -> None:
    with serving(of(keys)) as port:
        seen = shake_hands(Server("127.0.0.1", port, "ack.example", authority(keys)), 5)
    assert "ack.example" in seen.unverified


@pytest.mark.parametrize("text", ["/etc/ssl/ack.pem", "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_is_none_is_found(text: str) -> None:
    seen = shake_hands(Server("127.0.0.1", 9, authority=text), 5)
    assert "is no certificate" in seen.unverified


def test_nobody_there_is_found_with_what_to_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = Server("127.0.0.1", port)
    (finding,) = judge(server, shake_hands(server, 5), "a1")
    assert (finding.code, finding.host) == ("TL601-unreachable", "a1")
    assert "refused" in finding.message
    assert f"TCP port {port}" in finding.remedy
