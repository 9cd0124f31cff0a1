# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API client against a real TLS server with its own CA."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_api as api
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer, Kubeconfig


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=cwd)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A CA, a server certificate for api.lab.internal and a client certificate."""
    directory = tmp_path_factory.mktemp("pki")
    (directory / "san").write_text("subjectAltName=DNS:api.lab.internal")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca", cwd=directory)
    for name, extra in (("server", ("-extfile", "san")), ("client", ())):
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", cwd=directory)
        signed = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(*signed, "-out", f"{name}.crt", *extra, cwd=directory)
    return directory


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/garbage":
            return self._say(200, b"not json")
        if self.path == "/list":
            return self._say(200, b"[1]")
        peer = dict(item[0] for item in self.connection.getpeercert().get("subject", ())) if self._peer() else {}
        said = {
            "path": self.path,
            "method": self.command,
            "client": peer.get("commonName", ""),
            "authorization": self.headers.get("Authorization", ""),
        }
        return self._say(404 if self.path == "/missing" else 200, json.dumps(said).encode())

    do_DELETE = do_GET

    def _peer(self):
        return self.connection.getpeercert()

    def _say(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(pki):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.crt", pki / "server.key")
    context.load_verify_locations(pki / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address
    server.shutdown()
    server.server_close()


@pytest.fixture
def access(pki):
    return Kubeconfig("https://api.lab.internal:6443", (pki / "ca.crt").read_text())


def test_an_answer_comes_from_the_address_under_the_servers_name(access, address):
    answer = api.request(access, "GET", "/x", address=address)
    assert (answer.status, answer.body["path"], answer.error) == (200, "/x", "")
    assert answer.answered


def test_the_method_is_passed_on(access, address):
    assert api.request(access, "DELETE", "/x", address=address).body["method"] == "DELETE"


def test_a_client_certificate_from_text_is_shown_and_leaves_no_descriptor(access, address, pki):
    pem = (pki / "client.crt").read_text() + (pki / "client.key").read_text()
    answer = api.request(Kubeconfig(access.server, access.ca, client_pem=pem), "GET", "/x", address=address)
    assert answer.body["client"] == "client"
    assert not any("memfd:client" in opened for opened in _open_files())


def _open_files():
    opened = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the server's threads open and close theirs meanwhile
            opened.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return opened


def test_a_client_certificate_from_a_file_is_shown(access, address, pki):
    (pki / "both.pem").write_text((pki / "client.crt").read_text() + (pki / "client.key").read_text())
    with_file = Kubeconfig(access.server, access.ca, client_path=str(pki / "both.pem"))
    assert api.request(with_file, "GET", "/x", address=address).body["client"] == "client"


def test_a_token_is_sent(access, address):
    answer = api.request(Kubeconfig(access.server, access.ca, token="t.s"), "GET", "/x", address=address)
    assert answer.body["authorization"] == "Bearer t.s"


def test_another_name_is_not_trusted(access, address):
    answer = api.request(Kubeconfig("https://other:6443", access.ca), "GET", "/x", address=address)
    assert not answer.answered
    assert "ertificate" in answer.error


def test_another_ca_is_not_trusted(access, address, pki):
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "other.key", "-out", "other.crt", "-subj", "/CN=other", cwd=pki)
    other = Kubeconfig(access.server, (pki / "other.crt").read_text())
    assert "ertificate" in api.request(other, "GET", "/x", address=address).error


def test_a_closed_port_is_no_answer(access):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        answer = api.request(access, "GET", "/x", address=closed.getsockname())
    assert (answer.status, answer.answered) == (0, False)
    assert "refused" in answer.error


def test_a_server_that_says_nothing_is_no_answer(access):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        answer = api.request(access, "GET", "/x", timeout=0.2, address=silent.getsockname())
    assert "timed out" in answer.error


def test_a_name_that_does_not_resolve_is_no_answer(access):
    answer = api.request(Kubeconfig("https://no-such-name.invalid:1", access.ca), "GET", "/x")
    assert answer.error


@pytest.mark.parametrize("path", ["/garbage", "/list"])
def test_a_body_that_is_no_object_is_empty(access, address, path):
    assert api.request(access, "GET", path, address=address) == Answer(200, {})


@pytest.mark.parametrize("bad", [{"ca": "garbage"}, {"client_path": "/no/such/file"}, {"client_pem": "garbage"}])
def test_unusable_certificates_are_an_error_not_a_traceback(access, bad):
    answer = api.request(Kubeconfig(access.server, **{"ca": access.ca, **bad}), "GET", "/x")
    assert "cannot be used" in answer.error


ADMIN_CONF = """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {ca}
    server: https://api.lab.internal:7443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"""


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_a_kubeconfig_as_kubeadm_writes_it():
    text = ADMIN_CONF.format(ca=encoded("CA\n"), certificate=encoded("CERT\n"), key=encoded("KEY\n"))
    assert api.parse_kubeconfig(text) == Kubeconfig("https://api.lab.internal:7443", "CA\n", "CERT\nKEY\n")


def test_a_kubeconfig_as_the_kubelet_writes_it():
    text = f"""apiVersion: v1
clusters:
- cluster: {{}}
  name: x
- cluster:
    certificate-authority-data: {encoded("CA")}
    server: https://10.20.1.11:6443
users:
- name: default-auth
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
"""
    assert api.parse_kubeconfig(text) == Kubeconfig(
        "https://10.20.1.11:6443", "CA", client_path="/var/lib/kubelet/pki/kubelet-client-current.pem"
    )


def test_a_kubeconfig_in_json():
    text = json.dumps(
        {"clusters": [{"cluster": {"server": "https://x:1", "certificate-authority-data": encoded("CA")}}]}, indent=2
    )
    assert api.parse_kubeconfig(text) == Kubeconfig("https://x:1", "CA")


@pytest.mark.parametrize(
    "text", ["", "garbage", "server: https://x", "server: https://x\ncertificate-authority-data: %"]
)
def test_what_is_no_kubeconfig_is_refused(text):
    with pytest.raises(ValueError, match="no server"):
        api.parse_kubeconfig(text)


def test_credentials_are_not_in_its_representation():
    assert "SECRET" not in repr(Kubeconfig("https://x", "CA", "SECRET", "SECRET", "SECRET"))
