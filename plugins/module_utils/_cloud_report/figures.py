# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of the report on an estate's VMs; private to this collection. All of it is pure.

A figure that nobody knows is None and never zero: a cost without a price, a share without a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.cluster import METRICS, Amount, Node, Seen
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import (
    EXPIRES_TAG,
    OWNER_TAG,
    PURPOSE_TAG,
    RUNNING,
    Instance,
    Pool,
    moment,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.observe import Observed
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.plan import findings as findings_of_pools
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.plan import label, members, spans
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import WARNING, Finding

IN_USE, ENDS_SOON, ENDED, EMPTY, UNKNOWN = "in use", "ends soon", "ended", "empty", "not in the inventory"
NO_OWNER = "nobody"
_GIB = 1024.0**3
# A new VM becomes a node within minutes.
_JOINS_WITHIN = timedelta(minutes=30)
_ANY_CURRENCY = "the currency of estate_cloud.prices"

Figures = dict[str, Any]


@dataclass(frozen=True)
class Basis:
    """What a report follows from. ``prices`` are those of an hour, by instance type."""

    estate: str
    region: str
    pools: Mapping[str, Pool]
    observed: Observed
    seen: Seen
    prices: Mapping[str, float] = field(default_factory=dict)
    currency: str = ""
    warn_days: int = 14

    @property
    def now(self) -> datetime:
        return self.observed.now

    @property
    def money(self) -> str:
        """The unit of costs."""
        return self.currency or _ANY_CURRENCY


@dataclass(frozen=True)
class _Vm:
    """An instance with what is counted of it, in hours."""

    instance: Instance
    owner: str
    hours: float | None
    hours_this_month: float | None
    price: float | None
    node: Node | None

    @property
    def cost(self) -> float | None:
        return _product(self.hours, self.price)

    @property
    def cost_this_month(self) -> float | None:
        return _product(self.hours_this_month, self.price)


def document(basis: Basis) -> Figures:
    """The whole report as plain data."""
    vms = [_vm(basis, instance) for instance in basis.observed.instances]
    pools = list(_pools(basis, vms))
    return {
        "estate": basis.estate,
        "region": basis.region,
        "taken": f"{basis.now:%Y-%m-%d %H:%M:%S} UTC",
        "currency": basis.currency,
        "warn_days": basis.warn_days,
        "units": _units(basis),
        "sources": _sources(basis),
        "total": _sums(basis, vms, bool(basis.prices)),
        "owners": _owners(basis, vms, pools),
        "pools": pools,
        "vms": [_row(basis, vm) for vm in vms],
        "findings": [finding.as_dict() for finding in findings(basis)],
    }


def findings(basis: Basis) -> list[Finding]:
    """What a person should look after."""
    return sorted({*findings_of_pools(basis.pools, basis.observed, basis.warn_days), *_findings(basis)})


def _vm(basis: Basis, instance: Instance) -> _Vm:
    pool = basis.pools.get(instance.pool)
    created = moment(instance.created)
    month = datetime.combine(basis.now.date().replace(day=1), time(), timezone.utc)
    return _Vm(
        instance,
        (pool.owner if pool else instance.tags.get(OWNER_TAG, "")) or NO_OWNER,
        _hours(created, basis.now),
        _hours(max(created, month) if created else None, basis.now),
        basis.prices.get(instance.type),
        basis.seen.nodes.get(instance.id),
    )


def _hours(since: datetime | None, until: datetime) -> float | None:
    return max(0.0, (until - since).total_seconds() / 3600) if since else None


def _pools(basis: Basis, vms: Sequence[_Vm]) -> Iterator[Figures]:
    """The inventory's pools, and behind them those of which only VMs are left."""
    for name, pool in sorted(basis.pools.items()):
        own = [vm for vm in vms if vm.instance.pool == name]
        yield _pool(basis, pool, own)
    for name in sorted({vm.instance.pool for vm in vms} - set(basis.pools)):
        own = [vm for vm in vms if vm.instance.pool == name]
        tags = own[0].instance.tags
        yield {
            "name": name,
            "owner": own[0].owner,
            "purpose": tags.get(PURPOSE_TAG, ""),
            "state": UNKNOWN,
            "wanted": 0,
            "since": _earliest(own),
            "until": tags.get(EXPIRES_TAG, ""),
            "days_left": None,
            "release_expired": False,
            **_sums(basis, own, False),
            "cost_to_end": None,
        }


def _pool(basis: Basis, pool: Pool, own: Sequence[_Vm]) -> Figures:
    sums = _sums(basis, own, all(kind in basis.prices for kind in pool.instance_types))
    return {
        "name": pool.name,
        "owner": pool.owner or NO_OWNER,
        "purpose": pool.purpose,
        "state": _state(basis, pool),
        "wanted": pool.wanted(basis.now.date()),
        "since": _earliest(own),
        "until": pool.expires.isoformat() if pool.expires else "",
        "days_left": (pool.expires - basis.now.date()).days if pool.expires else None,
        "release_expired": pool.release_expired,
        **sums,
        "cost_to_end": _cost_to_end(basis, pool, sums["cost_per_hour"]),
    }


def _state(basis: Basis, pool: Pool) -> str:
    if not members(pool, basis.observed.instances):
        return EMPTY
    today = basis.now.date()
    if pool.is_expired(today):
        return ENDED
    soon = pool.expires is not None and pool.expires - today <= timedelta(days=basis.warn_days)
    return ENDS_SOON if soon else IN_USE


def _cost_to_end(basis: Basis, pool: Pool, per_hour: float | None) -> float | None:
    """What the pool's VMs cost from now to the end of its last day, if they stay as they are."""
    if pool.expires is None or pool.is_expired(basis.now.date()):
        return None
    end = datetime.combine(pool.expires + timedelta(days=1), time(), timezone.utc)
    return _rounded(_product(_hours(basis.now, end), per_hour))


def _owners(basis: Basis, vms: Sequence[_Vm], pools: Sequence[Figures]) -> list[Figures]:
    names = sorted({*(vm.owner for vm in vms), *(pool["owner"] for pool in pools)})
    return [
        {
            "name": name,
            "pools": [pool["name"] for pool in pools if pool["owner"] == name],
            **_sums(basis, [vm for vm in vms if vm.owner == name], bool(basis.prices)),
        }
        for name in names
    ]


def _sums(basis: Basis, vms: Sequence[_Vm], with_prices: bool) -> Figures:
    """What these come to. Costs are None as soon as one of them has no price: ``unpriced`` names the types.

    Where there is none of them, that costs nothing only ``with_prices``: otherwise nobody knows.
    """
    nodes = [vm.node for vm in vms if vm.node]
    priced = [vm for vm in vms if vm.price is not None]
    is_known = bool(vms) or with_prices
    return {
        "vms": len(vms),
        "ready": None if basis.seen.error else sum(node.ready for node in nodes),
        "hours": _rounded(_sum(vm.hours for vm in vms)),
        "hours_this_month": _rounded(_sum(vm.hours_this_month for vm in vms)),
        "cost": _rounded(_sum(vm.cost for vm in vms)) if is_known else None,
        "cost_this_month": _rounded(_sum(vm.cost_this_month for vm in vms)) if is_known else None,
        "cost_per_hour": _rounded(_sum(vm.price for vm in vms), 4) if is_known else None,
        "cost_of_priced": _rounded(_sum(vm.cost for vm in priced)) if priced else None,
        "priced": len(priced),
        "unpriced": sorted({vm.instance.type for vm in vms if vm.price is None}),
        **_use(nodes),
    }


def _use(nodes: Sequence[Node]) -> Figures:
    """How much of the nodes pods asked for, and how much is used where all of them are measured."""
    allocatable = sum((node.allocatable for node in nodes), Amount())
    requested = sum((node.requested for node in nodes), Amount())
    measured = [node.used for node in nodes if node.used]
    used = sum(measured, Amount()) if nodes and len(measured) == len(nodes) else None
    return {
        "pods": sum(node.pods for node in nodes) if nodes else None,
        "cpu": _shares(allocatable.cpu, requested.cpu, used.cpu if used else None),
        "memory": _shares(allocatable.memory / _GIB, requested.memory / _GIB, used.memory / _GIB if used else None),
    }


def _shares(allocatable: float, requested: float, used: float | None) -> Figures:
    if not allocatable:
        return dict.fromkeys(("allocatable", "requested", "requested_share", "used", "used_share"))
    return {
        "allocatable": _rounded(allocatable),
        "requested": _rounded(requested),
        "requested_share": _rounded(requested / allocatable, 3),
        "used": _rounded(used),
        "used_share": _rounded(_product(used, 1 / allocatable), 3),
    }


def _row(basis: Basis, vm: _Vm) -> Figures:
    instance = vm.instance
    until, why = _until(basis, instance)
    return {
        "name": instance.name,
        "id": instance.id,
        "pool": instance.pool,
        "owner": vm.owner,
        "status": instance.status,
        "released": instance.is_released,
        "zone": instance.zone,
        "type": instance.type,
        "charge_type": instance.charge_type,
        "since": instance.created,
        "until": until,
        "until_because": why,
        "hours": _rounded(vm.hours),
        "hours_this_month": _rounded(vm.hours_this_month),
        "price_per_hour": vm.price,
        "cost": _rounded(vm.cost),
        "cost_this_month": _rounded(vm.cost_this_month),
        "node": vm.node.name if vm.node else "",
        "ready": vm.node.ready if vm.node else None,
        **_use([vm.node] if vm.node else []),
    }


def _until(basis: Basis, instance: Instance) -> tuple[str, str]:
    """When the VM ends by itself or is to end, and what says so."""
    if instance.expires:
        renewed = basis.observed.renewals.get(instance.id) == "AutoRenewal"
        return instance.expires, "its subscription, which is renewed" if renewed else "its subscription"
    if instance.auto_release:
        return instance.auto_release, "its release time at the cloud"
    pool = basis.pools.get(instance.pool)
    if pool and pool.expires:
        return pool.expires.isoformat(), "the pool's expires"
    return "", ""


def _findings(basis: Basis) -> Iterator[Finding]:
    yield from _idle(basis)
    for name, provider in basis.seen.strangers.items():
        yield Finding(
            "CR002-node-without-vm",
            WARNING,
            name,
            "estate_cloud.region",
            f"the cloud shows no VM of this estate for the node's provider id {provider}.",
            "If the VM is gone, remove the node with the playbook remove.",
        )
    for name in sorted({one.pool for one in basis.observed.instances} - set(basis.pools)):
        lost = [one for one in basis.observed.instances if one.pool == name and not one.is_released]
        if lost:
            yield Finding(
                "CR003-pool-unknown",
                WARNING,
                "",
                f"estate_cloud_pools.{name}",
                f"the inventory has no such pool, and {spans(one.name for one in lost)} are paid for.",
                "Add the pool again, or run the playbook cloud, which drains and releases them.",
            )
    missing = sorted({one.type for one in basis.observed.instances} - set(basis.prices))
    if basis.prices and missing:
        yield Finding(
            "CR004-no-price",
            WARNING,
            "",
            "estate_cloud.prices",
            f"there is no price for {', '.join(missing)}; what VMs of these types cost is not known.",
            "Add the price of an hour.",
        )
    if basis.seen.error:
        yield Finding(
            "CR005-cluster-not-asked",
            WARNING,
            "",
            "estate_kubeconfig",
            f"how much of the VMs is used is not known: {basis.seen.error}",
            "Make the API server reachable, and run this again.",
        )


def _idle(basis: Basis) -> Iterator[Finding]:
    """VMs that are paid for and hold no Ready node."""
    if basis.seen.error:
        return
    for one in basis.observed.instances:
        created, node = moment(one.created), basis.seen.nodes.get(one.id)
        is_new = created is not None and basis.now - created < _JOINS_WITHIN
        if one.is_released or one.status != RUNNING or is_new or (node and node.ready):
            continue
        yield Finding(
            "CR001-no-ready-node",
            WARNING,
            one.name,
            f"estate_cloud_pools.{one.pool}",
            f"{label(one)} is paid for, and its node is {'not Ready' if node else 'not there'}.",
            "Run the playbook cloud, which joins it; or lower the pool's count.",
        )


def _units(basis: Basis) -> Figures:
    return {
        "hours": "hours since VMs that exist now were made, started hours in parts",
        "hours_this_month": "the same, since the first of this month, 00:00 UTC",
        "cost": f"{basis.money}: hours x price of an hour of the instance type",
        "cost_this_month": f"{basis.money}: hours_this_month x price of an hour",
        "cost_per_hour": f"{basis.money} an hour, of all VMs together",
        "cost_of_priced": f"{basis.money}, of those VMs whose type has a price",
        "cost_to_end": f"{basis.money} from now to the end of the pool's last day, if its VMs stay as they are",
        "cpu": "cores",
        "memory": "GiB",
        "requested_share": "requests of pods over what pods may have of the nodes, from 0 to 1",
        "used_share": "measured use over what pods may have of the nodes, from 0 to 1",
        "days_left": "days to the pool's last day, which is one of use; below 0 when it is over",
        "null": "not known",
    }


def _sources(basis: Basis) -> Figures:
    cluster = f"not asked: {basis.seen.error}" if basis.seen.error else "Kubernetes API: Nodes and Pods"
    usage = basis.seen.error or basis.seen.unmeasured
    return {
        "vms": f"Alibaba Cloud ECS in {basis.region}: DescribeInstances by the estate's tag",
        "not_counted": "VMs that were released before, disks, traffic, discounts: see the provider's bill",
        "prices": "estate_cloud.prices of the inventory, also for subscriptions, which are paid ahead otherwise"
        if basis.prices
        else "none: estate_cloud.prices of the inventory is not set",
        "owner, purpose, until": "estate_cloud_pools of the inventory; tags where the pool is not in it",
        "requested, allocatable, pods": cluster,
        "used": f"not known: {usage}" if usage else f"{METRICS}: the last measurement of each node",
    }


def _earliest(vms: Iterable[_Vm]) -> str:
    return min((vm.instance.created for vm in vms if vm.instance.created), default="")


def _sum(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _product(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)
