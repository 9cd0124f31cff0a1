from __future__ import annotations

from datetime import datetime, timezone

from tests.flows import pools
from tests.integration.audit import Event

INSTANCES = {"i-1": "online-1", "i-2": "online-2"}
INTERFACES = {"eni-1": "i-1", "eni-2": "i-1", "eni-3": "i-2"}


def event(second: int, verb: str, name: str, resource: str = "nodes") -> Event:
    when = datetime.fromtimestamp(second, timezone.utc)
    return Event(verb, resource, "", name, 200, None, "kubernetes-admin", "hybridk8s.estate", "/", when, when)


def asked(second: int, action: str, status: int = 200, **parameters: str) -> dict[str, object]:
    return {"time": second, "action": action, "status": status, "parameters": parameters}


def test_each_step_counts_when_it_was_done_last():
    events = [event(1, "patch", "online-1"), event(4, "patch", "online-1"), event(3, "delete", "online-1")]
    requests = [
        asked(4, "TagResources", ResourceId="i-1"),
        asked(5, "DetachNetworkInterface", NetworkInterfaceId="eni-1", InstanceId="i-1"),
        asked(6, "DeleteNetworkInterface", NetworkInterfaceId="eni-1"),
        asked(7, "DeleteNetworkInterface", status=400, NetworkInterfaceId="eni-2"),
        asked(8, "DetachNetworkInterface", NetworkInterfaceId="eni-2", InstanceId="i-1"),
        asked(9, "DeleteNetworkInterface", NetworkInterfaceId="eni-2"),
        asked(10, "DeleteInstances", **{"InstanceId.1": "i-1", "InstanceId.2": "i-2"}),
    ]
    assert pools.end_of_each(INSTANCES, INTERFACES, requests, [*events, event(2, "delete", "w1")]) == {
        "online-1": ["cordoned", "node removed", "interfaces detached", "interfaces deleted", "instance deleted"],
        "online-2": ["instance deleted"],
    }


def test_an_instance_that_goes_before_its_node_is_seen():
    requests = [asked(1, "DeleteInstances", **{"InstanceId.1": "i-2"})]
    found = pools.end_of_each(INSTANCES, INTERFACES, requests, [event(2, "delete", "online-2")])
    assert found == {"online-1": [], "online-2": ["instance deleted", "node removed"]}
