from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.flows import interrupt
from tests.flows.drive import DriveError
from tests.lab.process import is_alive, wait_until

TASKS = ("Check", "Prepare", "Init", "Prepare", "Join", "Label")


def test_tasks_of_names_tasks_and_handlers_in_order():
    output = (
        "PLAY [x] ****\nTASK [calico : Wait for [it]] *****\nok: [a]\nRUNNING HANDLER [Restart] ***\nTASK [Join] **\n"
    )

    assert interrupt.tasks_of(output) == ("calico : Wait for [it]", "Restart", "Join")


@pytest.mark.parametrize("count", range(1, len(TASKS) + 1))
def test_one_point_in_each_part(count):
    points = interrupt.kill_points(TASKS, count, seed=3)

    assert len(points) == count
    positions = [[i for i, t in enumerate(TASKS) if t == p.task][p.occurrence - 1] for p in points]
    edges = [len(TASKS) * part // count for part in range(count + 1)]
    assert all(start <= position < end for start, position, end in zip(edges, positions, edges[1:]))
    assert all(0 <= point.delay <= 8 for point in points)


def test_only_what_can_be_interrupted_is_drawn():
    tasks = ["host : Validating arguments", "Join", "cluster_access : Read", "bgp : Peer", "Prune", "Sum up", "Say"]

    assert interrupt.interruptible(tasks) == ("Join", "bgp : Peer")


def test_the_seed_decides():
    tasks = [f"task {number}" for number in range(50)]

    assert interrupt.kill_points(tasks, 5, seed=1) == interrupt.kill_points(tasks, 5, seed=1)
    assert interrupt.kill_points(tasks, 5, seed=1) != interrupt.kill_points(tasks, 5, seed=2)


def test_more_points_than_tasks_is_an_error():
    with pytest.raises(ValueError, match="7 points in 6 tasks"):
        interrupt.kill_points(TASKS, 7, seed=1)


PLAYBOOK = """
import subprocess, sys, time
for task in ("Check", "Prepare", "Init", "Prepare", "Join"):
    print(f"TASK [{task}] ****", flush=True)
    if task == "Init":
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        print("worker", worker.pid, flush=True)
    time.sleep(0.2)
"""


@pytest.fixture
def fake_playbook(monkeypatch):
    started = []
    popen = subprocess.Popen

    def record(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(interrupt, "playbook_command", lambda *_, **_options: [sys.executable, "-c", PLAYBOOK])
    monkeypatch.setattr(interrupt.subprocess, "Popen", record)
    return started


def test_run_until_kills_all_processes_at_the_point(fake_playbook):
    output = interrupt.run_until(interrupt.KillPoint("Prepare", 2, 0.0), "site")

    assert interrupt.tasks_of(output) == ("Check", "Prepare", "Init", "Prepare")
    worker = int(next(line.split()[1] for line in output.splitlines() if line.startswith("worker")))
    assert wait_until(lambda: not is_alive(fake_playbook[0].pid) and not is_alive(worker), 5)


def test_run_until_something_is_seen(fake_playbook):
    began = time.monotonic()
    point = interrupt.Sight("half a second is over", lambda: time.monotonic() > began + 0.5)

    output = interrupt.run_until(point, "site")

    assert "Join" not in interrupt.tasks_of(output)
    assert not is_alive(fake_playbook[0].pid)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(interrupt.KillPoint("Uncordon", 1, 0.0), id="the task never comes"),
        pytest.param(interrupt.KillPoint("Join", 1, 5.0), id="the run ends before the delay does"),
    ],
)
def test_a_run_that_was_not_interrupted_is_an_error(fake_playbook, point):
    with pytest.raises(DriveError, match="was not interrupted"):
        interrupt.run_until(point, "site")
