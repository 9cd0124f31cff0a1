# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which variables hold a secret in clear text, and where a value was written; private to this collection.

A value counts as protected when it is vaulted (by itself or with its whole file) or a template, which looks it up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible.parsing.vault import EncryptedString
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import ClearSecret

_SECRET_NAME = re.compile(
    r"(^|_)(password|passwd|passphrase|pass|secret|token|api_?key|private_key|access_key|secret_key|access_key_secret)$"
)
_VAULT_HEADER = "$ANSIBLE_VAULT;"
# What Ansible adds to every host's variables, and what hosts report about themselves.
_NOT_WRITTEN = frozenset({"groups", "group_names", "hostvars", "vars", "ansible_facts", "ansible_local", "omit"})
_PATH_PART = re.compile(r"[^.\[\]]+")


def clear_secrets(raw: Mapping[str, Mapping[str, Any]], given_to_run: frozenset[str]) -> tuple[ClearSecret, ...]:
    """Every secret in clear among ``raw`` (unrendered variables by host), once where hosts share one value.

    ``given_to_run`` names variables of the command line (AWX hands credentials over that way): not the inventory's.
    """
    holders: dict[tuple[str, int], list[str]] = {}
    for host, variables in raw.items():
        for name, value in variables.items():
            if name in _NOT_WRITTEN or name in given_to_run:
                continue
            for path, secret in _secrets_under(str(name), value):
                holders.setdefault((path, id(secret)), []).append(host)
    return tuple(
        ClearSecret(hosts[0] if len(hosts) == 1 else "", path) for (path, _value), hosts in sorted(holders.items())
    )


def origin(variables: Mapping[str, Any], variable: str) -> str:
    """``file:line`` of what ``variable`` (a name, or a path such as ``estate_racks.r1.as``) was set to, if known."""
    found = ""
    value: Any = variables
    for part in _PATH_PART.findall(variable):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            break
        tag = Origin.get_tag(value)
        if tag is not None and tag.path:
            found = _short(tag.path) + (f":{tag.line_num}" if tag.line_num else "")
    return found


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def is_secret_name(name: str) -> bool:
    """True for names such as ``bgp_password`` or ``accessKeySecret``, not for ``token_ttl`` or ``secret_name``."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    return _SECRET_NAME.search(snake) is not None


def _secrets_under(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets_under(f"{path}.{key}", item)
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, (Mapping, list)):
                yield from _secrets_under(f"{path}[{index}]", item)
        return
    if _looks_secret(path) and _is_clear(value):
        yield path, value


@lru_cache(maxsize=4096)
def _looks_secret(path: str) -> bool:
    return is_secret_name(path.rpartition(".")[2])


def _is_clear(value: Any) -> bool:
    if isinstance(value, (EncryptedString, bool)) or not isinstance(value, (str, int)):
        return False
    text = str(value)
    if not text or text.startswith(_VAULT_HEADER) or "{{" in text or "{%" in text:
        return False
    tag = Origin.get_tag(value)
    return tag is None or not tag.path or not _is_vaulted_file(tag.path)


@lru_cache(maxsize=1024)
def _is_vaulted_file(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(len(_VAULT_HEADER)) == _VAULT_HEADER
    except OSError:
        return False
