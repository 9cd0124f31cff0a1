# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools, instances and what belongs to them; private to this collection."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import tags_in
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import vm_name
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import POSTPAID, PREPAID, Charge, VmPool
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import OWN_PREFIX

ESTATE_TAG = OWN_PREFIX + "estate"
POOL_TAG = OWN_PREFIX + "pool"
OWNER_TAG = OWN_PREFIX + "owner"
PURPOSE_TAG = OWN_PREFIX + "purpose"
EXPIRES_TAG = OWN_PREFIX + "expires"
# When the release of an instance or a network interface began; what has it is finished by whichever run comes next.
RELEASED_TAG = OWN_PREFIX + "released"
# The launch template under which an instance was asked for, and what such a template asks for.
REQUEST_TAG = OWN_PREFIX + "request"
NAMES_TAG = OWN_PREFIX + "names"

RUNNING = "Running"
_COMING_UP = frozenset({"Pending", "Starting"})
# Where a person's last day of use ends, this long after it an instance that nobody released goes by itself.
_GRACE = timedelta(days=1)
_RELEASE_AT_MOST_AHEAD = timedelta(days=3 * 365)


@dataclass(frozen=True)
class Pool(VmPool):
    """A pool of the inventory, and what it is to the cloud."""

    @classmethod
    def of(cls, pool: VmPool, zones: tuple[str, ...]) -> Pool:
        """The pool in these zones, with our choice of what a subscription leaves open."""
        charge = pool.charge
        if charge.type == PREPAID:
            charge = replace(charge, period=charge.period or 1, unit=charge.unit or "Month")
        return cls(**{**vars(pool), "zones": zones, "charge": charge})

    def is_expired(self, today: date) -> bool:
        """Whether the last day of use is over."""
        return self.expires is not None and self.expires < today

    def wanted(self, today: date) -> int:
        """How many instances there should be."""
        return 0 if self.release_expired and self.is_expired(today) else self.count

    @property
    def auto_release(self) -> datetime | None:
        """When the cloud itself ends instances of this pool, should no run do it."""
        if self.expires is None or not self.release_expired or self.charge.type != POSTPAID:
            return None
        return release_after(self.expires)

    def tags(self, estate: str) -> dict[str, str]:
        """What is written on every instance."""
        given = {
            ESTATE_TAG: estate,
            POOL_TAG: self.name,
            OWNER_TAG: self.owner,
            PURPOSE_TAG: self.purpose,
            EXPIRES_TAG: self.expires.isoformat() if self.expires else "",
        }
        return {key: value for key, value in given.items() if value}

    def slot(self, name: str) -> int | None:
        """The number of the instance of this name; None where it is not one of this pool's names."""
        match = re.fullmatch(rf"{re.escape(self.name)}-([1-9][0-9]*)", name)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class Site:
    """Where a pool's instances come to stand. The vSwitches are ids by zone."""

    node_vswitches: Mapping[str, str]
    pod_vswitches: Mapping[str, str] = field(default_factory=dict)
    security_groups: tuple[str, ...] = ()
    ram_role: str = ""


@dataclass(frozen=True)
class Instance:
    """An instance as the cloud describes it."""

    id: str
    name: str
    host_name: str
    region: str
    status: str
    zone: str
    type: str
    vpc: str
    vswitch: str
    address: str
    image: str
    charge_type: str
    created: str
    expires: str
    auto_release: str
    spot: str
    security_groups: tuple[str, ...]
    tags: Mapping[str, str]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Instance:
        """The instance of an item of DescribeInstances."""
        network = answer.get("VpcAttributes") or {}
        addresses = (network.get("PrivateIpAddress") or {}).get("IpAddress") or ("",)
        is_subscribed = answer.get("InstanceChargeType") == PREPAID
        return cls(
            id=answer["InstanceId"],
            name=answer.get("InstanceName") or "",
            host_name=answer.get("HostName") or "",
            region=answer.get("RegionId") or "",
            status=answer.get("Status") or "",
            zone=answer.get("ZoneId") or "",
            type=answer.get("InstanceType") or "",
            vpc=network.get("VpcId") or "",
            vswitch=network.get("VSwitchId") or "",
            address=addresses[0],
            image=answer.get("ImageId") or "",
            charge_type=answer.get("InstanceChargeType") or POSTPAID,
            created=answer.get("CreationTime") or "",
            # The cloud gives those that are paid by use a time far away.
            expires=(answer.get("ExpiredTime") or "") if is_subscribed else "",
            auto_release=answer.get("AutoReleaseTime") or "",
            spot=answer.get("SpotStrategy") or "",
            security_groups=tuple((answer.get("SecurityGroupIds") or {}).get("SecurityGroupId") or ()),
            tags=tags_in(answer),
        )

    @property
    def pool(self) -> str:
        return self.tags.get(POOL_TAG, "")

    @property
    def is_released(self) -> bool:
        """Whether its release has begun: it is no member of its pool any more."""
        return RELEASED_TAG in self.tags

    @property
    def is_coming_up(self) -> bool:
        return self.status in _COMING_UP

    @property
    def provider_id(self) -> str:
        """What Kubernetes knows it by."""
        return f"{self.region}.{self.id}"

    def is_paid_until(self, now: datetime) -> bool:
        """Whether the cloud refuses to delete it, because its subscription runs."""
        ends = moment(self.expires)
        return self.charge_type == PREPAID and (ends is None or ends > now)

    def to_dict(self) -> dict[str, Any]:
        """The instance for a cache."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Instance:
        """The instance of a cache."""
        return cls(**{**kept, "security_groups": tuple(kept["security_groups"])})

    def as_dict(self) -> dict[str, Any]:
        """The instance in a module's result."""
        return {
            "name": self.name,
            "id": self.id,
            "provider_id": self.provider_id,
            "pool": self.pool,
            "status": self.status,
            "zone": self.zone,
            "type": self.type,
            "vpc": self.vpc,
            "vswitch": self.vswitch,
            "address": self.address,
            "image": self.image,
            "charge_type": self.charge_type,
            "created": self.created,
            "expires": self.expires,
            "auto_release": self.auto_release,
            "spot": self.spot,
            "released": self.is_released,
            "tags": dict(self.tags),
        }


