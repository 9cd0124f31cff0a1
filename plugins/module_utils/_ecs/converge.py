# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run over an estate's instances: observe, plan, apply, tell; private to this collection."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    PAGE,
    TAGGED_AT_ONCE,
    Cloud,
    chunks,
    tags,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs import observe
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.create import Created, Creator
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import (
    RUNNING,
    Batch,
    Instance,
    Interface,
    Pool,
    Site,
    renewal,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.observe import Observed
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.plan import (
    Change,
    Plan,
    cost_per_hour,
    deletion_steps,
    described,
    forgotten,
    label,
    members,
    plan,
    release_steps,
    spans,
    step_of_change,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.release import Released, Releaser
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import Charge
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

_POLL_SECONDS = 1.0
_NEVER_RENEWED = "NotRenewal"


@dataclass(frozen=True)
class Wanted:
    """What a run is to bring about."""

    estate: str
    pools: Mapping[str, Pool]
    site: Site
    prices: Mapping[str, float] = field(default_factory=dict)
    warn_days: int = 14
    wait_running: int = 300
    only: frozenset[str] | None = None


@dataclass
class Outcome:
    """What a run did (or, in check mode, would do), and what it found."""

    steps: list[Step] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    instances: tuple[Instance, ...] = ()
    created: list[Instance] = field(default_factory=list)
    released: Released = field(default_factory=Released)
    problems: list[str] = field(default_factory=list)
    # Why a pool does not have an instance that it wants, by the instance's name.
    lacking: dict[str, str] = field(default_factory=dict)


class Run:
    """One run. ``outcome`` holds what was done so far, also when a method raises CloudError."""

    def __init__(self, cloud: Cloud, wanted: Wanted, check: bool = False) -> None:
        self.outcome = Outcome()
        self._cloud = cloud
        self._wanted = wanted
        self._check = check
        self._creator = Creator(cloud, wanted.estate, wanted.site)
        self._releaser = Releaser(cloud, wanted.estate)
        self._before: tuple[Instance, ...] = ()
        self._unknown: list[str] = []

    def present(self) -> None:
        """Every pool has its instances, tagged, renewed and released by time as the inventory says."""
        observed, planned = self._look()
        self._before = observed.instances
        self.outcome.plan, self.outcome.instances = planned, observed.instances
        if self._check:
            self.outcome.steps += planned.steps
            return
        self._finish(planned, observed)
        known = {instance.id for instance in observed.instances}
        observed, planned, refused = self._create(observed, planned, known)
        self.outcome.lacking.update(
            (name, refused[pool]) for pool, batch in _asked_for(planned) for name in batch.names(pool)
        )
        for change in planned.changes:
            self._change(change)
        running = self._await_running([one for one in observed.instances if not one.is_released])
        self.outcome.plan = planned
        self.outcome.instances = tuple(running.get(one.id, one) for one in observed.instances)

    def absent(self, names: Sequence[str]) -> None:
        """The instances of these names or ids are gone, and with them their interfaces."""
        observed = observe.observe(self._cloud, self._wanted.estate)
        chosen = [one for one in observed.instances if (one.name in names or one.id in names)]
        to_do = [one for one in chosen if not _is_left_to_end(one, observed)]
        self._before = self.outcome.instances = observed.instances
        self._unknown = sorted({*names} - {one.name for one in chosen} - {one.id for one in chosen})
        loose = forgotten(observed)
        if self._check:
            self.outcome.steps += [*deletion_steps(loose), *release_steps(to_do, "it is to go")]
            return
        self._delete_loose(loose)
        self._release(to_do, observed, "it is to go")
        self.outcome.released.paid_until.update((one.id, one.expires) for one in chosen if one not in to_do)
        self.outcome.instances = tuple(one for one in observed.instances if one.id not in self.outcome.released.gone)

    def summary(self) -> dict[str, Any]:
        """The pools as they stand, by name."""
        return {name: self._pool_summary(pool) for name, pool in sorted(self._wanted.pools.items())}

    def nodes(self) -> dict[str, dict[str, Any]]:
        """What became of each instance of which there is something to tell, by name."""
        released = self.outcome.released
        told = self._told_of_new()
        told.update((name, _told("failed", reason, False)) for name, reason in self.outcome.lacking.items())
        touched = {step.target for step in self.outcome.steps if step.action == "release"}
        for one in self._before:
            changed = label(one) in touched
            if one.id in released.failed:
                told[one.name] = _told("failed", released.failed[one.id], changed)
            elif one.id in released.paid_until:
                told[one.name] = _told("kept", f"its subscription ends at {one.expires}", changed)
            elif changed:
                told[one.name] = _told("released", "", True)
        told.update((name, _told("absent", "there is no such instance", False)) for name in self._unknown)
        return dict(sorted(told.items()))

    def _told_of_new(self) -> dict[str, dict[str, Any]]:
        if not self._check:
            return {one.name: _told("created", f"{one.type} in {one.zone}", True) for one in self.outcome.created}
        pools, prices = self._wanted.pools, self._wanted.prices
        return {
            name: _told("created", described(pools[pool], batch, prices), True)
            for pool, batch in _asked_for(self.outcome.plan)
            for name in batch.names(pool)
        }

    def _pool_summary(self, pool: Pool) -> dict[str, Any]:
        held = members(pool, self.outcome.instances)
        return {
            "count": pool.count,
            "present": len(held),
            "surplus": [one.name for one in self.outcome.plan.surplus if one.pool == pool.name],
            "owner": pool.owner,
            "purpose": pool.purpose,
            "expires": pool.expires.isoformat() if pool.expires else "",
            "cost_per_hour": cost_per_hour(held, self._wanted.prices),
        }

    def _look(self) -> tuple[Observed, Plan]:
        observed = observe.observe(self._cloud, self._wanted.estate)
        wanted, today = self._wanted, observed.now.date()
        if any(pool.wanted(today) > len(members(pool, observed.instances)) for pool in wanted.pools.values()):
            observed = dataclasses.replace(observed, free=observe.free_addresses(self._cloud, wanted.site))
        return observed, plan(
            wanted.estate, wanted.pools, wanted.site, observed, wanted.prices, wanted.warn_days, wanted.only
        )

    def _finish(self, planned: Plan, observed: Observed) -> None:
        """End what earlier runs began to end."""
        for intent in planned.outlived:
            self._creator.forget(intent)
        self.outcome.steps += [step for step in planned.steps if step.action == "forget"]
        self._delete_loose(planned.loose)
        self._release(planned.finish, observed, "its release has begun")

    def _create(self, observed: Observed, planned: Plan, known: set[str]) -> tuple[Observed, Plan, dict[str, str]]:
        """Create what is missing, a pool's intent after the other; the last look, and why pools were given up."""
        given_up: dict[str, str] = {}
        while True:
            made: dict[str, Created] = {}
            for intent in planned.joined:
                made[intent.pool] = self._creator.fulfil(self._wanted.pools[intent.pool], intent)
            for name, batches in planned.batches.items():
                if name not in given_up:
                    made[name] = self._creator.create(self._wanted.pools[name], batches)
            for name, each in made.items():
                self._note(each, known)
                if each.problems:
                    given_up[name] = " ".join(each.problems)
            if made or self.outcome.released.gone:
                observed, planned = self._look()
            if not made or not (planned.joined or set(planned.batches) - set(given_up)):
                return observed, planned, given_up

    def _note(self, made: Created, known: set[str]) -> None:
        new = [one for one in made.instances if one.id not in known]
        known.update(one.id for one in new)
        self.outcome.created += new
        self.outcome.problems += made.problems
        alike: dict[tuple[str, str], list[Instance]] = {}
        for one in new:
            alike.setdefault((one.type, one.zone), []).append(one)
        self.outcome.steps += [
            Step("create", spans(one.name for one in some), f"{len(some)} x {type} in {zone}")
            for (type, zone), some in sorted(alike.items())
        ]

    def _change(self, change: Change) -> None:
        for some in chunks(change.instances, PAGE):
            ids = [one.id for one in some]
            if change.renewal:
                self._renew(ids, change.renewal)
            for one in ids if change.release is not None else ():
                self._cloud.call(
                    "ModifyInstanceAutoReleaseTime", InstanceId=one, AutoReleaseTime=change.release or None
                )
            for few in chunks(ids, TAGGED_AT_ONCE):
                self._retag(few, change)
        self.outcome.steps.append(step_of_change(change))

    def _renew(self, ids: Sequence[str], charge: Charge) -> None:
        self._cloud.call(
            "ModifyInstanceAutoRenewAttribute",
            InstanceId=",".join(ids),
            RenewalStatus=renewal(charge),
            Duration=charge.period if charge.auto_renew else None,
            PeriodUnit=charge.unit if charge.auto_renew else None,
        )

    def _retag(self, ids: Sequence[str], change: Change) -> None:
        if change.tags:
            self._cloud.call("TagResources", ResourceType="instance", ResourceId=list(ids), Tag=tags(change.tags))
        if change.untag:
            self._cloud.call("UntagResources", ResourceType="instance", ResourceId=list(ids), TagKey=list(change.untag))

    def _delete_loose(self, loose: Sequence[Interface]) -> None:
        failed = self._releaser.delete_loose(loose)
        self.outcome.steps += deletion_steps(one for one in loose if one.id not in failed)
        self.outcome.problems += [f"interface {one}: {why}" for one, why in failed.items()]

    def _release(self, instances: Sequence[Instance], observed: Observed, reason: str) -> None:
        done = self._releaser.release(instances, observed.now)
        self.outcome.released = done
        self.outcome.steps += release_steps([one for one in instances if one.id not in done.failed], reason)
        named = {one.id: one.name for one in instances}
        self.outcome.problems += [f"{named[one]} ({one}): {why}" for one, why in done.failed.items()]

    def _await_running(self, instances: Iterable[Instance]) -> dict[str, Instance]:
        """Wait for those that are coming up; how they are then, by id."""
        waiting = {one.id: one for one in instances if one.is_coming_up}
        latest = dict(waiting)
        deadline = time.monotonic() + self._wanted.wait_running
        while waiting and time.monotonic() < deadline:
            self._cloud.pause(_POLL_SECONDS)
            latest.update(observe.instances_by_id(self._cloud, list(waiting)))
            waiting = {one: latest[one] for one in waiting if latest[one].status != RUNNING}
        if self._wanted.wait_running:
            late = {
                one.name: f"{one.name} ({one.id}) is {one.status} after {self._wanted.wait_running} s, not {RUNNING}."
                for one in waiting.values()
            }
            self.outcome.lacking.update(late)
            self.outcome.problems += late.values()
        return latest


def _asked_for(planned: Plan) -> Iterator[tuple[str, Batch]]:
    """What a plan asks for, each with its pool."""
    return ((pool, batch) for pool, batches in planned.batches.items() for batch in batches)


def _told(state: str, message: str, changed: bool) -> dict[str, Any]:
    return {"state": state, "message": message, "changed": changed}


def _is_left_to_end(instance: Instance, observed: Observed) -> bool:
    """Whether there is nothing more to do than to wait for the end of its subscription."""
    return (
        instance.is_released
        and instance.is_paid_until(observed.now)
        and observed.renewals.get(instance.id) == _NEVER_RENEWED
    )
