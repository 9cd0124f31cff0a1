# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.objects import wanted_parts, with_former
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.plan import commands, steps_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.reset import hold
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.text import merge, read
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import Pending, Wanted

from tests.unit.plugins.module_utils._frr.samples import PARTS, RUNNING, THEIRS
from tests.unit.plugins.module_utils._switch.samples import WANTED

FIRST, SECOND = "10.20.1.11", "10.20.1.12"
ROLLED = replace(
    WANTED,
    local_as=64950,
    neighbours=(
        replace(WANTED.neighbours[0], password="n3w", description="cp1 again"),
        replace(WANTED.neighbours[1], remote_as=64513),
    ),
)


def held(text: str, wanted: Wanted, may_reset: list[str] | None) -> tuple[list[str], tuple[Pending, ...]]:
    """The lines that are loaded, and what is put off."""
    there = read(text, wanted.estate)
    parts, pending = hold(wanted_parts(wanted), there, may_reset)
    return commands(there, wanted, parts), pending


def test_all_sessions_may_be_reset_unless_some_are_named() -> None:
    there = read(RUNNING, "lab")
    assert hold(wanted_parts(ROLLED), there, None) == (wanted_parts(ROLLED), ())


def test_what_resets_waits_and_the_rest_is_done() -> None:
    lines, pending = held(RUNNING, replace(ROLLED, max_prefix=500), [])
    assert lines == [
        "router bgp 64901",
        " address-family ipv4 unicast",
        "  neighbor ESTATE-LAB maximum-prefix 500 80 restart 5",
        " exit-address-family",
        " neighbor 10.20.1.11 description cp1 again",
        "exit",
    ]
    assert pending == (Pending(FIRST, ("local-as", "password")), Pending(SECOND, ("local-as", "remote-as")))


def test_one_session_after_the_other_ends_where_all_at_once_does() -> None:
    text = RUNNING
    for wave, left in (([FIRST], [SECOND]), ([FIRST, SECOND], [])):
        there = read(text, "lab")
        parts, pending = hold(wanted_parts(ROLLED), there, wave)
        assert [one.neighbour for one in pending] == left
        lines = commands(there, ROLLED, parts)
        assert not [line for line in lines if any(f"neighbor {other} " in line for other in left)]
        text = merge(text, ROLLED, parts)
    assert steps_of(read(text, "lab"), ROLLED, wanted_parts(ROLLED)) == []
    assert hold(wanted_parts(ROLLED), read(text, "lab"), []) == (wanted_parts(ROLLED), ())


def test_new_neighbours_and_those_that_go_are_no_resets() -> None:
    assert held(THEIRS, ROLLED, [])[1] == ()
    only_first = replace(WANTED, neighbours=WANTED.neighbours[:1])
    assert held(RUNNING, only_first, []) == (["router bgp 64901", " no neighbor 10.20.1.12", "exit"], ())


@pytest.mark.parametrize(
    ("drift", "attribute"),
    [
        (" neighbor ESTATE-LAB password theirs\n", "password"),
        (" neighbor ESTATE-LAB shutdown\n", "shutdown"),
        (" neighbor ESTATE-LAB ttl-security hops 1\n", "ttl-security"),
    ],
)
def test_a_peer_group_is_not_reset_until_all_its_members_may_be(drift: str, attribute: str) -> None:
    drifted = RUNNING.replace(" neighbor SPINE peer-group\n", drift + " neighbor SPINE peer-group\n")
    lines, pending = held(drifted, WANTED, [FIRST])
    assert (lines, pending) == ([], (Pending(FIRST, (attribute,)), Pending(SECOND, (attribute,))))
    lines, pending = held(drifted, WANTED, [FIRST, SECOND])
    assert (lines, pending) == (["router bgp 64901", f" no{drift.rstrip()}", "exit"], ())


def test_a_former_neighbour_holds_the_peer_group_too() -> None:
    drifted = RUNNING.replace(" neighbor SPINE peer-group\n", " neighbor ESTATE-LAB bfd\n neighbor SPINE peer-group\n")
    there = read(drifted, "lab")
    wanted = replace(WANTED, neighbours=WANTED.neighbours[:1])
    parts, pending = hold(with_former(wanted_parts(wanted), there), there, [FIRST])
    assert [one.neighbour for one in pending] == [FIRST, SECOND]
    assert commands(there, wanted, parts) == []


def test_activation_that_frr_does_not_print_is_no_reset() -> None:
    assert held(RUNNING, WANTED, []) == ([], ())
    off = RUNNING.replace("  neighbor ESTATE-LAB soft", "  no neighbor ESTATE-LAB activate\n  neighbor ESTATE-LAB soft")
    assert [one.attributes for one in held(off, WANTED, [])[1]] == [("activate",), ("activate",)]


def test_what_is_held_is_written_in_an_order_that_frr_reads() -> None:
    parts, _pending = hold(wanted_parts(ROLLED), read(RUNNING, "lab"), [])
    written = [line.strip() for line in merge(THEIRS, ROLLED, parts).splitlines()]
    for address in (FIRST, SECOND):
        exists = written.index(f"neighbor {address} remote-as 64512")
        member = written.index(f"neighbor {address} peer-group ESTATE-LAB")
        assert exists < member
        assert all(n >= exists for n, line in enumerate(written) if line.startswith(f"neighbor {address} "))


def test_what_is_put_off_names_no_password() -> None:
    assert "n3w" not in repr(held(RUNNING, ROLLED, [])[1])
    assert hold(PARTS, read(RUNNING.replace("s3cret", "old"), "lab"), [])[1] == (Pending(FIRST, ("password",)),)
