# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._removal_run import Nodes, Rules

from tests.unit.plugins.modules.cluster_fake import MemoryPool, cluster_on

PATH = "/api/v1/nodes/online-1"
SILENT_AFTER = 40.0


class Time:
    """A clock that only sleep moves; after a while the cluster takes note that the host of the node is silent."""

    def __init__(self):
        self.now = 0.0
        node = {"metadata": {"name": "online-1", "uid": "1"}, "spec": {}}
        self.pool = MemoryPool([(PATH, {**node, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})])

    def sleep(self, seconds):
        self.now += seconds
        if self.now >= SILENT_AFTER:
            unknown = {"type": "Ready", "status": "Unknown", "lastTransitionTime": "2026-11-24T00:00:00Z"}
            self.pool.patch(PATH, {"status": {"conditions": [unknown]}})


@pytest.mark.parametrize(
    ("timeout", "left", "state", "waited"),
    [
        (0.0, (), "refused", 0.0),
        (120.0, (), "removed", SILENT_AFTER),
        (20.0, (), "refused", 20.0),
        (120.0, ("online-1",), "removed", 0.0),
    ],
    ids=["at-once", "until-it-is-silent", "not-for-ever", "not-for-those-that-have-left"],
)
def test_a_host_of_which_somebody_knows_that_it_is_dead_gets_time_to_fall_silent(timeout, left, state, waited):
    time = Time()
    rules = Rules(left=frozenset(left), silence_timeout=timeout)
    plans = Nodes(cluster_on(time.pool), rules, time.sleep, lambda: time.now).observe(["online-1"])
    assert (plans["online-1"].state, time.now) == (state, waited)
