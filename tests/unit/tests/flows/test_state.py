from __future__ import annotations

import pytest

from tests.flows import state


@pytest.mark.parametrize(
    ("one", "other", "lines"),
    [
        pytest.param({"a": [1, 2]}, {"a": [2, 1]}, [], id="order of lines does not matter"),
        pytest.param({"h": ["x 1"]}, {"h": ["x 2"]}, ["/h: - x 1", "/h: + x 2"], id="a line"),
        pytest.param({"h": ["x"]}, {}, ["/h: ['x'] != None"], id="a host is gone"),
        pytest.param({"n": {"w1": {"l": 1}}}, {"n": {"w1": {"l": 2}}}, ["/n/w1/l: 1 != 2"], id="deep"),
    ],
)
def test_differences(one, other, lines):
    assert state.differences(one, other) == lines


def test_reduce_node_keeps_what_the_inventory_decides():
    node = {
        "metadata": {
            "name": "w1",
            "labels": {"disk": "nvme"},
            "annotations": {
                "projectcalico.org/IPv4Address": "10.20.1.21/24",
                "projectcalico.org/RouteReflectorClusterID": "244.0.0.1",
                "estate.hybridk8s.io/owned": "{}",
            },
        },
        "spec": {"taints": [{"key": "b", "effect": "NoSchedule"}, {"key": "a", "value": "1", "effect": "NoExecute"}]},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "now"}],
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
        },
    }

    assert state.reduce_node(node) == {
        "labels": {"disk": "nvme"},
        "annotations": {
            "projectcalico.org/RouteReflectorClusterID": "244.0.0.1",
            "estate.hybridk8s.io/owned": "{}",
        },
        "taints": ["a=1:NoExecute", "b=:NoSchedule"],
        "ready": ["True"],
        "version": "v1.36.3",
    }
