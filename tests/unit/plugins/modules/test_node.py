# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter

import pytest
import urllib3
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import WORKERS
from ansible_collections.hybridk8s.estate.plugins.modules import node, node_info

from tests.unit.plugins.modules.cluster_fake import MemoryPool, cluster_on, run

NODES = "/api/v1/nodes"


def live(name, ready="True", **metadata):
    conditions = [{"type": "Ready", "status": ready, "message": f"{name} says {ready}"}]
    item = {"metadata": {"name": name, **metadata}, "spec": {}, "status": {"conditions": conditions}}
    return f"{NODES}/{name}", item


@pytest.fixture
def use(monkeypatch):
    def install(pool):
        monkeypatch.setattr(node, "open_cluster", lambda _module: cluster_on(pool))
        monkeypatch.setattr(node_info, "open_cluster", lambda _module: cluster_on(pool))
        monkeypatch.setattr(node, "POLL_SECONDS", 0.01)
        return pool

    return install


def test_run_then_rerun(use, monkeypatch):
    pool = use(MemoryPool([live("w1"), live("w2")]))
    nodes = [{"name": name, "labels": {"rack": "r1"}} for name in ("w1", "w2", "w3")]
    checked = run(node, monkeypatch, check=True, nodes=nodes)
    assert {method for method, _path in pool.log} == {"GET"}
    first = run(node, monkeypatch, nodes=nodes)
    assert (first["changed"], first["missing"], first["steps"]) == (True, ["w3"], checked["steps"])
    second = run(node, monkeypatch, nodes=nodes)
    assert (second["changed"], second["steps"]) == (False, [])


def test_one_refused_node_does_not_stop_the_others(use, monkeypatch):
    use(MemoryPool([live("w1"), live("w2")], lambda method, path: 403 * (method == "PATCH" and path.endswith("w1"))))
    result = run(node, monkeypatch, nodes=[{"name": name, "labels": {"rack": "r1"}} for name in ("w1", "w2")])
    assert (result["failed"], result["changed"]) == (True, True)
    assert list(result["failed_nodes"]) == ["w1"]
    assert result["msg"].startswith("1 nodes could not be changed: w1: nodes/w1: refused (HTTP 403).")


def test_with_a_used_up_budget_no_further_node_is_begun(use, monkeypatch):
    names = [f"w{number}" for number in range(200)]
    refuse = {f"{NODES}/{name}" for name in names[:60]}
    pool = use(
        MemoryPool([live(name) for name in names], lambda method, path: 403 * (method == "PATCH" and path in refuse))
    )
    arguments = {"nodes": [{"name": name, "labels": {"rack": "r1"}} for name in names], "on_failure": "report"}
    result = run(node, monkeypatch, **arguments, max_fail="5%")
    states = Counter(one["state"] for one in result["nodes"].values())
    begun = sum(method == "PATCH" for method, _path in pool.log)
    assert 11 <= states["failed"] < 11 + WORKERS
    assert states["not_started"] == 200 - begun
    assert "more nodes failed than the 10 that max_fail allows" in result["nodes"]["w199"]["message"]
    assert run(node, monkeypatch, **arguments)["nodes"]["w199"]["state"] == "changed"
    assert run(node, monkeypatch, **arguments, max_fail="many")["msg"].startswith(
        "max_fail: 'many' does not say how many"
    )


def test_each_node_has_a_result_of_its_own(use, monkeypatch):
    def refuse(method, path):
        return 403 * (method == "PATCH" and path.endswith("w3"))

    labels = {"labels": {"rack": "r1"}, "annotations": {node._nodes.OWNED: '{"labels": ["rack"]}'}}
    use(MemoryPool([live("w1"), live("w2", **labels), live("w3"), live("w5", ready="False")], refuse))
    nodes = [{"name": f"w{number}", "labels": {"rack": "r1"}} for number in range(1, 6)]
    result = run(node, monkeypatch, nodes=nodes, wait_ready=1, not_ready="report", on_failure="report")
    assert "failed" not in result
    assert {name: (one["state"], one["changed"]) for name, one in result["nodes"].items()} == {
        "w1": ("changed", True),
        "w2": ("unchanged", False),
        "w3": ("failed", False),
        "w4": ("missing", False),
        "w5": ("not_ready", True),
    }
    assert result["nodes"]["w1"]["message"] == "label rack"
    assert "refused" in result["nodes"]["w3"]["message"]
    assert result["nodes"]["w5"]["message"] == "w5 says False"


class Losing(MemoryPool):
    """Does what the first PATCH says, and loses the answer."""

    lost = False

    def patch(self, path, body):
        answer = super().patch(path, body)
        if not self.lost:
            self.lost = True
            raise urllib3.exceptions.ProtocolError("Connection aborted.")
        return answer


def test_a_change_whose_answer_was_lost_is_reported(use, monkeypatch):
    pool = use(Losing([live("w1")]))
    result = run(node, monkeypatch, nodes=[{"name": "w1", "labels": {"rack": "r1"}}])
    assert [method for method, _path in pool.log] == ["GET", "PATCH", "PATCH", "GET"]
    assert (result["changed"], [step["reason"] for step in result["steps"]]) == (True, ["label rack"])


def test_what_is_not_ready_is_named(use, monkeypatch):
    use(MemoryPool([live("w1"), live("w2", "Unknown")]))
    result = run(node, monkeypatch, nodes=[{"name": "w1"}, {"name": "w2"}], wait_ready=0)
    assert "failed" not in result
    assert result["not_ready"] == {}
    result = run(node, monkeypatch, nodes=[{"name": "w1"}, {"name": "w2"}], wait_ready=1)
    assert result["not_ready"] == {"w2": "w2 says Unknown"}
    assert result["msg"] == "not Ready after 1 s: w2: w2 says Unknown"
    assert "failed" not in run(node, monkeypatch, check=True, nodes=[{"name": "w2"}], wait_ready=1)


def test_findings_become_warnings(use, monkeypatch):
    said = []
    # Where other tests have loaded the controller's side of Ansible, warnings go to its display and not to the result.
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    use(MemoryPool([live("w1", labels={"rack": "theirs"})]))
    result = run(node, monkeypatch, nodes=[{"name": "w1", "labels": {"rack": "r1"}}])
    assert result["changed"] is False
    assert "theirs" in str(said)
    assert result["findings"][0]["code"] == "ND001-foreign-value"


def test_an_unreachable_cluster_is_a_message(monkeypatch):
    result = run(node, monkeypatch, nodes=[{"name": "w1"}], kubeconfig="/nowhere")
    assert result["msg"] == "there is no kubeconfig at /nowhere. Correct kubeconfig; content is given as a mapping."
    assert "exception" not in result


def test_info(use, monkeypatch):
    use(MemoryPool([live("w1"), live("w2", "False")]))
    result = run(node_info, monkeypatch, names=["w2", "w1", "w9", "w1"])
    assert [(entry["name"], entry["ready"]) for entry in result["nodes"]] == [
        ("w1", True),
        ("w2", False),
        ("w9", False),
    ]
    assert result["not_ready"] == {"w2": "w2 says False"}
    assert [entry["name"] for entry in run(node_info, monkeypatch)["nodes"]] == ["w1", "w2"]
    assert run(node_info, monkeypatch, names=[])["nodes"] == []
