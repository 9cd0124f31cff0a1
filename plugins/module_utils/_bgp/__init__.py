# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Route reflectors, their switches and the mesh of a cluster as one topology; private to this collection.

``topology`` follows from the inventory, ``objects`` are what Calico reads of it, ``observed`` is what the API and the
routers say; ``plan`` goes from the one to the other by writes and ``gates``, and ``apply`` does it. All but ``apply``
is pure.
"""
