from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from alibabacloud_cs20151215.client import Client as Cs
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client as Ecs
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.models import Config
from alibabacloud_vpc20160428.client import Client as Vpc

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.fakecloud.world import World

KEY = world.EXAMPLE["keys"][0]
REGION = world.DEFAULT_REGION
WANTED = {
    "region_id": REGION,
    "image_id": "m-debian12",
    "instance_type": "ecs.g7.xlarge",
    "v_switch_id": "vsw-node-d",
    "security_group_ids": ["sg-1"],
}
# Nothing takes time unless a test wants it to.
AT_ONCE = {"visible": 0.0, "pending": 0.0, "starting": 0.0, "stopping": 0.0, "eni": 0.0, "cluster": 0.0}


@dataclass
class Account:
    """The real SDKs, signed in."""

    fake: FakeCloud
    key: str = str(KEY["id"])
    secret: str = str(KEY["secret"])

    @property
    def config(self) -> Config:
        return Config(
            access_key_id=self.key,
            access_key_secret=self.secret,
            region_id=REGION,
            endpoint=self.fake.endpoint,
            protocol="HTTP",
        )

    @property
    def ecs(self) -> Ecs:
        return Ecs(self.config)

    @property
    def vpc(self) -> Vpc:
        return Vpc(self.config)

    @property
    def cs(self) -> Cs:
        return Cs(self.config)

    def run(self, **changes: Any) -> list[str]:
        """Make instances; the ids."""
        answer = self.ecs.run_instances(models.RunInstancesRequest(**{**WANTED, **changes}))
        return list(answer.body.instance_id_sets.instance_id_set)

    def instances(self, **filters: Any) -> list[Any]:
        """The instances as the API describes them."""
        answer = self.ecs.describe_instances(models.DescribeInstancesRequest(region_id=REGION, **filters))
        return list(answer.body.instances.instance)

    def interfaces(self, **filters: Any) -> list[Any]:
        request = models.DescribeNetworkInterfacesRequest(region_id=REGION, **filters)
        return list(self.ecs.describe_network_interfaces(request).body.network_interface_sets.network_interface_set)

    def delete(self, *instances: str, **changes: Any) -> None:
        request = models.DeleteInstancesRequest(region_id=REGION, instance_id=list(instances), force=True, **changes)
        self.ecs.delete_instances(request)


def refusal(call: Callable[[], object]) -> tuple[int, str]:
    """How a call is refused: HTTP status and code."""
    with pytest.raises(AlibabaCloudException) as caught:
        call()
    return caught.value.status_code, caught.value.code


def a_world(**changes: object) -> World:
    return world.parse({"timings": AT_ONCE, **changes})
