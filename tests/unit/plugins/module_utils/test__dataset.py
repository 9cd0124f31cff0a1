# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._dataset import (
    DatasetFacts,
    DatasetWanted,
    Disk,
    Facts,
    FileWanted,
    Mount,
    Plan,
    Version,
    is_mounted,
    label_of,
    parse,
    parse_mounts,
    plan,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError

GIB = 1 << 30
SHA = {letter: letter * 64 for letter in "abcdef"}


def dataset(*files: tuple[str, int, str], name: str = "images", version: str = "2") -> DatasetWanted:
    wanted = tuple(FileWanted(path, size, SHA[sha], f"http://data/{path}") for path, size, sha in files)
    return DatasetWanted("/data", name, version, "datasets[0]", wanted)


def planned(wanted: DatasetWanted, facts: dict[str, Any], max_used: float = 0.8) -> Plan:
    here = facts.pop("here", DatasetFacts(wanted.incoming))
    disk = facts.pop("disk", Disk(100 * GIB, 100 * GIB))
    return plan([wanted], Facts({wanted.name: here}, disk, **facts), max_used)


def old(version: str, gib: int, wanted_at: float, in_use: bool = False, sha: str = "f") -> Version:
    return Version(f"/data/images/{version}", {SHA[sha]: gib * GIB}, wanted_at, in_use)


TWO = dataset(("a", 10 * GIB, "a"), ("b", 20 * GIB, "b"))


class TestPlan:
    def test_what_is_missing_is_fetched_and_then_it_is_complete(self) -> None:
        made = planned(TWO, {})
        assert [(step.action, step.target) for step in made.steps] == [
            ("fetch", "/data/images/2"),
            ("complete", "/data/images/2"),
        ]
        assert made.datasets[0].missing_bytes == 30 * GIB
        assert not made.datasets[0].is_complete

    def test_what_is_there_is_left(self) -> None:
        made = planned(TWO, {"here": DatasetFacts(TWO.directory, frozenset("ab"))})
        assert made.steps == ()
        assert made.datasets[0].is_complete

    def test_a_changed_file_is_fetched_again_and_named(self) -> None:
        made = planned(TWO, {"here": DatasetFacts(TWO.directory, frozenset("a"), frozenset("b"))})
        assert [step.reason for step in made.steps] == ["changed on disk: b; 21474.8 MB"]

    def test_bytes_that_the_disk_has_are_linked_but_not_from_the_changed_file_itself(self) -> None:
        here = DatasetFacts(TWO.directory, frozenset(), frozenset("ab"))
        copies = {SHA["a"]: "/data/images/1/a", SHA["b"]: "/data/images/2/b"}
        (each,) = planned(TWO, {"here": here, "copies": copies}).datasets
        assert [(file.path, source) for file, source in each.link] == [("a", "/data/images/1/a")]
        assert [file.path for file in each.fetch] == ["b"]

    def test_the_same_bytes_at_two_paths_come_once(self) -> None:
        twins = dataset(("a", GIB, "a"), ("b", GIB, "a"))
        assert planned(twins, {}).datasets[0].missing_bytes == GIB

    def test_files_of_an_earlier_manifest_go(self) -> None:
        made = planned(TWO, {"here": DatasetFacts(TWO.directory, frozenset("ab"), unwanted=("c",))})
        assert [(step.action, step.reason) for step in made.steps] == [("remove", "no longer of this version: c")]


class TestRoom:
    def test_nothing_goes_while_there_is_room(self) -> None:
        assert planned(TWO, {"versions": (old("1", 5, 1.0),)}).remove == ()

    @pytest.mark.parametrize(
        ("versions", "removed"),
        [
            ([old("new", 30, 3.0), old("old", 30, 1.0), old("mid", 30, 2.0)], ["/data/images/old"]),
            ([old("old", 10, 1.0), old("mid", 10, 2.0), old("new", 30, 3.0)], ["/data/images/old", "/data/images/mid"]),
            ([old("old", 30, 1.0, in_use=True), old("mid", 30, 2.0)], ["/data/images/mid"]),
            ([old("old", 30, 1.0, sha="a"), old("mid", 30, 2.0)], ["/data/images/old"]),
        ],
    )
    def test_what_was_not_wanted_for_longest_goes_first(self, versions: list[Version], removed: list[str]) -> None:
        made = planned(TWO, {"disk": Disk(100 * GIB, 35 * GIB), "versions": tuple(versions)})
        assert list(made.remove) == removed
        assert made.findings == ()
        assert [step.action for step in made.steps] == ["remove"] * len(removed) + ["fetch", "complete"]

    def test_what_is_linked_does_not_become_free(self) -> None:
        facts = {
            "disk": Disk(100 * GIB, 35 * GIB),
            "copies": {SHA["a"]: "/data/images/1/a"},
            "versions": (old("1", 10, 1.0, sha="a"), old("0", 40, 2.0)),
        }
        made = planned(TWO, facts)
        assert made.remove == ("/data/images/1", "/data/images/0")
        assert [step.action for step in made.steps] == ["link", "remove", "remove", "fetch", "complete"]

    def test_downloads_that_nothing_needs_go_before_versions(self) -> None:
        facts = {"disk": Disk(100 * GIB, 35 * GIB), "stray": {"/data/.partial/x": 20 * GIB}}
        made = planned(TWO, {**facts, "versions": (old("1", 30, 1.0),)})
        assert made.remove == ("/data/.partial/x",)

    def test_what_came_before_a_kill_counts(self) -> None:
        facts: dict[str, Any] = {"disk": Disk(100 * GIB, 45 * GIB), "begun": {SHA["b"]: 15 * GIB}}
        assert planned(TWO, facts).findings == ()

    def test_a_disk_that_is_too_small_is_refused_and_nothing_goes(self) -> None:
        made = planned(TWO, {"disk": Disk(100 * GIB, 25 * GIB), "versions": (old("1", 5, 1.0),)})
        assert made.remove == ()
        (finding,) = made.findings
        assert finding.code == "dataset-room"
        assert (
            "105.00 GiB would be used of 100.00 GiB; even without what may go that is 20.00 GiB more" in finding.message
        )
        assert finding.remedy

    def test_a_disk_that_others_filled_is_a_warning_when_nothing_has_to_come(self) -> None:
        made = planned(TWO, {"here": DatasetFacts(TWO.directory, frozenset("ab")), "disk": Disk(100 * GIB, GIB)})
        assert made.findings == ()
        assert "19.00 GiB more than max_used" in made.warnings[0]


