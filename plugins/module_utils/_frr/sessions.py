# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our sessions as bgpd sees them; private to this collection, runs on the switch."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import Wanted


@dataclass(frozen=True)
class Session:
    """A session as the switch sees it. ``uptime`` is in seconds since it was established, 0 when it is not."""

    neighbour: str
    state: str
    remote_as: int
    prefixes_received: int
    uptime: float

    @property
    def established(self) -> bool:
        return self.state == "Established"


def sessions_of(summary: str, wanted: Wanted) -> tuple[Session, ...]:
    """Our sessions in the output of ``show bgp ipv4 unicast summary json``; one that is not there is ``Missing``."""
    try:
        peers = json.loads(summary or "{}").get("peers", {})
    except ValueError:
        peers = {}
    found = []
    for neighbour in wanted.neighbours:
        peer = peers.get(str(neighbour.address), {})
        found.append(
            Session(
                str(neighbour.address),
                str(peer.get("state", "Missing")),
                neighbour.remote_as,
                int(peer.get("pfxRcd", 0)),
                float(peer.get("peerUptimeMsec", 0)) / 1000,
            )
        )
    return tuple(found)
