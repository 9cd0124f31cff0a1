# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alibaba Cloud behind one function; private to this collection, runs on the controller.

A request is an action and parameters; an answer is the JSON that the cloud gives. Production and tests differ only by
their endpoints.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, TypeVar

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.library import LibraryTransport
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import (
    CS,
    ECS,
    VERSIONS,
    Access,
    Credentials,
    Request,
    Transport,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Patience

SCHEMES = ("https", "http")
WORKERS = 8
# Every request of ours that lists takes pages of this size.
PAGE = 100
# The objects that one request tags.
TAGGED_AT_ONCE = 50
_PATIENCE = Patience()

Answer = dict[str, Any]
Item = TypeVar("Item")
Value = TypeVar("Value")

CREDENTIAL_ARGUMENTS: dict[str, dict[str, Any]] = {
    "access_key_id": {"type": "str", "no_log": True},
    "access_key_secret": {"type": "str", "no_log": True},
    "security_token": {"type": "str", "no_log": True},
    "ram_role": {"type": "str"},
}
CLOUD_ARGUMENTS: dict[str, dict[str, Any]] = {
    "region": {"type": "str", "required": True},
    "credentials": {
        "type": "dict",
        "default": {},
        "options": CREDENTIAL_ARGUMENTS,
        "required_together": [("access_key_id", "access_key_secret")],
        "required_by": {"security_token": ("access_key_id",)},
        "mutually_exclusive": [("access_key_id", "ram_role")],
    },
    "endpoints": {
        "type": "dict",
        "default": {},
        "options": {
            **{product: {"type": "str"} for product in VERSIONS},
            "scheme": {"type": "str", "choices": list(SCHEMES), "default": "https"},
        },
    },
}


class Cloud:
    """A region of the cloud, for one account. Safe to use from several threads; methods raise :class:`CloudError`.

    What fails for a passing reason is tried again within ``patience``, a lost answer among it: whoever calls sees to it
    that an action may be done twice (a ClientToken, or an action of which the second does nothing).
    """

    def __init__(
        self,
        transport: Transport,
        region: str,
        patience: Patience = _PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.region = region
        self.requests: Counter[str] = Counter()
        self._transport = transport
        self._patience = patience
        self._sleep = sleep
        self._lock = threading.Lock()
        self._date = ""

    @property
    def date(self) -> str:
        """The cloud's own time, from its last answer, in the form of HTTP; empty before the first."""
        return self._date

    def call(self, action: str, product: str = ECS, **parameters: Any) -> Answer:
        """One action of ECS or VPC. Lists and mappings in ``parameters`` become ``Name.1.Key``; None is left out."""
        query = dict(flat({"RegionId": self.region, **parameters}))
        answer: Answer = self._send(Request(product, action, query))
        return answer

    def rest(
        self,
        action: str,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """One action of CS, which is REST."""
        return self._send(Request(CS, action, dict(flat(query or {})), method, path, body))

    def items(self, action: str, path: Sequence[str], product: str = ECS, **parameters: Any) -> Iterator[Answer]:
        """All items of an action that gives its pages by token, under ``path`` of each answer."""
        token: str | None = None
        while True:
            answer = self.call(action, product, MaxResults=PAGE, NextToken=token, **parameters)
            yield from _under(answer, path)
            token = answer.get("NextToken") or None
            if token is None:
                return

    def numbered_items(
        self, action: str, path: Sequence[str], product: str = ECS, page: int = PAGE, **parameters: Any
    ) -> Iterator[Answer]:
        """All items of an action that counts its pages."""
        number = seen = 0
        while True:
            number += 1
            answer = self.call(action, product, PageNumber=number, PageSize=page, **parameters)
            found = _under(answer, path)
            yield from found
            seen += len(found)
            if not found or seen >= int(answer.get("TotalCount") or 0):
                return

    def pause(self, seconds: float) -> None:
        """Wait, where what was asked for takes its time."""
        self._sleep(seconds)

    def _send(self, request: Request) -> Any:
        deadline = time.monotonic() + self._patience.total
        attempt = 0
        while True:
            with self._lock:
                self.requests[request.action] += 1
            try:
                answer, headers = self._transport.send(request)
            except CloudError as error:
                pause = self._patience.pause(attempt, None)
                if not error.is_passing:
                    raise
                if time.monotonic() + pause > deadline:
                    raise _given_up(error, self._patience.total) from error
                self._sleep(pause)
                attempt += 1
            else:
                self._date = headers.get("date", self._date)
                return answer


def access_of(params: Mapping[str, Any]) -> Access:
    """Where and who, of a module's options (``CLOUD_ARGUMENTS``)."""
    endpoints = params["endpoints"] or {}
    given = params["credentials"] or {}
    return Access(
        region=params["region"],
        credentials=Credentials(**{name: str(given.get(name) or "") for name in CREDENTIAL_ARGUMENTS}),
        endpoints={product: endpoints[product] for product in VERSIONS if endpoints.get(product)},
        scheme=endpoints.get("scheme") or SCHEMES[0],
    )


def open_cloud(access: Access, patience: Patience = _PATIENCE) -> Cloud:
    """The cloud behind ``access``; nothing is asked of it yet. Raises CloudError where the libraries are missing."""
    return Cloud(LibraryTransport(access), access.region, patience)


def all_of(work: Callable[[Item], Value], items: Sequence[Item]) -> list[Value]:
    """Do ``work`` for each item, a few at a time, in their order. What it raises ends the rest."""
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        return list(pool.map(work, items))


def chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """``items`` in pieces that an action takes at once."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The parameters of an RPC action as it wants them: ``Tag.1.Key``, ``SystemDisk.Size``, ``true``."""
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            yield from flat(item, f"{name}.")
        elif isinstance(item, (list, tuple)):
            yield from flat({str(index): entry for index, entry in enumerate(item, 1)}, f"{name}.")
        elif isinstance(item, bool):
            yield name, str(item).lower()
        elif item is not None:
            yield name, str(item)


def tags(wanted: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as actions take them."""
    return [{"Key": key, "Value": value} for key, value in sorted(wanted.items())]


def tags_in(item: Mapping[str, Any]) -> dict[str, str]:
    """The tags of an answer's item."""
    return {str(tag.get("TagKey")): str(tag.get("TagValue") or "") for tag in _under(item, ("Tags", "Tag"))}


def _under(answer: Mapping[str, Any], path: Sequence[str]) -> list[Any]:
    value: Any = answer
    for key in path:
        value = (value or {}).get(key)
    return list(value or ())


def _given_up(error: CloudError, seconds: float) -> CloudError:
    return CloudError(
        error.action,
        error.code,
        f"tried for {seconds:g} s: {error.message}",
        error.request_id,
        error.status,
        "Check estate_cloud.endpoints and the way to them." if not error.status else "Try again later.",
    )
