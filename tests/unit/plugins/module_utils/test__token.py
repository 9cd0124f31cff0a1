# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _token

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "minutes"), [("15m", 15), ("1h", 60), ("1h30m", 90), ("90s", 1.5), ("24h", 1440), ("0h1m", 1)]
)
def test_duration(text, minutes):
    assert _token.duration(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "0", "0s", "15", "m", "1d", "-1h", "24h1s", "99h", "1m1h", "1h ", "1.5h"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is not a time such as 15m"):
        _token.duration(text)


def test_a_fresh_token_has_kubeadms_form_and_is_not_made_twice():
    tokens = {str(_token.fresh()) for _attempt in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        token_id, dot, secret = token.partition(".")
        assert _token.TOKEN_ID.match(token_id)
        assert (dot, len(secret)) == (".", 16)
        assert secret.isalnum()
        assert secret == secret.lower()


@pytest.mark.parametrize(
    ("group", "good"),
    [
        (_token.JOIN_GROUP, True),
        ("system:bootstrappers:x", True),
        ("system:bootstrappers:", False),
        ("system:bootstrappers:x:", False),
        ("system:bootstrappers:X", False),
        ("system:masters", False),
        ("a system:bootstrappers:x", False),
    ],
)
def test_groups(group, good):
    assert _token.bad_groups([group]) == ([] if good else [group])


def test_the_secret_is_what_the_authenticator_reads():
    secret = _token.secret_of(_token.Token("abcdef", "0123456789abcdef"), NOW, ["system:bootstrappers:a"], "join")
    assert secret["metadata"]["name"] == "bootstrap-token-abcdef"
    assert secret["metadata"]["namespace"] == "kube-system"
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert secret["stringData"] == {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "expiration": "2026-11-23T06:00:00Z",
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": "system:bootstrappers:a",
        "description": "join",
    }


def test_times_are_written_in_utc():
    there = NOW.astimezone(timezone(timedelta(hours=8)))
    assert _token.rfc3339(there) == "2026-11-23T06:00:00Z"


def stored(name, expiration):
    data = {} if expiration is None else {"expiration": base64.b64encode(expiration.encode()).decode()}
    return {"metadata": {"name": name}, "data": data}


def test_only_what_is_certainly_over_has_expired():
    live = [
        stored("over", "2026-11-23T05:59:59Z"),
        stored("now", "2026-11-23T06:00:00Z"),
        stored("later", "2026-11-23T06:00:01Z"),
        stored("forever", None),
        stored("unreadable", "tomorrow"),
        {"metadata": {"name": "no-data"}},
        {"metadata": {"name": "not-base64"}, "data": {"expiration": "\u00e9"}},
    ]
    assert _token.expired(live, NOW) == ["now", "over"]
