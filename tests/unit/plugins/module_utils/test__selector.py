# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._selector import as_query, node_selected, selects

LABELS = {"app": "web", "tier": "front", "cores": "16"}


def asks(key, operator, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


SELECTORS = [
    (None, False),
    ({}, True),
    ({"matchLabels": {"app": "web"}}, True),
    ({"matchLabels": {"app": "web", "tier": "back"}}, False),
    ({"matchLabels": {"app": "web"}, **asks("tier", "In", "back")}, False),
    (asks("app", "In", "api", "web"), True),
    (asks("app", "NotIn", "api"), True),
    (asks("none", "NotIn", "api"), True),
    (asks("app", "NotIn", "web"), False),
    (asks("app", "Exists"), True),
    (asks("none", "Exists"), False),
    (asks("none", "DoesNotExist"), True),
    (asks("app", "DoesNotExist"), False),
    (asks("cores", "Gt", "15"), True),
    (asks("cores", "Gt", "16"), False),
    (asks("cores", "Lt", "17"), True),
    (asks("app", "Lt", "17"), False),
    (asks("none", "Gt", "1"), False),
]


@pytest.mark.parametrize(("selector", "selected"), SELECTORS)
def test_label_selectors(selector, selected):
    assert selects(selector, LABELS) is selected


@pytest.mark.parametrize(
    ("terms", "selected"),
    [
        ([], False),
        ([{}], False),
        ([asks("app", "In", "api"), asks("tier", "Exists")], True),
        (
            [{**asks("app", "Exists"), "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["w1"]}]}],
            True,
        ),
        (
            [{**asks("none", "Exists"), "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["w1"]}]}],
            False,
        ),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["w2"]}]}], False),
    ],
)
def test_node_selectors(terms, selected):
    assert node_selected({"nodeSelectorTerms": terms}, "w1", LABELS) is selected


def test_a_selector_as_the_api_is_asked():
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["x", "y"]},
            {"key": "b", "operator": "NotIn", "values": ["z"]},
            {"key": "c", "operator": "Exists"},
            {"key": "d", "operator": "DoesNotExist"},
        ],
    }
    assert as_query(selector) == "app=web,a in (x,y),b notin (z),c,!d"
