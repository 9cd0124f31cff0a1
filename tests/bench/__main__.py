"""``make bench``: measure everything, print it as Markdown and keep it in docs/benchmarks.md.

Exits with 1 when a run failed or changed what it had to leave alone, never because it was slow.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from datetime import datetime, timezone

from tests.bench import check, node, site
from tests.bench.measure import Cost
from tests.flows import drive

INTRODUCTION = """# Benchmarks

Written by `make bench`, which boots a lab, measures on it and takes it down. These are no tests: a slow run passes; one
that fails, or that changes a converged estate, does not.

- **controller CPU-s**: user and system seconds of `ansible-playbook` and of all it starts on the controller: its forks,
  the modules that talk to the API from there, ssh. No connection is open when a run begins. What hosts and switches
  spend is not in it.
- **wall s** and the time to Ready are inflated: hosts and control plane share the controller's cores. **load** is the
  machine's load average as the run began; above the number of cores, others were measuring or building beside us.
- **tasks ok** and **tasks skipped** are as Ansible's recap counts them, for the worker that has most of them. **modules
  run on it** are those that ran on that host over ssh, for whichever host of the play.
- **API requests** are those that the modules report.
- Kubespray was measured elsewhere, on a machine of the same kind (2 shared cores), with one control plane and two
  workers; `?` is what nobody measured. Its figures are there for scale, not for their decimals.
"""


def document(found: site.Measurement, checked: list[Cost]) -> Iterator[str]:
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Linux {platform.release()}"
    yield INTRODUCTION
    yield f"Measured on {datetime.now(timezone.utc):%Y-%m-%d} on {machine}.\n"
    yield from site.sections(found)
    yield ""
    yield from check.sections(checked)
    yield "\n## The module `node` on 1,000 nodes\n"
    yield "Objects without kubelets on a real API server; client CPU is that of the module process.\n"
    yield node.measured(1000)


def main() -> int:
    found, checked = site.measured(), check.measured()
    text = "\n".join(document(found, checked)) + "\n"
    (drive.REPOSITORY / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")
    print(text)
    return int(not (found.good and all(cost.good for cost in checked)))


if __name__ == "__main__":
    sys.exit(main())
