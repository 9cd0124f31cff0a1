# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Ansible's ``hostvars`` to the Estate; private to this collection.

Only the variables that the model reads are templated, and only where they hold a template: 1,000 hosts cost well
under a second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import EncryptedString, VaultSecretsContext
from ansible.template import Templar
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import (
    NODE_GROUPS,
    REFLECTORS_GROUP,
    Estate,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.parse import (
    ESTATE_VARIABLES,
    READ_VARIABLES,
    Unreadable,
    parse,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR
from ansible_collections.hybridk8s.estate.plugins.plugin_utils import _origin
from ansible_collections.hybridk8s.estate.plugins.plugin_utils._secrets import is_secret_name

_STANDS_IN = "vaulted"
_TEMPLATE = re.compile(r"\{[{%#]")


@dataclass(frozen=True)
class Inventory:
    """The variables that the model reads, rendered, by host; the names of the others; and what would not render.

    ``hosts`` holds every variable name of a host (for the search for misspelt ones), but only the values that were
    asked for are rendered. ``raw`` has all of them as the inventory sources gave them.
    """

    hosts: Mapping[str, Mapping[str, Any]]
    raw: Mapping[str, Mapping[str, Any]]
    unreadable: tuple[Unreadable, ...]


def estate_from_hostvars(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], names: Sequence[str] | None = None
) -> Estate:
    """The Estate of an inventory, for filters and actions.

    ``hostvars`` and ``groups`` are Ansible's variables of these names. ``names`` limits the reading to some hosts where
    the answer needs no others: the Estate then has only these, and what depends on all hosts must not be derived of it.
    Raises AnsibleFilterError, naming everything, when the inventory cannot be read.
    """
    unknown = [name for name in names or () if name not in hostvars]
    if unknown:
        raise AnsibleFilterError(f"The inventory has no host {listed(unknown)}.")
    inventory = read_inventory(hostvars, names)
    parsed = parse(inventory.hosts, groups, inventory.unreadable)
    errors = [str(finding) for finding in parsed.findings if finding.severity == ERROR]
    if errors:
        heading = f"The inventory cannot be read ({len(errors)} errors; the playbook hybridk8s.estate.check says more):"
        raise AnsibleFilterError("\n".join([heading, *errors]))
    return parsed.estate


def estate_with_reflectors(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], names: Sequence[str]
) -> Estate:
    """The Estate of the hosts ``names`` and of the route reflectors.

    All nodes are read only where the inventory leaves it to us which of them are reflectors.
    """
    few = sorted({*names, *groups.get(REFLECTORS_GROUP, ())})
    estate = estate_from_hostvars(hostvars, groups, few)
    if estate.bgp is None or not estate.bgp.reflectors_per_rack:
        return estate
    nodes = {name for group in NODE_GROUPS for name in groups.get(group, ())}
    return estate_from_hostvars(hostvars, groups, sorted({*few, *nodes}))


def read_inventory(
    hostvars: Mapping[str, Any],
    names: Sequence[str] | None = None,
    also: Sequence[str] = (),
    needs_vault: bool = True,
) -> Inventory:
    """The variables of the hosts ``names`` (all by default), with those of the model and ``also`` rendered.

    Without ``needs_vault``, where no vault password was given, vaulted secrets inside variables of the estate are left
    closed: something stands in for them.
    """
    closed = not needs_vault and not _has_vault_password()
    raw_of: Callable[[str], Mapping[str, Any]] = getattr(hostvars, "raw_get", hostvars.__getitem__)
    raw: dict[str, Mapping[str, Any]] = {}
    shared: dict[tuple[str, int], Any] = {}
    hosts: dict[str, Mapping[str, Any]] = {}
    unreadable: list[Unreadable] = []
    for name in hostvars if names is None else names:
        try:
            raw[str(name)] = raw_of(name)
        except AnsibleError as error:  # a file of the host's variables that is no YAML, say
            unreadable.append(Unreadable(str(name), "host_vars", f"{_reason(error)} ({_origin.of_error(error)})"))
    for name, variables in raw.items():
        rendered = dict(variables)
        for variable in (*READ_VARIABLES, *also):
            if variable not in variables or not _needs_rendering(variables[variable]):
                continue
            # Variables of group_vars/all are one object for all hosts: rendered once.
            key = (variable, id(variables[variable])) if variable in ESTATE_VARIABLES else None
            if key in shared:
                rendered[variable] = shared[key]
                continue
            try:
                given = variables[variable]
                if closed and variable in ESTATE_VARIABLES:
                    given = _without_secrets(variables, given, hostvars)
                rendered[variable] = _render(variables, given, hostvars)
            except Exception as error:  # a template may raise anything; it is a finding, never a traceback
                rendered[variable] = None
                unreadable.append(Unreadable(name, variable, _reason(error)))
            if key is not None:
                shared[key] = rendered[variable]
        hosts[name] = rendered
    return Inventory(hosts, raw, tuple(unreadable))


def _needs_rendering(value: Any) -> bool:
    if isinstance(value, EncryptedString):
        return True
    if isinstance(value, str):
        return _TEMPLATE.search(value) is not None
    if isinstance(value, Mapping):
        return any(_needs_rendering(key) or _needs_rendering(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return any(_needs_rendering(item) for item in value)
    return False


def _render(variables: Mapping[str, Any], value: Any, hostvars: Mapping[str, Any]) -> Any:
    # Lookups that read files ask the loader where the playbook lies.
    loader = getattr(hostvars, "_loader", None) or DataLoader()
    return Templar(loader=loader, variables={**variables, "hostvars": hostvars}).template(value)


def _has_vault_password() -> bool:
    context = VaultSecretsContext.current(optional=True)
    return bool(context and context.secrets)


def _without_secrets(variables: Mapping[str, Any], value: Any, hostvars: Mapping[str, Any]) -> Any:
    """``value`` with something in the place of the secrets in it that cannot be opened."""
    if not isinstance(value, Mapping):
        return value
    found = {}
    for key, item in value.items():
        found[key] = _without_secrets(variables, item, hostvars)
        if is_secret_name(str(key)) and _needs_rendering(item):
            try:
                _render(variables, item, hostvars)
            except Exception:  # as above; what is wrong beside the missing password is found when it is given
                found[key] = _STANDS_IN
    return found


def _reason(error: Exception) -> str:
    text = error.message if isinstance(error, AnsibleError) else str(error)
    return " ".join(text.split()).rstrip(".")
