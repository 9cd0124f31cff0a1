# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a file, shared by runs at the same time; private to this collection."""

from __future__ import annotations

import fcntl


def try_lock(descriptor: int) -> bool:
    """Whether the file or directory behind ``descriptor`` is now locked for us; it is unlocked when that is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
