# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every finding in the cluster: one that has it, planted, and one that has not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.cluster import (
    Observed,
    Plan,
    _off_cloud,
    addresses,
    is_passing,
    judge,
)
from ansible_collections.hybridk8s.estate.plugins.modules import terway_status

from tests.unit.plugins.modules.cluster_fake import MemoryPool, cluster_on, run

ZONE = "cn-shenzhen-d"
PLAN = Plan(("vm1",), {ZONE: [IPv4Network("172.20.128.0/19")], "cn-shenzhen-e": [IPv4Network("172.20.160.0/19")]})
Object = dict[str, Any]


def vm(name: str, **changes: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "labels": {"alibabacloud.com/external": "true", "topology.kubernetes.io/zone": ZONE},
            "annotations": {"k8s.aliyun.com/max-available-ip": "45"},
        },
        "status": {
            "conditions": [{"type": "Ready", "status": changes.get("ready", "True")}],
            "allocatable": {"pods": changes.get("pods", "45")},
        },
    }


def pod(name: str, node: str, address: str = "", **labels: str) -> Object:
    ready = {"type": "Ready", "status": "True" if address else "False"}
    return {
        "metadata": {"namespace": "default", "name": name, "labels": labels},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "podIP": address, "conditions": [ready]},
    }


def daemon(node: str, ready: bool = True) -> Object:
    found = pod(f"terway-{node}", node, "172.20.16.11" if ready else "", app="terway-eniip")
    found["spec"].update(hostNetwork=True)
    return found


def definition(**properties: Any) -> Object:
    schema = {"openAPIV3Schema": {"properties": {"apiVersion": {}, **properties}}}
    return {
        "metadata": {"name": "ippools.crd.projectcalico.org"},
        "spec": {"versions": [{"name": "v1", "schema": schema}]},
    }


GOOD = Observed(
    daemon_set={"metadata": {"name": "terway-eniip"}},
    vms={"vm1": vm("vm1")},
    off_cloud=frozenset(),
    pods=(daemon("vm1"), pod("web", "vm1", "172.20.128.7")),
    refused={},
    kube_proxy="detectLocalMode: InterfaceNamePrefix",
    definition=definition(spec={"properties": {"cidr": {}}}),
)


def edited(edit: Callable[[Any], Any]) -> Object:
    node = copy.deepcopy(vm("vm1"))
    edit(node)
    return {"vms": {"vm1": node}}


PLANTED: list[tuple[str, str, Object]] = [
    ("TW301-no-terway", "", {"daemon_set": None}),
    ("TW302-daemon-not-ready", "vm1", {"pods": GOOD.pods[1:]}),
    ("TW302-daemon-not-ready", "vm1", {"pods": (daemon("vm1", ready=False), GOOD.pods[1])}),
    (
        "TW303-no-addresses",
        "vm1",
        edited(lambda n: n["metadata"]["annotations"].update({"k8s.aliyun.com/max-available-ip": "0"})),
    ),
    ("TW305-not-ready", "vm1", {"vms": {"vm1": vm("vm1", ready="Unknown")}}),
    (
        "TW306-calico-on-vm",
        "vm1",
        {"pods": (*GOOD.pods, pod("calico", "vm1", "172.20.128.9", **{"k8s-app": "calico-node"}))},
    ),
    (
        "TW307-terway-off-the-cloud",
        "w1",
        {
            "pods": (*GOOD.pods, pod("terway-w1", "w1", "10.20.1.21", app="terway-eniip")),
            "off_cloud": frozenset({"w1"}),
        },
    ),
    # The zone that nobody gave a pod vSwitch: the pods run, with addresses of the nodes' range.
    ("TW308-pod-outside-vswitch", "vm1", {"pods": (*GOOD.pods, pod("lost", "vm1", "172.20.16.77"))}),
    ("TW308-pod-outside-vswitch", "vm1", {"pods": (*GOOD.pods, pod("other-zone", "vm1", "172.20.160.7"))}),
    (
        "TW309-pod-without-address",
        "vm1",
        {
            "pods": (*GOOD.pods, pod("hangs", "vm1")),
            "refused": {("default", "hangs"): "no eni can handle the allocation"},
        },
    ),
    ("TW310-more-pods-than-addresses", "vm1", {"vms": {"vm1": vm("vm1", pods="110")}}),
    ("TW311-calico-definitions-pruned", "", {"definition": definition()}),
    ("TW312-kube-proxy-by-range", "", {"kube_proxy": "clusterCIDR: 10.21.0.0/16"}),
]


def test_a_good_cluster_has_no_finding() -> None:
    assert judge(GOOD, PLAN) == []


@pytest.mark.parametrize(
    "fine",
    [
        {"kube_proxy": None, "definition": None},
        {
            "pods": (*GOOD.pods, pod("hangs", "vm1", "172.20.128.8")),
            "refused": {("default", "hangs"): "it was so once"},
        },
        {"pods": (*GOOD.pods, daemon("vm2"))},
    ],
)
def test_what_is_fine_is_not_called_a_fault(fine: Object) -> None:
    assert judge(replace(GOOD, **fine), PLAN) == []


