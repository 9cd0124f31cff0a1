# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from html.parser import HTMLParser

from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.cluster import Seen
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.figures import document
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.page import lines, page

from tests.unit.plugins.module_utils._cloud_report.reported import LARGE, basis, day, pool, vm

VOID = {"meta"}


class Reader(HTMLParser):
    """The page's tables as texts, row by row; every tag has to be closed by its own."""

    def __init__(self):
        super().__init__()
        self.open, self.tables, self.names = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += ("|" if self.open[-1] == "small" else "") + data


def read(made):
    text = page(document(made))
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return text, reader


def test_the_page_needs_nothing_else():
    text, reader = read(basis(vm("online-1")))
    assert "http" not in text
    assert "url(" not in text
    assert not {"script", "link", "img", "iframe"} & reader.names


def test_every_figure_says_its_unit():
    _text, reader = read(basis(vm("online-1")))
    owners, pools, vms = reader.tables
    assert owners[0][:6] == [
        "Owner",
        "Pools",
        "VMs|there, Ready, wanted",
        "Time|VM hours: all, this month",
        "Cost|CNY: all, this month",
        "Rate|CNY an hour",
    ]
    assert dict(zip(*pools, strict=True))["Cost to the end|CNY"] == "-"
    row = dict(zip(*vms, strict=True))
    assert row["Time|hours: all, this month"] == "10.00|10.00"
    assert row["Cost|CNY: all, this month"] == "9.20|9.20"
    assert row["CPU|asked for, used, % of cores"].startswith("25 %|12 % used")


def test_without_a_currency_the_unit_is_that_of_the_prices():
    text, _reader = read(basis(vm("online-1"), currency=""))
    assert "in the currency of estate_cloud.prices an hour" in text


def test_a_pool_without_prices_shows_no_cost():
    pools = (pool(), pool("gpu", instance_types=(LARGE,)))
    text, reader = read(basis(vm("online-1"), vm("gpu-1", type=LARGE), pools=pools))
    cost = {row[0].partition("|")[0]: row[7] for row in reader.tables[1][1:]}
    assert cost == {"gpu": f"-|no price for {LARGE}", "online": "9.20|9.20"}
    assert f"9.20</strong><small>CNY, for 1 VMs: no price for {LARGE}" in text
    _text, unpriced = read(basis(vm("online-1"), prices={}))
    assert [table[1][at] for table, at in zip(unpriced.tables, (4, 7, 7), strict=True)] == [
        "-|no price for ecs.g7.xlarge",
        "-|no price for ecs.g7.xlarge",
        "-|-",
    ]


def test_what_people_wrote_is_no_html():
    nasty = pool(owner="<b>team & co</b>", purpose="<script>")
    text, _reader = read(basis(vm("online-1"), pools=(nasty,)))
    assert not {"<script>", "<b>"} & set(re.findall("<[a-z]+>", text))
    assert "&lt;b&gt;team &amp; co&lt;/b&gt;" in text


def test_what_ends_is_said_at_the_top():
    text, reader = read(basis(vm("online-1"), pools=(pool(expires=day("2026-11-30")),)))
    assert text.index("expires on 2026-11-30") < text.index("By owner")
    assert reader.tables[1][1][4] == "2026-11-30|7 days"
    assert "Nothing ends within 14 days" in read(basis(vm("online-1")))[0]


def test_an_estate_without_vms_has_a_page_too():
    text, reader = read(basis(pools=(pool(count=0),)))
    assert len(reader.tables) == 2
    assert "0</strong><small>VMs" in text


def test_a_line_a_pool_and_the_sum():
    pools = (
        pool(expires=day("2026-11-30")),
        pool("gpu", instance_types=(LARGE,), owner="team-b", expires=day("2026-11-20"), release_expired=True),
    )
    assert lines(document(basis(vm("online-1"), vm("gpu-1", type=LARGE), pools=pools))) == [
        "gpu     team-b: 1 VMs (1 Ready), ended (since 2026-11-20, to be released); 10.0 h, cost not known"
        f" (no price for {LARGE}); requests 25 % CPU, 50 % memory",
        "online  team-a: 1 VMs (1 Ready), ends soon (until 2026-11-30, 7 days); 10.0 h, cost 9.20 CNY;"
        " requests 25 % CPU, 50 % memory",
        f"2 VMs at 2026-11-23 12:00:00 UTC: 20.0 h, cost 9.20 CNY for 1 VMs, no price for {LARGE}.",
    ]


def test_lines_of_what_nobody_knows():
    found = lines(document(basis(vm("online-1"), prices={}, seen=Seen(error="nobody answers."))))
    assert "1 VMs (- Ready), in use" in found[0]
    assert found[0].endswith("10.0 h, cost not known (no price for ecs.g7.xlarge); requests - CPU, - memory")
