"""What the lab's cloud has to offer: what the inventory's `estate_cloud` and `estate_cloud_pools` want of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.lab.errors import InventoryError
from tests.lab.inventory import Inventory

ACCOUNT = "1000000000000001"
# Who an inventory without credentials is to the lab's cloud: the control station's environment says so.
ACCESS_KEY = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5tLAB", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "of-the-lab"}
# A lab machine boots within seconds; a real one in a minute or so.
TIMINGS = {"visible": 0.5, "pending": 0.3, "starting": 0.5, "stopping": 0.5, "eni": 0.3}
USUAL_TYPE = {"cpus": 4, "memory_gib": 16, "eni_quantity": 3, "addresses_per_eni": 4}


def world_of(inventory: Inventory) -> dict[str, Any]:
    """The world of the simulated cloud, as JSON."""
    cloud: Mapping[str, Any] = inventory.shared("estate_cloud") or {}
    pools: Mapping[str, Any] = inventory.shared("estate_cloud_pools") or {}
    _check(cloud)
    vpc_id = str(cloud["vpc"])
    vswitches = [
        {"id": body["id"], "vpc": vpc_id, "zone": zone, "cidr": body["cidr"]}
        for kind in ("node_vswitches", "pod_vswitches")
        for zone, body in sorted((cloud.get(kind) or {}).items())
    ]
    secondary = list(cloud.get("secondary_cidrs") or ())
    credentials = _credentials(cloud)
    key = {"id": credentials["access_key_id"], "secret": credentials["access_key_secret"], "account": ACCOUNT}
    return {
        "regions": {cloud["region"]: sorted({each["zone"] for each in vswitches})},
        "vpcs": [{"id": vpc_id, "cidr": cloud["cidr"], "region": cloud["region"], "secondary_cidrs": secondary}],
        "vswitches": vswitches,
        "security_groups": [{"id": group, "vpc": vpc_id} for group in cloud.get("security_groups") or ()],
        "images": [{"id": name} for name in sorted({pool["image"] for pool in pools.values() if "image" in pool})],
        "key_pairs": sorted({pool["key_pair"] for pool in pools.values() if "key_pair" in pool}),
        "instance_types": [
            {"id": name, **USUAL_TYPE}
            for name in sorted({name for pool in pools.values() for name in pool.get("instance_types") or ()})
        ],
        "keys": [key],
        "roles": [{"name": cloud["ram_role"], "account": ACCOUNT}] if cloud.get("ram_role") else [],
        "timings": TIMINGS,
    }


def _credentials(cloud: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inventory's own, or what the control station's environment has for those that name none."""
    given: Mapping[str, Any] = cloud.get("credentials") or {}
    return given or {
        "access_key_id": ACCESS_KEY["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        "access_key_secret": ACCESS_KEY["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    }


def _check(cloud: Mapping[str, Any]) -> None:
    credentials = _credentials(cloud)
    given = {
        **{f"estate_cloud.{name}": cloud.get(name) for name in ("region", "vpc", "cidr")},
        **{
            f"estate_cloud.credentials.{name}": credentials.get(name) for name in ("access_key_id", "access_key_secret")
        },
    }
    wrong = [name for name, value in given.items() if not isinstance(value, str) or not value]
    if wrong:
        raise InventoryError(f"the lab's cloud needs these as plain text, not from a vault: {', '.join(wrong)}")
