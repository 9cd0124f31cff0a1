"""Which kubeconfigs are read here, and which by the kubernetes package. Real ones are read in tests/integration."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
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
        access = _kubeconfig.read(kubeconfig, str(tmp_path))
        return access if isinstance(access, str) else access.server

    return read


def changed(**parts: Any) -> dict[str, Any]:
    config = copy.deepcopy(KUBEADMS)
    for kind, extra in parts.items():
        config[f"{kind}s"][0][kind].update(extra)
    return config


def test_kubeadms_own_is_read_here(reader: Any) -> None:
    assert reader(KUBEADMS) == "https://api:6443"


@pytest.mark.parametrize(
    "kubeconfig",
    [
        "/etc/kubernetes/admin.conf",
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
