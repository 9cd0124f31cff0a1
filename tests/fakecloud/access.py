"""Who may do what: from a signed request to an account, or a refusal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.fakecloud.cloud import Cloud
from tests.fakecloud.errors import ApiError, forbidden
from tests.fakecloud.signature import CLOCK_SKEW_SECONDS, Claim, Signed, check, claim
from tests.fakecloud.world import allows


@dataclass(frozen=True)
class Identity:
    """Whose request it is. `key` is the access key's id."""

    account: str
    key: str
    allow: tuple[str, ...]


def identify(cloud: Cloud, request: Signed) -> Identity:
    """The signer of a request, whose signature is right and was not used before."""
    claimed = claim(request)
    secret, identity = _known(cloud, claimed)
    check(claimed, secret, time.time())
    _use_once(cloud.nonces, claimed)
    return identity


def authorize(identity: Identity, product: str, action: str) -> None:
    if not allows(identity.allow, product, action):
        raise forbidden()


def _known(cloud: Cloud, claimed: Claim) -> tuple[str, Identity]:
    key = cloud.world.keys.get(claimed.key)
    if key is not None:
        return key.secret, Identity(key.account, key.id, key.allow)
    session = cloud.sessions.get(claimed.key)
    if session is None:
        raise ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if session.security_token != claimed.security_token:
        raise ApiError(400, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatches.")
    if session.expires <= cloud.now():
        raise ApiError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
    role = cloud.world.roles.get(session.role)
    return session.secret, Identity(session.account, session.id, role.allow if role else ())


def _use_once(nonces: dict[str, float], claimed: Claim) -> None:
    now = time.time()
    if claimed.nonce in nonces:
        raise ApiError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
    nonces[claimed.nonce] = now
    for old in _expired(nonces, now):
        del nonces[old]


def _expired(nonces: Mapping[str, float], now: float) -> list[str]:
    """Those that no time stamp could use again; they lie in the order of their use."""
    found = []
    for nonce, used in nonces.items():
        if now - used < 2 * CLOCK_SKEW_SECONDS:
            break
        found.append(nonce)
    return found
