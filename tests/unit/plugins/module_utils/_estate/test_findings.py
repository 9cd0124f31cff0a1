# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every code: an inventory that has the mistake, and one close to it that has not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.parse import (
    ESTATE_VARIABLES,
    HOST_VARIABLES,
    READING_CODES,
    RUN_VARIABLES,
    Unreadable,
    parse,
)

from tests.unit.plugins.module_utils._estate.cloud_cases import CLOUD_CASES
from tests.unit.plugins.module_utils._estate.profile_cases import ONLINE, PROFILE_CASES, PROFILES
from tests.unit.plugins.module_utils._estate.samples import GONE, Case, Edits, edited, judge

RACK1 = ("estate", "estate_racks", "r1")
RACK2 = ("estate", "estate_racks", "r2")
NETWORKS = ("estate", "estate_networks")
BGP = ("estate", "estate_bgp")
CLOUD = ("estate", "estate_cloud")
ZONE = "cn-shenzhen-d"
MIRROR = ("estate", "estate_mirror")
ENDPOINT = ("estate", "estate_api_endpoint")
VERSION = ("estate", "estate_kubernetes_version")
CONTAINERD = "container_runtime_containerd_version"
RUNC = "container_runtime_runc_version"
LXCFS = "admission_policies_lxcfs"
KUBELET = "kubernetes_node_version"
CLUSTER_ID = "route_reflector_cluster_id"
GPU = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
DEDICATED = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
POOL = {("w1", "node_pool"): "general", ("w2", "node_pool"): "general"}

TWO_SWITCHES = {
    ("tor1b", "ansible_host"): "10.20.1.2",
    ("groups", "switches"): ["tor1", "tor1b", "tor2"],
    (*RACK1, "switches"): ["tor1", "tor1b"],
}
EIGHT_NODES = {
    ("w4", "ansible_host"): "10.20.2.24",
    ("w5", "ansible_host"): "10.20.2.25",
    ("groups", "workers"): ["w1", "w2", "w3", "w4", "w5", "vm1"],
}


