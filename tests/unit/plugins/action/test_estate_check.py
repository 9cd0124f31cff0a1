# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Broken inventories, as a person breaks them: edits to the files of the good ones, through Ansible's own loading."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.hybridk8s.estate.plugins.action.estate_check import ActionModule

ROOT = Path(__file__).parents[4]
INVENTORIES = ROOT / "inventories"
LAB, THREE, HYBRID = "lab", "example_three_racks", "example_hybrid"
HOSTS = "hosts.yml"
ESTATE = "group_vars/all/estate.yml"
CONNECTION = "group_vars/all/connection.yml"
VAULT_PASSWORD = b"example"

Edit = tuple[str, str, str]
Finding = tuple[str, str]


@dataclass(frozen=True)
class Broken:
    """A good inventory, edits (file, old text, new text; an empty old text appends), and all that must be found."""

    base: str
    edits: list[Edit]
    planted: set[Finding]
    # What follows from the mistake and is true as well.
    implied: set[Finding] = field(default_factory=set)


BROKEN = {
    # Malformed and missing values.
    "no name": Broken(LAB, [(ESTATE, "estate_name: lab\n", "")], {("ES002", "")}),
    "no networks": Broken(THREE, [(ESTATE, "estate_networks:", "networks:")], {("ES002", "")}),
    "no racks": Broken(THREE, [(ESTATE, "estate_racks:", "racks:")], {("ES002", "")}),
    "a host without address": Broken(
        LAB, [(HOSTS, "w1: {ansible_host: 10.20.1.21, rack", "w1: {rack")], {("ES002", "w1")}
    ),
    "a variable that refers to nothing": Broken(
        LAB, [(HOSTS, "cp1: {ansible_host: 10.20.1.11", 'cp1: {ansible_host: "{{ cp1_address }}"')], {("ES001", "cp1")}
    ),
    "a template that does not parse": Broken(
        THREE, [(HOSTS, "node_labels: {tier: back}", 'node_labels: {tier: "{{ back"}')], {("ES001", "node-c1")}
    ),
    "a template that divides by zero": Broken(LAB, [(ESTATE, "as: 64901", 'as: "{{ 1 // 0 }}"')], {("ES001", "cp1")}),
    "a user that refers to nothing": Broken(
        THREE,
        [(HOSTS, "master-b: {", 'master-b: {ansible_user: "{{ admin }}", ')],
        {("ES001", "master-b")},
    ),
    "racks as a list": Broken(
        LAB,
        [(ESTATE, "  r1: {subnet", "  - {name: r1, subnet"), (ESTATE, "  r2: {subnet", "  - {name: r2, subnet")],
        {("ES003", "")},
    ),
    "a version that YAML takes for a number": Broken(LAB, [(ESTATE, "1.36.3", "1.36")], {("ES013", "")}),
    "a version with a v": Broken(HYBRID, [(ESTATE, "1.36.3", "v1.36.3")], {("ES013", "")}),
    "a name for an address": Broken(
        THREE, [(HOSTS, "ansible_host: 172.28.10.10", "ansible_host: master-a.example")], {("ES012", "master-a")}
    ),
    "an address of five parts": Broken(LAB, [(HOSTS, "10.20.2.21", "10.20.2.2.1")], {("ES012", "w3")}),
    "a network without its prefix length": Broken(
        THREE, [(ESTATE, "192.168.128.0/20", "192.168.128.0")], {("ES010", "")}
    ),
    "host bits in a subnet": Broken(LAB, [(ESTATE, "subnet: 10.20.1.0/24", "subnet: 10.20.1.1/24")], {("ES011", "")}),
    "an endpoint as URL": Broken(
        HYBRID, [(ESTATE, "api.shenzhen-1.example:6443", "https://api.example:6443")], {("ES014", "")}
    ),
    "an endpoint without port": Broken(
        HYBRID, [(ESTATE, "api.shenzhen-1.example:6443", "api.shenzhen-1.example")], {("ES014", "")}
    ),
    "a mirror without scheme": Broken(
        LAB, [(ESTATE, "http://10.98.0.1:8080", "10.98.0.1:8080")], {("ES015", "")}, {("ES603", "")}
    ),
    "an AS in dotted form": Broken(THREE, [(ESTATE, "4200010002", "64086.12346")], {("ES017", "")}),
    "a label that YAML takes for a truth": Broken(
        HYBRID,
        [(HOSTS, "node_gpu_model: h200}\n            sz-gpu-2", "node_labels: {gpu: yes}}\n            sz-gpu-2")],
        {("ES016", "sz-gpu-1")},
    ),
    "two CPU models in a pool": Broken(
        HYBRID,
        [(HOSTS, "sz-r2, node_gpu_model: h200}", "sz-r2, node_gpu_model: h200, node_cpu_model: EPYC-9654}")],
        {("ES732", "")},
    ),
    "taints as Kubespray writes them": Broken(
        LAB,
        [(HOSTS, "- {key: dedicated, value: batch, effect: PreferNoSchedule}", "- dedicated=batch:NoSchedule")],
        {("ES018", "w4")},
    ),
    # Unknown names.
    "a misspelt estate variable": Broken(LAB, [(ESTATE, "estate_mirror:", "estate_miror:")], {("ES004", "")}),
    "a misspelt required variable": Broken(
        THREE, [(ESTATE, "estate_kubernetes_version", "estate_kubernets_version")], {("ES004", ""), ("ES002", "")}
    ),
    "a misspelt key": Broken(LAB, [(ESTATE, "  reserved:", "  reservd:")], {("ES005", "")}),
    "asn for as": Broken(THREE, [(ESTATE, "as: 4200010003", "asn: 4200010003")], {("ES005", ""), ("ES006", "")}),
    "a misspelt host variable": Broken(LAB, [(HOSTS, "node_labels:", "node_lables:")], {("ES008", "w2")}),
    "rack misspelt": Broken(
        LAB,
        [(HOSTS, "10.20.1.21, rack: r1", "10.20.1.21, racks: r1")],
        {("ES008", "w1"), ("ES201", "w1")},
        {("ES411", "")},
    ),
    "an unknown node class": Broken(
        HYBRID, [(HOSTS, "sz-w-1: {", "sz-w-1: {node_class: metal, ")], {("ES009", "sz-w-1")}
    ),
    "a value of one host alone": Broken(LAB, [(HOSTS, "w3: {", "w3: {estate_name: lab2, ")], {("ES007", "w3")}),
    "estate variables for a group only": Broken(
        LAB,
        [(HOSTS, "tor1: {ansible_host: 10.20.1.1}", "tor1: {ansible_host: 10.20.1.1, estate_bgp: null}")],
        {("ES007", "tor1")},
    ),
    # Groups and names.
    "an underscore in a host's name": Broken(
        LAB, [(HOSTS, "            w2:\n", "            w_2:\n")], {("ES101", "w_2")}
    ),
    "capitals in the estate's name": Broken(LAB, [(ESTATE, "estate_name: lab", "estate_name: Lab")], {("ES102", "")}),
    "no control plane": Broken(
        LAB, [(HOSTS, "            cp1: {ansible_host: 10.20.1.11, rack: r1}\n", "")], {("ES104", "")}
    ),
    "Kubespray's group names": Broken(
        LAB,
        [(HOSTS, "control_plane: #", "kube_control_plane: #"), (HOSTS, "        workers:\n", "        kube_node:\n")],
        {("ES106", ""), ("ES104", "")},
        {("ES108", host) for host in ("cp1", "w1", "w2", "w3", "w4", "w5")},
    ),
    "route_reflector in the singular": Broken(
        LAB, [(HOSTS, "route_reflectors:", "route_reflector:")], {("ES106", "")}, {("ES411", "")}
    ),
    "no parent group": Broken(
        LAB,
        [(HOSTS, "    kubernetes: # every", "    k8s: # every"), (HOSTS, "        kubernetes:\n", "")],
        {("ES107", "")},
        {("ES106", "")},
    ),
    "a worker that is a control plane too": Broken(
        LAB,
        [
            (
                HOSTS,
                "            cp1: {ansible_host: 10.20.1.11, rack: r1}",
                "            cp1: {ansible_host: 10.20.1.11, rack: r1}\n            w2:\n            w4:",
            )
        ],
        {("ES109", "w2"), ("ES109", "w4")},
    ),
    "a node among the switches": Broken(
        LAB,
        [(HOSTS, "        tor2: {ansible_host: 10.20.2.1}", "        tor2: {ansible_host: 10.20.2.1}\n        w4:")],
        {("ES110", "w4")},
        {("ES415", "w4")},
    ),
    "a VM among the bare metal": Broken(
        HYBRID,
        [(HOSTS, "      hosts:\n        sz-w-[1:2]:", "      hosts:\n        ali-vm-1:\n        sz-w-[1:2]:")],
        {("ES111", "ali-vm-1")},
    ),
    "a node of no class in a hybrid estate": Broken(
        HYBRID, [(HOSTS, "        sz-w-[1:2]:\n", "")], {("ES113", "sz-w-1"), ("ES113", "sz-w-2")}
    ),
    "a switch among the reflectors": Broken(
        THREE, [(HOSTS, "        node-c1:\n", "        leaf-c:\n")], {("ES114", "leaf-c")}, {("ES411", "")}
    ),
    # Hosts and racks.
    "a host in no rack": Broken(
        LAB, [(HOSTS, "10.20.1.21, rack: r1", "10.20.1.21")], {("ES201", "w1")}, {("ES411", "")}
    ),
    "a host in an unknown rack": Broken(
        THREE,
        [(HOSTS, "172.28.20.101, rack: hall1-b", "172.28.20.101, rack: hall1b")],
        {("ES202", "node-b1")},
        {("ES411", "")},
    ),
    "an address used twice": Broken(LAB, [(HOSTS, "10.20.2.22", "10.20.2.21")], {("ES203", "w4")}),
    "a host outside its rack": Broken(THREE, [(HOSTS, "172.28.30.101", "172.28.20.102")], {("ES204", "node-c1")}),
    "the broadcast address": Broken(LAB, [(HOSTS, "10.20.2.22", "10.20.2.255")], {("ES205", "w4")}),
    "a gateway of another rack": Broken(
        LAB, [(ESTATE, "switches: [tor1], ", "switches: [tor1], gateway: 10.20.2.1, ")], {("ES207", "")}
    ),
    "a worker with the gateway's address": Broken(
        LAB, [(ESTATE, "switches: [tor1], ", "switches: [tor1], gateway: 10.20.1.22, ")], {("ES208", "w2")}
    ),
    "a switch outside its rack": Broken(THREE, [(HOSTS, "172.28.30.1}", "172.28.40.1}")], {("ES209", "leaf-c")}),
    # The address plan.
    "pods over services": Broken(
        LAB, [(ESTATE, "services: 10.22.0.0/16", "services: 10.21.240.0/20")], {("ES301", "")}
    ),
    "pods over a rack": Broken(
        THREE,
        [(ESTATE, "172.30.0.0/17", "172.28.0.0/14")],
        {("ES301", "")},
        {
            ("ES206", h)
            for h in ("leaf-a", "leaf-b", "leaf-c", "master-a", "master-b", "master-c", "node-a1", "node-b1", "node-c1")
        },
    ),
    "pods over what is reserved": Broken(
        HYBRID, [(ESTATE, "10.41.0.0/16", "10.51.0.0/16")], {("ES301", "")}, {("ES423", "")}
    ),
    "the VPC over the services": Broken(
        HYBRID, [(ESTATE, "services: 10.42.0.0/16", "services: 172.20.0.0/20")], {("ES301", "")}
    ),
    "racks of one subnet": Broken(LAB, [(ESTATE, "subnet: 10.20.2.0/24", "subnet: 10.20.0.0/16")], {("ES301", "")}),
    "services in the cloud provider's range": Broken(
        THREE, [(ESTATE, "192.168.128.0/20", "100.64.0.0/16")], {("ES302", ""), ("ES301", "")}
    ),
    "pods in somebody's public range": Broken(
        LAB, [(ESTATE, "bare_metal: 10.21.0.0/16", "bare_metal: 21.0.0.0/16")], {("ES303", "")}
    ),
    "a pool for three nodes": Broken(
        LAB, [(ESTATE, "bare_metal: 10.21.0.0/16", "bare_metal: 10.21.0.0/24")], {("ES304", "")}
    ),
    "no pool": Broken(LAB, [(ESTATE, "bare_metal: 10.21.0.0/16", "cloud_vm: 10.21.0.0/16")], {("ES305", "")}),
    "eight services": Broken(LAB, [(ESTATE, "services: 10.22.0.0/16", "services: 10.22.0.0/29")], {("ES306", "")}),
    "services without end": Broken(THREE, [(ESTATE, "192.168.128.0/20", "10.0.0.0/8")], {("ES308", "")}),
    # BGP.
    "the switches in the cluster's AS": Broken(LAB, [(ESTATE, "as: 64902", "as: 64512")], {("ES403", "")}),
    "AS_TRANS": Broken(THREE, [(ESTATE, "as: 4200000100", "as: 23456")], {("ES402", "")}),
    "an AS of 33 bits": Broken(THREE, [(ESTATE, "4200010001", "42000100010")], {("ES401", "")}),
    "one AS for two racks": Broken(LAB, [(ESTATE, "as: 64902", "as: 64901")], {("ES405", "")}),
    "a rack without reflector": Broken(THREE, [(HOSTS, "        node-b1:\n", "")], {("ES411", "")}),
    "a rack without switch": Broken(
        THREE, [(ESTATE, "switches: [leaf-b]", "switches: []")], {("ES412", ""), ("ES415", "leaf-b")}
    ),
    "a switch that is not there": Broken(LAB, [(ESTATE, "[tor2]", "[tor3]")], {("ES413", "")}, {("ES415", "tor2")}),
    "a switch in two racks": Broken(
        LAB, [(ESTATE, "[tor2]", "[tor2, tor1]")], {("ES414", "tor1")}, {("ES209", "tor1"), ("ES210", "tor1")}
    ),
    "switches but no BGP": Broken(
        LAB, [(ESTATE, "estate_bgp:\n  as: 64512\n  import: [10.99.0.0/16]\n", "")], {("ES416", "")}
    ),
    "nodes learn their own racks": Broken(
        LAB, [(ESTATE, "import: [10.99.0.0/16]", "import: [10.20.0.0/15]")], {("ES421", "")}, {("ES423", "")}
    ),
    "nodes learn a default route": Broken(
        HYBRID, [(ESTATE, "import: [10.50.0.0/15]", "import: [0.0.0.0/0]")], {("ES422", "")}
    ),
    "one cluster id for two racks": Broken(
        THREE,
        [(HOSTS, "        node-c1:\n", "        node-c1: {route_reflector_cluster_id: 244.0.0.11}\n")],
        {("ES431", "node-c1")},
    ),
    "one cluster id given to two racks": Broken(
        THREE, [(ESTATE, "cluster_id: 244.0.0.12", "cluster_id: 244.0.0.11")], {("ES431", "")}
    ),
    "a switch in the cluster's AS": Broken(
        THREE, [(HOSTS, "172.28.20.1}", "172.28.20.1, bgp_as: 4200000100}")], {("ES403", "leaf-b")}
    ),
    "a switch in the AS of another rack": Broken(
        THREE, [(HOSTS, "172.28.20.1}", "172.28.20.1, bgp_as: 4200010001}")], {("ES405", "leaf-b")}
    ),
    "an AS for a node": Broken(
        LAB, [(HOSTS, "10.20.1.21, rack", "10.20.1.21, bgp_as: 64999, rack")], {("ES406", "w1")}
    ),
    "three reflectors where there are two hosts": Broken(
        THREE,
        [
            (HOSTS, "        node-b1:\n", ""),
            (ESTATE, "  as: 4200000100\n", "  as: 4200000100\n  reflectors_per_rack: 3\n"),
        ],
        {("ES419", "")},
    ),
    "a hold time of two keepalives": Broken(HYBRID, [(ESTATE, "hold: 9", "hold: 6")], {("ES441", "")}),
    "a timer with its unit": Broken(HYBRID, [(ESTATE, "hold: 9", "hold: 9s")], {("ES019", "")}),
    "no timer of ours": Broken(HYBRID, [(ESTATE, "hold: 9", "holdtime: 9")], {("ES005", "")}),
    "a limit below what is announced": Broken(HYBRID, [(ESTATE, "max_prefix: 4000", "max_prefix: 8")], {("ES442", "")}),
    "a BGP password in clear": Broken(
        LAB, [(ESTATE, "as: 64512\n", "as: 64512\n  password: s3cret\n")], {("ES621", "")}
    ),
    "a BGP password with a blank": Broken(
        LAB,
        [(ESTATE, "as: 64512\n", "as: 64512\n  password: \"{{ 's3 cret' }}\"\n")],
        {("ES443", "")},
    ),
    "load balancers among the nodes": Broken(HYBRID, [(ESTATE, "10.43.0.0/24", "10.40.1.0/24")], {("ES301", "")}),
    "the cluster's services, as a word": Broken(
        HYBRID, [(ESTATE, "    load_balancer_ips:", "    cluster_ips: all\n    load_balancer_ips:")], {("ES003", "")}
    ),
    # Kubernetes, its runtime, secrets, labels.
    "two control planes": Broken(
        THREE, [(HOSTS, "            master-c: {ansible_host: 172.28.30.10, rack: hall2-a}\n", "")], {("ES503", "")}
    ),
    "a kubelet that is too new": Broken(
        LAB, [(HOSTS, "w3: {", "w3: {kubernetes_node_version: 1.37.0, ")], {("ES511", "w3")}
    ),
    "a kubelet that is too old": Broken(
        LAB, [(HOSTS, "w3: {", "w3: {kubernetes_node_version: 1.32.0, ")], {("ES512", "w3")}
    ),
    "a runtime that is too old": Broken(
        THREE,
        [(HOSTS, "node-b1: {", "node-b1: {container_runtime_containerd_version: 1.7.30, ")],
        {("ES513", "node-b1"), ("ES514", "node-b1")},
    ),
    "a profile that nobody described": Broken(
        HYBRID, [(HOSTS, "runtime_profile: online", "runtime_profile: onlin")], {("ES881", "sz-w-1")}
    ),
    "a profile of a pool that nobody described": Broken(
        HYBRID, [(ESTATE, "runtime_profile: offline", "runtime_profile: batch")], {("ES881", "")}
    ),
    "a runc that limits kernel memory": Broken(
        LAB, [(HOSTS, "w3: {", "w3: {container_runtime_runc_version: 0.1.1, ")], {("ES515", "w3")}
    ),
    "a mirror among the pods": Broken(
        LAB, [(ESTATE, "http://10.98.0.1:5000", "http://10.21.0.1:5000")], {("ES601", "")}
    ),
    "a password in the mirror's URL": Broken(
        LAB, [(ESTATE, "http://10.98.0.1:5000", "http://me:pw@10.98.0.1:5000")], {("ES602", "")}
    ),
    "an endpoint that is the node itself": Broken(
        HYBRID, [(ESTATE, "api.shenzhen-1.example:6443", "127.0.0.1:6443")], {("ES611", "")}
    ),
    "a password in clear": Broken(LAB, [(CONNECTION, "", "ansible_become_password: hunter2\n")], {("ES621", "")}),
    "a token deep inside": Broken(
        THREE, [(CONNECTION, "", "site_registry: {mirrors: [{host: a, accessToken: abc}]}\n")], {("ES621", "")}
    ),
    "a password of one host": Broken(
        LAB, [(HOSTS, "tor2: {", "tor2: {switch_bgp_password: 12345, ")], {("ES621", "tor2")}
    ),
    "become on the controller": Broken(LAB, [(CONNECTION, "", "ansible_become: yes\n")], {("ES622", "")}),
    "a label with a blank": Broken(LAB, [(HOSTS, "disk: nvme", "disk: nvme ssd")], {("ES701", "w2")}),
    "a label of the kubelet": Broken(LAB, [(HOSTS, "disk: nvme", "kubernetes.io/hostname: w2")], {("ES702", "w2")}),
    "a label that the kubelet may not set": Broken(
        LAB, [(HOSTS, "disk: nvme", "node-role.kubernetes.io/worker: ''")], {("ES704", "w2")}
    ),
    "an effect that there is not": Broken(
        HYBRID,
        [("group_vars/gpu/nodes.yml", "NoSchedule", "NoScheduling")],
        {("ES722", "sz-gpu-1"), ("ES722", "sz-gpu-2")},
    ),
    # The cloud, and several at once.
    "VMs but no VPC": Broken(HYBRID, [(ESTATE, "estate_cloud:", "cloud:")], {("ES801", "")}),
    "a vSwitch outside its VPC": Broken(HYBRID, [(ESTATE, "172.20.160.0/19", "172.21.160.0/19")], {("ES802", "")}),
    "a VM outside its vSwitches": Broken(HYBRID, [(HOSTS, "172.20.17.11", "172.20.18.11")], {("ES804", "ali-vm-2")}),
    "a zone without pods": Broken(
        HYBRID,
        [(ESTATE, "    cn-shenzhen-e: {id: vsw-wz9examplepods000002, cidr: 172.20.160.0/19}\n", "")],
        {("ES805", "")},
    ),
    "seven mistakes at once": Broken(
        LAB,
        [
            (HOSTS, "cp1: {ansible_host: 10.20.1.11", 'cp1: {ansible_host: "{{ nope }}"'),
            (HOSTS, "10.20.2.22", "10.20.2.21"),
            (HOSTS, "disk: nvme", "disk: true"),
            (ESTATE, "as: 64901", "as: 64512"),
            (ESTATE, "1.36.3", "1.36"),
            (ESTATE, "estate_mirror:", "estate_mirrors:"),
            (CONNECTION, "", "registry_password: hunter2\n"),
        ],
        {
            ("ES001", "cp1"),
            ("ES203", "w4"),
            ("ES016", "w2"),
            ("ES403", ""),
            ("ES013", ""),
            ("ES004", ""),
            ("ES621", ""),
        },
    ),
}


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    init_plugin_loader([str(ROOT / ".cache")])


