# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, emptying
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.plan import plan
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import topology_of

from tests.unit.plugins.module_utils._bgp.fake_calico import FakeCalico
from tests.unit.plugins.module_utils.estates import two_racks

LAB = topology_of(two_racks())


def pod(namespace: str = "default", kind: str = "ReplicaSet", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    owner = {"kind": kind, "controller": True, "name": "web", "uid": "2"}
    metadata = {"name": "web-1", "namespace": namespace, "uid": "1", "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (pod(), True),
        (pod(kind="StatefulSet", phase="Pending"), True),
        (pod(kind="DaemonSet"), False),
        (pod(phase="Succeeded"), False),
        (pod(hostNetwork=True), False),
        (pod(namespace="kube-system"), False),
    ],
)
def test_pods_that_would_notice(found: dict[str, Any], counts: bool) -> None:
    api = FakeCalico(LAB)
    api.pods["w1"] = [found]
    assert emptying.occupied(api, ["w1", "w3"]) == (["w1"] if counts else [])


def test_only_a_change_of_role_starts_all_sessions_anew() -> None:
    api = FakeCalico(LAB)
    assert emptying.turning(plan(LAB, apply.observe(api, LAB)).writes) == ["w1", "w3"]
    api.nodes["w2"]["metadata"]["annotations"][emptying.EMPTIED_ANNOTATION] = "true"
    apply.Runner(api, LAB, sleep=lambda _seconds: None).run(plan(LAB, apply.observe(api, LAB)))
    assert emptying.turning(plan(LAB, apply.observe(api, LAB)).writes) == []


def test_a_node_that_took_no_pods_before_is_not_marked() -> None:
    api = FakeCalico(LAB)
    api.nodes["w3"]["spec"] = {"unschedulable": True}
    reserved = emptying.reservations(apply.observe(api, LAB), ["w1", "w3"])
    assert [(write.name, write.step.action) for write in reserved] == [("w1", "reserve")]
