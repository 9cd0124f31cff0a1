# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of an estate's BGP as one HTML page that needs nothing else; private to this collection.

Pure. A rack is a box with its switches above, its reflectors below them and its other nodes, in large estates as dots
without names. There lines are drawn only where the ends do not say it already: to switches, and where a session is down
between two that have others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.status import SWITCH, lines
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology
from ansible_collections.hybridk8s.estate.plugins.module_utils._html import WIDTH, document

UP, DOWN, PARTLY, UNKNOWN = "up", "down", "partly", "unknown"
# More lines are a carpet, and more names cannot be read.
MOST_LINES, MOST_NAMES = 120, 60
_NO_RACK = "no rack"
_DOTS_A_ROW, _NAMES_A_ROW = 10, 3
_DOT, _GAP, _MARGIN, _BOX, _LINE = 18, 6, 24, 262, 46

_STYLE = """
svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .small { font-size: 10px; fill: var(--faint); }
svg .rack { fill: var(--box); }
.up { fill: var(--up); stroke: var(--up); } .down { fill: var(--down); stroke: var(--down); }
.partly { fill: var(--partly); stroke: var(--partly); } .unknown { fill: var(--unknown); stroke: var(--unknown); }
line.up { stroke-width: 1; opacity: .45; } line.down { stroke-width: 2.5; } line.unknown { stroke-dasharray: 4 3; }
line:hover { stroke-width: 4; opacity: 1; }
rect.up { fill: color-mix(in srgb, var(--up) 25%, var(--paper)); }
rect.down { fill: color-mix(in srgb, var(--down) 25%, var(--paper)); }
rect.partly { fill: color-mix(in srgb, var(--partly) 25%, var(--paper)); }
rect.unknown { fill: color-mix(in srgb, var(--unknown) 25%, var(--paper)); }
"""


@dataclass(frozen=True)
class _Place:
    """Where something is drawn: the middle, and half of its size."""

    x: float
    y: float
    half_width: float
    half_height: float


@dataclass
class _End:
    """A node or switch with its sessions. ``missed`` are those that are down though the other end has others."""

    name: str
    sessions: list[Mapping[str, Any]] = field(default_factory=list)
    missed: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def down(self) -> list[Mapping[str, Any]]:
        return [session for session in self.sessions if not session["up"]]

    @property
    def dead(self) -> bool:
        return len(self.down) == len(self.sessions)

    @property
    def state(self) -> str:
        """Not ``partly`` because of another end that is dead: that one is red already."""
        if not self.sessions:
            return UNKNOWN
        if self.dead:
            return DOWN
        return PARTLY if self.missed else UP

    @property
    def told(self) -> str:
        up = len(self.sessions) - len(self.down)
        return "\n".join([f"{self.name}: {up} of {len(self.sessions)} sessions up", *map(_told, self.down)])


