# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our part of an FRR configuration; private to this collection, runs on the switch.

Our part is a peer-group ``ESTATE-<NAME>``, the neighbours in it, and the prefix-lists and route-maps that it uses.
All of it is compared line by line in the form that ``show running-config`` prints (seen with FRR 8.4.4), so that what
others configured is never part of a comparison and never part of a command.

``objects`` are the lines that the inventory's part needs, ``text`` reads a configuration and writes our part back into
one, ``plan`` goes from what is there to what is wanted, ``reset`` puts off what resets sessions, ``vtysh`` is the FRR
of the host, ``sessions`` what bgpd says of them. All but ``vtysh`` is pure.
"""