CASES = [
    # Reading.
    Case("ES002-missing-variable", {("estate", "estate_name"): GONE}, "", "estate_name"),
    Case("ES002-missing-variable", {VERSION: None}, "", "estate_kubernetes_version"),
    Case("ES002-missing-variable", {NETWORKS: GONE}, "", "estate_networks"),
    Case("ES002-missing-variable", {("w1", "ansible_host"): GONE}, "w1", "ansible_host", {("bastion", "x"): 1}),
    Case("ES003-wrong-type", {("estate", "estate_name"): 5}, "", "estate_name"),
    Case("ES003-wrong-type", {("estate", "estate_racks"): ["r1"]}, "", "estate_racks"),
    Case("ES003-wrong-type", {(*RACK1, "switches"): "tor1"}, "", "estate_racks.r1.switches"),
    Case("ES003-wrong-type", {("w1", "node_labels"): "a=b"}, "w1", "node_labels", {("w1", "node_labels"): None}),
    Case("ES003-wrong-type", {("w1", "rack"): 1}, "w1", "rack"),
    Case("ES004-unknown-variable", {("estate", "estate_rack"): {}}, "", "estate_rack"),
    Case("ES004-unknown-variable", {("w1", "estate_racks_extra"): 1}, "w1", "estate_racks_extra"),
    Case("ES004-unknown-variable", {("estate", "estate_nam"): 1}, "", "estate_nam", {("estate", "estate_report"): "f"}),
    Case("ES005-unknown-key", {(*NETWORKS, "service"): "10.1.0.0/16"}, "", "estate_networks.service"),
    Case("ES005-unknown-key", {(*NETWORKS, "pods", "baremetal"): "x"}, "", "estate_networks.pods.baremetal"),
    Case("ES005-unknown-key", {(*RACK1, "asn"): 1}, "", "estate_racks.r1.asn"),
    Case("ES005-unknown-key", {(*BGP, "imports"): []}, "", "estate_bgp.imports"),
    Case("ES005-unknown-key", {(*MIRROR, "images"): "x"}, "", "estate_mirror.images"),
    Case("ES005-unknown-key", {(*CLOUD, "zone"): "x"}, "", "estate_cloud.zone"),
    Case(
        "ES005-unknown-key",
        {(*CLOUD, "node_vswitches", ZONE, "ip"): 1},
        "",
        "estate_cloud.node_vswitches.cn-shenzhen-d.ip",
    ),
    Case("ES005-unknown-key", {("w1", "node_taints"): [{**GPU, "efect": "x"}]}, "w1", "node_taints[0].efect"),
    Case("ES006-missing-key", {(*NETWORKS, "pods"): GONE}, "", "estate_networks.pods"),
    Case("ES006-missing-key", {(*NETWORKS, "services"): GONE}, "", "estate_networks.services"),
    Case("ES006-missing-key", {(*BGP, "as"): GONE}, "", "estate_bgp.as", {(*BGP, "import"): GONE}),
    Case("ES006-missing-key", {(*RACK1, "as"): GONE}, "", "estate_racks.r1.as"),
    Case("ES006-missing-key", {(*RACK1, "subnet"): GONE}, "", "estate_racks.r1.subnet"),
    Case("ES006-missing-key", {("w1", "node_taints"): [{"key": "a"}]}, "w1", "node_taints[0].effect"),
    Case("ES006-missing-key", {(*CLOUD, "region"): GONE}, "", "estate_cloud.region"),
    Case("ES007-differs-between-hosts", {("w1", "estate_name"): "other"}, "w1", "estate_name"),
    Case("ES007-differs-between-hosts", {("w1", "estate_bgp"): {"as": 64513}}, "w1", "estate_bgp"),
    Case(
        "ES007-differs-between-hosts",
        {("w1", "estate_api_endpoint"): "api.example:6443"},
        "w1",
        "estate_api_endpoint",
        {("bastion", "estate_name"): "other"},
    ),
    Case("ES008-looks-misspelt", {("w3", "node_label"): {}}, "w3", "node_label", {("w3", "nodes_total"): 3}),
    Case("ES008-looks-misspelt", {("w3", "taints"): []}, "w3", "taints", {("w3", "rack_unit"): 7}),
    Case("ES008-looks-misspelt", {("vm1", "racks"): "r1"}, "vm1", "racks", {("w3", "racks"): "r1"}),
    Case("ES009-unknown-choice", {("w1", "node_class"): "baremetal"}, "w1", "node_class"),
    Case("ES009-unknown-choice", {(*CLOUD, "provider"): "aliyun"}, "", "estate_cloud.provider"),
    Case(
        "ES009-unknown-choice",
        {("tor1", "switch_bgp_platform"): "ios"},
        "tor1",
        "switch_bgp_platform",
        {("tor1", "switch_bgp_platform"): "nxos"},
    ),
    Case("ES017-not-an-as-number", {("tor1", "switch_bgp_router_as"): "own"}, "tor1", "switch_bgp_router_as"),
    Case("ES010-not-a-network", {(*NETWORKS, "services"): "10.22.0.0"}, "", "estate_networks.services"),
    Case("ES010-not-a-network", {(*NETWORKS, "services"): "10.22.0.0/33"}, "", "estate_networks.services"),
    Case("ES010-not-a-network", {(*NETWORKS, "services"): "fd00::/108"}, "", "estate_networks.services"),
    Case("ES010-not-a-network", {(*NETWORKS, "reserved"): [10]}, "", "estate_networks.reserved[0]"),
    Case("ES010-not-a-network", {(*BGP, "import"): ["10.99.0.0/16", "all"]}, "", "estate_bgp.import[1]"),
    Case("ES011-host-bits-set", {(*RACK1, "subnet"): "10.20.1.1/24"}, "", "estate_racks.r1.subnet"),
    Case("ES012-not-an-address", {("w1", "ansible_host"): "w1.example"}, "w1", "ansible_host"),
    Case("ES012-not-an-address", {("w1", "ansible_host"): "10.20.1.256"}, "w1", "ansible_host"),
    Case("ES012-not-an-address", {("w1", CLUSTER_ID): 1}, "w1", CLUSTER_ID, {("w1", CLUSTER_ID): "244.0.0.1"}),
    Case("ES012-not-an-address", {(*RACK1, "gateway"): "gw"}, "", "estate_racks.r1.gateway"),
    Case("ES013-not-a-version", {VERSION: 1.36}, "", "estate_kubernetes_version"),
    Case("ES013-not-a-version", {VERSION: "v1.36.3"}, "", "estate_kubernetes_version"),
    Case("ES013-not-a-version", {VERSION: "1.36"}, "", "estate_kubernetes_version"),
    Case("ES013-not-a-version", {("w1", CONTAINERD): "2.3.x"}, "w1", CONTAINERD, {("w1", CONTAINERD): "2.3.7"}),
    Case("ES014-not-an-endpoint", {ENDPOINT: "api.example"}, "", "estate_api_endpoint", {ENDPOINT: "api.example:6443"}),
    Case("ES014-not-an-endpoint", {ENDPOINT: "https://api.example:6443"}, "", "estate_api_endpoint"),
    Case("ES014-not-an-endpoint", {ENDPOINT: "api_1.example:6443"}, "", "estate_api_endpoint"),
    Case(
        "ES014-not-an-endpoint", {ENDPOINT: "10.0.0.1:65536"}, "", "estate_api_endpoint", {ENDPOINT: "10.0.0.1:65535"}
    ),
    Case("ES014-not-an-endpoint", {ENDPOINT: "10.0.0.256:6443"}, "", "estate_api_endpoint"),
    Case("ES015-not-a-base-url", {(*MIRROR, "downloads"): "10.98.0.1:8080"}, "", "estate_mirror.downloads"),
    Case("ES015-not-a-base-url", {(*MIRROR, "downloads"): "ftp://m.example"}, "", "estate_mirror.downloads"),
    Case("ES015-not-a-base-url", {(*MIRROR, "downloads"): "http://m.example:x"}, "", "estate_mirror.downloads"),
    Case("ES015-not-a-base-url", {(*MIRROR, "downloads"): "http://m.example/?q"}, "", "estate_mirror.downloads"),
    Case(
        "ES015-not-a-base-url",
        {(*MIRROR, "registry"): "http://m.example/v2"},
        "",
        "estate_mirror.registry",
        {(*MIRROR, "downloads"): "https://m.example/files/"},
    ),
    Case("ES016-not-a-string", {("w1", "node_labels"): {"gpu": True}}, "w1", "node_labels.gpu"),
    Case(
        "ES016-not-a-string",
        {("w1", "node_annotations"): {"a": 1}},
        "w1",
        "node_annotations.a",
        {("w1", "node_annotations"): {"a": "1"}},
    ),
    Case("ES016-not-a-string", {("w1", "node_taints"): [{**GPU, "value": True}]}, "w1", "node_taints[0].value"),
    Case("ES017-not-an-as-number", {(*BGP, "as"): 1.1}, "", "estate_bgp.as", {(*BGP, "as"): "64513"}),
    Case("ES017-not-an-as-number", {(*RACK1, "as"): True}, "", "estate_racks.r1.as"),
    Case("ES018-not-a-taint", {("w1", "node_taints"): ["a=b:NoSchedule"]}, "w1", "node_taints[0]"),
    # Names and groups.
    Case(
        "ES101-host-name",
        {("w_4", "ansible_host"): "10.20.2.24", ("w_4", "rack"): "r2", ("groups", "workers"): ["w_4"]},
        "w_4",
        "inventory_hostname",
        {("w4.example", "ansible_host"): "10.20.2.24", ("groups", "workers"): ["w4.example"]},
    ),
    Case("ES102-estate-name", {("estate", "estate_name"): "Lab_1"}, "", "estate_name"),
    Case("ES103-rack-name", {("estate", "estate_racks", "r 3"): {"subnet": "10.20.3.0/24"}}, "", "estate_racks.r 3"),
    Case("ES104-no-control-plane", {("groups", "control_plane"): []}, "", "groups.control_plane"),
    Case(
        "ES105-no-worker",
        {("groups", "workers"): [], ("groups", "kubernetes"): ["cp1", "cp2", "cp3"]},
        "",
        "groups.workers",
    ),
    Case(
        "ES106-group-looks-misspelt",
        {("groups", "route_reflectors"): GONE, ("groups", "route_reflector"): ["w1", "w2"]},
        "",
        "groups.route_reflector",
        {("groups", "worker"): ["w1"]},
    ),
    Case(
        "ES106-group-looks-misspelt",
        {("groups", "kube_control_plane"): ["cp1"], ("groups", "control_plane"): GONE},
        "",
        "groups.kube_control_plane",
    ),
    Case("ES107-not-in-kubernetes", {("groups", "kubernetes"): GONE}, "", "groups.kubernetes"),
    Case(
        "ES107-not-in-kubernetes",
        {("groups", "kubernetes"): ["cp1", "cp2", "cp3", "w1", "w2", "vm1"]},
        "w3",
        "groups.kubernetes",
    ),
    Case("ES108-node-without-role", {("groups", "workers"): ["w1", "w2", "vm1"]}, "w3", "groups.kubernetes"),
    Case("ES109-two-roles", {("groups", "workers"): ["cp1", "w1", "w2", "w3", "vm1"]}, "cp1", "groups.workers"),
    Case("ES110-switch-and-node", {("groups", "switches"): ["tor1", "tor2", "w3"]}, "w3", "groups.switches"),
    Case("ES111-two-classes", {("groups", "cloud_vms"): ["vm1", "w3"]}, "w3", "groups.cloud_vms"),
    Case(
        "ES112-class-contradicts-group",
        {("w3", "node_class"): "cloud_vm"},
        "w3",
        "node_class",
        {("w3", "node_class"): "bare_metal"},
    ),
    Case(
        "ES113-node-without-class",
        {("groups", "bare_metal"): ["cp1", "cp2", "cp3", "w1", "w2"]},
        "w3",
        "groups.bare_metal",
        {("groups", "bare_metal"): [], ("groups", "cloud_vms"): [], ("estate", "estate_cloud"): GONE},
    ),
    Case(
        "ES114-reflector-is-no-node",
        {("groups", "route_reflectors"): ["w1", "w2", "tor1"]},
        "tor1",
        "groups.route_reflectors",
    ),
    Case("ES115-gpu-is-no-node", {("groups", "gpu"): ["tor1"]}, "tor1", "groups.gpu"),
    Case("ES116-ungrouped-host", {("groups", "ungrouped"): ["bastion"]}, "bastion", "groups.ungrouped"),
    Case(
        "ES117-same-short-name",
        {("w3.b", "ansible_host"): "10.20.2.24", ("w3.b", "rack"): "r2", ("groups", "workers"): ["w3", "w3.b"]},
        "w3.b",
        "inventory_hostname",
        {("w3.b", "ansible_host"): "10.20.2.24", ("groups", "jump_hosts"): ["w3.b"]},
    ),
    # Hosts and racks.
    Case("ES201-host-without-rack", {("w3", "rack"): GONE}, "w3", "rack", {("vm1", "node_labels"): {}}),
    Case("ES202-unknown-rack", {("w3", "rack"): "r22"}, "w3", "rack"),
    Case("ES203-duplicate-address", {("w3", "ansible_host"): "10.20.2.21"}, "w3", "ansible_host"),
    Case("ES203-duplicate-address", {("w1", "ansible_host"): "10.20.1.1"}, "w1", "ansible_host"),
    Case("ES204-host-outside-rack", {("w3", "ansible_host"): "10.20.1.22"}, "w3", "ansible_host"),
    Case("ES205-not-a-host-address", {("w3", "ansible_host"): "10.20.2.255"}, "w3", "ansible_host"),
    Case(
        "ES205-not-a-host-address",
        {("w3", "ansible_host"): "10.20.2.0"},
        "w3",
        "ansible_host",
        {("w3", "ansible_host"): "10.20.2.254"},
    ),
    Case("ES206-address-in-cluster-range", {("vm1", "ansible_host"): "10.21.0.9"}, "vm1", "ansible_host"),
    Case(
        "ES206-address-in-cluster-range",
        {("tor1", "ansible_host"): "10.22.0.9"},
        "tor1",
        "ansible_host",
        {("tor1", "ansible_host"): "10.23.0.9"},
    ),
    Case(
        "ES207-gateway-outside-rack",
        {(*RACK1, "gateway"): "10.20.2.1"},
        "",
        "estate_racks.r1.gateway",
        {(*RACK1, "gateway"): "10.20.1.254"},
    ),
    Case(
        "ES208-gateway-is-a-node",
        {(*RACK1, "gateway"): "10.20.1.21"},
        "w1",
        "ansible_host",
        {(*RACK1, "gateway"): "10.20.1.1"},
    ),
    Case("ES209-switch-outside-rack", {("tor1", "ansible_host"): "10.20.2.9"}, "tor1", "ansible_host"),
    Case("ES210-switch-in-other-rack", {("tor1", "rack"): "r2"}, "tor1", "rack", {("tor1", "rack"): "r1"}),
    # The address plan.
    Case("ES301-ranges-overlap", {(*NETWORKS, "services"): "10.21.128.0/17"}, "", "estate_networks.services"),
    Case(
        "ES301-ranges-overlap",
        {(*NETWORKS, "services"): "10.21.0.0/16"},
        "",
        "estate_networks.services",
        {(*NETWORKS, "services"): "10.23.0.0/16"},
    ),
    Case("ES301-ranges-overlap", {(*RACK2, "subnet"): "10.20.1.128/25"}, "", "estate_racks.r2.subnet"),
    Case("ES301-ranges-overlap", {(*RACK2, "subnet"): "10.16.0.0/12"}, "", "estate_racks.r1.subnet"),
    Case("ES301-ranges-overlap", {(*NETWORKS, "reserved"): ["10.0.0.0/8"]}, "", "estate_networks.services"),
    Case(
        "ES301-ranges-overlap",
        {(*NETWORKS, "reserved"): ["10.21.5.0/24"]},
        "",
        "estate_networks.reserved[0]",
        {(*NETWORKS, "reserved"): ["192.168.0.0/16", "192.168.1.0/24"]},
    ),
    Case("ES301-ranges-overlap", {(*CLOUD, "cidr"): "10.20.0.0/15"}, "", "estate_networks.pods.bare_metal"),
    Case(
        "ES301-ranges-overlap",
        {(*CLOUD, "pod_vswitches", ZONE, "cidr"): "172.20.16.128/25"},
        "",
        "estate_cloud.pod_vswitches.cn-shenzhen-d.cidr",
    ),
    Case("ES302-special-range", {(*NETWORKS, "services"): "169.254.0.0/16"}, "", "estate_networks.services"),
    Case("ES302-special-range", {(*NETWORKS, "services"): "100.100.0.0/16"}, "", "estate_networks.services"),
    Case("ES302-special-range", {(*NETWORKS, "services"): "127.1.0.0/16"}, "", "estate_networks.services"),
    Case(
        "ES302-special-range",
        {(*NETWORKS, "pods", "bare_metal"): "239.0.0.0/16"},
        "",
        "estate_networks.pods.bare_metal",
        {(*NETWORKS, "services"): "100.128.0.0/16"},
    ),
    Case(
        "ES303-public-range",
        {(*NETWORKS, "services"): "11.0.0.0/16"},
        "",
        "estate_networks.services",
        {(*NETWORKS, "services"): "172.31.0.0/16"},
    ),
    Case(
        "ES304-pool-too-small",
        {(*NETWORKS, "pods", "bare_metal"): "10.21.0.0/23"},
        "",
        "estate_networks.pods.bare_metal",
        {(*NETWORKS, "pods", "bare_metal"): "10.21.0.0/22"},
    ),
    Case(
        "ES304-pool-too-small",
        {(*NETWORKS, "pods", "bare_metal"): "10.21.0.0/27"},
        "",
        "estate_networks.pods.bare_metal",
    ),
    Case(
        "ES304-pool-too-small",
        {**EIGHT_NODES, (*NETWORKS, "pods", "bare_metal"): "10.21.0.0/23"},
        "",
        "estate_networks.pods.bare_metal",
        {**EIGHT_NODES, (*NETWORKS, "pods", "bare_metal"): "10.21.0.0/22"},
    ),
    Case("ES305-no-pool", {(*NETWORKS, "pods"): {}}, "", "estate_networks.pods.bare_metal"),
    Case(
        "ES306-services-too-small",
        {(*NETWORKS, "services"): "10.22.0.0/29"},
        "",
        "estate_networks.services",
        {(*NETWORKS, "services"): "10.22.0.0/28"},
    ),
    Case(
        "ES307-services-narrow",
        {(*NETWORKS, "services"): "10.22.0.0/25"},
        "",
        "estate_networks.services",
        {(*NETWORKS, "services"): "10.22.0.0/24"},
    ),
    Case(
        "ES308-services-too-large",
        {(*NETWORKS, "services"): "10.32.0.0/11"},
        "",
        "estate_networks.services",
        {(*NETWORKS, "services"): "10.32.0.0/12"},
    ),
    # BGP.
    Case("ES401-as-out-of-range", {(*BGP, "as"): 4294967296}, "", "estate_bgp.as"),
    Case("ES401-as-out-of-range", {(*RACK1, "as"): -1}, "", "estate_racks.r1.as", {(*RACK1, "as"): 4294967294}),
    Case("ES402-as-reserved", {(*BGP, "as"): 23456}, "", "estate_bgp.as"),
    Case("ES402-as-reserved", {(*BGP, "as"): 0}, "", "estate_bgp.as"),
    Case("ES402-as-reserved", {(*RACK1, "as"): 65535}, "", "estate_racks.r1.as", {(*RACK1, "as"): 65534}),
    Case("ES402-as-reserved", {(*RACK1, "as"): 4294967295}, "", "estate_racks.r1.as"),
    Case("ES403-as-clash", {(*RACK2, "as"): 64512}, "", "estate_racks.r2.as"),
    Case("ES404-as-not-private", {(*BGP, "as"): 3320}, "", "estate_bgp.as", {(*BGP, "as"): 4200000000}),
    Case("ES404-as-not-private", {(*RACK1, "as"): 4199999999}, "", "estate_racks.r1.as", {(*RACK1, "as"): 65534}),
    Case("ES404-as-not-private", {(*RACK1, "as"): 65551}, "", "estate_racks.r1.as", {(*RACK1, "as"): 4294967294}),
    Case("ES404-as-not-private", {(*BGP, "as"): 64500}, "", "estate_bgp.as", {(*BGP, "as"): 0}),
    Case("ES405-as-shared-by-racks", {(*RACK2, "as"): 64901}, "", "estate_racks.r2.as"),
    Case(
        "ES405-as-shared-by-racks",
        {("tor2", "bgp_as"): 64901},
        "tor2",
        "bgp_as",
        {**TWO_SWITCHES, ("tor1", "bgp_as"): 64911, ("tor1b", "bgp_as"): 64912, (*RACK2, "as"): 64901},
    ),
    Case("ES401-as-out-of-range", {("tor1", "bgp_as"): 4294967296}, "tor1", "bgp_as"),
    Case("ES402-as-reserved", {("tor1", "bgp_as"): 23456}, "tor1", "bgp_as"),
    Case("ES403-as-clash", {("tor1", "bgp_as"): 64512}, "tor1", "bgp_as", {("tor1", "bgp_as"): 64999}),
    Case("ES404-as-not-private", {("tor1", "bgp_as"): 3320}, "tor1", "bgp_as"),
    Case("ES406-as-without-switch", {("w1", "bgp_as"): 64999}, "w1", "bgp_as", {("tor1", "bgp_as"): 64999}),
    Case(
        "ES006-missing-key",
        {(*RACK1, "as"): GONE},
        "",
        "estate_racks.r1.as",
        {(*RACK1, "as"): GONE, ("tor1", "bgp_as"): 64901},
    ),
    Case(
        "ES411-rack-without-reflector",
        {("groups", "route_reflectors"): ["w1"]},
        "",
        "estate_racks.r2",
        {("estate", "estate_racks", "r3"): {"subnet": "10.20.3.0/24", "switches": ["tor3"], "as": 64903}},
    ),
    Case(
        "ES412-rack-without-switch",
        {(*RACK2, "switches"): []},
        "",
        "estate_racks.r2.switches",
        {("estate", "estate_racks", "r3"): {"subnet": "10.20.3.0/24"}},
    ),
    Case(
        "ES412-rack-without-switch",
        {(*RACK1, "switches"): [], (*RACK2, "switches"): [], ("groups", "switches"): []},
        "",
        "estate_racks.r1.switches",
        {(*RACK1, "switches"): [], (*RACK2, "switches"): [], ("groups", "switches"): [], (*BGP, "import"): []},
    ),
    Case("ES413-unknown-switch", {(*RACK2, "switches"): ["tor22"]}, "", "estate_racks.r2.switches[0]"),
    Case("ES413-unknown-switch", {("groups", "switches"): ["tor1"]}, "tor2", "estate_racks.r2.switches[0]"),
    Case("ES414-switch-in-two-racks", {(*RACK2, "switches"): ["tor2", "tor1"]}, "tor1", "estate_racks.r2.switches[1]"),
    Case("ES415-switch-without-rack", {(*RACK2, "switches"): []}, "tor2", "estate_racks"),
    Case("ES416-bgp-missing", {("estate", "estate_bgp"): GONE}, "", "estate_bgp"),
    Case("ES417-single-reflector", {("groups", "route_reflectors"): ["w1"]}, "w1", "groups.route_reflectors"),
    Case(
        "ES418-reflector-in-cloud",
        {("groups", "route_reflectors"): ["w1", "w2", "vm1"]},
        "vm1",
        "groups.route_reflectors",
    ),
    Case("ES019-not-a-number", {(*BGP, "reflectors_per_rack"): 17}, "", "estate_bgp.reflectors_per_rack"),
    Case("ES019-not-a-number", {(*BGP, "reflectors_per_rack"): "two"}, "", "estate_bgp.reflectors_per_rack"),
    Case(
        "ES419-rack-short-of-reflectors",
        {(*BGP, "reflectors_per_rack"): 4, ("groups", "route_reflectors"): []},
        "",
        "estate_bgp.reflectors_per_rack",
        {(*BGP, "reflectors_per_rack"): 4},
    ),
    Case(
        "ES411-rack-without-reflector",
        {("groups", "route_reflectors"): []},
        "",
        "estate_racks.r1",
        {("groups", "route_reflectors"): [], (*BGP, "reflectors_per_rack"): 1},
    ),
    Case(
        "ES433-cluster-id-without-reflector",
        {("cp1", CLUSTER_ID): "244.0.0.9", ("groups", "route_reflectors"): [], (*BGP, "reflectors_per_rack"): 1},
        "cp1",
        CLUSTER_ID,
        {("w1", CLUSTER_ID): "244.0.0.9", ("groups", "route_reflectors"): [], (*BGP, "reflectors_per_rack"): 1},
    ),
    Case("ES421-import-holds-nodes", {(*BGP, "import"): ["10.20.0.0/16"]}, "", "estate_bgp.import[0]"),
    Case("ES421-import-holds-nodes", {(*BGP, "import"): ["10.20.2.128/25"]}, "", "estate_bgp.import[0]"),
    Case(
        "ES421-import-holds-nodes",
        {(*BGP, "import"): ["10.99.0.0/16", "172.20.0.0/16"]},
        "",
        "estate_bgp.import[1]",
        {(*BGP, "import"): ["10.20.3.0/24"]},
    ),
    Case("ES422-import-default-route", {(*BGP, "import"): ["0.0.0.0/0"]}, "", "estate_bgp.import[0]"),
    Case("ES423-import-holds-cluster-range", {(*BGP, "import"): ["10.22.1.0/24"]}, "", "estate_bgp.import[0]"),
    Case("ES424-import-special-range", {(*BGP, "import"): ["100.100.0.0/16"]}, "", "estate_bgp.import[0]"),
    Case(
        "ES431-cluster-id-in-two-racks",
        {("w1", CLUSTER_ID): "244.0.0.2"},
        "w1",
        CLUSTER_ID,
        {
            ("w2", CLUSTER_ID): "244.0.0.9",
            ("w3", CLUSTER_ID): "244.0.0.9",
            ("groups", "route_reflectors"): ["w1", "w2", "w3"],
        },
    ),
    Case("ES432-cluster-id-zero", {("w1", CLUSTER_ID): "0.0.0.0"}, "w1", CLUSTER_ID),
    Case("ES432-cluster-id-zero", {(*RACK1, "cluster_id"): "0.0.0.0"}, "", "estate_racks.r1.cluster_id"),
    Case(
        "ES431-cluster-id-in-two-racks",
        {(*RACK2, "cluster_id"): "244.0.0.1"},
        "",
        "estate_racks.r2.cluster_id",
        {(*RACK1, "cluster_id"): "244.0.0.2", (*RACK2, "cluster_id"): "244.0.0.1"},
    ),
    Case("ES012-not-an-address", {(*RACK1, "cluster_id"): 1}, "", "estate_racks.r1.cluster_id"),
    # Sessions.
    Case("ES003-wrong-type", {(*BGP, "timers"): 10}, "", "estate_bgp.timers"),
    Case("ES005-unknown-key", {(*BGP, "timers"): {"holdtime": 30}}, "", "estate_bgp.timers.holdtime"),
    Case("ES019-not-a-number", {(*BGP, "timers"): {"hold": "30"}}, "", "estate_bgp.timers.hold"),
    Case("ES019-not-a-number", {(*BGP, "timers"): {"keepalive": 0}}, "", "estate_bgp.timers.keepalive"),
    Case("ES019-not-a-number", {(*BGP, "timers"): {"connect": 65536}}, "", "estate_bgp.timers.connect"),
    Case("ES019-not-a-number", {(*BGP, "max_prefix"): True}, "", "estate_bgp.max_prefix", {(*BGP, "max_prefix"): 2000}),
    Case(
        "ES441-hold-too-short",
        {(*BGP, "timers"): {"hold": 29}},
        "",
        "estate_bgp.timers",
        {(*BGP, "timers"): {"hold": 9, "keepalive": 3}},
    ),
    Case("ES441-hold-too-short", {(*BGP, "timers"): {"keepalive": 11}}, "", "estate_bgp.timers"),
    Case(
        "ES442-max-prefix-too-low",
        {(*BGP, "max_prefix"): 11},
        "",
        "estate_bgp.max_prefix",
        {(*BGP, "max_prefix"): 12},
    ),
    Case("ES003-wrong-type", {(*BGP, "services"): True}, "", "estate_bgp.services"),
    Case("ES003-wrong-type", {(*BGP, "services"): {"cluster_ips": "yes"}}, "", "estate_bgp.services.cluster_ips"),
    Case(
        "ES005-unknown-key", {(*BGP, "services"): {"loadbalancer_ips": []}}, "", "estate_bgp.services.loadbalancer_ips"
    ),
    Case(
        "ES010-not-a-network",
        {(*BGP, "services"): {"external_ips": ["192.0.2.1"]}},
        "",
        "estate_bgp.services.external_ips[0]",
    ),
    Case(
        "ES301-ranges-overlap",
        {(*BGP, "services"): {"external_ips": ["192.0.2.0/24"], "load_balancer_ips": ["192.0.2.128/25"]}},
        "",
        "estate_bgp.services.load_balancer_ips[0]",
        {(*BGP, "services"): {"cluster_ips": True, "external_ips": ["192.0.2.0/24"]}},
    ),
    Case(
        "ES301-ranges-overlap",
        {(*BGP, "services"): {"load_balancer_ips": ["10.20.1.128/25"]}},
        "",
        "estate_bgp.services.load_balancer_ips[0]",
    ),
    Case(
        "ES423-import-holds-cluster-range",
        {(*BGP, "services"): {"external_ips": ["10.99.7.0/24"]}},
        "",
        "estate_bgp.import[0]",
    ),
    Case(
        "ES303-public-range",
        {(*BGP, "services"): {"external_ips": ["192.0.2.0/24"]}, (*NETWORKS, "services"): "11.0.0.0/16"},
        "",
        "estate_networks.services",
        {(*BGP, "services"): {"external_ips": ["192.0.2.0/24"]}},
    ),
    Case("ES003-wrong-type", {(*BGP, "password"): 12345}, "", "estate_bgp.password", {(*BGP, "password"): "12345"}),
    Case("ES003-wrong-type", {(*RACK1, "password"): ""}, "", "estate_racks.r1.password"),
    Case(
        "ES443-password-unusable",
        {(*BGP, "password"): "x" * 81},
        "",
        "estate_bgp.password",
        {(*BGP, "password"): "x" * 80, (*RACK1, "password"): "!#$%&'()*+,-./0:;<=>@A[]^_`a{|}~"},
    ),
    *(
        Case("ES443-password-unusable", {(*RACK1, "password"): f"pass{sign}word"}, "", "estate_racks.r1.password")
        for sign in (" ", '"', "\\", "?", "\n", "\t", "\u00e9", "\x7f")
    ),
    Case(
        "ES444-password-without-switch",
        {("estate", "estate_racks", "r3"): {"subnet": "10.20.3.0/24", "password": "s3cret"}},
        "",
        "estate_racks.r3.password",
        {(*RACK1, "password"): "s3cret"},
    ),
    Case(
        "ES445-local-as-on-nxos",
        {("tor1", "switch_bgp_platform"): "nxos", ("tor1", "switch_bgp_router_as"): 65000},
        "tor1",
        "switch_bgp_router_as",
        {
            ("tor1", "switch_bgp_platform"): "nxos",
            ("tor1", "switch_bgp_router_as"): 64901,
            ("tor2", "switch_bgp_router_as"): 65000,
        },
    ),
    Case(
        "ES445-local-as-on-nxos",
        {("tor2", "switch_bgp_platform"): "nxos", ("tor2", "switch_bgp_router_as"): 65000},
        "tor2",
        "switch_bgp_router_as",
        {("tor2", "switch_bgp_platform"): "nxos"},
    ),
    Case(
        "ES433-cluster-id-without-reflector",
        {("w3", CLUSTER_ID): "244.0.0.9"},
        "w3",
        CLUSTER_ID,
        {("w1", CLUSTER_ID): "244.0.0.9"},
    ),
    # Kubernetes.
    Case("ES501-kubernetes-too-old", {VERSION: "1.30.9"}, "", "estate_kubernetes_version", {VERSION: "1.31.0"}),
    Case("ES502-kubernetes-untested", {VERSION: "1.38.0"}, "", "estate_kubernetes_version", {VERSION: "1.37.9"}),
    Case(
        "ES503-even-control-planes",
        {("groups", "control_plane"): ["cp1", "cp2"]},
        "",
        "groups.control_plane",
        {("groups", "control_plane"): ["cp1"]},
    ),
    Case(
        "ES504-many-control-planes",
        {("groups", "control_plane"): ["cp1", "cp2", "cp3", "w1", "w2", "w3", "vm1", "tor1", "tor2"]},
        "",
        "groups.control_plane",
        {("groups", "control_plane"): ["cp1", "cp2", "cp3", "w1", "w2", "w3", "vm1"]},
    ),
    Case(
        "ES505-control-planes-in-one-rack",
        {("cp3", "rack"): "r1", ("cp3", "ansible_host"): "10.20.1.13"},
        "",
        "groups.control_plane",
        {("groups", "control_plane"): ["cp1"]},
    ),
    Case("ES511-kubelet-newer", {("w1", KUBELET): "1.36.4"}, "w1", KUBELET, {("w1", KUBELET): "1.36.3"}),
    Case("ES512-kubelet-too-old", {("w1", KUBELET): "1.32.9"}, "w1", KUBELET, {("w1", KUBELET): "1.33.0"}),
    Case("ES513-containerd-does-not-fit", {("w1", CONTAINERD): "1.7.30"}, "w1", CONTAINERD),
    Case(
        "ES513-containerd-does-not-fit", {("w1", CONTAINERD): "2.1.9"}, "w1", CONTAINERD, {("w1", CONTAINERD): "2.2.0"}
    ),
    Case(
        "ES513-containerd-does-not-fit",
        {VERSION: "1.35.4", ("w1", CONTAINERD): "2.1.4"},
        "w1",
        CONTAINERD,
        {VERSION: "1.35.4", ("w1", CONTAINERD): "2.1.5", ("w2", CONTAINERD): "2.4.0"},
    ),
    Case(
        "ES513-containerd-does-not-fit",
        {VERSION: "1.37.0", ("w1", CONTAINERD): "2.1.9"},
        "w1",
        CONTAINERD,
        {VERSION: "1.33.1", ("w1", CONTAINERD): "1.7.1"},
    ),
    Case(
        "ES513-containerd-does-not-fit",
        {VERSION: "1.34.0", ("w1", CONTAINERD): "2.1.2"},
        "w1",
        CONTAINERD,
        {VERSION: "1.34.0", ("w1", CONTAINERD): "2.1.3"},
    ),
    Case("ES515-runc-limits-kernel-memory", {("w1", RUNC): "0.1.1"}, "w1", RUNC, {("w1", RUNC): "1.0.0"}),
    # Admission policies.
    Case(
        "ES023-not-a-policy", {("cp1", LXCFS): {"mode": "on"}}, "", f"{LXCFS}.mode", {("cp1", LXCFS): {"mode": False}}
    ),
    Case("ES023-not-a-policy", {("cp1", LXCFS): "audit"}, "", LXCFS),
    # Mirror, endpoint, secrets.
    Case(
        "ES601-mirror-in-cluster-range",
        {(*MIRROR, "downloads"): "http://10.21.7.7"},
        "",
        "estate_mirror.downloads",
        {(*MIRROR, "downloads"): "http://mirror.example"},
    ),
    Case("ES602-credentials-in-url", {(*MIRROR, "registry"): "https://u:p@m.example"}, "", "estate_mirror.registry"),
    Case("ES603-half-a-mirror", {(*MIRROR, "registry"): GONE}, "", "estate_mirror.registry", {MIRROR: GONE}),
    Case("ES604-mirror-is-loopback", {(*MIRROR, "registry"): "http://127.0.0.1:5000"}, "", "estate_mirror.registry"),
    Case("ES604-mirror-is-loopback", {(*MIRROR, "registry"): "http://localhost:5000"}, "", "estate_mirror.registry"),
    Case("ES611-endpoint-is-loopback", {ENDPOINT: "127.0.0.1:6443"}, "", "estate_api_endpoint"),
    Case(
        "ES612-endpoint-in-cluster-range",
        {ENDPOINT: "10.22.0.1:6443"},
        "",
        "estate_api_endpoint",
        {ENDPOINT: "10.23.0.1:6443"},
    ),
    Case("ES613-endpoint-is-no-control-plane", {ENDPOINT: "10.20.1.21:6443"}, "w1", "estate_api_endpoint"),
    Case(
        "ES614-endpoint-is-one-of-many",
        {ENDPOINT: "10.20.1.11:6443"},
        "cp1",
        "estate_api_endpoint",
        {ENDPOINT: "10.20.1.11:6443", ("groups", "control_plane"): ["cp1"]},
    ),
    Case("ES621-secret-in-clear", {("secrets",): ("w1", "bgp_password")}, "w1", "bgp_password"),
    Case("ES622-become-on-the-controller", {("controller", "becomes"): True}, "", "ansible_become"),
    # Labels, annotations, taints.
    Case("ES701-label-malformed", {("w1", "node_labels"): {"a b": "c"}}, "w1", "node_labels.a b"),
    Case("ES701-label-malformed", {("w1", "node_labels"): {"/a": "c"}}, "w1", "node_labels./a"),
    Case("ES701-label-malformed", {("w1", "node_labels"): {"A.example/a": "c"}}, "w1", "node_labels.A.example/a"),
    Case(
        "ES701-label-malformed",
        {("w1", "node_labels"): {"a": "x" * 64}},
        "w1",
        "node_labels.a",
        {("w1", "node_labels"): {"example.com/A_b.c": "x" * 63, "empty": ""}},
    ),
    Case(
        "ES702-label-owned-by-kubelet",
        {("w1", "node_labels"): {"kubernetes.io/os": "linux"}},
        "w1",
        "node_labels.kubernetes.io/os",
    ),
    Case(
        "ES703-label-is-ours",
        {("w1", "node_labels"): {"estate.hybridk8s.io/rack": "r2"}},
        "w1",
        "node_labels.estate.hybridk8s.io/rack",
        {("w1", "node_labels"): {"topology.kubernetes.io/zone": "r2"}},
    ),
    Case(
        "ES703-label-is-ours",
        {("w1", "node_annotations"): {"estate.hybridk8s.io/owned": "{}"}},
        "w1",
        "node_annotations.estate.hybridk8s.io/owned",
    ),
    Case(
        "ES704-label-kubelet-may-not-set",
        {("w1", "node_labels"): {"node-role.kubernetes.io/worker": ""}},
        "w1",
        "node_labels.node-role.kubernetes.io/worker",
        {
            ("w1", "node_labels"): {
                "node-restriction.kubernetes.io/a": "b",
                "node.kubernetes.io/instance-type": "x",
                "kubelet.kubernetes.io/a": "b",
                "notkubernetes.io/a": "b",
            }
        },
    ),
    Case(
        "ES704-label-kubelet-may-not-set", {("w1", "node_labels"): {"x.k8s.io/a": ""}}, "w1", "node_labels.x.k8s.io/a"
    ),
    Case("ES711-annotation-malformed", {("w1", "node_annotations"): {"a//b": "c"}}, "w1", "node_annotations.a//b"),
    Case(
        "ES711-annotation-malformed",
        {("w1", "node_annotations"): {"a": "x" * 262144}},
        "w1",
        "node_annotations",
        {("w1", "node_annotations"): {"a": "x" * 262143}},
    ),
    Case(
        "ES712-annotation-of-calico",
        {("w1", "node_annotations"): {"projectcalico.org/ASNumber": "64512"}},
        "w1",
        "node_annotations.projectcalico.org/ASNumber",
    ),
    Case("ES721-taint-malformed", {("w1", "node_taints"): [{**GPU, "value": "a b"}]}, "w1", "node_taints[0]"),
    Case("ES721-taint-malformed", {("w1", "node_taints"): [GPU, {**GPU, "key": "-"}]}, "w1", "node_taints[1]"),
    Case(
        "ES722-taint-effect",
        {("w1", "node_taints"): [{**GPU, "effect": "NoSchedul"}]},
        "w1",
        "node_taints[0].effect",
        {("w1", "node_taints"): [{**GPU, "effect": "NoExecute"}]},
    ),
    Case(
        "ES723-taint-twice",
        {("w1", "node_taints"): [GPU, {**GPU, "value": "b"}]},
        "w1",
        "node_taints[1]",
        {("w1", "node_taints"): [GPU, {**GPU, "effect": "NoExecute"}]},
    ),
    Case(
        "ES724-taint-of-the-node-controller",
        {("w1", "node_taints"): [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]},
        "w1",
        "node_taints[0]",
        {("w1", "node_taints"): [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]},
    ),
    Case(
        "ES703-label-is-ours",
        {("w1", "node_labels"): {"io-class": "nvme"}, ("w1", "node_io_class"): "ssd"},
        "w1",
        "node_labels.io-class",
        {("w1", "node_labels"): {"io-class": "nvme"}},
    ),
    Case(
        "ES723-taint-twice",
        {("w1", "node_dedicated"): "db", ("w1", "node_taints"): [DEDICATED]},
        "w1",
        "node_dedicated",
        {("w1", "node_dedicated"): "db", ("w1", "node_taints"): [{**DEDICATED, "effect": "NoExecute"}]},
    ),
    Case("ES731-trait-malformed", {("w1", "node_cpu_model"): "Xeon 6430"}, "w1", "node_cpu_model"),
    Case(
        "ES732-pool-mixes-cpu-models",
        {**POOL, ("w1", "node_cpu_model"): "Xeon-6430", ("w2", "node_cpu_model"): "EPYC-9654"},
        "",
        "node_cpu_model",
        {**POOL, ("w1", "node_cpu_model"): "Xeon-6430", ("w2", "node_cpu_model"): "Xeon-6430"},
    ),
    Case("ES732-pool-mixes-cpu-models", {**POOL, ("w1", "node_cpu_model"): "Xeon-6430"}, "", "node_cpu_model", POOL),
    Case("ES733-pool-mixes-node-classes", {**POOL, ("vm1", "node_pool"): "general"}, "", "node_pool", POOL),
    Case(
        "ES734-dedicated-by-half",
        {("w1", "node_labels"): {"dedicated": "db"}},
        "w1",
        "node_dedicated",
        {("w1", "node_labels"): {"dedicated": "db"}, ("w1", "node_taints"): [DEDICATED]},
    ),
    Case(
        "ES734-dedicated-by-half",
        {("w1", "node_taints"): [DEDICATED]},
        "w1",
        "node_dedicated",
        {("w1", "node_taints"): [{**DEDICATED, "effect": "PreferNoSchedule"}], ("w2", "node_dedicated"): "db"},
    ),
    Case(
        "ES735-gpu-model-without-gpu",
        {("w1", "node_gpu_model"): "h200"},
        "w1",
        "node_gpu_model",
        {("w3", "node_gpu_model"): "h200"},
    ),
    *CLOUD_CASES,
    *PROFILE_CASES,
]
UNREADABLE = "ES001-unreadable-variable"


