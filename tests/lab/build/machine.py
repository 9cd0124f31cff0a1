"""Debian packages that the machine itself needs, to build the lab and to run it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.lab.build.process import output_of, run_logged
from tests.lab.build.store import BuildError, Store

PACKAGES = (
    "ca-certificates",
    "docker-registry",
    "gcc",
    "iproute2",
    "libc6-dev",
    "libseccomp-dev",
    "mmdebstrap",
    "nftables",
    "openssh-client",
    "pkg-config",
    "systemd-container",
    "util-linux",
)

# Their packages start them; the lab starts its own, in its own network namespace.
MASKED_UNITS = ("docker-registry.service",)


def install_missing(store: Store) -> None:
    """Install what is missing of PACKAGES with apt-get, without starting any service."""
    missing = missing_packages(PACKAGES)
    if not missing:
        return
    if os.geteuid() != 0:
        raise BuildError(f"these Debian packages are missing, install them as root: {' '.join(missing)}")
    store.progress(f"machine: installing {' '.join(missing)}")
    _mask(MASKED_UNITS)
    log = store.log("machine", "apt")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    run_logged(["apt-get", "update"], log, env=environment)
    run_logged(["apt-get", "install", "--yes", "--no-install-recommends", *missing], log, env=environment)


def missing_packages(packages: tuple[str, ...]) -> list[str]:
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages],
        capture_output=True,
        text=True,
        check=False,  # status 1 is "some of them are unknown"
    )
    return not_installed(packages, query.stdout)


def not_installed(packages: tuple[str, ...], listing: str) -> list[str]:
    """The packages that `dpkg-query` does not list as installed."""
    installed = {
        name
        for name, _unused, status in (line.partition(" ") for line in listing.splitlines())
        if status == "installed"
    }
    return [package for package in packages if package not in installed]


def _mask(units: tuple[str, ...]) -> None:
    for unit in units:
        link = Path("/etc/systemd/system") / unit
        if not link.is_symlink() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/dev/null")


def debian_sources(listings: dict[str, str], codename: str) -> list[str]:
    """One-line apt sources of the distribution itself, out of the machine's source files (name -> text).

    Sources of other vendors are recognised by their suites, which do not start with the release's code name.
    """
    lines: list[str] = []
    for name, text in sorted(listings.items()):
        lines += _deb822_lines(text, codename) if name.endswith(".sources") else _one_line_style(text, codename)
    return lines


def _is_of_release(suite: str, codename: str) -> bool:
    return suite == codename or suite.startswith((f"{codename}-", f"{codename}/"))


def _one_line_style(text: str, codename: str) -> list[str]:
    lines = (line.split("#")[0].split() for line in text.splitlines())
    kept = []
    for words in lines:
        if not words or words[0] != "deb":
            continue
        position = next((i for i, word in enumerate(words) if "://" in word), None)
        if position is not None and len(words) > position + 1 and _is_of_release(words[position + 1], codename):
            kept.append(" ".join(words))
    return kept


def _deb822_lines(text: str, codename: str) -> list[str]:
    lines = []
    for stanza in text.split("\n\n"):
        fields = _deb822_fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        signed_by = fields.get("signed-by", "")
        options = f"[signed-by={signed_by}] " if signed_by.startswith("/") else ""
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                if _is_of_release(suite, codename):
                    lines.append(f"deb {options}{uri} {suite} {fields.get('components', '')}".rstrip())
    return lines


def _deb822_fields(stanza: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in stanza.splitlines() if line[:1] not in ("#", " ", "\t", ""))
    return {name.strip().lower(): value.strip() for name, _unused, value in pairs}


def machine_sources() -> tuple[str, list[str]]:
    """The machine's code name and its distribution's apt sources; BuildError if it has none."""
    codename = output_of(["sh", "-c", '. /etc/os-release && printf %s "$VERSION_CODENAME"'])
    directory = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *directory.glob("*.list"), *directory.glob("*.sources")]
    sources = debian_sources({str(path): path.read_text() for path in files if path.is_file()}, codename)
    if not sources:
        raise BuildError(
            f"no apt source of {codename} in /etc/apt/sources.list or {directory}: the lab's hosts are made from it"
        )
    return codename, sources
