"""The API server's audit log: who asked for what, with the bodies of changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

# The group of controllers, scheduler and kwok, whose requests are not logged.
COMPONENTS = "test:components"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "userGroups": [COMPONENTS]},
        {"level": "None", "users": ["system:apiserver", "system:anonymous"]},
        {"level": "Metadata", "verbs": ["get", "list", "watch"]},
        {"level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class Event:
    """One request that was answered. `resource` is `nodes` or, with a subresource, `pods/eviction`."""

    verb: str
    resource: str
    namespace: str
    name: str
    status: int
    body: Any
    user: str
    agent: str
    uri: str
    began: datetime
    ended: datetime
    annotations: Mapping[str, str] = field(default_factory=dict)


def read_events(log: Path, since: int) -> list[Event]:
    """The events after the first `since` bytes of the log; what is being written now is left out."""
    with log.open("rb") as file:
        file.seek(since)
        return parse_events(file.read().decode())


def parse_events(text: str) -> list[Event]:
    """The events of a log; a last line that is being written now is left out."""
    return [_event(json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _event(raw: Mapping[str, Any]) -> Event:
    of = raw.get("objectRef") or {}
    subresource = of.get("subresource")
    return Event(
        verb=raw["verb"],
        resource=of.get("resource", "") + (f"/{subresource}" if subresource else ""),
        namespace=of.get("namespace", ""),
        name=of.get("name", ""),
        status=(raw.get("responseStatus") or {}).get("code", 0),
        body=raw.get("requestObject"),
        user=raw["user"].get("username", ""),
        agent=raw.get("userAgent", ""),
        uri=raw["requestURI"],
        began=datetime.fromisoformat(raw["requestReceivedTimestamp"]),
        ended=datetime.fromisoformat(raw["stageTimestamp"]),
        annotations=raw.get("annotations") or {},
    )
