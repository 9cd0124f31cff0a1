# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what a switch runs to what is wanted, touching nothing else; private to this collection, runs on the switch."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.lines import family_of, inverse, key_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import (
    FAMILY,
    NEIGHBOUR,
    PEER_GROUP,
    PREFIX_LIST,
    ROUTE_MAP,
    Configuration,
    Part,
    Parts,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.reset import resetting
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import Wanted


def differences(configuration: Configuration, parts: Parts) -> list[tuple[Part | None, Part | None]]:
    """The objects that differ, as (what is there, what is wanted), lists and maps before neighbours."""
    order = [PREFIX_LIST, ROUTE_MAP, PEER_GROUP, NEIGHBOUR]
    keys = sorted({*configuration.parts, *parts}, key=lambda key: (order.index(key[0]), key[1]))
    pairs = [(configuration.parts.get(key), parts.get(key)) for key in keys]
    return [(old, new) for old, new in pairs if not _same(old, new, configuration.default_unicast)]


def _same(old: Part | None, new: Part | None, default_unicast: bool) -> bool:
    if old is None or new is None:
        return old is new
    return set(old.lines) == set(new.lines) and family_of(old, default_unicast) == family_of(new, default_unicast)


def steps_of(configuration: Configuration, wanted: Wanted, parts: Parts) -> list[Step]:
    """One step for each object of ours that differs, and one for ``router bgp`` itself where it is missing."""
    steps = []
    if configuration.as_number is None and parts:
        created = f"router bgp {wanted.as_number}\n"
        steps.append(Step("create", f"router bgp {wanted.as_number}", "the switch runs no BGP yet", "", created))
    for old, new in differences(configuration, parts):
        named = new or old
        if named is None:
            continue
        action = "create" if old is None else "remove" if new is None else "update"
        steps.append(
            Step(
                action,
                f"{named.kind}/{named.name}",
                _reason(old, new, configuration.default_unicast),
                old.text if old else "",
                new.text if new else "",
            )
        )
    return steps


def _reason(old: Part | None, new: Part | None, default_unicast: bool) -> str:
    if new is None:
        return "the inventory no longer has it"
    if old is None:
        return "the inventory has it"
    resets = sorted(resetting(old, new, default_unicast)) if old.kind in (NEIGHBOUR, PEER_GROUP) else []
    if resets:
        sessions = "the session" if old.kind == NEIGHBOUR else "all sessions"
        return f"differs from the inventory; {', '.join(resets)} changes, which resets {sessions}"
    return "differs from the inventory"


def findings(configuration: Configuration, services: Sequence[str]) -> list[str]:
    """What the switch's own settings, which are not ours to change, make of our routes."""
    if not services or configuration.maximum_paths != 1:
        return []
    return [
        f"the switch uses one of the equal paths to services ({', '.join(services)}): its router bgp has maximum-paths "
        "1. Raise that on the switch, if their load shall be spread."
    ]


def commands(configuration: Configuration, wanted: Wanted, parts: Parts) -> list[str]:
    """The configuration lines that turn what the switch runs into ``parts``, touching nothing else.

    Filters are there before the neighbours that use them, and go after them: no session is ever without a policy.
    """
    before: list[str] = []
    inside: list[str] = []
    family: list[str] = []
    leaving: list[str] = []
    joining: list[str] = []
    after: list[str] = []
    for old, new in differences(configuration, parts):
        if new is None and old is not None:
            if old.kind == ROUTE_MAP and _sequence(old) in {_sequence(part) for part in parts.values()}:
                continue  # the entry that replaces it has the same number
            after_or_leaving = leaving if old.kind in (NEIGHBOUR, PEER_GROUP) else after
            after_or_leaving.append(_removal(old))
        elif new is not None and new.kind == PREFIX_LIST:
            stale, missing = _list_changes(old, new)
            before += missing
            after += stale
        elif new is not None and new.kind == ROUTE_MAP:
            stale = [inverse(line) for line in (old.lines if old else ()) if line not in new.lines]
            before += [f"route-map {new.name}", *(f" {line}" for line in (*stale, *new.lines)), "exit"]
        elif new is not None:
            (inside if new.kind == PEER_GROUP else joining).extend(_changes(old.lines if old else (), new.lines))
            family += _changes(old.family if old else (), _needed(old, new, configuration.default_unicast))
    # A group can only go after its members; peers sort before "ESTATE-...".
    router = [*sorted(leaving), *inside, *_in_family(family), *joining]
    if router:
        router = [f"router bgp {configuration.as_number or wanted.as_number}", *(f" {line}" for line in router), "exit"]
    # A route-map goes before the prefix-list it uses.
    return [*before, *router, *sorted(after, key=lambda line: not line.startswith("no route-map"))]


def _removal(part: Part) -> str:
    if part.kind == PREFIX_LIST:
        return f"no ip prefix-list {part.name}"
    if part.kind == ROUTE_MAP:
        return f"no route-map {part.name}"
    return f"no neighbor {part.name}" + (" peer-group" if part.kind == PEER_GROUP else "")


def _sequence(part: Part) -> tuple[str, str]:
    """The route-map and the number of an entry, whatever it does; no route-map has the empty number."""
    words = part.name.split()
    return (words[0], words[-1]) if part.kind == ROUTE_MAP else ("", "")


def _list_changes(old: Part | None, new: Part) -> tuple[list[str], list[str]]:
    there = old.lines if old else ()
    sequences = {line.split()[4] for line in new.lines}
    stale = [inverse(line) for line in there if line.split()[4] not in sequences]
    return stale, [line for line in new.lines if line not in there]


def _changes(old: Sequence[str], new: Sequence[str]) -> list[str]:
    keys = {key_of(line) for line in new}
    stale = [inverse(line) for line in old if key_of(line) not in keys]
    return [*stale, *(line for line in new if line not in old)]


def _needed(old: Part | None, new: Part, default_unicast: bool) -> list[str]:
    """The family lines to load: where FRR activates by itself, only a deactivated group needs the line."""
    activate = f"neighbor {new.name} activate"
    implied = default_unicast and not (old and f"no {activate}" in old.family)
    return [line for line in new.family if not (implied and line == activate)]


def _in_family(lines: Sequence[str]) -> list[str]:
    return [FAMILY, *(f" {line}" for line in lines), "exit-address-family"] if lines else []
