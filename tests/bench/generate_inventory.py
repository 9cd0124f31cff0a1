# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write an inventory of many hosts, in order or with mistakes, to measure what only size shows.

python tests/bench/generate_inventory.py --hosts 1000 DIRECTORY
ansible-playbook -i DIRECTORY hybridk8s.estate.check
"""

from __future__ import annotations

import argparse
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import yaml

HOSTS_PER_RACK = 40
CONTROL_PLANES = 3
FIRST_AS = 4200010001
RACK_RANGE = IPv4Network("10.64.0.0/12")


def inventory(hosts: int, faulty_every: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """The groups with their hosts, and the variables of the estate, for ``hosts`` nodes in racks of forty.

    Every ``faulty_every``-th node (none for 0) has the address of a rack that is not its own.
    """
    racks = -(-hosts // HOSTS_PER_RACK)
    subnets = list(RACK_RANGE.subnets(new_prefix=24))[: racks + 1]
    nodes: dict[str, dict[str, Any]] = {}
    for index in range(hosts):
        rack, place = divmod(index, HOSTS_PER_RACK)
        subnet = subnets[racks] if faulty_every and index % faulty_every == faulty_every - 1 else subnets[rack]
        nodes[f"n{index:04d}"] = {
            "ansible_host": str(_address(subnet, 10 + place)),
            "rack": f"r{rack:03d}",
            "node_labels": {"row": str(rack // 10), "disk": "nvme" if index % 2 else "ssd"},
        }
    switches = {f"tor{rack:03d}": {"ansible_host": str(_address(subnets[rack], 1))} for rack in range(racks)}
    names = list(nodes)
    # One control plane a rack; the second host of each rack reflects, so that none is both.
    control_planes = [names[index * HOSTS_PER_RACK] for index in range(min(CONTROL_PLANES, racks))]
    if len(control_planes) % 2 == 0:
        control_planes.pop()
    reflectors = [names[index] for index in range(1, hosts, HOSTS_PER_RACK)]
    workers = [name for name in names if name not in control_planes]
    groups = {
        "kubernetes": {
            "children": {
                "control_plane": {"hosts": {name: nodes[name] for name in control_planes}},
                "workers": {"hosts": {name: nodes[name] for name in workers}},
            }
        },
        "bare_metal": {"children": {"kubernetes": {}}},
        "route_reflectors": {"hosts": dict.fromkeys(reflectors)},
        "switches": {"hosts": switches},
    }
    estate = {
        "estate_name": "bench",
        "estate_kubernetes_version": "1.36.3",
        "estate_networks": {"services": "10.22.0.0/16", "pods": {"bare_metal": "10.128.0.0/12"}},
        "estate_racks": {
            f"r{rack:03d}": {"subnet": str(subnets[rack]), "switches": [f"tor{rack:03d}"], "as": FIRST_AS + rack}
            for rack in range(racks)
        },
        "estate_bgp": {"as": 4200000001, "import": ["192.168.0.0/16"]},
    }
    return {"all": {"children": groups}}, estate


def write(directory: Path, hosts: int, faulty_every: int = 0) -> None:
    """Write :func:`inventory` to ``directory`` as a person would lay it out."""
    groups, estate = inventory(hosts, faulty_every)
    variables = directory / "group_vars" / "all"
    variables.mkdir(parents=True, exist_ok=True)
    connection = {"ansible_user": "root", "ansible_python_interpreter": "/usr/bin/python3"}
    for path, content in (
        (directory / "hosts.yml", groups),
        (variables / "estate.yml", estate),
        (variables / "connection.yml", connection),
    ):
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _address(subnet: IPv4Network, place: int) -> IPv4Address:
    return subnet.network_address + place


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--faulty-every", type=int, default=0, help="give every Nth node another rack's address")
    arguments = parser.parse_args()
    write(arguments.directory, arguments.hosts, arguments.faulty_every)


if __name__ == "__main__":
    main()
