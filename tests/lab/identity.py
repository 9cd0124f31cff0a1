"""Which lab: every name that a lab gives to something of the machine follows from the path of its checkout. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

DEVICE_NAME_MAX = 15
MACHINE_NAME_MAX = 64


@dataclass(frozen=True)
class Identity:
    """One checkout has one lab, so two checkouts can each have one at once."""

    checkout: Path

    @property
    def id(self) -> str:
        return _digest(str(self.checkout))[:8]

    @property
    def prefix(self) -> str:
        """Network namespaces, control groups and machines of the lab begin with it."""
        return f"hk8s-{self.id}"

    @property
    def namespace(self) -> str:
        """The network namespace with the bridges, the services and the control station."""
        return self.prefix

    @property
    def client_namespace(self) -> str:
        return f"{self.prefix}.outside"

    @property
    def vpc_namespace(self) -> str:
        """The network namespace of the VPC's router, with the bridge of its machines."""
        return f"{self.prefix}.vpc"

    def host_namespace(self, host: str) -> str:
        return f"{self.prefix}-{host}"

    def owns_namespace(self, name: str) -> bool:
        own = (self.namespace, self.client_namespace, self.vpc_namespace)
        return name in own or name.startswith(f"{self.prefix}-")

    def container(self, host: str) -> str:
        """The name that systemd-nspawn knows a host by; unique on the machine."""
        return shortened(f"{self.prefix}-{host}", MACHINE_NAME_MAX)


def bridge_of(segment: str) -> str:
    return shortened(f"br-{segment}", DEVICE_NAME_MAX)


def port_of(owner: str, device: str) -> str:
    """The end of a cable that is plugged into a bridge."""
    return shortened(f"vb-{owner}.{device.removeprefix('eth')}", DEVICE_NAME_MAX)


def mac_of(owner: str, device: str) -> str:
    """The same at every boot, as a real card's: neighbours need not learn it again."""
    digest = _digest(f"{owner}/{device}")
    return ":".join(["02", *(digest[i : i + 2] for i in range(0, 10, 2))])


def machine_id_of(lab_id: str, host: str) -> str:
    return _digest(f"{lab_id}/{host}")[:32]


def shortened(name: str, limit: int) -> str:
    """`name` with only letters, digits, dots and hyphens; one too long, or changed by that, ends in a digest."""
    plain = re.sub(r"[^A-Za-z0-9.-]", "-", name)
    if plain == name and len(name) <= limit:
        return name
    return f"{plain[: limit - 7]}-{_digest(name)[:6]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
