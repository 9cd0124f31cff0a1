# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import plan as planning
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import (
    TopologyError,
    passwords_of,
    switch_side,
    topology_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model

from tests.unit.plugins.module_utils._bgp.fake_calico import FakeCalico, Killed, run, settled
from tests.unit.plugins.module_utils.estates import two_racks, with_racks

NAME = "lab-bgp-passwords"


def estate(everywhere: str = "", **of_racks: str) -> model.Estate:
    """Two racks; ``everywhere`` is the estate's password, the others those of racks."""
    plain = two_racks()
    assert plain.bgp is not None
    racks = {name: replace(plain.racks[name], password=password) for name, password in of_racks.items()}
    return with_racks(replace(plain, bgp=replace(plain.bgp, password=everywhere)), racks)


PLAIN = topology_of(estate())
BOTH = topology_of(estate("s3cret", r2="0ther"))
GIVEN = passwords_of(estate("s3cret", r2="0ther"))


def encoded(password: str) -> str:
    return b64encode(password.encode()).decode()


def secret(api: FakeCalico) -> dict[str, Any]:
    found: dict[str, Any] = api.store[objects.SECRETS][NAME]["data"]
    return found


def unchanged(api: FakeCalico, given: Mapping[str, str] = GIVEN) -> bool:
    return not planning.plan(BOTH, apply.observe(api, BOTH), passwords=given).writes


def test_the_password_of_a_rack_wins_over_that_of_the_estate() -> None:
    assert GIVEN == {"r1-tor1": "s3cret", "r2-tor2": "0ther"}
    assert passwords_of(estate(r2="0ther")) == {"r2-tor2": "0ther"}
    assert passwords_of(estate()) == {}


def test_both_ends_of_a_session_have_its_password() -> None:
    sample = estate("s3cret", r2="0ther")
    peers = {peer.name: peer.spec for peer in objects.switch_peers(BOTH)}
    for session in BOTH.sessions:
        (neighbour,) = switch_side(sample, session.switch)["neighbours"]
        reference = peers[objects.peer_name(BOTH, session)]["password"]["secretKeyRef"]
        assert reference["name"] == NAME
        assert neighbour["password"] == GIVEN[reference["key"]]
    assert "password" not in switch_side(estate(r2="0ther"), "tor1")["neighbours"][0]


def test_secret_role_and_binding_are_there_before_the_peers_that_need_them() -> None:
    api = FakeCalico(BOTH)
    api.wire(BOTH, GIVEN)
    run(api, BOTH, passwords=GIVEN)
    assert [line for line in api.writes if "status" not in line and "nodes/" not in line] == [
        "create bgpfilters/lab-switches",
        "create ippools/bare-metal",
        "create bgpconfigurations/default",
        f"create secrets/{NAME}",
        f"create roles/{NAME}",
        f"create rolebindings/{NAME}",
        "create bgppeers/lab-clients",
        "create bgppeers/lab-reflectors",
        "patch bgpconfigurations/default",
        "create bgppeers/lab-r1-tor1",
        "create bgppeers/lab-r2-tor2",
    ]
    assert secret(api) == {"r1-tor1": encoded("s3cret"), "r2-tor2": encoded("0ther")}
    assert unchanged(api)


@pytest.mark.parametrize(("namespace", "account"), [("kube-system", "calico-node"), ("calico-system", "calico-node")])
def test_only_calico_node_may_read_only_this_secret(namespace: str, account: str) -> None:
    api = FakeCalico(BOTH)
    api.namespace = namespace
    plan = planning.plan(BOTH, apply.observe(api, BOTH), passwords=GIVEN)
    bodies = {write.resource: write.body for write in plan.writes}
    assert bodies[objects.ROLES]["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [NAME], "verbs": ["get", "list", "watch"]}
    ]
    assert bodies[objects.ROLE_BINDINGS]["subjects"] == [
        {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    ]
    path = objects.path_of(objects.SECRETS, NAME, plan.calico)
    assert path == f"/api/v1/namespaces/{namespace}/secrets/{NAME}"


def test_no_step_and_no_message_holds_a_password() -> None:
    api = FakeCalico(BOTH)
    plan = planning.plan(BOTH, apply.observe(api, BOTH), passwords=GIVEN)
    for password in ("s3cret", "0ther"):
        for written in (password, encoded(password)):
            assert written not in str([(write.step, planning.line_of(write)) for write in plan.writes])
            assert written not in str(BOTH)
    assert "s3cret" not in str(estate("s3cret", r1="s3cret"))
    with pytest.raises(TopologyError) as error:
        planning.plan(BOTH, apply.observe(api, BOTH), passwords={"r1-tor1": "s3cret"})
    assert "r2-tor2" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_a_password_that_the_switch_has_not_is_named_by_the_gate() -> None:
    api = FakeCalico(BOTH)
    api.wire(BOTH, {**GIVEN, "r1-tor1": "mistyped"})
    with pytest.raises(apply.GateShut, match=r"w1 .* <-> switch tor1 .*: w1 sees Active"):
        run(api, BOTH, passwords=GIVEN)
    api.wire(BOTH, GIVEN)
    run(api, BOTH, passwords=GIVEN)
    assert unchanged(api)


def test_a_changed_password_is_one_write_for_each_switch() -> None:
    api = settled(BOTH, GIVEN)
    new = {"r1-tor1": "new-one", "r2-tor2": "new-two"}
    api.wire(BOTH, new)
    run(api, BOTH, passwords=new)
    assert api.writes == [f"patch secrets/{NAME}"] * 2
    assert secret(api) == {key: encoded(value) for key, value in new.items()}
    assert unchanged(api, new)


def test_a_switch_that_is_held_keeps_its_password() -> None:
    api = settled(BOTH, GIVEN)
    new = {"r1-tor1": "new-one", "r2-tor2": "new-two"}
    plan = planning.plan(BOTH, apply.observe(api, BOTH), held_switches=["tor1"], passwords=new)
    assert [write.body for write in plan.writes] == [{"data": {"r2-tor2": encoded("new-two")}}]


def test_a_session_gets_a_password_after_its_secret() -> None:
    api = settled(PLAIN)
    api.wire(BOTH, GIVEN)
    run(api, BOTH, passwords=GIVEN)
    assert api.writes == [
        f"create secrets/{NAME}",
        f"create roles/{NAME}",
        f"create rolebindings/{NAME}",
        "patch bgppeers/lab-r1-tor1",
        "patch bgppeers/lab-r2-tor2",
    ]
    assert unchanged(api)


def test_a_password_that_is_given_up_leaves_its_peer_first() -> None:
    api = settled(BOTH, GIVEN)
    less = topology_of(estate(r2="0ther"))
    api.wire(less, GIVEN)
    run(api, less, passwords=GIVEN)
    assert api.writes == ["patch bgppeers/lab-r1-tor1", f"patch secrets/{NAME}"]
    assert secret(api) == {"r2-tor2": encoded("0ther")}

    api.writes.clear()
    api.wire(PLAIN)
    run(api, PLAIN)
    assert api.writes == [
        "patch bgppeers/lab-r2-tor2",
        f"delete rolebindings/{NAME}",
        f"delete roles/{NAME}",
        f"delete secrets/{NAME}",
    ]
    assert not planning.plan(PLAIN, apply.observe(api, PLAIN)).writes


def test_a_password_stays_while_a_peer_that_we_leave_alone_refers_to_it() -> None:
    api = settled(BOTH, GIVEN)
    plan = planning.plan(PLAIN, apply.observe(api, PLAIN), held_switches=["tor1"])
    assert [(write.verb, write.resource, write.body) for write in plan.writes] == [
        ("patch", objects.PEERS, {"spec": {"password": None}}),
        ("patch", objects.SECRETS, {"data": {"r2-tor2": None}}),
    ]


def test_a_former_switch_keeps_its_password_while_its_successor_is_held() -> None:
    api = settled(BOTH, GIVEN)
    sample = estate("s3cret", r2="0ther")
    hosts = {**sample.hosts, "tor1b": replace(sample.hosts["tor1"], name="tor1b", address=IPv4Address("10.20.1.2"))}
    moved = with_racks(replace(sample, hosts=hosts), {"r1": replace(sample.racks["r1"], switches=("tor1b",))})
    end = topology_of(moved)
    plan = planning.plan(end, apply.observe(api, end), held_switches=["tor1b"], passwords=passwords_of(moved))
    assert [write.body for write in plan.writes] == [{"data": {"r1-tor1b": encoded("s3cret")}}]


def test_without_reflectors_no_password_is_kept() -> None:
    api = settled(BOTH, GIVEN)
    none = topology_of(two_racks(()))
    run(api, none)
    assert not [resource for resource in objects.NAMESPACED_KINDS if api.store[resource]]


@pytest.mark.parametrize("resource", objects.NAMESPACED_KINDS)
def test_what_somebody_deleted_comes_back(resource: str) -> None:
    api = settled(BOTH, GIVEN)
    del api.store[resource][NAME]
    run(api, BOTH, passwords=GIVEN)
    assert api.writes == [f"create {resource}/{NAME}"]
    assert unchanged(api)


def test_rights_that_somebody_changed_are_put_back() -> None:
    api = settled(BOTH, GIVEN)
    api.store[objects.ROLES][NAME]["rules"] = []
    api.store[objects.ROLE_BINDINGS][NAME]["roleRef"] = {"kind": "Role", "name": "other"}
    run(api, BOTH, passwords=GIVEN)
    assert api.writes == [
        f"patch roles/{NAME}",
        f"delete rolebindings/{NAME}",
        f"create rolebindings/{NAME}",
    ]
    assert unchanged(api)


def test_a_secret_of_others_by_our_name_is_used_and_not_deleted() -> None:
    api = settled(PLAIN)
    api.store[objects.SECRETS][NAME] = {"metadata": {"name": NAME}, "data": {"theirs": "eA=="}}
    assert not planning.plan(PLAIN, apply.observe(api, PLAIN)).writes
    api.wire(BOTH, GIVEN)
    run(api, BOTH, passwords=GIVEN)
    assert objects.is_ours(api.store[objects.SECRETS][NAME], "lab")
    assert unchanged(api)


def test_any_kill_on_the_way_to_passwords_ends_the_same() -> None:
    api = settled(PLAIN)
    api.wire(BOTH, GIVEN)
    kills = 0
    for _unused in range(20):
        api.kill_after = len(api.writes) + 1
        try:
            run(api, BOTH, passwords=GIVEN)
            break
        except Killed:
            kills += 1
        for peer in api.store[objects.PEERS].values():
            if "password" in peer["spec"]:
                assert all(NAME in api.store[resource] for resource in objects.NAMESPACED_KINDS)
    assert kills > 2
    assert unchanged(api)
