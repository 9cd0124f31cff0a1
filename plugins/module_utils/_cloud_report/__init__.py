# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report on an estate's VMs: whose, since when, until when, what they cost, how much of them is used; private.

``cluster`` asks the API server for the nodes behind the VMs, ``figures`` puts all of it together (pure), ``page`` makes
an HTML page of it.
"""
