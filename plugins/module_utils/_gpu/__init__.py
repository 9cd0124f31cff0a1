# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GPUs of a host, told from its files alone; private to this collection, runs on hosts.

``observe`` reads sysfs, /proc and the kernel's log into the plain :mod:`model`, by the texts that ``parse`` knows;
``support`` says which drivers serve which architecture, ``xid`` what the driver's errors mean, and ``rules`` judges.
"""
