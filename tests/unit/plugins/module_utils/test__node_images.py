# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _node_images


def only_on(*expressions):
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


@pytest.mark.parametrize(
    ("pod", "goes"),
    [
        ({}, True),
        ({"nodeSelector": {"rack": "r1"}}, True),
        ({"nodeSelector": {"rack": "r2"}}, False),
        (only_on({"key": "external", "operator": "NotIn", "values": ["true"]}), True),
        (only_on({"key": "gpu", "operator": "Exists"}), False),
        ({"nodeSelector": {"rack": "r2"}, **only_on({"key": "rack", "operator": "Exists"})}, False),
        ({"affinity": {"nodeAffinity": {}}}, True),
    ],
)
def test_where_a_pod_may_go(pod, goes):
    assert _node_images.goes_to(pod, "w5", {"rack": "r1"}) is goes


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
