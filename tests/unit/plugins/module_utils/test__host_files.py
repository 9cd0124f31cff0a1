# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import digest, link_atomic, write_atomic
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_files import (
    BlockWanted,
    Claim,
    Claims,
    FilePlan,
    FileWanted,
    apply,
    edit_block,
    observe,
    plan,
    validate,
)

from tests.unit.plugins.module_utils.host_fake import Machine

NO_CLAIMS = Claims({})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "etc").mkdir()
    return Machine(tmp_path)


def wanted(path: str, content: str = "new\n", **options: Any) -> FileWanted:
    return FileWanted(path, options.pop("state", "file"), "files[0]", content.encode(), **options)


def planned(
    machine: Machine,
    *files: FileWanted,
    blocks: tuple[BlockWanted, ...] = (),
    claims: Claims = NO_CLAIMS,
    others: frozenset[str] = frozenset(),
) -> FilePlan:
    return plan(files, blocks, observe(machine.host, files, blocks, claims), claims, others)


def converged(machine: Machine, *files: FileWanted, **options: Any) -> FilePlan:
    made = planned(machine, *files, **options)
    assert not made.findings
    for change in made.changes:
        apply(machine.host, change)
    options["claims"] = made.claims_after
    again = planned(machine, *files, **options)
    assert again.changes == ()
    assert again.claims_after == again.claims_during == made.claims_after
    return made


def actions(made: FilePlan) -> list[tuple[str, str, str]]:
    return [(change.step.action, change.step.target, change.step.reason) for change in made.changes]


def mode_of(machine: Machine, path: str) -> int:
    return stat.S_IMODE((machine.root / path.lstrip("/")).lstat().st_mode)


