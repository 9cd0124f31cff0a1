"""The state on disk: what exists, was billed, was asked. What is committed survives the end of the process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakecloud.model import KINDS, Resource

SCHEMA = """
create table if not exists resources (kind text, id text, data text, primary key (kind, id));
create table if not exists settings (name text primary key, data text);
create table if not exists billing (
  number integer primary key, kind text, id text, account text, began real, ended real,
  began_by text, ended_by text, detail text);
create index if not exists open_periods on billing (kind, id) where ended is null;
create table if not exists requests (
  number integer primary key, time real, product text, action text, parameters text, key text, status integer,
  code text, request_id text, seconds real, writes integer);
"""


@dataclass(frozen=True)
class Period:
    """A time in which something was billed; `ended` is None as long as it exists."""

    kind: str
    id: str
    account: str
    began: float
    ended: float | None
    began_by: str
    ended_by: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class LoggedRequest:
    """A request and its answer. `status` 0: the connection was cut."""

    time: float
    product: str
    action: str
    parameters: dict[str, Any]
    key: str
    status: int
    code: str
    request_id: str
    seconds: float
    writes: bool


class Store:
    """Not safe for threads by itself: the cloud's lock guards it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = sqlite3.connect(directory / "cloud.sqlite", check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        # A killed process loses nothing this way; only a power cut of the machine might.
        self._database.executescript(f"pragma journal_mode = wal; pragma synchronous = off; {SCHEMA}")

    def commit(self) -> None:
        self._database.commit()

    def close(self) -> None:
        self._database.commit()
        self._database.close()

    def clear(self, *, keep_settings: bool) -> None:
        for table in ("resources", "billing", "requests"):
            self._database.execute(f"delete from {table}")
        if not keep_settings:
            self._database.execute("delete from settings")

    def load(self) -> Iterator[Resource]:
        kinds = {kind.kind: kind for kind in KINDS}
        for kind, data in self._database.execute("select kind, data from resources"):
            yield kinds[kind](**json.loads(data))

    def save(self, resource: Resource) -> None:
        row = (resource.kind, resource.id, json.dumps(resource.to_dict()))
        self._database.execute("insert or replace into resources values (?, ?, ?)", row)

    def remove(self, resource: Resource) -> None:
        self._database.execute("delete from resources where kind = ? and id = ?", (resource.kind, resource.id))

    def setting(self, name: str) -> Any:
        row = self._database.execute("select data from settings where name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def set(self, name: str, value: Any) -> None:
        self._database.execute("insert or replace into settings values (?, ?)", (name, json.dumps(value)))

    def begin_period(self, period: Period) -> None:
        self._database.execute(
            "insert into billing values (null, ?, ?, ?, ?, null, ?, '', ?)",
            (period.kind, period.id, period.account, period.began, period.began_by, json.dumps(period.detail)),
        )

    def end_period(self, kind: str, identifier: str, now: float, cause: str) -> None:
        self._database.execute(
            "update billing set ended = ?, ended_by = ? where kind = ? and id = ? and ended is null",
            (now, cause, kind, identifier),
        )

    def periods(self) -> list[Period]:
        columns = "kind, id, account, began, ended, began_by, ended_by, detail"
        rows = self._database.execute(f"select {columns} from billing order by number")
        return [Period(**{**dict(row), "detail": json.loads(row["detail"])}) for row in rows]

    def log(self, entries: Iterable[LoggedRequest]) -> None:
        self._database.executemany(
            "insert into requests values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(entry.time, entry.product, entry.action, json.dumps(entry.parameters), entry.key),
                    *(entry.status, entry.code, entry.request_id, entry.seconds, int(entry.writes)),
                )
                for entry in entries
            ],
        )

    def requests(self) -> list[LoggedRequest]:
        columns = "time, product, action, parameters, key, status, code, request_id, seconds, writes"
        rows = self._database.execute(f"select {columns} from requests order by number")
        return [
            LoggedRequest(**{**dict(row), "parameters": json.loads(row["parameters"]), "writes": bool(row["writes"])})
            for row in rows
        ]
