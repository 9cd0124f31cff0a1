from __future__ import annotations

import http.client
from pathlib import Path

from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client as Ecs
from alibabacloud_tea_openapi.models import Config
from darabonba.runtime import RuntimeOptions

from tests.fakecloud.certificates import self_signed
from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import KEY, REGION, Account, a_world


def test_https_with_a_certificate_that_the_client_verifies(tmp_path: Path) -> None:
    trusted = self_signed(tmp_path)
    with FakeCloud(tmp_path / "cloud", a_world(), certificate=trusted) as fake:
        config = Config(
            access_key_id=str(KEY["id"]),
            access_key_secret=str(KEY["secret"]),
            endpoint=fake.endpoint.replace("127.0.0.1", "localhost"),
            protocol="HTTPS",
            ca=str(tmp_path / "certificate.pem"),
        )
        request = models.DescribeInstancesRequest(region_id=REGION)
        answer = Ecs(config).describe_instances_with_options(request, RuntimeOptions())
        assert answer.body.instances.instance == []


def test_a_second_address_for_the_metadata_service(tmp_path: Path) -> None:
    with FakeCloud(tmp_path / "cloud", a_world(), also=[("127.0.0.77", 18080)]) as fake:
        assert Account(fake).instances() == []
        connection = http.client.HTTPConnection("127.0.0.77", 18080)
        connection.request("GET", "/latest/meta-data/")
        assert connection.getresponse().status == 404


def test_a_connection_is_kept_and_answers_come_at_once(fake: FakeCloud) -> None:
    connection = http.client.HTTPConnection(fake.endpoint)
    sockets = set()
    for _each in range(3):
        connection.request("GET", "/_fakecloud/faults")
        assert connection.getresponse().read() == b"[]"
        sockets.add(id(connection.sock))
    assert len(sockets) == 1
