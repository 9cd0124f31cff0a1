# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of ACK: clusters that are registered from outside, and their agents; private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import PAGE, Cloud
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import ESTATE_TAG

RUNNING = "running"
INITIAL = "initial"
DELETING = "deleting"
FAILED = ("failed", "delete_failed")
EXTERNAL = "ExternalKubernetes"
_GONE = ("deleted",)
_NOT_FOUND = 404


@dataclass(frozen=True)
class Wanted:
    """The registration as the inventory wants it. ``private`` keeps the agent's connection on the dedicated line."""

    estate: str
    name: str
    vpc: str
    vswitches: tuple[str, ...]
    security_group: str = ""
    service_cidr: str = ""
    public_endpoint: bool = False
    agent_mode: str = "restricted"
    private: bool = True


@dataclass(frozen=True)
class Registered:
    """A cluster as ACK has it."""

    id: str
    name: str
    state: str
    vpc: str = ""
    service_cidr: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def is_of(self, estate: str) -> bool:
        return self.tags.get(ESTATE_TAG) == estate


class Service:
    """ACK in one region. Methods raise CloudError."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def named(self, name: str) -> list[Registered]:
        """The registered clusters of exactly this name, whosever they are."""
        return [one for one in self._like(name) if one.name == name and one.state not in _GONE]

    def cluster(self, identifier: str) -> Registered | None:
        """The cluster of this id; None when there is none."""
        try:
            found = _registered(self._cloud.rest("DescribeClusterDetail", "GET", f"/clusters/{identifier}"))
        except CloudError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return None if found.state in _GONE else found

    def create(self, wanted: Wanted, token: str) -> str:
        """Register a cluster; its id. The same token twice is the same cluster."""
        body: dict[str, Any] = {
            "cluster_type": EXTERNAL,
            "name": wanted.name,
            "region_id": self._cloud.region,
            "vpcid": wanted.vpc,
            "vswitch_ids": list(wanted.vswitches),
            "endpoint_public_access": wanted.public_endpoint,
            "tags": [{"key": ESTATE_TAG, "value": wanted.estate}],
            "client_token": token,
        }
        optional = {"service_cidr": wanted.service_cidr, "security_group_id": wanted.security_group}
        body.update({name: value for name, value in optional.items() if value})
        return str(self._cloud.rest("CreateCluster", "POST", "/clusters", body=body)["cluster_id"])

    def agent(self, identifier: str, wanted: Wanted) -> str:
        """The manifest of the cluster's agent, as YAML. It holds secrets."""
        query = {"PrivateIpAddress": wanted.private, "AgentMode": wanted.agent_mode}
        path = f"/k8s/{identifier}/external/agent/deployment"
        return str(self._cloud.rest("DescribeExternalAgent", "GET", path, query).get("config") or "")

    def delete(self, identifier: str) -> None:
        """Take a registration back, with what ACK made for it; one that is gone already is fine."""
        try:
            self._cloud.rest("DeleteCluster", "DELETE", f"/clusters/{identifier}")
        except CloudError as error:
            if error.status != _NOT_FOUND:
                raise

    def _like(self, name: str) -> Iterator[Registered]:
        number = seen = 0
        while True:
            number += 1
            query = {"name": name, "cluster_type": EXTERNAL, "page_number": number, "page_size": PAGE}
            answer = self._cloud.rest("DescribeClustersV1", "GET", "/api/v1/clusters", query)
            found = answer.get("clusters") or ()
            yield from map(_registered, found)
            seen += len(found)
            if not found or seen >= int((answer.get("page_info") or {}).get("total_count") or 0):
                return


def _registered(item: Mapping[str, Any]) -> Registered:
    return Registered(
        id=str(item["cluster_id"]),
        name=str(item.get("name") or ""),
        state=str(item.get("state") or ""),
        vpc=str(item.get("vpc_id") or ""),
        service_cidr=str(item.get("service_cidr") or ""),
        tags={str(tag.get("key")): str(tag.get("value") or "") for tag in item.get("tags") or ()},
    )
