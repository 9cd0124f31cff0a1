"""``make bench``: measure everything, print it as Markdown and keep it in docs/benchmarks.md.

``make bench PARTS="node join"`` measures these alone and leaves the others' figures as they are.

Exits with 1 when a run failed or changed what it had to leave alone, never because it was slow.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from tests.bench import bgp, bgp_scale, check, cloud, drain, join, node, site
from tests.flows import drive

INTRODUCTION = """# Benchmarks

Written by `make bench`, which boots a lab, measures on it and takes it down, and then goes on with clusters of kwok
nodes (a real API server, etcd, controllers and scheduler). These are no tests: a slow run passes; one that fails, or
that changes a converged estate, does not.

- **controller CPU-s**: user and system seconds of `ansible-playbook` and of all it starts on the controller: its forks,
  the modules that talk to the API from there, ssh. No connection is open when a run begins. What hosts and switches
  spend is not in it.
- **wall s** and the time to Ready are inflated: hosts and control plane share the controller's cores. **load** is the
  machine's load average as the run began; above the number of cores, others were measuring or building beside us.
- **tasks ok** and **tasks skipped** are as Ansible's recap counts them, for the worker that has most of them. **modules
  run on it** are those that ran on that host over ssh, for whichever host of the play.
- **API requests** of whole runs are those that the modules report; elsewhere **requests** are those that the API server
  counted, refused ones too.
- Kubespray was measured elsewhere, on a machine of the same kind (2 shared cores), with one control plane and two
  workers; `?` is what nobody measured. Its figures are there for scale, not for their decimals.
"""


@dataclass(frozen=True)
class Part:
    """A part of the document, and whether what it ran did what it is for."""

    text: str
    good: bool = True


def _site() -> Part:
    found = site.measured()
    return Part("\n".join(site.sections(found)), found.good)


def _check() -> Part:
    costs = check.measured()
    return Part("\n".join(check.sections(costs)), all(cost.good for cost in costs))


def _node() -> Part:
    return Part("\n".join(node.sections(node.measured())))


def _join() -> Part:
    return Part("\n".join(join.sections(join.measured())))


def _drain() -> Part:
    return Part("\n".join(drain.sections(drain.measured())))


def _cloud() -> Part:
    found = cloud.measured()
    return Part("\n".join(cloud.sections(found)), found.good)


def _bgp() -> Part:
    rows = bgp.measured()
    return Part("\n".join(bgp.sections(rows)), all(row.whole for row in rows))


def _bgp_scale() -> Part:
    found = bgp_scale.measured()
    return Part("\n".join(bgp_scale.sections(found)), found.ok)


PARTS: dict[str, Callable[[], Part]] = {
    "site": _site,
    "check": _check,
    "node": _node,
    "join": _join,
    "drain": _drain,
    "cloud": _cloud,
    "bgp": _bgp,
    "bgp_scale": _bgp_scale,
}
_MARK = re.compile(r"^<!-- (\w+) -->$", re.MULTILINE)


def kept(document: str) -> dict[str, str]:
    """The parts of a document as it is, by name, each with the line that says when and where it was measured."""
    marks = list(_MARK.finditer(document))
    ends = [*(mark.start() for mark in marks[1:]), len(document)]
    return {mark[1]: document[mark.start() : end].strip() for mark, end in zip(marks, ends, strict=True)}


def marked(name: str, text: str) -> str:
    """A part with the line that says when and where it was measured."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Linux {platform.release()}"
    day, load = datetime.now(timezone.utc), os.getloadavg()[0]
    return f"<!-- {name} -->\n\nMeasured on {day:%Y-%m-%d} on {machine}; load {load:.0f} at the end.\n\n{text}".strip()


def main(names: list[str]) -> int:
    if unknown := set(names) - set(PARTS):
        print(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    path = drive.REPOSITORY / "docs" / "benchmarks.md"
    parts = kept(path.read_text(encoding="utf-8"))
    good = True
    for name in names or PARTS:
        part = PARTS[name]()
        good = good and part.good
        parts[name] = marked(name, part.text)
        print(parts[name], flush=True)
        document = [INTRODUCTION.strip(), *(parts[each] for each in PARTS if each in parts)]
        path.write_text("\n\n".join(document) + "\n", encoding="utf-8")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
