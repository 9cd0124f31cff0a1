"""The module node against a real API server."""

from __future__ import annotations

import json
import threading
import time

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import node, node_info

from tests.integration.faulty_proxy import Fault, FaultyProxy

NODES = "/api/v1/nodes"
OWNED = "estate.hybridk8s.io/owned"
GPU = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def make(cluster, name, ready=None, **fields):
    metadata = {"name": name, **fields.pop("metadata", {})}
    cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata, **fields})
    if ready is not None:
        set_ready(cluster, name, ready)


def taint_keys(live):
    """Keys of the taints, without the one that admission gives to every new node."""
    return {taint["key"] for taint in live["spec"]["taints"]} - {"node.kubernetes.io/not-ready"}


def set_ready(cluster, name, ready, message="kubelet is posting ready status"):
    condition = {"type": "Ready", "status": "True" if ready else "False", "reason": "Kubelet", "message": message}
    cluster.merge(f"{NODES}/{name}/status", {"status": {"conditions": [condition]}})


def test_change_then_nothing_then_removal(cluster, run_module):
    make(
        cluster,
        "a1",
        metadata={"labels": {"foreign": "stays"}},
        spec={"taints": [{"key": "other", "effect": "NoExecute"}]},
    )
    wish = {
        "name": "a1",
        "labels": {"rack": "r1", "zone": ""},
        "annotations": {"note": "a b\nc"},
        "taints": [GPU],
        "schedulable": False,
    }
    first = run_module(node, nodes=[wish], diff=True)
    assert first["changed"] is True
    assert first["requests"] == 2
    assert first["diff"][0]["before"] == "schedulable: true\n"
    assert "taint nvidia.com/gpu=present:NoSchedule\nschedulable: false\n" in first["diff"][0]["after"]
    live = cluster.get(f"{NODES}/a1")
    assert live["metadata"]["labels"] == {"foreign": "stays", "rack": "r1", "zone": ""}
    assert live["metadata"]["annotations"]["note"] == "a b\nc"
    assert taint_keys(live) == {"other", "nvidia.com/gpu"}
    assert live["spec"]["unschedulable"] is True

    again = run_module(node, nodes=[wish])
    assert (again["changed"], again["requests"], again["findings"]) == (False, 1, [])

    only_uncordon = run_module(node, nodes=[{"name": "a1", "schedulable": True}])
    assert only_uncordon["steps"][0]["reason"] == "uncordon"
    assert cluster.get(f"{NODES}/a1")["metadata"]["labels"]["rack"] == "r1", "what an entry leaves out stays"

    gone = run_module(node, nodes=[{"name": "a1", "labels": {}, "annotations": {}, "taints": []}])
    assert gone["changed"] is True
    live = cluster.get(f"{NODES}/a1")
    assert live["metadata"]["labels"] == {"foreign": "stays"}
    assert live["metadata"].get("annotations", {}) == {}
    assert taint_keys(live) == {"other"}


def test_check_mode_says_the_same_and_changes_nothing(cluster, run_module):
    make(cluster, "b1")
    before = cluster.get(f"{NODES}/b1")
    wish = {"name": "b1", "labels": {"rack": "r1"}, "taints": [GPU], "schedulable": False}
    planned = run_module(node, nodes=[wish], check=True, diff=True)
    assert cluster.get(f"{NODES}/b1") == before
    done = run_module(node, nodes=[wish], diff=True)
    assert planned["steps"] == done["steps"]
    assert planned["diff"] == done["diff"]


def test_a_foreign_value_is_a_finding_until_adopted(cluster, run_module):
    make(cluster, "c1", metadata={"labels": {"pool": "theirs"}}, spec={"taints": [{**GPU, "value": "theirs"}]})
    wish = {"name": "c1", "labels": {"pool": "ours", "rack": "r1"}, "taints": [GPU]}
    first = run_module(node, nodes=[wish])
    live = cluster.get(f"{NODES}/c1")
    assert live["metadata"]["labels"] == {"pool": "theirs", "rack": "r1"}
    assert live["spec"]["taints"][0]["value"] == "theirs"
    assert [finding["variable"] for finding in first["findings"]] == ["labels", "taints"]
    assert run_module(node, nodes=[wish])["changed"] is False
    run_module(node, nodes=[wish], adopt=True)
    live = cluster.get(f"{NODES}/c1")
    assert live["metadata"]["labels"]["pool"] == "ours"
    assert live["spec"]["taints"][0]["value"] == "present"
    assert run_module(node, nodes=[wish])["changed"] is False


