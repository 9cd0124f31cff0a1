# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address
from typing import Any
from xml.etree import ElementTree

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.picture import page
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Session, Speaker, Topology

NO_TROUBLE: dict[str, Any] = {"drift": [], "routes_missing": [], "findings": []}


def estate(racks: int, nodes: int) -> Topology:
    """Racks of two switches and two reflectors each."""
    speakers, sessions = [], []
    for rack in range(racks):
        for number in range(nodes):
            reflector = IPv4Address(256 * rack + number + 1) if number < 2 else None
            address = IPv4Address(f"10.{rack}.0.{number + 10}")
            speakers.append(Speaker(f"r{rack}n{number}", address, f"r{rack}", reflector))
            for switch in (1, 2) if reflector else ():
                peer = IPv4Address(f"10.{rack}.0.{switch}")
                sessions.append(
                    Session(f"r{rack}n{number}", address, 64512, f"t{rack}{switch}", peer, 64900 + rack, f"r{rack}")
                )
    return Topology("large <one>", 64512, tuple(speakers), tuple(sessions), (), ())


def seen(topology: Topology, dead: Collection[str] = (), cut: Collection[tuple[str, str]] = ()) -> dict[str, Any]:
    """The status when these nodes and switches, and these sessions, are down."""
    sessions = [_session("switch", s.node, s.switch, dead, cut) for s in topology.sessions]
    for speaker in topology.speakers:
        for reflector in topology.reflectors:
            if speaker.name < reflector.name or (speaker.cluster_id is None and speaker != reflector):
                sessions.append(_session("reflector", speaker.name, reflector.name, dead, cut))
    down = sum(not session["up"] for session in sessions)
    counts = {"sessions": len(sessions), "down": down, "drift": 0}
    return {**NO_TROUBLE, "ok": not down, "counts": counts, "sessions": sessions}


def _session(
    kind: str, node: str, peer: str, dead: Collection[str], cut: Collection[tuple[str, str]]
) -> dict[str, Any]:
    up = not {node, peer} & set(dead) and (node, peer) not in cut
    end = {"address": "10.0.0.1", "as_number": 64512, "sees": "Established" if up else "Active", "received": 4}
    return {"kind": kind, "up": up, "node": {"name": node, **end}, "peer": {"name": peer, **end}}


def drawn(topology: Topology, status: dict[str, Any]) -> ElementTree.Element:
    text = page(topology, status, "2026-11-23 14:00:00 UTC")
    assert "http" not in text, "the page asks no network for anything"
    picture = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + len("</svg>")])
    assert "large &lt;one&gt;" in text
    return picture


def states(picture: ElementTree.Element) -> dict[str, str]:
    return {_name(group): group.find("rect").attrib["class"] for group in picture.iter("g")}  # type: ignore[union-attr]


def _name(group: ElementTree.Element) -> str:
    return str(group.findtext("title")).partition(":")[0]


def _boxes(picture: ElementTree.Element) -> Iterator[tuple[float, float, float, float]]:
    for group in picture.iter("g"):
        rect = group.find("rect")
        assert rect is not None
        yield tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height"))  # type: ignore[misc]


def test_five_nodes_have_names_and_every_session_its_line() -> None:
    topology = estate(1, 5)
    status = seen(topology)
    picture = drawn(topology, status)
    shown = {text.text for text in picture.iter("text")}
    assert {"r0n0", "r0n4", "t01", "t02", "AS 64900", "reflector"} <= shown
    assert len(list(picture.iter("line"))) == len(status["sessions"]) == 4 + 1 + 6
    assert set(states(picture).values()) == {"up"}


def test_five_hundred_nodes_are_all_there_and_none_on_another() -> None:
    topology = estate(10, 50)
    picture = drawn(topology, seen(topology, dead=("r3n7", "t51"), cut=(("r1n9", "r2n0"),)))
    assert len(states(picture)) == 500 + 20
    assert {name for name, state in states(picture).items() if state == "down"} == {"r3n7", "t51"}
    assert {name for name, state in states(picture).items() if state == "partly"} == {"r1n9", "r2n0"}
    boxes = sorted(_boxes(picture))
    overlapping = [
        (one, other)
        for at, one in enumerate(boxes)
        for other in boxes[at + 1 :]
        if other[0] < one[0] + one[2] and other[1] < one[1] + one[3] and one[1] < other[1] + other[3]
    ]
    assert not overlapping
    width, height = (float(number) for number in picture.attrib["viewBox"].split()[2:])
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    lines = Counter(line.attrib["class"] for line in picture.iter("line"))
    assert lines == {"up": 38, "down": 3}, "those of switches, and the one that is down between living ends"


def test_what_is_down_says_what_each_end_sees() -> None:
    topology = estate(1, 3)
    picture = drawn(topology, seen(topology, cut=(("r0n2", "r0n0"),)))
    told = [str(line.findtext("title")) for line in picture.iter("line") if line.attrib["class"] == "down"]
    assert told == [
        "r0n2 (10.0.0.1, AS 64512): Active, 4 prefixes received\nr0n0 (10.0.0.1, AS 64512): Active, 4 prefixes received"
    ]


def test_nodes_without_rack_and_estates_without_sessions() -> None:
    lonely = Topology("large <one>", 64512, (Speaker("a", IPv4Address("10.0.0.1"), ""),), (), (), ())
    status = {**NO_TROUBLE, "ok": True, "counts": {"sessions": 0, "down": 0, "drift": 0}, "sessions": []}
    assert states(drawn(lonely, status)) == {"a": "unknown"}