def spoil(directory: Path, broken: Broken) -> Path:
    """A copy of the good inventory with the edits made."""
    copy = directory / "inventory"
    shutil.copytree(INVENTORIES / broken.base, copy)
    for name, old, new in broken.edits:
        text = (copy / name).read_text(encoding="utf-8")
        assert old in text, f"{broken.base}/{name} does not hold {old!r} any more"
        (copy / name).write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")
    return copy


def forbidden(*arguments: object, **options: object) -> None:
    pytest.fail(f"a connection was used: {arguments} {options}")


def check(source: Path, vault: bytes | None = None, **arguments: Any) -> dict[str, Any]:
    """The action's result for the inventory at ``source``, as ansible-playbook would run it but without the process."""
    loader = DataLoader()
    if vault is not None:
        loader.set_vault_secrets([("default", VaultSecret(vault))])
    inventory = InventoryManager(loader=loader, sources=[f"{source}{os.sep}"])
    variables = VariableManager(loader=loader, inventory=inventory)
    task = MagicMock(args=arguments, async_val=0, check_mode=False, diff=False)
    action = ActionModule(
        task=task,
        connection=MagicMock(exec_command=forbidden, put_file=forbidden, fetch_file=forbidden),
        play_context=MagicMock(),
        loader=loader,
        templar=Templar(loader),
        shared_loader_obj=None,
    )
    return action.run(
        task_vars={"hostvars": HostVars(inventory, variables, loader), "groups": inventory.get_groups_dict()}
    )