def test_the_good_estate_gives_no_finding() -> None:
    assert judge({}) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}:{case.variable}")
def test_the_mistake_is_found_where_it_is(case: Case) -> None:
    found = [(finding.code, finding.host, finding.variable) for finding in judge(case.bad)]
    assert (case.code, case.host, case.variable) in found


@pytest.mark.parametrize("case", [case for case in CASES if case.fine], ids=lambda case: f"{case.code}:{case.variable}")
def test_what_is_fine_is_not_called_a_mistake(case: Case) -> None:
    assert case.code not in [finding.code for finding in judge(case.fine)]


def test_every_code_has_a_case() -> None:
    assert {case.code for case in CASES} == {*rules.RULES, *READING_CODES} - {UNREADABLE}


def test_there_are_at_least_45_rules() -> None:
    assert len(rules.RULES) + len(READING_CODES) >= 45


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}:{case.variable}")
def test_a_finding_says_what_and_how_in_sentences(case: Case) -> None:
    for finding in judge(case.bad):
        assert finding.severity in ("error", "warning")
        assert finding.message.endswith((".", "?"))
        assert finding.remedy.endswith((".", "?", "}"))


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=lambda rule: rule.code)
def test_a_rule_has_a_reason_and_a_source(rule: rules.Rule) -> None:
    assert rule.why
    assert rule.source


