# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking the API server to evict a pod, and what its answer means; private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.plan import Move
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    Cluster,
    KubeError,
    Object,
    Response,
    segment,
)


class Answer(Enum):
    """What became of a request to evict a pod: it leaves, it was gone, its budget has no room, or it is to be asked for
    again for another reason."""

    LEAVING = 0
    GONE = 1
    NO_ROOM = 2
    LATER = 3


@dataclass(frozen=True)
class Eviction:
    """A pod that was asked for, what was answered and said, and when to ask again if the server said so.

    With an ``error`` the pod cannot be evicted at all.
    """

    move: Move
    answer: Answer = Answer.LATER
    said: str = ""
    retry_after: float | None = None
    error: KubeError | None = None


def evict(cluster: Cluster, move: Move, grace: int | None) -> Eviction:
    """Ask for a pod once; ``grace`` replaces its own grace period."""
    pod = move.pod
    options: Object = {"preconditions": {"uid": pod.uid}}
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "deleteOptions": options,
    }
    path = f"/api/v1/namespaces/{segment(pod.namespace)}/pods/{segment(pod.name)}/eviction"
    try:
        response = cluster.request("POST", path, body=body, allow=(403, 404, 409, 429, 500))
    except KubeError as error:
        return Eviction(move, error=error)
    said = response.message()
    if response.status == 403 and "is being terminated" not in said:
        return Eviction(move, error=KubeError(f"{said} (HTTP 403).", 403))
    return Eviction(move, _meaning(response), said, response.retry_after)


def _meaning(response: Response) -> Answer:
    if response.status < 300:
        return Answer.LEAVING
    if response.status in (404, 409):
        # 409: a pod of the same name that came later has another uid.
        return Answer.GONE
    if response.status != 429:
        # 500: more than one budget guards the pod. 403: its namespace is being deleted, and it with it.
        return Answer.LATER
    details: Mapping[str, Any] = response.json().get("details") or {}
    causes = {cause.get("reason") for cause in details.get("causes") or ()}
    return Answer.NO_ROOM if "DisruptionBudget" in causes else Answer.LATER
