# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import Limits
from ansible_collections.hybridk8s.estate.plugins.module_utils._dataset_fetch import (
    Outcome,
    OutOfTime,
    Pace,
    converge,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError

from tests.unit.plugins.module_utils.artifact_fake import Web, serve

BODIES = {"train/0.tar": b"zero" * 200_000, "train/1.tar": b"one" * 100_000, "labels.csv": b"cat,dog\n"}


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serve() as web:
        yield web


class Disk:
    """A host whose data disk is a directory, and the dataset that it shall have."""

    def __init__(self, root: Path, web: Web) -> None:
        self.web = web
        self.path = root / "data"
        self.path.mkdir()
        self.host = Host(str(root))
        for path, body in BODIES.items():
            web.put(f"/{path}", body)

    def options(self, version: str = "1", bodies: dict[str, bytes] | None = None, **changes: Any) -> dict[str, Any]:
        files = [
            {"path": path, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
            for path, body in (BODIES if bodies is None else bodies).items()
        ]
        raw = {"name": "pets", "version": version, "url": self.web.url, "files": files}
        return {"root": "/data", "datasets": [raw], "max_used": 1, "verify": False, **changes}

    def run(self, options: dict[str, Any] | None = None, check: bool = False, pace: Pace | None = None) -> Outcome:
        pace = pace or Pace(0, 0)
        limits = Limits(2, 1, 5.0, sleep=lambda _seconds: None, free=lambda _path: 1 << 40, pace=pace)
        return converge(options or self.options(), self.host, limits, pace, check)

    def bodies(self, version: str = "1") -> dict[str, bytes]:
        home = self.path / "pets" / version
        files = [path for path in home.rglob("*") if path.is_file() and path.name != ".dataset.json"]
        return {str(path.relative_to(home)): path.read_bytes() for path in files}

    def actions(self, outcome: Outcome) -> list[str]:
        return [step.action for step in outcome.steps]


@pytest.fixture
def disk(server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.pages.clear()
    server.requests.clear()
    return Disk(tmp_path, server)


def test_check_then_fetch_then_nothing(disk: Disk) -> None:
    planned = disk.run(check=True)
    assert list(disk.path.iterdir()) == []
    assert planned.labels == {}
    made = disk.run()
    assert made.steps == planned.steps
    assert disk.actions(made) == ["fetch", "complete"]
    assert disk.bodies() == BODIES
    assert made.labels == {"dataset.pets": "1"}
    assert made.fetched_bytes == sum(map(len, BODIES.values()))
    disk.web.requests.clear()
    for check in (False, True):
        again = disk.run(check=check)
        assert again.steps == ()
        assert again.labels == {"dataset.pets": "1"}
    assert disk.web.requests == []
    assert {path.name for path in disk.path.iterdir()} == {".lock", "pets"}


def test_a_version_has_its_name_only_when_it_is_complete(disk: Disk) -> None:
    disk.web.pages["/labels.csv"].statuses[:] = [404] * 3
    with pytest.raises(HostError, match=r"labels\.csv: HTTP status 404") as caught:
        disk.run()
    assert [step.action for step in caught.value.applied] == ["fetch"]
    assert [path.name for path in (disk.path / "pets").iterdir()] == [".1"]
    disk.web.requests.clear()
    disk.web.pages["/labels.csv"].statuses.clear()
    assert disk.actions(disk.run()) == ["fetch", "complete"]
    assert disk.bodies() == BODIES


def test_a_download_that_is_cut_off_goes_on(disk: Disk) -> None:
    disk.web.pages["/train/0.tar"].cut[:] = [300_000, 200_000, 200_000]
    with pytest.raises(HostError):
        disk.run()
    disk.web.requests.clear()
    disk.run()
    assert ("/train/0.tar", "bytes=500000-") in disk.web.requests
    assert disk.bodies() == BODIES


@pytest.mark.parametrize("same_size", [True, False])
def test_a_corrupt_file_is_fetched_again_and_that_alone(disk: Disk, same_size: bool) -> None:
    disk.run()
    corrupt = disk.path / "pets/1/train/1.tar"
    corrupt.write_bytes(b"x" * (len(BODIES["train/1.tar"]) if same_size else 5))
    disk.web.requests.clear()
    seen = disk.run(check=True)
    assert seen.labels == {}
    made = disk.run()
    assert [step.reason for step in made.steps] == ["changed on disk: train/1.tar; 0.3 MB"]
    assert [path for path, _range in disk.web.requests] == ["/train/1.tar"]
    assert disk.bodies() == BODIES
    assert made.labels == {"dataset.pets": "1"}


def test_rot_that_keeps_size_and_time_is_found_by_verify(disk: Disk) -> None:
    disk.run()
    rotten = disk.path / "pets/1/labels.csv"
    before = rotten.stat()
    rotten.write_bytes(b"cat,dot\n")
    os.utime(rotten, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert disk.run().steps == ()
    assert disk.actions(disk.run(disk.options(verify=True))) == ["fetch"]
    assert disk.bodies() == BODIES


def test_a_file_that_was_only_touched_is_not_fetched(disk: Disk) -> None:
    disk.run()
    os.utime(disk.path / "pets/1/labels.csv", (1, 1))
    disk.web.requests.clear()
    assert disk.run().steps == ()
    assert disk.web.requests == []


def test_a_new_version_fetches_only_what_is_new(disk: Disk) -> None:
    disk.run()
    disk.web.requests.clear()
    newer = {**BODIES, "labels.csv": b"cat,dog,owl\n"}
    disk.web.put("/labels.csv", newer["labels.csv"])
    made = disk.run(disk.options("2", newer))
    assert disk.actions(made) == ["link", "fetch", "complete"]
    assert [path for path, _range in disk.web.requests] == ["/labels.csv"]
    assert (disk.bodies("1"), disk.bodies("2")) == (BODIES, newer)
    assert made.labels == {"dataset.pets": "2"}


def test_the_same_bytes_at_two_paths_come_once(disk: Disk) -> None:
    twins = {"a": b"same", "b": b"same", "c": b"same"}
    for path, body in twins.items():
        disk.web.put(f"/{path}", body)
    disk.run(disk.options(bodies=twins))
    assert disk.bodies() == twins
    assert len(disk.web.requests) == 1


def test_a_manifest_that_names_another_size_is_refused(disk: Disk) -> None:
    options = disk.options()
    options["datasets"][0]["files"][2]["size"] = 9
    with pytest.raises(HostError, match=r"labels\.csv of pets has 8 bytes with that sha256, not 9"):
        disk.run(options)


def test_wrong_bytes_are_refused_and_never_get_the_name(disk: Disk) -> None:
    disk.web.put("/labels.csv", b"dog,cat\n")
    with pytest.raises(HostError, match="its bytes have the SHA-256"):
        disk.run()
    assert not (disk.path / "pets/1").exists()


def test_files_of_an_earlier_manifest_go_and_those_of_others_stay(disk: Disk) -> None:
    disk.run()
    (disk.path / "pets/1/notes.txt").write_text("mine")
    fewer = {path: body for path, body in BODIES.items() if path != "labels.csv"}
    assert disk.actions(disk.run(disk.options(bodies=fewer))) == ["remove"]
    assert disk.bodies() == {**fewer, "notes.txt": b"mine"}


def test_versions_that_nothing_wants_go_when_room_is_needed(disk: Disk) -> None:
    disk.run()
    disk.web.put("/new", b"new")
    options = disk.options("2", {"new": b"new"}, max_used=0.000001)
    with pytest.raises(HostError, match="dataset-room"):
        disk.run(options)
    assert disk.bodies() == BODIES
    status = os.statvfs(disk.path)
    used = 1 - status.f_bavail / status.f_blocks
    made = disk.run({**options, "max_used": used - 100_000 / (status.f_blocks * status.f_frsize)})
    assert disk.actions(made) == ["remove", "fetch", "complete"]
    assert not (disk.path / "pets/1").exists()


def test_a_root_that_is_not_there_is_not_made(disk: Disk) -> None:
    with pytest.raises(HostError, match=r"there is no directory /disk.*Remedy: mount the data disk"):
        disk.run(disk.options(root="/disk"))


def test_when_the_time_is_over_the_rest_is_left_to_the_next_run(disk: Disk) -> None:
    clock = iter(range(1000))
    pace = Pace(0, 2.5, clock=lambda: float(next(clock)), sleep=lambda _seconds: None)
    made = disk.run(pace=pace)
    assert disk.actions(made) == ["fetch"]
    assert made.datasets["pets"]["state"] == "incomplete"
    assert made.labels == {}
    came = made.fetched_bytes
    assert 0 < came < sum(map(len, BODIES.values()))
    assert disk.actions(disk.run()) == ["fetch", "complete"]
    assert disk.bodies() == BODIES


class TestPace:
    def test_bytes_wait_for_their_time(self) -> None:
        now, naps = [0.0], []

        def sleep(seconds: float) -> None:
            naps.append(seconds)
            now[0] += seconds

        pace = Pace(100, 0, lambda: now[0], sleep)
        for _piece in range(3):
            pace(50)
        assert naps == [0.5, 0.5, 0.5]
        now[0] = 60.0
        pace(50)
        assert naps == [0.5] * 4
        assert pace.passed == 200

    def test_without_a_rate_nothing_waits(self) -> None:
        pace = Pace(0, 0, lambda: 0.0, lambda _seconds: pytest.fail("it waits"))
        pace(1 << 30)

    def test_it_ends_at_the_deadline_and_sleeps_no_longer_than_that(self) -> None:
        now, naps = [0.0], []
        pace = Pace(1, 5, lambda: now[0], naps.append)
        pace(100)
        assert naps == [5.0]
        now[0] = 5.0
        with pytest.raises(OutOfTime):
            pace(1)