@pytest.mark.parametrize(("code", "host", "planted"), PLANTED, ids=[f"{c}:{next(iter(p))}" for c, _h, p in PLANTED])
def test_what_is_planted_is_found_and_nothing_else(code: str, host: str, planted: Object) -> None:
    findings = judge(replace(GOOD, **planted), PLAN)
    assert [(finding.code, finding.host) for finding in findings] == [(code, host)]
    assert findings[0].message.endswith(".")
    assert findings[0].remedy.endswith(".")


def test_a_vm_that_never_came_is_named() -> None:
    findings = judge(GOOD, replace(PLAN, vms=("vm1", "vm2")))
    assert [(finding.code, finding.host) for finding in findings] == [("TW304-no-cloud-node", "vm2")]


def test_a_vm_whose_zone_is_not_known_may_use_any_vswitch() -> None:
    node = vm("vm1")
    del node["metadata"]["labels"]["topology.kubernetes.io/zone"]
    there = replace(GOOD, vms={"vm1": node}, pods=(*GOOD.pods, pod("e", "vm1", "172.20.160.7")))
    assert judge(there, PLAN) == []


def test_addresses_are_those_of_living_pods_of_their_own() -> None:
    done = pod("done", "vm1", "172.20.128.6")
    done["status"]["phase"] = "Succeeded"
    there = replace(GOOD, pods=(*GOOD.pods, done, pod("b", "vm1", "172.20.128.10"), pod("x", "w1", "10.21.0.1")))
    assert addresses(there) == {"vm1": ["172.20.128.7", "172.20.128.10"]}


def test_warnings_do_not_fail_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = [
        ("/api/v1/nodes/vm1", vm("vm1", pods="110")),
        ("/api/v1/pods/terway", daemon("vm1")),
        ("/apis/apps/v1/namespaces/kube-system/daemonsets/terway-eniip", {"metadata": {"name": "terway-eniip"}}),
    ]
    memory = MemoryPool(objects)
    monkeypatch.setattr(terway_status, "open_cluster", lambda _module: cluster_on(memory))
    vswitches = {ZONE: {"id": "vsw-1", "cidr": "172.20.128.0/19"}}
    warned: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warned.append(text))
    result = run(terway_status, monkeypatch, vms=["vm1"], vswitches=vswitches, kubeconfig={"a": "planted"})
    assert (result.get("failed"), result["changed"]) == (None, False)
    assert [finding["code"] for finding in result["findings"]] == ["TW310-more-pods-than-addresses"]
    assert "Set maxPods to 46" in str(warned)
    assert {method for method, _path in memory.log} == {"GET"}
    wrong = run(terway_status, monkeypatch, vswitches={ZONE: {"id": "vsw-1"}}, kubeconfig={"a": "planted"})
    assert "vswitches is not as it should be" in wrong["msg"]


def test_terway_s_pods_outlive_the_node_of_a_vm_that_went() -> None:
    terways = [daemon("vm1"), daemon("vm2"), daemon("w1"), daemon("gone")]
    memory = MemoryPool([("/api/v1/nodes/w1", {"metadata": {"name": "w1"}})])
    assert _off_cloud(cluster_on(memory), terways, {"vm1", "vm2"}) == {"w1"}
    assert [path for _method, path in memory.log] == ["/api/v1/nodes/gone", "/api/v1/nodes/w1"]


def test_it_waits_for_what_time_heals_and_for_nothing_else() -> None:
    def waits(observed: Observed) -> bool:
        return is_passing(observed, judge(observed, PLAN))

    starting = replace(GOOD, pods=(daemon("vm1", ready=False),))
    assert waits(starting)
    assert not waits(GOOD)
    assert not waits(replace(GOOD, kube_proxy="")), "a warning"
    assert not waits(replace(starting, definition=definition()))
    assert not waits(replace(starting, vms={"vm1": vm("vm1", ready="Unknown")})), "its kubelet is silent"
    assert waits(replace(starting, vms={"vm1": vm("vm1"), "vm2": vm("vm2", ready="Unknown")})), "vm1 may get ready"


def test_the_module_looks_again_until_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [
        replace(GOOD, pods=(daemon("vm1", ready=False),)),
        replace(GOOD, vms={"vm1": vm("vm1", ready="False")}),
        GOOD,
    ]
    monkeypatch.setattr(terway_status, "observe", lambda _cluster, _names: looks.pop(0))
    monkeypatch.setattr(terway_status, "POLL_SECONDS", 0)
    assert terway_status.look(None, PLAN, 60) == (GOOD, [])
    looks[:] = [replace(GOOD, pods=())]
    assert [finding.code for finding in terway_status.look(None, PLAN, -1)[1]] == ["TW302-daemon-not-ready"]
