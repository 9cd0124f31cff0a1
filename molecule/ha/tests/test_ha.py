"""One control plane of three without power: the API answers on every worker, and the host heals when it is back."""

from __future__ import annotations

import time

import pytest

from tests.flows import proof
from tests.flows.drive import booted, eventually, inventory, lab, racks, ssh

ANSWER_WITHIN = 10


def api_answers(worker):
    """A real request with the kubelet's own credentials, through the proxy on the worker."""
    line = f"kubectl --kubeconfig=/etc/kubernetes/kubelet.conf --request-timeout=5s get node {worker} --output=name"
    return ssh(worker, line).strip() == f"node/{worker}"


def seconds_until(check, limit):
    started = time.monotonic()
    eventually(check, limit, f"{check}")
    return time.monotonic() - started


def test_there_are_three_control_planes_and_a_proxy_on_each_node():
    assert len(booted("control_plane")) == 3
    assert {node.name for node in proof.nodes() if node.ready} == set(booted("kubernetes"))
    for node in booted("kubernetes"):
        assert ":7443" in ssh(node, "ss --listening --tcp --numeric --no-header")


@pytest.mark.parametrize("victim", inventory().hosts_of("control_plane"))
def test_the_api_answers_on_every_worker_without(victim):
    workers = booted("workers")
    lab("kill", victim)
    try:
        took = {worker: seconds_until(lambda worker=worker: api_answers(worker), ANSWER_WITHIN) for worker in workers}
        print(f"without {victim}: " + ", ".join(f"{worker} {seconds:.1f} s" for worker, seconds in took.items()))
        assert all(seconds <= ANSWER_WITHIN for seconds in took.values()), took
    finally:
        lab("boot", victim)
    eventually(lambda: healed(victim), 180, f"{victim} is back as a Ready node with a healthy etcd member")


def healed(host):
    ready = {node.name for node in proof.nodes() if node.ready}
    etcd = ssh(host, "curl --silent --max-time 3 http://127.0.0.1:2381/health")
    api = ssh(host, "curl --silent --max-time 3 --insecure https://127.0.0.1:6443/readyz")
    return ready == set(booted("kubernetes")) and '"health":"true"' in etcd and api == "ok"


def test_pods_in_every_rack_still_answer_the_outside():
    proof.deploy()

    assert {proof.ask(pod).rack for pod in proof.web_pods()} == set(racks())
