# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order switches start sessions anew; pure, private to this collection.

A session whose AS number or password changes goes down and comes up again, whatever is done. While a switch has no
session, what is outside still reaches the pods through the other switches, which have all pod blocks too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.domains import batches


def waves(racks: Mapping[str, Sequence[str]], pending: Collection[str]) -> list[list[str]]:
    """The ``pending`` switches, in groups that may start their sessions anew together.

    ``racks`` are the switches of each rack. Never two of a rack are in a wave, nor more than half of all switches; the
    first wave is one switch, so that a mistake costs the sessions of one.
    """
    every = {switch for switches in racks.values() for switch in switches}
    most = max(1, len(every) // 2)
    rest = sorted(every & set(pending))
    domains = {switch: {rack for rack, switches in racks.items() if switch in switches} for switch in rest}
    return [rest[:1], *batches(rest[1:], most, domains)] if rest else []
