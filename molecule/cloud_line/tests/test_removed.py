"""An inventory that no longer says a limit has none."""

from __future__ import annotations

from tests.flows import line

from .conftest import DATA_CENTRE, FIRST, LINE_MBIT, SECOND, UNLIMITED, run, sized


def test_without_a_limit_in_the_inventory_nothing_is_left_of_it(limited):
    assert line.traces(FIRST)
    done = run("cloud", of=sized(2, UNLIMITED))
    assert done.hosts_with("changed") >= {FIRST, SECOND}
    assert (line.traces(FIRST), line.traces(SECOND)) == ("", "")
    with line.sinks(DATA_CENTRE), line.sending(FIRST, to=DATA_CENTRE):
        assert line.most(DATA_CENTRE) > LINE_MBIT * 0.9
