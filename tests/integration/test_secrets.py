"""Planted secrets, searched in all that talkative runs against the simulated cloud and a real API server leave.

The lab's flow cloud_secrets does the same with whole playbooks and real hosts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, connect
from ansible_collections.hybridk8s.estate.plugins.modules import manifest

from tests.fakecloud import world
from tests.fakecloud.certificates import self_signed
from tests.fakecloud.server import FakeCloud
from tests.flows import secrets
from tests.flows.estates import looked_up
from tests.flows.secrets import KEY, PLANTED
from tests.integration.control_plane import ControlPlane, private_file
from tests.integration.kwok_estate import KwokEstate
from tests.integration.module_process import call
from tests.integration.test_ack_registration import StandIn
from tests.lab.build import ensure_component
from tests.lab.inventory import parse
from tests.lab.offers import ACCOUNT, world_of
from tests.unit.fakecloud.accounts import AT_ONCE

REPOSITORY = Path(__file__).resolve().parents[2]
HYBRID = REPOSITORY / "inventories" / "lab_hybrid"
PLAY = """
- hosts: kubernetes
  gather_facts: true
  tasks:
    - ansible.builtin.include_role: {name: hybridk8s.estate.terway, tasks_from: vpc}
      run_once: true
    - ansible.builtin.include_role: {name: hybridk8s.estate.cloud_vms}
      run_once: true
    - ansible.builtin.include_role: {name: hybridk8s.estate.ack_registration}
    - ansible.builtin.include_role: {name: hybridk8s.estate.bgp}
      when: peers | default(false)
    - ansible.builtin.debug: {var: cloud_vms_result}
    - ansible.builtin.debug: {var: ack_registration_result}
"""


@dataclass
class Site:
    """A controller with everything that it keeps, and the secrets that its runs have to do with."""

    root: Path
    secrets: dict[str, str]
    inventory: Path
    output: str = ""

    @property
    def kept(self) -> Path:
        return self.root / "kept"

    def play(self, *options: str) -> None:
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.kept / "facts"),
            "ANSIBLE_LOCAL_TEMP": str(self.kept / "local"),
            "ANSIBLE_REMOTE_TMP": str(self.kept / "remote"),
            "ANSIBLE_LOG_PATH": str(self.kept / "ansible.log"),
            "TMPDIR": str(self.kept / "tmp"),
            "no_proxy": "127.0.0.1",
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        command = [program, "-i", str(self.inventory), "-vvv", "--diff", *options, str(self.root / "play.yml")]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        self.output += done.stdout + done.stderr
        assert done.returncode == 0, done.stdout + done.stderr


def token_of(cluster: Cluster) -> str:
    """A token of an account that may do everything."""
    accounts = "/api/v1/namespaces/kube-system/serviceaccounts"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "planted"}}
    cluster.create(accounts, account)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "planted"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "planted", "namespace": "kube-system"}],
    }
    cluster.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(cluster.create(f"{accounts}/planted/token", asked)["status"]["token"])


@pytest.fixture
def live(kwok_plane: ControlPlane) -> Iterator[Cluster]:
    opened = connect(kwok_plane.kubeconfig)
    yield opened
    opened.close()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeCloud]:
    """The cloud that the lab's hybrid inventory wants, which knows the planted key."""
    variables = yaml.safe_load((HYBRID / "group_vars" / "all" / "estate.yml").read_text())
    offered = world_of(parse({"_meta": {"hostvars": {"cp1": variables}}, "all": {"hosts": ["cp1"]}}))
    key = {"id": KEY, "secret": PLANTED["access key secret"], "account": ACCOUNT}
    known = world.parse({**offered, "keys": [key], "timings": AT_ONCE})
    agents = (("127.0.0.1", 0), self_signed(tmp_path, "IP:127.0.0.1"))
    with FakeCloud(tmp_path / "cloud", known, agents=agents) as running:
        yield running


