# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an estate is in the cloud; private to this collection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    PAGE,
    Cloud,
    all_of,
    chunks,
    tags,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import VPC
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import (
    ESTATE_TAG,
    Instance,
    Intent,
    Interface,
    Site,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import PREPAID

INSTANCES = ("Instances", "Instance")
INTERFACES = ("NetworkInterfaceSets", "NetworkInterfaceSet")


@dataclass(frozen=True)
class Observed:
    """An estate's objects in the cloud. ``free`` are addresses by vSwitch, ``renewals`` states by instance.

    ``loose`` are interfaces that hang on no instance.
    """

    now: datetime
    instances: tuple[Instance, ...] = ()
    intents: tuple[Intent, ...] = ()
    loose: tuple[Interface, ...] = ()
    free: Mapping[str, int] = field(default_factory=dict)
    renewals: Mapping[str, str] = field(default_factory=dict)


def observe(cloud: Cloud, estate: str) -> Observed:
    """All of it but ``free``, which only those need who want more instances."""
    found = instances(cloud, estate)
    requested = tuple(
        map(
            Intent.of,
            cloud.numbered_items(
                "DescribeLaunchTemplates",
                ("LaunchTemplateSets", "LaunchTemplateSet"),
                page=50,
                TemplateTag=tags({ESTATE_TAG: estate}),
            ),
        )
    )
    loose = tuple(interfaces(cloud, Tag=tags({ESTATE_TAG: estate}), Type="Secondary", Status="Available"))
    subscribed = [instance.id for instance in found if instance.charge_type == PREPAID]
    return Observed(now(cloud), found, requested, loose, renewals=_renewals(cloud, subscribed))


def instances(cloud: Cloud, estate: str) -> tuple[Instance, ...]:
    """Every instance that has the estate's tag, by name."""
    items = cloud.items("DescribeInstances", INSTANCES, Tag=tags({ESTATE_TAG: estate}))
    return tuple(sorted(map(Instance.of, items), key=lambda instance: (instance.name, instance.id)))


def instances_by_id(cloud: Cloud, ids: Sequence[str]) -> dict[str, Instance]:
    """Those of these that the cloud shows."""
    answers = all_of(
        lambda some: list(cloud.items("DescribeInstances", INSTANCES, InstanceIds=json.dumps(list(some)))),
        chunks(ids, PAGE),
    )
    return {item["InstanceId"]: Instance.of(item) for items in answers for item in items}


def behind(cloud: Cloud, provider_ids: Sequence[str]) -> tuple[list[Instance], list[str]]:
    """The instances behind provider ids of the cloud's region, and the ids of those that there are not."""
    ours = sorted(one for one in set(provider_ids) if one.startswith(f"{cloud.region}."))
    found = instances_by_id(cloud, [one.partition(".")[2] for one in ours])
    there = sorted(found.values(), key=lambda instance: (instance.name, instance.id))
    return there, [one for one in ours if one.partition(".")[2] not in found]


def interfaces(cloud: Cloud, **filters: Any) -> Iterator[Interface]:
    """The interfaces that the filters leave."""
    return map(Interface.of, cloud.items("DescribeNetworkInterfaces", INTERFACES, **filters))


def free_addresses(cloud: Cloud, site: Site) -> dict[str, int]:
    """How many addresses each vSwitch of the site has left; one that does not exist is missing."""
    ids = sorted({*site.node_vswitches.values(), *site.pod_vswitches.values()})

    def free(vswitch: str) -> dict[str, int]:
        found = cloud.numbered_items(
            "DescribeVSwitches", ("VSwitches", "VSwitch"), product=VPC, page=50, VSwitchId=vswitch
        )
        return {item["VSwitchId"]: int(item.get("AvailableIpAddressCount") or 0) for item in found}

    return {vswitch: count for each in all_of(free, ids) for vswitch, count in each.items()}


def now(cloud: Cloud) -> datetime:
    """The cloud's time: that of controllers may differ."""
    try:
        return parsedate_to_datetime(cloud.date)
    except (TypeError, ValueError):
        return datetime.now(timezone.utc)


def _renewals(cloud: Cloud, ids: Sequence[str]) -> dict[str, str]:
    found = all_of(
        lambda some: list(
            cloud.numbered_items(
                "DescribeInstanceAutoRenewAttribute",
                ("InstanceRenewAttributes", "InstanceRenewAttribute"),
                InstanceId=",".join(some),
            )
        ),
        chunks(ids, PAGE),
    )
    return {item["InstanceId"]: str(item.get("RenewalStatus") or "") for items in found for item in items}