class TestFiles:
    def test_a_missing_file_is_made_with_its_directories(self, machine: Machine) -> None:
        made = converged(machine, wanted("/etc/a/b/c.conf"))
        assert actions(made) == [
            ("create", "/etc/a", "directory is missing"),
            ("create", "/etc/a/b", "directory is missing"),
            ("create", "/etc/a/b/c.conf", "file is missing"),
        ]
        assert machine.read("/etc/a/b/c.conf") == "new\n"
        assert [mode_of(machine, path) for path in ("/etc/a", "/etc/a/b", "/etc/a/b/c.conf")] == [0o755, 0o755, 0o644]

    def test_another_content_is_replaced_and_mode_and_owner_stay(self, machine: Machine) -> None:
        where = machine.write("/etc/x", "old\n", 0o640)
        os.chown(where, 12, 34)
        made = converged(machine, wanted("/etc/x"))
        step = made.changes[0].step
        assert (step.action, step.reason, step.before, step.after) == ("write", "content differs", "old\n", "new\n")
        status = where.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o640)

    def test_a_mode_alone_is_set_without_writing(self, machine: Machine) -> None:
        where = machine.write("/etc/x", "new\n", 0o600)
        inode = where.stat().st_ino
        made = converged(machine, wanted("/etc/x", mode=0o4755, uid=5, gid=6))
        assert actions(made) == [("set", "/etc/x", "mode 0600 -> 4755, owner 0 -> 5, group 0 -> 6")]
        assert not made.changes[0].substantial
        assert mode_of(machine, "/etc/x") == 0o4755
        assert where.stat().st_ino == inode
        assert made.claims_after == NO_CLAIMS

    def test_a_new_content_keeps_set_id_bits_that_are_asked_for(self, machine: Machine) -> None:
        converged(machine, wanted("/etc/x", mode=0o4755, uid=5, gid=6))
        assert mode_of(machine, "/etc/x") == 0o4755

    def test_a_secret_is_in_no_step_and_readable_by_root_alone(self, machine: Machine) -> None:
        machine.write("/etc/x", "old secret", 0o600)
        made = planned(machine, wanted("/etc/x", "s3cret", sensitive=True), wanted("/etc/y", "s3cret", sensitive=True))
        assert "s3cret" not in repr([change.step for change in made.changes])
        assert "old secret" not in repr([change.step for change in made.changes])
        converged(machine, wanted("/etc/y", "s3cret", sensitive=True))
        assert mode_of(machine, "/etc/y") == 0o600

    def test_a_link_is_replaced_not_followed(self, machine: Machine) -> None:
        outside = machine.write("/outside", "theirs\n")
        os.symlink(outside, machine.root / "etc/x")
        made = converged(machine, wanted("/etc/x"))
        assert made.changes[0].step.reason == f"is a link to {outside}"
        assert outside.read_text() == "theirs\n"
        assert not (machine.root / "etc/x").is_symlink()

    def test_a_link_is_followed_when_asked(self, machine: Machine) -> None:
        machine.write("/data/real", "old\n", 0o600)
        os.symlink("/data/real", machine.root / "etc/x")
        converged(machine, wanted("/etc/x", follow=True))
        assert (machine.read("/data/real"), mode_of(machine, "/data/real")) == ("new\n", 0o600)
        assert (machine.root / "etc/x").is_symlink()

    @pytest.mark.parametrize(
        ("state", "there", "words"),
        [
            ("file", "directory", "is a directory"),
            ("link", "directory", "is a directory"),
            ("directory", "file", "is a file"),
            ("directory", "link", "is a link to /elsewhere"),
            ("file", "pipe", "is a device, pipe or socket"),
        ],
    )
    def test_another_kind_in_the_way_is_a_finding(self, machine: Machine, state: str, there: str, words: str) -> None:
        where = machine.root / "etc/x"
        {
            "directory": where.mkdir,
            "file": where.touch,
            "link": lambda: os.symlink("/elsewhere", where),
            "pipe": lambda: os.mkfifo(where),
        }[there]()
        made = planned(machine, wanted("/etc/x", state=state, target="/y" if state == "link" else ""))
        assert words in str(made.findings[0])
        assert made.findings[0].variable == "files[0]"
        assert made.changes == ()

    def test_a_file_where_a_directory_is_needed_is_a_finding(self, machine: Machine) -> None:
        machine.write("/etc/a", "")
        made = planned(machine, wanted("/etc/a/b"))
        assert "/etc/a is a file, not a directory" in str(made.findings[0])

    def test_directories_links_and_removals(self, machine: Machine) -> None:
        machine.write("/etc/old/deep/file", "x")
        os.symlink("/etc", machine.root / "etc/old/link")
        machine.write("/etc/keep", "x")
        os.symlink("/somewhere", machine.root / "etc/l")
        made = converged(
            machine,
            wanted("/etc/d", state="directory", mode=0o700),
            wanted("/etc/l", state="link", target="/etc/d"),
            wanted("/etc/old", state="absent"),
            wanted("/etc/never", state="absent"),
        )
        assert actions(made) == [
            ("remove", "/etc/old", ""),
            ("create", "/etc/d", "directory is missing"),
            ("link", "/etc/l", "points elsewhere"),
        ]
        assert (made.changes[2].step.before, made.changes[2].step.after) == ("link to /somewhere\n", "link to /etc/d\n")
        assert os.readlink(machine.root / "etc/l") == "/etc/d"
        assert mode_of(machine, "/etc/d") == 0o700
        assert machine.exists("/etc/keep")

    def test_a_link_with_another_target_is_no_directory_of_ours_unless_followed(self, machine: Machine) -> None:
        (machine.root / "data").mkdir(mode=0o755)
        os.symlink("/data", machine.root / "etc/d")
        assert planned(machine, wanted("/etc/d", state="directory")).findings
        converged(machine, wanted("/etc/d", state="directory", mode=0o711, follow=True))
        assert mode_of(machine, "/data") == 0o711

    def test_bytes_that_are_no_text_do_not_break_the_diff(self, machine: Machine) -> None:
        (machine.root / "etc/x").write_bytes(b"\xff\xfe")
        assert planned(machine, wanted("/etc/x")).changes[0].step.before == "��"


class TestAtomicWrite:
    def test_a_failing_write_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_arguments: Any) -> None:
            raise OSError(28, "No space left")

        (tmp_path / "x").write_text("old")
        monkeypatch.setattr(os, "rename", full)
        with pytest.raises(OSError, match="No space"):
            write_atomic(str(tmp_path / "x"), b"new", 0o644)
        with pytest.raises(OSError, match="No space"):
            link_atomic(str(tmp_path / "l"), "x")
        assert os.listdir(tmp_path) == ["x"]
        assert (tmp_path / "x").read_text() == "old"

    def test_what_a_killed_run_left_is_replaced_even_if_it_is_a_trap(self, tmp_path: Path) -> None:
        (tmp_path / "victim").write_text("theirs")
        os.symlink(tmp_path / "victim", tmp_path / ".x.hybridk8s")
        write_atomic(str(tmp_path / "x"), b"new", 0o644)
        assert (tmp_path / "victim").read_text() == "theirs"
        assert sorted(os.listdir(tmp_path)) == ["victim", "x"]

    def test_a_secret_is_never_readable_by_others_on_its_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []
        really = os.fchown

        def watched(descriptor: int, uid: int, gid: int) -> None:
            seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            really(descriptor, uid, gid)

        monkeypatch.setattr(os, "fchown", watched)
        write_atomic(str(tmp_path / "x"), b"secret", 0o644)
        assert seen == [0o600]


