# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm as kubeadm

NODE = {"name": "w1", "ip": "10.20.1.21"}
JOINING = {"key": "estate.hybridk8s.io/joining", "effect": "NoSchedule"}
CLUSTER = {
    "name": "lab",
    "version": "1.36.3",
    "endpoint": "api.lab.internal:7443",
    "service_cidr": "10.22.0.0/16",
    "pod_cidrs": ["10.21.0.0/16"],
    "cert_sans": ["10.20.1.11", "10.20.2.11"],
}


def init(node=None, cluster=None):
    documents = kubeadm.init_documents(
        kubeadm.cluster_from({**CLUSTER, **(cluster or {})}), kubeadm.node_from({**NODE, **(node or {})})
    )
    return {document["kind"]: document for document in documents}


def join(node=None, control_plane=False):
    (document,) = kubeadm.join_documents(kubeadm.node_from({**NODE, **(node or {})}), control_plane)
    return document


def args(registration):
    return {item["name"]: item["value"] for item in registration["kubeletExtraArgs"]}


def test_init_has_every_kind_in_the_current_api():
    documents = init()
    assert {kind: document["apiVersion"] for kind, document in documents.items()} == {
        "InitConfiguration": "kubeadm.k8s.io/v1beta4",
        "ClusterConfiguration": "kubeadm.k8s.io/v1beta4",
        "KubeletConfiguration": "kubelet.config.k8s.io/v1beta1",
        "KubeProxyConfiguration": "kubeproxy.config.k8s.io/v1alpha1",
    }


def test_init_cluster_configuration():
    configuration = init(cluster={"apiserver_args": {"audit-log-maxage": "3", "a": ["x", "y"]}})["ClusterConfiguration"]
    assert configuration == {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": "lab",
        "kubernetesVersion": "v1.36.3",
        "controlPlaneEndpoint": "api.lab.internal:7443",
        "networking": {
            "serviceSubnet": "10.22.0.0/16",
            "podSubnet": "10.21.0.0/16",
            "dnsDomain": "cluster.local",
        },
        "apiServer": {
            "certSANs": ["api.lab.internal", "127.0.0.1", "10.20.1.11", "10.20.2.11"],
            "extraArgs": [
                {"name": "a", "value": "x"},
                {"name": "a", "value": "y"},
                {"name": "audit-log-maxage", "value": "3"},
            ],
        },
        "controllerManager": {"extraArgs": [{"name": "allocate-node-cidrs", "value": "false"}]},
        "etcd": {"local": {"dataDir": "/var/lib/etcd"}},
    }


def test_init_makes_no_lasting_token_and_prints_no_join_command():
    document = init()["InitConfiguration"]
    assert [token["ttl"] for token in document["bootstrapTokens"]] == ["1m0s"]
    assert "token" not in document["bootstrapTokens"][0]
    assert document["skipPhases"] == ["show-join-command"]


@pytest.mark.parametrize(
    ("pod_cidrs", "expected"),
    [
        ([], None),
        (["10.21.0.0/16"], "10.21.0.0/16"),
        (["10.21.0.0/16", "fd00:21::/48"], "10.21.0.0/16,fd00:21::/48"),
        (["10.21.0.0/16", "10.31.0.0/16"], None),
    ],
)
def test_pod_subnet_takes_one_range_a_family(pod_cidrs, expected):
    assert init(cluster={"pod_cidrs": pod_cidrs})["ClusterConfiguration"]["networking"].get("podSubnet") == expected


def test_version_may_have_its_v():
    assert init(cluster={"version": "v1.36.3"})["ClusterConfiguration"]["kubernetesVersion"] == "v1.36.3"


def test_node_cidrs_are_allocated_on_request_only():
    assert "controllerManager" not in init(cluster={"allocate_node_cidrs": True})["ClusterConfiguration"]


def test_component_settings_are_merged_and_win():
    documents = init(
        cluster={"kubelet": {"failCgroupV1": False}, "kube_proxy": {"mode": "iptables", "conntrack": {"min": 0}}}
    )
    assert documents["KubeletConfiguration"]["failCgroupV1"] is False
    assert documents["KubeProxyConfiguration"]["mode"] == "iptables"
    assert documents["KubeProxyConfiguration"]["conntrack"] == {"min": 0}
    proxy = init()["KubeProxyConfiguration"]
    assert proxy["mode"] == "nftables"
    assert (proxy["detectLocalMode"], proxy["detectLocal"]) == (
        "InterfaceNamePrefix",
        {"interfaceNamePrefix": "cali"},
    )


def test_merged_keeps_what_the_deeper_mapping_does_not_name():
    assert kubeadm.merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}, "d": [2]}) == {
        "a": {"b": 1, "c": 3},
        "d": [2],
    }


