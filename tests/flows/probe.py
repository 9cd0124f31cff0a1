"""How long the API server was silent while something else was done, as a node of the lab sees it.

with ApiProbe("node-b1") as probe:
    ...
    probe.longest_gap(since)
"""

from __future__ import annotations

import itertools
import re
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.flows.drive import ssh

_SCRIPT = Path(__file__).with_name("api_probe.py")
_UNIT = "api-probe"
_REMOTE = f"/run/{_UNIT}.py"
_LOG = f"/run/{_UNIT}.log"
_FIRST_ANSWERS = 2.0


@dataclass(frozen=True)
class Asked:
    """One request: seconds since the epoch, and the HTTP status, 0 where no answer came."""

    began: float
    ended: float
    status: int


class ApiProbe:
    """A probe that runs on a node until the end of the `with` block, whatever becomes of the connection to it."""

    def __init__(self, node: str) -> None:
        self._node = node

    def __enter__(self) -> ApiProbe:
        ssh(self._node, f"cat > {_REMOTE}", stdin=_SCRIPT.read_text())
        url = endpoint(ssh(self._node, "cat /etc/kubernetes/kubelet.conf"))
        command = f"exec python3 {_REMOTE} {shlex.quote(url)} {shlex.quote(self._node)} > {_LOG}"
        ssh(self._node, f"systemd-run --quiet --unit={_UNIT} sh -c {shlex.quote(command)}")
        time.sleep(_FIRST_ANSWERS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ssh(self._node, f"systemctl stop {_UNIT}")

    def longest_gap(self, since: float = 0.0) -> float:
        """The longest time between two good answers, in seconds; ``since`` is by this machine's clock."""
        return longest_gap(asked for asked in parse(ssh(self._node, f"cat {_LOG}")) if asked.ended >= since)


def endpoint(kubeconfig: str) -> str:
    """The server in a kubelet's kubeconfig."""
    found = re.search(r"^\s*server: (\S+)$", kubeconfig, re.MULTILINE)
    assert found, kubeconfig
    return found.group(1)


def parse(text: str) -> list[Asked]:
    """The probe's log; its last line may be half written."""
    lines = (line.split() for line in text.splitlines())
    return [
        Asked(float(began), float(ended), int(status)) for began, ended, status in (x for x in lines if len(x) == 3)
    ]


def longest_gap(asked: Iterable[Asked]) -> float:
    """The longest time between two good answers that follow each other; infinite with fewer than two."""
    good = sorted(each.ended for each in asked if each.status == 200)
    return max((later - earlier for earlier, later in itertools.pairwise(good)), default=float("inf"))
