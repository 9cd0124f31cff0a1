# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between pools and the cloud, and what would put it right; private to this collection. All of it is pure.

Instances that are too many are only named: they are released when a run says so, after their nodes are drained.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import PAGE, tags
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import (
    EXPIRES_TAG,
    NAMES_TAG,
    RELEASED_TAG,
    REQUEST_TAG,
    RUNNING,
    Batch,
    Instance,
    Intent,
    Interface,
    Pool,
    Site,
    is_settable,
    moment,
    release_after,
    renewal,
    written,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.observe import Observed
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import vm_name
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import PREPAID, Charge
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import OWN_PREFIX
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

# What an intent of that age has made is seen by now; the cloud shows instances within seconds.
_INTENT_LASTS = timedelta(minutes=10)
# Terway makes an interface and hangs it on an instance within seconds.
_LOOSE_FOR = timedelta(minutes=10)
# What a tag holds, and how many of a launch template's twenty are the names.
_TAG_LENGTH = 128
_MOST_TAGS = 15
_OURS_ALONE = (RELEASED_TAG, REQUEST_TAG)


@dataclass(frozen=True)
class Choice:
    """A type in a zone: where a request for instances may be tried."""

    type: str
    zone: str


@dataclass(frozen=True)
class Change:
    """Instances that get the same new setting: tags, or a time or a way of release."""

    instances: tuple[Instance, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    untag: tuple[str, ...] = ()
    release: str | None = None
    renewal: Charge | None = None


@dataclass(frozen=True)
class Plan:
    """The steps toward the pools. ``batches`` are by pool; ``finish`` and ``loose`` end what an earlier run began."""

    batches: Mapping[str, tuple[Batch, ...]] = field(default_factory=dict)
    joined: tuple[Intent, ...] = ()
    outlived: tuple[Intent, ...] = ()
    finish: tuple[Instance, ...] = ()
    loose: tuple[Interface, ...] = ()
    changes: tuple[Change, ...] = ()
    surplus: tuple[Instance, ...] = ()
    findings: tuple[Finding, ...] = ()
    steps: tuple[Step, ...] = ()


def plan(
    estate: str,
    pools: Mapping[str, Pool],
    site: Site,
    observed: Observed,
    prices: Mapping[str, float] | None = None,
    warn_days: int = 14,
    only: Collection[str] | None = None,
) -> Plan:
    """How the estate's instances become those of ``pools``.

    A pool for which somebody is asking right now gets no instances planned: its intent comes first. Of pools that are
    not in ``only``, instances that are too many are named, and that is all.
    """
    meant = pools if only is None else {name: pool for name, pool in pools.items() if name in only}
    intents = sorted(observed.intents, key=lambda intent: intent.id)
    outlived = tuple(intent for intent in intents if only is None and _is_outlived(intent, observed.now))
    joined = tuple(intent for intent in intents if intent.pool in meant and not _is_outlived(intent, observed.now))
    asked = {intent.pool for intent in joined}
    batches = {
        name: found
        for name, pool in sorted(meant.items())
        if name not in asked and (found := missing(pool, site, observed))
    }
    finish = tuple(
        instance
        for instance in observed.instances
        if instance.is_released and not instance.is_paid_until(observed.now) and (only is None or instance.pool in only)
    )
    loose = forgotten(observed) if only is None else ()
    changes = tuple(chain.from_iterable(_changes(estate, pool, observed) for _name, pool in sorted(meant.items())))
    surplus = tuple(_surplus(pools, observed))
    return Plan(
        batches,
        joined,
        outlived,
        finish,
        loose,
        changes,
        surplus,
        tuple(sorted(findings(pools, observed, warn_days))),
        (
            *(_step_of_intent(intent, "ask again for", "an earlier run asked for them") for intent in joined),
            *(_step_of_intent(intent, "forget", "a request of long ago that nobody finished") for intent in outlived),
            *release_steps(finish, "its release has begun"),
            *deletion_steps(loose),
            *(_step_of_batch(pools[name], batch, prices or {}) for name, some in batches.items() for batch in some),
            *(step_of_change(change) for change in changes),
        ),
    )


def missing(pool: Pool, site: Site, observed: Observed) -> tuple[Batch, ...]:
    """What a pool still needs: the lowest numbers that are free, spread over its zones by free addresses."""
    held = members(pool, observed.instances)
    taken = {pool.slot(_identity(pool, instance)) for instance in observed.instances if instance.pool == pool.name}
    wanted = pool.wanted(observed.now.date()) - len(held)
    numbers: list[int] = []
    number = 0
    while len(numbers) < wanted:
        number += 1
        if number not in taken:
            numbers.append(number)
    return tuple(_batches(numbers, _spread(pool, site, observed, held, len(numbers))))


def choices(pool: Pool, zone: str) -> list[Choice]:
    """Where a batch meant for ``zone`` is tried, in order: a better type elsewhere comes before a worse one here."""
    zones = [zone, *(other for other in pool.zones if other != zone)]
    return [Choice(type, at) for type in pool.instance_types for at in zones]


def request(estate: str, pool: Pool, site: Site, intent: str, batch: Batch, choice: Choice) -> dict[str, Any]:
    """The parameters of RunInstances. They follow from the inventory alone, or its ClientToken would not hold."""
    name = batch.pattern(pool.name)
    charge: dict[str, Any] = {"InstanceChargeType": pool.charge.type}
    if pool.charge.type == PREPAID:
        charge.update(Period=pool.charge.period, PeriodUnit=pool.charge.unit, AutoRenew=pool.charge.auto_renew)
        if pool.charge.auto_renew:
            charge["AutoRenewPeriod"] = pool.charge.period
    return {
        "Amount": len(batch.numbers),
        "MinAmount": 1,
        "InstanceName": name,
        "HostName": name,
        "InstanceType": choice.type,
        "VSwitchId": site.node_vswitches[choice.zone],
        "SecurityGroupIds": list(site.security_groups),
        "ImageId": pool.image,
        "SystemDisk": {"Category": pool.system_disk.category, "Size": pool.system_disk.size_gb},
        "DataDisk": [
            {"Category": disk.category, "Size": disk.size_gb, "DeleteWithInstance": True} for disk in pool.data_disks
        ],
        "KeyPairName": pool.key_pair or None,
        "RamRoleName": site.ram_role or None,
        "UserData": base64.b64encode(pool.user_data.encode()).decode() or None,
        "AutoReleaseTime": written(pool.auto_release) if pool.auto_release else None,
        "HttpTokens": "required",
        "Tag": tags({**pool.tags(estate), REQUEST_TAG: intent}),
        **charge,
    }


def token(intent: str, batch: Batch, refused: int) -> str:
    """The ClientToken: the same for whoever asks for this batch of this intent.

    ``refused`` counts the times that the cloud held a refused request against it.
    """
    text = f"{intent} {batch.first}-{batch.last} {refused}"
    return hashlib.sha256(text.encode()).hexdigest()


def names_tags(batches: Sequence[Batch]) -> tuple[dict[str, str], tuple[Batch, ...]]:
    """The tags of an intent with as many batches as they hold, and which those are; the next intent has the others."""
    texts = [""]
    kept: list[Batch] = []
    for batch in batches:
        if len(f"{texts[-1]},{batch}") > _TAG_LENGTH:
            if len(texts) == _MOST_TAGS:
                break
            texts.append("")
        texts[-1] = f"{texts[-1]},{batch}".strip(",")
        kept.append(batch)
    return {f"{NAMES_TAG}.{number:02}": text for number, text in enumerate(texts)}, tuple(kept)


def open_batches(intent: Intent, pool: Pool, instances: Sequence[Instance]) -> list[Batch]:
    """What of an intent has to be asked for (again): batches of which not every instance of the intent is seen.

    Numbers that are held by an instance of another request were taken before the intent was written down, by a run
    that had been faster.
    """
    ours: set[int | None] = set()
    others: set[int | None] = set()
    for instance in instances:
        if instance.pool == pool.name:
            number = pool.slot(_identity(pool, instance))
            (ours if instance.tags.get(REQUEST_TAG) == intent.id else others).add(number)
    found: list[Batch] = []
    for batch in intent.batches:
        left = [number for number in batch.numbers if number not in others]
        found += [part for part in _batches(left, [batch.zone] * len(left)) if not ours.issuperset(part.numbers)]
    return found


def cost_per_hour(instances: Sequence[Instance], prices: Mapping[str, float]) -> float | None:
    """What these cost an hour; None where that is not known, because a type has no price."""
    if not prices or any(instance.type not in prices for instance in instances):
        return None
    return round(sum(prices[instance.type] for instance in instances), 4)


def members(pool: Pool, instances: Sequence[Instance]) -> list[Instance]:
    """The instances that make up a pool."""
    return [instance for instance in instances if instance.pool == pool.name and not instance.is_released]


def release_steps(instances: Sequence[Instance], reason: str) -> list[Step]:
    """What the release of these is to a person."""
    return [Step("release", label(instance), reason) for instance in instances]


def deletion_steps(loose: Iterable[Interface]) -> list[Step]:
    """What the end of these is to a person."""
    return [Step("delete", f"interface {interface.id}", "it hangs on no instance") for interface in loose]


def forgotten(observed: Observed) -> tuple[Interface, ...]:
    """The loose interfaces that nobody is about to hang on an instance."""
    return tuple(interface for interface in observed.loose if _is_forgotten(interface, observed.now))


def spans(names: Iterable[str]) -> str:
    """Names for a person: ``online-1 to online-6, online-9``."""
    found: list[tuple[str, str]] = []
    for name in sorted(names, key=_order):
        if found and _order(name) == (_order(found[-1][1])[0], _order(found[-1][1])[1] + 1):
            found[-1] = (found[-1][0], name)
        else:
            found.append((name, name))
    return ", ".join(first if first == last else f"{first} to {last}" for first, last in found)


def _order(name: str) -> tuple[str, int]:
    stem, _dash, number = name.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (name, 0)


def label(instance: Instance) -> str:
    """An instance as steps and messages name it."""
    return f"{instance.name} ({instance.id})"


def _identity(pool: Pool, instance: Instance) -> str:
    """The name by which it holds its number, also where a person renamed it."""
    return instance.name if pool.slot(instance.name) is not None else instance.host_name


def _is_outlived(intent: Intent, now: datetime) -> bool:
    created = moment(intent.created)
    return created is None or now - created > _INTENT_LASTS


def _is_forgotten(interface: Interface, now: datetime) -> bool:
    created = moment(interface.created)
    return RELEASED_TAG in interface.tags or created is None or now - created > _LOOSE_FOR


def _spread(pool: Pool, site: Site, observed: Observed, held: Sequence[Instance], count: int) -> list[str]:
    """A zone for each of ``count`` new instances, by zone.

    Each goes where an instance would have the most free addresses to itself. Where nothing is known to be free, the
    first zone is as good as any: the cloud says what is wrong.
    """
    standing = Counter(instance.zone for instance in held)
    free = {zone: _free(zone, site, observed.free) for zone in pool.zones}
    new: Counter[str] = Counter()
    for _number in range(count):
        open_zones = [zone for zone in pool.zones if free[zone] > new[zone]] or list(pool.zones[:1])
        new[max(open_zones, key=lambda zone: free[zone] / (1 + standing[zone] + new[zone]))] += 1
    return [zone for zone in pool.zones for _each in range(new[zone])]


def _free(zone: str, site: Site, free: Mapping[str, int]) -> int:
    """How many instances find an address in a zone: on the node vSwitch, and at least one pod address each."""
    vswitches = (by_zone[zone] for by_zone in (site.node_vswitches, site.pod_vswitches) if zone in by_zone)
    return min(free.get(vswitch, 0) for vswitch in vswitches)


def _batches(numbers: Sequence[int], zones: Sequence[str]) -> list[Batch]:
    """Neighbouring numbers of one zone and of equally many digits together, as many as one request takes."""
    found: list[Batch] = []
    for number, zone in zip(numbers, zones):
        last = found[-1] if found else None
        if (
            last
            and (last.zone, last.last + 1) == (zone, number)
            and len(str(last.first)) == len(str(number))
            and len(last.numbers) < PAGE
        ):
            found[-1] = Batch(last.first, number, zone)
        else:
            found.append(Batch(number, number, zone))
    return found


def _surplus(pools: Mapping[str, Pool], observed: Observed) -> Iterator[Instance]:
    """Those that no pool wants: first what does not run, then the highest numbers."""
    for _name, pool in sorted(pools.items()):
        held = members(pool, observed.instances)
        held.sort(
            key=lambda instance: (
                instance.status != RUNNING and not instance.is_coming_up,
                pool.slot(_identity(pool, instance)) or 0,
            ),
            reverse=True,
        )
        yield from held[: max(0, len(held) - pool.wanted(observed.now.date()))]
    for instance in observed.instances:
        if instance.pool not in pools and not instance.is_released:
            yield instance


def _changes(estate: str, pool: Pool, observed: Observed) -> Iterator[Change]:
    held = members(pool, observed.instances)
    yield from _tag_changes(pool.tags(estate), held)
    release = pool.auto_release
    to_set = [instance for instance in held if _differs(instance, release)]
    if to_set and release and is_settable(release, observed.now):
        yield Change(tuple(to_set), release=written(release))
    to_cancel = [instance for instance in held if release is None and _is_our_release(instance)]
    if to_cancel:
        yield Change(tuple(to_cancel), release="")
    status = renewal(pool.charge)
    wrong = [
        instance
        for instance in held
        if instance.charge_type == PREPAID and observed.renewals.get(instance.id, status) != status
    ]
    if wrong:
        yield Change(tuple(wrong), renewal=pool.charge)


def _tag_changes(wanted: Mapping[str, str], held: Sequence[Instance]) -> Iterator[Change]:
    alike: dict[tuple[tuple[tuple[str, str], ...], tuple[str, ...]], list[Instance]] = {}
    for instance in held:
        add = tuple(sorted((key, value) for key, value in wanted.items() if instance.tags.get(key) != value))
        drop = tuple(
            key
            for key in sorted(instance.tags)
            if key.startswith(OWN_PREFIX) and key not in wanted and key not in _OURS_ALONE
        )
        if add or drop:
            alike.setdefault((add, drop), []).append(instance)
    for (add, drop), some in alike.items():
        yield Change(tuple(some), dict(add), drop)


def _differs(instance: Instance, release: datetime | None) -> bool:
    if instance.charge_type == PREPAID:
        return False
    return release is not None and moment(instance.auto_release) != release


def _is_our_release(instance: Instance) -> bool:
    """Whether the time of its release is the one that follows from the tag it got from us."""
    last_day = moment(f"{instance.tags.get(EXPIRES_TAG, '')}T00:00Z")
    return (
        last_day is not None
        and bool(instance.auto_release)
        and moment(instance.auto_release) == release_after(last_day.date())
    )


def findings(pools: Mapping[str, Pool], observed: Observed, warn_days: int) -> Iterator[Finding]:
    """What a person should know of the pools."""
    today, soon = observed.now.date(), timedelta(days=warn_days)
    for name, pool in pools.items():
        variable = f"estate_cloud_pools.{name}"
        held = members(pool, observed.instances)
        if pool.expires and held and pool.expires - today <= soon:
            yield _expiry(pool, variable, len(held), pool.is_expired(today))
        for number, count in Counter(pool.slot(_identity(pool, instance)) for instance in held).items():
            if number is not None and count > 1:
                yield _duplicate(variable, pool, number, held)
        for instance in held:
            if instance.status != RUNNING and not instance.is_coming_up:
                yield Finding(
                    "EC002-not-running",
                    "warning",
                    instance.name,
                    variable,
                    f"{instance.id} is {instance.status}.",
                    "Start it, or release it: the next run makes another one.",
                )
            ends = moment(instance.expires)
            if ends and not pool.charge.auto_renew and ends - observed.now <= soon:
                yield Finding(
                    "EC003-subscription-ends",
                    "warning",
                    instance.name,
                    f"{variable}.charge.auto_renew",
                    f"the subscription of {instance.id} ends at {instance.expires}; the cloud stops it then.",
                    "Set auto_renew, renew it, or have it released.",
                )
    for intent in observed.intents:
        if intent.pool not in pools and not _is_outlived(intent, observed.now):
            yield Finding(
                "EC005-request-of-another",
                "warning",
                "",
                f"estate_cloud_pools.{intent.pool}",
                f"somebody is asking for instances of the pool {intent.pool}, which this inventory does not have.",
                "Do not run two inventories for one estate at the same time.",
            )


def _expiry(pool: Pool, variable: str, count: int, is_over: bool) -> Finding:
    when = f"expired after {pool.expires}" if is_over else f"expires on {pool.expires}"
    follows = "they are to be released" if pool.release_expired else "nothing releases them"
    return Finding(
        "EC001-expires",
        "warning",
        "",
        f"{variable}.expires",
        f"the pool with its {count} instances {when}; {follows}.",
        f"Ask {pool.owner or 'its owner'}; set a later day, or count to 0.",
    )


def _duplicate(variable: str, pool: Pool, number: int, held: Sequence[Instance]) -> Finding:
    ids = [instance.id for instance in held if pool.slot(_identity(pool, instance)) == number]
    return Finding(
        "EC004-two-of-a-name",
        "error",
        vm_name(pool.name, number),
        variable,
        f"{', '.join(ids)} have the same name.",
        "Release by its id the one that is no node.",
    )


def _step_of_intent(intent: Intent, verb: str, reason: str) -> Step:
    names = spans(name for batch in intent.batches for name in batch.names(intent.pool))
    return Step(verb, names or intent.id, reason)


def _step_of_batch(pool: Pool, batch: Batch, prices: Mapping[str, float]) -> Step:
    count = len(batch.numbers)
    return Step("create", spans(batch.names(pool.name)), f"{count} x {described(pool, batch, prices, count)}")


def described(pool: Pool, batch: Batch, prices: Mapping[str, float], count: int = 1) -> str:
    """What instances of a batch are to be, and what so many of them cost."""
    kind = pool.instance_types[0]
    price = f", {prices[kind] * count:g} an hour" if kind in prices else ""
    return f"{kind} ({pool.charge.type}) in {batch.zone}{price}"


def step_of_change(change: Change) -> Step:
    """What a change is to a person."""
    named = spans(instance.name for instance in change.instances)
    if change.release is not None:
        before = "".join(f"{instance.name}: {instance.auto_release or 'never'}\n" for instance in change.instances)
        after = "".join(f"{instance.name}: {change.release or 'never'}\n" for instance in change.instances)
        return Step("set release time", named, change.release or "it has no end any more", before, after)
    if change.renewal:
        return Step("set renewal", named, renewal(change.renewal))
    touched = [*change.tags, *change.untag]
    return Step("tag", named, ", ".join(touched), *_tag_texts(change, touched))


def _tag_texts(change: Change, touched: Sequence[str]) -> tuple[str, str]:
    def text(tags_of: Any) -> str:
        return "".join(
            f"{instance.name} {key}={tags_of(instance)[key]}\n"
            for instance in change.instances
            for key in touched
            if key in tags_of(instance)
        )

    return text(lambda instance: instance.tags), text(lambda _instance: change.tags)