def test_what_cannot_be_computed_is_named_and_not_called_missing() -> None:
    raw = edited({("w1", "ansible_host"): None})
    hosts = {name: {**raw.estate, **variables} for name, variables in raw.hosts.items()}
    findings = parse(hosts, raw.groups, [Unreadable("w1", "ansible_host", "'x' is undefined")]).findings
    assert [(finding.code, finding.host, finding.variable) for finding in findings] == [
        (UNREADABLE, "w1", "ansible_host")
    ]
    assert "'x' is undefined" in findings[0].message


def test_an_estate_variable_that_cannot_be_computed_is_not_called_missing() -> None:
    raw = edited({("estate", "estate_name"): None})
    hosts = {name: {**raw.estate, **variables} for name, variables in raw.hosts.items()}
    findings = parse(hosts, raw.groups, [Unreadable("cp1", "estate_name", "'x' is undefined")]).findings
    assert [finding.code for finding in findings] == [UNREADABLE]


@pytest.mark.parametrize(
    ("edits", "variable", "guess"),
    [
        ({("estate", "estate_kubernets_version"): "1"}, "estate_kubernets_version", "estate_kubernetes_version"),
        ({(*NETWORKS, "reservd"): []}, "estate_networks.reservd", "reserved"),
        ({("w3", "rack"): "r22"}, "rack", "r2"),
        ({("w3", "node_lables"): {}}, "node_lables", "node_labels"),
        ({("w3", "node_class"): "baremetal"}, "node_class", "bare_metal"),
        ({(*RACK2, "switches"): ["tor22"]}, "estate_racks.r2.switches[0]", "tor2"),
    ],
)
def test_a_misspelling_is_answered_with_the_right_name(edits: Edits, variable: str, guess: str) -> None:
    remedies = [finding.remedy for finding in judge(edits) if finding.variable == variable]
    assert any(f"'{guess}'?" in remedy for remedy in remedies), remedies