def test_a_worker_has_its_taints_by_kubeadm_and_only_labels_it_may_set():
    registration = join(
        {
            "labels": {"zone": "b", "topology.kubernetes.io/zone": "r1", "node-role.kubernetes.io/gpu": ""},
            "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
        }
    )["nodeRegistration"]
    assert registration["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}, JOINING]
    assert args(registration) == {"node-ip": "10.20.1.21", "node-labels": "topology.kubernetes.io/zone=r1,zone=b"}


def test_labels_that_no_kubelet_may_set_are_no_flag():
    registration = join({"labels": {"node-role.kubernetes.io/gpu": ""}})["nodeRegistration"]
    assert args(registration) == {"node-ip": "10.20.1.21"}


def test_a_worker_takes_no_pod_until_it_is_admitted():
    assert join()["nodeRegistration"]["taints"] == [JOINING]
    assert "controlPlane" not in join()


def test_a_control_plane_registers_with_its_taints_at_once():
    document = join({"taints": [{"key": "a/b", "effect": "NoExecute"}]}, control_plane=True)
    assert document["controlPlane"] == {"localAPIEndpoint": {"advertiseAddress": "10.20.1.21", "bindPort": 6443}}
    assert document["nodeRegistration"]["taints"] == [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        {"key": "a/b", "effect": "NoExecute"},
        JOINING,
    ]
    assert args(document["nodeRegistration"])["register-with-taints"] == (
        "node-role.kubernetes.io/control-plane=:NoSchedule,a/b=:NoExecute,estate.hybridk8s.io/joining=:NoSchedule"
    )


def test_a_control_plane_may_go_without_the_taint():
    document = join({"control_plane_taint": False}, control_plane=True)
    assert document["nodeRegistration"]["taints"] == [JOINING]


def test_who_creates_the_cluster_waits_for_nobody():
    assert JOINING not in init()["InitConfiguration"]["nodeRegistration"]["taints"]


def test_an_empty_list_of_taints_is_said_because_an_absent_one_means_the_default():
    assert init(node={"control_plane_taint": False})["InitConfiguration"]["nodeRegistration"]["taints"] == []


def test_node_settings_reach_the_document():
    document = join(
        {
            "cri_socket": "unix:///run/crio.sock",
            "ignore_preflight_errors": ["SystemVerification"],
            "kubelet_args": {"node-ip": "::1", "provider-id": "x"},
            "timeouts": {"tlsBootstrap": "3m0s"},
        }
    )
    assert document["nodeRegistration"]["criSocket"] == "unix:///run/crio.sock"
    assert document["nodeRegistration"]["ignorePreflightErrors"] == ["SystemVerification"]
    assert args(document["nodeRegistration"]) == {"node-ip": "::1", "provider-id": "x"}
    assert document["timeouts"] == {"tlsBootstrap": "3m0s"}


def test_discovery_is_added_to_joins_without_changing_them():
    documents = kubeadm.join_documents(kubeadm.node_from(NODE), control_plane=True)
    before = json.dumps(documents)
    (completed,) = kubeadm.with_discovery(documents, "/run/d.conf", "abcdef.0123456789abcdef", "k" * 64)
    assert json.dumps(documents) == before
    assert completed["discovery"] == {
        "file": {"kubeConfigPath": "/run/d.conf"},
        "tlsBootstrapToken": "abcdef.0123456789abcdef",
    }
    assert completed["controlPlane"]["certificateKey"] == "k" * 64
    assert completed["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == "10.20.1.21"


def test_a_worker_never_gets_the_certificate_key():
    (completed,) = kubeadm.with_discovery(kubeadm.join_documents(kubeadm.node_from(NODE)), "/d", "t", "k" * 64)
    assert "k" * 64 not in json.dumps(completed)


def test_reset_never_asks():
    document = kubeadm.reset_document(ignore_preflight_errors=["X"], timeouts={"kubernetesAPICall": "10s"})
    assert document["force"] is True
    assert document["cleanupTmpDir"] is True
    assert document["ignorePreflightErrors"] == ["X"]
    assert document["timeouts"] == {"kubernetesAPICall": "10s"}


def test_serialised_documents_are_json_between_separators():
    parts = kubeadm.serialise([{"a": 1}, {"b": [True]}]).split("---\n")
    assert [json.loads(part) for part in parts] == [{"a": 1}, {"b": [True]}]


ADMIN = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    "clusters": [
        {"name": "other", "cluster": {"server": "https://other", "certificate-authority-data": "T1RI"}},
        {"name": "k", "cluster": {"server": "https://api:6443", "certificate-authority-data": "Q0E="}},
    ],
    "users": [{"name": "u", "user": {"client-key-data": "SECRET"}}],
}


def test_discovery_leaves_credentials_behind():
    discovery = kubeadm.discovery_from_kubeconfig(ADMIN, "https://api.lab.internal:7443")
    assert "SECRET" not in json.dumps(discovery)
    assert discovery["clusters"][0]["cluster"] == {
        "server": "https://api.lab.internal:7443",
        "certificate-authority-data": "Q0E=",
    }
    assert kubeadm.discovery_from_kubeconfig(ADMIN)["clusters"][0]["cluster"]["server"] == "https://api:6443"


@pytest.mark.parametrize(
    ("kubeconfig", "word"),
    [
        ({}, "current context"),
        ({**ADMIN, "current-context": "nope"}, "current context"),
        ({"clusters": [{"name": "k", "cluster": {"server": "https://x"}}]}, "certificate-authority-data"),
    ],
)
def test_discovery_refuses_a_kubeconfig_without_cluster_or_ca(kubeconfig, word):
    with pytest.raises(kubeadm.SpecError, match=word):
        kubeadm.discovery_from_kubeconfig(kubeconfig)


@pytest.mark.parametrize(
    ("label", "may"),
    [
        ("rack", True),
        ("example.com/rack", True),
        ("alibabacloud.com/nodepool-id", True),
        ("topology.kubernetes.io/zone", True),
        ("node.kubernetes.io/instance-type", True),
        ("node.kubernetes.io/anything", True),
        ("x.node.kubernetes.io/anything", True),
        ("kubelet.kubernetes.io/x", True),
        ("kubernetes.io/hostname", True),
        ("kubernetes.io/role", False),
        ("node-role.kubernetes.io/worker", False),
        ("node-restriction.kubernetes.io/x", False),
        ("estate.hybridk8s.io/rack", True),
        ("foo.k8s.io/x", False),
        ("notkubernetes.io/x", True),
    ],
)
def test_labels_a_kubelet_may_set(label, may):
    assert kubeadm.kubelet_may_set(label) is may


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "w1"}, "lacks ip"),
        ({"name": "", "ip": "10.0.0.1"}, "lacks name"),
        ({**NODE, "lables": {}}, "unknown key lables"),
        ({**NODE, "ip": "10.0.0"}, "not an address"),
        ({**NODE, "labels": ["a"]}, "labels must be a mapping"),
        ({**NODE, "taints": "x"}, "taints must be a list"),
        ({**NODE, "taints": [{"key": "a"}]}, r"taints\[\] lacks effect"),
        ({**NODE, "api_port": "6443"}, "api_port must be a number"),
    ],
)
def test_a_wrong_node_is_refused_by_name(values, words):
    with pytest.raises(kubeadm.SpecError, match=words):
        kubeadm.node_from(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"endpoint": "api"}, "not host:port"),
        ({"endpoint": "api:0"}, "not host:port"),
        ({"endpoint": "api:99999"}, "not host:port"),
        ({"service_cidr": "10.22.0.1/16"}, "not a network"),
        ({"pod_cidrs": ["x"]}, "not a network"),
        ({"version": 1.36}, "version must be a text"),
        ({"version": None}, "lacks version"),
    ],
)
def test_a_wrong_cluster_is_refused_by_name(change, words):
    with pytest.raises(kubeadm.SpecError, match=words):
        kubeadm.cluster_from({**CLUSTER, **change})


