# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import (
    as_dict,
    passwords_of,
    topology_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import EmptyCluster, KubeError
from ansible_collections.hybridk8s.estate.plugins.modules import bgp_topology

from tests.unit.plugins.module_utils._bgp.fake_calico import FakeCalico
from tests.unit.plugins.module_utils._bgp.test_emptying import pod
from tests.unit.plugins.module_utils.estates import two_racks

LAB = topology_of(two_racks())


def call(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    cluster: Any,
    check: bool = False,
    diff: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    monkeypatch.setattr(bgp_topology, "open_cluster", lambda _module: cluster)
    monkeypatch.setattr(apply, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(apply, "RENDER_SECONDS", 0.0)
    run = {"_ansible_check_mode": check, "_ansible_diff": diff}
    options = {"topology": as_dict(LAB), "gate_timeout": 20, **run, **changes}
    with patch_module_args(options), pytest.raises(SystemExit):
        bgp_topology.main()
    shaped: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shaped


def test_check_run_and_second_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeCalico(LAB)
    foreseen = call(capsys, monkeypatch, api, check=True, diff=True)
    assert foreseen["changed"] is True
    assert api.writes == []
    assert any(line.startswith("wait for reflectors-carry-all-routes (8 sessions)") for line in foreseen["plan"])

    assert [next(iter(part.values())) for part in foreseen["diff"] if "wait for" in str(part)] == [
        f"{line}\n" for line in foreseen["plan"] if line.startswith("wait for")
    ]
    assert all(step["traffic"] for step in foreseen["steps"])

    done = call(capsys, monkeypatch, api, diff=True)
    assert (done["changed"], done["steps"], done["diff"]) == (True, foreseen["steps"], foreseen["diff"])
    assert [gate["gate"] for gate in done["gates"]][-1] == "all-sessions"
    assert done["sessions"]["established"] == done["sessions"]["expected"] == 10
    assert [(s["node"], s["peer"], s["state"]) for s in done["sessions"]["listed"]] == [
        ("w1", "tor1", "Established"),
        ("w3", "tor2", "Established"),
    ]

    for check in (True, False):
        again = call(capsys, monkeypatch, api, check=check)
        assert (again["changed"], again["steps"]) == (False, [])


def test_check_mode_before_there_is_a_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreseen = call(capsys, monkeypatch, EmptyCluster(), check=True)
    assert foreseen["changed"] is True
    assert [line for line in foreseen["plan"] if "Node/w1" in line] == [
        "promote Node/w1: the inventory names it as a route reflector; "
        "traffic: pods on w1: some seconds while its sessions start anew; all others keep their paths"
    ]


def test_passwords_reach_the_secret_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = two_racks()
    assert plain.bgp is not None
    estate = replace(plain, bgp=replace(plain.bgp, password="hunter2-hunter2"))
    options = {"topology": as_dict(topology_of(estate)), "passwords": passwords_of(estate)}
    api = FakeCalico(topology_of(estate))
    api.wire(topology_of(estate), passwords_of(estate))
    for check in (True, False):
        done = call(capsys, monkeypatch, api, check=check, diff=True, **options)
        assert done["changed"] is True
        assert "hunter2" not in json.dumps(done)
        assert set(done["invocation"]["module_args"]["passwords"].values()) == {"VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"}
    assert b64decode(api.store["secrets"]["lab-bgp-passwords"]["data"]["r1-tor1"]) == b"hunter2-hunter2"
    failed = call(capsys, monkeypatch, api, **{**options, "passwords": {}})
    assert "passwords lacks r1-tor1, r2-tor2" in failed["msg"]


def test_nodes_with_pods_are_drained_before_they_start_their_sessions_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeCalico(LAB)
    api.pods["w1"] = [pod()]
    foreseen = call(capsys, monkeypatch, api, check=True, spare_pods=True)
    assert (foreseen["to_drain"], api.writes) == (["w1"], [])
    assert any(line.startswith("promote Node/w1") for line in foreseen["plan"])

    waits = call(capsys, monkeypatch, api, spare_pods=True)
    assert (waits["to_drain"], api.writes) == (["w1"], ["patch nodes/w1"])
    assert [step["action"] for step in waits["steps"]] == ["reserve"]
    assert call(capsys, monkeypatch, api, spare_pods=True)["changed"] is False

    api.pods.clear()
    api.nodes["w1"]["spec"] = {"unschedulable": True}
    done = call(capsys, monkeypatch, api, spare_pods=True)
    assert (done["to_drain"], done["steps"][-1]["action"], done["steps"][-1]["target"]) == ([], "release", "Node/w1")
    assert api.nodes["w1"]["spec"] == {}
    assert call(capsys, monkeypatch, api, spare_pods=True)["changed"] is False


def test_a_call_that_spares_no_pods_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeCalico(LAB)
    api.pods["w1"] = [pod()]
    done = call(capsys, monkeypatch, api)
    assert (done["to_drain"], done["gates"][-1]["gate"]) == ([], "all-sessions")


def test_a_cluster_without_calico(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    bare = FakeCalico(LAB)
    bare.served = bare.defined = []
    assert call(capsys, monkeypatch, bare, check=True)["changed"] is True
    failed = call(capsys, monkeypatch, bare)
    assert failed["failed"] is True
    assert "Install Calico first" in failed["msg"]


def test_a_gate_that_stays_shut_says_what_was_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FakeCalico(LAB)
    api.broken = {frozenset(("w3", "10.20.2.1"))}
    failed = call(capsys, monkeypatch, api, gate_timeout=1)
    assert failed["failed"] is True
    assert failed["changed"] is True
    assert "w3 (10.20.2.21, AS 64512) <-> switch tor2 (10.20.2.1, AS 64902)" in failed["msg"]
    assert {"action": "update", "target": "BGPConfiguration/default"}.items() <= failed["steps"][-3].items()
    assert [s["state"] for s in failed["sessions"]["listed"]] == ["Established", "Active"]
    api.broken = set()
    assert call(capsys, monkeypatch, api)["changed"] is False


@pytest.mark.parametrize(
    ("topology", "said"),
    [({}, "topology lacks"), ({**as_dict(LAB), "imports": ["0.0.0.0/0"]}, "0.0.0.0/0")],
)
def test_a_topology_that_does_not_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, topology: dict[str, Any], said: str
) -> None:
    api = FakeCalico(LAB)
    failed = call(capsys, monkeypatch, api, topology=topology)
    assert failed["failed"] is True
    assert said in failed["msg"]
    assert api.writes == []


def test_the_api_goes_away_half_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeCalico(LAB)
    create = api.create

    def failing(path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("bgppeers"):
            raise KubeError("no answer within 40 s")
        return create(path, body)

    monkeypatch.setattr(api, "create", failing)
    failed = call(capsys, monkeypatch, api)
    assert failed["msg"] == "no answer within 40 s"
    assert failed["steps"][0]["target"] == "BGPFilter/lab-switches"
    assert failed["changed"] is True


def test_a_held_switch_is_not_waited_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeCalico(LAB)
    api.broken = {frozenset(("w3", "10.20.2.1"))}
    done = call(capsys, monkeypatch, api, held_switches=["tor2"])
    assert done["changed"] is True
    assert not [line for line in done["plan"] if "lab-r2-tor2" in line]


def test_a_dead_node_is_a_warning(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeCalico(LAB)
    api.ready("w4", "Unknown")
    warned: list[str] = []
    monkeypatch.setattr(bgp_topology.AnsibleModule, "warn", lambda _self, text: warned.append(text))
    assert call(capsys, monkeypatch, api)["changed"] is True
    assert warned == ["w4 is down (its kubelet does not answer); no gate waited for it."]
