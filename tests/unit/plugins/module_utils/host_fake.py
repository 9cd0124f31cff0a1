# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine in a temporary directory: files are real, systemd, modprobe, swapoff and validators are played."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, Ran


class Killed(BaseException):
    """The run ends here, as by SIGKILL: nothing that handles errors may catch it."""


@dataclass
class FakeUnit:
    active: str = "inactive"
    sub: str = "dead"
    file_state: str = "disabled"
    load: str = "loaded"
    kind: str = "notify"
    remain: bool = False
    need_reload: bool = False
    active_since: float = 0.0
    starts: int = 0
    reads: tuple[str, ...] = ()
    runs_with: tuple[bytes | None, ...] = ()
    fails: bool = False
    journal: str = ""


@dataclass
class Machine:
    """``reads`` of a unit are the files that it read when it was last started: what it ``runs_with``."""

    root: Path
    units: dict[str, FakeUnit] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    validators: dict[str, int] = field(default_factory=dict)
    validated: list[str] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    swapoff: Ran = field(default_factory=lambda: Ran(0))

    @property
    def host(self) -> Host:
        return Host(str(self.root), self.run)

    def write(self, path: str, text: str, mode: int | None = None) -> Path:
        where = self.root / path.lstrip("/")
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)
        if mode is not None:
            where.chmod(mode)
        return where

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.root / path.lstrip("/"))

    def tree(self) -> dict[str, tuple[str, int]]:
        """Every file with its content and mode, locks and records aside."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = "/" + str(path.relative_to(self.root))
            if name.startswith("/var"):
                continue
            mode = path.lstat().st_mode
            content = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else ""
            found[name] = (content, mode)
        return found

    def verbs(self) -> list[str]:
        """What systemctl was told, apart from show."""
        return [
            " ".join(command[2:])
            for command in self.commands
            if command[0] == "systemctl" and command[1] == "--no-ask-password"
        ]

    def start(self, name: str) -> None:
        unit = self.units[name]
        unit.starts += 1
        unit.runs_with = tuple(self._content(path) for path in unit.reads)
        unit.active, unit.sub = ("failed", "failed") if unit.fails else ("active", "running")
        unit.active_since = time.monotonic()

    def run(self, argv: Sequence[str], timeout: float) -> Ran:
        assert timeout > 0
        self.commands.append(tuple(argv))
        if argv[0] == "systemctl":
            return self._systemctl(argv)
        if argv[0] == "journalctl":
            unit = next(argument.split("=", 1)[1] for argument in argv if argument.startswith("--unit="))
            return Ran(0, self.units[unit].journal)
        if argv[0] == "modprobe":
            return self._modprobe(argv[-1], dry="--dry-run" in argv)
        if argv[0] == "swapoff":
            if self.swapoff.rc == 0:
                self.write("/proc/swaps", "Filename Type\n")
            return self.swapoff
        if argv[0] in self.validators:
            self.validated.append(Path(argv[-1]).read_text())
            return Ran(self.validators[argv[0]], err=f"{argv[-1]}:1: bad syntax\n" if self.validators[argv[0]] else "")
        return Ran(127, err=f"{argv[0]}: no such command")

    def _content(self, path: str) -> bytes | None:
        try:
            return (self.root / path.lstrip("/")).read_bytes()
        except OSError:
            return None

    def _systemctl(self, argv: Sequence[str]) -> Ran:
        if argv[1] == "show":
            names = argv[argv.index("--") + 1 :]
            return Ran(0, "\n\n".join(self._show(name) for name in names) + "\n")
        verb, names = argv[2], argv[3:]
        if verb == "daemon-reload":
            for name, unit in self.units.items():
                unit.need_reload = False
                if unit.load == "not-found" and self.exists(f"/etc/systemd/system/{name}"):
                    unit.load, unit.file_state = "loaded", "disabled"
            return Ran(0)
        for name in names:
            unit = self.units[name]
            if verb in ("start", "restart"):
                if unit.load == "not-found":
                    return Ran(5, err=f"Unit {name} not found.")
                self.start(name)
            elif verb == "stop":
                unit.active, unit.sub = "inactive", "dead"
            else:
                unit.file_state = {"enable": "enabled", "disable": "disabled"}[verb]
        return Ran(1 if verb == "restart" and any(self.units[name].fails for name in names) else 0)

    def _show(self, name: str) -> str:
        unit = self.units.get(name) or FakeUnit(load="not-found", file_state="")
        since = int(unit.active_since * 1e6) if unit.active == "active" else 0
        return "\n".join(
            [
                f"Type={unit.kind}",
                f"ActiveEnterTimestampMonotonic={since}",
                f"LoadState={unit.load}",
                f"ActiveState={unit.active}",
                f"SubState={unit.sub}",
                f"UnitFileState={unit.file_state}",
                f"NeedDaemonReload={'yes' if unit.need_reload else 'no'}",
                f"RemainAfterExit={'yes' if unit.remain else 'no'}",
            ]
        )

    def _modprobe(self, module: str, dry: bool) -> Ran:
        state = self.modules.get(module, "missing")
        if state == "missing":
            return Ran(1, err=f"modprobe: FATAL: Module {module} not found.")
        if state == "no kmod":
            return Ran(127, err="modprobe: no such command")
        if dry:
            return Ran(
                0, {"loadable": f"insmod /lib/modules/{module}.ko \n", "builtin": f"builtin {module}\n"}.get(state, "")
            )
        (self.root / "sys/module" / module.replace("-", "_")).mkdir(parents=True, exist_ok=True)
        return Ran(0)
