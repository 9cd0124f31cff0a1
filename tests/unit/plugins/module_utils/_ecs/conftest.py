# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.unit.plugins.module_utils._ecs.ecs_estate import Estate

# New instances are not seen for a while, which a run that was killed and comes again must outlive.
TIMINGS = {"visible": 0.15, "pending": 0.05, "starting": 0.05, "stopping": 0.05, "eni": 0.02}


@pytest.fixture(scope="session")
def fake(tmp_path_factory):
    with FakeCloud(tmp_path_factory.mktemp("cloud"), world.parse({"timings": TIMINGS})) as running:
        yield running


@pytest.fixture
def estate(fake):
    """An empty cloud, as it was at first."""
    made = Estate(fake)
    made.empty()
    return made
