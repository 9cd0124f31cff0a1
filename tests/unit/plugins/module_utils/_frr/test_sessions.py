# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.sessions import sessions_of

from tests.unit.plugins.module_utils._switch.samples import WANTED

SUMMARY = '{"peers": {"10.20.1.11": {"state": "Established", "pfxRcd": 2, "peerUptimeMsec": 41000, "remoteAs": 64512}}}'


@pytest.mark.parametrize(
    ("summary", "states"),
    [
        (SUMMARY, ["Established", "Missing"]),
        ("{}", ["Missing", "Missing"]),
        ("", ["Missing", "Missing"]),
        ("% BGP instance not found", ["Missing", "Missing"]),
    ],
)
def test_sessions_are_read_from_the_summary(summary: str, states: list[str]) -> None:
    assert [session.state for session in sessions_of(summary, WANTED)] == states


def test_an_established_session_has_its_prefixes_and_age() -> None:
    first = sessions_of(SUMMARY, WANTED)[0]
    assert (first.established, first.prefixes_received, first.uptime) == (True, 2, 41.0)
