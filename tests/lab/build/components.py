"""Components: programs built from pinned Go modules. A component is a folder of tests/lab/components.

component.toml says what to build::

    version = "1.36.3"          # what the program calls itself, and its release on the mirror
    group = "lab"               # "lab" (default): part of every lab; "tests": built on request only
    cgo = false                 # default
    tags = []                   # Go build tags
    ldflags = ["-X a.b=v{version}"]
    [module]                    # absent for programs whose source lies in the folder
    path = "k8s.io/kubernetes"
    version = "v1.36.3"         # default: "v" + version; go.mod must require exactly this
    share = ["a/file", "a/dir"] # what to take out of the module's directory
    archive = false             # default: whether to take the module's zip archive as well
    [binaries]                  # file name = import path; may be absent
    kubectl = "k8s.io/kubernetes/cmd/kubectl"
    [[patches]]                 # lines of ours in a module that is compiled in, where its own code is not for a lab
    module = "a.b/c"
    file = "d.go"
    before = "a line"           # the one line of the file that they stand before
    insert = "other lines"

The built component has its programs in ``bin/``, the shared files in ``share/``, by their path in the module, and the
archive as ``module.zip``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tomllib

from tests.lab.build.go import Go
from tests.lab.build.process import run_logged
from tests.lab.build.store import BuildError, Item, Store, key_of

COMPONENTS_DIR = Path(__file__).resolve().parent.parent / "components"
RECIPE = 1  # raise it when the way to build changes for all components


@dataclass(frozen=True)
class Module:
    path: str
    version: str
    share: tuple[str, ...] = ()
    archive: bool = False


@dataclass(frozen=True)
class Patch:
    module: str
    file: str
    before: str
    insert: str

    def apply(self, directory: Path) -> None:
        path = directory / self.file
        lines = path.read_text().split("\n")
        found = [number for number, line in enumerate(lines) if line.strip() == self.before]
        if len(found) != 1:
            raise BuildError(f"{self.module}: {self.file} has the line {self.before!r} {len(found)} times, not once")
        path.write_text("\n".join([*lines[: found[0]], self.insert.rstrip("\n"), *lines[found[0] :]]))


@dataclass(frozen=True)
class Component:
    name: str
    directory: Path
    version: str
    binaries: dict[str, str]
    module: Module | None = None
    group: str = "lab"
    cgo: bool = False
    tags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = field(default=())
    patches: tuple[Patch, ...] = ()

    def inputs(self) -> list[Path]:
        """Every file that decides what is built, in a stable order."""
        sources = [
            path for pattern in ("*.go", "go.mod", "go.sum", "component.toml") for path in self.directory.glob(pattern)
        ]
        return sorted(sources)


def load_components(directory: Path = COMPONENTS_DIR) -> dict[str, Component]:
    """All components by name; BuildError where a component.toml contradicts its go.mod."""
    return {path.parent.name: _load(path) for path in sorted(directory.glob("*/component.toml"))}


def _load(path: Path) -> Component:
    data = tomllib.loads(path.read_text())
    version = data["version"]
    module = _module(data["module"], version) if "module" in data else None
    if module is not None:
        _check_pin(module, path.parent / "go.mod")
    return Component(
        name=path.parent.name,
        directory=path.parent,
        version=version,
        binaries=dict(data.get("binaries", {})),
        module=module,
        group=data.get("group", "lab"),
        cgo=data.get("cgo", False),
        tags=tuple(data.get("tags", ())),
        ldflags=tuple(flag.format(version=version) for flag in data.get("ldflags", ())),
        patches=tuple(Patch(**patch) for patch in data.get("patches", ())),
    )


def _module(data: dict[str, object], version: str) -> Module:
    share = data.get("share", [])
    assert isinstance(share, list)
    return Module(
        path=str(data["path"]),
        version=str(data.get("version", f"v{version}")),
        share=tuple(share),
        archive=bool(data.get("archive", False)),
    )


def _check_pin(module: Module, go_mod: Path) -> None:
    pattern = rf"^(?:require\s+|\t){re.escape(module.path)} (\S+)"
    required = re.findall(pattern, go_mod.read_text(), re.MULTILINE)
    if required != [module.version]:
        raise BuildError(f"{go_mod} requires {module.path} {required}, component.toml says {module.version}")


def component_item(component: Component, go: Go, store: Store) -> Item:
    """The store's item of a component: its key covers sources, pins, the recipe and the Go version."""
    key = key_of(RECIPE, go.version, go.architecture, [path.name for path in component.inputs()], *component.inputs())
    return Item("components", component.name, key, _maker(component, go, store))


