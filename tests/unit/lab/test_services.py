from __future__ import annotations

import json
from pathlib import Path

from tests.lab.inventory import parse
from tests.lab.services import Service, ServicePaths, services_of
from tests.lab.topology import topology_of
from tests.unit.lab.lab_inventories import hybrid, three_racks

PATHS = ServicePaths(mirror=Path("/mirror"), registry=Path("/storage"))


def services() -> dict[str, Service]:
    return {each.name: each for each in services_of(topology_of(parse(three_racks())), PATHS, Path("/state"))}


def test_services_listen_where_the_inventory_says() -> None:
    listening = {each.name: (each.address, each.port, each.protocol) for each in services().values()}
    assert listening == {
        "registry": ("192.168.250.3", 5001, "tcp"),
        "files": ("192.168.250.3", 80, "tcp"),
        "names": ("192.168.250.3", 53, "udp"),
    }


def test_the_registry_never_writes_to_what_labs_share() -> None:
    configuration = json.loads(services()["registry"].configuration)
    assert configuration["http"]["addr"] == "192.168.250.3:5001"
    assert configuration["storage"]["filesystem"]["rootdirectory"] == "/storage"
    assert configuration["storage"]["maintenance"]["readonly"]["enabled"] is True


def test_every_machine_has_a_name() -> None:
    names = json.loads(services()["names"].configuration)
    assert names["mars"] == "172.28.21.9"
    assert names["leaf-a2"] == "172.28.10.3"


def test_a_service_with_another_configuration_is_another() -> None:
    one = Service("names", ("command",), "10.0.0.1", 53, configuration="{}")
    other = Service("names", ("command",), "10.0.0.1", 53, configuration='{"w1": "10.0.0.2"}')
    assert one.fingerprint != other.fingerprint


def test_the_cloud_is_served_by_the_router_of_the_vpc() -> None:
    offered = {"images": [{"id": "m-lab"}]}
    made = services_of(topology_of(parse(hybrid())), PATHS, Path("/state"), offered)
    cloud = next(each for each in made if each.name == "cloud")
    assert (cloud.address, cloud.port, cloud.on_router) == ("10.98.0.100", 8090, True)
    assert json.loads(cloud.configuration) == offered
    assert "lab-secret" not in " ".join(cloud.command)