def found(result: Mapping[str, Any]) -> set[Finding]:
    return {(finding["code"].split("-")[0], finding["host"]) for finding in result["findings"]}


@pytest.mark.parametrize("name", sorted(path.name for path in INVENTORIES.iterdir() if (path / HOSTS).exists()))
def test_a_good_inventory_gives_no_finding(name: str) -> None:
    result = check(INVENTORIES / name)
    assert result["findings"] == []
    assert not result["failed"]
    assert not result["changed"]
    assert "warnings" not in result
    assert "in order" in result["msg"]


@pytest.mark.parametrize("name", BROKEN)
def test_every_planted_mistake_is_found_and_nothing_else(name: str, tmp_path: Path) -> None:
    broken = BROKEN[name]
    result = check(spoil(tmp_path, broken))
    assert found(result) == broken.planted | broken.implied
    errors = [finding for finding in result["findings"] if finding["severity"] == "error"]
    assert result["failed"] is bool(errors)
    assert result["summary"]["errors"] == len(errors)
    for finding in errors:
        assert finding["message"] in result["msg"]
        assert finding["remedy"] in result["msg"]


def test_there_are_at_least_60_broken_inventories() -> None:
    assert len(BROKEN) >= 60


def test_a_finding_names_file_and_line(tmp_path: Path) -> None:
    inventory = spoil(tmp_path, BROKEN["an address used twice"])
    (finding,) = check(inventory)["findings"]
    lines = (inventory / HOSTS).read_text(encoding="utf-8").splitlines()
    path, line = finding["origin"].rsplit(":", 1)
    assert Path(path) == inventory / HOSTS
    assert "ansible_host: 10.20.2.21" in lines[int(line) - 1]


