"""`site --check` ran between the recording and this."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.flows import state
from tests.flows.drive import booted


def test_check_mode_changed_nothing_on_any_host():
    before = json.loads(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "untouched.json").read_text())

    assert set(before) == set(booted("all"))
    assert all(len(lines) > 100 for lines in before.values()), "a host that says nothing proves nothing"
    differences = state.differences(before, state.untouched(booted("all")))
    assert differences == [], "\n".join(differences)
