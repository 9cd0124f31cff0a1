# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import bootstrap_token

from tests.unit.plugins.modules.cluster_fake import run


def test_check_mode_gives_a_token_that_can_be_passed_on(monkeypatch):
    result = run(bootstrap_token, monkeypatch, check=True, diff=True)
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", result["token"])
    assert result["token"].startswith(result["token_id"])
    assert [step["target"] for step in result["steps"]] == [f"secret/kube-system/bootstrap-token-{result['token_id']}"]
    assert result["token"].partition(".")[2] not in str(result["steps"]) + str(result["diff"])


def test_absent_of_nothing(monkeypatch):
    result = run(bootstrap_token, monkeypatch, check=True, state="absent", token_id="abcdef")
    assert (result["changed"], result["steps"]) == (False, [])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"ttl": "1d"}, "ttl: '1d' is not a time such as 15m"),
        ({"groups": ["system:masters"]}, "groups: system:masters does not start with"),
        ({"state": "absent", "token_id": "ABCDEF"}, "token_id: six letters"),
        ({"state": "absent"}, "missing: token_id"),
    ],
)
def test_arguments_that_make_no_sense(monkeypatch, params, said):
    result = run(bootstrap_token, monkeypatch, check=True, **params)
    assert result["failed"] is True
    assert said in result["msg"]