def test_hosts_with_the_same_finding_share_a_paragraph(tmp_path: Path) -> None:
    result = check(spoil(tmp_path, BROKEN["an effect that there is not"]))
    assert len(result["findings"]) == 2
    assert result["msg"].count("NoScheduling") == 1
    assert "sz-gpu-1, sz-gpu-2: node_taints[0].effect" in result["msg"]


def test_warnings_do_not_fail(tmp_path: Path) -> None:
    result = check(spoil(tmp_path, BROKEN["one AS for two racks"]))
    assert not result["failed"]
    assert result["summary"]["warnings"] == 1
    assert "ES405-as-shared-by-racks" in result["warnings"][0]


def test_the_report_holds_all_findings(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = check(spoil(tmp_path, BROKEN["seven mistakes at once"]), report=str(report))
    assert json.loads(report.read_text(encoding="utf-8")) == {
        "estate": "lab",
        "summary": result["summary"],
        "findings": result["findings"],
    }
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_a_report_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="option report"):
        check(INVENTORIES / LAB, report=str(tmp_path / "nowhere" / "report.json"))


@pytest.mark.parametrize(
    "value",
    [
        "\"{{ lookup('ansible.builtin.env', 'BGP_PASSWORD') }}\"",
        '"{{ vault_bgp_password }}"',
        "''",
        "null",
        "true",
    ],
)
def test_what_is_looked_up_is_no_secret_in_clear(value: str, tmp_path: Path) -> None:
    edit = (CONNECTION, "", f"switch_bgp_password: {value}\n")
    assert check(spoil(tmp_path, Broken(LAB, [edit], set())))["findings"] == []


