"""No secret is anywhere but where it must be: not in what the most talkative run prints, compares, keeps or leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from tests.flows import cloud, secrets
from tests.flows.drive import address, booted, inventory, kubectl, lab, ssh
from tests.flows.estates import bgp, cloud_settings, estate, looked_up, pool
from tests.flows.pools import succeeded
from tests.flows.secrets import KEY, PLANTED
from tests.lab.offers import ACCESS_KEY, ACCOUNT

POOL = "online"
TALKATIVE = ("-vvv", "--diff")
CONTAINER = r"/(run/containerd/io\.containerd\.runtime\.v2\.task|var/lib/containerd/io\.containerd\.snapshotter).*"
# Where a secret has its home: who works with it reads it there.
HOMES = {
    "BGP password": ("/etc/frr/.*", f"{CONTAINER}/etc/calico/confd/config/bird.*", "/var/lib/etcd/.*"),
    "token of the agent": ("/var/lib/etcd/.*", "/var/lib/kubelet/pods/.*/volumes/kubernetes.io~secret/.*"),
    "key of the administrator": ("/etc/kubernetes/(super-)?admin.conf",),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where everything lies that a controller keeps of runs: facts, inventories, logs, reports, temporary files."""
    root = tmp_path_factory.mktemp("controller")
    places = {name: root / name for name in ("facts", "inventory", "local", "tmp")}
    for place in places.values():
        place.mkdir()
    settings = {
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": places["facts"],
        "ANSIBLE_GATHERING": "implicit",
        "ANSIBLE_INVENTORY_CACHE": "true",
        "ANSIBLE_INVENTORY_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_INVENTORY_CACHE_CONNECTION": places["inventory"],
        "ANSIBLE_LOCAL_TEMP": places["local"],
        "ANSIBLE_LOG_PATH": root / "ansible.log",
        "TMPDIR": places["tmp"],
    }
    with pytest.MonkeyPatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(name, str(value))
        yield root


def planted_estate(name, count, **registration):
    """The lab's estate with secrets of our own, each looked up where it lies, as a vault would give it."""
    credentials = {
        "access_key_id": KEY,
        "access_key_secret": looked_up(PLANTED["access key secret"]),
        "security_token": looked_up(PLANTED["security token"]),
    }
    edits = cloud_settings(credentials=credentials, ack=registration), bgp(password=looked_up(PLANTED["BGP password"]))
    made = estate(name, pool(POOL, count=count), *edits)
    source = made / "50-cloud.ecs.yml"
    described = yaml.safe_load(source.read_text())
    described["accounts"][0]["credentials"] = credentials
    source.write_text(yaml.safe_dump(described))
    return made


def know_the_key():
    """The cloud knows the planted key beside the lab's own. Nothing of it is an argument of a process."""
    usual = {"id": ACCESS_KEY["ALIBABA_CLOUD_ACCESS_KEY_ID"], "secret": ACCESS_KEY["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]}
    keys = [usual, {"id": KEY, "secret": PLANTED["access key secret"]}]
    endpoint = inventory().shared("estate_cloud")["endpoints"]["ecs"]
    body = json.dumps({"keys": [{**key, "account": ACCOUNT} for key in keys]})
    lab("run", "--", "curl", "--fail", "--silent", "--data", "@-", f"http://{endpoint}/_fakecloud/world", stdin=body)


def kubeconfig_with_a_token(directory):
    """A kubeconfig whose user is a token; the token."""
    kubectl("create", "serviceaccount", "planted", "--namespace=kube-system")
    role = ("--clusterrole=cluster-admin", "--serviceaccount=kube-system:planted")
    kubectl("create", "clusterrolebinding", "planted", *role)
    token = kubectl("create", "token", "planted", "--namespace=kube-system").strip()
    described = yaml.safe_load(kubectl("config", "view", "--raw", "--minify"))
    described["users"][0]["user"] = {"token": token}
    # Who is given a kubeconfig reaches the server that it names; only hosts of the estate know the endpoint's name.
    described["clusters"][0]["cluster"]["server"] = f"https://{address(booted('control_plane')[0])}:6443"
    path = directory / "token.conf"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(described))
    return path, token


@pytest.fixture(scope="module")
def said(kept, tmp_path_factory):
    """What runs of every kind printed, the secrets that they had to do with, and the watch over processes."""
    know_the_key()
    secret = dict(PLANTED)
    grown = planted_estate("planted", 1)
    report = ("-e", f"estate_report={kept / 'report.json'}")
    with secrets.Arguments(PLANTED) as watch:
        outputs = [
            succeeded("site", grown, *TALKATIVE, *report).output,
            succeeded("cloud", grown, *TALKATIVE, *report).output,
        ]
    found, looks = set(watch.found), watch.looks
    path, secret["token of the kubeconfig"] = kubeconfig_with_a_token(tmp_path_factory.mktemp("given"))
    (cluster,) = cloud.state()["clusters"]
    secret["token of the agent"] = cluster["agent_token"]
    secret["key of the administrator"] = yaml.safe_load(ssh("cp1", "cat /etc/kubernetes/admin.conf"))["users"][0][
        "user"
    ]["client-key-data"]
    with secrets.Arguments(secret) as watch:
        given = (*TALKATIVE, "-e", f"estate_kubeconfig={path}")
        outputs += [
            succeeded("cloud", grown, *given, "--check").output,
            succeeded("ack", planted_estate("planted", 1, agent_mode="admin"), *given).output,
            succeeded("bgp_status", grown, *given).output,
        ]
    return secret, "\n".join(outputs), found | watch.found, looks + watch.looks


def test_the_runs_had_to_do_with_the_secrets(said):
    asked = {request["key"] for request in cloud.requests()}
    assert KEY in asked
    assert cloud.state()["clusters"][0]["state"] == "running"


def test_no_output_shows_one(said):
    secret, output, _found, _looks = said
    assert secrets.in_text(output, secret) == set()


def test_no_process_is_given_one_as_an_argument(said):
    _secret, _output, found, looks = said
    print(f"{looks} looks at the arguments of all processes")
    assert looks > 100
    assert found == set()


def test_the_controller_keeps_none(said, kept):
    # Facts are not among what is kept: no play gathers any.
    assert list((kept / "inventory").iterdir()), "the inventory was kept"
    assert (kept / "ansible.log").stat().st_size, "a log was kept"
    assert secrets.in_tree(kept, said[0]) == {}
    left = Path(os.path.expanduser("~/.ansible"))
    assert secrets.in_tree(left, said[0]) == {}


def test_no_host_has_one_that_has_no_home_there(said):
    found = {}
    for host in (*booted("kubernetes"), f"{POOL}-1", *booted("switches")):
        there = secrets.on_host(host, said[0])
        found |= {f"{host}: {path}": names for path, names in secrets.strangers(there, HOMES).items()}
        at_home = sorted({name for names in there.values() for name in names})
        print(f"{host}: at home are {', '.join(at_home) or 'none'}")
    assert found == {}


def test_without_the_pool_and_the_registration_nothing_is_left(said):
    run = succeeded("cloud", planted_estate("planted", 0, state="absent"), *TALKATIVE)
    run_of_ack = succeeded("ack", planted_estate("planted", 0, state="absent"), *TALKATIVE)
    assert secrets.in_text(run.output + run_of_ack.output, said[0]) == set()
    assert not cloud.leftovers()
    assert cloud.state()["clusters"] == []