def test_an_endpoint_may_be_an_ipv6_address():
    assert kubeadm.split_endpoint("[fd00::1]:6443") == ("fd00::1", 6443)


@pytest.mark.parametrize(
    ("observations", "host", "refusal"),
    [
        ({"cp1": "none"}, "cp1", ""),
        ({"cp1": "none", "cp2": "none", "cp3": "none"}, "cp1", ""),
        ({"cp1": "none", "cp2": "control_plane"}, "", ""),
        ({"cp1": "unreachable", "cp2": "control_plane", "cp3": "none"}, "", ""),
        ({"cp1": "half_initialized", "cp2": "control_plane"}, "", ""),
        ({"cp1": "none", "cp2": "half_initialized", "cp3": "none"}, "cp2", ""),
        ({"cp1": "half_reset", "cp2": "none"}, "cp2", ""),
        ({"cp1": "half_reset"}, "cp1", ""),
        ({"cp1": "none", "cp2": "unreachable"}, "", "cp2 cannot be asked"),
        ({"cp1": "half_initialized", "cp2": "unreachable"}, "", "cp2 cannot be asked"),
        ({"cp1": "none", "cp2": "foreign"}, "", "--limit cp2"),
        ({"cp1": "half_initialized", "cp2": "half_initialized", "cp3": "none"}, "", "--limit cp2"),
        ({"cp1": "none", "cp2": "half_joined"}, "", "cp2 began to join"),
        ({"cp1": "worker", "cp2": "none"}, "", "cp1 is in group control_plane"),
        ({}, "", "no control plane"),
    ],
)
def test_who_initialises(observations, host, refusal):
    chosen = kubeadm.initializer(observations)
    assert chosen.host == host
    assert refusal in chosen.refusal
    assert bool(refusal) == bool(chosen.refusal)
