# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images in containerd's store, where the kubelet looks for them; private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Completed, Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

_CTR = ("ctr", "--namespace", "k8s.io", "images")
_HOSTS = "/etc/containerd/certs.d"
_LIST_SECONDS = 30.0
_OUT_OF_TIME = -1


class ImagesError(Exception):
    """containerd cannot be asked."""


@dataclass(frozen=True)
class Pulled:
    """What was done, and what a person is told about images that are still not there."""

    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()


def reference(image: str) -> str:
    """An image's name as containerd stores it: with registry and tag."""
    first, slash, _rest = image.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    full = image if named else f"docker.io/{image}" if slash else f"docker.io/library/{image}"
    return full if "@" in full or ":" in full.rpartition("/")[2] else f"{full}:latest"


def missing(wanted: Iterable[str], present: Iterable[str]) -> list[str]:
    """The wanted images that are not there, by their full names, each once."""
    have = set(present)
    return [name for name in dict.fromkeys(map(reference, wanted)) if name not in have]


def present(host: Host) -> list[str]:
    """The images that containerd has. Raises ImagesError."""
    done = host.run([*_CTR, "list", "--quiet"], timeout=_LIST_SECONDS)
    if done.rc:
        raise ImagesError(
            f"containerd cannot be asked for its images: {done.output.strip()}. Role container_runtime starts it."
        )
    return done.stdout.split()


def pull(host: Host, names: Sequence[str], seconds: float) -> Pulled:
    """Pull these images, one after the other, for at most so long.

    What is not there in the end is the kubelet's to pull: containerd keeps the parts that came and goes on from there.
    """
    end = host.clock() + seconds
    steps: list[Step] = []
    for place, name in enumerate(names):
        left = end - host.clock()
        done = _pull(host, name, left) if left > 0 else Completed(_OUT_OF_TIME)
        if done.rc == _OUT_OF_TIME:
            rest = ", ".join(names[place:])
            return Pulled(tuple(steps), (f"not here after {seconds:.0f} s, the kubelet goes on with them: {rest}",))
        if done.rc:
            return Pulled(tuple(steps), (f"{name} could not be pulled: {_last_line(done.output)}",))
        steps.append(step(name))
    return Pulled(tuple(steps))


def step(name: str) -> Step:
    """The step that brings an image."""
    return Step("pull", name, "a new node needs it")


def _pull(host: Host, name: str, seconds: float) -> Completed:
    hosts = ["--hosts-dir", _HOSTS] if host.has(_HOSTS) else []
    return host.run([*_CTR, "pull", *hosts, name], timeout=seconds)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "ctr said nothing"
