from __future__ import annotations

from typing import Any

import pytest
import yaml
from alibabacloud_cs20151215 import models

from tests.fakecloud import admin
from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import REGION, Account, refusal


def create(account: Account, **changes: Any) -> str:
    wanted = {
        "name": "shenzhen-1",
        "cluster_type": "ExternalKubernetes",
        "region_id": REGION,
        "vpcid": "vpc-1",
        "vswitch_ids": ["vsw-node-d"],
        "service_cidr": "10.22.0.0/16",
        "tags": [models.Tag(key="estate.hybridk8s.io/estate", value="shenzhen-1")],
        **changes,
    }
    return str(account.cs.create_cluster(models.CreateClusterRequest(**wanted)).body.cluster_id)


def state(account: Account, cluster: str) -> str:
    return str(account.cs.describe_cluster_detail(cluster).body.state)


def test_a_cluster_is_registered_once_connected_and_taken_away(account: Account, fake: FakeCloud) -> None:
    cluster = create(account, client_token="t")
    assert create(account, client_token="t") == cluster
    assert refusal(lambda: create(account)) == (400, "ClusterNameAlreadyExist")
    assert state(account, cluster) == "waiting"
    request = models.DescribeExternalAgentRequest(private_ip_address="true", agent_mode="admin")
    documents = list(yaml.safe_load_all(account.cs.describe_external_agent(cluster, request).body.config))
    assert documents[0]["kind"] == "ServiceAccount"
    administrators = [each for each in documents if each.get("roleRef", {}).get("name") == "cluster-admin"]
    assert [each["subjects"][0]["name"] for each in administrators] == ["1000000000000001"]
    environment = documents[-1]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "KUBERNETES_CLUSTER_ID", "value": cluster} in environment
    request.agent_mode = "restricted"
    assert "cluster-admin" not in account.cs.describe_external_agent(cluster, request).body.config
    admin.agent(fake.cloud, {"cluster": cluster})
    assert state(account, cluster) == "running"
    found = account.cs.describe_clusters_v1(models.DescribeClustersV1Request(name="shenzhen-1")).body.clusters
    assert [(each.cluster_id, each.tags[0].value) for each in found] == [(cluster, "shenzhen-1")]
    account.cs.delete_cluster(cluster, models.DeleteClusterRequest(retain_all_resources=True))
    assert refusal(lambda: state(account, cluster)) == (404, "ErrorClusterNotFound")
    assert [period for period in fake.cloud.periods() if period.ended is None] == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cluster_type": "ManagedKubernetes"}, (400, "Invalidcluster_type.ValueNotSupported")),
        ({"vpcid": "vpc-none"}, (400, "InvalidVpcId.NotFound")),
        ({"vswitch_ids": ["vsw-none"]}, (400, "InvalidVSwitchId.NotFound")),
        ({"vswitch_ids": None}, (400, "MissingParameter")),
        ({"name": None}, (400, "MissingParameter")),
        ({"region_id": "cn-none"}, (404, "InvalidRegionId.NotFound")),
        ({"master_count": 3}, (400, "InvalidParameter")),
    ],
)
def test_a_wrong_request_makes_no_cluster(account: Account, changes: dict[str, Any], expected: tuple[int, str]) -> None:
    assert refusal(lambda: create(account, **changes)) == expected
    assert account.cs.describe_clusters_v1(models.DescribeClustersV1Request()).body.clusters == []


def test_a_protected_cluster_stays(account: Account) -> None:
    cluster = create(account, deletion_protection=True)
    request = models.DeleteClusterRequest()
    assert refusal(lambda: account.cs.delete_cluster(cluster, request)) == (400, "ErrorClusterDeletionProtection")