def test_the_taints_of_kubespray_are_translated() -> None:
    (finding,) = judge({("w1", "node_taints"): ["dedicated=db:NoExecute"]})
    assert finding.remedy == 'Write {key: dedicated, value: "db", effect: NoExecute}.'


@pytest.mark.parametrize(
    "edits",
    [
        {(*MIRROR, "registry"): "http://me:hunter2@10.21.0.1"},
        {(*MIRROR, "registry"): "http://me:hunter2@127.0.0.1"},
        {(*MIRROR, "registry"): "http://me:hunter2@10.98.0.1/path"},
        {MIRROR: "http://me:hunter2@10.98.0.1/path"},
        {("w1", "estate_bgp"): {"as": 64512, "password": "hunter2"}},
        {BGP: {"as": 64512, "passwort": "hunter2"}},
        {BGP: {"as": 64512, "password": "hunter2 hunter2"}},
        {(*BGP, "password"): ["hunter2"]},
        {(*RACK1, "password"): 10 * "hunter2-hunter2"},
        {(*RACK1, "password"): {"hunter1": "hunter2"}},
    ],
)
def test_no_finding_repeats_a_secret(edits: Edits) -> None:
    findings = judge(edits)
    assert findings
    assert not [finding for finding in findings if "hunter2" in str(finding)]


