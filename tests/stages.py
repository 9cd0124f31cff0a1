"""Run make targets one after another, and say in the end what each of them took and found.

``python3 tests/stages.py TARGET...``: the exit status is 0 when every target passed. The last line is
``N passed, N failed``: tests where a target's output counts them as pytest does, else the target itself counts as one.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass

_PYTEST_SUMMARY = re.compile(r"^=*\s*(?:\d+ \w+, )*\d+ \w+(?:, \d+ \w+)* in [\d.]+s")
_COUNT = re.compile(r"(\d+) (passed|failed|errors?)\b")
_TELLING = re.compile(r"FAILED |ERROR |E  |fatal: |failed: |\[ERROR\]|CRITICAL|Traceback|make\[\d+\]: \*\*\*")
_FOLLOWING = 3
_KEPT = 24


@dataclass(frozen=True)
class Stage:
    """What one target did; ``seconds`` of wall time."""

    target: str
    status: int
    seconds: float
    passed: int
    failed: int
    complaints: list[str]


def complaints(output: list[str]) -> list[str]:
    """The first lines that tell why a target failed, each with the few after it; later ones follow from them."""
    telling: list[str] = []
    until = 0
    for number, line in enumerate(output):
        if _TELLING.match(line):
            until = number + 1 + _FOLLOWING
        if number < until and line.strip():
            telling.append(line.rstrip()[:200])
    return telling[:_KEPT]


def count(output: list[str], status: int) -> tuple[int, int]:
    """Passed and failed tests of a target that ended with ``status`` and printed these lines."""
    passed = failed = 0
    for line in output:
        if _PYTEST_SUMMARY.match(line):
            for number, word in _COUNT.findall(line):
                passed, failed = (passed + int(number), failed) if word == "passed" else (passed, failed + int(number))
    if status and not failed:
        return passed, 1
    return (passed, failed) if passed or failed else (1, 0)


def run(target: str) -> Stage:
    """Run one target of the Makefile; its output is passed on as it comes."""
    print(f"=== {target}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        ["make", "--no-print-directory", target],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    output = []
    for line in process.stdout or ():
        print(line, end="", flush=True)
        output.append(line)
    status = process.wait()
    return Stage(
        target, status, time.monotonic() - started, *count(output, status), complaints(output) if status else []
    )


def main(targets: list[str]) -> int:
    """Run all targets, failed ones or not, and print the summary."""
    stages = [run(target) for target in targets]
    print("=== summary")
    for stage in stages:
        verdict = "FAILED" if stage.status else "ok"
        print(f"{stage.target:<12} {verdict:<7} {stage.seconds:7.0f} s  {stage.passed} passed, {stage.failed} failed")
    # Whoever keeps only the end of a long output still learns what failed.
    for stage in stages:
        for line in stage.complaints:
            print(f"{stage.target}: {line}")
    print(f"{sum(stage.passed for stage in stages)} passed, {sum(stage.failed for stage in stages)} failed")
    return int(any(stage.status for stage in stages))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
