# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules import ranges

from tests.unit.plugins.module_utils._estate.cloud_cases import online
from tests.unit.plugins.module_utils._estate.samples import GONE, Edits, estate

BACKENDS = ("10.20.1.11:6443", "10.20.1.12:6443", "10.20.2.11:6443")


def test_without_a_load_balancer_the_endpoint_is_the_local_proxy() -> None:
    endpoint = derive.api_endpoint(estate())
    assert endpoint == derive.ApiEndpoint("api.sample.internal", 7443, True, BACKENDS)
    assert str(endpoint) == "api.sample.internal:7443"


def test_a_load_balancer_is_used_as_given() -> None:
    endpoint = derive.api_endpoint(estate({("estate", "estate_api_endpoint"): "lb.example:443"}))
    assert endpoint == derive.ApiEndpoint("lb.example", 443, False, BACKENDS)


def test_control_planes_keep_the_order_of_the_inventory() -> None:
    addresses = derive.control_plane_addresses(estate({("groups", "control_plane"): ["cp3", "cp1", "cp2"]}))
    assert [str(address) for address in addresses] == ["10.20.2.11", "10.20.1.11", "10.20.1.12"]


@pytest.mark.parametrize(
    ("edits", "gateway"),
    [
        ({}, "10.20.1.1"),
        ({("estate", "estate_racks", "r1", "gateway"): "10.20.1.254"}, "10.20.1.254"),
        ({("estate", "estate_racks", "r1", "switches"): GONE}, None),
    ],
)
def test_the_gateway_of_a_rack(edits: Edits, gateway: str | None) -> None:
    sample = estate(edits)
    found = derive.rack_gateway(sample, sample.racks["r1"])
    assert (str(found) if found else None) == gateway


def test_cluster_ids_are_one_a_rack_unless_chosen() -> None:
    sample = estate(
        {("groups", "route_reflectors"): ["w1", "w2", "w3"], ("w3", "route_reflector_cluster_id"): "244.0.0.9"}
    )
    assert derive.cluster_ids(sample) == {
        "w1": IPv4Address("244.0.0.1"),
        "w2": IPv4Address("244.0.0.2"),
        "w3": IPv4Address("244.0.0.9"),
    }


NO_ONE = {("groups", "route_reflectors"): []}
PER_RACK = ("estate", "estate_bgp", "reflectors_per_rack")


def chosen(edits: Edits) -> dict[str, list[str]]:
    return {rack: [host.name for host in hosts] for rack, hosts in derive.reflectors_by_rack(estate(edits)).items()}


def more_workers(**hosts: dict[str, str]) -> Edits:
    workers = ["w1", "w2", "w3", "vm1", *hosts]
    addresses = {name: f"10.20.2.{index}" for index, name in enumerate(hosts, 100)}
    return {
        **{(name, "ansible_host"): address for name, address in addresses.items()},
        **{(name, "rack"): "r2" for name in hosts},
        **{(name, "node_labels"): labels for name, labels in hosts.items() if labels},
        ("groups", "workers"): workers,
        ("groups", "kubernetes"): ["cp1", "cp2", "cp3", *workers],
    }


def zone(name: str) -> dict[str, str]:
    return {derive.ZONE_LABEL: name}


@pytest.mark.parametrize(
    ("edits", "found"),
    [
        ({}, {"r1": ["w1"], "r2": ["w2"]}),
        ({PER_RACK: 2}, {"r1": ["w1"], "r2": ["w2"]}),
        (NO_ONE, {"r1": [], "r2": []}),
        ({**NO_ONE, PER_RACK: 1}, {"r1": ["w1"], "r2": ["w2"]}),
        # Control planes only where nothing else is left, cloud VMs never.
        ({**NO_ONE, PER_RACK: 2}, {"r1": ["w1", "cp1"], "r2": ["w2", "w3"]}),
        ({**NO_ONE, PER_RACK: 9, ("vm1", "rack"): "r2"}, {"r1": ["w1", "cp1", "cp2"], "r2": ["w2", "w3", "cp3"]}),
        # One rack names its own.
        ({("groups", "route_reflectors"): ["w3"], PER_RACK: 2}, {"r1": ["w1", "cp1"], "r2": ["w3"]}),
        # w10 is the last one, not one after w1.
        ({**NO_ONE, PER_RACK: 2, **more_workers(w10={})}, {"r1": ["w1", "cp1"], "r2": ["w2", "w3"]}),
        # One a failure domain, before a second one in any.
        (
            {
                **NO_ONE,
                PER_RACK: 2,
                ("w2", "node_labels"): zone("a"),
                ("w3", "node_labels"): zone("a"),
                **more_workers(w4=zone("b")),
            },
            {"r1": ["w1", "cp1"], "r2": ["w2", "w4"]},
        ),
    ],
)
def test_reflectors_are_those_named_else_chosen_by_count(edits: Edits, found: dict[str, list[str]]) -> None:
    assert chosen(edits) == found


