"""Registration with ACK: the simulated cloud, a real API server whose pods kwok plays, and a stand-in for the agent."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils._ack import record, registration
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, connect
from ansible_collections.hybridk8s.estate.plugins.modules import ack_registration

from tests.fakecloud import agent
from tests.fakecloud.certificates import self_signed
from tests.fakecloud.server import FakeCloud
from tests.integration.control_plane import ControlPlane, private_file
from tests.integration.kwok_estate import KwokEstate
from tests.integration.module_process import OURS, call, result_of, start
from tests.unit.fakecloud.accounts import KEY, REGION, a_world

REPOSITORY = Path(__file__).resolve().parents[2]
SYSTEM = "/api/v1/namespaces/kube-system"
SECRET = f"{SYSTEM}/secrets/ack-credentials"
DEPLOYMENT = "/apis/apps/v1/namespaces/kube-system/deployments/ack-cluster-agent"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
NAME = "shenzhen-1"
TOKEN = "planted-security-token-of-the-controller"
WRITES = ("create", "update", "patch", "delete")


class StandIn:
    """The agent's part: as soon as the cluster has its credentials it connects, and holds the connection."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            secret, deployment = self._cluster.get(SECRET), self._cluster.get(DEPLOYMENT)
            if secret and deployment:
                self._connect(secret, deployment)

    def _connect(self, secret: dict[str, Any], deployment: dict[str, Any]) -> None:
        given = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        context = ssl.create_default_context(cadata=given["ca"])
        address = environment["ALI_STUB_REGISTER_ADDR"]
        try:
            with agent.connect(address, environment["KUBERNETES_CLUSTER_ID"], given["token"], context):
                while not self._ended.wait(0.1) and self._cluster.get(SECRET):
                    pass
        except OSError:
            return


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeCloud]:
    both = self_signed(tmp_path)
    with FakeCloud(tmp_path / "cloud", a_world(), agents=(("127.0.0.1", 0), both)) as running:
        # Its certificate names localhost.
        running.cloud.change_world(
            {"agent_address": running.cloud.world.agent_address.replace("127.0.0.1", "localhost")}
        )
        yield running


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes as long as in a cloud."""
    monkeypatch.setattr(registration, "_POLL_SECONDS", 0.1)


@pytest.fixture(scope="module", autouse=True)
def nodes(kwok_plane: ControlPlane) -> None:
    KwokEstate(kwok_plane).add_nodes(2)


@pytest.fixture
def live(kwok_plane: ControlPlane) -> Iterator[Cluster]:
    opened = connect(kwok_plane.kubeconfig)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def clean(live: Cluster, fake: FakeCloud, run: Any) -> Iterator[None]:
    yield
    fake.cloud.faults.clear()
    run(state="absent")


@pytest.fixture
def connected(live: Cluster) -> Iterator[StandIn]:
    stand_in = StandIn(live)
    yield stand_in
    stand_in.end()


@pytest.fixture
def options(fake: FakeCloud, kwok_plane: ControlPlane) -> dict[str, Any]:
    return {
        "kubeconfig": kwok_plane.kubeconfig,
        "estate": NAME,
        "name": NAME,
        "region": REGION,
        "credentials": {"access_key_id": KEY["id"], "access_key_secret": KEY["secret"], "security_token": TOKEN},
        "endpoints": {"cs": fake.endpoint, "scheme": "http"},
        "vpc": "vpc-1",
        "vswitches": ["vsw-node-d"],
        "service_cidr": "10.22.0.0/16",
        "wait": 60,
    }


@pytest.fixture
def run(options: dict[str, Any]) -> Any:
    def with_changes(check: bool = False, diff: bool = False, **changes: Any) -> dict[str, Any]:
        return call(ack_registration, {**options, **changes}, check, diff)

    return with_changes


def made(fake: FakeCloud) -> list[str]:
    """The clusters that were ever registered, by what was billed."""
    return [period.id for period in fake.cloud.periods() if period.kind == "cluster"]


def agents(live: Cluster) -> list[dict[str, Any]]:
    """What there is of the agent in the cluster, in the kinds that its manifest has."""
    kinds = [
        *(f"{SYSTEM}/{kind}" for kind in ("serviceaccounts", "secrets", "configmaps")),
        "/apis/apps/v1/namespaces/kube-system/deployments",
        *(f"/apis/rbac.authorization.k8s.io/v1/{kind}" for kind in ("clusterroles", "clusterrolebindings")),
        *(f"/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/{kind}" for kind in ("roles", "rolebindings")),
    ]
    found = [item for kind in kinds for item in live.list(kind)]
    return [item for item in found if item["metadata"].get("annotations", {}).get("estate.hybridk8s.io/set") == "ack"]


def test_from_nothing_to_running_once_and_back(
    run: Any, fake: FakeCloud, live: Cluster, kwok_plane: ControlPlane, connected: StandIn
) -> None:
    planned = run(check=True, diff=True)
    assert planned["changed"] is True, planned
    assert [step["action"] for step in planned["steps"]] == ["register", "apply"]
    assert made(fake) == []
    assert agents(live) == []

    first = run(diff=True)
    assert first["registration"]["state"] == "running", first
    assert (len(made(fake)), len(agents(live))) == (1, 11)
    assert first["registration"]["id"] == made(fake)[0]
    assert live.get(record.PATH)["data"]["cluster"] == made(fake)[0]
    assert live.get(DEPLOYMENT)["status"]["availableReplicas"] == 2

    mark = kwok_plane.audit_mark()
    again = run(diff=True)
    assert (again["changed"], again["steps"], again["findings"]) == (False, [], [])
    assert again["requests"] == {"DescribeClusterDetail": 1, "DescribeExternalAgent": 1}
    ours = [event for event in kwok_plane.audit(mark) if event.agent.startswith("hybridk8s")]
    assert ours
    assert not [event.uri for event in ours if event.verb in WRITES and "dryRun" not in event.uri]

    planned = run(check=True, state="absent")
    assert planned["changed"] is True
    assert len(agents(live)) == 11
    gone = run(state="absent")
    assert [step["target"] for step in gone["steps"]] == [step["target"] for step in planned["steps"]]
    assert (agents(live), live.get(record.PATH), fake.cloud.clusters) == ([], None, {})
    assert [period for period in fake.cloud.periods() if period.ended is None] == []
    assert run(state="absent")["changed"] is False


def test_secrets_are_in_no_result(run: Any, fake: FakeCloud, live: Cluster, connected: StandIn) -> None:
    said = json.dumps([run(check=True, diff=True), run(diff=True), run(diff=True, agent_mode="admin")])
    token = next(iter(fake.cloud.clusters.values())).agent_token
    stored = live.get(SECRET)["data"]["token"]
    assert base64.b64decode(stored).decode() == token
    for secret in (token, stored, KEY["secret"], TOKEN):
        assert secret not in said


def test_what_the_agent_wrote_and_works_with_stays(
    run: Any, fake: FakeCloud, live: Cluster, connected: StandIn
) -> None:
    run()
    live.merge(f"{SYSTEM}/configmaps/provider", {"data": {"provider": "idc"}})
    cluster = next(iter(fake.cloud.clusters.values()))
    working, cluster.agent_token = cluster.agent_token, "one-that-ack-gives-to-whoever-asks-next"
    again = run()
    assert (again["changed"], again["steps"]) == (False, [])
    assert live.get(f"{SYSTEM}/configmaps/provider")["data"] == {"provider": "idc"}
    assert base64.b64decode(live.get(SECRET)["data"]["token"]).decode() == working


def test_an_administrator_goes_when_the_agent_is_to_be_restricted(run: Any, live: Cluster, connected: StandIn) -> None:
    run(agent_mode="admin")
    binding = f"{BINDINGS}/1000000000000001-cluster-admin-clusterrolebinding"
    assert live.get(binding)["roleRef"]["name"] == "cluster-admin"
    restricted = run(agent_mode="restricted")
    assert [step["action"] for step in restricted["steps"]] == ["delete"]
    assert live.get(binding) is None


def test_registered_applies_nothing(run: Any, fake: FakeCloud, live: Cluster) -> None:
    result = run(state="registered")
    assert (len(made(fake)), agents(live)) == (1, [])
    endpoint = result["registration"]["endpoint"]
    assert (result["registration"]["state"], endpoint["host"]) == ("waiting", "localhost")
    assert "BEGIN CERTIFICATE" in endpoint["authority"]


def test_an_agent_that_does_not_connect_is_told_with_what_to_do(run: Any, fake: FakeCloud) -> None:
    result = run(wait=3)
    assert result["failed"] is True
    assert "is waiting and not running" in result["msg"]
    assert "may not reach ACK at localhost" in result["msg"]
    assert len(made(fake)) == 1


def test_two_controllers_at_once_register_one_cluster(
    options: dict[str, Any], fake: FakeCloud, tmp_path: Path, connected: StandIn
) -> None:
    fake.cloud.faults.add({"action": "cs:CreateCluster", "delay": 1.0, "count": 4})
    fake.cloud.faults.add({"action": "cs:DescribeClustersV1", "delay": 0.5, "count": 4})
    with ThreadPoolExecutor(2) as pool:
        begun = [start(f"{OURS}ack_registration", tmp_path / str(number), **options) for number in range(2)]
        results = list(pool.map(result_of, begun))
    assert [result.get("msg") for result in results] == [None, None]
    assert len({result["registration"]["id"] for result in results}) == 1
    assert len(made(fake)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "cs:CreateCluster", "drop": "after", "count": 1},
        {"action": "cs:CreateCluster", "drop": "before", "count": 1},
        {"action": "cs:CreateCluster", "code": "Throttling.User", "status": 429, "message": "slow", "count": 2},
        {"action": "cs:DescribeClusterDetail", "code": "ServiceUnavailable", "status": 503, "message": "x", "count": 2},
    ],
    ids=["answer lost", "request lost", "throttled", "unavailable"],
)
def test_passing_trouble_is_outlived(run: Any, fake: FakeCloud, connected: StandIn, fault: dict[str, Any]) -> None:
    fake.cloud.faults.add(fault)
    assert run()["registration"]["state"] == "running"
    assert len(made(fake)) == 1


@pytest.mark.parametrize("seconds", [0.35, 0.5, 0.65, 0.8, 1.0, 1.3])
def test_killed_and_run_again_it_is_one_cluster(
    run: Any, options: dict[str, Any], fake: FakeCloud, tmp_path: Path, connected: StandIn, seconds: float
) -> None:
    fake.cloud.faults.add({"action": "cs:CreateCluster", "delay": 0.1, "count": 1})
    begun = start(f"{OURS}ack_registration", tmp_path / "killed", **options)
    time.sleep(seconds)
    begun.send_signal(signal.SIGKILL)
    begun.communicate()
    result = run()
    assert result["registration"]["state"] == "running"
    assert made(fake) == [result["registration"]["id"]]


def test_a_lost_record_is_found_again_by_name_and_tag(run: Any, fake: FakeCloud, live: Cluster) -> None:
    first = run(state="registered")
    live.delete(record.PATH)
    again = run(state="registered")
    assert again["registration"]["id"] == first["registration"]["id"]
    assert live.get(record.PATH)["data"]["cluster"] == first["registration"]["id"]
    assert len(made(fake)) == 1


def test_a_cluster_of_this_name_that_is_another_estate_s_is_left_alone(
    run: Any, fake: FakeCloud, live: Cluster
) -> None:
    theirs = run(state="registered", estate="another")["registration"]["id"]
    live.delete(record.PATH)
    result = run(state="registered")
    assert result["failed"] is True
    assert f"{theirs} is called so and is not of the estate {NAME}" in result["msg"]
    assert "estate_cloud.ack.name" in result["msg"]
    assert made(fake) == [theirs]


def test_a_registration_that_ack_does_not_know_is_not_made_anew(run: Any, fake: FakeCloud) -> None:
    """It may be that of another account, and two clusters would be one too many."""
    first = run(state="registered")["registration"]["id"]
    with fake.cloud.lock:
        fake.cloud.remove(fake.cloud.clusters[first])
    result = run(state="registered")
    assert result["failed"] is True
    assert f"ACK does not know {first}" in result["msg"]
    assert made(fake) == [first]
    assert "failed" not in run(state="absent")
    assert run(state="registered")["registration"]["id"] != first


def test_a_protected_cluster_and_its_agent_stay(run: Any, fake: FakeCloud, live: Cluster, connected: StandIn) -> None:
    identifier = run()["registration"]["id"]
    fake.cloud.clusters[identifier].deletion_protection = True
    result = run(state="absent")
    assert result["failed"] is True
    assert "Switch its protection off" in result["msg"]
    assert len(agents(live)) == 11
    fake.cloud.clusters[identifier].deletion_protection = False


def test_a_removal_that_was_killed_is_finished(
    run: Any, options: dict[str, Any], fake: FakeCloud, live: Cluster, tmp_path: Path, connected: StandIn
) -> None:
    run()
    begun = start(f"{OURS}ack_registration", tmp_path / "killed", **{**options, "state": "absent"})
    while fake.cloud.clusters:
        time.sleep(0.005)
    begun.send_signal(signal.SIGKILL)
    begun.communicate()
    run(state="absent")
    assert (agents(live), live.get(record.PATH), fake.cloud.clusters) == ([], None, {})


def test_a_manifest_that_is_more_than_documented_is_not_applied(run: Any, fake: FakeCloud, live: Cluster) -> None:
    identifier = run(state="registered")["registration"]["id"]
    text = yaml.safe_dump(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "ack-more"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "Group", "name": "system:authenticated"}],
        }
    )
    result = run(manifest=text)
    assert result["failed"] is True
    assert {finding["code"] for finding in result["findings"]} == {"AK504-more-than-documented", "AK506-no-agent"}
    assert agents(live) == []
    broken = run(manifest="token: a-token-that-nobody-sees\n  - [")
    assert "is not YAML" in broken["msg"]
    assert "a-token-that-nobody-sees" not in json.dumps(broken)
    assert made(fake) == [identifier]


def test_permission_is_asked_for_by_name(run: Any, fake: FakeCloud) -> None:
    fake.cloud.faults.add(
        {"action": "cs:CreateCluster", "code": "Forbidden.RAM", "status": 403, "message": "not allowed", "count": 1}
    )
    assert "Grant the RAM user or role the action CreateCluster." in run()["msg"]
    assert made(fake) == []


ESTATE = {
    "estate_name": NAME,
    "estate_networks": {"services": "10.22.0.0/16"},
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
}


@pytest.fixture
def play(fake: FakeCloud, tmp_path: Path, kwok_plane: ControlPlane) -> Any:
    """The playbook's step on two hosts; Ansible's output."""
    kubeconfig = private_file(tmp_path / "admin.conf", kwok_plane.kubeconfig)

    def run_it(*arguments: str, fails: bool = False, **wanted: Any) -> str:
        cloud = {
            "region": REGION,
            "vpc": "vpc-1",
            "node_vswitches": {"cn-shenzhen-d": {"id": "vsw-node-d", "cidr": "172.20.16.0/20"}},
            "credentials": {"access_key_id": KEY["id"], "access_key_secret": KEY["secret"], "security_token": TOKEN},
            "endpoints": {"cs": fake.endpoint, "scheme": "http"},
            "ack": wanted,
        }
        variables = {**ESTATE, "estate_cloud": cloud, "estate_kubeconfig": str(kubeconfig)}
        hosts = {"kubernetes": {"children": {"control_plane": {"hosts": {"cp1": {}, "w1": {}}}}}}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"vars": variables, "children": hosts}}))
        command = ["-i", str(tmp_path / "hosts.yml"), "playbooks/steps/ack.yml", *arguments]
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), *command],
            cwd=REPOSITORY,
            env={**os.environ, "ANSIBLE_CONFIG": "ansible.cfg", "no_proxy": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run_it


def test_the_playbook_registers_once_and_shows_no_secret(
    play: Any, fake: FakeCloud, live: Cluster, kwok_plane: ControlPlane, connected: StandIn
) -> None:
    said = play("--check", "--diff", "-vvv")
    assert made(fake) == []
    said += play("--diff", "-vvv")
    assert "TLSv1.3" in said, "each host has seen the endpoint"
    again = play("--diff", "-vvv")
    assert "changed=0" in again
    assert "changed=1" not in again
    said += again + play("--diff", "-vvv", state="absent")
    assert fake.cloud.clusters == {}
    admin = kwok_plane.kubeconfig["users"][0]["user"]["client-key-data"]
    for secret in (KEY["secret"], TOKEN, admin):
        assert secret not in said


def test_without_a_way_to_the_endpoint_nothing_is_applied(play: Any, fake: FakeCloud, live: Cluster) -> None:
    fake.cloud.change_world({"agent_address": "localhost:9"})
    said = play(fails=True)
    assert "TL601-unreachable" in said
    assert "Have TCP port 9 opened" in said
    assert agents(live) == []


def test_an_endpoint_that_is_not_the_one_it_should_be_stops_it(play: Any, fake: FakeCloud, live: Cluster) -> None:
    fake.cloud.change_world({"agent_authority": ""})
    assert "TL603-unverified" in play(fails=True)
    assert agents(live) == []
