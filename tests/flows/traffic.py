"""What traffic noticed of something that was done: pod to pod, and from outside to pods, over TCP and UDP.

with probing() as traffic:
    ...
assert traffic.result.lost == 0, traffic.result

A probe is sent every 20 ms between each pair of ends, and answered; both ends count (``traffic_probe.py``). They run on
the pods' hosts, in the pods' network namespaces.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Literal

from tests.flows import proof
from tests.flows.drive import REPOSITORY, DriveError, rack, ssh

OUTSIDE = "outside"
PROTOCOLS = ("udp", "tcp")
_SCRIPT = Path(__file__).with_name("traffic_probe.py")
_UNIT = "traffic-probe"
_REMOTE = f"/run/{_UNIT}"
_WARM_UP = 2.0
_LOG_WITHIN = 20.0

Way = Literal["within", "across", "outside"]


@dataclass(frozen=True)
class End:
    """A pod, on a host; or the client outside, which has neither rack nor host."""

    name: str
    address: str
    rack: str = ""

    @property
    def is_outside(self) -> bool:
        return not self.rack


@dataclass(frozen=True)
class Flow:
    """What became of the probes of one protocol between two ends.

    ``arrived`` is what the receiver counted, ``answered`` what came back. ``longest_ms`` is, of UDP, the longest time
    between two probes that were answered while one between them was not; of TCP, which sends again, the longest that an
    answer took. ``resent`` are segments that either end sent again, ``broken`` connections that ended.
    """

    source: str
    target: str
    path: Way
    protocol: str
    sent: int
    arrived: int
    answered: int
    longest_ms: int
    resent: int = 0
    broken: int = 0

    @property
    def lost(self) -> int:
        return self.sent - self.answered


@dataclass(frozen=True)
class Result:
    """All flows. ``pause_ms`` is the longest that a sender itself was held up: so long the probes saw nothing. ``gone``
    are ends that ended without a word, with the flows to and from them left out."""

    flows: tuple[Flow, ...]
    seconds: float
    pause_ms: int
    gone: tuple[str, ...] = ()

    def of(self, *paths: str, protocol: str = "", ends: Iterable[str] = ()) -> Result:
        """The flows of these paths (all by default) and of this protocol; those that have any of ``ends``."""
        named = set(ends)
        kept = (
            flow
            for flow in self.flows
            if (not paths or flow.path in paths)
            and protocol in ("", flow.protocol)
            and (not named or {flow.source, flow.target} & named)
        )
        return Result(tuple(kept), self.seconds, self.pause_ms, self.gone)

    def without(self, *ends: str) -> Result:
        """The flows that have none of ``ends``."""
        kept = (flow for flow in self.flows if not {flow.source, flow.target} & set(ends))
        return Result(tuple(kept), self.seconds, self.pause_ms, self.gone)

    @property
    def sent(self) -> int:
        return sum(flow.sent for flow in self.flows)

    @property
    def lost(self) -> int:
        """Probes without an answer."""
        return sum(flow.lost for flow in self.flows)

    @property
    def resent(self) -> int:
        """TCP segments that were sent again and not told to be needless: a busy machine may be too late to tell."""
        return sum(flow.resent for flow in self.flows)

    @property
    def longest_ms(self) -> int:
        """The longest cut that a flow of datagrams saw."""
        return max((flow.longest_ms for flow in self.flows if flow.protocol == "udp"), default=0)

    def lines(self) -> Iterator[tuple[object, ...]]:
        """A line for each path and protocol: probes, arrived, answered, lost, longest ms, sent again, broken."""
        for path in ("within", "across", "outside"):
            for protocol in PROTOCOLS:
                flows = self.of(path, protocol=protocol).flows
                if flows:
                    sums = [sum(getattr(f, n) for f in flows) for n in ("sent", "arrived", "answered", "lost")]
                    longest = max(flow.longest_ms for flow in flows)
                    again = [sum(getattr(flow, name) for flow in flows) for name in ("resent", "broken")]
                    yield path, protocol, len(flows), *sums, longest, *again

    def __str__(self) -> str:
        head = "path     proto flows   sent arrived answered  lost longest-ms resent broken"
        form = "{:<8} {:<5} {:>5} {:>6} {:>7} {:>8} {:>5} {:>10} {:>6} {:>6}"
        rows = [form.format(*line) for line in self.lines()]
        worst = [
            f"  {flow.source} -> {flow.target} {flow.protocol}: {flow.lost} of {flow.sent} lost, "
            f"{flow.arrived} arrived, {flow.resent} sent again, longest {flow.longest_ms} ms"
            for flow in self.flows
            if flow.lost or flow.resent or flow.broken
        ]
        tail = f"{self.seconds:.0f} s; senders held up for at most {self.pause_ms} ms"
        return "\n".join([head, *rows, *worst, tail + (f"; gone: {', '.join(self.gone)}" if self.gone else "")])


@dataclass
class Traffic:
    """Probes that run. ``result`` is there once they have ended."""

    ends: tuple[End, ...]
    began: float = field(default_factory=time.monotonic)
    _result: Result | None = None

    @property
    def result(self) -> Result:
        assert self._result, "the probes still run"
        return self._result


@contextmanager
def probing(*, outside: bool = True) -> Iterator[Traffic]:
    """Probe between all web pods, and from outside to each of them, until the end of the block."""
    pods = [End(pod["spec"]["nodeName"], pod["status"]["podIP"]) for pod in proof.web_pods()]
    ends = [End(pod.name, pod.address, rack(pod.name)) for pod in pods]
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(len(ends)) as pool:
        list(pool.map(lambda end: _start(end, _targets(end, ends)), ends))
        client = _start_client(Path(directory), ends) if outside else None
        time.sleep(_WARM_UP)
        running = Traffic(tuple(ends))
        try:
            yield running
        finally:
            if client:
                client.terminate()
            logs = [log for log in pool.map(_stop, ends) if log]
            if client:
                client.wait(_LOG_WITHIN)
                logs.append(json.loads(Path(directory, "log").read_text()))
            running._result = judge(ends, logs, running.began)


def _targets(end: End, ends: Sequence[End]) -> dict[str, str]:
    """Each pair of pods is probed once: the answer goes the other way."""
    return {two.name: two.address for one, two in combinations(ends, 2) if one == end}


def namespace_of(address: str) -> str:
    """A shell line that prints the network namespace of this host's pod with the address."""
    return f"for n in /run/netns/cni-*; do ip -n ${{n##*/}} -o address show to {address} | grep -q . && echo $n; done"