def test_the_choice_stays_when_hosts_are_added_behind_and_moves_by_one_when_one_goes() -> None:
    few = chosen({**NO_ONE, PER_RACK: 2})
    assert chosen({**NO_ONE, PER_RACK: 2, **more_workers(**{f"w{n}": {} for n in range(4, 30)})}) == few
    gone = chosen(
        {
            **NO_ONE,
            PER_RACK: 2,
            ("groups", "workers"): ["w1", "w3", "vm1"],
            ("groups", "kubernetes"): ["cp1", "cp2", "cp3", "w1", "w3", "vm1"],
        }
    )
    assert gone == {"r1": few["r1"], "r2": ["w3", "cp3"]}


def test_chosen_reflectors_are_reflectors_everywhere() -> None:
    sample = estate({**NO_ONE, PER_RACK: 1})
    assert [host.name for host in derive.reflectors(sample)] == ["w1", "w2"]
    assert {name: str(number) for name, number in derive.cluster_ids(sample).items()} == {
        "w1": "244.0.0.1",
        "w2": "244.0.0.2",
    }


def labels(name: str, edits: Edits) -> dict[str, str]:
    sample = estate(edits)
    return derive.node_labels(sample, sample.hosts[name])


def test_labels_of_a_bare_metal_node() -> None:
    assert labels("w1", {("w1", "node_labels"): {"disk": "nvme"}}) == {
        "disk": "nvme",
        "k8s.aliyun.com/ignore-by-terway": "true",
        "estate.hybridk8s.io/node-class": "bare_metal",
        "estate.hybridk8s.io/rack": "r1",
        "topology.kubernetes.io/zone": "r1",
    }


def test_hosts_with_lxcfs_are_labelled() -> None:
    edits: Edits = {("groups", "lxcfs"): ["w1"]}
    assert labels("w1", edits)["estate.hybridk8s.io/lxcfs"] == "true"
    assert "estate.hybridk8s.io/lxcfs" not in labels("w2", edits)


def test_labels_of_a_cloud_vm() -> None:
    assert labels("vm1", {("vm1", "node_labels"): {"topology.kubernetes.io/zone": "z1"}}) == {
        "alibabacloud.com/external": "true",
        "estate.hybridk8s.io/node-class": "cloud_vm",
        "topology.kubernetes.io/zone": "z1",
    }


INSTANCE = {
    ("vm1", "ecs_pool"): "online",
    ("vm1", "ecs_region"): "cn-shenzhen",
    ("vm1", "ecs_zone"): "cn-shenzhen-d",
    ("vm1", "ecs_instance_type"): "ecs.g7.xlarge",
    ("vm1", "ecs_provider_id"): "cn-shenzhen.i-1",
}
GPU = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def test_a_vm_of_a_pool_has_the_pools_labels_and_those_of_its_place() -> None:
    assert labels(
        "vm1", {**INSTANCE, **online(labels={"team": "shop", "tier": "1"}), ("vm1", "node_labels"): {"tier": "2"}}
    ) == {
        "alibabacloud.com/external": "true",
        "estate.hybridk8s.io/node-class": "cloud_vm",
        "estate.hybridk8s.io/pool": "online",
        "node.kubernetes.io/instance-type": "ecs.g7.xlarge",
        "team": "shop",
        "tier": "2",
        "topology.kubernetes.io/region": "cn-shenzhen",
        "topology.kubernetes.io/zone": "cn-shenzhen-d",
    }


