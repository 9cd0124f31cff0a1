from __future__ import annotations

import pytest

from tests.bench import bgp
from tests.flows.traffic import Flow, Result


@pytest.fixture(autouse=True)
def of_the_flow(monkeypatch):
    monkeypatch.setattr(bgp, "_reflectors", lambda: ("a1",))


def test_a_line_has_each_path_and_what_reflectors_lost_apart():
    flows = (
        Flow("a2", "a3", "within", "udp", 1000, 1000, 1000, 0),
        Flow("a1", "a2", "within", "udp", 1000, 900, 890, 2200),
        Flow("a1", "b1", "across", "udp", 1000, 999, 999, 40),
        Flow("outside", "a1", "outside", "tcp", 1000, 1000, 1000, 400),
    )

    *_words, table = bgp.sections([bgp.Row("ours", Result(flows, 20.0, 30), True)])

    assert table.splitlines()[-1] == (
        "| ours | 0 of 1,000 | 0 | 110 of 1,000 | 2200 | 1 of 1,000 | 40 | 0 of 1,000 | 0 |"
    )
