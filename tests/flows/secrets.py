"""Planted secrets: where they are found that should not be anywhere, in output, in arguments of processes, in files."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.flows.drive import ssh

KEY = "LTAI5tPLANTED"
PLANTED = {
    "access key secret": "planted-access-key-secret-7f3a",
    "security token": "planted-security-token-91c2",
    "BGP password": "planted-bgp-password-d05e",
}
_PAUSE_SECONDS = 0.02
# Of the machine, not of the host; and the search's own patterns, which it reads there.
_NO_FILES = ("proc", "sys", "dev")


def forms(secret: str) -> tuple[str, ...]:
    """How a secret may be written: as it is, and as Kubernetes keeps it."""
    return secret, base64.b64encode(secret.encode()).decode()


def in_text(text: str, planted: Mapping[str, str]) -> set[str]:
    """Names of the planted secrets that a text shows."""
    return {name for name, secret in planted.items() if any(form in text for form in forms(secret))}


class Arguments:
    """Watches the arguments of all processes of the machine, the lab's hosts included, and keeps those with a secret.

    with Arguments(planted) as watch:
        ...
    assert not watch.found
    """

    def __init__(self, planted: Mapping[str, str]) -> None:
        self.found: set[tuple[str, str]] = set()
        self.looks = 0
        self._planted = {name: [form.encode() for form in forms(secret)] for name, secret in planted.items()}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Arguments:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            for process in Path("/proc").glob("[0-9]*"):
                self._look(process)
            self.looks += 1

    def _look(self, process: Path) -> None:
        try:
            arguments = (process / "cmdline").read_bytes()
        except OSError:
            return
        for name, secret_forms in self._planted.items():
            if any(form in arguments for form in secret_forms):
                program = arguments.split(b"\0")[0].decode("utf-8", "replace")
                self.found.add((name, program))


def in_tree(root: Path, planted: Mapping[str, str]) -> dict[str, set[str]]:
    """Files below a directory of this machine that hold a planted secret, with the secrets' names."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            names = in_text(path.read_bytes().decode("utf-8", "replace"), planted)
            if names:
                found[str(path)] = names
    return found


def on_host(host: str, planted: Mapping[str, str]) -> dict[str, set[str]]:
    """Files of a host of the lab that hold a planted secret; its journal is `(journal)`."""
    patterns = "".join(f"{form}\n" for secret in planted.values() for form in forms(secret))
    left_out = " ".join(f"--exclude-dir={name}" for name in _NO_FILES)
    # The journal keeps long lines compressed: it is asked, and its files are not read.
    search = f"cat > /dev/shm/p; grep -raosF -f /dev/shm/p {left_out} --exclude-dir=journal / | sort -u"
    journal = "journalctl --all --no-pager --quiet | grep -aoF -f /dev/shm/p | sort -u | sed 's/^/(journal):/'"
    lines = ssh(host, f"({search}; {journal}; rm /dev/shm/p) 2>/dev/null; true", stdin=patterns, timeout=300)
    names = {form: name for name, secret in planted.items() for form in forms(secret)}
    found: dict[str, set[str]] = {}
    for line in lines.splitlines():
        path, _colon, form = line.partition(":")
        found.setdefault(path, set()).add(names.get(form, form))
    return found


def strangers(found: Mapping[str, set[str]], homes: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """What of ``found`` is not at home: ``homes`` are patterns of the files that must hold a secret, by its name."""
    left = {
        path: {name for name in names if not any(re.fullmatch(home, path) for home in homes.get(name, ()))}
        for path, names in found.items()
    }
    return {path: names for path, names in left.items() if names}
