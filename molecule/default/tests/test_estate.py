"""An estate after `site`: nodes, both ends of BGP, and traffic from outside of the cluster to pods in every rack."""

from __future__ import annotations

import os

import pytest
import testinfra

from tests.flows import fabric, proof
from tests.flows.drive import (
    address,
    booted,
    eventually,
    inventory,
    limit,
    playbook,
    rack,
    racks,
)


@pytest.fixture(scope="module")
def web():
    proof.deploy()
    return proof.web_pods()


@pytest.fixture(params=booted("kubernetes"))
def host(request):
    return testinfra.get_host(
        f"ssh://root@{address(request.param)}",
        ssh_identity_file=os.environ["ANSIBLE_PRIVATE_KEY_FILE"],
        ssh_extra_args=os.environ["ANSIBLE_SSH_COMMON_ARGS"],
    )


def test_every_host_is_a_ready_node_at_its_address():
    nodes = proof.nodes()

    assert {node.name: node.address for node in nodes} == {h: address(h) for h in booted("kubernetes")}
    assert [node.name for node in nodes if not node.ready] == []
    assert {node.version for node in nodes} == {f"v{inventory().shared('estate_kubernetes_version')}"}


def test_units_run_and_start_at_boot(host):
    for unit in ("containerd", "kubelet"):
        assert host.service(unit).is_running
        assert host.service(unit).is_enabled


def test_host_is_ready_for_pods(host):
    assert host.sysctl("net.ipv4.ip_forward") == 1
    assert host.run("swapon --show --noheadings").stdout == ""


def test_the_api_answers_through_the_local_endpoint(host):
    url = f"https://api.{inventory().shared('estate_name')}.internal:7443/readyz"

    assert host.run(f"curl --silent --max-time 5 --cacert /etc/kubernetes/pki/ca.crt {url}").stdout == "ok"


def test_pods_in_every_rack_answer_the_outside_with_the_clients_own_address(web):
    answers = [proof.ask(pod) for pod in web]

    assert {answer.rack for answer in answers} == set(racks())
    assert {answer.node for answer in answers} == set(booted("kubernetes"))
    assert len({answer.seen_from for answer in answers}) == 1, "nobody on the way translates addresses"
    assert all(answer.hops[-1] == answer.address for answer in answers)


def test_a_pod_finds_a_service_by_name(web):
    said = proof.ask_from_a_pod().splitlines()

    assert {pod["metadata"]["name"] for pod in web} & set(said)


def test_each_switch_routes_every_pod_block_to_its_owner(web):
    assert len(proof.pod_blocks()) >= len(web)
    for switch in booted("switches"):
        eventually(lambda switch=switch: not proof.missing_blocks(switch), 30, f"{switch} has every pod block")


def test_only_reflectors_peer_with_switches_and_every_session_is_up():
    reflectors = {address(host): host for host in booted("route_reflectors")}
    switches = {address(host) for host in booted("switches")}
    nodes = {address(host) for host in booted("kubernetes")}

    on_switches = [one for switch in booted("switches") for one in proof.switch_sessions(switch)]
    assert {one.peer for one in on_switches} & nodes == set(reflectors)

    for node in booted("kubernetes"):
        sessions = proof.node_sessions(node)
        assert [one.name for one in sessions if not one.established] == []
        assert not any(one.name.startswith("Mesh_") for one in sessions)
        peers = {one.peer for one in sessions}
        own_switch = {address(switch) for switch in racks()[rack(node)]["switches"]}
        assert peers & switches == (own_switch if node in reflectors.values() else set()), node
        assert peers >= set(reflectors) - {address(node)}, node


def test_bgp_status_sees_what_is_well_what_is_down_and_what_differs(web, tmp_path):
    picture, of_those_up = tmp_path / "picture", f"--limit={limit()}"
    well = fabric.bgp_status(of_those_up, f"--extra-vars=bgp_picture={picture}")
    assert (well.run.status, well.ok) == (0, True), well.run.output
    to_switch = [session for session in well.sessions if session["kind"] == "switch"]
    assert {session["peer"]["name"] for session in to_switch} == set(booted("switches"))
    assert all(session["peer"]["received"] >= len(web) for session in to_switch)
    assert "</html>" in picture.read_text()

    one = to_switch[0]
    switch, neighbour = one["peer"]["name"], one["node"]["address"]
    number = one["peer"]["as_number"]
    fabric.configure(switch, f"router bgp {number}", f"neighbor {neighbour} shutdown")
    ill = fabric.bgp_status(of_those_up)
    assert (ill.run.status, ill.ok) == (2, False)
    assert f"switch {switch} ({one['peer']['address']}, AS {number})" in ill.run.output
    assert [drift["where"] for drift in ill.drift] == [switch]

    run = playbook("bgp", of_those_up)
    assert run.status == 0, run.output
    again = fabric.bgp_status(of_those_up)
    assert (again.run.status, again.ok) == (0, True), again.run.output


def test_the_mesh_is_off():
    assert not fabric.mesh_is_on()


def test_check_mode_on_a_finished_estate_has_nothing_to_do():
    run = playbook("site", "--check", f"--limit={limit()}")

    assert run.status == 0, run.output
    assert run.hosts_with("changed") == set(), run.output
