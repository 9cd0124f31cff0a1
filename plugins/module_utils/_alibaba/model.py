# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the cloud's APIs answer, who we are to them, and what a request is; private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

ECS = "ecs"
VPC = "vpc"
CS = "cs"
# The product's API version, and where a region answers for it.
VERSIONS = {ECS: "2014-05-26", VPC: "2016-04-28", CS: "2015-12-15"}
_PUBLIC = {product: f"{product}.{{region}}.aliyuncs.com" for product in VERSIONS}


@dataclass(frozen=True)
class Credentials:
    """An access key, or the RAM role of the controller's own instance, or nothing: then the library looks around."""

    access_key_id: str = ""
    access_key_secret: str = ""
    security_token: str = ""
    ram_role: str = ""

    def __repr__(self) -> str:
        return f"Credentials(ram_role={self.ram_role!r})"


@dataclass(frozen=True)
class Access:
    """Where a region's APIs answer, and who we are to them."""

    region: str
    credentials: Credentials = Credentials()
    endpoints: Mapping[str, str] | None = None
    scheme: str = "https"

    def endpoint(self, product: str) -> str:
        """HOST or HOST:PORT of a product."""
        return (self.endpoints or {}).get(product) or _PUBLIC[product].format(region=self.region)


@dataclass(frozen=True)
class Request:
    """One request as the transport sends it; ``path`` and ``method`` are those of the product that is REST."""

    product: str
    action: str
    query: Mapping[str, str]
    method: str = "POST"
    path: str = "/"
    body: Mapping[str, Any] | None = None

    @property
    def version(self) -> str:
        return VERSIONS[self.product]


class Transport(Protocol):
    """Sends a request once. Raises CloudError."""

    def send(self, request: Request) -> tuple[Any, Mapping[str, str]]:
        """The answer's JSON, and its headers in lower case."""
