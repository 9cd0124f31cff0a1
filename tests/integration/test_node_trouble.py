"""The module node when the API server is in trouble, and when somebody else is at work."""

from __future__ import annotations

import threading
from collections import Counter

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import until_settled
from ansible_collections.hybridk8s.estate.plugins.modules import node

from tests.integration.faults import Outage, RotatedToken, applied_differently, storm
from tests.integration.faulty_proxy import FaultyProxy
from tests.integration.module_process import OURS, result_of, start

NODES = "/api/v1/nodes"
NOT_READY = "node.kubernetes.io/not-ready"


def make(cluster, names):
    for name in names:
        cluster.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})


def wish(name, who, *keys):
    return {
        "name": name,
        "labels": dict.fromkeys(keys, who),
        "annotations": {"example.com/who": who},
        "taints": [{"key": "pool", "value": who, "effect": "NoSchedule"}],
    }


def accepted(events):
    return Counter(event.name for event in events if event.verb == "patch" and event.status == 200)


def test_throttled_broken_cut_offline_and_with_an_expired_token(plane, cluster, run_module, tmp_path):
    names = [f"storm-{number}" for number in range(120)]
    make(cluster, names)
    wishes = [wish(name, "us", "rack", "io-class", "pool") for name in names]
    mark = plane.audit_mark()
    with FaultyProxy(plane, tmp_path) as proxy:
        outage = Outage(after=40, seconds=30)
        tokens = RotatedToken(proxy.kubeconfig, tmp_path / "config", after=80)
        proxy.rule = storm(1, outage, tokens)
        result = run_module(node, kubeconfig=str(tokens.path), nodes=wishes)
    assert "failed" not in result, result
    assert {name: one["state"] for name, one in result["nodes"].items()} == dict.fromkeys(names, "changed")
    statuses = Counter(status for _method, _path, status in proxy.log)
    assert all(statuses[status] for status in (0, 401, 429, 500)), statuses
    assert outage.over

    events = plane.audit(mark)
    assert accepted(events) == dict.fromkeys(names, 1), "a lost answer is not sent again"
    assert applied_differently(events) == {}
    assert run_module(node, nodes=wishes)["changed"] is False


class Bystander(threading.Thread):
    """Puts a label and a taint of its own on each node in turn, as often as it can."""

    def __init__(self, cluster, names):
        super().__init__(daemon=True)
        self.cluster, self.names, self.ends = cluster, names, threading.Event()
        self.made = {name: set() for name in names}

    def run(self):
        number = 0
        while not self.ends.is_set() or number == 0:
            for name in self.names:
                key = f"foreign-{number}"
                until_settled(lambda _again, name=name, key=key: self._put(name, key))
                self.made[name].add(key)
            number += 1

    def _put(self, name, key):
        live = self.cluster.get(f"{NODES}/{name}")
        taints = [*live["spec"].get("taints", ()), {"key": key, "effect": "PreferNoSchedule"}]
        metadata = {"resourceVersion": live["metadata"]["resourceVersion"], "labels": {key: "theirs"}}
        self.cluster.merge(f"{NODES}/{name}", {"metadata": metadata, "spec": {"taints": taints}})


def test_two_controllers_on_overlapping_nodes(plane, cluster, tmp_path):
    names = [f"both-{number}" for number in range(30)]
    make(cluster, names)
    first, second = names[:20], names[10:]
    both_have_read = threading.Barrier(2)

    def held_until_both_have_read():
        waited = threading.Event()

        def rule(request):
            if request.method == "PATCH" and not waited.is_set():
                waited.set()
                both_have_read.wait(30)

        return rule

    bystander = Bystander(cluster, names[8:12])
    with (
        FaultyProxy(plane, tmp_path / "1", held_until_both_have_read()) as proxy,
        FaultyProxy(plane, tmp_path / "2", held_until_both_have_read()) as other,
    ):
        bystander.start()
        ours = [wish(name, "first", "who", "only-first") for name in first]
        theirs = [wish(name, "second", "who", "only-second") for name in second]
        processes = [
            start(f"{OURS}node", tmp_path / "run-1", kubeconfig=proxy.kubeconfig, nodes=ours),
            start(f"{OURS}node", tmp_path / "run-2", kubeconfig=other.kubeconfig, nodes=theirs),
        ]
        results = [result_of(process) for process in processes]
        bystander.ends.set()
        bystander.join()
    assert not any("failed" in result for result in results), results
    conflicts = [status for log in (proxy.log, other.log) for method, _path, status in log if status == 409]
    assert conflicts, "they have met"

    for name in names:
        live = cluster.get(f"{NODES}/{name}")
        wishing = {who for who, of in (("first", first), ("second", second)) if name in of}
        labels = live["metadata"]["labels"]
        taints = {taint["key"]: taint.get("value", "") for taint in live["spec"]["taints"]}
        assert labels["who"] in wishing
        assert live["metadata"]["annotations"]["example.com/who"] in wishing
        assert taints["pool"] in wishing
        assert {who for who in ("first", "second") if f"only-{who}" in labels} <= wishing
        foreign = bystander.made.get(name, set())
        assert foreign <= set(labels), "no label of others is lost"
        assert foreign <= set(taints), "no taint of others is lost"
    assert any(bystander.made.values())
