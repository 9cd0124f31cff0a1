"""Who signed a request: ACS3-HMAC-SHA256 in the header, as new SDKs do, or HMAC-SHA1 in the query, as old ones do."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote

from tests.fakecloud.errors import ApiError

ALGORITHM = "ACS3-HMAC-SHA256"
CLOCK_SKEW_SECONDS = 900.0


@dataclass(frozen=True)
class Signed:
    """A request as it came in. Header names are lower case, the path as it was sent, the query and form decoded."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Claim:
    """What a request says of its signer, and its signature; `expect` tells what that should be, by the secret."""

    key: str
    security_token: str
    nonce: str
    timestamp: str
    given: str
    text: str
    algorithm: str

    def matches(self, secret: str) -> bool:
        if self.algorithm == ALGORITHM:
            expected = hmac.new(secret.encode(), self.text.encode(), hashlib.sha256).hexdigest()
        else:
            digest = hmac.new(f"{secret}&".encode(), self.text.encode(), hashlib.sha1).digest()
            expected = base64.b64encode(digest).decode()
        return hmac.compare_digest(expected, self.given)


def claim(request: Signed) -> Claim:
    if request.headers.get("authorization", "").startswith(f"{ALGORITHM} "):
        return _header_claim(request)
    if "Signature" in request.query or "Signature" in request.form:
        return _query_claim(request)
    raise ApiError(400, "MissingAccessKeyId", "AccessKeyId is mandatory for this action.")


def check(claimed: Claim, secret: str, now: float) -> None:
    try:
        moment = datetime.strptime(claimed.timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise ApiError(
            400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."
        ) from None
    if abs(moment.timestamp() - now) > CLOCK_SKEW_SECONDS:
        raise ApiError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
    if not claimed.nonce:
        raise ApiError(400, "MissingSignatureNonce", "SignatureNonce is mandatory for this action.")
    if not claimed.matches(secret):
        text = f"Specified signature is not matched with our calculation. server string to sign is:{claimed.text}"
        raise ApiError(400, "SignatureDoesNotMatch", text)


def _header_claim(request: Signed) -> Claim:
    headers = request.headers
    fields = dict(
        part.strip().partition("=")[::2] for part in headers["authorization"][len(ALGORITHM) + 1 :].split(",")
    )
    if not {"Credential", "SignedHeaders", "Signature"} <= set(fields):
        raise ApiError(400, "IncompleteSignature", "The request signature does not conform to the standard.")
    digest = hashlib.sha256(request.body).hexdigest()
    if headers.get("x-acs-content-sha256", "") != digest:
        raise ApiError(400, "InvalidContentSha256", "The x-acs-content-sha256 header does not match the body.")
    names = fields["SignedHeaders"].split(";")
    unsigned = [name for name in headers if name.startswith("x-acs-") and name not in names]
    if unsigned or "host" not in names:
        raise ApiError(400, "IncompleteSignature", f"These headers have to be signed: {', '.join(unsigned) or 'host'}.")
    canonical = "\n".join(
        [
            request.method,
            request.path,
            _encoded(request.query),
            *(f"{name}:{headers.get(name, '').strip()}" for name in names),
            "",
            fields["SignedHeaders"],
            digest,
        ]
    )
    return Claim(
        key=fields["Credential"],
        security_token=headers.get("x-acs-security-token", ""),
        nonce=headers.get("x-acs-signature-nonce", ""),
        timestamp=headers.get("x-acs-date", ""),
        given=fields["Signature"],
        text=f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}",
        algorithm=ALGORITHM,
    )


def _query_claim(request: Signed) -> Claim:
    values = {**request.query, **request.form}
    method = values.get("SignatureMethod", "")
    if method != "HMAC-SHA1" or values.get("SignatureVersion") != "1.0":
        raise ApiError(400, "InvalidParameter.SignatureMethod", f"The signature method {method!r} is not supported.")
    given = values.pop("Signature")
    return Claim(
        key=values.get("AccessKeyId", ""),
        security_token=values.get("SecurityToken", ""),
        nonce=values.get("SignatureNonce", ""),
        timestamp=values.get("Timestamp", ""),
        given=given,
        text=f"{request.method}&%2F&{_quoted(_encoded(values))}",
        algorithm=method,
    )


def _encoded(values: Mapping[str, str]) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(values.items()))


def _quoted(text: str) -> str:
    return quote(text, safe="~")
