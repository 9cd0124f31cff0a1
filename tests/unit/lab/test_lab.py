from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.lab import cli
from tests.lab.lab import is_whole

WHOLE: dict[str, Any] = {
    "hosts": {"w1": {"state": "running", "expected": True}, "w5": {"state": "off", "expected": False}},
    "services": {"registry": {"state": "running"}},
    "segments": {"spine": {"state": "up"}},
}


def test_a_host_that_boots_later_may_be_off() -> None:
    assert is_whole(WHOLE)


@pytest.mark.parametrize(
    ("part", "name", "state"),
    [
        ("hosts", "w1", "off"),
        ("hosts", "w1", "cut"),
        ("hosts", "w1", "booting"),
        ("services", "registry", "off"),
        ("segments", "spine", "missing"),
    ],
)
def test_anything_else_that_is_missing_counts(part: str, name: str, state: str) -> None:
    described = copy.deepcopy(WHOLE)
    described[part][name]["state"] = state
    assert not is_whole(described)


@pytest.mark.parametrize(
    "command", [["status"], ["run", "--", "true"], ["outside", "--", "true"], ["kill", "w1"], ["line", "10"]]
)
def test_a_lab_that_is_not_up_is_exit_code_three(
    command: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYBRIDK8S_CACHE", str(tmp_path))
    assert cli.main(command) == 3
    assert "`./lab up` boots it" in capsys.readouterr().err


def test_an_inventory_that_is_not_there_is_exit_code_two(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYBRIDK8S_CACHE", str(tmp_path))
    assert cli.main(["--inventory", str(tmp_path / "nosuch"), "up"]) == 2
    assert "there is no inventory at" in capsys.readouterr().err