@dataclass(frozen=True)
class Interface:
    """An elastic network interface."""

    id: str
    status: str
    instance: str
    created: str
    tags: Mapping[str, str]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Interface:
        """The interface of an item of DescribeNetworkInterfaces."""
        return cls(
            id=answer["NetworkInterfaceId"],
            status=answer.get("Status") or "",
            instance=answer.get("InstanceId") or "",
            created=answer.get("CreationTime") or "",
            tags=tags_in(answer),
        )


@dataclass(frozen=True, order=True)
class Batch:
    """Instances with neighbouring numbers that one request can ask for, in one zone."""

    first: int
    last: int
    zone: str

    def __str__(self) -> str:
        numbers = f"{self.first}-{self.last}" if self.last > self.first else str(self.first)
        return f"{numbers}@{self.zone}"

    @classmethod
    def of(cls, text: str) -> Batch | None:
        """The batch that ``str`` made the text of; None for another text."""
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?@(.+)", text)
        return cls(int(match[1]), int(match[2] or match[1]), match[3]) if match else None

    @property
    def numbers(self) -> range:
        return range(self.first, self.last + 1)

    def names(self, pool: str) -> list[str]:
        return [vm_name(pool, number) for number in self.numbers]

    def pattern(self, pool: str) -> str:
        """The name that a request gives, of which the cloud makes the instances' names."""
        if self.first == self.last:
            return vm_name(pool, self.first)
        return f"{pool}-[{self.first},{len(str(self.first))}]"

    def without(self, count: int) -> Batch | None:
        """What is left when ``count`` of it are made."""
        return Batch(self.first + count, self.last, self.zone) if count < len(self.numbers) else None


@dataclass(frozen=True)
class Intent:
    """Instances that are being asked for, as the cloud remembers it: see this package's description."""

    id: str
    pool: str
    batches: tuple[Batch, ...]
    created: str

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Intent:
        """The intent of an item of DescribeLaunchTemplates."""
        tags = tags_in(answer)
        texts = (tags[key] for key in sorted(tags) if key.startswith(NAMES_TAG))
        batches = (Batch.of(text) for each in texts for text in each.split(","))
        return cls(
            id=answer["LaunchTemplateId"],
            pool=tags.get(POOL_TAG, ""),
            batches=tuple(batch for batch in batches if batch),
            created=answer.get("CreateTime") or answer.get("CreationTime") or "",
        )


def renewal(charge: Charge) -> str:
    """The status of renewal that a subscription should have."""
    return "AutoRenewal" if charge.auto_renew else "Normal"


def moment(text: str) -> datetime | None:
    """The time that the cloud writes as ``2027-01-31T16:00Z``, with seconds or without; None for another text."""
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    return None


def written(when: datetime) -> str:
    """The form in which the cloud takes a time."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def release_after(last_day: date) -> datetime:
    """When the cloud itself ends an instance whose last day of use this is."""
    return datetime.combine(last_day + timedelta(days=1), time(), timezone.utc) + _GRACE


def is_settable(when: datetime, now: datetime) -> bool:
    """Whether the cloud takes it as the time of a release."""
    return now + timedelta(minutes=31) < when < now + _RELEASE_AT_MOST_AHEAD
