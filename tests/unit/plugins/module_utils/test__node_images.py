# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _node_images


def expression(key, operator, *values):
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def spec(*expressions, **more):
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]} if expressions else {}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    return {"affinity": {"nodeAffinity": required}, **more} if terms else more


@pytest.mark.parametrize(
    ("pod", "goes"),
    [
        (spec(), True),
        (spec(nodeSelector={"kubernetes.io/os": "linux"}), False),
        (spec(nodeSelector={"rack": "r1"}), True),
        (spec(nodeSelector={"rack": "r2"}), False),
        (spec(expression("rack", "In", "r1", "r2")), True),
        (spec(expression("rack", "In", "r2")), False),
        (spec(expression("external", "NotIn", "true")), True),
        (spec(expression("rack", "NotIn", "r1")), False),
        (spec(expression("rack", "Exists")), True),
        (spec(expression("gpu", "Exists")), False),
        (spec(expression("gpu", "DoesNotExist")), True),
        (spec(expression("rack", "DoesNotExist")), False),
        (spec(expression("rack", "Exists"), expression("gpu", "Exists")), False),
        (spec(expression("cores", "Gt", "8")), True),
    ],
)
def test_where_a_pod_may_go(pod, goes):
    assert _node_images.goes_to(pod, {"rack": "r1"}) is goes


def test_one_term_of_several_is_enough():
    pod = spec(expression("gpu", "Exists"))
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    required["nodeSelectorTerms"].append({"matchExpressions": [expression("rack", "Exists")]})
    assert _node_images.goes_to(pod, {"rack": "r1"})


def daemonset(priority, *images, **spec):
    containers = [{"image": image} for image in images]
    return {"spec": {"template": {"spec": {"priorityClassName": priority, "containers": containers, **spec}}}}


def test_a_node_needs_what_makes_it_ready_and_nothing_else():
    daemonsets = [
        daemonset("system-node-critical", "node", initContainers=[{"image": "cni"}, {"image": "node"}]),
        daemonset("system-node-critical", "proxy", nodeSelector={"kubernetes.io/os": "linux"}),
        daemonset("system-node-critical", "terway", nodeSelector={"external": "true"}),
        daemonset("", "logs"),
        daemonset("system-cluster-critical", "driver-of-8-gigabytes"),
    ]
    specs = _node_images.critical_specs(daemonsets, "w5", {"rack": "r1"})
    assert _node_images.images_of(specs) == {"node", "cni", "proxy"}
