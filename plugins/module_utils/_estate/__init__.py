# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory as typed objects; private to this collection.

``model`` holds the types, ``parse`` makes an :class:`Estate` of raw variables, ``rules`` judges it, ``derive`` computes
what roles and reports need. All of it is pure: no Ansible, no files, no network.
"""