def test_a_conflict_is_read_again_and_no_foreign_taint_is_lost(plane, cluster, run_module, tmp_path):
    make(cluster, "d1")
    theirs = {"key": "theirs", "effect": "NoSchedule"}
    raced = []

    def rule(request):
        if request.method == "PATCH" and len(raced) < 2:
            raced.append(request.json)
            taints = [*cluster.get(f"{NODES}/d1")["spec"].get("taints", []), {**theirs, "key": f"theirs-{len(raced)}"}]
            cluster.merge(f"{NODES}/d1", {"spec": {"taints": taints}})
        return

    with FaultyProxy(plane, tmp_path, rule) as proxy:
        result = run_module(node, kubeconfig=proxy.kubeconfig, nodes=[{"name": "d1", "taints": [GPU]}])
    assert result["changed"] is True, result
    assert [status for method, _path, status in proxy.log if method == "PATCH"] == [409, 409, 200]
    assert taint_keys(cluster.get(f"{NODES}/d1")) == {"theirs-1", "theirs-2", "nvidia.com/gpu"}


def test_endless_conflicts_fail_with_the_nodes_name_and_the_others_are_done(plane, cluster, run_module, tmp_path):
    make(cluster, "e1")
    make(cluster, "e2")

    def rule(request):
        return Fault(409, message="always") if request.method == "PATCH" and "/e1" in request.path else None

    wishes = [{"name": name, "labels": {"rack": "r1"}} for name in ("e1", "e2")]
    with FaultyProxy(plane, tmp_path, rule) as proxy:
        result = run_module(node, kubeconfig=proxy.kubeconfig, nodes=wishes)
    assert result["failed"] is True
    assert list(result["failed_nodes"]) == ["e1"]
    assert "nodes/e1" in result["msg"]
    assert [step["target"] for step in result["steps"]] == ["node/e2"]
    assert result["changed"] is True


def test_lost_answers_and_throttling_do_not_change_the_outcome(plane, cluster, run_module, tmp_path):
    names = [f"f{number}" for number in range(30)]
    for name in names:
        make(cluster, name)

    def rule(request):
        return {
            3: Fault(429, {"Retry-After": "0"}),
            5: Fault(500),
            7: Fault(),
            9: Fault(forwarded=True),
            11: Fault(503, forwarded=True),
        }.get(request.number)

    wishes = [{"name": name, "labels": {"rack": "r1"}, "taints": [GPU]} for name in names]
    with FaultyProxy(plane, tmp_path, rule) as proxy:
        result = run_module(node, kubeconfig=proxy.kubeconfig, nodes=wishes)
    assert "failed" not in result, result
    assert len(result["steps"]) == len(names), "a change whose answer was lost is reported as well"
    assert run_module(node, nodes=wishes)["changed"] is False


def test_few_nodes_are_read_by_name_and_many_by_one_list(cluster, run_module):
    names = [f"g{number}" for number in range(17)]
    for name in names:
        make(cluster, name)
    assert run_module(node, nodes=[{"name": name} for name in names[:3]])["requests"] == 3
    assert run_module(node, nodes=[{"name": name} for name in names])["requests"] == 1


def test_missing_nodes(cluster, run_module):
    make(cluster, "h1")
    wishes = [{"name": name, "labels": {"rack": "r1"}} for name in ("h1", "h2")]
    reported = run_module(node, nodes=wishes)
    assert reported["missing"] == ["h2"]
    assert "failed" not in reported
    failed = run_module(node, nodes=wishes, missing="error")
    assert failed["failed"] is True
    assert "h2" in failed["msg"]
    planned = run_module(node, nodes=wishes, missing="error", check=True)
    assert [step["target"] for step in planned["steps"]] == ["node/h2"]
    empty = run_module(node, nodes=wishes, kubeconfig=None, check=True)
    assert len(empty["steps"]) == 2


