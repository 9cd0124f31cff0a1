"""What the simulated cloud is given and its API does not make: regions, networks, images, accounts, stock, speeds."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

DEFAULT_REGION = "cn-shenzhen"
TERWAY_ACTIONS = (
    "ecs:CreateNetworkInterface",
    "ecs:DescribeNetworkInterfaces",
    "ecs:AttachNetworkInterface",
    "ecs:DetachNetworkInterface",
    "ecs:DeleteNetworkInterface",
    "ecs:DescribeInstanceTypes",
    "ecs:AssignPrivateIpAddresses",
    "ecs:UnassignPrivateIpAddresses",
    "vpc:DescribeVSwitches",
)


@dataclass(frozen=True)
class Vpc:
    id: str
    cidr: str
    region: str = DEFAULT_REGION
    secondary_cidrs: tuple[str, ...] = ()


@dataclass(frozen=True)
class VSwitch:
    id: str
    vpc: str
    zone: str
    cidr: str

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.cidr)

    @property
    def gateway(self) -> str:
        return str(self.network[-3])

    @property
    def capacity(self) -> int:
        """The first address and the last three belong to the cloud."""
        return self.network.num_addresses - 4


@dataclass(frozen=True)
class SecurityGroup:
    id: str
    vpc: str


@dataclass(frozen=True)
class Image:
    id: str
    size_gb: int = 20


@dataclass(frozen=True)
class InstanceType:
    """`eni_quantity` counts the primary interface too."""

    id: str
    cpus: int
    memory_gib: float
    eni_quantity: int
    addresses_per_eni: int
    gpus: int = 0
    gpu: str = ""

    @property
    def family(self) -> str:
        return ".".join(self.id.split(".")[:2])


@dataclass(frozen=True)
class AccessKey:
    """`allow` holds patterns of PRODUCT:ACTION, e.g. ecs:Describe*."""

    id: str
    secret: str = field(repr=False)
    account: str
    allow: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class Role:
    """A RAM role that instances may have."""

    name: str
    account: str
    allow: tuple[str, ...] = TERWAY_ACTIONS


@dataclass(frozen=True)
class Timings:
    """How long the cloud takes, in seconds."""

    visible: float = 0.3
    pending: float = 0.5
    starting: float = 0.7
    stopping: float = 0.5
    eni: float = 0.2
    cluster: float = 0.5
    token_kept: float = 86400.0
    released_after_expiry: float = 15 * 86400.0


@dataclass(frozen=True)
class Quotas:
    """Limits of an account in a region."""

    vcpus: int = 100_000
    enis: int = 100_000


@dataclass(frozen=True)
class World:
    """All of it. What `stock` does not name is there without limit; `rates` are requests a second for an action."""

    regions: Mapping[str, tuple[str, ...]]
    vpcs: Mapping[str, Vpc]
    vswitches: Mapping[str, VSwitch]
    security_groups: Mapping[str, SecurityGroup]
    images: Mapping[str, Image]
    instance_types: Mapping[str, InstanceType]
    keys: Mapping[str, AccessKey]
    roles: Mapping[str, Role]
    key_pairs: tuple[str, ...] = ()
    stock: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    quotas: Quotas = Quotas()
    timings: Timings = Timings()
    agent_address: str = "127.0.0.1:5533"
    agent_authority: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_TABLES: dict[str, tuple[type[Any], str]] = {
    "vpcs": (Vpc, "id"),
    "vswitches": (VSwitch, "id"),
    "security_groups": (SecurityGroup, "id"),
    "images": (Image, "id"),
    "instance_types": (InstanceType, "id"),
    "keys": (AccessKey, "id"),
    "roles": (Role, "name"),
}


def parse(data: Mapping[str, Any]) -> World:
    """A world from JSON; tables are lists of objects, or objects by their ids. What is left out is the example's."""
    values: dict[str, Any] = {**EXAMPLE, **data}
    parsed: dict[str, Any] = {}
    for name, value in values.items():
        if name in _TABLES:
            parsed[name] = _table(*_TABLES[name], value)
        elif name == "quotas":
            parsed[name] = Quotas(**value)
        elif name == "timings":
            parsed[name] = Timings(**value)
        elif name == "regions":
            parsed[name] = {region: tuple(zones) for region, zones in value.items()}
        elif name == "key_pairs":
            parsed[name] = tuple(value)
        else:
            parsed[name] = value
    return World(**parsed)


def _table(kind: type[Any], key: str, value: Any) -> dict[str, Any]:
    rows = value.values() if isinstance(value, Mapping) else value
    made = (
        kind(**{name: tuple(cell) if isinstance(cell, list) else cell for name, cell in row.items()}) for row in rows
    )
    return {getattr(row, key): row for row in made}


def allows(patterns: tuple[str, ...], product: str, action: str) -> bool:
    return any(fnmatchcase(f"{product}:{action}", pattern) for pattern in patterns)


EXAMPLE: dict[str, Any] = {
    "regions": {DEFAULT_REGION: ["cn-shenzhen-d", "cn-shenzhen-e"]},
    "vpcs": [{"id": "vpc-1", "cidr": "172.20.0.0/16"}],
    "vswitches": [
        {"id": "vsw-node-d", "vpc": "vpc-1", "zone": "cn-shenzhen-d", "cidr": "172.20.16.0/20"},
        {"id": "vsw-node-e", "vpc": "vpc-1", "zone": "cn-shenzhen-e", "cidr": "172.20.32.0/20"},
        {"id": "vsw-pod-d", "vpc": "vpc-1", "zone": "cn-shenzhen-d", "cidr": "172.20.128.0/19"},
        {"id": "vsw-pod-e", "vpc": "vpc-1", "zone": "cn-shenzhen-e", "cidr": "172.20.160.0/19"},
    ],
    "security_groups": [{"id": "sg-1", "vpc": "vpc-1"}],
    "images": [{"id": "m-debian12"}],
    "key_pairs": ["operations"],
    "instance_types": [
        {"id": "ecs.g7.large", "cpus": 2, "memory_gib": 8, "eni_quantity": 3, "addresses_per_eni": 6},
        {"id": "ecs.g7.xlarge", "cpus": 4, "memory_gib": 16, "eni_quantity": 4, "addresses_per_eni": 15},
        {"id": "ecs.g6.xlarge", "cpus": 4, "memory_gib": 16, "eni_quantity": 3, "addresses_per_eni": 10},
        {
            "id": "ecs.gn7i-c8g1.2xlarge",
            "cpus": 8,
            "memory_gib": 30,
            "eni_quantity": 4,
            "addresses_per_eni": 15,
            "gpus": 1,
            "gpu": "NVIDIA A10",
        },
    ],
    "keys": [{"id": "LTAI5tEXAMPLE", "secret": "example-secret", "account": "1000000000000001"}],
    "roles": [{"name": "KubernetesNodeRole", "account": "1000000000000001"}],
}
