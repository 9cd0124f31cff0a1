# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes' label selectors and node selectors, as the API server evaluates them; private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Labels = Mapping[str, str]


def selects(selector: Mapping[str, Any] | None, labels: Labels) -> bool:
    """Whether a LabelSelector selects an object with these labels: an empty one selects all, none (None) nothing."""
    if selector is None:
        return False
    plain = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in plain.items()):
        return False
    return meets_all(selector.get("matchExpressions") or (), labels)


def as_query(selector: Mapping[str, Any]) -> str:
    """The selector as the API's ``labelSelector``."""
    plain = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ",".join([*plain, *map(_as_query, selector.get("matchExpressions") or ())])


def _as_query(requirement: Mapping[str, Any]) -> str:
    key, operator = requirement["key"], requirement["operator"]
    values = ",".join(requirement.get("values") or ())
    if operator in ("In", "NotIn"):
        return f"{key} {operator.lower()} ({values})"
    return f"{'!' * (operator == 'DoesNotExist')}{key}"


def meets_all(requirements: Sequence[Mapping[str, Any]], labels: Labels) -> bool:
    """Whether labels meet every requirement (``key``, ``operator``, ``values``)."""
    return all(_meets(requirement, labels) for requirement in requirements)


def node_selected(selector: Mapping[str, Any], name: str, labels: Labels) -> bool:
    """Whether a NodeSelector selects this node: one of its terms does; a term that asks for nothing selects none."""
    return any(_term_selects(term, name, labels) for term in selector.get("nodeSelectorTerms") or ())


def _term_selects(term: Mapping[str, Any], name: str, labels: Labels) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return meets_all(expressions, labels) and meets_all(fields, {"metadata.name": name})


def _meets(requirement: Mapping[str, Any], labels: Labels) -> bool:
    key, operator = requirement["key"], requirement["operator"]
    values = requirement.get("values") or ()
    has = labels.get(key)
    if operator == "In":
        return has in values
    if operator == "NotIn":
        return has not in values
    if operator == "Exists":
        return has is not None
    if operator == "DoesNotExist":
        return has is None
    return _compares(operator, has, values)


def _compares(operator: str, has: str | None, values: Sequence[str]) -> bool:
    try:
        left, right = int(has or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else operator == "Lt" and left < right
