"""The proxy and its rules: what tests of trouble stand on."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

import urllib3
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Patience, connect

from tests.integration.faults import BROKEN, CUT, THROTTLED, Outage, RotatedToken, Shares, first_of
from tests.integration.faulty_proxy import FaultyProxy, Request

NODES = "/api/v1/nodes"


def asked(number, authorization=""):
    return Request(number, "GET", NODES, b"", authorization)


def test_shares_are_shares_and_the_seed_decides():
    shares = ((0.2, THROTTLED), (0.05, BROKEN), (0.05, CUT))
    rule = Shares(1, *shares)
    counted = Counter(fault.status for _n in range(2000) if (fault := rule(asked(1))))
    assert 0.17 < counted[429] / 2000 < 0.23
    assert 0.03 < counted[0] / 2000 < 0.07
    first, second = Shares(7, *shares), Shares(7, *shares)
    assert [first(asked(n)) for n in range(99)] == [second(asked(n)) for n in range(99)]
    assert Shares(1, (1.0, CUT), methods=("PATCH",))(asked(1)) is None


def test_an_outage_begins_once_and_ends():
    called = []
    outage = Outage(after=2, seconds=0.2, begins=lambda: called.append(1))
    assert [outage(asked(n)) for n in (1, 2, 3, 4)] == [None, None, CUT, CUT]
    assert not outage.over
    time.sleep(0.25)
    assert (outage(asked(5)), outage.over, called) == (None, True, [1])
    assert first_of(outage, lambda _request: BROKEN)(asked(6)) is BROKEN


def test_a_rotated_token_is_in_the_file_before_the_old_one_is_refused(plane, tmp_path):
    path = tmp_path / "config"
    tokens = RotatedToken(plane.kubeconfig, path, after=1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert tokens(asked(1, "Bearer token-1")) is None
    assert tokens(asked(2, "Bearer token-1")).status == 401
    assert json.loads(path.read_text())["users"][0]["user"] == {"token": "token-2"}
    assert tokens(asked(3, "Bearer token-2")) is None


def test_watches_are_passed_on_and_can_be_cut(plane, cluster, tmp_path):
    seen, ended = [], threading.Event()

    def watch(pool, url):
        answer = pool.request("GET", url, preload_content=False, retries=False)
        try:
            while part := answer.read1():
                seen.append(part)
        except urllib3.exceptions.HTTPError:
            pass
        ended.set()

    with FaultyProxy(plane, tmp_path) as proxy:
        pool = connect(proxy.kubeconfig, patience=Patience(total=5))._credentials.pool
        url = f"{proxy.server}{NODES}?watch=true&timeoutSeconds=30"
        threading.Thread(target=watch, args=(pool, url), daemon=True).start()
        time.sleep(0.5)
        cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "watched"}})
        deadline = time.monotonic() + 10
        while not any(b'"watched"' in part for part in seen):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        proxy.cut_watches()
        assert ended.wait(5)
