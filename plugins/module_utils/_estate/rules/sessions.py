# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BGP sessions with switches: their timers, limits and passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import MAX_PASSWORD

KEEPALIVES_IN_HOLD = 3
# Printable ASCII, but no blank, quote or backslash, which end or change it in a configuration, and no question mark, by
# which switches are asked for help.
_PASSWORD = re.compile(r"[!#->@-\[\]-~]+")


@rule(
    "ES441-hold-too-short",
    ERROR,
    "one keepalive that comes late would end the session",
    "RFC 4271, 4.4 and 10: the keepalive time is at most a third of the hold time",
)
def hold_too_short(estate: model.Estate) -> Iterator[Problem]:
    if estate.bgp is None:
        return
    timers = estate.bgp.timers.whole
    if timers["hold"] < KEEPALIVES_IN_HOLD * timers["keepalive"]:
        yield Problem(
            "",
            "estate_bgp.timers",
            f"hold ({timers['hold']} s) is less than three times keepalive ({timers['keepalive']} s).",
            f"Set hold to {KEEPALIVES_IN_HOLD * timers['keepalive']} or more, or keepalive to less.",
        )


@rule(
    "ES442-max-prefix-too-low",
    ERROR,
    "a switch closes the session with a reflector that announces more",
    "FRR: maximum-prefix; Calico: a reflector announces the blocks of all nodes",
)
def max_prefix_too_low(estate: model.Estate) -> Iterator[Problem]:
    if estate.bgp is None or estate.bgp.max_prefix is None:
        return
    needed = derive.least_prefixes(estate)
    if estate.bgp.max_prefix < needed:
        yield Problem(
            "",
            "estate_bgp.max_prefix",
            f"it is {estate.bgp.max_prefix}, and each reflector announces {needed} prefixes or more.",
            "Raise it, or leave it out: it then follows from the size of the pools.",
        )


@rule(
    "ES443-password-unusable",
    ERROR,
    "a node whose BIRD cannot read its configuration keeps the old one, and a switch refuses the line",
    "TCP MD5 (RFC 2385, tcp(7)): 80 bytes; confd writes it between quotes as it is",
)
def password_unusable(estate: model.Estate) -> Iterator[Problem]:
    for variable, password in _passwords(estate):
        if len(password) > MAX_PASSWORD:
            yield Problem(
                "",
                variable,
                f"it has {len(password)} characters.",
                f"Choose one of at most {MAX_PASSWORD}.",
            )
        elif not _PASSWORD.fullmatch(password):
            yield Problem(
                "",
                variable,
                "it holds a blank, a double quote, a backslash, a question mark, or what is not printable ASCII.",
                "Choose another one, of letters, digits and other signs.",
            )


@rule("ES444-password-without-switch", WARNING, "the variable has no effect", "Calico: BGPPeer, password")
def password_without_switch(estate: model.Estate) -> Iterator[Problem]:
    for rack in estate.racks.values():
        if rack.password and not rack.switches:
            yield Problem(
                "",
                f"estate_racks.{rack.name}.password",
                f"rack {rack.name} has no switches.",
                "Name the rack's switches, or remove the password.",
            )


@rule(
    "ES445-local-as-on-nxos",
    ERROR,
    "the switch would be refused in the middle of the run",
    "cisco.nxos: nxos_bgp_global has local_as without no-prepend and replace-as",
)
def local_as_on_nxos(estate: model.Estate) -> Iterator[Problem]:
    for rack in estate.racks.values():
        for name in rack.switches:
            switch = estate.hosts.get(name)
            if switch is None or switch.platform != model.NXOS or switch.router_as is None:
                continue
            if switch.router_as != derive.switch_as(estate, rack, name):
                yield Problem(
                    name,
                    "switch_bgp_router_as",
                    f"it is {switch.router_as}, but an NX-OS switch can show its rack no AS but its own.",
                    "Leave it out, and set bgp_as of the switch, or the rack's as, to the switch's own AS.",
                )


def _passwords(estate: model.Estate) -> Iterator[tuple[str, str]]:
    if estate.bgp is not None and estate.bgp.password:
        yield "estate_bgp.password", estate.bgp.password
    for rack in estate.racks.values():
        if rack.password:
            yield f"estate_racks.{rack.name}.password", rack.password
