# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the driver's errors ask for; private to this collection.

From "Analyzing Xid Errors with the Xid Catalog" in NVIDIA's Xid documentation, column "Resolution Bucket (Immediate
Action)". What that leaves to the application or tells to ignore says nothing of the GPU's health, unless its memory
wears: rows were remapped (63), single-bit errors are many (92), an error was contained (94).
"""

from __future__ import annotations

NOTHING, WEARS, RESET, REBOOT, REPAIR, UNKNOWN = "nothing", "wears", "reset", "reboot", "repair", "unknown"

RECOVERY_CHANGED = 154
_RECOVERY_NONE = "(None)"

_BY_ACTION = {
    REBOOT: (79,),
    REPAIR: (54,),
    WEARS: (63, 92, 94),
    RESET: (46, 48, 62, 64, 74, 95, 109, 110, 119, 120, 136, 140, 143, *range(144, 151), 155, 156, 158),
    NOTHING: (
        *(8, 11, 13, 14, 25, 31, 32, 37, 38, 39, 40, 41, 43, 44, 45, 60, 66, 67, 68, 69, 70, 71, 72, 75, 76, 77, 80),
        *(82, 83, 84, 85, 86, 88, 89, 93, *range(96, 108), 121, *range(126, 136), 137, 139, 141, 152, 153, 157, 160),
        161,
    ),
}
_ACTIONS = {code: action for action, codes in _BY_ACTION.items() for code in codes}


def action_of(code: int, message: str) -> str:
    """What an Xid asks for; ``unknown`` where NVIDIA's catalog says nothing that a rule could follow."""
    if code == RECOVERY_CHANGED:
        return NOTHING if message.rstrip(". ").endswith(_RECOVERY_NONE) else _recovery(message)
    return _ACTIONS.get(code, UNKNOWN)


def _recovery(message: str) -> str:
    return REBOOT if "reboot" in message.rsplit(" to ", 1)[-1].lower() else RESET