def _start(end: End, targets: Mapping[str, str]) -> None:
    ssh(end.name, f"cat > {_REMOTE}.py", stdin=_SCRIPT.read_text())
    spec = json.dumps({"name": end.name, "targets": targets})
    run = f"nice -n -10 nsenter --net=$ns python3 {_REMOTE}.py {_REMOTE}.json {_REMOTE}.log"
    found = namespace_of(end.address)
    ssh(
        end.name,
        f"cat > {_REMOTE}.json; rm -f {_REMOTE}.log; systemctl stop {_UNIT} 2>/dev/null; ns=$({found}); "
        f'[ -n "$ns" ] && systemd-run --quiet --collect --unit={_UNIT} {run}',
        stdin=spec,
    )


def _start_client(directory: Path, ends: Sequence[End]) -> subprocess.Popen[bytes]:
    spec, log = directory / "spec", directory / "log"
    spec.write_text(json.dumps({"name": OUTSIDE, "targets": {end.name: end.address for end in ends}}))
    probe = ("nice", "-n", "-10", "python3", str(_SCRIPT), str(spec), str(log))
    return subprocess.Popen(["./lab", "outside", "--", *probe], cwd=REPOSITORY)


def _stop(end: End) -> dict[str, Any] | None:
    """The log of an end; None when its host is gone, or was, and nothing probes there any more."""
    try:
        said = ssh(
            end.name,
            f"systemctl stop {_UNIT} 2>/dev/null; cat {_REMOTE}.log 2>/dev/null || echo null",
            timeout=_LOG_WITHIN,
        )
    except DriveError:
        return None
    found: dict[str, Any] | None = json.loads(said)
    return found


def judge(ends: Sequence[End], logs: Sequence[Mapping[str, Any]], began: float) -> Result:
    """The logs of all ends, counted against each other, from ``began`` until the first end was told to stop."""
    by_name = {log["name"]: log for log in logs}
    racks = {end.name: end.rack for end in ends}
    stopped = min((log["stopped"] for log in logs), default=began)
    flows = [
        _flow(by_name[source], by_name[target], protocol, _path(racks, source, target), (began, stopped))
        for source in by_name
        for target in by_name[source]["targets"]
        if target in by_name
        for protocol in PROTOCOLS
    ]
    pause = max((log["longest_pause"] for log in logs), default=0.0)
    gone = tuple(name for name in racks if name not in by_name)
    return Result(tuple(flows), stopped - began, round(1000 * pause), gone)


def _path(racks: Mapping[str, str], source: str, target: str) -> Way:
    if source not in racks:
        return "outside"
    return "within" if racks[source] == racks[target] else "across"


def _flow(
    sender: Mapping[str, Any], receiver: Mapping[str, Any], protocol: str, path: Way, window: tuple[float, float]
) -> Flow:
    source, target = sender["name"], receiver["name"]
    sent = sender["targets"][target]
    times = {number: at for number, at in enumerate(sent["sent"][protocol]) if window[0] <= at <= window[1]}
    back = {int(number): at for number, at in sent["answered"][protocol].items()}
    answered = [number for number in times if number in back]
    received = receiver["received"].get(source, {}).get(protocol, ())
    tcp = protocol == "tcp"
    longest = (
        max((back[number] - times[number] for number in answered), default=0.0)
        if tcp
        else _longest_cut(times, answered, window)
    )
    return Flow(
        source,
        target,
        path,
        protocol,
        len(times),
        len(set(received) & set(times)),
        len(answered),
        round(1000 * longest),
        sent["resent"] + receiver["resent"].get(source, 0) if tcp else 0,
        sum(window[0] <= at <= window[1] for at in sent["broken"]) if tcp else 0,
    )


def _longest_cut(times: Mapping[int, float], answered: Sequence[int], window: tuple[float, float]) -> float:
    """The longest time from one answered probe to the next where probes between them were lost."""
    known = [
        (min(times, default=0) - 1, window[0]),
        *((n, times[n]) for n in answered),
        (max(times, default=0) + 1, window[1]),
    ]
    return max((later - earlier for (one, earlier), (two, later) in pairwise(known) if two > one + 1), default=0.0)