def _maker(component: Component, go: Go, store: Store) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        log = store.log("components", component.name)
        binaries = path / "bin"
        binaries.mkdir()
        with _patched(component, go) as options:
            for name, package in component.binaries.items():
                command = build_command(component, go, package, binaries / name, options)
                run_logged(command, log, cwd=component.directory, env=build_environment(component, go))
        if component.module is not None and component.module.share:
            _copy_shared(component, component.module, go, path / "share")
        if component.module is not None and component.module.archive:
            _copy_archive(component, component.module, go, path / "module.zip")

    return make


@contextmanager
def _patched(component: Component, go: Go) -> Iterator[list[str]]:
    """Options of `go build` that put patched copies of modules in their place. Go lets no overlay into its cache."""
    if not component.patches:
        yield []
        return
    with tempfile.TemporaryDirectory() as temporary:
        go_mod = Path(temporary) / "go.mod"
        shutil.copyfile(component.directory / "go.sum", go_mod.with_suffix(".sum"))
        shutil.copyfile(component.directory / "go.mod", go_mod)
        for module in sorted({patch.module for patch in component.patches}):
            copy = Path(temporary) / module
            shutil.copytree(_source(component, module, go), copy)
            # Go's cache is read-only, also for whoever wants to remove a copy of it.
            for path in (copy, *copy.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            go.output(["mod", "edit", f"-replace={module}={copy}", str(go_mod)], cwd=component.directory)
        for patch in component.patches:
            patch.apply(Path(temporary) / patch.module)
        yield [f"-modfile={go_mod}"]


def build_command(component: Component, go: Go, package: str, target: Path, options: Sequence[str] = ()) -> list[str]:
    ldflags = " ".join(("-s", "-w", *component.ldflags))
    tags = [f"-tags={','.join(component.tags)}"] if component.tags else []
    return [
        go.program,
        "build",
        "-mod=readonly",
        "-trimpath",
        *options,
        *tags,
        f"-ldflags={ldflags}",
        "-o",
        str(target),
        package,
    ]


def build_environment(component: Component, go: Go) -> dict[str, str]:
    return {**go.environment, "CGO_ENABLED": "1" if component.cgo else "0"}


def prefetch(component: Component, go: Go, store: Store) -> None:
    """Download the modules that the component's packages need, so that the network works while another compiles."""
    packages = sorted(set(component.binaries.values()))
    if not packages:
        return
    command = [go.program, "list", "-mod=readonly", "-deps", "-f", "{{.Name}}", *packages]
    run_logged(
        command, store.log("prefetch", component.name), cwd=component.directory, env=build_environment(component, go)
    )


def _copy_shared(component: Component, module: Module, go: Go, share: Path) -> None:
    source = _source(component, module.path, go)
    for relative in module.share:
        for path in [source / relative, *sorted((source / relative).rglob("*"))]:
            if path.is_file():
                _copy_script_or_data(path, share / path.relative_to(source))


def _source(component: Component, module: str, go: Go) -> Path:
    """Where Go has a module in the version that the component is pinned to."""
    return Path(go.output(["list", "-m", "-f", "{{.Dir}}", module], cwd=component.directory).strip())


def _copy_archive(component: Component, module: Module, go: Go, target: Path) -> None:
    """Go downloads it where it is not there, and holds it to go.sum."""
    said = json.loads(go.output(["mod", "download", "-json", module.path], cwd=component.directory))
    shutil.copyfile(said["Zip"], target)


def _copy_script_or_data(source: Path, target: Path) -> None:
    """The module cache drops the executable bit; whoever starts with an interpreter line had it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    with target.open("rb") as handle:
        os.chmod(target, 0o755 if handle.read(2) == b"#!" else 0o644)