@pytest.mark.parametrize(
    "name", ["token_ttl: 30m", "secret_name: bgp", "password_file: /x", "ansible_ssh_private_key_file: /x"]
)
def test_what_only_sounds_like_a_secret_is_none(name: str, tmp_path: Path) -> None:
    assert check(spoil(tmp_path, Broken(LAB, [(CONNECTION, "", f"{name}\n")], set())))["findings"] == []


@pytest.mark.parametrize("vault", [VAULT_PASSWORD, None], ids=["with the vault's password", "without"])
def test_a_vaulted_secret_is_in_order_and_needs_no_password(vault: bytes | None) -> None:
    assert check(INVENTORIES / HYBRID, vault)["findings"] == []


def test_a_secret_in_a_vaulted_file_is_in_order(tmp_path: Path) -> None:
    inventory = spoil(tmp_path, Broken(LAB, [], set()))
    secret = VaultLib([("default", VaultSecret(VAULT_PASSWORD))]).encrypt("registry_password: hunter2\n")
    (inventory / "group_vars/all/vault.yml").write_bytes(secret)
    assert check(inventory, VAULT_PASSWORD)["findings"] == []


def test_a_variable_of_the_model_that_is_vaulted_with_another_password_is_named(tmp_path: Path) -> None:
    inventory = spoil(tmp_path, Broken(LAB, [(ESTATE, "estate_name: lab\n", "")], set()))
    vault = VaultLib([("default", VaultSecret(b"other"))]).encrypt("lab").decode()
    lines = "\n".join(f"  {line}" for line in vault.splitlines())
    (inventory / "group_vars/all/name.yml").write_text(f"estate_name: !vault |\n{lines}\n", encoding="utf-8")
    (finding,) = check(inventory, VAULT_PASSWORD)["findings"]
    assert (finding["code"], finding["variable"]) == ("ES001-unreadable-variable", "estate_name")


