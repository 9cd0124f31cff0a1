"""What kwok does to nodes and pods: its own `fast` stages, with the delays that tests need patched in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MANAGED = {"kwok.x-k8s.io/node": "fake"}
MANAGED_SELECTOR = "kwok.x-k8s.io/node=fake"
# A pod's annotation: how long it takes to go, such as "30s", after it was evicted or deleted.
DELETE_DELAY = "pod-delete.stage.kwok.x-k8s.io/delay"
# How long it takes otherwise. When a StatefulSet's pod is back under its name before the disruption controller has seen
# it end, the new one counts as disrupted for two minutes.
_END_SECONDS = 1

_NEVER_SECONDS = 24 * 3600
_READY_DELAY = "pod-ready.stage.kwok.x-k8s.io/delay"
_STARTED = """
conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ Now | Quote }}}
- {type: Ready, status: "False", reason: ContainersNotReady, lastTransitionTime: {{ Now | Quote }}}
- {type: ContainersReady, status: "False", reason: ContainersNotReady, lastTransitionTime: {{ Now | Quote }}}
phase: Running
startTime: {{ Now | Quote }}
"""


def grace_seconds(lease_seconds: int) -> int:
    """How long the node lifecycle controller waits for a lease; nodes without leases are never Unknown."""
    return lease_seconds * 5 // 4 if lease_seconds else _NEVER_SECONDS


def stages(share: Path, ready_delay: float) -> str:
    """kwok's configuration. A pod is Running as soon as it is bound, and Ready `ready_delay` seconds later.

    Pods with finalizers stay until these are gone.
    """
    documents = {document["metadata"]["name"]: document for document in _upstream(share)}
    _delay(documents["pod-delete"], _END_SECONDS, DELETE_DELAY)
    documents["pod-delete"]["spec"]["selector"]["matchExpressions"].append(
        {"key": ".metadata.finalizers", "operator": "DoesNotExist"}
    )
    if ready_delay:
        # Upstream a pod is Pending until it is Ready. Budgets don't protect Pending pods: nothing would be tested.
        ready = documents["pod-ready"]
        documents["pod-started"] = _started(ready)
        for expression in ready["spec"]["selector"]["matchExpressions"]:
            if expression["key"] == ".status.phase":
                expression["values"] = ["Running"]
        _delay(ready, ready_delay, _READY_DELAY)
    return yaml.safe_dump_all(documents.values())


def _upstream(share: Path) -> Iterator[dict[str, Any]]:
    for kind in ("node", "pod"):
        for path in sorted((share / "kustomize" / "stage" / kind / "fast").glob(f"{kind}-*.yaml")):
            yield yaml.safe_load(path.read_text())


def _delay(stage: dict[str, Any], seconds: float, annotation: str) -> None:
    stage["spec"]["delay"] = {
        "durationMilliseconds": int(seconds * 1000),
        "durationFrom": {"expressionFrom": f'.metadata.annotations["{annotation}"]'},
    }


def _started(ready: dict[str, Any]) -> dict[str, Any]:
    expressions = [
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
    ]
    return {
        **ready,
        "metadata": {"name": "pod-started"},
        "spec": {
            "resourceRef": ready["spec"]["resourceRef"],
            "selector": {"matchExpressions": expressions},
            "next": {"statusTemplate": _STARTED},
        },
    }
