"""Inventories of different shape, as `ansible-inventory --list` would print them."""

from __future__ import annotations

import copy
from typing import Any


def listing(shared: dict[str, Any], hosts: dict[str, dict[str, Any]], switches: list[str]) -> dict[str, Any]:
    others = [name for name in hosts if name not in switches]
    return {
        "_meta": {"hostvars": {name: {**copy.deepcopy(shared), **own} for name, own in hosts.items()}},
        "all": {"children": ["ungrouped", "kubernetes", "switches"]},
        "kubernetes": {"children": ["control_plane", "workers"]},
        "control_plane": {"hosts": others[:1]},
        "workers": {"hosts": others[1:]},
        "switches": {"hosts": switches},
    }


def two_racks() -> dict[str, Any]:
    """The lab's own shape: racks name their switches, the spine is the default."""
    return listing(
        {
            "estate_racks": {
                "r1": {"subnet": "10.20.1.0/24", "switches": ["tor1"], "as": 64901},
                "r2": {"subnet": "10.20.2.0/24", "switches": ["tor2"], "as": 64902},
            },
            "estate_bgp": {"as": 64512, "import": ["10.99.0.0/16"]},
            "estate_mirror": {"downloads": "http://10.98.0.1:8080", "registry": "http://10.98.0.1:5000"},
        },
        {
            "cp1": {"ansible_host": "10.20.1.11", "rack": "r1"},
            "w1": {"ansible_host": "10.20.2.21", "rack": "r2"},
            "w2": {"ansible_host": "10.20.2.22", "rack": "r2", "lab_boot": False},
            "tor1": {"ansible_host": "10.20.1.1"},
            "tor2": {"ansible_host": "10.20.2.1"},
        },
        ["tor1", "tor2"],
    )


def hybrid() -> dict[str, Any]:
    """Two racks and a VPC of two zones."""
    made = two_racks()
    for variables in made["_meta"]["hostvars"].values():
        variables["estate_networks"] = {"pods": {"bare_metal": "10.21.0.0/16"}}
        variables["estate_cloud"] = {
            "region": "cn-lab",
            "vpc": "vpc-lab",
            "cidr": "172.20.0.0/16",
            "node_vswitches": {"cn-lab-a": {"id": "vsw-node-a", "cidr": "172.20.1.0/24"}},
            "pod_vswitches": {
                "cn-lab-a": {"id": "vsw-pod-a", "cidr": "172.20.2.0/24"},
                "cn-lab-b": {"id": "vsw-pod-b", "cidr": "172.20.3.0/24"},
            },
            "security_groups": ["sg-lab"],
            "ram_role": "KubernetesNodeRole",
            "credentials": {"access_key_id": "LTAIlab", "access_key_secret": "lab-secret"},
            "endpoints": {"ecs": "10.98.0.100:8090", "vpc": "10.98.0.100:8090", "scheme": "http"},
        }
        variables["estate_cloud_pools"] = {
            "online": {"instance_types": ["ecs.g7.xlarge", "ecs.g6.xlarge"], "image": "m-lab", "key_pair": "lab"},
            "batch": {"instance_types": ["ecs.g7.xlarge"], "image": "m-lab"},
        }
    return made


def three_racks() -> dict[str, Any]:
    """Other names, sizes and AS numbers; a rack of two switches behind one gateway; switches that say their rack."""
    return listing(
        {
            "estate_racks": {
                "hall-a": {"subnet": "172.28.10.0/23", "as": "4200010001", "gateway": "172.28.11.254"},
                "hall-b": {"subnet": "172.28.20.0/23", "as": 4200010002},
                "hall-c": {"subnet": "172.28.30.0/26", "as": 4200010003},
            },
            "estate_bgp": {"as": 4200000100},
            "estate_mirror": {"downloads": "http://192.168.250.3:80", "registry": "http://192.168.250.3:5001"},
            "lab_spine": "192.168.250.0/29",
        },
        {
            "earth": {"ansible_host": "172.28.10.7", "rack": "hall-a"},
            "mars": {"ansible_host": "172.28.21.9", "rack": "hall-b"},
            "moon": {"ansible_host": "172.28.30.5", "rack": "hall-c"},
            "leaf-a1": {"ansible_host": "172.28.10.2", "rack": "hall-a"},
            "leaf-a2": {"ansible_host": "172.28.10.3", "rack": "hall-a"},
            "leaf-b": {"ansible_host": "172.28.20.1", "rack": "hall-b"},
            "leaf-c": {"ansible_host": "172.28.30.1", "rack": "hall-c"},
        },
        ["leaf-a1", "leaf-a2", "leaf-b", "leaf-c"],
    )
