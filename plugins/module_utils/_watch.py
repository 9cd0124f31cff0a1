# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of collections as they happen, from threads into one queue; private to this collection."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, KubeError, Object, Watch

# The first one in an event is that of the object.
_VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
_EXPIRED = 410
_HOPELESS = (401, 403, 404)
_TRIES = 5
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Listed:
    """All that a collection holds; ``asked`` is when it was asked for."""

    kind: str
    items: list[Any]
    asked: float


@dataclass(frozen=True)
class Changed:
    """One change of one object: ADDED, MODIFIED or DELETED."""

    kind: str
    change: str
    item: Object


@dataclass(frozen=True)
class Lost:
    """The collection cannot be followed any longer."""

    kind: str
    error: KubeError


News = Union[Listed, Changed, Lost]


@dataclass(frozen=True)
class Source:
    """A collection to follow. ``read`` gives all of it and its version; ``concerns`` tells from the bytes of an event
    whether it is worth decoding."""

    kind: str
    path: str
    read: Callable[[], tuple[list[Any], str]]
    concerns: Callable[[bytes], bool] = lambda _line: True


class Feed:
    """Follows a collection from ``version`` on in a thread of its own, and tells ``emit``.

    A connection that ends is made again where it ended; when the server no longer knows the place (410), everything is
    read anew.
    """

    def __init__(
        self, cluster: Cluster, source: Source, version: str, emit: Callable[[News], None], clock: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._source = source
        self._version = version
        self._emit = emit
        self._clock = clock
        self._ended = threading.Event()
        self._watch: Watch | None = None
        self._thread = threading.Thread(target=self._follow, name=f"watch {source.kind}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """No more news after this; the thread is waited for, but not for long."""
        self._ended.set()
        if self._watch is not None:
            self._watch.end()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _follow(self) -> None:
        failures = 0
        while not self._ended.is_set():
            try:
                if not self._version:
                    asked = self._clock()
                    items, self._version = self._source.read()
                    self._tell(Listed(self._source.kind, items, asked))
                self._watch = self._cluster.watch(self._source.path, self._version)
                failures = 0
                for line in self._watch:
                    if self._ended.is_set():
                        break
                    self._take(line)
            except KubeError as error:
                if self._ended.is_set():
                    return
                if error.status == _EXPIRED:
                    self._version = ""
                    continue
                failures += 1
                if error.status in _HOPELESS and failures >= _TRIES:
                    self._tell(Lost(self._source.kind, error))
                    return
                self._ended.wait(min(_LONGEST_PAUSE, 0.2 * 2**failures))

    def _take(self, line: bytes) -> None:
        if line.startswith(b'{"type":"ERROR"'):
            said = json.loads(line)["object"]
            raise KubeError(str(said.get("message", "")), int(said.get("code", 0)), self._source.path)
        version = _VERSION.search(line)
        if version:
            self._version = version[1].decode()
        if line.startswith(b'{"type":"BOOKMARK"') or not line or not self._source.concerns(line):
            return
        event = json.loads(line)
        self._tell(Changed(self._source.kind, event["type"], event["object"]))

    def _tell(self, news: News) -> None:
        if not self._ended.is_set():
            self._emit(news)
