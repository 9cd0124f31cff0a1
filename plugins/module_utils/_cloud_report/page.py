# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report on an estate's VMs for people: an HTML page that needs nothing else, and lines; private. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.figures import (
    ENDED,
    ENDS_SOON,
    IN_USE,
    UNKNOWN,
    Figures,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._html import document

_DASH = "-"
_STATES = {IN_USE: "up", ENDS_SOON: "partly", ENDED: "down", UNKNOWN: "down"}
_STYLE = """
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--box); }
th { font-weight: 600; } th small, td small { color: var(--faint); font-weight: 400; display: block; }
.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tiles { display: flex; gap: 1rem; flex-wrap: wrap; }
.tile { background: var(--box); border-radius: 8px; padding: .8rem 1.2rem; }
.tile strong { display: block; font-size: 1.5rem; } .tile small { color: var(--faint); }
.bar { display: block; width: 5rem; height: .5rem; background: var(--box); border-radius: 4px; margin-left: auto; }
.bar i { display: block; height: 100%; border-radius: 4px; background: var(--up); }
td.up { color: var(--up); } td.partly { color: var(--partly); } td.down { color: var(--down); }
summary { cursor: pointer; } dt { font-weight: 600; }
"""


@dataclass(frozen=True)
class _Column:
    """A column: what is above it, its unit, and what is in it as HTML."""

    title: str
    unit: str
    cell: Callable[[Figures], str]
    is_figure: bool = True
    state: Callable[[Figures], str] = lambda _row: ""


def page(report: Figures) -> str:
    """The report as an HTML page."""
    money = report["currency"] or "in the currency of estate_cloud.prices"
    return document(
        f"Cloud VMs of estate {report['estate']}",
        _STYLE,
        [
            f"<p>Region {escape(report['region'])}, taken {escape(report['taken'])}. VMs that exist now; "
            "where the figures come from is said at the end.</p>",
            *_tiles(report["total"], money),
            *_findings(report),
            "<h2>By owner</h2>",
            _table(_owner_columns(money), report["owners"]),
            "<h2>By pool</h2>",
            _table(_pool_columns(money), report["pools"]),
            "<h2>VMs</h2>",
            *_vms(report, money),
            "<h2>Where the figures come from</h2>",
            _definitions(report["sources"]),
            "<h2>Units</h2>",
            _definitions(report["units"]),
        ],
    )


def lines(report: Figures) -> list[str]:
    """The report for a terminal: a line a pool, and the sum."""
    money = report["currency"] or "of estate_cloud.prices"
    width = max((len(pool["name"]) for pool in report["pools"]), default=0)
    found = [
        f"{pool['name']:{width}}  {pool['owner']}: {pool['vms']} VMs ({_count(pool['ready'])} Ready), {pool['state']}"
        f"{_end_of(pool)}; {_plain_hours(pool['hours'])} h, {_plain_cost(pool, money)}"
        f"; requests {_percent(pool['cpu']['requested_share'])} CPU, "
        f"{_percent(pool['memory']['requested_share'])} memory"
        for pool in report["pools"]
    ]
    total = report["total"]
    found.append(
        f"{total['vms']} VMs at {report['taken']}: {_plain_hours(total['hours'])} h, {_plain_cost(total, money)}."
    )
    return found


def _end_of(pool: Figures) -> str:
    if not pool["until"]:
        return ""
    if pool["days_left"] is None:
        return f" (tagged to end on {pool['until']})"
    if pool["days_left"] < 0:
        return f" (since {pool['until']}{', to be released' if pool['release_expired'] else ''})"
    return f" (until {pool['until']}, {pool['days_left']} days)"


def _plain_hours(hours: float | None) -> str:
    return _DASH if hours is None else f"{hours:,.1f}"


def _plain_cost(sums: Figures, money: str) -> str:
    if sums["cost"] is not None:
        return f"cost {sums['cost']:,.2f} {money}"
    if sums["cost_of_priced"] is not None:
        return f"cost {sums['cost_of_priced']:,.2f} {money} for {sums['priced']} VMs, {_lacks(sums)}"
    return f"cost not known ({_lacks(sums)})"


def _lacks(sums: Figures) -> str:
    return f"no price for {', '.join(sums['unpriced'])}" if sums["unpriced"] else "no prices"


def _tiles(total: Figures, money: str) -> Iterator[str]:
    cost, cost_note = _amount(total["cost"]), f"{money}, since they were made"
    if total["cost"] is None and total["cost_of_priced"] is not None:
        cost, cost_note = _amount(total["cost_of_priced"]), f"{money}, for {total['priced']} VMs: {_lacks(total)}"
    elif total["cost"] is None:
        cost_note = f"cost: {_lacks(total)}"
    rate_note = f"{money} an hour" if total["cost_per_hour"] is not None else f"an hour: {_lacks(total)}"
    yield '<div class="tiles">'
    for figure, note in (
        (str(total["vms"]), f"VMs, {_count(total['ready'])} of them Ready nodes"),
        (_amount(total["hours"]), "VM hours since they were made"),
        (cost, cost_note),
        (_amount(total["cost_per_hour"], 4), rate_note),
        (_percent(total["cpu"]["requested_share"]), "of the CPU asked for by pods"),
        (_percent(total["cpu"]["used_share"]), "of the CPU used"),
    ):
        yield f'<div class="tile"><strong>{figure}</strong><small>{escape(note)}</small></div>'
    yield "</div>"