def test_a_file_that_is_no_yaml_is_named_with_its_host(tmp_path: Path) -> None:
    inventory = spoil(tmp_path, BROKEN["an address used twice"])
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars/w2.yml").write_text("a: b: c\n", encoding="utf-8")
    result = check(inventory)
    assert found(result) == {("ES001", "w2"), ("ES203", "w4")}
    assert "host_vars/w2.yml" in result["msg"]


def test_a_template_may_use_other_hosts(tmp_path: Path) -> None:
    edit = (HOSTS, "10.20.1.22", "\"{{ hostvars['w1'].ansible_host | replace('.21', '.22') }}\"")
    assert check(spoil(tmp_path, Broken(LAB, [edit], set())))["findings"] == []


def test_become_for_some_groups_is_in_order(tmp_path: Path) -> None:
    inventory = spoil(tmp_path, Broken(LAB, [], set()))
    (inventory / "group_vars/kubernetes.yml").write_text("ansible_become: true\n", encoding="utf-8")
    assert check(inventory)["findings"] == []


def test_more_findings_than_a_person_reads_are_counted(tmp_path: Path) -> None:
    labels = "".join(f"                l{index}: {index}\n" for index in range(150))
    result = check(spoil(tmp_path, Broken(LAB, [(HOSTS, "                disk: nvme\n", labels)], set())))
    assert len(result["findings"]) == 150
    assert "and 50 more" in result["msg"]


