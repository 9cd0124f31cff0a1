# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which variables of an inventory hold a secret in clear text; private to this collection.

A value counts as protected when it is vaulted (by itself or with its whole file) or a template, which looks it up.
"""

from __future__ import annotations

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


def clear_secrets(raw: Mapping[str, Mapping[str, Any]], given_to_run: frozenset[str]) -> tuple[ClearSecret, ...]:
    """Every secret in clear among ``raw`` (unrendered variables by host), once where hosts share one value.

    ``given_to_run`` names variables of the command line (AWX hands credentials over that way): not the inventory's.
    """
    holders: dict[tuple[str, int], list[str]] = {}
    # Hosts share the objects that group_vars hold: each is searched once.
    searched: dict[tuple[str, int], list[tuple[str, Any]]] = {}
    for host, variables in raw.items():
        for name, value in variables.items():
            if name in _NOT_WRITTEN or name in given_to_run:
                continue
            key = (str(name), id(value))
            if key not in searched:
                searched[key] = list(_secrets_under(str(name), value))
            for path, secret in searched[key]:
                holders.setdefault((path, id(secret)), []).append(host)
    return tuple(
        ClearSecret(hosts[0] if len(hosts) == 1 else "", path) for (path, _value), hosts in sorted(holders.items())
    )


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
