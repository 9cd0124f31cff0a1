# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._gpu import xid

CHANGED = "GPU recovery action changed from"


@pytest.mark.parametrize(
    ("code", "message", "action"),
    [
        (13, "Graphics SM Warp Exception", xid.NOTHING),
        (31, "MMU Fault", xid.NOTHING),
        (43, "", xid.NOTHING),
        (45, "Preemptive cleanup", xid.NOTHING),
        (48, "An uncorrectable double bit error (DBE) has been detected", xid.RESET),
        (54, "", xid.REPAIR),
        (63, "Row Remapper: New row marked for remapping, reset gpu to activate.", xid.WEARS),
        (64, "", xid.RESET),
        (74, "NVLINK", xid.RESET),
        (79, "GPU has fallen off the bus.", xid.REBOOT),
        (94, "Contained", xid.WEARS),
        (95, "Uncontained", xid.RESET),
        (119, "Timeout waiting for RPC from GSP", xid.RESET),
        (149, "NETIR", xid.RESET),
        (154, f"{CHANGED} 0x0 (None) to 0x1 (GPU Reset Required)", xid.RESET),
        (154, f"{CHANGED} 0x0 (None) to 0x2 (Node Reboot Required)", xid.REBOOT),
        (154, f"{CHANGED} 0x0 (None) to 0x2 (OS Reboot)", xid.REBOOT),
        (154, f"{CHANGED} 0x0 (None) to 0x4 (Drain and Reset)", xid.RESET),
        (154, f"{CHANGED} 0x2 (Node Reboot Required) to 0x0 (None)", xid.NOTHING),
        (167, "", xid.UNKNOWN),
        (1000, "", xid.UNKNOWN),
    ],
)
def test_what_an_error_asks_for(code: int, message: str, action: str) -> None:
    assert xid.action_of(code, message) == action
