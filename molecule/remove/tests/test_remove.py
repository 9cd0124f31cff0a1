"""Hosts without power are removed without ssh to them, and join again; one that answers leaves in good order."""

from __future__ import annotations

import json
import time

import pytest

from tests.flows import proof
from tests.flows.drive import booted, inventory, lab, playbook, ssh
from tests.flows.probe import ApiProbe

LONGEST_GAP = 15
ETCD = (
    "curl --silent --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/apiserver-etcd-client.crt"
    " --key /etc/kubernetes/pki/apiserver-etcd-client.key --data '{}' https://127.0.0.1:2379/v3/cluster/member/list"
)
MASTERS = inventory().hosts_of("control_plane")
WORKERS = inventory().hosts_of("workers")
FIRST, STAYING, LAST = MASTERS
VICTIM, WATCHING, LIVING = WORKERS


@pytest.fixture(scope="module", autouse=True)
def probe():
    proof.deploy()
    proof.web_pods()
    with ApiProbe(WATCHING) as running:
        yield running
        print(f"the API, asked every 100 ms on {WATCHING}: longest gap of all {running.longest_gap():.1f} s")


def remove(*hosts):
    return playbook("remove", f"--limit={','.join(hosts)}", "-e", f"confirm_estate={inventory().shared('estate_name')}")


def etcd_members():
    members = json.loads(ssh(STAYING, ETCD))["members"]
    assert not any(member.get("isLearner") for member in members), members
    return {member["name"] for member in members}


def nodes():
    return {node.name for node in proof.nodes()}


def remove_without_power(probe, host):
    since = time.time()
    lab("kill", host)
    proof.await_silence(host)
    run = remove(host)
    print(
        f"remove of {host}, without power: {run.seconds:.0f} s; longest gap of the API {probe.longest_gap(since):.1f} s"
    )
    assert run.status == 0, run.output
    assert run.recap[host].get("unreachable", 0) == 0, f"nobody tried to reach {host}\n{run.output}"
    assert host not in nodes()
    assert host not in proof.pod_blocks().values(), "Calico has released its blocks"
    assert probe.longest_gap(since) < LONGEST_GAP

    again = remove(host)
    assert again.status == 0, again.output
    assert again.hosts_with("changed") == set(), again.output


def join_anew(host):
    lab("wipe", host)
    lab("boot", host)
    run = playbook("join", f"--limit={host}")
    print(f"join of {host}, anew: {run.seconds:.0f} s")
    assert run.status == 0, run.output
    assert any(node.ready for node in proof.nodes() if node.name == host)


def test_all_are_there():
    assert etcd_members() == set(MASTERS)
    assert nodes() == set(booted("kubernetes"))


def test_a_worker_without_power(probe):
    remove_without_power(probe, VICTIM)


def test_a_control_plane_without_power_and_a_new_one_in_its_place(probe):
    remove_without_power(probe, LAST)
    assert etcd_members() == {FIRST, STAYING}
    join_anew(LAST)
    assert etcd_members() == set(MASTERS)


def test_the_first_control_plane_without_power_and_a_new_one_in_its_place(probe):
    remove_without_power(probe, FIRST)
    assert etcd_members() == {STAYING, LAST}
    join_anew(FIRST)
    assert etcd_members() == set(MASTERS)


def test_a_worker_that_answers_is_drained_and_left_clean(probe):
    since = time.time()
    run = remove(LIVING)
    print(f"remove of {LIVING}, which answers: {run.seconds:.0f} s")
    assert run.status == 0, run.output
    assert LIVING not in nodes()
    assert LIVING not in proof.pod_blocks().values()
    assert ssh(LIVING, "ls /etc/kubernetes/kubelet.conf 2>/dev/null || echo none").strip() == "none"
    assert probe.longest_gap(since) < LONGEST_GAP


def test_the_last_reflector_may_not_go():
    refused = remove(WATCHING)
    assert refused.status != 0
    assert "no other route reflector would be Ready" in refused.output
    assert refused.hosts_with("changed") == set(), refused.output
    assert WATCHING in nodes()


def test_a_control_plane_that_answers_leaves_etcd_in_good_order(probe):
    since = time.time()
    run = remove(FIRST)
    print(f"remove of {FIRST}, which answers: {run.seconds:.0f} s; longest gap {probe.longest_gap(since):.1f} s")
    assert run.status == 0, run.output
    assert etcd_members() == {STAYING, LAST}
    # Powered off, so that kubectl is asked of one that is still a control plane.
    lab("kill", FIRST)
    assert FIRST not in nodes()
