# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.fit import (
    Surroundings,
    homeless,
    left_on,
    target_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Needs, Pod

ALLOCATABLE = {"cpu": "4", "memory": "8Gi", "pods": "10"}
HOST = "kubernetes.io/hostname"


def node(name, labels=None, taints=(), cordoned=False, allocatable=None):
    spec = {"taints": list(taints), "unschedulable": cordoned}
    status = {"allocatable": ALLOCATABLE if allocatable is None else allocatable}
    return target_of({"metadata": {"name": name, "labels": labels or {}}, "spec": spec, "status": status})


def pod(name="p", on="w1", controller="ReplicaSet", labels=None, phase="Running", **needs):
    needs.setdefault("requests", {"cpu": 1.0, "pods": 1.0})
    return Pod("n", name, name, on, controller, phase=phase, labels=labels or {}, needs=Needs(**needs))


class Cluster:
    """Nodes beside those that are drained, and the pods on them; counts what is read."""

    def __init__(self, *targets, pods=()):
        self.targets, self.pods, self.read = targets, pods, []

    def free(self, targets):
        self.read += [target.name for target in targets]
        return {target.name: left_on(target, [p for p in self.pods if p.node == target.name]) for target in targets}

    def reasons(self, *moving):
        drained = {"w1": node("w1", {"zone": "z1"})}
        domains = {**drained, **{target.name: target for target in self.targets}}
        around = Surroundings(self.targets, domains, self.free, lambda _namespace, _selector: [*self.pods, *moving])
        return homeless(moving, around)


TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
AFFINITY = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["nvme"]}]}]}

FITTING = {
    "any node": (node("w2"), pod()),
    "a label": (node("w2", {"disk": "nvme"}), pod(selector={"disk": "nvme"})),
    "affinity": (node("w2", {"disk": "nvme"}), pod(affinity=AFFINITY)),
    "tolerated by value": (node("w2", taints=[TAINT]), pod(tolerations=[{"key": "dedicated", "value": "db"}])),
    "tolerated by key": (node("w2", taints=[TAINT]), pod(tolerations=[{"key": "dedicated", "operator": "Exists"}])),
    "everything tolerated": (node("w2", taints=[TAINT]), pod(tolerations=[{"operator": "Exists"}])),
    "a soft taint": (node("w2", taints=[{**TAINT, "effect": "PreferNoSchedule"}]), pod()),
    "a node that has not reported": (node("w2", allocatable={}), pod()),
    "just enough": (node("w2"), pod(requests={"cpu": 4.0, "pods": 1.0})),
    "a device": (node("w2", allocatable={"nvidia.com/gpu": "8"}), pod(requests={"nvidia.com/gpu": 8.0})),
    "a volume in reach": (node("w2", {"disk": "nvme"}), pod(volumes=(AFFINITY,))),
    "nobody makes it again": (node("w2", cordoned=True), pod(controller="")),
    "it has ended": (node("w2", cordoned=True), pod(phase="Succeeded")),
}  # fmt: skip

MISFITS = {
    "cordoned": (node("w2", cordoned=True), pod(), "1 cordoned"),
    "tainted": (node("w2", taints=[TAINT]), pod(), "1 taint dedicated"),
    "another value": (node("w2", taints=[TAINT]), pod(tolerations=[{"key": "dedicated", "value": "web"}]), "1 taint"),
    "another effect": (
        node("w2", taints=[TAINT]),
        pod(tolerations=[{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}]),
        "1 taint",
    ),
    "a label": (node("w2", {"disk": "hdd"}), pod(selector={"disk": "nvme"}), "1 node selector"),
    "affinity": (node("w2"), pod(affinity=AFFINITY), "1 node affinity"),
    "too large": (node("w2"), pod(requests={"cpu": 4.1}), "1 without room"),
    "a device that is not there": (node("w2"), pod(requests={"nvidia.com/gpu": 1.0}), "1 without room"),
    "a volume out of reach": (node("w2"), pod(volumes=(AFFINITY,)), "1 out of a volume's reach"),
}


@pytest.mark.parametrize(("target", "moving"), FITTING.values(), ids=FITTING.keys())
def test_who_has_a_place(target, moving):
    assert Cluster(target).reasons(moving) == {}


@pytest.mark.parametrize(("target", "moving", "why"), MISFITS.values(), ids=MISFITS.keys())
def test_who_has_none(target, moving, why):
    said = "; ".join(Cluster(target).reasons(moving).values())
    assert said.startswith("none of the 1 other nodes takes it (")
    assert why in said


def test_nowhere_to_go():
    assert Cluster().reasons(pod()) == {"p": "none of the 0 other nodes takes it (there are none)"}


def test_what_is_used_counts_but_for_what_is_ending():
    guests = [pod("a", "w2"), pod("b", "w2"), pod("c", "w2", phase="Succeeded")]
    assert Cluster(node("w2"), pods=guests).reasons(pod("x"), pod("y")) == {}
    assert Cluster(node("w2"), pods=guests).reasons(pod("x"), pod("y"), pod("z")) == {
        "z": "the other nodes have room for 2 of 3 such pods"
    }


def test_nodes_are_read_only_until_there_is_room():
    many = Cluster(*(node(f"w{number}") for number in range(2, 102)))
    assert many.reasons(*(pod(f"p{number}") for number in range(30))) == {}
    assert len(many.read) == 8
    many.read.clear()
    assert many.reasons(*(pod(f"p{number}") for number in range(200))) == {}
    assert len(many.read) == 56, "8, 16, 32"


APART = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "db"}}}


def test_pods_that_must_be_apart():
    db = {"app": "db"}
    targets = [node("w2", {"zone": "z2"}), node("w3", {"zone": "z3"})]
    moving = pod("db-0", labels=db, apart=(APART,))
    assert Cluster(*targets, pods=[pod("db-1", "w2", labels=db)]).reasons(moving) == {}
    both = [pod("db-1", "w2", labels=db), pod("db-2", "w3", labels=db)]
    assert Cluster(*targets, pods=both).reasons(moving) == {
        "db-0": "none of the 2 other nodes takes it (2 with a pod that it must be apart from)"
    }
    zone = pod("db-0", labels=db, apart=({**APART, "topologyKey": "zone"},))
    same_zone = [node("w2", {"zone": "z2"}), node("w3", {"zone": "z2"})]
    assert list(Cluster(*same_zone, pods=[pod("db-1", "w2", labels=db)]).reasons(zone)) == ["db-0"]


def test_pods_that_must_be_apart_from_each_other_take_a_node_each():
    db = {"app": "db"}
    moving = [pod(f"db-{number}", labels=db, apart=(APART,)) for number in range(3)]
    assert list(Cluster(node("w2"), node("w3")).reasons(*moving)) == ["db-2"]
