# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the service makes of what it hears; that it holds the limit is shown in tests/integration/test_line.py."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._line_agent import matters, messages, metrics
from ansible_collections.hybridk8s.estate.plugins.module_utils._tc import Counters, parse_limit


def message(kind: int, body: bytes) -> bytes:
    padding = b"\0" * (-len(body) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body + padding


def about(interface: int) -> bytes:
    return struct.pack("=BBHi", 0, 0, 0, interface)


def route(length: int) -> bytes:
    return struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, 3, 0, 1, 0)


def test_messages_come_in_bundles() -> None:
    assert list(messages(message(24, b"abcde") + message(16, b""))) == [(24, b"abcde"), (16, b"")]
    assert list(messages(b"")) == []
    assert list(messages(struct.pack("=IHHII", 0, 24, 0, 0, 0))) == []


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (24, route(0), True),
        (24, route(16), True),
        (24, route(32), False),
        (25, route(0), False),
        (45, about(7), True),
        (37, about(7), True),
        (17, about(7), True),
        (45, about(8), False),
        (16, about(8), False),
        (20, about(7), False),
        (45, b"", False),
        (24, b"", False),
    ],
)
def test_pods_that_come_and_go_do_not_matter(kind: int, body: bytes, expected: bool) -> None:
    assert matters(kind, body, {7}, 16) is expected


def test_metrics_are_what_node_exporter_reads() -> None:
    limit = parse_limit({"prefixes": ["10.40.0.0/16"], "limit_mbit": 100, "control_mbit": 10})
    text = metrics(limit, {"control": Counters(5, 0), "bulk": Counters(7, 2)}, 3)
    assert text.endswith("\n")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert samples == {
        'estate_line_sent_bytes_total{class="control"}': "5",
        'estate_line_sent_bytes_total{class="bulk"}': "7",
        'estate_line_dropped_packets_total{class="control"}': "0",
        'estate_line_dropped_packets_total{class="bulk"}': "2",
        "estate_line_limit_bits_per_second": "100000000",
        "estate_line_control_bits_per_second": "10000000",
        "estate_line_interfaces": "3",
    }
    assert text.count("# TYPE ") == text.count("# HELP ") == 5
