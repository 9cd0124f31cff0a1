# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Terway on cloud VMs: what its chart becomes, and what is found on VMs and in the cluster; private to this collection.

``chart`` derives the chart's values and patches from an Estate, ``host`` judges a VM, ``cluster`` what the API says.
"""
