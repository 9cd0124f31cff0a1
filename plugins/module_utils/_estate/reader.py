# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One raw value at a time to a typed one, with a finding for each that does not convert; private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean, shown
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, Finding

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)\Z")
_AUTHORITY = re.compile(r"(?P<host>[^:/\s]+)(:(?P<port>\d{1,5}))?\Z")
_ENDPOINT = re.compile(r"(?P<host>[^:/\s]+):(?P<port>\d{1,5})\Z")


class Reader:
    """Converts one value at a time; collects a finding and returns None for each that does not convert."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def report(self, code: str, host: str, variable: str, message: str, remedy: str, severity: str = ERROR) -> None:
        self.findings.append(Finding(code, severity, host, variable, message, remedy))

    def mapping(self, host: str, variable: str, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self._wrong_type(host, variable, value, "a mapping (key: value)")
            return {}
        return {str(key): item for key, item in value.items()}

    def sequence(self, host: str, variable: str, value: Any) -> list[Any]:
        if value is None:
            return []
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            self._wrong_type(host, variable, value, "a list")
            return []
        return list(value)

    def text(self, host: str, variable: str, value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            self._wrong_type(host, variable, value, "a non-empty string")
            return None
        return str(value)

    def secret(self, variable: str, value: Any) -> str:
        """A text that no finding repeats; empty where there is none."""
        if value is None:
            return ""
        if isinstance(value, str) and value:
            return str(value)
        self.report(
            "ES003-wrong-type",
            "",
            variable,
            "its value, which is not shown, is not a non-empty string.",
            "Write a string; quote what looks like a number.",
        )
        return ""

    def keys(
        self, host: str, variable: str, value: Mapping[str, Any], known: Sequence[str], required: Sequence[str] = ()
    ) -> None:
        """Report keys that are unknown or missing."""
        for key in value:
            if key in known:
                continue
            guess = did_you_mean(key, known)
            self.report(
                "ES005-unknown-key",
                host,
                f"{variable}.{key}",
                f"there is no key {key!r} in {variable}.",
                f"Did you mean {guess!r}?" if guess else f"The keys are: {', '.join(known)}.",
            )
        for key in required:
            if value.get(key) is None:
                self.report(
                    "ES006-missing-key",
                    host,
                    f"{variable}.{key}",
                    f"{variable} has no {key!r}.",
                    f"Add {key!r} to {variable}.",
                )

    def network(self, host: str, variable: str, value: Any) -> IPv4Network | None:
        if value is None:
            return None
        if not isinstance(value, str) or "/" not in value:
            self._not_a_network(host, variable, value)
            return None
        try:
            network = IPv4Network(str(value), strict=False)
        except (AddressValueError, NetmaskValueError, ValueError):
            self._not_a_network(host, variable, value)
            return None
        if str(network.network_address) != str(value).partition("/")[0]:
            self.report(
                "ES011-host-bits-set",
                host,
                variable,
                f"{value} has bits set beyond its prefix length.",
                f"Write {network} if the network is meant, or correct the prefix length.",
            )
        return network

    def address(self, host: str, variable: str, value: Any) -> IPv4Address | None:
        if value is None:
            return None
        if isinstance(value, str):
            try:
                return IPv4Address(str(value))
            except AddressValueError:
                pass
        self.report(
            "ES012-not-an-address",
            host,
            variable,
            f"{shown(value)} is not an IPv4 address.",
            "Write the address itself, for instance 10.20.1.11.",
        )
        return None

    def version(self, host: str, variable: str, value: Any, example: str) -> model.Version | None:
        if value is None:
            return None
        match = _VERSION.match(value) if isinstance(value, str) else None
        if match:
            return model.Version(*(int(part) for part in match.groups()))
        self.report(
            "ES013-not-a-version",
            host,
            variable,
            f"{shown(value)} is not a full release number.",
            f"Write major.minor.patch without a leading v, for instance {example}.",
        )
        return None

    def endpoint(self, host: str, variable: str, value: Any) -> model.Endpoint | None:
        if value is None:
            return None
        match = _ENDPOINT.match(value) if isinstance(value, str) else None
        if match and _is_host(match["host"]) and 0 < int(match["port"]) < 65536:
            return model.Endpoint(match["host"], int(match["port"]))
        self.report(
            "ES014-not-an-endpoint",
            host,
            variable,
            f"{shown(value)} is not HOST:PORT.",
            "Write the load balancer's name or IPv4 address and its port, for instance api.example:6443;"
            " leave the variable out to have a local proxy on every node.",
        )
        return None

    def authority(self, variable: str, value: Any) -> str:
        """HOST or HOST:PORT; empty where there is none."""
        if value is None:
            return ""
        match = _AUTHORITY.match(value) if isinstance(value, str) else None
        if match and _is_host(match["host"]) and 0 < int(match["port"] or 1) < 65536:
            return str(value)
        self.report(
            "ES021-not-an-api-address",
            "",
            variable,
            f"{shown(value)} is neither HOST nor HOST:PORT.",
            "Write the name or IPv4 address and maybe the port, without scheme and path.",
        )
        return ""

    def base_url(self, variable: str, value: Any, path_allowed: bool) -> str:
        if value is None:
            return ""
        try:
            url = urlsplit(str(value)) if isinstance(value, str) else None
            good = (
                url is not None
                and url.scheme in ("http", "https")
                and _is_host(url.hostname or "")
                and (url.port is None or url.port > 0)
                and not (url.query or url.fragment)
                and (path_allowed or url.path in ("", "/"))
            )
        except ValueError:
            good = False
        if good:
            return str(value).rstrip("/")
        self.report(
            "ES015-not-a-base-url",
            "",
            variable,
            f"{shown(value)} is not a base URL.",
            "Write http(s)://HOST[:PORT]" + ("[/PATH]" if path_allowed else "") + " without query or fragment.",
        )
        return ""

    def integer(self, variable: str, value: Any, low: int, high: int) -> int | None:
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return int(value)
        self.report(
            "ES019-not-a-number",
            "",
            variable,
            f"{shown(value)} is not a whole number from {low} to {high}.",
            "Write such a number, without quotes.",
        )
        return None

    def number(self, variable: str, value: Any, low: float, high: float) -> float | None:
        if value is None:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.report(
            "ES019-not-a-number",
            "",
            variable,
            f"{shown(value)} is not a number from {low:g} to {high:g}.",
            "Write such a number, without quotes.",
        )
        return None

    def day(self, variable: str, value: Any) -> date | None:
        """A day, which YAML may have made a date already."""
        if value is None:
            return None
        if isinstance(value, date) and not isinstance(value, datetime):
            return date(value.year, value.month, value.day)
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            self.report(
                "ES020-not-a-date",
                "",
                variable,
                f"{shown(value)} is not a day.",
                "Write year, month and day, for instance 2027-01-31.",
            )
            return None

    def boolean(self, variable: str, value: Any) -> bool:
        if value is None or isinstance(value, bool):
            return bool(value)
        self._wrong_type("", variable, value, "true or false")
        return False

    def as_number(self, host: str, variable: str, value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        if isinstance(value, str) and value.isdecimal():
            return int(value)
        self.report(
            "ES017-not-an-as-number",
            host,
            variable,
            f"{value!r} is not an AS number.",
            "Write it as a plain integer (asplain): AS 1.10 is 65546.",
        )
        return None

    def texts(self, host: str, variable: str, value: Any) -> tuple[str, ...]:
        """A list of non-empty strings."""
        found = (
            self.text(host, f"{variable}[{index}]", item)
            for index, item in enumerate(self.sequence(host, variable, value))
        )
        return tuple(text for text in found if text is not None)

    def networks(self, variable: str, value: Any) -> tuple[IPv4Network, ...]:
        """A list of networks."""
        found = (
            self.network("", f"{variable}[{index}]", item)
            for index, item in enumerate(self.sequence("", variable, value))
        )
        return tuple(network for network in found if network is not None)

    def strings(self, host: str, variable: str, value: Any) -> dict[str, str]:
        """A mapping of strings to strings, as labels and annotations are."""
        found: dict[str, str] = {}
        for key, item in self.mapping(host, variable, value).items():
            if isinstance(item, str):
                found[key] = str(item)
                continue
            shown = "" if item is None else str(item).lower() if isinstance(item, bool) else str(item)
            self.report(
                "ES016-not-a-string",
                host,
                f"{variable}.{key}",
                f"its value {item!r} is not a string.",
                f'Quote it: "{shown}".',
            )
        return found

    def taints(self, host: str, whole: str, value: Any) -> tuple[model.Taint, ...]:
        found: list[model.Taint] = []
        for index, item in enumerate(self.sequence(host, whole, value)):
            variable = f"{whole}[{index}]"
            if not isinstance(item, Mapping):
                self.report(
                    "ES018-not-a-taint",
                    host,
                    variable,
                    f"{item!r} is not a mapping.",
                    f"Write {_taint_mapping(item)}.",
                )
                continue
            taint = {str(key): part for key, part in item.items()}
            before = len(self.findings)
            self.keys(host, variable, taint, ("key", "value", "effect"), ("key", "effect"))
            for key, part in taint.items():
                if part is not None and not isinstance(part, str):
                    self.report(
                        "ES016-not-a-string", host, f"{variable}.{key}", f"{part!r} is not a string.", "Quote it."
                    )
            if len(self.findings) == before:
                found.append(model.Taint(str(taint["key"]), str(taint.get("value") or ""), str(taint["effect"])))
        return tuple(found)

    def choice(self, host: str, variable: str, value: Any, choices: Sequence[str]) -> str:
        if value is None:
            return ""
        if value in choices:
            return str(value)
        guess = did_you_mean(str(value), choices)
        self.report(
            "ES009-unknown-choice",
            host,
            variable,
            f"{value!r} is none of {', '.join(choices)}.",
            f"Did you mean {guess!r}?" if guess else "Choose one of them.",
        )
        return ""

    def _wrong_type(self, host: str, variable: str, value: Any, wanted: str) -> None:
        self.report(
            "ES003-wrong-type",
            host,
            variable,
            f"{shown(value)} is not {wanted}.",
            f"Write {wanted}.",
        )

    def _not_a_network(self, host: str, variable: str, value: Any) -> None:
        self.report(
            "ES010-not-a-network",
            host,
            variable,
            f"{shown(value)} is not an IPv4 network.",
            "Write it in CIDR form, for instance 10.20.1.0/24.",
        )


def _is_host(text: str) -> bool:
    """True for an IPv4 literal or a DNS name."""
    if not re.search(r"[a-zA-Z]", text):
        try:
            IPv4Address(text)
        except AddressValueError:
            return False
        return True
    label = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z", re.IGNORECASE)
    return len(text) <= 253 and all(label.match(part) for part in text.split("."))


def _taint_mapping(item: Any) -> str:
    """How ``key=value:effect``, the form of kubectl and Kubespray, is written here."""
    match = re.match(r"(?P<key>[^=:]+)(=(?P<value>[^:]*))?:(?P<effect>\w+)\Z", str(item))
    if not match:
        return "{key: KEY, value: VALUE, effect: NoSchedule}"
    value = f'value: "{match["value"]}", ' if match["value"] else ""
    return f"{{key: {match['key']}, {value}effect: {match['effect']}}}"
