"""Which kubeconfigs are read here, and which by the kubernetes package. Real ones are read in tests/integration."""

from __future__ import annotations

import base64
import copy
import tempfile
from typing import Any

import pytest
import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeconfig

PEM = base64.b64encode(b"-----BEGIN-----").decode()
KUBEADMS: dict[str, Any] = {
    "current-context": "admin@lab",
    "contexts": [{"name": "admin@lab", "context": {"cluster": "lab", "user": "admin"}}],
    "clusters": [{"name": "lab", "cluster": {"server": "https://api:6443", "certificate-authority-data": PEM}}],
    "users": [{"name": "admin", "user": {"client-certificate-data": PEM, "client-key-data": PEM}}],
}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    monkeypatch.setattr(_kubeconfig, "_by_library", lambda *_arguments: "library")
    monkeypatch.setattr(_kubeconfig, "tls_context", lambda _files: None)
    monkeypatch.setattr(_kubeconfig, "getproxies", dict)

    def read(kubeconfig: Any) -> str:
        access = _kubeconfig.read(kubeconfig, tempfile.mkdtemp(dir=tmp_path))
        return access if isinstance(access, str) else access.server

    return read


def changed(**parts: Any) -> dict[str, Any]:
    config = copy.deepcopy(KUBEADMS)
    for kind, extra in parts.items():
        config[f"{kind}s"][0][kind].update(extra)
    return config


def with_user(**user: Any) -> dict[str, Any]:
    return {**KUBEADMS, "users": [{"name": "admin", "user": user}]}


def test_kubeadms_own_and_one_with_a_token_are_read_here(reader: Any) -> None:
    assert reader(KUBEADMS) == "https://api:6443"
    assert reader(with_user(token="t")) == "https://api:6443"


def test_a_token_becomes_a_header(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(_kubeconfig, "tls_context", lambda _files: None)
    monkeypatch.setattr(_kubeconfig, "getproxies", dict)
    access = _kubeconfig.read(with_user(token="t\n"), str(tmp_path))
    assert access.authorization() == {"authorization": "Bearer t"}


def test_a_file_is_read_as_its_content_is(reader: Any, tmp_path: Any) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(KUBEADMS))
    assert reader(str(file)) == "https://api:6443"
    file.write_text(yaml.safe_dump(with_user(tokenFile="/run/token")))
    assert reader(str(file)) == "library"
    file.write_text("a: [")
    assert reader(str(file)) == "library"


@pytest.mark.parametrize(
    ("kubeconfig", "expected"),
    [
        (KUBEADMS, False),
        ("/etc/kubernetes/admin.conf", True),
        (with_user(token="t"), False),
        (with_user(tokenFile="/run/token"), True),
        (with_user(exec={"command": "login"}), True),
        ({"users": None}, False),
        ({"users": ["nonsense"]}, False),
    ],
)
def test_which_may_have_other_credentials_later(kubeconfig: Any, expected: bool) -> None:
    assert _kubeconfig.may_change(kubeconfig) is expected


@pytest.mark.parametrize(
    "kubeconfig",
    [
        "/nowhere/admin.conf",
        {},
        {**KUBEADMS, "current-context": "other"},
        changed(user={"token": "t"}),
        changed(cluster={"insecure-skip-tls-verify": True}),
        changed(cluster={"proxy-url": "http://proxy"}),
        changed(user={"client-key-data": "no base64"}),
        changed(context={"user": "nobody"}),
    ],
)
def test_any_other_is_the_librarys(reader: Any, kubeconfig: Any) -> None:
    assert reader(kubeconfig) == "library"


def test_a_proxy_is_the_librarys_matter(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kubeconfig, "getproxies", lambda: {"https": "http://proxy"})
    assert reader(KUBEADMS) == "library"