class TestMounts:
    OWN = (Mount("8:1", "/", "/"), Mount("8:16", "/", "/data"), Mount("8:1", "/var/data", "/mnt"))

    @pytest.mark.parametrize(
        ("source", "device", "expected"),
        [
            ("/images/1", "8:16", True),
            ("/images/1/train", "8:16", True),
            ("/images", "8:16", True),
            ("/images/10", "8:16", False),
            ("/images/2", "8:16", False),
            ("/", "8:16", False),
            ("/images/1", "8:1", False),
        ],
    )
    def test_a_version_that_a_container_has_mounted_is_in_use(self, source: str, device: str, expected: bool) -> None:
        pod = Mount(device, source, "/pods/volume")
        assert is_mounted("/data/images/1", self.OWN, {*self.OWN, pod}) is expected

    def test_the_path_inside_the_device_counts(self) -> None:
        pod = Mount("8:1", "/var/data/images/1", "/x")
        assert is_mounted("/mnt/images/1", self.OWN, {pod})

    def test_mountinfo_is_read(self) -> None:
        text = "36 35 8:16 /my\\040set /mnt\\0402 rw,noatime master:1 - ext4 /dev/sdb rw\n"
        assert parse_mounts(text) == (Mount("8:16", "/my set", "/mnt 2"),)


class TestParse:
    def options(self, **changes: Any) -> dict[str, Any]:
        file = {"path": "train/a b.tar", "size": 3, "sha256": "A" * 64, **changes.pop("file", {})}
        raw = {"name": "images", "version": "2024.1", "url": "https://data.example/i/", "files": [file]}
        raw.update(changes.pop("dataset", {}))
        return {"root": "/data", "datasets": [raw], "max_used": 0.85, **changes}

    def test_a_file_is_below_the_url_and_comes_by_the_mirror(self) -> None:
        (plain,) = parse(self.options())
        (mirrored,) = parse(self.options(mirror="http://10.98.0.1:8080"))
        assert plain.files == (FileWanted("train/a b.tar", 3, "a" * 64, "https://data.example/i/train/a%20b.tar"),)
        assert mirrored.files[0].url == "http://10.98.0.1:8080/data.example/i/train/a%20b.tar"
        assert (plain.directory, plain.incoming) == ("/data/images/2024.1", "/data/images/.2024.1")
        assert label_of(plain.name) == "dataset.images"

    @pytest.mark.parametrize(
        ("changes", "variable", "said"),
        [
            ({"root": "data"}, "root", "no directory of its own"),
            ({"root": "/"}, "root", "no directory of its own"),
            ({"max_used": 1.5}, "max_used", "no share"),
            ({"dataset": {"name": "Images"}}, "datasets[0].name", "label"),
            ({"dataset": {"name": "../x"}}, "datasets[0].name", "label"),
            ({"dataset": {"version": ".."}}, "datasets[0].version", "label"),
            ({"dataset": {"files": []}}, "datasets[0].files", "no files"),
            ({"dataset": {"url": ""}}, "datasets[0].files[0].url", "no http(s) URL"),
            ({"dataset": {"url": "ftp://x/y"}}, "datasets[0].files[0].url", "no http(s) URL"),
            ({"file": {"path": "../x"}}, "datasets[0].files[0].path", "inside"),
            ({"file": {"path": "/etc/x"}}, "datasets[0].files[0].path", "inside"),
            ({"file": {"path": ".dataset.json"}}, "datasets[0].files[0].path", "inside"),
            ({"file": {"sha256": "abc"}}, "datasets[0].files[0].sha256", "no SHA-256"),
            ({"file": {"size": -1}}, "datasets[0].files[0].size", "no size"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_place(self, changes: dict[str, Any], variable: str, said: str) -> None:
        with pytest.raises(HostError) as caught:
            parse(self.options(**changes))
        assert any(f.variable == variable and said in f.message and f.remedy for f in caught.value.findings)

    @pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b")])
    def test_two_files_at_one_place_are_refused(self, paths: tuple[str, str]) -> None:
        files = [{"path": path, "size": 1, "sha256": "a" * 64} for path in paths]
        with pytest.raises(HostError, match="a is there twice, or is a directory too"):
            parse(self.options(dataset={"files": files}))

    def test_two_versions_of_one_dataset_are_refused(self) -> None:
        options = self.options()
        options["datasets"] *= 2
        with pytest.raises(HostError, match="images is there more than once"):
            parse(options)