def test_waits_for_nodes_to_appear_and_to_be_ready(cluster, run_module):
    def join():
        time.sleep(1.2)
        make(cluster, "i1", ready=False)
        time.sleep(1.2)
        set_ready(cluster, "i1", True)

    joining = threading.Thread(target=join)
    joining.start()
    wish = {"name": "i1", "labels": {"rack": "r1"}}
    result = run_module(node, nodes=[wish], missing="error", wait_ready=30)
    joining.join()
    assert "failed" not in result, result
    assert cluster.get(f"{NODES}/i1")["metadata"]["labels"]["rack"] == "r1"


def test_nodes_that_do_not_get_ready_are_named_with_their_message(cluster, run_module):
    make(cluster, "j1", ready=True)
    make(cluster, "j2", ready=False)
    set_ready(cluster, "j2", False, "container runtime network not ready")
    make(cluster, "j3")
    result = run_module(node, nodes=[{"name": name} for name in ("j1", "j2", "j3")], wait_ready=1)
    assert result["failed"] is True
    assert result["not_ready"] == {
        "j2": "container runtime network not ready",
        "j3": "the kubelet has not reported yet",
    }
    assert "j2: container runtime network not ready" in result["msg"]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"labels": {"kubernetes.io/hostname": "x"}}, "the kubelet writes it"),
        ({"labels": {"node-role.kubernetes.io/control-plane": ""}}, "kubeadm writes it"),
        ({"annotations": {OWNED: "{}"}}, "own record"),
        ({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}, "node controller"),
        ({"labels": {"gpu": True}}, "quote it"),
    ],
)
def test_what_is_not_ours_is_refused_before_anything_is_touched(cluster, run_module, wish, said):
    result = run_module(node, nodes=[{"name": "k1", **wish}])
    assert result["failed"] is True
    assert said in result["msg"]


def test_the_record_is_readable_and_survives_what_others_do(cluster, run_module):
    make(cluster, "l1")
    wish = {"name": "l1", "labels": {"rack": "r1"}, "taints": [GPU]}
    run_module(node, nodes=[wish])
    record = json.loads(cluster.get(f"{NODES}/l1")["metadata"]["annotations"][OWNED])
    assert record == {"labels": ["rack"], "taints": ["nvidia.com/gpu:NoSchedule"]}
    cluster.merge(f"{NODES}/l1", {"metadata": {"labels": {"rack": "edited-by-hand"}}})
    assert run_module(node, nodes=[wish])["changed"] is True, "what is ours is set back"
    assert cluster.get(f"{NODES}/l1")["metadata"]["labels"]["rack"] == "r1"


def test_two_controllers_end_with_one_of_the_two_wishes_and_lose_nothing(plane, cluster):
    from ansible_collections.hybridk8s.estate.plugins.module_utils import _nodes
    from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import connect, parallel, until_settled

    names = [f"m{number}" for number in range(10)]
    for name in names:
        make(cluster, name)

    def controller(number, own):
        def one(name):
            taint = _nodes.Taint(f"by-{number}", "NoSchedule")
            wish = _nodes.NodeWish(name, labels={"who": str(number)}, taints=(taint,))
            live = own.get(_nodes.path_of(name))
            until_settled(lambda reread: _nodes.update(own, wish, live, True, reread), tries=20)

        failures.extend(outcome.error for outcome in parallel(one, names) if outcome.error)

    failures = []
    threads = [threading.Thread(target=controller, args=(n, connect(plane.kubeconfig))) for n in (1, 2)]
    foreign = {"spec": {"taints": [{"key": "foreign", "effect": "NoSchedule"}]}}
    for name in names:
        cluster.merge(f"{NODES}/{name}", foreign)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for name in names:
        live = cluster.get(f"{NODES}/{name}")
        assert live["metadata"]["labels"]["who"] in ("1", "2")
        keys = taint_keys(live)
        assert "foreign" in keys
        assert keys & {"by-1", "by-2"}


def test_node_info(cluster, run_module):
    make(cluster, "n1", ready=True, metadata={"labels": {"rack": "r1"}}, spec={"taints": [GPU]})
    result = run_module(node_info, names=["n1", "n0"])
    absent, present = result["nodes"]
    assert absent == {"name": "n0", "exists": False, "ready": False}
    assert (present["ready"], present["schedulable"]) == (True, True)
    assert GPU in present["taints"]
    assert result["missing"] == ["n0"]
    assert result["changed"] is False
    assert "n1" in {entry["name"] for entry in run_module(node_info)["nodes"]}