def _findings(report: Figures) -> Iterator[str]:
    if not report["findings"]:
        days = report["warn_days"]
        yield f'<p class="up">Nothing ends within {days} days, and no VM is long without a Ready node.</p>'
        return
    yield "<h2>To look after</h2><ul>"
    for each in report["findings"]:
        where = f"{each['host']}: " if each["host"] else ""
        said = f"{where}{each['variable']}: {each['message']}"
        yield f"<li>{escape(said)} <small>{escape(each['remedy'])} [{escape(each['code'])}]</small></li>"
    yield "</ul>"


def _owner_columns(money: str) -> list[_Column]:
    return [
        _Column("Owner", "", lambda row: escape(row["name"]), False),
        _Column("Pools", "", lambda row: escape(", ".join(row["pools"])), False),
        *_sum_columns(money),
    ]


def _pool_columns(money: str) -> list[_Column]:
    return [
        _Column("Pool", "purpose", lambda row: f"{escape(row['name'])}{_small(row['purpose'])}", False),
        _Column("Owner", "", lambda row: escape(row["owner"]), False),
        _Column("State", "", lambda row: escape(row["state"]), False, lambda row: _STATES.get(row["state"], "")),
        _Column("Since", "oldest VM", lambda row: escape(row["since"]) or _DASH, False),
        _Column("Until", "last day, days left", _until, False),
        *_sum_columns(money),
        _Column("Cost to the end", money, lambda row: _amount(row["cost_to_end"])),
    ]


def _sum_columns(money: str) -> list[_Column]:
    return [
        _Column("VMs", "there, Ready, wanted", _counted),
        _Column("Time", "VM hours: all, this month", lambda row: _two(row["hours"], row["hours_this_month"])),
        _Column("Cost", f"{money}: all, this month", _cost),
        _Column("Rate", f"{money} an hour", lambda row: _amount(row["cost_per_hour"], 4)),
        *_use_columns(),
    ]


def _use_columns() -> list[_Column]:
    return [
        _Column("CPU", "asked for, used, % of cores", lambda row: _use(row["cpu"])),
        _Column("Memory", "asked for, used, % of GiB", lambda row: _use(row["memory"])),
    ]


def _vms(report: Figures, money: str) -> Iterator[str]:
    columns = [
        _Column("VM", "id", lambda row: f"{escape(row['name'])}{_small(row['id'])}", False),
        _Column("Type", "zone, charge", lambda row: f"{escape(row['type'])}{_small(_kind(row))}", False),
        _Column("Status", "", lambda row: escape("being released" if row["released"] else row["status"]), False),
        _Column("Node", "", _node, False),
        _Column("Since", "UTC", lambda row: escape(row["since"]) or _DASH, False),
        _Column(
            "Until", "because of", lambda row: f"{escape(row['until']) or _DASH}{_small(row['until_because'])}", False
        ),
        _Column("Time", "hours: all, this month", lambda row: _two(row["hours"], row["hours_this_month"])),
        _Column("Cost", f"{money}: all, this month", lambda row: _two(row["cost"], row["cost_this_month"])),
        _Column("Pods", "", lambda row: _count(row["pods"])),
        *_use_columns(),
    ]
    for pool in report["pools"]:
        rows = [vm for vm in report["vms"] if vm["pool"] == pool["name"]]
        if rows:
            yield f"<details><summary>{escape(pool['name'])}: {len(rows)} VMs</summary>"
            yield _table(columns, rows)
            yield "</details>"


def _table(columns: Sequence[_Column], rows: Iterable[Figures]) -> str:
    heads = "".join(f"<th{_figure(column)}>{escape(column.title)}{_small(column.unit)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(_cell(column, row) for column in columns)}</tr>\n" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table>"


def _cell(column: _Column, row: Figures) -> str:
    state = column.state(row)
    return f"<td{_figure(column, state)}>{column.cell(row)}</td>"


def _figure(column: _Column, state: str = "") -> str:
    classes = " ".join(filter(None, ("figure" if column.is_figure else "", state)))
    return f' class="{classes}"' if classes else ""


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def _kind(row: Figures) -> str:
    return f"{row['zone']}, {row['charge_type']}"


def _node(row: Figures) -> str:
    if not row["node"]:
        return _DASH
    return f"{escape(row['node'])}{_small('Ready' if row['ready'] else 'not Ready')}"


def _counted(row: Figures) -> str:
    ready, wanted = _count(row["ready"]), f", {row['wanted']} wanted" if "wanted" in row else ""
    return f"{row['vms']}{_small(f'{ready} Ready{wanted}')}"


def _until(row: Figures) -> str:
    if not row["until"]:
        return _DASH
    left = row["days_left"]
    return f"{escape(row['until'])}{_small(f'{left} days' if left is not None else 'by its tag')}"


def _cost(row: Figures) -> str:
    if row["cost"] is not None:
        return _two(row["cost"], row["cost_this_month"])
    return f"{_DASH}{_small(_lacks(row))}"


def _two(first: float | None, second: float | None) -> str:
    return f"{_amount(first)}{_small(_amount(second))}"


def _count(value: int | None) -> str:
    return _DASH if value is None else f"{value:,}"


def _amount(value: float | None, digits: int = 2) -> str:
    return _DASH if value is None else f"{value:,.{digits}f}"


def _use(shares: Mapping[str, Any]) -> str:
    if shares["allocatable"] is None:
        return _DASH
    asked, used = shares["requested_share"], _percent(shares["used_share"])
    gauge = f'<span class="bar"><i style="width:{min(100.0, asked * 100):.0f}%"></i></span>'
    return f"{_percent(asked)}{_small(f'{used} used')}{gauge}"


def _percent(share: float | None) -> str:
    return _DASH if share is None else f"{share * 100:.0f} %"


def _definitions(said: Mapping[str, str]) -> str:
    entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>\n" for name, text in said.items())
    return f"<dl>{entries}</dl>"
