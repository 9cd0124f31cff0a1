# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking members of other hosts out of this control plane's etcd, with the quorum asserted before and after.

Private to this collection. Runs on a living control plane, so that a host that is dead needs not to answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_etcd import (
    MANIFEST,
    Gateway,
    Refused,
    Unreachable,
    place,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import API_MANIFEST, Failure
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step


@dataclass(frozen=True)
class Going:
    """A host whose member is to go. A member that never started has no name yet and is known by its ``address``.

    With ``left`` it goes although it still answers.
    """

    name: str
    address: str = ""
    left: bool = False


@dataclass(frozen=True)
class Member:
    """A member, and whether it ``serves``: it answers and has a leader."""

    identity: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()
    learner: bool = False
    serves: bool = False

    def belongs_to(self, going: Going) -> bool:
        """Whether this is the member of that host."""
        if self.name:
            return self.name == going.name
        return bool(going.address) and any(f"//{_bracketed(going.address)}:" in url for url in self.peer_urls)

    def as_dict(self) -> dict[str, Any]:
        """The member for a module's result."""
        return {
            "id": self.identity,
            "name": self.name,
            "peer_urls": list(self.peer_urls),
            "learner": self.learner,
            "serves": self.serves,
        }


@dataclass(frozen=True)
class Quorum:
    """How many members vote, how many of them serve, and how many have to."""

    voters: int
    serving: int

    @property
    def needed(self) -> int:
        """The majority of the voters."""
        return self.voters // 2 + 1

    @property
    def holds(self) -> bool:
        """Whether the cluster can write."""
        return self.voters > 0 and self.serving >= self.needed

    def as_dict(self) -> dict[str, int]:
        """The quorum for a module's result."""
        return {"voters": self.voters, "serving": self.serving, "needed": self.needed}

    def __str__(self) -> str:
        return f"{self.serving} of {self.voters} voting members serve, {self.needed} have to"


def quorum(members: Sequence[Member]) -> Quorum:
    """The quorum of a cluster with these members."""
    voters = [member for member in members if not member.learner]
    return Quorum(len(voters), sum(member.serves for member in voters))


def refusal(members: Sequence[Member], gone: Member, going: Going) -> str:
    """Why this member may not go now, with the remedy; empty when it may."""
    now = quorum(members)
    after = quorum([member for member in members if member != gone])
    if not now.holds:
        return f"etcd has no quorum: {now}. Bring another control plane up first."
    if not after.voters:
        return "it is the only voting member of etcd. A cluster goes as a whole with hybridk8s.estate.reset."
    if not after.holds:
        return f"without it etcd would have no quorum: {after}. Bring another control plane up first."
    if gone.serves and not going.left:
        return (
            f"its etcd member still answers at {', '.join(gone.client_urls)}, so the host is alive."
            " Have the host leave with hybridk8s.estate.remove, or name it in left."
        )
    return ""


@dataclass
class Outcome:
    """What became of each host: ``removed``, ``absent``, ``refused`` or ``failed``, and why."""

    states: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    before: tuple[Member, ...] = ()
    after: tuple[Member, ...] = ()

    @property
    def unsettled(self) -> dict[str, str]:
        """Why each host's member that is still there has not gone."""
        return {name: why for name, (state, why) in self.states.items() if state in ("refused", "failed")}


class Cluster:
    """The etcd cluster of the control plane ``host``; every change is tried for ``timeout`` seconds."""

    def __init__(self, host: Host, timeout: float) -> None:
        stands = place(host.read(MANIFEST))
        self.stacked = stands is not None
        if stands is None and not host.has(API_MANIFEST):
            raise Failure("This host is no control plane. Run this on a living one, for example with delegate_to.")
        # Its own member is the one most likely to answer.
        self._urls = tuple(reversed(stands.client_urls)) if stands else ()
        self._host = host
        self._gateway = Gateway(host)
        self._timeout = timeout

    def members(self) -> tuple[Member, ...]:
        """The members as their leader knows them; Unreachable when there is none, which is a lost quorum."""
        listed = self._gateway.members(self._urls, linearizable=True)
        if listed is None:
            raise Unreachable(
                f"etcd has no quorum, or does not answer on this host: {self._gateway.why}. Bring its other members up."
            )
        return tuple(self._member(raw) for raw in listed)

    def remove(self, wanted: Sequence[Going], check: bool) -> Outcome:
        """Take the members of these hosts out, one after the other, each only where the quorum holds without it."""
        if not self.stacked:
            return Outcome({going.name: ("absent", "etcd does not run on the control planes") for going in wanted})
        members = self.members()
        outcome = Outcome(before=members)
        for going in wanted:
            gone = next((member for member in members if member.belongs_to(going)), None)
            if gone is None:
                outcome.states[going.name] = ("absent", "it has no etcd member")
                continue
            why = refusal(members, gone, going)
            if why:
                outcome.states[going.name] = ("refused", why)
                continue
            rest = tuple(member for member in members if member != gone)
            try:
                members = rest if check else self._without(gone, rest)
            except Refused as error:
                outcome.states[going.name] = ("failed", str(error))
                continue
            reason = f"its host goes; of the others {quorum(rest)}"
            outcome.steps.append(Step("remove", f"etcd member/{going.name}", reason))
            outcome.states[going.name] = ("removed", "")
        outcome.after = members
        return outcome

    def _without(self, gone: Member, rest: Sequence[Member]) -> tuple[Member, ...]:
        """Remove a member and see that the others serve; a cluster that has just changed refuses for a moment.

        Raises Refused with nothing changed, and Unreachable where the quorum is not seen to hold: then nothing more
        may go.
        """
        urls = [url for member in rest if member.serves and not member.learner for url in member.client_urls]
        if not self._host.wait(lambda: self._gateway.removes(urls, gone.identity), self._timeout):
            raise Refused(f"etcd does not let go of its member {gone.name or gone.peer_urls}: {self._gateway.why}.")
        seen: list[tuple[Member, ...]] = []

        def settled() -> bool:
            try:
                seen.append(self.members())
            except Unreachable:
                return False
            return gone.identity not in {member.identity for member in seen[-1]} and quorum(seen[-1]).holds

        if self._host.wait(settled, self._timeout):
            return seen[-1]
        said = str(quorum(seen[-1])) if seen else self._gateway.why
        raise Unreachable(f"{gone.name} was removed, and etcd has not settled in {self._timeout:g} s: {said}.")

    def _member(self, raw: Any) -> Member:
        urls = tuple(raw.get("clientURLs", ()))
        return Member(
            identity=str(raw["ID"]),
            name=str(raw.get("name", "")),
            peer_urls=tuple(raw.get("peerURLs", ())),
            client_urls=urls,
            learner=bool(raw.get("isLearner")),
            serves=self._gateway.serves(urls),
        )


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
