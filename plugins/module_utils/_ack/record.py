# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which registration is this cluster's own, written in the cluster itself; private to this collection.

The API server lets one writer win: whoever wants to register reads or makes the record first, and with it the token
that makes of two requests one cluster.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import MANAGED_BY, Cluster, KubeError, Object
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest import ESTATE

_COLLECTION = "/api/v1/namespaces/kube-system/configmaps"
NAME = "estate-ack-registration"
PATH = f"{_COLLECTION}/{NAME}"


@dataclass(frozen=True)
class Record:
    """The token that a cluster was, or is being, asked for with, and its id as soon as that is known."""

    token: str
    cluster: str = ""


def read(cluster: Cluster) -> Record | None:
    """What is written; None where nothing is."""
    found = cluster.get(PATH)
    return _record(found) if found else None


def begin(cluster: Cluster, estate: str) -> Record:
    """The record, made if there is none: of two who do so, both have the first one's."""
    body: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "labels": dict(MANAGED_BY), "annotations": {ESTATE: estate}},
        "data": {"token": str(uuid.uuid4())},
    }
    try:
        return _record(cluster.create(_COLLECTION, body))
    except KubeError as error:
        if error.status != 409:
            raise
    found = read(cluster)
    if found is None:
        raise KubeError(f"ConfigMap kube-system/{NAME} came and went.", remedy="Another run takes it back; run again.")
    return found


def name_cluster(cluster: Cluster, identifier: str) -> None:
    """Write down the id."""
    cluster.merge(PATH, {"data": {"cluster": identifier}})


def forget(cluster: Cluster) -> bool:
    """Take the record away; False when there was none."""
    return cluster.delete(PATH)


def _record(item: Object) -> Record:
    data = item.get("data") or {}
    return Record(str(data.get("token") or ""), str(data.get("cluster") or ""))
