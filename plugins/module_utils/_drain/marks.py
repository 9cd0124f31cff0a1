# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cordons of nodes under a run's mark, and how they are taken back; private to this collection.

Every write asks for what it was planned on: a cordon for the node as it was read, all else for our own mark. So a run
never undoes what another one or a person did meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.runs import mark_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    JSON_PATCH,
    METADATA_ONLY,
    Cluster,
    KubeError,
    Object,
    until_settled,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._nodes import DRAINING, path_of

_MARK_POINTER = f"/metadata/annotations/{DRAINING.replace('/', '~1')}"
_TEST_FAILED = 422


@dataclass(frozen=True)
class Marks:
    """Marks with one text. ``over`` are runs whose marks are taken over."""

    cluster: Cluster
    text: str
    over: Collection[str] = ()

    def cordon(self, name: str, version: str) -> bool:
        """Cordon and mark the node; False when somebody else has cordoned it since it was read. Raises KubeError."""

        def attempt(reread: bool) -> bool:
            at = version
            if reread:
                node = self._read(name)
                if not self._ours_to_mark(node):
                    return False
                at = node["metadata"]["resourceVersion"]
            metadata = {"annotations": {DRAINING: self.text}, **({"resourceVersion": at} if at else {})}
            self.cluster.merge(path_of(name), {"metadata": metadata, "spec": {"unschedulable": True}})
            return True

        return until_settled(attempt)

    def unmark(self, name: str) -> None:
        """Take the mark off a node that stays cordoned. Raises KubeError when it is no longer ours."""
        self._patch(name, [{"op": "remove", "path": _MARK_POINTER}])

    def restore(self, name: str) -> bool:
        """Make the node schedulable and take the mark off; False when there was no mark. Raises KubeError."""
        return self._patch(
            name,
            [
                {"op": "remove", "path": _MARK_POINTER},
                {"op": "add", "path": "/spec/unschedulable", "value": False},
            ],
        )

    def _patch(self, name: str, changes: list[Object]) -> bool:
        body = [{"op": "test", "path": _MARK_POINTER, "value": self.text}, *changes]
        answer = self.cluster.request(
            "PATCH", path_of(name), body=body, content=JSON_PATCH, accept=METADATA_ONLY, allow=(404, _TEST_FAILED)
        )
        if answer.status < 300:
            return True
        node = self.cluster.get(path_of(name)) if answer.status == _TEST_FAILED else None
        found = _annotation(node or {})
        if found is None:
            # The node was deleted, was never marked, or the answer to an earlier try was lost.
            return False
        if found == self.text:
            raise KubeError(f"{answer.message()} (HTTP {answer.status}).", answer.status, f"nodes/{name}")
        raise KubeError(f"{mark_of(found).holder or 'another run'} has taken the node over.", 409, f"nodes/{name}")

    def _read(self, name: str) -> Object:
        node = self.cluster.get(path_of(name))
        if node is None:
            raise KubeError("the node was deleted meanwhile.", 404, f"nodes/{name}")
        return node

    def _ours_to_mark(self, node: Object) -> bool:
        found = _annotation(node)
        if found is not None and found != self.text:
            mark = mark_of(found)
            if mark.run and mark.run not in self.over:
                raise KubeError(f"it is being drained by {mark.holder} ({mark.run}).", 412, f"nodes/{_name(node)}")
        return found is not None or not node.get("spec", {}).get("unschedulable", False)


def _annotation(node: Mapping[str, Mapping[str, object]]) -> str | None:
    annotations = node.get("metadata", {}).get("annotations") or {}
    found = annotations.get(DRAINING) if isinstance(annotations, Mapping) else None
    return None if found is None else str(found)


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])
