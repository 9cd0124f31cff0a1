from __future__ import annotations

from pathlib import Path

from tests.lab.limits import AT_LEAST, raise_limits


def test_a_limit_is_raised_but_never_lowered(tmp_path: Path) -> None:
    low, high = (tmp_path / name.replace(".", "/") for name in AT_LEAST)
    low.parent.mkdir(parents=True)
    low.write_text("128\n")
    high.write_text("99999999\n")
    raise_limits(tmp_path)
    assert low.read_text() == "8192\n"
    assert high.read_text() == "99999999\n"
