# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.marks import Marks
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.runs import (
    LEASES,
    Life,
    Mark,
    Process,
    Runs,
    _exists,
    life_of,
    mark_of,
    this_process,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError

from tests.unit.plugins.modules.cluster_fake import Answer, MemoryPool, cluster_on

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
HERE = Process("this machine", 7, "100")


@pytest.mark.parametrize(
    ("text", "run"),
    [(Mark("r", "host pid 1").text(NOW), "r"), ("was schedulable", ""), ("", ""), ("[]", ""), ('{"by": "x"}', "")],
)
def test_what_a_mark_says(text, run):
    assert mark_of(text).run == run


def lease(name="r", process="", renewed=NOW):
    metadata = {"name": name, "annotations": {"estate.hybridk8s.io/process": process}}
    return {"metadata": metadata, "spec": {"renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}


@pytest.mark.parametrize(
    ("made", "exists", "life"),
    [
        (lease(process="this machine 8 200"), True, Life.GOES_ON),
        (lease(process="this machine 8 200"), False, Life.OVER),
        (lease(process="another 8 200"), False, Life.UNKNOWN),
        (lease(), False, Life.UNKNOWN),
        (lease(renewed=NOW - timedelta(minutes=11)), False, Life.OVER),
        (lease(renewed=NOW + timedelta(hours=1)), False, Life.UNKNOWN),
        ({"metadata": {"name": "r"}}, False, Life.OVER),
    ],
)
def test_what_one_look_at_a_lease_says(made, exists, life):
    assert life_of(made, NOW, HERE, lambda process: exists and process == Process("this machine", 8, "200")) is life


def test_this_process_exists_and_its_number_may_be_anothers_later():
    here = this_process()
    assert here.pid == os.getpid()
    assert _exists(here)
    assert not _exists(Process(here.place, here.pid, "1"))
    assert not _exists(Process(here.place, 2**22 + 1, here.began))


class Leases(MemoryPool):
    def __init__(self, *leases):
        super().__init__([(f"{LEASES}/{made['metadata']['name']}", made) for made in leases])

    def delete(self, path, _body):
        return Answer(200, {}) if self.objects.pop(path, None) else Answer(404, {})


class Elsewhere:
    """Time passes by waiting; meanwhile runs elsewhere do what `happens` says at its second."""

    def __init__(self, pool, happens=()):
        self.now, self.pool, self.happens = 0.0, pool, dict(happens)

    def sleep(self, seconds):
        self.now += seconds
        for at in [at for at in self.happens if at <= self.now]:
            self.happens.pop(at)(self.pool)


def renew(pool):
    pool.objects[f"{LEASES}/r"] = lease(renewed=datetime.now(timezone.utc) + timedelta(seconds=1))


def end(pool):
    del pool.objects[f"{LEASES}/r"]


@pytest.mark.parametrize(
    ("happens", "goes_on", "seconds"),
    [({8: renew}, True, 8), ({20: end}, False, 20), ({}, False, 30)],
    ids=["it renews its lease", "it ends", "nothing"],
)
def test_a_run_elsewhere_is_watched_until_it_is_known(happens, goes_on, seconds):
    pool = Leases(lease(renewed=datetime.now(timezone.utc)))
    time = Elsewhere(pool, happens)
    runs = Runs(cluster_on(pool), lambda: time.now, time.sleep)
    living = runs.going_on([Mark("r", "host pid 1"), Mark()], patient=True)
    assert living == ({"r": "host pid 1"} if goes_on else {})
    assert time.now == seconds
    assert runs.over == (set() if goes_on else {"r"})


def test_without_patience_a_run_counts_as_living_and_without_a_lease_it_does_not():
    pool = Leases(lease(renewed=datetime.now(timezone.utc)))
    runs = Runs(cluster_on(pool), lambda: 0.0, None)
    assert runs.going_on([Mark("r", "host"), Mark("gone", "host")], patient=False) == {"r": "host"}


def test_leases_of_dead_runs_are_buried_and_nobody_waits_for_those_without_marks():
    pool = Leases(lease("old", renewed=NOW - timedelta(days=300)), lease("r", renewed=datetime.now(timezone.utc)))
    runs = Runs(cluster_on(pool), lambda: 0.0, None)
    assert runs.going_on([], patient=True) == {}
    runs.bury()
    assert list(pool.objects) == [f"{LEASES}/r"]


def marked(text, cordoned=True, version="5"):
    annotations = {} if text is None else {"estate.hybridk8s.io/draining": text}
    metadata = {"name": "w1", "annotations": annotations, "resourceVersion": version}
    return {"metadata": metadata, "spec": {"unschedulable": cordoned}}


OURS, THEIRS = Mark("ours", "here").text(NOW), Mark("theirs", "host pid 9").text(NOW)
PATH = "/api/v1/nodes/w1"


def node(live):
    pool = MemoryPool()
    if live:
        pool.objects[PATH] = live
    return pool


@pytest.mark.parametrize(
    ("live", "over", "cordoned"),
    [
        (marked(None, cordoned=False), (), True),
        (marked(None), (), False),
        (marked(THEIRS), ("theirs",), True),
        (marked("was schedulable"), (), True),
        (marked(OURS), (), True),
    ],
    ids=["free", "cordoned by a person", "of a dead run", "of an old release", "ours: the answer was lost"],
)
def test_a_cordon_for_a_node_that_has_changed_since_it_was_read(live, over, cordoned):
    pool = node(live)
    assert Marks(cluster_on(pool), OURS, over).cordon("w1", version="4") is cordoned
    if cordoned:
        assert pool.objects[PATH]["metadata"]["annotations"]["estate.hybridk8s.io/draining"] == OURS
        assert pool.objects[PATH]["spec"]["unschedulable"] is True


def test_a_node_of_another_run_is_not_taken():
    with pytest.raises(KubeError, match="it is being drained by host pid 9"):
        Marks(cluster_on(node(marked(THEIRS))), OURS).cordon("w1", version="4")


@pytest.mark.parametrize(("live", "restored"), [(marked(OURS), True), (marked(None), False), (None, False)])
def test_only_what_we_marked_is_given_back(live, restored):
    pool = node(live)
    assert Marks(cluster_on(pool), OURS).restore("w1") is restored
    if restored:
        assert pool.objects[PATH]["spec"]["unschedulable"] is False
        assert pool.objects[PATH]["metadata"]["annotations"] == {}


@pytest.mark.parametrize("act", ["restore", "unmark"])
def test_what_another_run_has_taken_over_is_left_to_it(act):
    pool = node(marked(THEIRS))
    with pytest.raises(KubeError, match="host pid 9 has taken the node over"):
        getattr(Marks(cluster_on(pool), OURS), act)("w1")
    assert pool.objects[PATH]["spec"]["unschedulable"] is True


def test_unmarking_leaves_the_cordon():
    pool = node(marked(OURS))
    Marks(cluster_on(pool), OURS).unmark("w1")
    assert pool.objects[PATH]["spec"]["unschedulable"] is True
    assert pool.objects[PATH]["metadata"]["annotations"] == {}
