from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakecloud.server import FakeCloud
from tests.unit.fakecloud.accounts import Account, a_world


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeCloud]:
    with FakeCloud(tmp_path / "cloud", a_world()) as running:
        yield running


@pytest.fixture
def account(fake: FakeCloud) -> Account:
    return Account(fake)
