# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An estate of known figures: it is 2026-11-23 12:00 UTC, and VMs were made on the hour."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.cluster import Amount, Node, Seen
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.figures import Basis
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import (
    OWNER_TAG,
    POOL_TAG,
    RELEASED_TAG,
    Instance,
    Pool,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.observe import Observed

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
GIB = 1024.0**3
XLARGE, LARGE = "ecs.g7.xlarge", "ecs.g7.large"


def pool(name: str = "online", **settings: Any) -> Pool:
    usual = {"instance_types": (XLARGE,), "count": 2, "image": "m-1", "owner": "team-a", "purpose": "shop"}
    return Pool(name, **{**usual, **settings})


def vm(name: str, created: str = "2026-11-23T02:00Z", *, released: bool = False, **given: Any) -> Instance:
    in_pool, _dash, number = name.rpartition("-")
    tags = {POOL_TAG: in_pool, OWNER_TAG: "team-of-the-tag", **({RELEASED_TAG: "x"} if released else {})}
    usual = {
        "id": f"i-{name}",
        "name": name,
        "host_name": name,
        "region": "cn-shenzhen",
        "status": "Running",
        "zone": "cn-shenzhen-d",
        "type": XLARGE,
        "vpc": "vpc-1",
        "vswitch": "vsw-1",
        "address": f"172.20.16.{number}",
        "image": "m-1",
        "charge_type": "PostPaid",
        "created": created,
        "expires": "",
        "auto_release": "",
        "spot": "",
        "security_groups": (),
        "tags": tags,
    }
    return Instance(**{**usual, **given})


def node(name: str, **given: Any) -> Node:
    usual = {
        "ready": True,
        "pods": 3,
        "allocatable": Amount(4.0, 16 * GIB),
        "requested": Amount(1.0, 8 * GIB),
        "used": Amount(0.5, 2 * GIB),
    }
    return Node(name, **{**usual, **given})


def basis(*vms: Instance, pools: tuple[Pool, ...] = (pool(),), seen: Seen | None = None, **given: Any) -> Basis:
    """The VMs are Ready nodes, unless the cluster is `seen` otherwise."""
    ready = Seen({one.id: node(one.name) for one in vms})
    renewals = given.pop("renewals", {})
    usual = {"prices": {XLARGE: 0.92}, "currency": "CNY"}
    return Basis(
        "shenzhen-1",
        "cn-shenzhen",
        {one.name: one for one in pools},
        Observed(NOW, vms, renewals=renewals),
        seen or ready,
        **{**usual, **given},
    )


def day(text: str) -> date:
    return date.fromisoformat(text)
