# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw ``estate_cloud`` and ``estate_cloud_pools`` to their types; private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import Credentials
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.reader import Reader

CLOUD, POOLS = "estate_cloud", "estate_cloud_pools"
_CLOUD_KEYS = (
    "provider",
    "region",
    "vpc",
    "cidr",
    "secondary_cidrs",
    "node_vswitches",
    "pod_vswitches",
    "security_groups",
    "line",
    "ram_role",
    "credentials",
    "endpoints",
    "prices",
    "ack",
    "currency",
    "warn_days",
)
_ACK_KEYS = (
    "name",
    "state",
    "vswitches",
    "security_group",
    "agent_mode",
    "private",
    "public_endpoint",
    "registries",
    "authority",
    "verify",
)
_LINE_KEYS = ("prefixes", "limit_mbit", "control_mbit", "capacity_mbit", "warn_share")
_CREDENTIALS_KEYS = ("access_key_id", "access_key_secret", "security_token", "ram_role")
_ENDPOINTS_KEYS = ("ecs", "vpc", "cs", "scheme")
_POOL_KEYS = (
    "instance_types",
    "zones",
    "count",
    "image",
    "key_pair",
    "system_disk",
    "data_disks",
    "charge",
    "user_data",
    "labels",
    "taints",
    "owner",
    "purpose",
    "expires",
    "release_expired",
    "runtime_profile",
)
_DISK_KEYS = ("category", "size_gb")
_CHARGE_KEYS = ("type", "period", "unit", "auto_renew")
_MOST_VMS = 9999
_MOST_GB = 65536
_MOST_MBIT = 400_000
_LEAST_LIMIT = 2  # something for control traffic, and something for the rest
_LONGEST_PERIOD = 60
_HIGHEST_PRICE = 1e6
_MOST_DAYS = 366


def cloud(reader: Reader, value: Any) -> model.Cloud | None:
    """The VPC, or None where the inventory has none."""
    if value is None:
        return None
    raw = reader.mapping("", CLOUD, value)
    reader.keys("", CLOUD, raw, _CLOUD_KEYS, ("provider", "region", "cidr"))
    return model.Cloud(
        provider=reader.choice("", f"{CLOUD}.provider", raw.get("provider"), ("alibaba",)),
        region=reader.text("", f"{CLOUD}.region", raw.get("region")) or "",
        vpc=reader.text("", f"{CLOUD}.vpc", raw.get("vpc")) or "",
        cidr=reader.network("", f"{CLOUD}.cidr", raw.get("cidr")),
        secondary_cidrs=reader.networks(f"{CLOUD}.secondary_cidrs", raw.get("secondary_cidrs")),
        node_vswitches=_vswitches(reader, f"{CLOUD}.node_vswitches", raw.get("node_vswitches")),
        pod_vswitches=_vswitches(reader, f"{CLOUD}.pod_vswitches", raw.get("pod_vswitches")),
        security_groups=reader.texts("", f"{CLOUD}.security_groups", raw.get("security_groups")),
        line=_line(reader, f"{CLOUD}.line", raw.get("line")),
        ram_role=reader.text("", f"{CLOUD}.ram_role", raw.get("ram_role")) or "",
        credentials=_credentials(reader, f"{CLOUD}.credentials", raw.get("credentials")),
        endpoints=_endpoints(reader, f"{CLOUD}.endpoints", raw.get("endpoints")),
        prices=_prices(reader, f"{CLOUD}.prices", raw.get("prices")),
        ack=_ack(reader, f"{CLOUD}.ack", raw.get("ack")),
        currency=reader.text("", f"{CLOUD}.currency", raw.get("currency")) or "",
        warn_days=reader.integer(f"{CLOUD}.warn_days", raw.get("warn_days"), 0, _MOST_DAYS),
    )


def _vswitches(reader: Reader, variable: str, value: Any) -> dict[str, model.VSwitch]:
    vswitches: dict[str, model.VSwitch] = {}
    for zone, item in sorted(reader.mapping("", variable, value).items()):
        raw = reader.mapping("", f"{variable}.{zone}", item)
        reader.keys("", f"{variable}.{zone}", raw, ("id", "cidr"), ("id", "cidr"))
        vswitches[zone] = model.VSwitch(
            id=reader.text("", f"{variable}.{zone}.id", raw.get("id")) or "",
            cidr=reader.network("", f"{variable}.{zone}.cidr", raw.get("cidr")),
        )
    return vswitches


def _line(reader: Reader, variable: str, value: Any) -> model.Line | None:
    if value is None:
        return None
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, _LINE_KEYS, ("prefixes",))
    share = reader.number(f"{variable}.warn_share", raw.get("warn_share"), 0.01, 1)
    return model.Line(
        prefixes=reader.networks(f"{variable}.prefixes", raw.get("prefixes")),
        limit_mbit=reader.integer(f"{variable}.limit_mbit", raw.get("limit_mbit"), _LEAST_LIMIT, _MOST_MBIT),
        control_mbit=reader.integer(f"{variable}.control_mbit", raw.get("control_mbit"), 1, _MOST_MBIT),
        capacity_mbit=reader.integer(f"{variable}.capacity_mbit", raw.get("capacity_mbit"), 1, _MOST_MBIT),
        warn_share=model.Line.warn_share if share is None else share,
    )


