# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import SwitchError, wanted_of

from tests.unit.plugins.module_utils._switch.samples import options


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"estate": "Lab"}, "estate"),
        ({"estate": "lab\n"}, "estate"),
        ({"as_number": 0}, "as_number"),
        ({"neighbours": [{"address": "10.20.1.300", "remote_as": 1}]}, "10.20.1.300"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 4294967296}]}, "remote_as of 10.20.1.11"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1, "multihop": 256}]}, "multihop of 10.20.1.11"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1}] * 2}, "10.20.1.11 is there twice"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1, "description": "a\nshutdown"}]}, "description"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1, "password": "a\nb"}]}, "password"),
        (
            {"neighbours": [{"address": "10.20.1.11", "remote_as": 64901}, {"address": "10.20.1.12", "remote_as": 1}]},
            "only one kind",
        ),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1, "password": "a b"}]}, "password of 10.20.1.11"),
        ({"neighbours": [{"address": "10.20.1.11", "remote_as": 1, "password": "a" * 81}]}, "more than 80"),
        ({"local_as": 4294967296}, "local_as"),
        ({"local_as": 64512}, "10.20.1.11 has AS 64512, but another AS"),
        ({"as_number": 64512, "local_as": 64950}, "three AS numbers"),
        ({"import_prefixes": [{"prefix": "10.21.0.1/16"}]}, "import_prefixes"),
        ({"import_prefixes": [{"prefix": "10.21.0.0/16", "ge": 8}]}, "between 16 and 32"),
        ({"import_prefixes": [{"prefix": "10.21.0.0/16", "ge": 28, "le": 26}]}, "Swap"),
        ({"export_prefixes": [{"prefix": "0.0.0.0/0"}]}, "holds the node address 10.20.1.11"),
        ({"export_prefixes": [{"prefix": "10.20.0.0/16"}]}, "holds the node address"),
        ({"timers": {"keepalive": 10, "hold": 29}}, "three keepalives"),
        ({"max_prefix": -1}, "max_prefix"),
    ],
)
def test_what_cannot_work_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SwitchError, match=said):
        wanted_of(options(**changes))


def test_a_password_is_never_in_a_refusal() -> None:
    with pytest.raises(SwitchError) as refused:
        wanted_of(options(neighbours=[{"address": "10.20.1.11", "remote_as": 1, "password": "s3\ncret"}]))
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"prefix": "10.21.0.0/26", "ge": 26, "le": 32}, "10.21.0.0/26 le 32"),
        ({"prefix": "10.21.0.1/32", "le": 32}, "10.21.0.1/32"),
        ({"prefix": "10.21.0.0/16"}, "10.21.0.0/16"),
    ],
)
def test_a_prefix_is_written_as_frr_prints_it(given: dict[str, Any], expected: str) -> None:
    (prefix,) = wanted_of(options(import_prefixes=[given])).imports
    assert str(prefix) == expected


def test_blanks_in_a_description_are_as_frr_keeps_them() -> None:
    described = [{"address": "10.20.1.11", "remote_as": 1, "description": "rack  1   cp1"}]
    assert wanted_of(options(neighbours=described)).neighbours[0].description == "rack 1 cp1"