def test_a_vm_of_a_pool_has_the_pools_taints_but_for_those_that_it_has_itself() -> None:
    mine = {**GPU, "value": "mine"}
    batch = {"key": "batch", "value": "", "effect": "NoSchedule"}
    both = estate({**INSTANCE, **online(taints=[GPU, batch]), ("vm1", "node_taints"): [mine]})
    (state,) = derive.node_states(both, ["vm1"])
    assert state["taints"] == [mine, batch]
    (other,) = derive.node_states(both, ["w1"])
    assert other["taints"] == []


def test_a_vm_whose_pool_is_gone_from_the_inventory_is_a_node_like_any() -> None:
    found = labels("vm1", {**INSTANCE, ("estate", "estate_cloud_pools"): GONE})
    assert found["estate.hybridk8s.io/pool"] == "online"


def test_the_users_zone_wins_over_the_rack() -> None:
    found = labels("w1", {("w1", "node_labels"): {"topology.kubernetes.io/zone": "hall-7"}})
    assert found["topology.kubernetes.io/zone"] == "hall-7"
    assert found["estate.hybridk8s.io/rack"] == "r1"


def test_a_reflector_is_not_labelled_with_the_others() -> None:
    assert not [key for key in labels("w1", {}) if "reflector" in key]


def test_without_a_cloud_nothing_is_said_of_it() -> None:
    found = labels("w1", {("estate", "estate_cloud"): GONE, ("groups", "cloud_vms"): [], ("vm1", "rack"): "r1"})
    assert not [key for key in found if "aliyun" in key]


def test_traits_are_labels_and_a_dedicated_node_is_tainted_too() -> None:
    traits = {"pool": "batch", "dedicated": "ml", "io_class": "nvme", "gpu_model": "h200", "cpu_model": "Xeon-6430"}
    sample = estate({("w3", f"node_{trait}"): value for trait, value in traits.items()})
    found = derive.node_labels(sample, sample.hosts["w3"])
    assert {key: found[key] for key in derive.TRAIT_LABELS.values()} == {
        "estate.hybridk8s.io/pool": "batch",
        "dedicated": "ml",
        "io-class": "nvme",
        "gpu-model": "h200",
        "cpu-model": "Xeon-6430",
    }
    (state,) = derive.node_states(sample, ["w3"])
    assert state["taints"] == [{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}]


def test_node_states_are_plain_data_in_the_order_asked() -> None:
    taint = {"key": "a", "value": "b", "effect": "NoSchedule"}
    sample = estate({("w3", "node_taints"): [taint], ("w3", "node_annotations"): {"x/y": "z"}})
    states = derive.node_states(sample, ["w3", "w1"])
    assert [state["name"] for state in states] == ["w3", "w1"]
    assert states[0]["taints"] == [taint]
    assert states[0]["annotations"] == {"x/y": "z"}
    assert states[1]["taints"] == []


@pytest.mark.parametrize("name", ["tor1", "nobody"])
def test_what_is_no_node_has_no_state(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is not a node"):
        derive.node_states(estate(), [name])


def test_pools_select_their_node_class() -> None:
    (pool,) = derive.pools(estate())
    assert pool == derive.Pool(
        name="bare-metal",
        cidr=IPv4Network("10.21.0.0/16"),
        node_class="bare_metal",
        block_size=26,
        node_selector="estate.hybridk8s.io/node-class == 'bare_metal'",
    )


def test_nodes_by_class() -> None:
    classes = derive.nodes_by_class(estate().nodes)
    assert {name: [host.name for host in hosts] for name, hosts in classes.items()} == {
        "bare_metal": ["cp1", "cp2", "cp3", "w1", "w2", "w3"],
        "cloud_vm": ["vm1"],
    }


def test_overlaps_finds_each_pair_that_all_pairs_would() -> None:
    networks = [
        IPv4Network(text)
        for text in (
            "10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/16", "10.1.0.0/16", "10.1.2.0/24", "11.0.0.0/8", "9.255.255.0/24",
            "10.255.255.255/32", "11.0.0.0/32", "0.0.0.0/0",
        )
    ]  # fmt: skip
    given = [ranges.Range(str(index), network) for index, network in enumerate(networks)]
    found = {frozenset((outer.variable, inner.variable)) for outer, inner in ranges.overlaps(given)}
    wanted = {
        frozenset((one.variable, other.variable))
        for one in given
        for other in given
        if one is not other and one.network.overlaps(other.network)
    }
    assert found == wanted
