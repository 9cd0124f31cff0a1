from __future__ import annotations

import pytest

from tests import stages


@pytest.mark.parametrize(
    ("output", "status", "expected"),
    [
        pytest.param(["12 passed in 0.30s\n"], 0, (12, 0), id="pytest"),
        pytest.param(
            ["== 1 failed, 2 passed, 3 warnings in 12.30s (0:01:00) ==\n"], 1, (2, 1), id="pytest, one failed"
        ),
        pytest.param(["2 passed, 1 error in 3.0s\n"], 1, (2, 1), id="a fixture's error is a failure"),
        pytest.param(["5 passed in 1.0s\n", "1 failed, 6 passed in 2s\n"], 1, (11, 1), id="several runs add up"),
        pytest.param(["5 passed in 1.0s\n", "fatal: converge\n"], 2, (5, 1), id="failed outside of pytest"),
        pytest.param(["all well\n"], 0, (1, 0), id="no tests: the target counts"),
        pytest.param(["3 passed, 4 failed\n"], 0, (1, 0), id="a sentence is not pytest's summary"),
        pytest.param([], 1, (0, 1), id="died silently"),
    ],
)
def test_count(output, status, expected):
    assert stages.count(output, status) == expected


@pytest.mark.parametrize(
    ("targets", "status", "last"), [(["good"], 0, "1 passed, 0 failed"), (["bad", "good"], 1, "1 passed, 1 failed")]
)
def test_every_target_runs_and_the_last_line_counts(tmp_path, monkeypatch, capsys, targets, status, last):
    (tmp_path / "Makefile").write_text("good:\n\t@echo fine\nbad:\n\t@false\n")
    monkeypatch.chdir(tmp_path)

    assert stages.main(targets) == status

    output = capsys.readouterr().out.splitlines()
    assert output[-1] == last
    assert "fine" in output
    assert any(line.split()[:2] == ["bad", "FAILED"] for line in output) == ("bad" in targets)


def test_the_end_of_the_output_says_why_a_target_failed(tmp_path, monkeypatch, capsys):
    (tmp_path / "Makefile").write_text(
        "good:\n\t@echo 'E   nothing'\n"
        "bad:\n\t@echo 'ok: [w1]'; echo 'fatal: [w2]: FAILED!'; echo '  msg: no route'; seq 1000; "
        "echo 'E   assert 1 == 2'; false\n"
    )
    monkeypatch.chdir(tmp_path)

    stages.main(["bad", "good"])

    end = capsys.readouterr().out.splitlines()[-12:]
    assert {"bad: fatal: [w2]: FAILED!", "bad:   msg: no route", "bad: E   assert 1 == 2"} <= set(end)
    assert not any(line.startswith("good: ") or "ok: [w1]" in line for line in end)
