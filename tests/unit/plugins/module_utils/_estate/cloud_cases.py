# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mistakes of estate_cloud and estate_cloud_pools, for test_findings."""

from __future__ import annotations

from typing import Any

from tests.unit.plugins.module_utils._estate.samples import GONE, Case, Edits

CLOUD = ("estate", "estate_cloud")
LINE = (*CLOUD, "line")
ACK = (*CLOUD, "ack")
CREDENTIALS = (*CLOUD, "credentials")
POOLS = ("estate", "estate_cloud_pools")
ONLINE = (*POOLS, "online")
ZONE, OTHER_ZONE = "cn-shenzhen-d", "cn-shenzhen-e"
NODES, PODS = (*CLOUD, "node_vswitches"), (*CLOUD, "pod_vswitches")
ZONE_E: Edits = {
    (*NODES, OTHER_ZONE): {"id": "vsw-n2", "cidr": "172.20.17.0/24"},
    (*PODS, OTHER_ZONE): {"id": "vsw-p2", "cidr": "172.20.160.0/19"},
}
GPU = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}


def online(**changes: Any) -> Edits:
    """The sample's estate with changes to its pool."""
    return {(*ONLINE, field): value for field, value in changes.items()}


CLOUD_CASES = [
    # Reading.
    Case("ES003-wrong-type", {POOLS: ["online"]}, "", "estate_cloud_pools"),
    Case("ES003-wrong-type", online(release_expired="no"), "", "estate_cloud_pools.online.release_expired"),
    Case(
        "ES003-wrong-type", {(*CREDENTIALS, "access_key_secret"): 5}, "", "estate_cloud.credentials.access_key_secret"
    ),
    Case("ES005-unknown-key", online(type="x"), "", "estate_cloud_pools.online.type"),
    Case("ES005-unknown-key", {(*LINE, "limit"): 5}, "", "estate_cloud.line.limit"),
    Case("ES005-unknown-key", {(*CLOUD, "endpoints"): {"oss": "x"}}, "", "estate_cloud.endpoints.oss"),
    Case("ES006-missing-key", online(image=GONE), "", "estate_cloud_pools.online.image"),
    Case(
        "ES006-missing-key", online(system_disk={"size_gb": 40}), "", "estate_cloud_pools.online.system_disk.category"
    ),
    Case("ES006-missing-key", {(*LINE, "prefixes"): GONE}, "", "estate_cloud.line.prefixes"),
    Case("ES009-unknown-choice", online(charge={"type": "prepaid"}), "", "estate_cloud_pools.online.charge.type"),
    Case("ES009-unknown-choice", {(*CLOUD, "endpoints"): {"scheme": "ftp"}}, "", "estate_cloud.endpoints.scheme"),
    Case("ES018-not-a-taint", online(taints=["a=b:NoSchedule"]), "", "estate_cloud_pools.online.taints[0]"),
    Case(
        "ES019-not-a-number",
        {(*LINE, "limit_mbit"): 1, (*LINE, "control_mbit"): GONE},
        "",
        "estate_cloud.line.limit_mbit",
    ),
    Case("ES019-not-a-number", online(count="2"), "", "estate_cloud_pools.online.count"),
    Case("ES019-not-a-number", online(count=-1), "", "estate_cloud_pools.online.count", online(count=0)),
    Case(
        "ES019-not-a-number",
        {(*LINE, "warn_share"): 80},
        "",
        "estate_cloud.line.warn_share",
        {(*LINE, "warn_share"): 1},
    ),
    Case(
        "ES019-not-a-number",
        {(*CLOUD, "prices"): {"ecs.g7.xlarge": "0.92"}},
        "",
        "estate_cloud.prices.ecs.g7.xlarge",
        {(*CLOUD, "prices"): {"ecs.g7.xlarge": 0.92, "ecs.g6.xlarge": 0}},
    ),
    Case("ES003-wrong-type", {(*CLOUD, "currency"): 5}, "", "estate_cloud.currency", {(*CLOUD, "currency"): "CNY"}),
    Case(
        "ES019-not-a-number",
        {(*CLOUD, "warn_days"): "14"},
        "",
        "estate_cloud.warn_days",
        {(*CLOUD, "warn_days"): 14},
    ),
    Case("ES020-not-a-date", online(expires="31.1.2027"), "", "estate_cloud_pools.online.expires"),
    Case(
        "ES020-not-a-date",
        online(expires=20270131),
        "",
        "estate_cloud_pools.online.expires",
        online(expires="2027-01-31"),
    ),
    Case(
        "ES021-not-an-api-address",
        {(*CLOUD, "endpoints"): {"ecs": "https://ecs.example"}},
        "",
        "estate_cloud.endpoints.ecs",
        {(*CLOUD, "endpoints"): {"ecs": "ecs.example", "vpc": "10.98.0.1:8080"}},
    ),
    Case("ES021-not-an-api-address", {(*CLOUD, "endpoints"): {"vpc": "a:70000"}}, "", "estate_cloud.endpoints.vpc"),
    # The VPC.
    Case("ES801-cloud-missing", {CLOUD: GONE}, "", "estate_cloud"),
    Case("ES801-cloud-missing", {CLOUD: GONE, ("groups", "cloud_vms"): []}, "", "estate_cloud"),
    Case(
        "ES802-vswitch-outside-vpc",
        {(*PODS, ZONE, "cidr"): "172.21.0.0/19"},
        "",
        "estate_cloud.pod_vswitches.cn-shenzhen-d.cidr",
        {(*PODS, ZONE, "cidr"): "172.21.0.0/19", (*CLOUD, "secondary_cidrs"): ["172.21.0.0/16"]},
    ),
    Case("ES803-vpc-size", {(*CLOUD, "cidr"): "172.20.16.0/29"}, "", "estate_cloud.cidr"),
    Case("ES803-vpc-size", {(*CLOUD, "secondary_cidrs"): ["192.168.0.0/30"]}, "", "estate_cloud.secondary_cidrs[0]"),
    Case("ES804-vm-outside-vswitches", {("vm1", "ansible_host"): "172.20.17.11"}, "vm1", "ansible_host"),
    Case(
        "ES805-no-pod-vswitch",
        {(*NODES, OTHER_ZONE): {"id": "vsw-n2", "cidr": "172.20.17.0/24"}},
        "",
        "estate_cloud.pod_vswitches.cn-shenzhen-e",
        ZONE_E,
    ),
    Case("ES806-vswitch-twice", {(*PODS, ZONE, "id"): "vsw-n1"}, "", "estate_cloud.pod_vswitches.cn-shenzhen-d.id"),
    Case(
        "ES807-vswitch-size",
        {(*NODES, ZONE, "cidr"): "172.20.16.8/30"},
        "",
        "estate_cloud.node_vswitches.cn-shenzhen-d.cidr",
        {(*NODES, ZONE, "cidr"): "172.20.16.8/29"},
    ),
    Case("ES808-other-kind-of-id", {(*CLOUD, "vpc"): "vsw-1"}, "", "estate_cloud.vpc", {(*CLOUD, "vpc"): GONE}),
    Case("ES808-other-kind-of-id", {(*PODS, ZONE, "id"): "vpc-1"}, "", "estate_cloud.pod_vswitches.cn-shenzhen-d.id"),
    Case("ES808-other-kind-of-id", {(*CLOUD, "security_groups"): ["web"]}, "", "estate_cloud.security_groups[0]"),
    Case(
        "ES809-zone-of-another-region",
        {(*CLOUD, "region"): "cn-beijing"},
        "",
        "estate_cloud.node_vswitches.cn-shenzhen-d",
    ),
    Case("ES810-machine-in-vpc-range", {("w3", "ansible_host"): "172.20.16.9"}, "w3", "ansible_host"),
    Case(
        "ES810-machine-in-vpc-range",
        {("tor1", "ansible_host"): "172.20.0.1"},
        "tor1",
        "ansible_host",
        {("bastion", "ansible_host"): "172.20.0.1"},
    ),
    # The line.
    Case(
        "ES811-line-covers-vpc",
        {(*LINE, "prefixes"): ["10.20.0.0/15", "172.16.0.0/12"]},
        "",
        "estate_cloud.line.prefixes[1]",
        {(*LINE, "prefixes"): ["10.0.0.0/8", "172.16.0.0/14"]},
    ),
    Case("ES812-line-misses-range", {(*LINE, "prefixes"): ["10.20.0.0/16"]}, "", "estate_cloud.line.prefixes"),
    Case("ES813-line-without-room", {(*LINE, "control_mbit"): 200}, "", "estate_cloud.line.control_mbit"),
    Case(
        "ES813-line-without-room",
        {(*LINE, "limit_mbit"): GONE},
        "",
        "estate_cloud.line.control_mbit",
        {(*LINE, "limit_mbit"): GONE, (*LINE, "control_mbit"): GONE},
    ),
    Case(
        "ES814-credentials-by-half",
        {CREDENTIALS: {"access_key_id": "AK"}},
        "",
        "estate_cloud.credentials.access_key_secret",
        {CREDENTIALS: {"ram_role": "Controller"}},
    ),
    Case(
        "ES814-credentials-by-half",
        {CREDENTIALS: {"security_token": "t0ken"}},
        "",
        "estate_cloud.credentials.security_token",
        {CREDENTIALS: {"access_key_id": "AK", "access_key_secret": "s3cret", "security_token": "t0ken"}},
    ),
    Case(
        "ES814-credentials-by-half",
        {CREDENTIALS: {"access_key_id": "AK", "access_key_secret": "s3cret", "ram_role": "Controller"}},
        "",
        "estate_cloud.credentials.ram_role",
        {CREDENTIALS: {}},
    ),
    Case(
        "ES815-line-over-capacity",
        {(*LINE, "capacity_mbit"): 199},
        "",
        "estate_cloud.line.limit_mbit",
        {(*LINE, "capacity_mbit"): 200, **online(count=1)},
    ),
    Case(
        "ES816-line-oversold",
        {(*LINE, "capacity_mbit"): 799, **online(count=4)},
        "",
        "estate_cloud.line.limit_mbit",
        {(*LINE, "capacity_mbit"): 800, **online(count=4)},
    ),
    # Pools.
    Case("ES851-pool-name", {(*POOLS, "On"): {"instance_types": ["ecs.g7.large"]}}, "", "estate_cloud_pools.On"),
    Case("ES851-pool-name", {(*POOLS, "a" * 51): {}}, "", "estate_cloud_pools." + "a" * 51, {(*POOLS, "a" * 50): {}}),
    Case(
        "ES852-vm-name-taken",
        {("online-7", "ansible_host"): "10.20.2.27", ("online-7", "rack"): "r2", ("groups", "workers"): ["online-7"]},
        "online-7",
        "estate_cloud_pools.online",
        {
            ("online-7", "ansible_host"): "172.20.16.7",
            ("groups", "cloud_vms"): ["vm1", "online-7"],
            ("groups", "workers"): ["w1", "w2", "w3", "vm1", "online-7"],
        },
    ),
    Case(
        "ES853-pool-zone",
        online(zones=[ZONE, OTHER_ZONE]),
        "",
        "estate_cloud_pools.online.zones[1]",
        online(zones=[ZONE]),
    ),
    Case("ES853-pool-zone", {NODES: {}}, "", "estate_cloud.node_vswitches"),
    Case("ES854-instance-type", online(instance_types=[]), "", "estate_cloud_pools.online.instance_types"),
    Case(
        "ES854-instance-type", online(instance_types=["g7.xlarge"]), "", "estate_cloud_pools.online.instance_types[0]"
    ),
    Case(
        "ES854-instance-type",
        online(instance_types=["ecs.g7.xlarge", "ecs.g7.xlarge"]),
        "",
        "estate_cloud_pools.online.instance_types[1]",
        online(instance_types=["ecs.gn7i-c8g1.2xlarge", "ecs.ebmg7.32xlarge"]),
    ),
    Case("ES855-security-groups", {(*CLOUD, "security_groups"): []}, "", "estate_cloud.security_groups"),
    Case(
        "ES855-security-groups",
        {(*CLOUD, "security_groups"): [f"sg-{n}" for n in range(11)]},
        "",
        "estate_cloud.security_groups",
        {(*CLOUD, "security_groups"): [], POOLS: GONE},
    ),
    Case(
        "ES856-charge",
        online(charge={"type": "PrePaid", "period": 1}),
        "",
        "estate_cloud_pools.online.charge",
        online(charge={"type": "PrePaid", "period": 12, "unit": "Month", "auto_renew": True}),
    ),
    Case(
        "ES856-charge",
        online(charge={"type": "PrePaid", "period": 10, "unit": "Month"}),
        "",
        "estate_cloud_pools.online.charge",
    ),
    Case(
        "ES856-charge",
        online(charge={"type": "PrePaid", "period": 6, "unit": "Week"}),
        "",
        "estate_cloud_pools.online.charge",
    ),
    Case(
        "ES856-charge", online(charge={"type": "PostPaid", "auto_renew": True}), "", "estate_cloud_pools.online.charge"
    ),
    Case(
        "ES857-disk",
        online(system_disk={"category": "cloud_essd", "size_gb": 19}),
        "",
        "estate_cloud_pools.online.system_disk.size_gb",
    ),
    Case(
        "ES857-disk",
        online(system_disk={"category": "cloud_essd", "size_gb": 2049}),
        "",
        "estate_cloud_pools.online.system_disk.size_gb",
        online(data_disks=[{"category": "cloud_essd", "size_gb": 2049}]),
    ),
    Case(
        "ES857-disk",
        online(data_disks=[{"category": "essd", "size_gb": 40}]),
        "",
        "estate_cloud_pools.online.data_disks[0].category",
    ),
    Case(
        "ES857-disk",
        online(data_disks=[{"category": "cloud_essd", "size_gb": 40}] * 17),
        "",
        "estate_cloud_pools.online.data_disks",
        online(data_disks=[{"category": "cloud_essd", "size_gb": 40}] * 16),
    ),
    Case(
        "ES858-release-without-date",
        online(expires=GONE, release_expired=True),
        "",
        "estate_cloud_pools.online.release_expired",
        online(release_expired=True),
    ),
    Case("ES859-pool-without-owner", online(owner=GONE), "", "estate_cloud_pools.online.owner"),
    Case("ES859-pool-without-owner", online(purpose=GONE), "", "estate_cloud_pools.online.purpose"),
    Case("ES860-too-few-addresses", online(count=253), "", "estate_cloud_pools.online.count", online(count=252)),
    Case(
        "ES860-too-few-addresses",
        {**online(count=27), (*PODS, ZONE, "cidr"): "172.20.128.0/27", (*POOLS, "batch"): {"count": 2}},
        "",
        "estate_cloud_pools.online.count",
        {**online(count=28), (*PODS, ZONE, "cidr"): "172.20.128.0/27"},
    ),
    # What pools say of nodes.
    Case("ES701-label-malformed", online(labels={"a b": "c"}), "", "estate_cloud_pools.online.labels.a b"),
    Case(
        "ES702-label-owned-by-kubelet",
        online(labels={"kubernetes.io/os": "x"}),
        "",
        "estate_cloud_pools.online.labels.kubernetes.io/os",
    ),
    Case(
        "ES703-label-is-ours",
        online(labels={"alibabacloud.com/external": "true"}),
        "",
        "estate_cloud_pools.online.labels.alibabacloud.com/external",
        online(labels={"team": "a"}),
    ),
    Case(
        "ES704-label-kubelet-may-not-set",
        online(labels={"x.k8s.io/a": ""}),
        "",
        "estate_cloud_pools.online.labels.x.k8s.io/a",
    ),
    Case("ES721-taint-malformed", online(taints=[{**GPU, "key": "-"}]), "", "estate_cloud_pools.online.taints[0]"),
    Case(
        "ES722-taint-effect", online(taints=[{**GPU, "effect": "No"}]), "", "estate_cloud_pools.online.taints[0].effect"
    ),
    Case(
        "ES723-taint-twice", online(taints=[GPU, GPU]), "", "estate_cloud_pools.online.taints[1]", online(taints=[GPU])
    ),
    Case(
        "ES724-taint-of-the-node-controller",
        online(taints=[{**GPU, "key": "node.kubernetes.io/not-ready"}]),
        "",
        "estate_cloud_pools.online.taints[0]",
    ),
    # Registration with ACK.
    Case("ES005-unknown-key", {ACK: {"mode": "admin"}}, "", "estate_cloud.ack.mode"),
    Case("ES009-unknown-choice", {ACK: {"agent_mode": "root"}}, "", "estate_cloud.ack.agent_mode"),
    Case("ES003-wrong-type", {ACK: {"private": "yes"}}, "", "estate_cloud.ack.private", {ACK: {"private": False}}),
    Case("ES003-wrong-type", {ACK: {"verify": "no"}}, "", "estate_cloud.ack.verify", {ACK: {"verify": None}}),
    Case(
        "ES871-ack-name",
        {ACK: {"name": "shenzhen.1"}},
        "",
        "estate_cloud.ack.name",
        {ACK: {"name": "shenzhen.1", "state": "absent"}},
    ),
    Case("ES871-ack-name", {ACK: {}, ("estate", "estate_name"): "a.b"}, "", "estate_name", {ACK: {"name": "a_b-1"}}),
    Case("ES872-ack-vswitch", {ACK: {"vswitches": ["subnet-1"]}}, "", "estate_cloud.ack.vswitches[0]", {ACK: {}}),
    Case(
        "ES872-ack-vswitch",
        {ACK: {}, NODES: {}, POOLS: GONE},
        "",
        "estate_cloud.ack.vswitches",
        {ACK: {"vswitches": ["vsw-n1"]}},
    ),
    Case(
        "ES873-ack-services",
        {ACK: {}, ("estate", "estate_networks", "services"): "10.96.0.0/12"},
        "",
        "estate_networks.services",
        {ACK: {}, ("estate", "estate_networks", "services"): "172.21.0.0/20"},
    ),
    Case(
        "ES874-ack-authority",
        {ACK: {"authority": "/etc/ssl/ack.pem"}},
        "",
        "estate_cloud.ack.authority",
        {ACK: {"authority": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"}},
    ),
]
