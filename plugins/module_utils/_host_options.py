# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of host_state as typed values; private to this collection."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError, problem
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_files import BlockWanted, FileWanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_kernel import SysctlWanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_requirements import Frozen, Requirement
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_units import UNIT_NAME, UnitWanted

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_MODE = re.compile(r"0[0-7]{3,4}")
_KERNEL = re.compile(r"[0-9]+(\.[0-9]+){1,2}")
_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SYSCTL = re.compile(r"[a-z][A-Za-z0-9_.:/-]*[./][A-Za-z0-9_.:/-]*[A-Za-z0-9_:-]")


@dataclass(frozen=True)
class Wanted:
    """All that one call asks of a host. ``name`` says whose state it is."""

    name: str
    files: tuple[FileWanted, ...] = ()
    blocks: tuple[BlockWanted, ...] = ()
    sysctls: tuple[SysctlWanted, ...] = ()
    kernel_modules: tuple[str, ...] = ()
    swap_off: bool = False
    units: tuple[UnitWanted, ...] = ()
    processor: str = ""
    requires: tuple[Requirement, ...] = ()
    frozen: tuple[Frozen, ...] = ()
    hold: bool = False
    timeout: float = 120.0


def parse(options: Mapping[str, Any]) -> Wanted:
    """The typed form of the module's options. Raises :class:`HostError` with everything that is wrong in them."""
    findings: list[Finding] = []

    def wrong(variable: str, message: str, remedy: str) -> None:
        findings.append(problem("option", variable, message, remedy))

    name = options["name"]
    if not _NAME.fullmatch(name):
        wrong("name", f"'{name}' is no name for file names and records.", "use lower case letters, digits, _ and -.")
    wanted = Wanted(
        name=name,
        files=tuple(_file(raw, f"files[{i}]", wrong) for i, raw in enumerate(options.get("files") or ())),
        blocks=tuple(_block(raw, f"blocks[{i}]", wrong) for i, raw in enumerate(options.get("blocks") or ())),
        sysctls=tuple(_sysctl(key, raw, wrong) for key, raw in sorted((options.get("sysctls") or {}).items())),
        kernel_modules=tuple(dict.fromkeys(_module(raw, wrong) for raw in options.get("kernel_modules") or ())),
        swap_off=options.get("swap") == "off",
        units=tuple(_unit(raw, f"units[{i}]", wrong) for i, raw in enumerate(options.get("units") or ())),
        processor=options.get("processor") or "",
        requires=tuple(
            _requirement(raw, f"requires[{i}]", wrong) for i, raw in enumerate(options.get("requires") or ())
        ),
        frozen=tuple(_frozen(raw, f"frozen[{i}]", wrong) for i, raw in enumerate(options.get("frozen") or ())),
        hold=bool(options.get("hold")),
        timeout=float(options.get("timeout") or 120),
    )
    _check_unique("files", [file.path for file in wanted.files], wrong)
    _check_unique("blocks", [f"{block.path} {block.marker}" for block in wanted.blocks], wrong)
    _check_unique("units", [unit.name for unit in wanted.units], wrong)
    _check_conflicts(wanted, wrong)
    if findings:
        raise HostError(findings)
    return wanted


_Wrong = Callable[[str, str, str], None]


def _file(raw: Mapping[str, Any], option: str, wrong: _Wrong) -> FileWanted:
    path, state, content = raw["path"], raw.get("state") or "file", raw.get("content")
    _check_path(path, f"{option}.path", wrong)
    if state == "absent" and path.count("/") < 2:
        wrong(f"{option}.path", f"removing {path} would remove a top directory.", "name what is to go inside it.")
    if state == "file" and not isinstance(content, str):
        said = "no content is given" if content is None else f"content is a {type(content).__name__}, not text"
        wrong(f"{option}.content", f"{path}: {said}.", "give text; render structures with to_json or to_nice_yaml.")
    if state in ("directory", "link") and content is not None:
        wrong(f"{option}.content", f"{path}: content is given for state {state}.", "leave it out, or use state file.")
    if state != "absent" and (state == "link") != bool(raw.get("target")):
        wrong(f"{option}.target", f"{path}: target and state link go together.", "give both or none.")
    validate = tuple(raw.get("validate") or ())
    if validate and not any("{path}" in argument for argument in validate):
        wrong(f"{option}.validate", f"{path}: the command never names the file.", "put {path} in one of its arguments.")
    return FileWanted(
        path=path,
        state=state,
        option=option,
        content=content.encode("utf-8", "surrogateescape") if isinstance(content, str) else b"",
        mode=_mode(raw.get("mode"), path, f"{option}.mode", wrong),
        uid=_identity(raw.get("owner"), lambda user: pwd.getpwnam(user).pw_uid, path, f"{option}.owner", wrong),
        gid=_identity(raw.get("group"), lambda group: grp.getgrnam(group).gr_gid, path, f"{option}.group", wrong),
        target=raw.get("target") or "",
        validate=validate,
        sensitive=bool(raw.get("sensitive")),
        follow=bool(raw.get("follow")),
    )


