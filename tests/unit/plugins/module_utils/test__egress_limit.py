# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may look at a host's traffic control; that the limit holds is shown in tests/integration/test_line.py."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._egress_limit import converge
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, Ran
from ansible_collections.hybridk8s.estate.plugins.module_utils._line_agent import LOCK
from ansible_collections.hybridk8s.estate.plugins.module_utils._lock import try_lock

OPTIONS = {"prefixes": ["10.40.0.0/16"], "limit_mbit": 60, "control_mbit": 10}


def is_locked(host: Host) -> bool:
    if not os.path.exists(host.at(LOCK)):
        return False
    with open(host.at(LOCK), "rb") as stream:
        return not try_lock(stream.fileno())


@pytest.mark.parametrize("check", [False, True])
def test_what_is_changed_was_seen_while_nobody_else_could_change_it(tmp_path: Path, check: bool) -> None:
    seen: list[bool] = []

    def run(_argv: Sequence[str], _timeout: float) -> Ran:
        seen.append(is_locked(host))
        return Ran(0, "[]")

    host = Host(str(tmp_path), run)
    with pytest.raises(HostError, match="no route of this host leads to"):
        converge(OPTIONS, host, check)
    assert set(seen) == {not check}
