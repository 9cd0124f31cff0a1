"""The parameters of an action: which there are, of which form, and what is answered to others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union

from tests.fakecloud.errors import ApiError, invalid_parameter, malformed, missing_parameter, unsupported_value

# Every action takes these; they name accounts, and there is nothing to them here.
IGNORED = frozenset({"OwnerId", "OwnerAccount", "ResourceOwnerId", "ResourceOwnerAccount", "SourceRegionId"})
TOKEN_LENGTH = 64


@dataclass(frozen=True)
class One:
    """A single value. `json` is a list of strings, written as JSON."""

    name: str
    kind: Literal["text", "integer", "boolean", "json"] = "text"
    required: bool = False
    choices: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    pattern: str = ""


@dataclass(frozen=True)
class Many:
    """NAME.1, NAME.2, …"""

    name: str
    limit: int = 100
    required: bool = False


@dataclass(frozen=True)
class Records:
    """NAME.1.FIELD, NAME.2.FIELD, …"""

    name: str
    fields: tuple[One, ...]
    limit: int = 20
    required: bool = False


Parameter = Union[One, Many, Records]
Values = Mapping[str, Any]

REGION = One("RegionId", required=True)
CLIENT_TOKEN = One("ClientToken", pattern=rf"[\x20-\x7e]{{1,{TOKEN_LENGTH}}}")
DRY_RUN = One("DryRun", "boolean")
TAGS = Records("Tag", (One("Key", required=True), One("Value")))
PAGES = (One("PageNumber", "integer", low=1), One("PageSize", "integer", low=1, high=100))
TOKEN_PAGES = (One("MaxResults", "integer", low=1, high=1000), One("NextToken"))


def read(parameters: Iterable[Parameter], flat: Mapping[str, str]) -> Values:
    """The values by name: None, [] for a list, where nothing was given."""
    left = {name: value for name, value in flat.items() if name not in IGNORED}
    values: dict[str, Any] = {}
    for parameter in parameters:
        if isinstance(parameter, One):
            values[parameter.name] = _one(parameter, left.pop(parameter.name, None), parameter.name)
        else:
            values[parameter.name] = _list(parameter, left)
    # The older SDKs send it with every request.
    left.pop("RegionId", None)
    if left:
        raise invalid_parameter(min(left), "is not one of this action, or not simulated")
    return values


def _list(parameter: Many | Records, left: dict[str, str]) -> list[Any]:
    rows = _rows(parameter.name, left)
    if parameter.required and not rows:
        raise missing_parameter(f"{parameter.name}.1" if isinstance(parameter, Many) else parameter.name)
    if len(rows) > parameter.limit:
        raise ApiError(400, f"InvalidParameter.{parameter.name}", f"At most {parameter.limit} of {parameter.name}.N.")
    if isinstance(parameter, Many):
        return [_scalar(parameter.name, row) for _index, row in sorted(rows.items())]
    return [_record(parameter, index, row) for index, row in sorted(rows.items())]


def _rows(name: str, left: dict[str, str]) -> dict[int, dict[str, str]]:
    """Takes NAME.N and NAME.N.REST out of what is left: by N, the rest and the value."""
    rows: dict[int, dict[str, str]] = {}
    for key in [key for key in left if key.startswith(f"{name}.")]:
        index, _dot, rest = key[len(name) + 1 :].partition(".")
        if index.isdigit():
            rows.setdefault(int(index), {})[rest] = left.pop(key)
    return rows


def _scalar(name: str, row: dict[str, str]) -> str:
    if set(row) != {""}:
        raise invalid_parameter(f"{name}.N")
    return row[""]


def _record(parameter: Records, index: int, row: dict[str, str]) -> dict[str, Any]:
    record = {}
    for field in parameter.fields:
        if field.required and field.name not in row:
            raise missing_parameter(f"{parameter.name}.{index}.{field.name}")
        record[field.name] = _one(field, row.pop(field.name, None), field.name)
    if row:
        raise invalid_parameter(f"{parameter.name}.{index}.{min(row)}", "is not one of this action, or not simulated")
    return record


def _one(parameter: One, given: str | None, name: str) -> Any:
    if given is None or (given == "" and parameter.required):
        if parameter.required:
            raise missing_parameter(name)
        return None
    if parameter.kind == "integer":
        return _integer(parameter, given)
    if parameter.kind == "boolean":
        if given.lower() not in ("true", "false"):
            raise unsupported_value(name)
        return given.lower() == "true"
    if parameter.kind == "json":
        return _json(name, given)
    if parameter.choices and given not in parameter.choices:
        raise unsupported_value(name)
    if parameter.pattern and not re.fullmatch(parameter.pattern, given):
        raise malformed(name)
    return given


def _integer(parameter: One, given: str) -> int:
    try:
        value = int(given)
    except ValueError:
        raise invalid_parameter(parameter.name, "is not a number") from None
    low, high = parameter.low, parameter.high
    if (low is not None and value < low) or (high is not None and value > high):
        raise invalid_parameter(parameter.name, f"is not between {low} and {high}")
    return value


def _json(name: str, given: str) -> list[str]:
    try:
        value = json.loads(given)
    except ValueError:
        value = None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise malformed(name)
    return value
