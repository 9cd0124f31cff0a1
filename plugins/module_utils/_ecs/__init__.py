# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools of cloud VMs; private to this collection, runs on the controller.

``model`` holds the types, ``options`` makes pools of what the inventory says, ``observe`` reads the cloud, ``plan``
says what differs (pure), ``create`` and ``release`` bring instances into being and to their end, ``converge`` does a
whole plan.

No instance twice, none forgotten
---------------------------------
Before instances are asked for, the names are written down in the cloud: as tags of a launch template that is called
after the pool. Such names are unique, so of several controllers one writes and the others find it; and it outlives a
controller that is killed. Whoever finds one asks for the same instances with the same ClientTokens (they follow from
the template's id, so no older request can have had them), and so gets those that are there already, seen yet or not.
It goes when all of them are seen. Instances that are to go are marked first; every later run finishes what is marked.
"""