class TestBlocks:
    BEGIN = "# BEGIN hybridk8s.estate m\n"
    END = "# END hybridk8s.estate m\n"

    @pytest.mark.parametrize(
        ("text", "content", "expected"),
        [
            ("", "a", f"{BEGIN}a\n{END}"),
            ("x", "a\n", f"x\n{BEGIN}a\n{END}"),
            (f"x\n{BEGIN}old\n{END}y\n", "a\nb", f"x\n{BEGIN}a\nb\n{END}y\n"),
            (f"x\n{BEGIN}old\n{END}y\n", "", "x\ny\n"),
            ("x\n", "", "x\n"),
            ("x", "", "x"),
            (f"{BEGIN}a\n{END}", "a", f"{BEGIN}a\n{END}"),
            (
                "# BEGIN hybridk8s.estate mm\nz\n# END hybridk8s.estate mm\n",
                "",
                "# BEGIN hybridk8s.estate mm\nz\n# END hybridk8s.estate mm\n",
            ),
        ],
    )
    def test_only_the_lines_between_the_markers_change(self, text: str, content: str, expected: str) -> None:
        assert edit_block(text, "m", content) == expected

    @pytest.mark.parametrize("text", [BEGIN, END, BEGIN + BEGIN + END, BEGIN + END + BEGIN + END, END + BEGIN])
    def test_broken_markers_are_left_alone(self, text: str) -> None:
        with pytest.raises(ValueError, match="one pair"):
            edit_block(text, "m", "a")

    def test_blocks_of_one_file_are_one_change_and_go_when_no_longer_wanted(self, machine: Machine) -> None:
        machine.write("/etc/hosts", "127.0.0.1 localhost\n", 0o640)
        blocks = (
            BlockWanted("/etc/hosts", "a", "1.1.1.1 a", "blocks[0]"),
            BlockWanted("/etc/hosts", "b", "2.2.2.2 b", "blocks[1]"),
        )
        made = converged(machine, blocks=blocks)
        assert actions(made) == [("edit", "/etc/hosts", "managed block a, b")]
        assert mode_of(machine, "/etc/hosts") == 0o640
        assert made.claims_after == Claims({}, frozenset({("/etc/hosts", "a"), ("/etc/hosts", "b")}))
        gone = converged(machine, blocks=blocks[1:], claims=made.claims_after)
        assert "1.1.1.1" not in machine.read("/etc/hosts")
        assert "2.2.2.2" in machine.read("/etc/hosts")
        converged(machine, claims=gone.claims_after)
        assert machine.read("/etc/hosts") == "127.0.0.1 localhost\n"

    def test_a_broken_block_and_a_link_are_findings(self, machine: Machine) -> None:
        machine.write("/etc/a", self.BEGIN)
        os.symlink("/etc/a", machine.root / "etc/b")
        blocks = (BlockWanted("/etc/a", "m", "x", "blocks[0]"), BlockWanted("/etc/b", "m", "x", "blocks[1]"))
        made = planned(machine, blocks=blocks)
        assert [finding.variable for finding in made.findings] == ["blocks[0]", "blocks[1]"]

    def test_a_link_is_edited_through_when_asked(self, machine: Machine) -> None:
        machine.write("/run/hosts", "x\n")
        os.symlink("../run/hosts", machine.root / "etc/hosts")
        converged(machine, blocks=(BlockWanted("/etc/hosts", "m", "y", "blocks[0]", follow=True),))
        assert machine.read("/run/hosts") == f"x\n{self.BEGIN}y\n{self.END}"
        assert (machine.root / "etc/hosts").is_symlink()

    def test_bytes_of_others_survive(self, machine: Machine) -> None:
        (machine.root / "etc/hosts").write_bytes(b"\xff\n")
        converged(machine, blocks=(BlockWanted("/etc/hosts", "m", "y", "blocks[0]"),))
        assert (machine.root / "etc/hosts").read_bytes().startswith(b"\xff\n#")


