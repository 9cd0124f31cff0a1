from __future__ import annotations

import json

import pytest

from tests.flows import proof

BIRD = """BIRD v0.3.3+birdv1.6.8 ready.
name     proto    table    state  since       info
static1  Static   master   up     06:01:12
kernel1  Kernel   master   up     06:01:12
Node_10_20_1_22 BGP      master   up     06:01:14    Established
Node_10_20_1_1 BGP      master   start  06:01:12    Active        Socket: Connection refused
Global_10_20_2_1 BGP      master   up     06:01:15    Established
"""


def test_parse_bird_sessions_takes_bgp_only():
    assert proof.parse_bird_sessions("w1", BIRD) == (
        proof.Session("w1", "Node_10_20_1_22", True),
        proof.Session("w1", "Node_10_20_1_1", False),
        proof.Session("w1", "Global_10_20_2_1", True),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", ()),
        (
            json.dumps({"peers": {"10.20.2.1": {"state": "Established"}, "10.20.1.21": {"state": "Active"}}}),
            (proof.Session("tor1", "10.20.1.21", False), proof.Session("tor1", "10.20.2.1", True)),
        ),
    ],
)
def test_parse_switch_sessions(text, expected):
    assert proof.parse_switch_sessions("tor1", text) == expected


def path(hop, **flags):
    return {"valid": True, "nexthops": [{"ip": hop, "used": True}], **flags}


@pytest.mark.parametrize(
    ("paths", "hops"),
    [
        pytest.param([path("10.20.1.21", bestpath=True), path("10.20.2.1")], {"10.20.1.21"}, id="best path alone"),
        pytest.param(
            [path("10.20.1.21", bestpath=True), path("10.20.1.22", multipath=True)],
            {"10.20.1.21", "10.20.1.22"},
            id="several used",
        ),
        pytest.param([path("10.20.1.21")], set(), id="known but not used"),
    ],
)
def test_parse_switch_routes(paths, hops):
    assert proof.parse_switch_routes(json.dumps({"routes": {"10.21.5.0/26": paths}})) == {"10.21.5.0/26": hops}


@pytest.fixture
def cluster(monkeypatch):
    nodes = (proof.Node("w1", True, True, "v1", "10.20.1.21"), proof.Node("w3", True, True, "v1", "10.20.2.21"))
    monkeypatch.setattr(proof, "nodes", lambda: nodes)
    monkeypatch.setattr(proof, "pod_blocks", lambda: {"10.21.5.0/26": "w1", "10.21.9.0/26": "w3"})


@pytest.mark.parametrize(
    ("routes", "missing"),
    [
        ({"10.21.5.0/26": {"10.20.1.21"}, "10.21.9.0/26": {"10.20.2.21"}}, set()),
        ({"10.21.5.0/26": {"10.20.1.21"}}, {"10.21.9.0/26"}),
        ({"10.21.5.0/26": {"10.20.2.1"}, "10.21.9.0/26": {"10.20.2.21"}}, {"10.21.5.0/26"}),
    ],
)
def test_missing_blocks(cluster, monkeypatch, routes, missing):
    monkeypatch.setattr(proof, "switch_routes", lambda _: routes)

    assert set(proof.missing_blocks("tor1")) == missing


def test_parse_node():
    node = {
        "metadata": {"name": "w1"},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "DiskPressure", "status": "True"}, {"type": "Ready", "status": "Unknown"}],
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
            "addresses": [{"type": "Hostname", "address": "w1"}, {"type": "InternalIP", "address": "10.20.1.21"}],
        },
    }

    assert proof.parse_node(node) == proof.Node("w1", False, False, "v1.36.3", "10.20.1.21")
