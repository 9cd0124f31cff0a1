"""Command line of the build: `python -m tests.lab.build`."""

from __future__ import annotations

import argparse
import sys

from tests.lab.build.api import Plan
from tests.lab.build.store import BuildError, Store, cache_root


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.build",
        description="Build what the lab needs and the cache lacks: components, root file systems, images, mirror.",
        epilog="The cache is $HYBRIDK8S_CACHE, by default ~/.cache/hybridk8s-estate.",
    )
    parser.add_argument("--list", action="store_true", help="list everything, with where it is and how long it took")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        help="build only this (kwok, components/etcd, rootfs/host, ...); its inputs must be there; repeatable",
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove what earlier versions of this checkout built; labs of other checkouts that use it must be down",
    )
    options = parser.parse_args(arguments)
    plan = Plan(Store(cache_root()))
    try:
        if options.list:
            print_list(plan)
        elif options.prune:
            for path in plan.store.prune(plan.items()):
                print(f"removed {path}")
        elif options.only:
            for path in plan.ensure_named(options.only):
                print(path)
        else:
            artifacts = plan.ensure()
            for name in ("host_rootfs", "switch_rootfs", "mirror_dir", "registry_storage"):
                print(f"{name}: {getattr(artifacts, name)}")
            for name, component in artifacts.components.items():
                print(f"binaries of {name}: {component / 'bin'}")
    except BuildError as error:
        print(f"lab build: {error}", file=sys.stderr)
        return 1
    return 0


def print_list(plan: Plan) -> None:
    durations = plan.store.durations()
    for item in plan.items():
        seconds = f"{durations[item.label]:6.0f} s" if item.label in durations else "       -"
        where = plan.store.path(item) if plan.store.has(item) else "not built"
        print(f"{item.label:<48} {seconds}  {where}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
