# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told to a switch through the resource modules of its platform; private to this collection, pure.

Those modules merge: what is said is set, and nothing else is touched. So what is left to decide here is which
neighbours are ours, which of their attributes may be told now, and which of ours the inventory no longer has.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import (
    Pending,
    Prefix,
    SwitchError,
    Wanted,
    refusal,
)

Entry = dict[str, Any]

# Short, so that it says little of a password, and slow to compute, so that guessing is.
MARK_BYTES = 4
MARK_ROUNDS = 20000
_MARK = re.compile(r"#([0-9a-f]{8})\"?$")


@dataclass(frozen=True)
class Seen:
    """What a switch has: the AS of its BGP, None where it runs none, its neighbours by address as its modules show
    them, and which of them are ours."""

    as_number: int | None
    neighbours: Mapping[str, Mapping[str, Any]]
    ours: Collection[str]


@dataclass(frozen=True)
class Attributes:
    """How a platform's modules call what matters here.

    A change of ``resetting`` resets a session. ``unread`` are those of them that the modules set, but do not show as
    they were set: passwords above all. So that a change of them is seen, ``description`` ends with a mark of them.
    """

    description: str
    resetting: frozenset[str]
    unread: frozenset[str]


@dataclass(frozen=True)
class Told:
    """The neighbours that are told to the switch, those of ours that go, and what is put off."""

    neighbours: tuple[Entry, ...]
    stale: tuple[str, ...]
    pending: tuple[Pending, ...]


def tell(
    wanted: Wanted,
    entries: Mapping[str, Entry],
    seen: Seen,
    attributes: Attributes,
    prune: bool,
    may_reset: Collection[str] | None,
) -> Told:
    """What to tell of the neighbours ``entries``, by address; :class:`SwitchError` for a switch to be left alone."""
    refused = refusal(wanted, seen.as_number, set(seen.neighbours) - set(seen.ours))
    if refused:
        raise SwitchError(refused)
    told: list[Entry] = []
    pending: list[Pending] = []
    for address, entry in entries.items():
        marked = _marked(address, entry, attributes)
        there = seen.neighbours.get(address)
        if there is None:
            told.append(marked)
            continue
        changed = _changed(marked, there, attributes)
        if may_reset is None or address in may_reset:
            left = attributes.unread - changed
        else:
            left = attributes.unread | changed | ({attributes.description} if changed & attributes.unread else set())
            pending += [Pending(address, tuple(sorted(changed)))] if changed else []
        told.append({name: value for name, value in marked.items() if name not in left})
    stale = sorted(set(seen.ours) - set(entries)) if prune else []
    return Told(tuple(told), tuple(stale), tuple(pending))


def _changed(entry: Entry, there: Mapping[str, Any], attributes: Attributes) -> frozenset[str]:
    """The attributes that reset the session when they are told."""
    shown = attributes.resetting - attributes.unread
    found = {name for name in shown & set(entry) if _differs(entry[name], there.get(name))}
    if _mark_in(entry.get(attributes.description)) != _mark_in(there.get(attributes.description)):
        found |= attributes.unread & set(entry)
    return frozenset(found)


def _differs(wanted: Any, there: Any) -> bool:
    """Whether what is there lacks something; modules show numbers as texts, and more than they were told."""
    if isinstance(wanted, Mapping):
        return not isinstance(there, Mapping) or any(_differs(wanted[key], there.get(key)) for key in wanted)
    return str(wanted) != str(there)


def _marked(address: str, entry: Entry, attributes: Attributes) -> Entry:
    unread = {name: entry[name] for name in sorted(attributes.unread & set(entry))}
    if not unread:
        return entry
    secret = json.dumps(unread, sort_keys=True).encode()
    mark = hashlib.pbkdf2_hmac("sha256", secret, address.encode(), MARK_ROUNDS, MARK_BYTES).hex()
    return {**entry, attributes.description: f"{entry.get(attributes.description, '')} #{mark}".strip()}


def _mark_in(description: Any) -> str:
    found = _MARK.search(str(description or ""))
    return found.group(1) if found else ""


def removals(stale: Sequence[str]) -> list[str]:
    """The lines in ``router bgp`` that take neighbours away, on platforms whose modules cannot."""
    return [f"no neighbor {address}" for address in stale]


def in_sequence(prefixes: Collection[Prefix]) -> list[Entry]:
    """The entries of a prefix-list that lets these prefixes through, as most modules take them."""
    if not prefixes:
        return [{"sequence": 5, "action": "deny", "prefix": "0.0.0.0/0", "le": 32}]
    return [
        {"sequence": 5 * n, "action": "permit", "prefix": str(prefix.network), **prefix.bounds}
        for n, prefix in enumerate(prefixes, 1)
    ]
