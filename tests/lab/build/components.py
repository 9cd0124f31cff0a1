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
    [binaries]                  # file name = import path
    kubectl = "k8s.io/kubernetes/cmd/kubectl"

The built component has its programs in ``bin/`` and the shared files in ``share/``, by their path in the module.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
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
        binaries=dict(data["binaries"]),
        module=module,
        group=data.get("group", "lab"),
        cgo=data.get("cgo", False),
        tags=tuple(data.get("tags", ())),
        ldflags=tuple(flag.format(version=version) for flag in data.get("ldflags", ())),
    )


def _module(data: dict[str, object], version: str) -> Module:
    share = data.get("share", [])
    assert isinstance(share, list)
    return Module(path=str(data["path"]), version=str(data.get("version", f"v{version}")), share=tuple(share))


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
        run_logged(
            build_command(component, go, path), log, cwd=component.directory, env=build_environment(component, go)
        )
        for name, package in component.binaries.items():
            built = binaries / default_binary_name(package)
            if built.name != name:
                built.rename(binaries / name)
        if component.module is not None and component.module.share:
            _copy_shared(component, component.module, go, path / "share")

    return make


def build_command(component: Component, go: Go, path: Path) -> list[str]:
    ldflags = " ".join(("-s", "-w", *component.ldflags))
    tags = [f"-tags={','.join(component.tags)}"] if component.tags else []
    packages = sorted(set(component.binaries.values()))
    return [
        go.program,
        "build",
        "-mod=readonly",
        "-trimpath",
        *tags,
        f"-ldflags={ldflags}",
        "-o",
        f"{path}/bin/",
        *packages,
    ]


def build_environment(component: Component, go: Go) -> dict[str, str]:
    return {**go.environment, "CGO_ENABLED": "1" if component.cgo else "0"}


def prefetch(component: Component, go: Go, store: Store) -> None:
    """Download the modules that the component's packages need, so that the network works while another compiles."""
    packages = sorted(set(component.binaries.values()))
    command = [go.program, "list", "-mod=readonly", "-deps", "-f", "{{.Name}}", *packages]
    run_logged(
        command, store.log("prefetch", component.name), cwd=component.directory, env=build_environment(component, go)
    )


def default_binary_name(package: str) -> str:
    """The file name that `go build -o DIR/` gives a package: its last element that is not a major version."""
    elements = package.split("/")
    return elements[-2] if re.fullmatch(r"v[0-9]+", elements[-1]) else elements[-1]


def _copy_shared(component: Component, module: Module, go: Go, share: Path) -> None:
    source = Path(go.output(["list", "-m", "-f", "{{.Dir}}", module.path], cwd=component.directory).strip())
    for relative in module.share:
        for path in [source / relative, *sorted((source / relative).rglob("*"))]:
            if path.is_file():
                _copy_script_or_data(path, share / path.relative_to(source))


def _copy_script_or_data(source: Path, target: Path) -> None:
    """The module cache drops the executable bit; whoever starts with an interpreter line had it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    with target.open("rb") as handle:
        os.chmod(target, 0o755 if handle.read(2) == b"#!" else 0o644)
