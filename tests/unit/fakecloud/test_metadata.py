from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client as Ecs

from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import Account, a_world, refusal
from tests.unit.fakecloud.test_interfaces import attach, create

# Addresses of loopback, so that instances can ask from theirs.
NETWORK = {
    "vpcs": [{"id": "vpc-1", "cidr": "127.20.0.0/16"}],
    "vswitches": [
        {"id": "vsw-node-d", "vpc": "vpc-1", "zone": "cn-shenzhen-d", "cidr": "127.20.16.0/24"},
        {"id": "vsw-pod-d", "vpc": "vpc-1", "zone": "cn-shenzhen-d", "cidr": "127.20.128.0/24"},
    ],
}
ROLE = "KubernetesNodeRole"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeCloud]:
    with FakeCloud(tmp_path / "cloud", a_world(**NETWORK)) as running:
        yield running


def ask(
    fake: FakeCloud,
    path: str,
    *,
    method: str = "GET",
    source: str = "127.20.16.1",
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    host, _colon, port = fake.endpoint.partition(":")
    connection = http.client.HTTPConnection(host, int(port), source_address=(source, 0))
    connection.request(method, f"/latest/{path}", headers=headers or {})
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


def token(fake: FakeCloud, lifetime: str = "21600") -> str:
    headers = {"X-aliyun-ecs-metadata-token-ttl-seconds": lifetime}
    status, text = ask(fake, "api/token", method="PUT", headers=headers)
    assert status == 200
    return text


def test_an_instance_learns_about_itself_and_its_interfaces(account: Account, fake: FakeCloud) -> None:
    made = account.run()
    eni = create(account, secondary_private_ip_address_count=1)
    headers = {"X-aliyun-ecs-metadata-token": token(fake)}
    attach(account, eni.network_interface_id, made[0])
    account.instances()

    def value(path: str) -> str:
        return ask(fake, f"meta-data/{path}", headers=headers)[1]

    assert value("instance-id") == made[0]
    assert value("zone-id") == "cn-shenzhen-d"
    assert value("instance/instance-type") == "ecs.g7.xlarge"
    assert value("vswitch-id") == "vsw-node-d"
    assert set(value("network/interfaces/macs/").splitlines()) == {f"{eni.mac_address}/", f"{value('mac')}/"}
    base = f"network/interfaces/macs/{eni.mac_address}"
    assert json.loads(value(f"{base}/private-ipv4s")) == ["127.20.128.1", "127.20.128.2"]
    assert value(f"{base}/gateway") == "127.20.128.253"
    assert value(f"{base}/vswitch-cidr-block") == "127.20.128.0/24"
    assert ask(fake, "meta-data/nothing", headers=headers)[0] == 404
    # A pod of the instance asks from an address of the second interface.
    assert ask(fake, "meta-data/instance-id", headers=headers, source="127.20.128.2") == (200, made[0])


def test_nobody_else_gets_an_answer(account: Account, fake: FakeCloud) -> None:
    account.run()
    assert ask(fake, "meta-data/instance-id", source="127.0.0.1")[0] == 404


def test_tokens(account: Account, fake: FakeCloud) -> None:
    account.run(http_tokens="required")
    assert ask(fake, "meta-data/instance-id")[0] == 403
    assert ask(fake, "meta-data/instance-id", headers={"X-aliyun-ecs-metadata-token": "x"})[0] == 401
    given = {"X-aliyun-ecs-metadata-token": token(fake, "60")}
    assert ask(fake, "meta-data/instance-id", headers=given)[0] == 200
    fake.advance(61)
    assert ask(fake, "meta-data/instance-id", headers=given)[0] == 401
    assert ask(fake, "api/token", method="PUT")[0] == 400


def test_the_role_gives_credentials_that_may_do_what_the_role_may(account: Account, fake: FakeCloud) -> None:
    made = account.run(ram_role_name=ROLE)
    assert ask(fake, "meta-data/ram/security-credentials/") == (200, ROLE)
    given = json.loads(ask(fake, f"meta-data/ram/security-credentials/{ROLE}")[1])
    assert given["Code"] == "Success"
    assert json.loads(ask(fake, f"meta-data/ram/security-credentials/{ROLE}")[1]) == given
    config = account.config
    config.access_key_id, config.access_key_secret = given["AccessKeyId"], given["AccessKeySecret"]
    config.security_token = given["SecurityToken"]
    role_ecs = Ecs(config)
    request = models.DescribeNetworkInterfacesRequest(region_id="cn-shenzhen", instance_id=made[0])
    assert len(role_ecs.describe_network_interfaces(request).body.network_interface_sets.network_interface_set) == 1
    denied = models.DescribeInstancesRequest(region_id="cn-shenzhen")
    assert refusal(lambda: role_ecs.describe_instances(denied)) == (403, "Forbidden.RAM")
    fake.advance(6 * 3600)
    assert refusal(lambda: role_ecs.describe_network_interfaces(request)) == (400, "InvalidSecurityToken.Expired")


def test_without_a_role_there_are_no_credentials(account: Account, fake: FakeCloud) -> None:
    account.run()
    assert ask(fake, "meta-data/ram/security-credentials/")[0] == 404


def test_the_service_can_be_down(account: Account, fake: FakeCloud) -> None:
    account.run()
    fake.cloud.faults.add({"action": "meta:*", "code": "down", "status": 503})
    assert ask(fake, "meta-data/instance-id")[0] == 503
    fake.cloud.faults.clear()
    fake.cloud.faults.add({"action": "meta:*", "drop": "before"})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        ask(fake, "meta-data/instance-id")
