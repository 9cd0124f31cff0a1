from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.flows import traffic
from tests.flows.traffic import OUTSIDE, End, judge

ENDS = (End("a1", "10.0.0.1", "r1"), End("a2", "10.0.0.2", "r1"), End("b1", "10.0.0.3", "r2"))


def log(name, stopped=10.0, received=(), resent=(), **targets):
    return {
        "name": name,
        "stopped": stopped,
        "longest_pause": 0.03,
        "targets": targets,
        "received": dict(received),
        "resent": dict(resent),
    }


def target(times, udp, tcp=None, resent=0, broken=()):
    """Probes that were sent at these times; the numbers of those that were answered, TCP's with the time it took."""
    return {
        "sent": {"udp": times, "tcp": times if tcp else []},
        "answered": {
            "udp": {str(number): times[number] for number in udp},
            "tcp": {str(number): times[number] + took for number, took in (tcp or {}).items()},
        },
        "resent": resent,
        "broken": list(broken),
    }


def flow(logs, protocol="udp", began=0.0):
    found = judge(ENDS, logs, began)
    return next(each for each in found.flows if each.protocol == protocol)


def test_both_ends_count():
    lost_on_the_way_back = target([1.0, 1.02, 1.04], udp=[0, 2])
    found = flow([log("a1", a2=lost_on_the_way_back), log("a2", received={"a1": {"udp": [0, 1, 2], "tcp": []}})])

    assert (found.sent, found.arrived, found.answered, found.lost) == (3, 3, 2, 1)


def test_a_cut_is_as_long_as_from_the_last_answered_probe_to_the_next():
    times = [1.0 + number / 50 for number in range(100)]
    answered = [number for number in range(100) if not 20 <= number < 45]

    assert flow([log("a1", a2=target(times, answered)), log("a2")]).longest_ms == 520


def test_a_cut_may_last_until_the_end():
    times = [1.0 + number / 50 for number in range(100)]

    assert flow([log("a1", stopped=3.0, a2=target(times, range(50))), log("a2")]).longest_ms == 1020


def test_without_a_loss_there_is_no_cut_however_late_a_sender_is():
    assert flow([log("a1", a2=target([1.0, 1.02, 2.5, 2.52], range(4))), log("a2")]).longest_ms == 0


def test_of_tcp_the_longest_answer_counts_and_what_was_sent_again():
    logs = [
        log("a1", a2=target([1.0, 1.02], udp=[0, 1], tcp={0: 0.001, 1: 0.412}, resent=1)),
        log("a2", resent={"a1": 2}),
    ]

    found = flow(logs, "tcp")
    assert (found.lost, found.resent, found.longest_ms) == (0, 3, 412)
    assert (judge(ENDS, logs, 0.0).lost, judge(ENDS, logs, 0.0).resent) == (0, 3)


def test_what_was_sent_before_the_block_or_after_the_first_end_was_told_to_stop_does_not_count():
    times = [0.5, 1.0, 2.0, 3.0]
    logs = [log("a1", stopped=4.0, a2=target(times, udp=[1, 2])), log("a2", stopped=2.5)]

    assert flow(logs, began=0.9).sent == 2
    assert flow(logs, began=0.9).lost == 0


def test_a_connection_that_ends_after_that_is_no_broken_one():
    logs = [log("a1", stopped=4.0, a2=target([1.0], udp=[0], tcp={0: 0.1}, broken=[2.0, 5.0])), log("a2")]

    assert flow(logs, "tcp").broken == 1


def test_flows_are_within_a_rack_across_racks_or_from_outside():
    every = target([1.0], udp=[0])
    logs = [log("a1", a2=every, b1=every), log("a2", b1=every), log("b1"), log(OUTSIDE, a1=every)]
    found = judge(ENDS, logs, 0.0)

    assert {(each.source, each.target, each.path) for each in found.flows} == {
        ("a1", "a2", "within"),
        ("a1", "b1", "across"),
        ("a2", "b1", "across"),
        (OUTSIDE, "a1", "outside"),
    }
    assert {each.path for each in found.of("across", "outside").without("a2").flows} == {"across", "outside"}
    assert [each.target for each in found.of(protocol="udp", ends=["a2"]).flows] == ["a2", "b1"]


def test_an_end_that_is_gone_is_named_and_not_judged():
    found = judge(ENDS, [log("a1", a2=target([1.0], udp=[]), b1=target([1.0], udp=[0])), log("b1")], 0.0)

    assert found.gone == ("a2",)
    assert [each.target for each in found.flows] == ["b1", "b1"]
    assert "gone: a2" in str(found)


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def probe(tmp_path):
    """A probe that sends to itself, as if to another."""
    spec, log = tmp_path / "spec", tmp_path / "log"
    ports = [free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)]
    spec.write_text(json.dumps({"name": "one", "targets": {"two": "127.0.0.1"}, "ports": ports}))
    process = subprocess.Popen([sys.executable, traffic._SCRIPT, spec, log])
    yield process, log
    process.kill()


def test_a_probe_counts_what_it_sends_and_what_it_receives(probe):
    process, file = probe
    began = time.monotonic() + 0.5
    time.sleep(1.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    said = json.loads(file.read_text())

    ends = (End("one", "127.0.0.1", "r1"), End("two", "127.0.0.1", "r1"))
    found = judge(ends, [said, {**said, "name": "two", "targets": {}}], began)

    for protocol in ("udp", "tcp"):
        (one,) = found.of(protocol=protocol).flows
        assert 30 < one.sent <= 51
        assert (one.arrived, one.answered, one.lost, one.broken) == (one.sent, one.sent, 0, 0)