class TestClaims:
    def test_what_we_wrote_and_nobody_wants_goes_with_its_empty_directories(self, machine: Machine) -> None:
        made = converged(machine, wanted("/etc/a/b/x"), wanted("/etc/l", state="link", target="/y"))
        made = converged(machine, claims=made.claims_after)
        assert actions(made) == [
            ("remove", "/etc/a/b/x", "no longer wanted"),
            ("remove", "/etc/a/b", "no longer wanted"),
            ("remove", "/etc/a", "no longer wanted"),
            ("remove", "/etc/l", "no longer wanted"),
        ]
        assert os.listdir(machine.root / "etc") == []
        assert made.claims_after == NO_CLAIMS

    def test_a_directory_that_others_use_stays(self, machine: Machine) -> None:
        made = converged(machine, wanted("/etc/a/x"))
        machine.write("/etc/a/theirs", "")
        converged(machine, claims=made.claims_after)
        assert os.listdir(machine.root / "etc/a") == ["theirs"]

    def test_what_was_changed_since_stays_with_a_warning(self, machine: Machine) -> None:
        made = converged(machine, wanted("/etc/x"), wanted("/etc/l", state="link", target="/y"))
        machine.write("/etc/x", "edited\n")
        link_atomic(str(machine.root / "etc/l"), "/z")
        later = planned(machine, claims=made.claims_after)
        assert later.changes == ()
        assert ["/etc/x" in later.warnings[0], "/etc/l" in later.warnings[1]] == [True, True]
        assert set(later.claims_after.files) == {"/etc/x", "/etc/l"}

    def test_what_another_name_wrote_too_is_left_to_it(self, machine: Machine) -> None:
        made = converged(machine, wanted("/etc/x"))
        later = planned(machine, claims=made.claims_after, others=frozenset({"/etc/x"}))
        assert (later.changes, later.warnings, later.claims_after) == ((), (), NO_CLAIMS)

    def test_a_file_that_was_right_already_is_not_ours_to_remove(self, machine: Machine) -> None:
        machine.write("/etc/x", "new\n")
        assert converged(machine, wanted("/etc/x")).claims_after == NO_CLAIMS

    def test_while_it_works_old_and_new_content_are_claimed(self, machine: Machine) -> None:
        made = converged(machine, wanted("/etc/x", "one"))
        later = planned(machine, wanted("/etc/x", "two"), claims=made.claims_after)
        assert later.claims_during.files["/etc/x"].marks == (digest(b"one"), digest(b"two"))
        assert later.claims_after.files["/etc/x"].marks == (digest(b"two"),)

    def test_a_path_that_is_asked_to_be_absent_is_forgotten(self, machine: Machine) -> None:
        made = converged(machine, wanted("/etc/x"))
        made = converged(machine, wanted("/etc/x", state="absent"), claims=made.claims_after)
        assert made.claims_after == NO_CLAIMS

    @pytest.mark.parametrize(
        "raw", [{}, {"files": []}, {"files": {"/x": 1}, "blocks": {"a": 1}}, {"blocks": [["a"], 3]}, {"files": None}]
    )
    def test_a_damaged_record_claims_nothing(self, raw: dict[str, Any]) -> None:
        assert Claims.from_dict(raw) == NO_CLAIMS

    def test_a_record_survives_writing(self) -> None:
        claims = Claims({"/x": Claim("file", ("a", "b")), "/d": Claim("directory")}, frozenset({("/h", "m")}))
        assert Claims.from_dict(claims.as_dict()) == claims


class TestValidate:
    def checked(self, machine: Machine, tmp_path: Path, check: bool = False, **options: Any) -> tuple[list, list]:
        made = planned(machine, wanted("/etc/x.conf", validate=("checker", "--file={path}", "{path}"), **options))
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        return validate(machine.host, made.changes, str(scratch), check)

    def test_the_command_sees_the_new_content_under_its_name(self, machine: Machine, tmp_path: Path) -> None:
        machine.validators["checker"] = 0
        assert self.checked(machine, tmp_path) == ([], [])
        assert machine.validated == ["new\n"]
        assert os.path.basename(machine.commands[0][-1]) == "x.conf"
        assert machine.commands[0][1] == f"--file={machine.commands[0][2]}"
        assert not machine.exists("/etc/x.conf")

    def test_a_refusal_says_what_it_said(self, machine: Machine, tmp_path: Path) -> None:
        machine.validators["checker"] = 3
        findings, _warnings = self.checked(machine, tmp_path)
        assert findings[0].variable == "files[0].content"
        assert "(exit 3)" in findings[0].message
        assert "bad syntax" in findings[0].message

    def test_a_refusal_of_a_secret_does_not_quote_it(self, machine: Machine, tmp_path: Path) -> None:
        machine.validators["checker"] = 3
        findings, _warnings = self.checked(machine, tmp_path, sensitive=True)
        assert "bad syntax" not in findings[0].message

    def test_a_missing_command_fails_but_in_check_mode_warns(self, machine: Machine, tmp_path: Path) -> None:
        findings, warnings = self.checked(machine, tmp_path, check=True)
        assert (findings, len(warnings)) == ([], 1)
        (tmp_path / "scratch").rename(tmp_path / "done")
        findings, warnings = self.checked(machine, tmp_path)
        assert (len(findings), warnings) == (1, [])

    def test_an_unchanged_file_is_not_validated(self, machine: Machine, tmp_path: Path) -> None:
        machine.write("/etc/x.conf", "new\n")
        assert self.checked(machine, tmp_path) == ([], [])
        assert machine.commands == []
