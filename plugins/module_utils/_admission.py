# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Admitting nodes that joined, each once a test pod has run on it; private to this collection.

A pod is bound to its node directly and tolerates everything, so that it runs where no other pod may come yet. It ends
with the module, whatever becomes of it; pods that a killed run left on a node go first.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils import _nodes
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    MANAGED_BY,
    OWN_PREFIX,
    Cluster,
    KubeError,
    Object,
    parallel,
    segment,
    until_settled,
)

TEST_LABEL = OWN_PREFIX + "test-run"
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Trial:
    """What has to run on a node. With ``command`` the pod must end well, without it only become Ready."""

    image: str
    command: Sequence[str] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "kube-system"

    @property
    def path(self) -> str:
        """The API path of the test pods."""
        return f"/api/v1/namespaces/{segment(self.namespace)}/pods"


@dataclass(frozen=True)
class Verdict:
    """What became of a node: ``state`` is ``admitted``, ``failed``, ``unchanged`` or ``missing``."""

    state: str
    message: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The form in a module's result."""
        return {"state": self.state, "message": self.message, "changed": self.state == "admitted"}


def joining(node: Object) -> bool:
    """Whether the node has joined and is not admitted yet."""
    return any(
        f"{taint['key']}:{taint['effect']}" == _nodes.JOINING for taint in node.get("spec", {}).get("taints") or ()
    )


def pod(test: Trial, node: str, run: str) -> Object:
    """The test pod of one node."""
    container: Object = {"name": "test", "image": test.image}
    if test.command:
        container["command"] = list(test.command)
    if test.resources:
        container["resources"] = {"requests": dict(test.resources), "limits": dict(test.resources)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "estate-test-", "labels": {**MANAGED_BY, TEST_LABEL: run}},
        "spec": {
            "nodeName": node,
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
        },
    }


def passed(test: Trial, found: Object) -> bool | None:
    """Whether the test was passed; None while that is open."""
    status = found.get("status", {})
    phase = status.get("phase")
    if phase == "Succeeded":
        return bool(test.command)
    if phase == "Failed":
        return False
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ())
    return True if ready and not test.command else None


def trouble(found: Object) -> str:
    """What the pod says about why it has not passed."""
    status = found.get("status", {})
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        waiting, ended = state.get("waiting"), state.get("terminated")
        if ended:
            said = ended.get("message") or ended.get("reason") or "no message"
            return f"the test pod ended with exit code {ended.get('exitCode')}: {said}"
        if waiting:
            return f"the test pod waits: {waiting.get('message') or waiting.get('reason') or 'no reason given'}"
    phase = str(status.get("phase") or "Pending")
    return f"the test pod is {phase}: {status.get('message') or status.get('reason') or 'its kubelet has not reported'}"


def admit(
    cluster: Cluster, test: Trial, nodes: Collection[str], timeout: float, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Verdict]:
    """Run the test on each of these nodes at once, and admit those that pass it within ``timeout`` seconds."""
    run = uuid.uuid4().hex[:12]
    _remove(cluster, test, [one for one in _pods(cluster, test, TEST_LABEL) if one["spec"].get("nodeName") in nodes])
    deadline = time.monotonic() + timeout
    verdicts: dict[str, Verdict] = {}
    try:
        for outcome in parallel(lambda name: cluster.create(test.path, pod(test, name, run)), sorted(nodes)):
            if outcome.error:
                verdicts[outcome.item] = Verdict("failed", f"its test pod could not be made: {outcome.error}")
        begun = [name for name in nodes if name not in verdicts]
        good, bad = _outcomes(cluster, test, f"{TEST_LABEL}={run}", begun, deadline, sleep)
        verdicts.update({name: Verdict("failed", why) for name, why in bad.items()})
    finally:
        _remove(cluster, test, _pods(cluster, test, f"{TEST_LABEL}={run}"))
    for lifted in parallel(lambda name: _lift(cluster, name), sorted(good)):
        verdicts[lifted.item] = Verdict("failed", str(lifted.error)) if lifted.error else Verdict("admitted")
    return verdicts


def _outcomes(
    cluster: Cluster,
    test: Trial,
    selector: str,
    names: Collection[str],
    deadline: float,
    sleep: Callable[[float], None],
) -> tuple[list[str], dict[str, str]]:
    """The nodes that passed, and why each of the others did not."""
    good: list[str] = []
    bad: dict[str, str] = {}
    while True:
        pods = {one["spec"].get("nodeName"): one for one in _pods(cluster, test, selector)}
        waiting: dict[str, str] = {}
        for name in names:
            if name in good or name in bad:
                continue
            verdict = passed(test, pods[name]) if name in pods else False
            why = trouble(pods[name]) if name in pods else "the test pod was deleted by somebody else"
            if verdict is None:
                waiting[name] = why
            elif verdict:
                good.append(name)
            else:
                bad[name] = why
        if not waiting or time.monotonic() >= deadline:
            return good, {**bad, **{name: f"{why} (waited to the end)" for name, why in waiting.items()}}
        sleep(POLL_SECONDS)


def _pods(cluster: Cluster, test: Trial, selector: str) -> list[Object]:
    return cluster.list(test.path, query={"labelSelector": selector})


def _remove(cluster: Cluster, test: Trial, pods: Sequence[Object]) -> None:
    names = [one["metadata"]["name"] for one in pods]
    for outcome in parallel(lambda name: cluster.delete(f"{test.path}/{segment(name)}"), names):
        if outcome.error:
            raise KubeError(f"the test pod {outcome.item} could not be deleted: {outcome.error}")


def _lift(cluster: Cluster, name: str) -> None:
    wish = _nodes.NodeWish(name, admit=True)
    until_settled(lambda _reread: _nodes.update(cluster, wish, {}, adopt=False, reread=True))
