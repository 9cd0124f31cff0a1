# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The passwords of sessions with switches, where calico-node reads them; private to this collection.

They lie in one Secret in calico-node's namespace, a key a switch, and a Role and a RoleBinding let calico-node read it.
A peer whose Secret cannot be read is rendered without a password, with no more than a line in a log (domain facts A3),
so all three are there before the first peer that refers to them, and go after the last one.

No step holds a password, not even in a form that tells whether two are the same.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import objects, traffic
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import Object, Write
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.observed import Observed
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology, TopologyError
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step


class Passwords:
    """What is wanted against what is there. ``held`` names the switches whose sessions stay as they are."""

    def __init__(self, topology: Topology, observed: Observed, given: Mapping[str, str], held: Collection[str]) -> None:
        self._topology = topology
        self._observed = observed
        self._name = objects.secret_name(topology)
        self._wanted = _wanted(topology, given)
        self._held = {session.password_key for session in topology.sessions if session.switch in held}
        self._stored: Mapping[str, str] = (self._found(objects.SECRETS) or {}).get("data") or {}

    def additions(self) -> Iterator[Write]:
        """Passwords that no peer refers to yet, and the right to read them."""
        if not self._wanted:
            return
        new = {key: value for key, value in self._wanted.items() if key not in self._stored}
        keys = f"keys: {', '.join(sorted(new))}"
        yield from self._ensure(
            objects.SECRETS, {"apiVersion": "v1", "type": "Opaque"}, {"data": new} if new else {}, keys if new else ""
        )
        for resource, content in ((objects.ROLES, self._role()), (objects.ROLE_BINDINGS, self._binding())):
            yield from self._ensure(resource, {"apiVersion": objects.RBAC}, content, objects.text(content))

    def changes(self) -> Iterator[Write]:
        """Passwords that peers have already, one after the other."""
        for key, value in sorted(self._wanted.items()):
            if key in self._stored and self._stored[key] != value and key not in self._held:
                sessions = [session for session in self._topology.sessions if session.password_key == key]
                noticed = traffic.restart(self._topology, sessions)
                reason = f"the password of {key} differs from the inventory"
                yield self._write("patch", objects.SECRETS, {"data": {key: value}}, reason, noticed)

    def removals(self, staying_peers: Collection[Object]) -> Iterator[Write]:
        """What nothing refers to any more. ``staying_peers`` are those beside the inventory's that will be left."""
        needed = {*self._wanted, *(key for peer in staying_peers for key in [self._key_of(peer)] if key)}
        if needed:
            stale = sorted(set(self._stored) - needed)
            if stale:
                reason = f"no session has the password of {', '.join(stale)} any more"
                body = {"data": dict.fromkeys(stale)}
                yield self._write("patch", objects.SECRETS, body, reason, traffic.NO_LONGER_USED)
            return
        for resource in (objects.ROLE_BINDINGS, objects.ROLES, objects.SECRETS):
            there = self._found(resource)
            if there is not None and objects.is_ours(there, self._topology.estate):
                yield self._write("delete", resource, {}, "no session has a password any more", traffic.NO_LONGER_USED)

    def _ensure(self, resource: str, head: Object, content: Object, shown: str) -> Iterator[Write]:
        there = self._found(resource)
        whole = {
            **head,
            "kind": objects.KINDS[resource],
            "metadata": {"name": self._name, **objects.ownership(self._topology.estate)},
            **content,
        }
        if there is not None and "roleRef" in content and there.get("roleRef") != content["roleRef"]:
            yield self._write("delete", resource, {}, "it grants another role, which cannot be changed", traffic.UNUSED)
            there = None
        if there is None:
            yield self._write(
                "create", resource, whole, "sessions of the inventory have passwords", self._noticed, shown
            )
            return
        body = {key: value for key, value in content.items() if there.get(key) != value}
        if not objects.is_ours(there, self._topology.estate):
            body["metadata"] = objects.ownership(self._topology.estate)
        if body:
            yield self._write("patch", resource, body, "differs from the inventory", self._noticed, shown)

    def _write(self, verb: str, resource: str, body: Object, reason: str, noticed: str, shown: str = "") -> Write:
        """One request; ``shown`` is what a person may see of the body."""
        action = "update" if verb == "patch" else verb
        target = f"{objects.KINDS[resource]}/{self._name}"
        return Write(verb, resource, self._name, body, Step(action, target, reason, "", shown, noticed))

    @property
    def _noticed(self) -> str:
        """What traffic could notice when passwords, or the right to read them, come."""
        peers = self._observed.objects.get(objects.PEERS, {}).values()
        return traffic.GAIN_PASSWORDS if any(map(self._key_of, peers)) else traffic.UNUSED

    def _found(self, resource: str) -> Object | None:
        return self._observed.objects.get(resource, {}).get(self._name)

    def _key_of(self, peer: Object) -> str:
        """The key of our Secret that a peer refers to, if it does."""
        reference = (peer.get("spec", {}).get("password") or {}).get("secretKeyRef") or {}
        return str(reference.get("key") or "") if reference.get("name") == self._name else ""

    def _role(self) -> dict[str, Any]:
        # confd lists and watches by name, which a rule with resourceNames allows.
        rule = {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [self._name],
            "verbs": ["get", "list", "watch"],
        }
        return {"rules": [rule]}

    def _binding(self) -> dict[str, Any]:
        calico = self._observed.calico
        return {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self._name},
            "subjects": [{"kind": "ServiceAccount", "name": calico.account, "namespace": calico.namespace}],
        }


def _wanted(topology: Topology, given: Mapping[str, str]) -> dict[str, str]:
    """The passwords as the Secret has them."""
    keys = {session.password_key for session in topology.sessions if session.password_key}
    missing = sorted(keys - set(given))
    if missing:
        raise TopologyError(
            f"passwords lacks {', '.join(missing)}. Make it with the filter hybridk8s.estate.bgp_passwords."
        )
    return {key: b64encode(given[key].encode()).decode() for key in keys}
