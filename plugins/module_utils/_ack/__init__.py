# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registration with Alibaba Cloud's container service, ACK; private to this collection, runs on the controller.

``service`` asks ACK, ``agent`` judges the manifest that ACK wants applied, ``record`` keeps in the cluster which
registration is its own, and ``registration`` brings all of it about.
"""
