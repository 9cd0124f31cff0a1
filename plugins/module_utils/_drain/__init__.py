# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Emptying nodes of their pods; private to this collection.

``model`` and ``observe`` read what there is, ``fit`` and ``plan`` judge it; ``progress``, with ``limits``, decides what
to do next and ``course`` does it, through ``evict``, under the ``marks`` of one of the ``runs``. All but ``observe``,
``evict``, ``marks``, ``runs`` and ``course`` is pure.
"""