def _block(raw: Mapping[str, Any], option: str, wrong: _Wrong) -> BlockWanted:
    _check_path(raw["path"], f"{option}.path", wrong)
    if not re.fullmatch(r"\S+", raw["marker"]):
        wrong(f"{option}.marker", f"'{raw['marker']}' is no word.", "use one word without spaces.")
    return BlockWanted(raw["path"], raw["marker"], raw.get("content") or "", option, bool(raw.get("follow")))


def _sysctl(key: str, raw: Any, wrong: _Wrong) -> SysctlWanted:
    option = f"sysctls.{key}"
    value, optional = (raw.get("value"), bool(raw.get("optional"))) if isinstance(raw, dict) else (raw, False)
    if isinstance(raw, dict) and not {"value"} <= set(raw) <= {"value", "optional"}:
        wrong(option, f"has the keys {', '.join(sorted(raw))}.", "write value, or {value: …, optional: true}.")
    if not _SYSCTL.fullmatch(key) or ".." in key:
        wrong(option, f"'{key}' is no sysctl name.", "write it like net.ipv4.ip_forward.")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or "\n" in str(value):
        wrong(option, f"{value!r} is no value of a sysctl.", "write a number or a line of text; 1 for on, 0 for off.")
    return SysctlWanted(key, " ".join(str(value).split()), optional)


def _module(raw: str, wrong: _Wrong) -> str:
    if not _MODULE.fullmatch(raw):
        wrong("kernel_modules", f"'{raw}' is no name of a kernel module.", "write it as in the output of lsmod.")
    return raw


def _unit(raw: Mapping[str, Any], option: str, wrong: _Wrong) -> UnitWanted:
    if not UNIT_NAME.fullmatch(raw["name"]):
        wrong(f"{option}.name", f"'{raw['name']}' is no full unit name.", f"write its type too: {raw['name']}.service.")
    watch = tuple(raw.get("watch") or ())
    for path in watch:
        _check_path(path[:-1] if path.endswith("*") else path.rstrip("/"), f"{option}.watch", wrong, prefix=True)
    if watch and raw.get("state") == "stopped":
        wrong(f"{option}.watch", f"{raw['name']} shall be stopped, so it cannot be restarted.", "leave watch out.")
    settle = float(raw.get("settle") or 0)
    return UnitWanted(raw["name"], option, raw.get("enabled"), raw.get("state") or "unmanaged", watch, settle)


def _requirement(raw: Mapping[str, Any], option: str, wrong: _Wrong) -> Requirement:
    if raw.get("path"):
        _check_path(raw["path"], f"{option}.path", wrong)
    if sum(bool(raw.get(kind)) for kind in ("kernel", "path", "cgroup")) != 1:
        wrong(option, "it names not one thing that the host must have.", "give one of kernel, path and cgroup.")
    if raw.get("kernel") and not _KERNEL.fullmatch(raw["kernel"]):
        wrong(f"{option}.kernel", f"'{raw['kernel']}' is no version.", "write it like 4.14.77.")
    return Requirement(option, raw["reason"], raw.get("kernel") or "", raw.get("path") or "", raw.get("cgroup") or 0)


def _frozen(raw: Mapping[str, Any], option: str, wrong: _Wrong) -> Frozen:
    for key in ("path", "while_exists"):
        _check_path(raw[key], f"{option}.{key}", wrong)
    return Frozen(option, raw["path"], tuple(raw["keys"]), raw["while_exists"], raw["remedy"])


def _check_path(path: str, option: str, wrong: _Wrong, prefix: bool = False) -> None:
    tidy = path.rstrip("/") if prefix else path
    if (
        not path.startswith("/")
        or os.path.normpath(tidy) != tidy
        or tidy == "/"
        or "\0" in path
        or path.startswith("//")
    ):
        wrong(option, f"'{path}' is no absolute, plain path.", "start it with /, without . or .. or a / at the end.")


def _mode(raw: str | None, path: str, option: str, wrong: _Wrong) -> int | None:
    if raw is None:
        return None
    if not _MODE.fullmatch(raw):
        wrong(option, f"{path}: '{raw}' is no octal mode.", 'write it in quotes with a leading 0, such as "0644".')
        return None
    return int(raw, 8)


def _identity(raw: str | None, look_up: Callable[[str], int], path: str, option: str, wrong: _Wrong) -> int | None:
    if raw is None:
        return None
    if raw.isdigit():
        return int(raw)
    try:
        return look_up(raw)
    except KeyError:
        wrong(option, f"{path}: this host knows no '{raw}'.", "create it first, or give the number.")
        return None


def _check_unique(option: str, names: list[str], wrong: _Wrong) -> None:
    for name in sorted({name for name in names if names.count(name) > 1}):
        wrong(option, f"{name} is there more than once.", "keep one.")


def _check_conflicts(wanted: Wanted, wrong: _Wrong) -> None:
    for block in wanted.blocks:
        if any(block.path == file.path for file in wanted.files):
            wrong(f"{block.option}.path", f"{block.path} is in files too.", "keep the block or the whole file.")
    for absent in (file for file in wanted.files if file.state == "absent"):
        inside = [
            file.path for file in wanted.files if file.path.startswith(absent.path + "/") and file.state != "absent"
        ]
        if inside:
            wrong(
                f"{absent.option}.path", f"{absent.path} shall go, but {inside[0]} shall be in it.", "keep one of both."
            )