def _ack(reader: Reader, variable: str, value: Any) -> model.Ack | None:
    if value is None:
        return None
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, _ACK_KEYS)
    state = reader.choice("", f"{variable}.state", raw.get("state"), model.ACK_STATES)
    mode = reader.choice("", f"{variable}.agent_mode", raw.get("agent_mode"), model.ACK_MODES)
    return model.Ack(
        name=reader.text("", f"{variable}.name", raw.get("name")) or "",
        state=state or model.Ack.state,
        vswitches=reader.texts("", f"{variable}.vswitches", raw.get("vswitches")),
        security_group=reader.text("", f"{variable}.security_group", raw.get("security_group")) or "",
        agent_mode=mode or model.Ack.agent_mode,
        private=raw.get("private") is None or reader.boolean(f"{variable}.private", raw["private"]),
        public_endpoint=reader.boolean(f"{variable}.public_endpoint", raw.get("public_endpoint")),
        registries=reader.texts("", f"{variable}.registries", raw.get("registries")),
        authority=reader.text("", f"{variable}.authority", raw.get("authority")) or "",
        verify=raw.get("verify") is None or reader.boolean(f"{variable}.verify", raw["verify"]),
    )


def _credentials(reader: Reader, variable: str, value: Any) -> Credentials | None:
    if value is None:
        return None
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, _CREDENTIALS_KEYS)
    return Credentials(
        access_key_id=reader.secret(f"{variable}.access_key_id", raw.get("access_key_id")),
        access_key_secret=reader.secret(f"{variable}.access_key_secret", raw.get("access_key_secret")),
        security_token=reader.secret(f"{variable}.security_token", raw.get("security_token")),
        ram_role=reader.text("", f"{variable}.ram_role", raw.get("ram_role")) or "",
    )


def _endpoints(reader: Reader, variable: str, value: Any) -> model.CloudEndpoints:
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, _ENDPOINTS_KEYS)
    hosts = {name: reader.authority(f"{variable}.{name}", raw.get(name)) for name in ("ecs", "vpc", "cs")}
    scheme = reader.choice("", f"{variable}.scheme", raw.get("scheme"), ("https", "http"))
    return model.CloudEndpoints(**hosts, scheme=scheme or model.CloudEndpoints.scheme)


def _prices(reader: Reader, variable: str, value: Any) -> dict[str, float]:
    prices = {
        name: reader.number(f"{variable}.{name}", price, 0, _HIGHEST_PRICE)
        for name, price in reader.mapping("", variable, value).items()
    }
    return {name: price for name, price in prices.items() if price is not None}


def vm_pools(reader: Reader, value: Any) -> dict[str, model.VmPool]:
    """The pools of virtual machines, by name."""
    pools: dict[str, model.VmPool] = {}
    for name, item in sorted(reader.mapping("", POOLS, value).items()):
        variable = f"{POOLS}.{name}"
        raw = reader.mapping("", variable, item)
        reader.keys("", variable, raw, _POOL_KEYS, ("instance_types", "count", "image"))
        pools[name] = model.VmPool(
            name=name,
            instance_types=reader.texts("", f"{variable}.instance_types", raw.get("instance_types")),
            zones=reader.texts("", f"{variable}.zones", raw.get("zones")),
            count=reader.integer(f"{variable}.count", raw.get("count"), 0, _MOST_VMS) or 0,
            image=reader.text("", f"{variable}.image", raw.get("image")) or "",
            key_pair=reader.text("", f"{variable}.key_pair", raw.get("key_pair")) or "",
            system_disk=_disk(reader, f"{variable}.system_disk", raw.get("system_disk")) or model.VmPool.system_disk,
            data_disks=_disks(reader, f"{variable}.data_disks", raw.get("data_disks")),
            charge=_charge(reader, f"{variable}.charge", raw.get("charge")),
            user_data=reader.secret(f"{variable}.user_data", raw.get("user_data")),
            labels=reader.strings("", f"{variable}.labels", raw.get("labels")),
            taints=reader.taints("", f"{variable}.taints", raw.get("taints")),
            owner=reader.text("", f"{variable}.owner", raw.get("owner")) or "",
            purpose=reader.text("", f"{variable}.purpose", raw.get("purpose")) or "",
            expires=reader.day(f"{variable}.expires", raw.get("expires")),
            release_expired=reader.boolean(f"{variable}.release_expired", raw.get("release_expired")),
            runtime_profile=reader.text("", f"{variable}.runtime_profile", raw.get("runtime_profile")) or "",
        )
    return pools


def _disk(reader: Reader, variable: str, value: Any) -> model.Disk | None:
    if value is None:
        return None
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, _DISK_KEYS, _DISK_KEYS)
    return model.Disk(
        category=reader.text("", f"{variable}.category", raw.get("category")) or "",
        size_gb=reader.integer(f"{variable}.size_gb", raw.get("size_gb"), 1, _MOST_GB),
    )


def _disks(reader: Reader, variable: str, value: Any) -> tuple[model.Disk, ...]:
    disks = (
        _disk(reader, f"{variable}[{index}]", item) for index, item in enumerate(reader.sequence("", variable, value))
    )
    return tuple(disk for disk in disks if disk is not None)


def _charge(reader: Reader, variable: str, value: Any) -> model.Charge:
    if value is None:
        return model.Charge()
    raw = reader.mapping("", variable, value)
    reader.keys("", variable, raw, _CHARGE_KEYS, ("type",))
    return model.Charge(
        type=reader.choice("", f"{variable}.type", raw.get("type"), model.CHARGE_TYPES) or model.POSTPAID,
        period=reader.integer(f"{variable}.period", raw.get("period"), 1, _LONGEST_PERIOD),
        unit=reader.choice("", f"{variable}.unit", raw.get("unit"), model.PERIOD_UNITS),
        auto_renew=reader.boolean(f"{variable}.auto_renew", raw.get("auto_renew")),
    )