@pytest.mark.parametrize(
    "junk", ["\u00b2", None, 0, 1.5, True, "", "x", [], [None], [[]], {}, {"": None}, {1: {2: 3}}, object()]
)
@pytest.mark.parametrize(
    "path",
    [
        ("estate", "estate_name"),
        VERSION,
        ENDPOINT,
        NETWORKS,
        (*NETWORKS, "pods"),
        (*NETWORKS, "services"),
        (*NETWORKS, "reserved"),
        BGP,
        (*BGP, "as"),
        (*BGP, "import"),
        (*BGP, "timers"),
        (*BGP, "timers", "hold"),
        (*BGP, "max_prefix"),
        (*BGP, "password"),
        (*BGP, "reflectors_per_rack"),
        (*BGP, "services"),
        (*BGP, "services", "external_ips"),
        (*RACK1, "password"),
        ("estate", "estate_racks"),
        RACK1,
        (*RACK1, "switches"),
        (*RACK1, "cluster_id"),
        ("tor1", "bgp_as"),
        MIRROR,
        (*MIRROR, "downloads"),
        CLOUD,
        (*CLOUD, "node_vswitches"),
        (*CLOUD, "node_vswitches", ZONE),
        ("w1", "ansible_host"),
        ("w1", "rack"),
        ("w1", "node_class"),
        ("w1", "node_labels"),
        ("w1", "node_taints"),
        ("w1", CLUSTER_ID),
        ("w1", CONTAINERD),
        PROFILES,
        (*PROFILES, "online"),
        *((*PROFILES, "online", key) for key in ONLINE),
        *((*PROFILES, "online", "reserved", key) for key in ("system", "cpus", "memory")),
        (*PROFILES, "online", "eviction", "hard"),
        (*PROFILES, "online", "eviction", "soft_grace_seconds"),
        ("w1", "runtime_profile"),
        ("cp1", LXCFS),
    ],
    ids=".".join,
)
def test_no_value_makes_the_check_raise(path: tuple[str, ...], junk: object) -> None:
    judge({path: junk})


def role_files(pattern: str) -> list[Path]:
    return sorted(Path(__file__).parents[5].glob(pattern))


def test_every_estate_variable_that_content_reads_is_known() -> None:
    names: set[str] = set()
    for path in (*role_files("roles/**/*.yml"), *role_files("playbooks/**/*.yml")):
        names.update(re.findall(r"(?<!\w)estate_\w+(?!\w*:$)", path.read_text(encoding="utf-8")))
    assert names - {"estate_check"} <= {*ESTATE_VARIABLES, *RUN_VARIABLES}


def test_no_variable_of_a_role_looks_misspelt() -> None:
    names = [
        name for path in role_files("roles/*/defaults/main.yml") for name in yaml.safe_load(path.read_text()) or ()
    ]
    assert names
    findings = judge({("w1", name): "x" for name in names if name not in HOST_VARIABLES})
    assert [finding.variable for finding in findings if finding.code == "ES008-looks-misspelt"] == []


def test_an_inventory_without_hosts_is_judged_too() -> None:
    parsed = parse({}, {})
    codes = [finding.code for finding in (*parsed.findings, *rules.check(parsed.estate))]
    assert "ES104-no-control-plane" in codes