@pytest.fixture
def site(fake: FakeCloud, live: Cluster, kwok_plane: ControlPlane, tmp_path: Path) -> Site:
    root = tmp_path / "site"
    for name in ("facts", "local", "remote", "tmp"):
        (root / "kept" / name).mkdir(parents=True)
    known = {**PLANTED, "token of the kubeconfig": token_of(live)}
    admin = json.loads(json.dumps(kwok_plane.kubeconfig))
    admin["users"][0]["user"] = {"token": known["token of the kubeconfig"]}
    kubeconfig = private_file(root / "token.conf", admin)
    call(manifest, {"kubeconfig": kwok_plane.kubeconfig, "src": str(calico()), "set": "calico"})

    inventory = root / "inventory"
    shutil.copytree(HYBRID, inventory, ignore=shutil.ignore_patterns("*.ecs.yml", "cloud_vms"))
    estate = inventory / "group_vars" / "all" / "estate.yml"
    variables = yaml.safe_load(estate.read_text())
    variables["estate_cloud"] |= {
        "credentials": {
            "access_key_id": KEY,
            "access_key_secret": looked_up(PLANTED["access key secret"], root),
            "security_token": looked_up(PLANTED["security token"], root),
        },
        "endpoints": {**dict.fromkeys(("ecs", "vpc", "cs"), fake.endpoint), "scheme": "http"},
        "ack": {},
    }
    variables["estate_bgp"]["password"] = looked_up(PLANTED["BGP password"], root)
    variables |= {
        "estate_kubeconfig": str(kubeconfig),
        "ansible_connection": "local",
        "ansible_user": None,
        "ansible_python_interpreter": sys.executable,
    }
    (inventory / "group_vars" / "all" / "connection.yml").unlink()
    estate.write_text(yaml.safe_dump(variables))
    (root / "play.yml").write_text(PLAY)
    return Site(root, known, inventory)


def calico() -> Path:
    return ensure_component("calico") / "share/manifests/calico.yaml"


def test_secrets_are_in_no_output_argument_or_file(
    site: Site, fake: FakeCloud, live: Cluster, kwok_plane: ControlPlane
) -> None:
    KwokEstate(kwok_plane).add_nodes(2)
    stand_in = StandIn(live)
    try:
        with secrets.Arguments(site.secrets) as watch:
            site.play("--check", "-e", '{"peers": true}')
            site.play()
            site.play("-e", '{"estate_cloud_pools": {}}')
    finally:
        stand_in.end()
    (cluster,) = fake.cloud.clusters.values()
    assert cluster.state in ("running", "waiting")
    known = {**site.secrets, "token of the agent": cluster.agent_token}
    key = kwok_plane.kubeconfig["users"][0]["user"]["client-key-data"]
    assert len(fake.cloud.instances) == 2
    assert "cloud_vms_result" in site.output
    assert watch.looks > 20
    assert watch.found == set()
    assert secrets.in_text(site.output, {**known, "key of the administrator": key}) == set()
    assert list((site.kept / "facts").iterdir())
    assert secrets.in_tree(site.kept, known) == {}


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """Each way of finding a secret, tried on one that is there."""
    (tmp_path / "log").write_text("password=planted-1\n")
    (tmp_path / "secret.json").write_text('{"data": "cGxhbnRlZC0x"}')
    (tmp_path / "other").write_text("nothing")
    planted = {"one": "planted-1", "two": "planted-2"}
    found = secrets.in_tree(tmp_path, planted)
    assert {Path(path).name: names for path, names in found.items()} == {"log": {"one"}, "secret.json": {"one"}}
    assert secrets.strangers(found, {"one": (".*/log",)}) == {str(tmp_path / "secret.json"): {"one"}}
    with secrets.Arguments(planted) as watch:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(1)", "planted-2"], check=True)
    assert {name for name, _program in watch.found} == {"two"}
