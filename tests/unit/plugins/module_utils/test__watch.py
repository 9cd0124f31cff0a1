# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import queue

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _watch
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError
from ansible_collections.hybridk8s.estate.plugins.module_utils._watch import Feed, Listed, Lost, Source


def event(change, name, version):
    item = {"kind": "Pod", "metadata": {"name": name, "resourceVersion": version, "annotations": {}}}
    return json.dumps({"type": change, "object": item}, separators=(",", ":")).encode()


class Lines(list):
    def end(self):
        return None


class Server:
    """Answers one watch after the other with what `answers` holds: lines, or an error; then it is silent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.silent = queue.Queue()

    def watch(self, _path, version):
        self.asked.append(version)
        if not self.answers:
            self.silent.put(True)
            raise KubeError("no connection")
        answer = self.answers.pop(0)
        if isinstance(answer, KubeError):
            raise answer
        return Lines(answer)


def news_of(server, read=None, concerns=lambda _line: True):
    heard = []
    feed = Feed(server, Source("pods", "/pods", read, concerns), "1", heard.append, lambda: 7.0)
    feed.start()
    server.silent.get(timeout=10)
    feed.end()
    return heard


def told(heard):
    return [(item.change, item.item["metadata"]["name"]) for item in heard]


def test_changes_are_told_and_a_connection_that_ends_goes_on_where_it_was():
    bookmark = event("BOOKMARK", "", "9")
    server = Server([event("ADDED", "a", "5"), event("MODIFIED", "a", "6")], [event("DELETED", "a", "8"), bookmark], [])
    assert told(news_of(server)) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert server.asked == ["1", "6", "9", "9"]


def test_what_does_not_concern_us_is_not_decoded_but_moves_us_on():
    server = Server([event("ADDED", "theirs", "5"), event("ADDED", "ours", "6")], [b'{"resourceVersion":"7",not JSON'])
    assert told(news_of(server, concerns=lambda line: b"ours" in line)) == [("ADDED", "ours")]
    assert server.asked == ["1", "6", "7"]


@pytest.mark.parametrize(
    "expired", [KubeError("too old", 410), [b'{"type":"ERROR","object":{"code":410,"message":"too old"}}']]
)
def test_a_place_that_the_server_no_longer_knows_means_reading_anew(expired):
    heard = news_of(Server(expired, [event("ADDED", "b", "21")]), read=lambda: (["everything"], "20"))
    assert heard[0] == Listed("pods", ["everything"], 7.0)
    assert told(heard[1:]) == [("ADDED", "b")]


def test_failures_that_pass_are_tried_again_and_others_are_told(monkeypatch):
    monkeypatch.setattr(_watch, "_LONGEST_PAUSE", 0.01)
    passing = [KubeError("cut")] * 9
    assert told(news_of(Server(*passing, [event("ADDED", "a", "5")]))) == [("ADDED", "a")]
    refused = Server(*[KubeError("no rights", 403)] * 5)
    heard = queue.Queue()
    feed = Feed(refused, Source("pods", "/pods", None), "1", heard.put, lambda: 0.0)
    feed.start()
    assert isinstance(heard.get(timeout=10), Lost)
    feed.end()
