# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bootstrap tokens, with which hosts join; private to this collection.

Form of the Secret: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#bootstrap-token-secret-format
"""

from __future__ import annotations

import base64
import re
import secrets
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import MANAGED_BY, Object

SECRETS = "/api/v1/namespaces/kube-system/secrets"
# What kubeadm's default RBAC lets join: https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-token/
JOIN_GROUP = "system:bootstrappers:kubeadm:default-node-token"
TOKEN_ID = re.compile(r"[a-z0-9]{6}\Z")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]\Z")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")
_ALPHABET = string.ascii_lowercase + string.digits
LONGEST = timedelta(hours=24)


@dataclass(frozen=True)
class Token:
    """A bootstrap token: its public id and its secret half."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"{self.id}.{self.secret}"


def fresh() -> Token:
    """A new random token."""
    return Token(*("".join(secrets.choice(_ALPHABET) for _place in range(length)) for length in (6, 16)))


def duration(text: str) -> timedelta:
    """A time to live such as ``15m`` or ``1h30m``, up to 24 hours; ValueError for anything else."""
    matched = _DURATION.match(text)
    hours, minutes, seconds = (int(part or 0) for part in matched.groups()) if matched else (0, 0, 0)
    span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta() < span <= LONGEST:
        raise ValueError(f"{text!r} is not a time such as 15m or 1h30m, longer than none and at most 24h")
    return span


def bad_groups(groups: Iterable[str]) -> list[str]:
    """The groups that the API server's authenticator would not take."""
    return [group for group in groups if not _GROUP.match(group)]


def secret_name(token_id: str) -> str:
    """Name of the Secret that holds a token."""
    return f"bootstrap-token-{token_id}"


def secret_of(token: Token, expires: datetime, groups: Sequence[str], description: str) -> Object:
    """The Secret for a token that may authenticate and sign cluster-info until ``expires``."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(token.id), "namespace": "kube-system", "labels": dict(MANAGED_BY)},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": token.id,
            "token-secret": token.secret,
            "expiration": rfc3339(expires),
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": ",".join(groups),
            "description": description,
        },
    }


def rfc3339(moment: datetime) -> str:
    """``moment`` in UTC, to the second."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def expired(live: Iterable[Object], now: datetime) -> list[str]:
    """Names of the Secrets whose token is no longer valid at ``now``; one without a readable date stays."""
    return sorted(secret["metadata"]["name"] for secret in live if _is_over(secret, now))


def _is_over(secret: Object, now: datetime) -> bool:
    encoded = (secret.get("data") or {}).get("expiration")
    if not encoded:
        return False
    try:
        text = base64.b64decode(encoded).decode()
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) <= now
    except ValueError:
        return False
