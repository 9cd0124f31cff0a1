"""The actions of the API: what each takes, and the way of a call from its parameters to its answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakecloud.access import Identity
from tests.fakecloud.cloud import Cloud, Kind
from tests.fakecloud.errors import ApiError, invalid_parameter, missing_parameter, not_found, token_reused
from tests.fakecloud.model import Resource, Token
from tests.fakecloud.parameters import CLIENT_TOKEN, Parameter, Values, read

Answer = dict[str, Any]
VERSIONS = {"2014-05-26": "ecs", "2016-04-28": "vpc", "2015-12-15": "cs"}


@dataclass(frozen=True)
class Call:
    """One call of an action by somebody who may make it."""

    cloud: Cloud
    identity: Identity
    values: Values
    cause: str
    now: float

    @property
    def account(self) -> str:
        return self.identity.account

    @property
    def region(self) -> str:
        """The region that the call is for; actions that take none find their objects by id."""
        region = self.values.get("RegionId")
        if region not in self.cloud.world.regions:
            raise not_found("RegionId", str(region))
        return str(region)

    def mine(self, resource: Resource) -> bool:
        return resource.account == self.account

    def own(self, table: Mapping[str, Kind]) -> list[Kind]:
        """What the account has in the region of the call, newest first."""
        region = self.region
        return newest_first([each for each in table.values() if self.mine(each) and each.region == region])


@dataclass(frozen=True)
class Action:
    name: str
    parameters: tuple[Parameter, ...]
    run: Callable[[Call], Answer]
    writes: bool


ACTIONS: dict[tuple[str, str], Action] = {}


def action(
    product: str, name: str, *parameters: Parameter, writes: bool = False
) -> Callable[[Callable[[Call], Answer]], Callable[[Call], Answer]]:
    """Register a function as an action of a product."""

    def register(run: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        ACTIONS[product, name] = Action(name, parameters, run, writes)
        return run

    return register


def perform(made: Action, cloud: Cloud, identity: Identity, flat: Mapping[str, str], cause: str) -> Answer:
    """The answer to a call; the same again for a client token that was used for the same."""
    values = read(made.parameters, flat)
    call = Call(cloud, identity, values, cause, cloud.now())
    token = str(values.get("ClientToken") or "") if CLIENT_TOKEN in made.parameters else ""
    if not token or values.get("DryRun"):
        return made.run(call)
    fingerprint = _fingerprint(flat)
    name = _token_id(call.account, made.name, token)
    known = cloud.tokens.get(name)
    if known is not None and call.now - known.created < cloud.world.timings.token_kept:
        if known.fingerprint != fingerprint:
            raise token_reused()
        return dict(known.answer)
    answer = made.run(call)
    used = Token(name, cloud.number(), call.account, "", call.now, fingerprint=fingerprint, answer=answer)
    cloud.save(used)
    return answer


def _token_id(account: str, name: str, token: str) -> str:
    return f"{account}/{name}/{token}"


def _fingerprint(flat: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(flat.items())).encode()).hexdigest()


def dry_run() -> ApiError:
    return ApiError(412, "DryRunOperation", "Request validation has been passed with DryRun flag set.")


def tags_of(call: Call) -> dict[str, str]:
    """The tags that a call gives."""
    tags: dict[str, str] = {}
    for record in call.values["Tag"]:
        key, value = record["Key"], record["Value"] or ""
        if len(key) > 128 or key.startswith(("aliyun", "acs:")) or "://" in key:
            raise ApiError(400, "InvalidTagKey.Malformed", f'The specified tag key "{key}" is not valid.')
        if len(value) > 128 or value.startswith("acs:") or "://" in value:
            raise ApiError(400, "InvalidTagValue.Malformed", f'The specified tag value "{value}" is not valid.')
        if key in tags:
            raise ApiError(400, "Duplicate.TagKey", f'The tag key "{key}" is given twice.')
        tags[key] = value
    return tags


def has_tags(tags: Mapping[str, str], wanted: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an object has all the tags of a filter; one without a value matches every value."""
    return all(record["Key"] in tags and record["Value"] in (None, tags[record["Key"]]) for record in wanted)


def tag_list(tags: Mapping[str, str]) -> list[Answer]:
    return [{"TagKey": key, "TagValue": value} for key, value in sorted(tags.items())]


def either_page(call: Call, found: Sequence[Resource], most: int) -> tuple[Sequence[Any], Answer]:
    """A page by token if the call asks in that way, else by number."""
    if not call.values["MaxResults"] and not call.values["NextToken"]:
        part, pages = page(call, found)
        return part, {**pages, "NextToken": ""}
    part, pages = token_page(call, found, most)
    # With a token these figures are not valid, says the documentation.
    return part, {**pages, "PageNumber": 0, "PageSize": 0, "TotalCount": 0}


def page(call: Call, found: Sequence[Any]) -> tuple[Sequence[Any], Answer]:
    """The part of a list that PageNumber and PageSize ask for."""
    number, size = call.values["PageNumber"] or 1, call.values["PageSize"] or 10
    part = found[(number - 1) * size : number * size]
    return part, {"PageNumber": number, "PageSize": size, "TotalCount": len(found)}


def token_page(call: Call, found: Sequence[Resource], most: int, default: int = 10) -> tuple[Sequence[Any], Answer]:
    """The part of a list, newest first, after NextToken; what is made meanwhile does not move it."""
    size = min(max(call.values.get("MaxResults") or default, 1), most)
    before = _position(call.values["NextToken"])
    rest = [resource for resource in found if before is None or resource.number < before]
    part = rest[:size]
    token = _next_token(part[-1].number) if len(rest) > size else ""
    return part, {"NextToken": token}


def _next_token(number: int) -> str:
    return base64.urlsafe_b64encode(f"before:{number}".encode()).decode()


def _position(token: str | None) -> int | None:
    if not token:
        return None
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("before:"))
    except (ValueError, binascii.Error):
        raise ApiError(400, "InvalidNextToken.ValueNotSupported", "The specified NextToken is not valid.") from None


def newest_first(resources: Sequence[Kind]) -> list[Kind]:
    return sorted(resources, key=lambda resource: -resource.number)


def one_of(call: Call, first: str, second: str) -> None:
    """Exactly one of two parameters is given."""
    if call.values[first] and call.values[second]:
        raise invalid_parameter(first, f"cannot be given together with {second}")
    if not call.values[first] and not call.values[second]:
        raise missing_parameter(first)
