# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from itertools import chain, repeat
from unittest.mock import Mock

import pytest
import urllib3
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kube, _kubeconfig
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    Cluster,
    Credentials,
    EmptyCluster,
    KubeError,
    Outcome,
    Patience,
    parallel,
    until_settled,
)

A, B = "https://a:6443", "https://b:6443"


@dataclass
class Answer:
    status: int = 200
    body: object = field(default_factory=dict)
    headers: dict = field(default_factory=dict)

    @property
    def data(self):
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body, separators=(",", ":")).encode()


class Script:
    """A pool that gives the next answer of a list, raises it, or asks a function; keeps what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def request(self, method, url, **options):
        self.asked.append((method, url, options))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def clear(self):
        self.answers = None

    @property
    def urls(self):
        return [url for _method, url, _options in self.asked]


def cluster_of(*answers, servers=(A,), **patience):
    pool, slept = Script(*answers), []
    cluster = Cluster(pool, servers, lambda: {"authorization": "Bearer t"}, Patience(**patience), slept.append)
    return cluster, pool, slept


def refused():
    return urllib3.exceptions.NewConnectionError(None, "refused")


def test_a_request_carries_authorization_and_has_limits():
    cluster, pool, _slept = cluster_of(Answer(body={"a": 1}))
    assert cluster.get("/api/v1/nodes/w1") == {"a": 1}
    ((method, url, options),) = pool.asked
    assert (method, url) == ("GET", f"{A}/api/v1/nodes/w1")
    assert options["headers"]["authorization"] == "Bearer t"
    assert options["timeout"].connect_timeout == 5.0
    assert (options["retries"], options["redirect"]) == (False, False)


def test_what_is_not_there_is_none_and_other_refusals_are_errors():
    cluster, _pool, _slept = cluster_of(Answer(404), Answer(403, {"kind": "Status", "message": "no rights"}))
    assert cluster.get("/api/v1/nodes/w1") is None
    with pytest.raises(KubeError) as caught:
        cluster.get("/api/v1/nodes/w1")
    assert (caught.value.status, caught.value.target) == (403, "nodes/w1")
    assert str(caught.value).startswith("nodes/w1: no rights (HTTP 403). Use a kubeconfig")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(status):
    cluster, pool, slept = cluster_of(Answer(status), Answer(body={"ok": 1}))
    assert cluster.get("/x") == {"ok": 1}
    assert (len(pool.asked), len(slept), cluster.requests) == (2, 1, 2)


def renewed_cluster(old, fresh):
    """A cluster whose pool ``old`` can be replaced by ``fresh`` ones, and those that were asked for."""
    renewals = []

    def renew():
        pool = fresh.pop(0)
        renewals.append(pool)
        if isinstance(pool, Exception):
            raise pool
        return Credentials(pool, lambda: {"authorization": "Bearer new"})

    return Cluster(old, (A,), lambda: {"authorization": "Bearer old"}, renew=renew), renewals


def test_credentials_that_were_replaced_are_read_again():
    fresh = Script(Answer(body={"ok": 1}), Answer(body={"ok": 2}))
    cluster, renewals = renewed_cluster(Script(Answer(401)), [fresh])
    assert [cluster.get("/x"), cluster.get("/x")] == [{"ok": 1}, {"ok": 2}]
    assert fresh.asked[0][2]["headers"]["authorization"] == "Bearer new"
    assert (renewals, cluster.requests) == ([fresh], 3)


def test_credentials_that_are_refused_again_end_the_request():
    cluster, renewals = renewed_cluster(Script(Answer(401)), [Script(Answer(401))])
    with pytest.raises(KubeError, match="credentials are not accepted"):
        cluster.get("/x")
    assert len(renewals) == 1


def test_a_kubeconfig_that_is_gone_when_it_is_read_again_is_named():
    cluster, _renewals = renewed_cluster(Script(Answer(401)), [KubeError("there is no kubeconfig at /x.")])
    with pytest.raises(KubeError, match="no kubeconfig at /x"):
        cluster.get("/x")


def test_threads_renew_credentials_once():
    class Old:
        def __init__(self):
            self.all_asked = threading.Barrier(4)

        def request(self, *_arguments, **_options):
            self.all_asked.wait(5)
            return Answer(401)

    cluster, renewals = renewed_cluster(Old(), [Script(*[Answer(body={"ok": 1})] * 4)])
    outcomes = parallel(lambda _n: cluster.get("/x"), range(4))
    assert [outcome.value for outcome in outcomes] == [{"ok": 1}] * 4
    assert len(renewals) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 410, 415, 422])
def test_lasting_failures_are_not(status):
    cluster, pool, slept = cluster_of(Answer(status))
    with pytest.raises(KubeError) as caught:
        cluster.get("/x")
    assert (caught.value.status, len(pool.asked), slept) == (status, 1, [])


@pytest.mark.parametrize(
    "error",
    [
        refused(),
        urllib3.exceptions.ProtocolError("Connection aborted."),
        urllib3.exceptions.ReadTimeoutError(None, "", "timed out"),
        urllib3.exceptions.SSLError("EOF occurred in violation of protocol"),
    ],
)
def test_lost_connections_are_tried_again(error):
    cluster, _pool, slept = cluster_of(error, Answer(body={"ok": 1}))
    assert cluster.get("/x") == {"ok": 1}
    assert len(slept) == 1


@pytest.mark.parametrize(
    "text", ["[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "hostname 'a' doesn't match 'b'"]
)
def test_a_wrong_certificate_is_final_and_explained(text):
    cluster, pool, _slept = cluster_of(urllib3.exceptions.SSLError(text), servers=(A, B))
    with pytest.raises(KubeError, match="Use this cluster's kubeconfig"):
        cluster.get("/x")
    assert len(pool.asked) == 1


@pytest.mark.parametrize(
    ("header", "slept"), [("3", 3.0), ("0", 0.0), ("2.5", 2.5), ("-1", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
)
def test_retry_after(header, slept):
    cluster, _pool, sleeps = cluster_of(Answer(429, headers={"Retry-After": header}), Answer())
    cluster.get("/x")
    assert sleeps == [slept] if slept is not None else 0 < sleeps[0] <= 0.2


def test_a_retry_after_beyond_all_patience_is_an_error_at_once():
    cluster, _pool, slept = cluster_of(Answer(429, {"message": "busy"}, {"Retry-After": "3600"}), total=40)
    with pytest.raises(KubeError, match="busy"):
        cluster.get("/x")
    assert slept == []


def test_back_off_grows_and_is_bounded():
    patience = Patience(total=100, first=0.2, longest=5)
    pauses = [patience.pause(attempt, None) for attempt in range(12)]
    assert 0.15 <= pauses[0] <= 0.2
    assert 0.3 <= pauses[1] <= 0.4
    assert max(pauses) <= 5.0
    assert min(pauses[6:]) >= 3.75


def test_patience_ends_with_what_was_said_last(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_kube.time, "monotonic", lambda: now[0])
    pool = Script(*[Answer(503, {"message": "etcd is away"})] * 1000)
    cluster = Cluster(pool, [A], dict, Patience(total=40), lambda seconds: now.__setitem__(0, now[0] + seconds))
    with pytest.raises(KubeError, match="etcd is away") as caught:
        cluster.get("/x")
    assert caught.value.status == 503
    assert 35 < now[0] <= 40
    assert 8 <= len(pool.asked) <= 16


def test_a_single_server_is_used_without_asking_it_first():
    cluster, pool, _slept = cluster_of(Answer())
    cluster.get("/x")
    assert pool.urls == [f"{A}/x"]


@pytest.mark.parametrize("answer", [Answer(200), Answer(401), Answer(403)])
def test_the_first_server_that_answers_is_used(answer):
    cluster, pool, _slept = cluster_of(refused(), answer, Answer(), Answer(), servers=(A, B))
    cluster.get("/x")
    cluster.get("/y")
    assert pool.urls == [f"{A}/readyz", f"{B}/readyz", f"{B}/x", f"{B}/y"]


def test_a_server_that_is_not_ready_is_passed_over():
    cluster, pool, _slept = cluster_of(Answer(500), Answer(200), Answer(), servers=(A, B))
    cluster.get("/x")
    assert pool.urls[-1] == f"{B}/x"


@pytest.mark.parametrize("failure", [refused(), Answer(500), Answer(503)])
def test_a_server_that_fails_later_is_left(failure):
    ready = Answer(200)
    cluster, pool, _slept = cluster_of(ready, failure, ready, Answer(body={"ok": 1}), servers=(A, B))
    assert cluster.get("/x") == {"ok": 1}
    assert pool.urls == [f"{A}/readyz", f"{A}/x", f"{B}/readyz", f"{B}/x"]


def test_a_server_that_throttles_is_not_left():
    cluster, pool, _slept = cluster_of(Answer(200), Answer(429), Answer(), servers=(A, B))
    cluster.get("/x")
    assert pool.urls == [f"{A}/readyz", f"{A}/x", f"{A}/x"]


def test_when_none_answers_each_is_named():
    cluster, _pool, _slept = cluster_of(*[refused()] * 100, servers=(A, B), total=0.0)
    with pytest.raises(KubeError) as caught:
        cluster.get("/x")
    assert A in str(caught.value)
    assert B in str(caught.value)


def page(names, token=""):
    return {"kind": "NodeList", "metadata": {"continue": token}, "items": [{"metadata": {"name": n}} for n in names]}


def name_of(item):
    return item["metadata"]["name"]


def test_list_reads_all_pages_and_keeps_what_is_asked_for():
    cluster, pool, _slept = cluster_of(Answer(body=page("ab", "t/1")), Answer(body=page("c")))
    assert cluster.list("/n", {"labelSelector": "a=b,c"}, page=2, keep=name_of) == ["a", "b", "c"]
    assert pool.urls == [
        f"{A}/n?labelSelector=a%3Db%2Cc&limit=2",
        f"{A}/n?labelSelector=a%3Db%2Cc&limit=2&continue=t%2F1",
    ]


def test_an_expired_list_starts_again_without_duplicates():
    answers = [Answer(body=page("ab", "t")), Answer(410), Answer(body=page("abc"))]
    cluster, _pool, _slept = cluster_of(*answers)
    assert cluster.list("/n", keep=name_of) == ["a", "b", "c"]


ITEM = {"metadata": {"name": 'a],"items":['}, "data": {"text": "]}, é"}}


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"continue": ""}, "items": [ITEM, ITEM]},
        {"items": [ITEM, ITEM], "metadata": {"continue": ""}},
        json.dumps({"metadata": {}, "items": [ITEM, ITEM]}, indent=1).encode(),
        json.dumps({"metadata": {}, "items": [ITEM, ITEM]}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n",
    ],
)
def test_items_are_decoded_whatever_they_hold_and_however_the_list_is_written(body):
    cluster, _pool, _slept = cluster_of(Answer(body=body))
    assert cluster.list("/n") == [ITEM, ITEM]


@pytest.mark.parametrize("body", [page([]), {"items": None, "metadata": {}}, {"metadata": {}}])
def test_empty_lists(body):
    cluster, _pool, _slept = cluster_of(Answer(body=body))
    assert cluster.list("/n") == []


def test_a_collection_that_is_not_served_is_empty():
    cluster, _pool, _slept = cluster_of(Answer(404, b"404 page not found"))
    assert cluster.list("/apis/x/v1/ys") == []


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"items":[{}', b'{"items":[', b'{"items":[{}]', b'{"items":[x]}', b"\xff"]
)
def test_an_answer_that_is_not_json_is_an_error_that_says_so(body):
    cluster, _pool, _slept = cluster_of(Answer(body=body), Answer(body=body))
    with pytest.raises(KubeError, match="Check that the server is a Kubernetes API server"):
        cluster.list("/n")
    with pytest.raises(KubeError, match="the answer is not JSON"):
        cluster.get("/n/a")


def test_writes_say_who_writes_and_how():
    cluster, pool, _slept = cluster_of(Answer(), Answer(), Answer(), Answer(), Answer(404))
    cluster.merge("/n/a", {"metadata": {"labels": {"a": None}}})
    cluster.apply("/n/a", {"kind": "X"}, dry_run=True)
    cluster.create("/n", {"kind": "X"})
    assert cluster.delete("/n/a", uid="u1") is True
    assert cluster.delete("/n/a") is False
    merge, apply, create, delete, _again = pool.asked
    assert merge[2]["headers"]["Content-Type"] == "application/merge-patch+json"
    assert merge[2]["body"] == b'{"metadata":{"labels":{"a":null}}}'
    assert apply[1] == f"{A}/n/a?fieldManager=hybridk8s.estate&force=true&dryRun=All"
    assert apply[2]["headers"]["Content-Type"] == "application/apply-patch+yaml"
    assert (create[0], create[1]) == ("POST", f"{A}/n?fieldManager=hybridk8s.estate")
    assert json.loads(delete[2]["body"])["preconditions"] == {"uid": "u1"}


class Stream:
    """An answer that is read in parts, the last one perhaps an error."""

    headers = {}

    def __init__(self, *parts, status=200):
        self.status, self.closed = status, False
        self.read1 = Mock(side_effect=chain(parts, repeat(b"")))

    def read(self):
        return b'{"message": "said"}'

    def close(self):
        self.closed = True


def test_a_watch_gives_lines_however_they_come():
    stream = Stream(b'{"a"', b":1}\n{", b'"b":2}\n{"c":3}\n')
    cluster, pool, _slept = cluster_of(stream)
    assert list(cluster.watch("/api/v1/pods", "7")) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    assert stream.closed
    ((_method, url, options),) = pool.asked
    assert "watch=1&resourceVersion=7" in url
    assert options["preload_content"] is False
    assert cluster.requests == 1


@pytest.mark.parametrize("error", [refused(), OSError("reset"), ValueError("closed")])
def test_a_watch_that_breaks_off_is_an_error_after_what_came(error):
    watch = cluster_of(Stream(b"{}\n", error))[0].watch("/api/v1/pods", "7")
    lines = iter(watch)
    assert next(lines) == b"{}"
    with pytest.raises(KubeError):
        next(lines)


@pytest.mark.parametrize("answer", [Stream(status=410), refused()])
def test_a_watch_that_is_refused_is_an_error_at_once(answer):
    cluster, _pool, slept = cluster_of(answer)
    with pytest.raises(KubeError) as raised:
        cluster.watch("/api/v1/pods", "7")
    assert (raised.value.status, slept) == (getattr(answer, "status", 0), [])


def test_a_watch_renews_credentials_that_were_replaced():
    pool = Script(Stream(status=401), Stream(b"{}\n"))
    cluster = Cluster(pool, [A], dict, renew=lambda: Credentials(pool, lambda: {"authorization": "new"}))
    assert list(cluster.watch("/api/v1/pods", "7")) == [b"{}"]
    assert pool.asked[1][2]["headers"]["authorization"] == "new"


def test_an_empty_cluster_has_nothing_and_takes_nothing():
    cluster = EmptyCluster()
    assert cluster.get("/api/v1/nodes/w1") is None
    assert cluster.list("/api/v1/nodes") == []
    assert cluster.requests == 0
    with pytest.raises(AssertionError):
        cluster.merge("/api/v1/nodes/w1", {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "m", "reason": "R"}, "m"),
        ({"reason": "R"}, "R"),
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
        (b"", "no reason given"),
        (b"[]", "[]"),
    ],
)
def test_refusals_in_any_form_are_readable(body, said):
    cluster, _pool, _slept = cluster_of(Answer(422, body))
    with pytest.raises(KubeError) as caught:
        cluster.get("/x")
    assert caught.value.message == f"{said} (HTTP 422)."


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/v1/nodes/w1", "nodes/w1"),
        ("/api/v1/namespaces/a/pods/b/eviction", "namespaces/a/pods/b/eviction"),
        ("/apis/apps/v1/namespaces/a/daemonsets/b", "namespaces/a/daemonsets/b"),
        ("/apis/apps/v1", "/apis/apps/v1"),
        ("/readyz", "/readyz"),
    ],
)
def test_object_of(path, named):
    assert _kube.object_of(path) == named


def test_parallel_keeps_order_and_errors_with_their_items_and_is_bounded():
    running, most, lock = [0], [0], threading.Lock()

    def work(number):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.005)
        with lock:
            running[0] -= 1
        if number == 3:
            raise KubeError("three")
        return number * 2

    outcomes = parallel(work, list(range(20)), workers=4)
    assert [outcome.value for outcome in outcomes] == [None if n == 3 else n * 2 for n in range(20)]
    assert [str(outcome.error) for outcome in outcomes if outcome.error] == ["three"]
    assert 1 < most[0] <= 4
    assert parallel(work, []) == []
    assert parallel(work, [1]) == [Outcome(1, 2)]


def test_parallel_does_not_hide_what_is_not_an_answer_of_the_api():
    with pytest.raises(ZeroDivisionError):
        parallel(lambda number: 1 // number, [1, 0])


def test_all_parallel_gives_every_value_or_the_first_error():
    def work(number):
        if number < 0:
            raise KubeError(f"no {number}")
        return number * 2

    assert _kube.all_parallel(work, [1, 2]) == [(1, 2), (2, 4)]
    with pytest.raises(KubeError, match="no -1"):
        _kube.all_parallel(work, [1, -1, -2])


def test_until_settled_reads_again_after_conflicts_only(monkeypatch):
    monkeypatch.setattr(_kube.time, "sleep", lambda _seconds: None)
    asked = []

    def attempt(reread):
        asked.append(reread)
        if len(asked) < 3:
            raise KubeError("old", 409)
        return "done"

    assert until_settled(attempt) == "done"
    assert asked == [False, True, True]


@pytest.mark.parametrize(("status", "tries"), [(409, 4), (422, 1)])
def test_until_settled_ends(monkeypatch, status, tries):
    monkeypatch.setattr(_kube.time, "sleep", lambda _seconds: None)
    asked = []

    def attempt(reread):
        asked.append(reread)
        raise KubeError("no", status)

    with pytest.raises(KubeError):
        until_settled(attempt, tries=4)
    assert len(asked) == tries


KUBECONFIG = {
    "apiVersion": "v1",
    "clusters": [{"name": "lab", "cluster": {"server": A, "certificate-authority-data": "CA"}}],
    "users": [
        {"name": "u", "user": {"client-certificate-data": "CERT", "client-key-data": "KEY", "token": "TOKEN"}},
        {"name": "b", "user": {"username": "bob", "password": "PASSWORD"}},
        {
            "name": "e",
            "user": {"exec": {"command": "get-token", "env": [{"name": "AK", "value": "ENV"}, {"name": "X"}]}},
        },
        {"name": "o", "user": {"auth-provider": {"config": {"id-token": "ID", "client-secret": "CS", "empty": ""}}}},
    ],
}


def test_secrets_of_a_kubeconfig_and_nothing_but_secrets():
    assert _kube.secrets_of(KUBECONFIG) == {"KEY", "TOKEN", "PASSWORD", "ENV", "ID", "CS"}
    assert _kube.secrets_of("/path") == set()
    assert _kube.secrets_of(None) == set()


class FakeModule:
    def __init__(self, kubeconfig, check_mode=False, hidden=()):
        self.params = {"kubeconfig": kubeconfig, "api_servers": None}
        self.check_mode = check_mode
        self.no_log_values = set(hidden)


def test_only_secrets_stay_hidden(monkeypatch):
    monkeypatch.setattr(_kube, "connect", lambda *_arguments: None)
    module = FakeModule(KUBECONFIG, hidden=[*_kube.leaves(KUBECONFIG), "of another option"])
    _kube.open_cluster(module)
    assert module.no_log_values == {"KEY", "TOKEN", "PASSWORD", "ENV", "ID", "CS", "of another option"}


@pytest.mark.parametrize("kubeconfig", [None, "", {}])
def test_without_a_kubeconfig(kubeconfig):
    assert _kube.open_cluster(FakeModule(kubeconfig, check_mode=True)).empty
    with pytest.raises(KubeError, match="kubeconfig is not set"):
        _kube.open_cluster(FakeModule(kubeconfig))


def test_a_missing_library_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(_kubeconfig, "MISSING_LIBRARY", "No module named 'urllib3'")
    with pytest.raises(KubeError, match="pip install kubernetes"):
        _kube.connect("/x")


@pytest.mark.parametrize(
    ("host", "name"), [("api.lab", True), ("localhost", True), ("10.0.0.1", False), ("fd00::1", False)]
)
def test_names_and_addresses(host, name):
    assert _kube._is_name(host) is name


@pytest.mark.parametrize(
    "kubeconfig", [[], 3, {"clusters": 3}, {"current-context": "x"}, {"current-context": "x", "contexts": []}]
)
def test_nonsense_as_kubeconfig(kubeconfig):
    with pytest.raises(KubeError, match="the kubeconfig cannot be"):
        _kube.connect(kubeconfig or {"x": 1})
