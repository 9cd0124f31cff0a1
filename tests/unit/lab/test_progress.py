"""Steps say how long they took last time, from the first run on a machine on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.progress import step


def test_the_first_step_on_a_machine_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYBRIDK8S_CACHE", str(tmp_path / "not" / "there"))
    for said in ("boot the lab (first time)", "boot the lab (last time 0.0 s)"):
        with step("boot the lab"):
            pass
        assert said in capsys.readouterr().err
