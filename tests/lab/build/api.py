"""The order of things: machine packages; components beside root file systems; images; registry storage; mirror."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.lab.build import images, machine, mirror, registry, rootfs
from tests.lab.build.components import Component, component_item, load_components, prefetch
from tests.lab.build.go import Go, find_go, required_version
from tests.lab.build.images import Built, Image
from tests.lab.build.process import output_of
from tests.lab.build.store import BuildError, Item, Progress, Store, cache_root, key_of, to_stderr


@dataclass(frozen=True)
class Artifacts:
    """Absolute paths of everything built for the lab; see the package's docstring."""

    host_rootfs: Path
    switch_rootfs: Path
    mirror_dir: Path
    registry_storage: Path
    images: tuple[str, ...]
    components: dict[str, Path]
    layouts: dict[str, Path]

    def binaries_dir(self, component: str) -> Path:
        return self.components[component] / "bin"

    def shared_dir(self, component: str) -> Path:
        return self.components[component] / "share"

    def images_dir(self, reference: str) -> Path:
        return self.layouts[reference]


def ensure(progress: Progress = to_stderr) -> Artifacts:
    """Build what is missing and say where everything is. Raises BuildError."""
    return Plan(Store(cache_root(), progress)).ensure()


def ensure_component(name: str, progress: Progress = to_stderr) -> Path:
    """Build one component (of any group) if it is missing; its directory. Raises BuildError."""
    plan = Plan(Store(cache_root(), progress))
    if name not in plan.components:
        raise BuildError(f"there is no component {name}; there are {', '.join(plan.components)}")
    machine.install_missing(plan.store)
    return plan.store.ensure(plan.component_items[name])


class Plan:
    """All items of the lab and their keys, known before anything is built."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.components = load_components()

    @cached_property
    def go(self) -> Go:
        return find_go(required_version([c.directory / "go.mod" for c in self.components.values()]), self.store)

    @cached_property
    def component_items(self) -> dict[str, Item]:
        return {name: component_item(c, self.go, self.store) for name, c in self.components.items()}

    @cached_property
    def rootfs_items(self) -> dict[str, Item]:
        codename, _unused = machine.machine_sources()
        return {r.name: rootfs.rootfs_item(r, codename, self.store) for r in rootfs.ROOT_FILE_SYSTEMS}

    @cached_property
    def lab_components(self) -> dict[str, Component]:
        return {name: c for name, c in self.components.items() if c.group == "lab"}

    @cached_property
    def versions(self) -> dict[str, str]:
        return {name: component.version for name, component in self.components.items()}

    @cached_property
    def keys(self) -> dict[str, str]:
        return {name: item.key for name, item in self.component_items.items()}

    @cached_property
    def component_paths(self) -> dict[str, Path]:
        return {name: self.store.path(self.component_items[name]) for name in self.lab_components}

    @cached_property
    def images(self) -> tuple[Image, ...]:
        return images.images(self.versions)

    @cached_property
    def base_layer_item(self) -> Item:
        return images.base_layer_item(self._root("image-base"), self.rootfs_items["image-base"].key)

    @cached_property
    def image_items(self) -> dict[str, Item]:
        built = Built(self.component_paths, self._root("image-base"))
        base = self.store.path(self.base_layer_item)
        base_key = self.base_layer_item.key
        architecture = self.go.architecture
        return {i.reference: images.image_item(i, built, self.keys, base_key, base, architecture) for i in self.images}

    @cached_property
    def registry_item(self) -> Item:
        key = key_of(Path(registry.__file__), sorted((ref, item.key) for ref, item in self.image_items.items()))
        return Item("registry", "storage", key, self._make_registry)

    @cached_property
    def mirror_item(self) -> Item:
        return mirror.mirror_item(self.component_paths, self.versions, self.keys, self.go.architecture)

    def _root(self, name: str) -> Path:
        return self.store.path(self.rootfs_items[name]) / "root"

    def items(self) -> Iterator[Item]:
        """Every item of the lab in an order in which they can be built, then the components of other groups."""
        yield from (self.component_items[name] for name in self.lab_components)
        yield from self.rootfs_items.values()
        yield self.base_layer_item
        yield from self.image_items.values()
        yield self.registry_item
        yield self.mirror_item
        yield from (item for name, item in self.component_items.items() if name not in self.lab_components)

    def ensure(self) -> Artifacts:
        machine.install_missing(self.store)
        self._ensure_independent()
        self.store.ensure(self.base_layer_item)
        for item in (*self.image_items.values(), self.registry_item, self.mirror_item):
            self.store.ensure(item)
        return Artifacts(
            host_rootfs=self._root("host"),
            switch_rootfs=self._root("switch"),
            mirror_dir=self.store.path(self.mirror_item) / "tree",
            registry_storage=self.store.path(self.registry_item),
            images=tuple(image.reference for image in self.images),
            components=self.component_paths,
            layouts={reference: self.store.path(item) for reference, item in self.image_items.items()},
        )

    def ensure_named(self, names: Sequence[str]) -> list[Path]:
        """Only the items called `names` (as `kind/name` or the name alone), whose inputs must exist."""
        chosen = [item for item in self.items() if item.name in names or item.label in names]
        unknown = set(names) - {item.name for item in chosen} - {item.label for item in chosen}
        if unknown:
            raise BuildError(f"nothing is called {', '.join(sorted(unknown))}; --list names everything")
        machine.install_missing(self.store)
        return [self.store.ensure(item) for item in chosen]

    def _ensure_independent(self) -> None:
        """Components one after another, as each keeps all cores busy; beside them downloads and root file systems."""
        components = [c for name, c in self.lab_components.items() if not self.store.has(self.component_items[name])]
        root_file_systems = [item for item in self.rootfs_items.values() if not self.store.has(item)]
        failed = threading.Event()
        with ThreadPoolExecutor(max_workers=3) as pool:
            lanes = [
                pool.submit(self._in_turn, [self.component_items[c.name] for c in components], failed),
                pool.submit(self._in_turn, root_file_systems, failed),
                pool.submit(self._prefetch, components, failed),
            ]
        for lane in lanes:
            lane.result()

    def _in_turn(self, items: Sequence[Item], failed: threading.Event) -> None:
        for item in items:
            if failed.is_set():
                return
            try:
                self.store.ensure(item)
            except BaseException:
                failed.set()
                raise

    def _prefetch(self, components: Sequence[Component], failed: threading.Event) -> None:
        for component in components:
            if failed.is_set():
                return
            prefetch(component, self.go, self.store)

    def _make_registry(self, path: Path) -> None:
        kubeadm = self.component_paths["kubernetes"] / "bin" / "kubeadm"
        version = f"v{self.versions['kubernetes']}"
        wanted = output_of([str(kubeadm), "config", "images", "list", "--kubernetes-version", version])
        images.check_kubeadm_images(wanted, self.images)
        for image in self.images:
            layout = self.store.path(self.image_items[image.reference])
            registry.add_layout(path, image.repository, image.tag, layout)