@dataclass(frozen=True)
class _Rack:
    name: str
    switches: tuple[str, ...]
    reflectors: tuple[str, ...]
    nodes: tuple[str, ...]
    named: bool

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """What is drawn with names, row by row."""
        named = self.nodes if self.named else ()
        others = [named[at : at + _NAMES_A_ROW] for at in range(0, len(named), _NAMES_A_ROW)]
        return [row for row in (self.switches, self.reflectors, *others) if row]

    @property
    def dots(self) -> tuple[str, ...]:
        """What is drawn without."""
        return () if self.named else self.nodes

    @property
    def height(self) -> int:
        return (len(self.rows) + 1) * _LINE + -(-len(self.dots) // _DOTS_A_ROW) * (_DOT + _GAP) + _GAP


def page(topology: Topology, status: Mapping[str, Any], when: str) -> str:
    """The page. ``status`` is that of :func:`status.status`, ``when`` the time at which it was taken."""
    title = f"BGP of estate {topology.estate}"
    verdict, *rest = reversed(lines(status, most=200))
    details = "\n".join(reversed(rest))
    state = UP if status["ok"] else DOWN
    return document(
        title,
        _STYLE,
        [
            f'<p class="{state}"><strong>{escape(verdict)}</strong></p>',
            f"<p>AS {topology.as_number}, {len(topology.speakers)} nodes, {len(topology.reflectors)} route reflectors. "
            f"Seen {escape(when)}. Point at anything for details.</p>",
            *_drawing(topology, status),
            _legend(),
            f"<pre>{escape(details)}</pre>" if details else "",
        ],
    )


def _drawing(topology: Topology, status: Mapping[str, Any]) -> Iterator[str]:
    racks = _racks(topology)
    corners, height = _arranged(racks)
    places = {name: place for rack in racks for name, place in _places(rack, *corners[rack.name])}
    yield f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="racks, switches, nodes and their sessions">'
    for rack in racks:
        yield from _box(rack, *corners[rack.name])
    ends = _ends(status["sessions"])
    shown = _drawn(status["sessions"], ends)
    for session in sorted(shown, key=lambda one: not one["up"]):
        yield _session(session, places)
    below = {
        **{session.switch: f"AS {session.switch_as}" for session in topology.sessions},
        **{speaker.name: "reflector" for speaker in topology.reflectors},
    }
    for rack in racks:
        for name in (name for row in rack.rows for name in row):
            yield _labelled(name, below.get(name, ""), ends.get(name, _End(name)), places[name])
        for name in rack.dots:
            yield _dot(ends.get(name, _End(name)), places[name])
    yield "</svg>"


def _racks(topology: Topology) -> list[_Rack]:
    names = list(dict.fromkeys([*(s.rack for s in topology.sessions), *(s.rack for s in topology.speakers)]))
    reflectors = {speaker.name for speaker in topology.reflectors}
    found = []
    for rack in names:
        members = [speaker.name for speaker in topology.speakers if speaker.rack == rack]
        switches = dict.fromkeys(session.switch for session in topology.sessions if session.rack == rack)
        found.append(
            _Rack(
                rack or _NO_RACK,
                tuple(switches),
                tuple(name for name in members if name in reflectors),
                tuple(name for name in members if name not in reflectors),
                named=len(topology.speakers) <= MOST_NAMES,
            )
        )
    return found


def _arranged(racks: Sequence[_Rack]) -> tuple[dict[str, tuple[int, int]], int]:
    """The upper left corner of each rack's box, row by row, and the height of all."""
    corners: dict[str, tuple[int, int]] = {}
    across = max(1, (WIDTH - _MARGIN) // (_BOX + _MARGIN))
    y = _MARGIN
    for at in range(0, len(racks), across):
        row = racks[at : at + across]
        corners.update({rack.name: (_MARGIN + i * (_BOX + _MARGIN), y) for i, rack in enumerate(row)})
        y += max(rack.height for rack in row) + 2 * _MARGIN
    return corners, y


def _places(rack: _Rack, left: int, top: int) -> Iterator[tuple[str, _Place]]:
    y = top + _LINE
    for names in rack.rows:
        width = (_BOX - _GAP) / len(names)
        for number, name in enumerate(names):
            yield name, _Place(left + _GAP / 2 + width * (number + 0.5), y + 14, width / 2 - _GAP, 16)
        y += _LINE
    for number, name in enumerate(rack.dots):
        row, column = divmod(number, _DOTS_A_ROW)
        x = left + _GAP * 2 + column * (_DOT + _GAP + 1) + _DOT / 2
        yield name, _Place(x, y + row * (_DOT + _GAP) + _DOT / 2, _DOT / 2, _DOT / 2)


def _box(rack: _Rack, left: int, top: int) -> Iterator[str]:
    yield f'<rect class="rack" x="{left}" y="{top}" width="{_BOX}" height="{rack.height}" rx="8"/>'
    count = f'<tspan class="small">{len(rack.reflectors) + len(rack.nodes)} nodes</tspan>'
    yield f'<text x="{left + 10}" y="{top + 20}">rack {escape(rack.name)} {count}</text>'


def _drawn(sessions: Sequence[Mapping[str, Any]], ends: Mapping[str, _End]) -> list[Mapping[str, Any]]:
    if len(sessions) <= MOST_LINES:
        return list(sessions)
    dead = {name for name, end in ends.items() if end.dead}
    return [one for one in sessions if one["kind"] == SWITCH or not (one["up"] or dead & _names(one))]


def _names(session: Mapping[str, Any]) -> set[str]:
    return {session["node"]["name"], session["peer"]["name"]}


def _ends(sessions: Iterable[Mapping[str, Any]]) -> dict[str, _End]:
    found: dict[str, _End] = {}
    for session in sessions:
        for name in _names(session):
            found.setdefault(name, _End(name)).sessions.append(session)
    for end in found.values():
        end.missed = [one for one in end.down if not any(found[name].dead for name in _names(one) - {end.name})]
    return found


def _session(session: Mapping[str, Any], places: Mapping[str, _Place]) -> str:
    here, there = places[session["node"]["name"]], places[session["peer"]["name"]]
    state = UP if session["up"] else DOWN
    ends = f'x1="{here.x:.1f}" y1="{here.y:.1f}" x2="{there.x:.1f}" y2="{there.y:.1f}"'
    return f'<line class="{state}" {ends}><title>{escape(_told(session))}</title></line>'


def _told(session: Mapping[str, Any]) -> str:
    node, peer = session["node"], session["peer"]
    return (
        f"{node['name']} ({node['address']}, AS {node['as_number']}): {_seen(node)}\n"
        f"{peer['name']} ({peer['address']}, AS {peer['as_number']}): {_seen(peer)}"
    )


def _seen(end: Mapping[str, Any]) -> str:
    prefixes = "" if end["received"] is None else f", {end['received']} prefixes received"
    return f"{end['sees']}{prefixes}"


def _labelled(name: str, below: str, end: _End, place: _Place) -> str:
    return (
        f"<g><title>{escape(end.told)}</title>{_rectangle(end.state, place, 4)}"
        f'<text x="{place.x:.1f}" y="{place.y - 1:.1f}" text-anchor="middle">{escape(name)}</text>'
        f'<text class="small" x="{place.x:.1f}" y="{place.y + 11:.1f}" text-anchor="middle">{escape(below)}</text></g>'
    )


def _dot(end: _End, place: _Place) -> str:
    return f"<g><title>{escape(end.told)}</title>{_rectangle(end.state, place, 9)}</g>"


def _rectangle(state: str, place: _Place, radius: int) -> str:
    return (
        f'<rect class="{state}" x="{place.x - place.half_width:.1f}" y="{place.y - place.half_height:.1f}" '
        f'width="{2 * place.half_width:.1f}" height="{2 * place.half_height:.1f}" rx="{radius}"/>'
    )


def _legend() -> str:
    said = {UP: "up", PARTLY: "some sessions down", DOWN: "all down", UNKNOWN: "no session"}
    entries = "".join(
        f'<g transform="translate({20 + 170 * number} 4)"><rect class="{state}" width="14" height="14" rx="7"/>'
        f'<text x="22" y="12">{text}</text></g>'
        for number, (state, text) in enumerate(said.items())
    )
    return f'<svg viewBox="0 0 {WIDTH} 24" aria-label="legend">{entries}</svg>'
