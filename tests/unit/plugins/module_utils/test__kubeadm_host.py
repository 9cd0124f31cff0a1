# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_host as host_module
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host, run_command
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import Failure, Marker


@pytest.fixture
def host(tmp_path):
    return Host(root=tmp_path, sleep=lambda seconds: time.sleep(min(seconds, 0.02)))


def test_a_file_is_private_and_whole_and_leaves_nothing_beside_it(host):
    host.write("/a/b", "one")
    host.write("/a/b", "two")
    assert host.read("/a/b") == "two"
    assert stat.S_IMODE(host.path("/a/b").stat().st_mode) == 0o600
    assert stat.S_IMODE(host.path("/a").stat().st_mode) == 0o700
    assert host.entries("/a") == ["b"]


def test_reading_what_is_not_there_is_empty(host):
    assert host.read("/nothing") == ""
    assert host.entries("/nothing") == []
    assert not host.has("/nothing")


def test_removal_takes_trees_files_and_links_but_not_what_a_link_points_to(host):
    host.write("/keep/file", "x")
    host.write("/tree/deep/file", "x")
    host.path("/link").symlink_to(host.path("/keep"))
    for path in ("/tree", "/link", "/nothing"):
        host.remove(path)
    assert not host.has("/tree")
    assert not host.has("/link")
    assert host.read("/keep/file") == "x"


def test_marker_survives_its_writing(host):
    marker = Marker("init", "2026-11-23T06:00:00Z", "v1.36.3", "digest", True, ("remove /var/lib/cni",))
    host_module.write_marker(host, marker)
    assert host_module.read_marker(host) == marker


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}', "null"])
def test_a_broken_marker_is_an_unfinished_join(host, text):
    host.write(host_module.MARKER, text)
    assert host_module.read_marker(host).action == "join"


def test_no_marker(host):
    assert host_module.read_marker(host) is None


def test_wait_asks_at_least_once_and_stops_in_time(tmp_path):
    clock = [0.0]
    host = Host(root=tmp_path, clock=lambda: clock[0], sleep=lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    asked = []
    assert not host.wait(lambda: bool(asked.append(1)), 0)
    assert len(asked) == 1
    assert not host.wait(lambda: bool(asked.append(1)), 5.0, 1.0)
    assert len(asked) == 7
    assert host.wait(lambda: True, 0)


def test_a_command_gives_streams_and_status():
    done = run_command(["sh", "-c", "cat; echo err >&2; exit 3"], timeout=10, stdin="in")
    assert (done.rc, done.stdout, done.stderr) == (3, "in", "err\n")


def test_a_program_that_is_not_there_is_127():
    done = run_command(["/no/such/program"], timeout=10)
    assert done.rc == 127
    assert "/no/such/program" in done.stderr


def test_a_log_takes_both_streams(tmp_path):
    done = run_command(["sh", "-c", "echo out; echo err >&2"], timeout=10, log=str(tmp_path / "log"))
    assert done.stdout == "out\nerr\n"
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_a_command_that_hangs_is_stopped_with_its_children(tmp_path):
    done = run_command(
        ["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"], timeout=0.5, log=str(tmp_path / "log")
    )
    assert done.rc == -1
    assert "did not end within" in done.stderr
    pid = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 5
    while time.monotonic() < end and _alive(pid):
        time.sleep(0.02)
    assert not _alive(pid)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as handle:
            return handle.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_command_is_in_a_session_of_its_own():
    done = run_command([sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"], timeout=10)
    assert done.stdout == "True\n"


def test_the_lock_is_exclusive_and_freed(host):
    with host_module.locked(host, 1):
        assert host_module.busy(host)
        with pytest.raises(Failure, match="still works on this host"), host_module.locked(host, 0.05):
            pass
    assert not host_module.busy(host)
    with host_module.locked(host, 0):
        pass


def test_a_host_without_lock_is_not_busy(host):
    assert not host_module.busy(host)
    assert not host.has(host_module.LOCK)


def test_waiting_for_the_lock_names_what_is_at_work(host):
    with host_module.locked(host, 1):
        host_module.write_marker(host, Marker("join", "2026-11-23T06:00:00Z", "v1.36.3"))
        with (
            pytest.raises(Failure, match="kubeadm join, begun 2026-11-23T06:00:00Z"),
            host_module.locked(host, 0.05),
        ):
            pass


CONTROLLER = """
import sys
from pathlib import Path
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host, locked
host = Host(root=Path(sys.argv[1]))
with locked(host, 1) as lock:
    host.run(
        ["sh", "-c", f"echo up > {sys.argv[1]}/up; read line < {sys.argv[1]}/go; echo done"],
        timeout=60, log=sys.argv[1] + "/log", pass_fds=(lock,),
    )
"""


def test_a_child_that_outlives_its_killed_parent_holds_the_lock(host, tmp_path):
    """The parent is killed as a controller's SIGKILL would; a rerun must wait for the child, not race it."""
    os.mkfifo(tmp_path / "go")
    parent = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(tmp_path)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    _until((tmp_path / "up").exists)
    parent.kill()
    parent.wait()
    assert host_module.busy(host)
    with pytest.raises(Failure), host_module.locked(host, 0.1):
        pass
    with open(tmp_path / "go", "w") as gate:
        gate.write("go\n")
    with host_module.locked(host, 10):
        assert (tmp_path / "log").read_text() == "done\n"


def _until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def test_marker_is_readable_by_a_person(host):
    host_module.write_marker(host, Marker("join", "2026-11-23T06:00:00Z", "v1.36.3"))
    assert json.loads(host.read(host_module.MARKER))["started"] == "2026-11-23T06:00:00Z"
