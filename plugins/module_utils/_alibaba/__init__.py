# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alibaba Cloud's APIs as plain dicts; private to this collection, runs on the controller.

``client`` is what everything here calls the cloud with, ``model`` what a request is and where it goes, ``errors`` what
the cloud refuses, ``library`` the only place that knows Alibaba's Python libraries: they sign and find credentials.
"""