@pytest.fixture
def station(tmp_path: Path) -> dict[str, str]:
    """An environment in which any attempt to connect leaves a mark."""
    marker = tmp_path / "connected"
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\ntouch {marker}\nexit 255\n", encoding="utf-8")
    ssh.chmod(0o755)
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache"),
        "ANSIBLE_SSH_EXECUTABLE": str(ssh),
        "ANSIBLE_REMOTE_TMP": str(marker),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }


def playbook(environment: dict[str, str], name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "ansible-playbook"), f"hybridk8s.estate.{name}", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", ["check", "site"])
def test_playbooks_name_everything_connect_to_nothing_and_fail(
    name: str, tmp_path: Path, station: dict[str, str]
) -> None:
    seven = BROKEN["seven mistakes at once"]
    edits = [*seven.edits, (CONNECTION, "ansible_user: root", 'ansible_user: "{{ nobody }}"')]
    inventory = spoil(tmp_path, Broken(LAB, edits, set()))
    report = tmp_path / "report.json"
    run = playbook(station, name, "-i", str(inventory), "-e", f"estate_report={report}", "--limit", "w5")
    assert run.returncode == 2
    output = run.stdout + run.stderr
    assert "Traceback" not in output
    assert output.count("PLAY [") == 1
    for code, host in (*seven.planted, ("ES001", "w3")):
        assert (code, host) in found(json.loads(report.read_text(encoding="utf-8")))
        assert code in output
    assert not (tmp_path / "connected").exists()


def test_the_playbook_is_content_with_a_good_inventory_that_it_cannot_decrypt(
    tmp_path: Path, station: dict[str, str]
) -> None:
    run = playbook(station, "check", "-i", str(INVENTORIES / HYBRID), "--limit", "ali-vm-1", "--check", "--diff")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "WARNING" not in run.stdout + run.stderr
    assert not (tmp_path / "connected").exists()


def test_a_password_of_the_command_line_is_not_the_inventorys(tmp_path: Path, station: dict[str, str]) -> None:
    run = playbook(station, "check", "-i", str(INVENTORIES / LAB), "-e", "ansible_password=hunter2")
    assert run.returncode == 0, run.stdout + run.stderr
    assert not (tmp_path / "connected").exists()
