# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._cloud_report.cluster import Amount, look

from tests.unit.plugins.module_utils._cloud_report.reported import GIB, vm
from tests.unit.plugins.modules.cluster_fake import MemoryPool, cluster_on

SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
METRICS = "/apis/metrics.k8s.io/v1beta1/nodes"


def node(name, provider="", ready=True):
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    allocatable = {"cpu": "3900m", "memory": "15Gi", "pods": "40"}
    return f"/api/v1/nodes/{name}", {
        "metadata": {"name": name},
        "spec": {"providerID": provider} if provider else {},
        "status": {"conditions": [condition], "allocatable": allocatable},
    }


def pod(name, on, cpu="500m", memory="1Gi", phase="Running"):
    return f"/api/v1/pods/{name}", {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"nodeName": on, "containers": [{"resources": {"requests": {"cpu": cpu, "memory": memory}}}]},
        "status": {"phase": phase},
    }


def service(status, message="all is well"):
    conditions = [{"type": "Available", "status": status, "message": message}]
    return SERVICE, {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "status": {"conditions": conditions}}


def usage(name, cpu="1250m", memory="4194304Ki"):
    return f"{METRICS}/{name}", {"metadata": {"name": name}, "usage": {"cpu": cpu, "memory": memory}}


class Pods(MemoryPool):
    """Knows the field selector by which the pods of a node are asked for."""

    def request(self, method, url, body=None, **options):
        _path, _mark, selector = url.partition("fieldSelector=spec.nodeName%3D")
        answer = super().request(method, url, body, **options)
        if selector and answer.status == 200:
            wanted = selector.partition("&")[0]
            answer.body["items"] = [item for item in answer.body["items"] if item["spec"]["nodeName"] == wanted]
        return answer


def seen(*objects, vms=None, refuse=lambda _method, _path: 0):
    """Of one VM, unless others are named."""
    memory = Pods(objects, refuse)
    return look(cluster_on(memory), (vm("online-1"),) if vms is None else vms, "cn-shenzhen"), memory


@pytest.mark.parametrize("count", [2, 20])
def test_what_pods_ask_for_and_use(count):
    """Few nodes are asked for one by one, and many with one list."""
    vms = [vm(f"online-{number}") for number in range(1, count + 1)]
    nodes = [node(one.name, one.provider_id) for one in vms]
    pods = [pod(f"p-{one.name}", one.name) for one in vms]
    others = [node("bare"), pod("p-bare", "bare"), pod("done", "online-1", phase="Succeeded"), pod("q", "online-1")]
    found, _memory = seen(*nodes, *pods, *others, service("True"), *(usage(one.name) for one in vms), vms=vms)
    assert set(found.nodes) == {one.id for one in vms}
    first, second = found.nodes["i-online-1"], found.nodes["i-online-2"]
    assert (first.pods, first.requested, second.requested) == (2, Amount(1.0, 2 * GIB), Amount(0.5, GIB))
    assert (first.allocatable, first.used) == (Amount(3.9, 15 * GIB), Amount(1.25, 4 * GIB))
    assert (found.unmeasured, found.error, found.strangers) == ("", "", {})


def test_nodes_are_known_by_provider_id_and_else_by_name():
    vms = (vm("online-1"), vm("online-2"), vm("online-3"))
    found, _memory = seen(
        node("renamed", "cn-shenzhen.i-online-1"),
        node("online-2"),
        node("online-3", "cn-shenzhen.i-of-before", ready=False),
        vms=vms,
    )
    assert {one: made.name for one, made in found.nodes.items()} == {"i-online-1": "renamed", "i-online-2": "online-2"}
    assert found.strangers == {"online-3": "cn-shenzhen.i-of-before"}


def test_vms_elsewhere_are_nobodys_business():
    found, _memory = seen(node("paris", "eu-west.i-9"), vms=())
    assert found.strangers == {}


@pytest.mark.parametrize(
    ("objects", "refuse", "said"),
    [
        ([], lambda _method, _path: 0, "the cluster has no metrics.k8s.io."),
        ([service("False", "no endpoints")], lambda _method, _path: 0, "metrics.k8s.io does not answer: no endpoints"),
        ([service("True")], lambda _method, path: 403 * (path == METRICS), "refused"),
    ],
)
def test_why_use_is_not_measured(objects, refuse, said):
    found, _memory = seen(node("online-1", "cn-shenzhen.i-online-1"), *objects, refuse=refuse)
    assert said in found.unmeasured
    assert found.nodes["i-online-1"].used is None
    assert found.nodes["i-online-1"].ready is True


def test_a_cluster_is_only_read():
    _found, memory = seen(node("online-1", "cn-shenzhen.i-online-1"), pod("p", "online-1"), service("True"))
    assert {method for method, _path in memory.log} == {"GET"}
