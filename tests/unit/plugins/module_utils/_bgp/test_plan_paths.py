# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""At no step of any plan does a pair of nodes or the outside lose its last path: plans on simulated routers.

A story takes a cluster through several inventories. Each plan is carried out by the real runner, with the real gates,
on the routers of :mod:`routing`, and is killed after each of its writes: where the next run would go on differently
than this one, that is followed to its end as well. Time passes only at gates, so that nothing is up by luck.
"""

from __future__ import annotations

import copy
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import plan as planning
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology, switch_side, topology_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import RACK_LABEL
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._bgp.fake_calico import SETTLED, Clock, FakeCalico
from tests.unit.plugins.module_utils._bgp.routing import Ident, Switch
from tests.unit.plugins.module_utils.estates import host

PATIENCE = apply.Patience(gate=40, report=10)
PLACES = {name: place for place, name in enumerate(("a0", "r1", "r2", "r3"), 1)}
LEAKS = (IPv4Network("0.0.0.0/0"), IPv4Network("10.21.200.0/26"))
POOLS = {"bare_metal": IPv4Network("10.21.0.0/16"), "cloud_vm": IPv4Network("10.31.0.0/16")}


@dataclass(frozen=True)
class Rack:
    """A rack of the inventory: how many nodes, which of them reflect, which switches it has, its AS."""

    nodes: int = 2
    reflectors: frozenset[int] = frozenset()
    switches: frozenset[int] = frozenset({1})
    number: int = 0


@dataclass(frozen=True)
class Chapter:
    """An inventory, and what happened meanwhile: who is dead, which switches cannot be configured, whether hosts that
    it no longer has are still nodes, whether the switches have its AS numbers already, and between whom no session with
    a reflector comes up."""

    racks: Mapping[str, Rack]
    pools: int = 1
    dead: frozenset[str] = frozenset()
    refusing: frozenset[str] = frozenset()
    remain: bool = False
    renumbered: bool = True
    broken: frozenset[frozenset[str]] = frozenset()

    @property
    def estate(self) -> model.Estate:
        hosts = [entry for name, rack in self.racks.items() for entry in _hosts(name, rack)]
        groups = {group for entry in hosts for group in entry.groups}
        return model.Estate(
            name="lab",
            groups={g: tuple(entry.name for entry in hosts if g in entry.groups) for g in sorted(groups)},
            networks=model.Networks(services=IPv4Network("10.22.0.0/16"), pods=dict(list(POOLS.items())[: self.pools])),
            bgp=model.Bgp(64512, (IPv4Network("10.99.0.0/16"),)),
            racks={
                name: model.Rack(
                    name,
                    _subnet(name),
                    tuple(_switch(name, number) for number in sorted(rack.switches)),
                    64900 + PLACES[name] + 100 * rack.number,
                )
                for name, rack in self.racks.items()
            },
            hosts={entry.name: entry for entry in hosts},
        )


def _hosts(name: str, rack: Rack) -> Iterable[model.Host]:
    for number in range(rack.nodes):
        groups = ("workers", "route_reflectors") if number in rack.reflectors else ("workers",)
        yield host(f"{name}-n{number}", f"10.20.{PLACES[name]}.{11 + number}", name, *groups)
    for number in sorted(rack.switches):
        yield host(_switch(name, number), f"10.20.{PLACES[name]}.{number}", name, "switches")


def _subnet(rack: str) -> IPv4Network:
    return IPv4Network(f"10.20.{PLACES[rack]}.0/24")


def _switch(rack: str, number: int) -> str:
    return f"tor-{rack}-{number}"


class World(FakeCalico):
    """A cluster with switches that leak, which notes at every write and tick what is lost.

    ``changing`` are nodes whose part as a reflector changed since the last gate; they blink, so that they are to be
    drained before. ``still`` says that no time passes.
    """

    def __init__(self, chapter: Chapter, seed: int, period: int) -> None:
        self.changing: set[str] = set()
        self.wanted: frozenset[str] = frozenset()
        self.with_switch: frozenset[str] = frozenset()
        self.promised = False
        self.outside_blinks = False
        self.owed: frozenset[tuple[str, str]] = frozenset()
        self.owed_outside: frozenset[str] = frozenset()
        self.lost_outside: dict[str, str] = {}
        self.faults: list[str] = []
        self.held: frozenset[str] = frozenset()
        self.still = False
        super().__init__(topology_of(chapter.estate), lambda ident: _delay(ident, seed))
        self.period, self.rereads = period, False

    def open(self, chapter: Chapter) -> None:
        """The inventory becomes that of a chapter, whose hosts join; what there is then must not be lost."""
        estate = chapter.estate
        topology = topology_of(estate)
        self.owed, self.owed_outside = frozenset(), frozenset()
        self.boot(topology)
        for name in set(self.nodes) - set(estate.nodes) if not chapter.remain else ():
            del self.nodes[name]
            self.store[objects.STATUSES].pop(name, None)
        for name in self.nodes:
            self.ready(name, "Unknown" if name in chapter.dead else "True")
        for switch in estate.switches:
            self._renumber(estate, switch, chapter.renumbered)
        self.configure_switches(chapter, prune=False)
        self.changing.clear()
        self.broken = chapter.broken
        self.settle()
        members = set(estate.nodes)
        self.owed = frozenset(pair for pair in self.network.paths if set(pair) <= members)
        ours = {block for name in members for block in self.network.blocks.get(name, ())}
        self.owed_outside = self.network.outside & ours
        self.lost_outside = {}
        self.wanted = frozenset(speaker.name for speaker in topology.reflectors)
        self.with_switch = frozenset(s.node for s in topology.sessions if s.switch not in self.held)
        self.promised = any(self.network.alive(session.node) for session in topology.sessions)

    def _renumber(self, estate: model.Estate, entry: model.Host, renumbered: bool) -> None:
        """A switch that is new, or that its administrator gave the AS number of the inventory."""
        address, number = str(entry.address), switch_side(estate, entry.name)["as_number"]
        switch = self.network.switches.get(address)
        if switch is None:
            leaks = (*LEAKS, *map(_subnet, PLACES))
            self.network.switches[address] = Switch(entry.name, address, entry.rack, number, leaks=leaks)
        elif renumbered:
            switch.as_number = number

    def configure_switches(self, chapter: Chapter, prune: bool) -> None:
        """What ``switch_bgp`` does; a switch of another AS number refuses."""
        estate = chapter.estate
        sides = {switch.name: switch_side(estate, switch.name) for switch in estate.switches}
        by_name = {switch.name: switch for switch in self.network.switches.values()}
        unlike = {name for name, side in sides.items() if by_name[name].as_number != side["as_number"]}
        self.held = frozenset(unlike | (chapter.refusing & set(sides)))
        for name, side in sides.items():
            if name not in self.held:
                by_name[name].configure(side, prune)

    def wire(self, topology: Topology) -> None:
        """The switches are those of :meth:`open`."""

    def advance(self) -> None:
        if not self.still:
            super().advance()

    def merge(self, path: str, patch: dict[str, Any]) -> None:
        resource, name = path.rsplit("/", 2)[1:]
        if resource == objects.NODES:
            self.changing.add(name)
            if not self.mesh and self.network.cluster_id(name):
                others = {other for other in self.wanted - {name} if self.network.alive(other)}
                # The only reflector cannot change without a blink of all, nor the only one with a switch.
                if not others:
                    self.changing |= set(self.nodes)
                self.outside_blinks = not others & self.with_switch
        super().merge(path, patch)

    def _update(self, render: bool = True) -> None:
        super()._update(render)
        self.faults += self._lost_now()

    def _lost_now(self) -> Iterable[str]:
        when = f"after {self.writes[-1] if self.writes else 'nothing'}"
        settled = {name for name in self.nodes if self.network.alive(name) and name not in self.changing}
        for pair in sorted(self.owed - self.network.paths):
            if settled.issuperset(pair):
                yield f"{when}: {pair[0]} has no path to {pair[1]}"
        for block in self.owed_outside - self.network.outside:
            if not self.outside_blinks and any(block in self.network.blocks[name] for name in settled):
                self.lost_outside.setdefault(block, f"{when}: the outside has no path to {block}")
        allowed = IPv4Network("10.99.0.0/16")
        for name, prefixes in self.network.foreign.items():
            for prefix in prefixes:
                if not prefix.subnet_of(allowed):
                    yield f"{when}: {name} learned {prefix}"
        changing = [name for name in self.changing if self.network.alive(name)]
        racks = [self.nodes[name]["metadata"]["labels"][RACK_LABEL] for name in changing]
        if len(racks) > len(set(racks)) and self.changing != set(self.nodes):
            yield f"{when}: {sorted(self.changing)} change at once"

    def opened(self) -> None:
        """A gate has opened that asks for fresh reports: nobody blinks any more."""
        self.changing.clear()
        self.outside_blinks = False
        self.faults += self._lost_now()

    def state(self) -> str:
        """What the next plan is made of, but for the passing states of the routers."""
        specs = {
            resource: {name: [found.get("spec"), found["metadata"].get("labels")] for name, found in kind.items()}
            for resource, kind in self.store.items()
            if resource != objects.STATUSES
        }
        nodes = {
            name: (node["metadata"]["labels"], node["metadata"]["annotations"]) for name, node in self.nodes.items()
        }
        return json.dumps([specs, sorted(self.store[objects.STATUSES]), nodes], sort_keys=True)


def _delay(ident: Ident, seed: int) -> int:
    return 1 + zlib.crc32(f"{seed} {ident}".encode()) % 4


class Reader:
    """Follows a chapter to its end, and every way that a kill opens unless ``kills`` says no."""

    def __init__(self, topology: Topology, kills: bool = True) -> None:
        self.topology = topology
        self.kills = kills
        self.seen: set[tuple[str, frozenset[Ident], frozenset[str]]] = set()
        self.ends: set[str] = set()
        self.shut = False

    def follow(self, world: World) -> None:
        """Run to the end, and from each write on as a rerun would."""
        stages = self._plan(world).stages
        clock = Clock()
        runner = apply.Runner(world, self.topology, PATIENCE, clock, clock.sleep)
        for number, stage in enumerate(stages, 1):
            try:
                runner.run(planning.Plan((stage,)))
            except apply.GateShut:
                self.shut = True
                self.end(world)
                return
            if isinstance(stage, planning.Gate):
                if stage.fresh:
                    world.opened()
                continue
            if not self.kills:
                continue
            again = self._plan(world)
            key = (world.state(), world.network.up, frozenset(world.changing))
            if again.stages != stages[number:] and key not in self.seen:
                self.seen.add(key)
                self.follow(copy.deepcopy(world))
        self.end(world)
        self.ends.add(world.state())
        assert [planning.line_of(write) for write in self._plan(world).writes] == []

    def _plan(self, world: World) -> planning.Plan:
        world.still = True
        plan = planning.plan(self.topology, apply.observe(world, self.topology), held_switches=world.held)
        world.still = False
        return plan

    @staticmethod
    def end(world: World) -> None:
        """Let it all settle, and see that nothing was lost."""
        for _unused in range(SETTLED):
            if len(world.network.up) < len(world.network.since):
                world.advance()
        world.opened()
        faults = [*world.faults, *(world.lost_outside.values() if world.promised else ())]
        assert not faults, "\n".join([*faults, "of all writes:", *world.writes])


def tell(chapters: Iterable[Chapter], seed: int = 0, period: int = 1) -> World:
    """Take a cluster through the inventories."""
    chapters = list(chapters)
    world = World(chapters[0], seed, period)
    for chapter in chapters:
        world.open(chapter)
        reader = Reader(topology_of(chapter.estate), kills=not chapter.broken)
        reader.follow(world)
        if reader.shut:
            reflectors = reader.topology.reflectors
            assert chapter.broken or not any(world.network.alive(speaker.name) for speaker in reflectors)
            continue
        assert len(reader.ends) == 1
        world.configure_switches(chapter, prune=True)
        reader.end(world)
    return world


ONE, TWO, BOTH = frozenset({0}), frozenset({1}), frozenset({0, 1})
STORIES = {
    "from the mesh to reflectors and back, where the last reflectors are all that is left": [
        Chapter({"r1": Rack(2, BOTH), "r2": Rack(2, BOTH)}),
        Chapter({"r1": Rack(2, switches=frozenset())}),
    ],
    "from reflectors to the mesh in two racks": [
        Chapter({"r1": Rack(3, ONE), "r2": Rack(3, TWO)}),
        Chapter({"r1": Rack(3), "r2": Rack(3)}),
    ],
    "a reflector more in a rack, and one less": [
        Chapter({"r1": Rack(3, ONE), "r2": Rack(2, ONE)}),
        Chapter({"r1": Rack(3, BOTH), "r2": Rack(2, ONE)}),
        Chapter({"r1": Rack(3, TWO), "r2": Rack(2, ONE)}),
    ],
    "two reflectors more in the only rack": [
        Chapter({"r1": Rack(3, ONE)}),
        Chapter({"r1": Rack(3, frozenset({0, 1, 2}))}),
    ],
    "a rack that changes the cluster ids of all others": [
        Chapter({"r1": Rack(3, BOTH), "r2": Rack(2, ONE), "r3": Rack(2, ONE)}),
        Chapter({"a0": Rack(2, ONE), "r1": Rack(3, BOTH), "r2": Rack(2, ONE), "r3": Rack(2, ONE)}),
    ],
    "a rack without a reflector that changes the cluster ids of all there are": [
        Chapter({"r1": Rack(2, ONE), "r2": Rack(2, ONE), "r3": Rack(1, ONE, switches=frozenset())}),
        Chapter({"a0": Rack(1), "r1": Rack(2, ONE), "r2": Rack(2, ONE), "r3": Rack(1, ONE, switches=frozenset())}),
    ],
    "a new reflector carries before the only one changes its cluster id": [
        Chapter({"r1": Rack(3, ONE)}),
        Chapter({"a0": Rack(1, switches=frozenset()), "r1": Rack(3, BOTH)}),
    ],
    "an outside that hangs on the reflector whose cluster id changes": [
        Chapter({"a0": Rack(2, switches=frozenset()), "r1": Rack(2, TWO, frozenset({1, 2}))}),
        Chapter({"r1": Rack(2, TWO, switches=frozenset()), "r2": Rack(1, ONE)}),
    ],
    "a rack moves to other switches": [
        Chapter({"r1": Rack(2, ONE, frozenset({1}))}),
        Chapter({"r1": Rack(2, ONE, frozenset({2}))}),
    ],
    "a rack stays with its switch while the new one refuses": [
        Chapter({"r1": Rack(2, ONE, frozenset({1}))}),
        Chapter({"r1": Rack(2, ONE, frozenset({2}))}, refusing=frozenset({"tor-r1-2"})),
        Chapter({"r1": Rack(2, ONE, frozenset({2}))}),
    ],
    "a former reflector stays while its switch does not know the new one": [
        Chapter({"r1": Rack(3, ONE), "r2": Rack(1, switches=frozenset())}),
        Chapter({"r1": Rack(3, TWO), "r2": Rack(1, switches=frozenset())}, refusing=frozenset({"tor-r1-1"})),
        Chapter({"r1": Rack(3, TWO), "r2": Rack(1, switches=frozenset())}),
    ],
    "two switches, a pool more, another AS in one rack of two": [
        Chapter({"r1": Rack(2, ONE, frozenset({1, 2})), "r2": Rack(2, ONE, frozenset({1, 2}))}),
        Chapter({"r1": Rack(2, ONE, frozenset({1, 2}), number=1), "r2": Rack(2, ONE, frozenset({1, 2}))}, pools=2),
    ],
    "former reflectors that the inventory does not have any more, but the cluster": [
        Chapter({"r1": Rack(2, BOTH), "r2": Rack(3)}),
        Chapter({"r2": Rack(3, ONE)}, remain=True),
    ],
    "a dead reflector in each rack": [
        Chapter({"r1": Rack(3, BOTH), "r2": Rack(3, BOTH)}, dead=frozenset({"r1-n0", "r2-n1"})),
        Chapter({"r1": Rack(3, TWO), "r2": Rack(3, ONE)}, dead=frozenset({"r1-n0", "r2-n1"})),
        Chapter({"r1": Rack(3, BOTH), "r2": Rack(3, BOTH)}),
    ],
    "only dead reflectors until another one is named": [
        Chapter({"r1": Rack(3, ONE)}),
        Chapter({"r1": Rack(3, ONE)}, dead=frozenset({"r1-n0"})),
        Chapter({"r1": Rack(3, BOTH)}, dead=frozenset({"r1-n0"})),
    ],
    "former reflectors leave for one of the same cluster id": [
        Chapter({"r1": Rack(3, frozenset({0, 2})), "r2": Rack(2, ONE)}),
        Chapter({"r1": Rack(3, frozenset({2})), "r2": Rack(2)}),
    ],
    "a session that never comes up, and is put right": [
        Chapter({"r1": Rack(3), "r2": Rack(2)}),
        Chapter({"r1": Rack(3, ONE), "r2": Rack(2, ONE)}, broken=frozenset({frozenset({"r1-n2", "r1-n0"})})),
        Chapter({"r1": Rack(3, ONE), "r2": Rack(2, ONE)}, broken=frozenset({frozenset({"r1-n2", "r2-n0"})})),
        Chapter({"r1": Rack(3, ONE), "r2": Rack(2, ONE)}),
        Chapter({"r1": Rack(3, BOTH), "r2": Rack(2, ONE)}, broken=frozenset({frozenset({"r1-n2", "r1-n1"})})),
    ],
}


@pytest.mark.parametrize("period", [1, 3])
@pytest.mark.parametrize("story", STORIES)
def test_a_story(story: str, period: int) -> None:
    tell(STORIES[story], seed=len(story), period=period)


racks = st.builds(
    Rack,
    nodes=st.integers(1, 3),
    reflectors=st.frozensets(st.integers(0, 2), max_size=2),
    switches=st.frozensets(st.integers(1, 2), max_size=2),
    number=st.sampled_from((0, 0, 1)),
)
names = st.sampled_from([f"{rack}-n{number}" for rack in PLACES for number in range(3)])
switches = st.sampled_from([_switch(rack, number) for rack in PLACES for number in (1, 2)])
chapters = st.builds(
    Chapter,
    racks=st.dictionaries(st.sampled_from(sorted(PLACES)), racks, min_size=1, max_size=3),
    pools=st.sampled_from((1, 1, 2)),
    dead=st.one_of(st.just(frozenset()), st.frozensets(names, max_size=3)),
    refusing=st.one_of(st.just(frozenset()), st.frozensets(switches, max_size=2)),
    remain=st.booleans(),
    renumbered=st.booleans(),
)
broken = st.frozensets(st.frozensets(names, min_size=2, max_size=2), max_size=3)
any_story = settings(
    max_examples=int(os.environ.get("HYBRIDK8S_STORIES", "40")),
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@any_story
@given(st.lists(chapters, min_size=2, max_size=3), st.integers(0, 99), st.integers(1, 3))
def test_no_step_of_any_plan_takes_a_last_path(story: list[Chapter], seed: int, period: int) -> None:
    tell(story, seed, period)


@any_story
@given(st.lists(chapters, min_size=2, max_size=3), broken, st.integers(0, 99), st.integers(1, 3))
def test_a_gate_that_stays_shut_leaves_all_paths(
    story: list[Chapter], pairs: frozenset[frozenset[str]], seed: int, period: int
) -> None:
    tell([*story[:-1], replace(story[-1], broken=pairs), story[-1]], seed, period)
