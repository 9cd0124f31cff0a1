# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller of pools on the simulated cloud, which can be killed at any request."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import Cloud
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.library import LibraryTransport
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import Access, Credentials
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.converge import Run, Wanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import Site
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.options import pools_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Patience

from tests.fakecloud import admin, world
from tests.fakecloud.server import FakeCloud

ESTATE = "lab"
ZONES = ("cn-shenzhen-d", "cn-shenzhen-e")
SITE = Site(
    {zone: f"vsw-node-{zone[-1]}" for zone in ZONES},
    {zone: f"vsw-pod-{zone[-1]}" for zone in ZONES},
    ("sg-1",),
    "KubernetesNodeRole",
)
KEY = world.EXAMPLE["keys"][0]


class Killed(BaseException):
    """The controller is no more."""


class MortalTransport(LibraryTransport):
    """Kills the controller at a request: before it is sent, or when it is answered. Nothing more is sent then."""

    def __init__(self, access: Access, dies_at: int, answered: bool) -> None:
        super().__init__(access)
        self.dies_at = dies_at
        self.answered = answered
        self.sent = 0
        self._counting = threading.Lock()

    def send(self, request):
        with self._counting:
            self.sent += 1
            number = self.sent
        if number > self.dies_at or (number == self.dies_at and not self.answered):
            raise Killed
        answer = super().send(request)
        if number == self.dies_at:
            raise Killed
        return answer


@dataclass
class Estate:
    """The controllers' side of a simulated cloud, and what that has written down."""

    fake: FakeCloud
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def access(self) -> Access:
        endpoints = {"ecs": self.fake.endpoint, "vpc": self.fake.endpoint}
        return Access("cn-shenzhen", Credentials(KEY["id"], KEY["secret"]), endpoints, "http")

    def cloud(self, transport: LibraryTransport | None = None, patience: float = 20.0) -> Cloud:
        quick = Patience(patience, 0.005, 0.05)
        made = transport or LibraryTransport(self.access)
        return Cloud(made, "cn-shenzhen", quick, lambda seconds: time.sleep(min(seconds, 0.02)))

    def wanted(self, count: int, **settings: Any) -> Wanted:
        return self.wants({"online": {"count": count, **settings}})

    def wants(self, pools: Mapping[str, Any]) -> Wanted:
        usual = {"instance_types": ["ecs.g7.xlarge", "ecs.g6.xlarge"], "image": "m-debian12", "owner": "team-a"}
        made, problems = pools_of({name: {**usual, **self.settings, **given} for name, given in pools.items()}, SITE)
        assert problems == []
        return Wanted(ESTATE, made, SITE, {"ecs.g7.xlarge": 0.92}, wait_running=20)

    def run(self, count: int = 0, cloud: Cloud | None = None, check: bool = False, **settings: Any) -> Run:
        """One run that makes the pool `online` so."""
        run = Run(cloud or self.cloud(), self.wanted(count, **settings), check)
        run.present()
        return run

    def release(self, *names: str, cloud: Cloud | None = None, check: bool = False) -> Run:
        """One run that ends these instances."""
        run = Run(cloud or self.cloud(), self.wanted(0), check)
        run.absent(names)
        return run

    def killed(self, at: int, answered: bool, act: Any) -> bool:
        """Have `act(cloud)` killed at its request number `at`; whether it got that far."""
        transport = MortalTransport(self.access, at, answered)
        try:
            act(self.cloud(transport))
        except Killed:
            return True
        return False

    def admin(self, verb: str, **options: Any) -> Any:
        return admin.ask(self.fake.cloud, verb, options)

    def empty(self) -> None:
        """The cloud as it is at first, but for how quick it is."""
        first = world.parse({})
        self.admin("reset")
        self.admin("world", stock=first.stock, rates=first.rates, quotas=asdict(first.quotas))

    @property
    def instances(self) -> list[dict[str, Any]]:
        return self.admin("state")["instances"]

    @property
    def names(self) -> list[str]:
        return sorted(instance["name"] for instance in self.instances)

    def ever_billed(self, kind: str = "instance") -> int:
        """How many of this kind there have ever been."""
        return len([period for period in self.admin("billing") if period["kind"] == kind])

    def leftovers(self) -> dict[str, int]:
        """What is there of everything, and what is still billed."""
        found = Counter({kind: len(items) for kind, items in self.admin("state").items()})
        found["billed"] = len(self.admin("billing", open=True))
        return {kind: count for kind, count in found.items() if count}

    def asked(self, *actions: str) -> list[str]:
        """The actions that were asked, in their order; only those that were done."""
        log = [entry["action"] for entry in self.admin("requests") if entry["status"] == 200]
        return [action for action in log if not actions or action in actions]

    def writes(self) -> list[str]:
        return [entry["action"] for entry in self.admin("requests") if entry["writes"]]

    def hang_interfaces(self, name: str, *tags: Mapping[str, str]) -> None:
        """Give an instance secondary interfaces, as Terway does."""
        instance = next(one for one in self.instances if one["name"] == name)
        cloud = self.cloud()
        for each in tags:
            made = cloud.call(
                "CreateNetworkInterface",
                VSwitchId=f"vsw-pod-{instance['zone'][-1]}",
                SecurityGroupIds=["sg-1"],
                Tag=[{"Key": key, "Value": value} for key, value in each.items()],
            )
            identifier = made["NetworkInterfaceId"]
            cloud.call("AttachNetworkInterface", NetworkInterfaceId=identifier, InstanceId=instance["id"])
        while any(eni["status"] != "InUse" for eni in self.admin("state")["enis"]):
            time.sleep(0.01)
