# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a kubeconfig to a pool of verified connections; private to this collection.

A kubeconfig such as kubeadm's, with authority and client certificate or token inline, is read here. Any other (paths
of keys, plugins, proxies) is the ``kubernetes`` package's, whose import costs more CPU than most modules' own work
(0.4 of 0.6 CPU-s, docs/benchmarks.md).
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies

try:
    import urllib3
    import yaml

    MISSING_LIBRARY = ""
except ImportError as _error:
    MISSING_LIBRARY = str(_error)

_CLUSTER_NEEDS = frozenset({"server", "certificate-authority-data"})
_CLUSTER_KNOWS = _CLUSTER_NEEDS | {"tls-server-name"}
_USER_HAS_CERTIFICATE = frozenset({"client-certificate-data", "client-key-data"})
_USER_HAS_TOKEN = frozenset({"token"})
# What a user has whose credentials are made or kept elsewhere and may be others the next time.
_ELSEWHERE = frozenset({"auth-provider", "client-certificate", "client-key", "exec", "tokenFile"})


class KubeconfigError(ValueError):
    """A kubeconfig that cannot be used; ``remedy`` may be empty."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class Access:
    """What a kubeconfig comes to. ``pool`` makes the connections, verified under ``server_name`` when that is set."""

    server: str
    server_name: str
    pool: Callable[[str, str, int], Any]
    authorization: Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class _Files:
    """Paths of PEM files; empty for what there is none of."""

    authority: str
    certificate: str
    key: str


def read(kubeconfig: str | Mapping[str, Any], private: str) -> Access:
    """The access of a kubeconfig (a path, or its content). ``private`` is a folder for keys, not needed afterwards.

    Raises :class:`KubeconfigError`. Not to be called from several threads at once: the library's loader shares its
    temporary files.
    """
    if MISSING_LIBRARY:
        raise _missing(MISSING_LIBRARY)
    return _inline(kubeconfig, private) or _by_library(kubeconfig, private)


def _inline(kubeconfig: str | Mapping[str, Any], private: str) -> Access | None:
    """None for a kubeconfig that is the library's to read, or to refuse."""
    if getproxies():
        return None
    try:
        content = _content(kubeconfig)
        context = _named(content, "contexts", content["current-context"])["context"]
        cluster = _named(content, "clusters", context["cluster"])["cluster"]
        user = _named(content, "users", context["user"])["user"]
        if not _CLUSTER_NEEDS <= set(cluster) <= _CLUSTER_KNOWS:
            return None
        authority = _file(private, "authority", cluster["certificate-authority-data"])
        if set(user) == _USER_HAS_TOKEN:
            files = _Files(authority, "", "")
            headers = {"authorization": f"Bearer {user['token'].strip()}"}
        elif set(user) == _USER_HAS_CERTIFICATE:
            certificate = _file(private, "certificate", user["client-certificate-data"])
            files = _Files(authority, certificate, _file(private, "key", user["client-key-data"]))
            headers = {}
        else:
            return None
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration, OSError, yaml.YAMLError):
        return None
    tls = tls_context(files)

    def pool(_server: str, server_name: str, size: int) -> Any:
        options: dict[str, Any] = {"server_hostname": server_name} if server_name else {}
        return urllib3.PoolManager(maxsize=size, ssl_context=tls, **options)

    return Access(cluster["server"], cluster.get("tls-server-name", ""), pool, lambda: headers)


def _content(kubeconfig: str | Mapping[str, Any]) -> Any:
    if not isinstance(kubeconfig, str):
        return kubeconfig
    with open(os.path.expanduser(kubeconfig), encoding="utf-8") as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def may_change(kubeconfig: str | Mapping[str, Any]) -> bool:
    """Whether reading it again may give other credentials: it is a file, or names files or a program."""
    if isinstance(kubeconfig, str):
        return True
    users = kubeconfig.get("users") or ()
    return any(_ELSEWHERE & set(user.get("user") or ()) for user in users if isinstance(user, Mapping))


def _named(kubeconfig: Mapping[str, Any], kind: str, name: str) -> Any:
    return next(item for item in kubeconfig[kind] if item["name"] == name)


def _file(private: str, name: str, data: str) -> str:
    path = os.path.join(private, name)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(base64.b64decode(data, validate=True))
    return path


def _by_library(kubeconfig: str | Mapping[str, Any], private: str) -> Access:
    try:
        from kubernetes.client.configuration import Configuration
        from kubernetes.client.rest import RESTClientObject
    except ImportError as error:
        raise _missing(str(error)) from error
    configuration = Configuration()
    _load(kubeconfig, configuration, private)
    if not configuration.verify_ssl:
        raise KubeconfigError(
            "the kubeconfig says insecure-skip-tls-verify.", "Give the cluster's certificate-authority instead."
        )
    files = _Files(configuration.ssl_ca_cert or "", configuration.cert_file or "", configuration.key_file or "")
    tls = tls_context(files)

    def pool(server: str, server_name: str, size: int) -> Any:
        configuration.host, configuration.connection_pool_maxsize = server, size
        configuration.tls_server_name = server_name or None
        made = RESTClientObject(configuration).pool_manager
        # One context for all connections: the files with the keys are gone before the first request.
        for option in ("ca_certs", "cert_file", "key_file", "ca_cert_data"):
            made.connection_pool_kw.pop(option, None)
        made.connection_pool_kw["ssl_context"] = tls
        return made

    def authorization() -> Mapping[str, str]:
        return {setting["key"]: setting["value"] for setting in configuration.auth_settings().values()}

    return Access(configuration.host, configuration.tls_server_name or "", pool, authorization)


def _load(kubeconfig: str | Mapping[str, Any], configuration: Any, private: str) -> None:
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.kube_config import load_kube_config, load_kube_config_from_dict

    options: dict[str, Any] = {"client_configuration": configuration, "temp_file_path": private}
    try:
        if not isinstance(kubeconfig, str):
            load_kube_config_from_dict(dict(kubeconfig), persist_config=False, **options)
            return
        path = os.path.expanduser(kubeconfig)
        if os.path.isfile(path):
            load_kube_config(path, **options)
            return
    except (ConfigException, yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError, OSError) as error:
        raise KubeconfigError(f"the kubeconfig cannot be used: {error}") from error
    raise KubeconfigError(f"there is no kubeconfig at {path}.", "Correct kubeconfig; content is given as a mapping.")


def tls_context(files: _Files) -> ssl.SSLContext:
    """Verifies servers by the authority and shows the client's certificate, where there are any."""
    context: ssl.SSLContext = urllib3.util.ssl_.create_urllib3_context()
    try:
        if files.authority:
            context.load_verify_locations(cafile=files.authority)
        else:
            context.load_default_certs()
        context.verify_mode = ssl.CERT_REQUIRED
        if files.certificate:
            context.load_cert_chain(files.certificate, files.key)
    except (ssl.SSLError, OSError) as error:
        raise KubeconfigError(f"a certificate or key of the kubeconfig cannot be used: {error}") from error
    return context


def _missing(why: str) -> KubeconfigError:
    return KubeconfigError(
        f"the Python library kubernetes is missing on the controller ({why}).",
        "Install it beside ansible-core: pip install kubernetes.",
    )
