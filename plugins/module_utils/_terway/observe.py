# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a VM is looked at; private to this collection, runs on the VM."""

from __future__ import annotations

import json
import os
import platform
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.host import (
    CNI_CONFIGURATIONS,
    CNI_PROGRAMS,
    METADATA,
    POLICY_PORT,
    SOCKET,
    Rule,
    Seen,
)

METADATA_URL = "http://100.100.100.200"
_CONFIGURATION_ENDINGS = (".conf", ".conflist", ".json")
_TOKEN_HEADER = "X-aliyun-ecs-metadata-token"
_TOKEN_SECONDS = "300"
_SECONDS = 5.0


class Metadata:
    """The instance's metadata service, asked as Terway asks: with a token, and past every proxy."""

    def __init__(self, url: str = METADATA_URL) -> None:
        self._url = url.rstrip("/")
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._token = ""
        self.silent: dict[str, str] = {}

    def get(self, path: str) -> str:
        """What it answers; empty, and noted in ``silent``, where it does not."""
        if not self._token:
            lifetime = {f"{_TOKEN_HEADER}-ttl-seconds": _TOKEN_SECONDS}
            self._token = self._ask("PUT", "/latest/api/token", lifetime, "api/token")
        if not self._token:
            return ""
        return self._ask("GET", f"/latest/meta-data/{path}", {_TOKEN_HEADER: self._token}, path)

    def _ask(self, method: str, path: str, headers: Mapping[str, str], name: str) -> str:
        request = urllib.request.Request(self._url + path, headers=dict(headers), method=method)
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                text: str = answer.read().decode(errors="replace").strip()
                return text
        except urllib.error.HTTPError as error:
            self.silent[name] = f"HTTP {error.code}"
        except OSError as error:
            self.silent[name] = str(getattr(error, "reason", error))
        return ""


def observe(host: Host, metadata: Metadata, tables: bool = False) -> Seen:
    """What the VM shows; with ``tables`` its routing rules and the tables that they lead to as well."""
    found = {name: metadata.get(path) for name, path in METADATA.items()}
    silent = dict(metadata.silent)
    # That there is no role is no silence: the service says 404 then.
    roles = tuple(metadata.get("ram/security-credentials/").split()) if not silent else ()
    rules = _rules(host) if tables else ()
    return Seen(
        kernel=platform.release(),
        programs=frozenset(name for directory in CNI_PROGRAMS for name in host.entries(directory)),
        configurations=tuple(n for n in host.entries(CNI_CONFIGURATIONS) if n.endswith(_CONFIGURATION_ENDINGS)),
        metadata=found,
        silent=silent,
        ram_roles=roles,
        default_mac=_default_mac(host),
        listens=_listens(),
        terway_runs=os.path.exists(host.at(SOCKET)),
        rules=rules,
        tables={table: _destinations(host, table) for table in sorted({rule.table for rule in rules})},
    )


def _default_mac(host: Host) -> str:
    devices = [str(route["dev"]) for route in _json(host, "route", "show", "default") if "dev" in route]
    for link in _json(host, "link", "show", "dev", devices[0]) if devices else ():
        return str(link.get("address", "")).lower()
    return ""


def _rules(host: Host) -> tuple[Rule, ...]:
    return tuple(
        Rule(int(rule["priority"]), _side(rule, "src"), _side(rule, "dst"), str(rule.get("table", "")))
        for rule in _json(host, "rule", "show")
    )


def _side(rule: Mapping[str, Any], key: str) -> str:
    given = str(rule.get(key, "all"))
    return "" if given == "all" else given


def _destinations(host: Host, table: str) -> tuple[str, ...]:
    return tuple(str(route.get("dst", "")) for route in _json(host, "route", "show", "table", table))


def _json(host: Host, *arguments: str) -> list[dict[str, Any]]:
    ran = host.run(["ip", "-j", "-4", *arguments], _SECONDS)
    try:
        found = json.loads(ran.out or "[]") if ran.rc == 0 else []
    except ValueError:
        return []
    return [entry for entry in found if isinstance(entry, dict)]


def _listens() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", POLICY_PORT)) == 0
