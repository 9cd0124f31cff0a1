# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory says of admission policies, read and judged; private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import quantity
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import LXCFS_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import OWN_PREFIX

PREFIX = "admission_policies_"
OFF, AUDIT, ENFORCE = "off", "audit", "enforce"
ALWAYS_EXCLUDED = "kube-system"
_MODES = (OFF, AUDIT, ENFORCE)
_RESOURCES = ("cpu", "memory")
_HIGHEST_PRIORITY = 1_000_000_000
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z"
)


class SettingsError(Exception):
    """All that is wrong with the settings: ``faults`` are variables and what is wrong with each."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{variable}: {said}" for variable, said in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class EqualRequests:
    """Containers of these namespaces have requests and limits, the same."""

    mode: str = OFF
    namespaces: tuple[str, ...] = ()
    resources: tuple[str, ...] = _RESOURCES


@dataclass(frozen=True)
class EphemeralStorage:
    """Containers without a limit of local disk get one. No ``namespaces`` means all."""

    mode: str = OFF
    namespaces: tuple[str, ...] = ()
    request: str = "1Gi"
    limit: str = "10Gi"


@dataclass(frozen=True)
class AntiAffinity:
    """Pods with the same value of ``label`` rather run apart. No ``namespaces`` means all."""

    mode: str = OFF
    namespaces: tuple[str, ...] = ()
    label: str = "app.kubernetes.io/name"
    topology_key: str = "kubernetes.io/hostname"
    weight: int = 100


@dataclass(frozen=True)
class ShareProcessNamespace:
    """Pods that ``label`` opts in share one process namespace."""

    mode: str = OFF
    label: str = f"{OWN_PREFIX}share-process-namespace"


@dataclass(frozen=True)
class PriorityClass:
    """A class of work."""

    name: str
    value: int
    preempts: bool


@dataclass(frozen=True)
class Priority:
    """Pods of a namespace have the class that ``label`` names there."""

    mode: str = OFF
    label: str = f"{OWN_PREFIX}workload"
    classes: tuple[PriorityClass, ...] = (
        PriorityClass("online", 100_000, preempts=True),
        PriorityClass("offline", -1_000, preempts=False),
    )


@dataclass(frozen=True)
class Lxcfs:
    """Containers of pods that ``label`` opts in see their own limits in /proc."""

    mode: str = OFF
    label: str = LXCFS_LABEL
    runtime_classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """All policies; ``excluded`` namespaces are left alone by each of them."""

    excluded: tuple[str, ...] = (ALWAYS_EXCLUDED,)
    equal_requests: EqualRequests = EqualRequests()
    ephemeral_storage: EphemeralStorage = EphemeralStorage()
    anti_affinity: AntiAffinity = AntiAffinity()
    share_process_namespace: ShareProcessNamespace = ShareProcessNamespace()
    priority: Priority = Priority()
    lxcfs: Lxcfs = Lxcfs()


def read(settings: Mapping[str, Any]) -> Settings:
    """The settings by the names of their policies, and ``excluded_namespaces``.

    Raises SettingsError with all that is wrong, each named by its variable.
    """
    excluded = _Reader("excluded_namespaces", {"excluded_namespaces": settings.get("excluded_namespaces") or []})
    names = excluded.names("excluded_namespaces", ())
    readers = {kind: _Reader(kind, settings.get(kind) or {}, frozenset((ALWAYS_EXCLUDED, *names))) for kind in _READERS}
    policies = {kind: _READERS[kind](reader) for kind, reader in readers.items()}
    faults = [fault for reader in (excluded, *readers.values()) for fault in (*reader.faults, *reader.unknown())]
    others = sorted(set(settings) - {*_READERS, excluded.kind})
    faults += [(PREFIX + kind, f"unknown; there are {', '.join(sorted(_READERS))}.") for kind in others]
    if faults:
        raise SettingsError(faults)
    return Settings(excluded=tuple(dict.fromkeys((ALWAYS_EXCLUDED, *names))), **policies)


def _equal_requests(reader: _Reader) -> EqualRequests:
    made = EqualRequests(reader.mode(), reader.namespaces(), reader.names("resources", _RESOURCES))
    others = sorted(set(made.resources) - set(_RESOURCES))
    if others or not made.resources:
        reader.fault("resources", f"{', '.join(others) or 'nothing'} is none of {', '.join(_RESOURCES)}.")
    if made.mode != OFF and not made.namespaces:
        reader.fault("namespaces", "no namespace is named; this policy is for named ones only.")
    return made


def _ephemeral_storage(reader: _Reader) -> EphemeralStorage:
    default = EphemeralStorage()
    request, limit = reader.quantity("request", default.request), reader.quantity("limit", default.limit)
    if request and limit and quantity(request) > quantity(limit):
        reader.fault("request", f"{request} is more than the limit {limit}.")
    return EphemeralStorage(reader.mode(), reader.namespaces(), request, limit)


def _anti_affinity(reader: _Reader) -> AntiAffinity:
    default = AntiAffinity()
    return AntiAffinity(
        reader.mode(),
        reader.namespaces(),
        reader.key("label", default.label),
        reader.key("topology_key", default.topology_key),
        reader.number("weight", default.weight, 1, 100),
    )


def _share_process_namespace(reader: _Reader) -> ShareProcessNamespace:
    return ShareProcessNamespace(reader.mode(), reader.key("label", ShareProcessNamespace.label))


def _priority(reader: _Reader) -> Priority:
    classes = tuple(_priority_class(name, reader.inner("classes", name)) for name in reader.keys("classes"))
    for wrong in (one.name for one in classes if one.name.startswith("system-") or not _NAME.match(one.name)):
        reader.fault(f"classes.{wrong}", "no name for a class: lower case letters, digits and -, not system-.")
    return Priority(reader.mode(), reader.key("label", Priority.label), classes or Priority.classes)


def _priority_class(name: str, reader: _Reader) -> PriorityClass:
    value = reader.number("value", None, -_HIGHEST_PRIORITY, _HIGHEST_PRIORITY)
    return PriorityClass(name, value, reader.flag("preempts", default=True))


def _lxcfs(reader: _Reader) -> Lxcfs:
    return Lxcfs(
        reader.mode(),
        reader.key("label", Lxcfs.label),
        reader.names("runtime_classes", ()),
    )


_READERS: Mapping[str, Any] = {
    "equal_requests": _equal_requests,
    "ephemeral_storage": _ephemeral_storage,
    "anti_affinity": _anti_affinity,
    "share_process_namespace": _share_process_namespace,
    "priority": _priority,
    "lxcfs": _lxcfs,
}


VARIABLES = tuple(PREFIX + kind for kind in ("excluded_namespaces", *_READERS))


@dataclass
class _Reader:
    """The settings of one policy, read one by one; what is wrong is kept in ``faults``."""

    kind: str
    given: Any
    excluded: frozenset[str] = frozenset()
    faults: list[tuple[str, str]] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    within: list[_Reader] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.given, Mapping):
            self.faults.append((PREFIX + self.kind, f"it has to be a mapping, not {self.given!r}."))
            self.given = {}

    def fault(self, key: str, said: str) -> None:
        where = self.kind if key == self.kind else f"{self.kind}.{key}"
        self.faults.append((PREFIX + where, said))

    def unknown(self) -> list[tuple[str, str]]:
        known = f"unknown; it has {', '.join(sorted(self.read))}."
        own = [(f"{PREFIX}{self.kind}.{key}", known) for key in self.given if key not in self.read]
        return [*own, *(fault for inner in self.within for fault in (*inner.faults, *inner.unknown()))]

    def inner(self, key: str, name: str) -> _Reader:
        self.within.append(_Reader(f"{self.kind}.{key}.{name}", self.given[key][name]))
        return self.within[-1]

    def mode(self) -> str:
        # YAML reads a bare off as false.
        given = OFF if self._get("mode") in (None, False) else self._get("mode")
        if given not in _MODES:
            self.fault("mode", f"{given!r} is none of {', '.join(_MODES)}.")
        return str(given)

    def namespaces(self) -> tuple[str, ...]:
        names = self.names("namespaces", ())
        for name in names:
            if name in self.excluded:
                self.fault("namespaces", f"{name} is excluded from every policy.")
        return names

    def names(self, key: str, default: Sequence[str]) -> tuple[str, ...]:
        given = self._get(key)
        if given is None:
            return tuple(default)
        if not isinstance(given, list):
            self.fault(key, f"it has to be a list, not {given!r}.")
            return ()
        for name in given:
            if not isinstance(name, str) or not _NAME.match(name):
                self.fault(key, f"{name!r} is no name of Kubernetes.")
        return tuple(dict.fromkeys(map(str, given)))

    def key(self, key: str, default: str) -> str:
        given = self._get(key)
        if given is None:
            return default
        if not isinstance(given, str) or not _KEY.match(given):
            self.fault(key, f"{given!r} is no key of a label.")
        return str(given)

    def quantity(self, key: str, default: str) -> str:
        given = self._get(key)
        if given is None:
            return default
        try:
            if quantity(str(given)) <= 0:
                raise ValueError
        except ValueError:
            self.fault(key, f"{given!r} is no amount such as 2Gi.")
            return ""
        return str(given)

    def number(self, key: str, default: int | None, least: int, most: int) -> int:
        given = self._get(key)
        given = default if given is None else given
        if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
            self.fault(key, f"{given!r} is no number from {least} to {most}.")
            return least
        return given

    def flag(self, key: str, default: bool) -> bool:
        given = self._get(key)
        if given is not None and not isinstance(given, bool):
            self.fault(key, f"{given!r} is neither true nor false.")
        return default if given is None else bool(given)

    def keys(self, key: str) -> list[str]:
        given = self._get(key) or {}
        if not isinstance(given, Mapping):
            self.fault(key, f"it has to be a mapping of names to settings, not {given!r}.")
            return []
        return list(map(str, given))

    def _get(self, key: str) -> Any:
        self.read.add(key)
        return self.given.get(key)
