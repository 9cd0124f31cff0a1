# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a control plane's etcd member out of its cluster before its data goes; private to this collection.

kubeadm reset does this too, but only for a host whose Node is in the API, and it destroys the data even when etcd
refused: then a member without data stays listed and the quorum may be lost. etcd is asked through its JSON gateway
(on by default, same port), with the client certificate that the API server uses.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_api import Answer, Kubeconfig
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure

MANIFEST = "/etc/kubernetes/manifests/etcd.yaml"
_PKI = "/etc/kubernetes/pki"
_CLIENT_PORT = 2379


class Unreachable(Failure):
    """No member of the cluster answered; whether this host's is listed is not known."""


class Refused(Failure):
    """etcd would lose its quorum, or cannot change its members now."""


@dataclass(frozen=True)
class Place:
    """Where this host's member stands: its peer URL, and the client URLs of members to ask, others first."""

    peer_url: str
    client_urls: tuple[str, ...]


def place(manifest: str) -> Place | None:
    """Read etcd's static pod manifest as kubeadm writes it; None when it is not one."""
    peer = re.search(r"--initial-advertise-peer-urls=(\S+)", manifest)
    own = re.search(r"--advertise-client-urls=(\S+)", manifest)
    cluster = re.search(r"--initial-cluster=(\S+)", manifest)
    if not peer or not own:
        return None
    members = cluster.group(1).split(",") if cluster else []
    others = [url for url in (member.partition("=")[2] for member in members) if url and url != peer.group(1)]
    return Place(peer.group(1), tuple([_client_url(url) for url in others] + own.group(1).split(",")))


def leave(host: Host, timeout: float) -> bool:
    """Take this host's member out of its etcd cluster; whether there was one to take out.

    False also where it is the only member. Tries for ``timeout`` seconds: a member that has just come or gone makes
    etcd refuse for a moment. Raises Unreachable or Refused, with nothing changed.
    """
    stands = place(host.read(MANIFEST))
    if stands is None:
        return False
    attempt = _Attempt(host, stands)
    if host.wait(attempt.made, timeout):
        return attempt.removed
    if attempt.listed:
        raise Refused(f"etcd does not let go of its member {stands.peer_url}: {attempt.gateway.why}")
    raise Unreachable(f"no member of the etcd cluster of {stands.peer_url} answered: {attempt.gateway.why}")


class Gateway:
    """etcd's JSON gateway, asked with the API server's certificate; ``why`` is what it said when it last refused."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.why = ""

    def members(self, urls: Iterable[str], linearizable: bool = False) -> list[Mapping[str, Any]] | None:
        """The members as the first of these that answers knows them; None when none does.

        A ``linearizable`` list comes from the leader: only a cluster that has its quorum gives one.
        """
        for url in urls:
            answer = self._ask(url, "cluster/member/list", {"linearizable": True} if linearizable else {})
            if answer.status == 200:
                members: list[Mapping[str, Any]] = answer.body.get("members", [])
                return members
        return None

    def removes(self, urls: Iterable[str], member: str) -> bool:
        """Whether one of these takes the member of this id out of the cluster."""
        return any(self._ask(url, "cluster/member/remove", {"ID": member}).status == 200 for url in urls)

    def serves(self, urls: Iterable[str]) -> bool:
        """Whether the member with these URLs answers and follows, or is, a leader."""
        answers = (self._ask(url, "maintenance/status", {}) for url in urls)
        return any(answer.status == 200 and str(answer.body.get("leader", "0")) != "0" for answer in answers)

    def _ask(self, url: str, what: str, body: Mapping[str, Any]) -> Answer:
        access = Kubeconfig(url, self._host.read(f"{_PKI}/etcd/ca.crt"), client_pem=_client_pem(self._host))
        answer = self._host.ask(access, "POST", f"/v3/{what}", body=body)
        if answer.status != 200:
            self.why = answer.error or str(answer.body.get("message") or answer.body.get("error") or answer.status)
        return answer


class _Attempt:
    def __init__(self, host: Host, stands: Place) -> None:
        self.gateway = Gateway(host)
        self.stands = stands
        self.removed = False
        self.listed = False

    def made(self) -> bool:
        """One try; whether nothing is left to do."""
        members = self.gateway.members(self.stands.client_urls)
        if members is None:
            return False
        self.listed = True
        mine = [member for member in members if self.stands.peer_url in member.get("peerURLs", [])]
        if not mine or len(members) == 1:
            return True
        voters = [member for member in members if member not in mine and not member.get("isLearner")]
        urls = [url for member in voters for url in member.get("clientURLs", [])]
        self.removed = self.gateway.removes([*urls, *self.stands.client_urls], str(mine[0]["ID"]))
        return self.removed


def _client_pem(host: Host) -> str:
    return "".join(host.read(f"{_PKI}/apiserver-etcd-client.{kind}") for kind in ("crt", "key"))


def _client_url(peer_url: str) -> str:
    """kubeadm's members all listen on the usual port for clients (kubernetes:cmd/kubeadm/app/util/etcd)."""
    host = urllib.parse.urlsplit(peer_url).hostname or ""
    return f"https://{f'[{host}]' if ':' in host else host}:{_CLIENT_PORT}"


def unlisted_remedy(name: str) -> str:
    """What to do about a member that may have stayed."""
    return (
        f"The etcd member of {name} may still be listed in its cluster. Check with `etcdctl member list` on another"
        " control plane and remove it there with `etcdctl member remove ID`."
    )
