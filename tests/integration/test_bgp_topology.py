# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calico's objects, and the passwords' Secret with its rights, in a real API server with Calico's definitions.

No Calico runs: its nodes' reports are written by hand and say that every session is up.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import as_dict, passwords_of, topology_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import NODE_CLASS_LABEL, RACK_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, connect
from ansible_collections.hybridk8s.estate.plugins.modules import bgp_info, bgp_topology

from tests.integration.conftest import Call
from tests.integration.control_plane import ControlPlane, private_file
from tests.lab.build import ensure_component
from tests.unit.plugins.module_utils.estates import two_racks

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "lab-bgp-passwords"
PASSWORD = "hunter2-hunter2"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
CALICO_NODE = "system:serviceaccount:kube-system:calico-node"


def estate(password: str) -> model.Estate:
    plain = two_racks()
    assert plain.bgp is not None
    bgp = replace(
        plain.bgp,
        password=password,
        timers=model.Timers(keepalive=5, hold=15),
        services=model.Services(cluster_ips=True),
    )
    return replace(plain, bgp=bgp)


@functools.cache
def manifest_of_calico() -> list[dict[str, Any]]:
    manifest = ensure_component("calico") / "share/manifests/calico.yaml"
    return [found for found in yaml.load_all(manifest.read_text(encoding="utf-8"), yaml.CSafeLoader) if found]


def definitions(mode: objects.Mode) -> Iterator[dict[str, Any]]:
    """The definitions of Calico's manifest; those of the native kind have the same fields."""
    for found in copy.deepcopy(manifest_of_calico()):
        if found["kind"] != "CustomResourceDefinition":
            continue
        plural = found["spec"]["names"]["plural"]
        if mode is objects.Mode.NATIVE and plural in objects.CALICO_KINDS:
            group, version = objects.V3_API.split("/")
            found["metadata"]["name"] = f"{plural}.{group}"
            found["spec"]["group"] = group
            found["spec"]["versions"][0]["name"] = version
        yield found


@pytest.fixture(scope="module", params=[objects.Mode.CLASSIC, objects.Mode.NATIVE], ids=["classic", "native"])
def calico(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster of five nodes with Calico's definitions."""
    with ControlPlane(tmp_path_factory.mktemp("calico"), audit=True) as running:
        api = connect(running.kubeconfig)
        for definition in definitions(request.param):
            api.create(objects.DEFINITIONS_PATH, definition)
        _await(api, objects.Calico(request.param))
        paths = []
        for speaker in topology_of(estate("")).speakers:
            metadata = {
                "name": speaker.name,
                "labels": {RACK_LABEL: speaker.rack, NODE_CLASS_LABEL: model.BARE_METAL},
                "annotations": {"projectcalico.org/IPv4Address": f"{speaker.address}/24"},
            }
            api.create("/api/v1/nodes", {"metadata": metadata})
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            api.merge(f"/api/v1/nodes/{speaker.name}/status", {"status": ready})
            paths.append(_report(api, objects.Calico(request.param), speaker.name))
        with _reporting(api, paths):
            yield running
        api.close()


@contextmanager
def _reporting(api: Cluster, paths: list[str]) -> Iterator[None]:
    """Reports are given again and again, as gates take no old ones."""
    over = threading.Event()

    def report() -> None:
        while not over.wait(0.5):
            now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}"
            for path in paths:
                api.merge(path, {"status": {"lastUpdated": now}})

    thread = threading.Thread(target=report)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def peers(request: pytest.FixtureRequest, calico: ControlPlane) -> str:
    """Where BGPPeers are."""
    mode: objects.Mode = request.node.callspec.params["calico"]
    return objects.path_of(objects.PEERS, calico=objects.Calico(mode))


def _await(api: Cluster, calico: objects.Calico) -> None:
    """Until the API server serves every kind."""
    for resource in objects.CALICO_KINDS:
        for _attempt in range(200):
            if api.request("GET", objects.path_of(resource, calico=calico), allow=(404,)).status == 200:
                break


def _report(api: Cluster, calico: objects.Calico, name: str) -> str:
    """What calico-node says of sessions: all are up. Gives the path of its report."""
    addresses = [str(speaker.address) for speaker in topology_of(estate("")).speakers] + ["10.20.1.1", "10.20.2.1"]
    peers = [
        {"peerIP": address, "type": "NodePeer", "state": "Established", "since": "10:00:00"} for address in addresses
    ]
    numbers = [f"number{state}{family}" for state in ("Established", "NotEstablished") for family in ("V4", "V6")]
    status = {"lastUpdated": "2026-11-23T05:00:00Z", "bgp": {**dict.fromkeys(numbers, 0), "peersV4": peers}}
    body = {
        "apiVersion": calico.mode.api_version,
        "kind": "CalicoNodeStatus",
        "metadata": {"name": name},
        "spec": {"node": name, "classes": ["BGP"], "updatePeriodSeconds": 10},
        "status": status,
    }
    api.create(objects.path_of(objects.STATUSES, calico=calico), body)
    return objects.path_of(objects.STATUSES, name, calico)


@pytest.fixture
def api(calico: ControlPlane) -> Iterator[Cluster]:
    opened = connect(calico.kubeconfig)
    yield opened
    opened.close()


@pytest.fixture
def keep(calico: ControlPlane, run_module: Call) -> Call:
    """Run the module for the estate with this password; the result must not hold it."""

    def call(password: str, module: Any = bgp_topology, **params: Any) -> dict[str, Any]:
        sample = estate(password)
        options = {
            "kubeconfig": calico.kubeconfig,
            "topology": as_dict(topology_of(sample)),
            "passwords": passwords_of(sample),
        }
        timeouts = {"gate_timeout": 5, "report_timeout": 1} if module is bgp_topology else {}
        result = run_module(module, **{**options, **timeouts, "diff": module is bgp_topology, **params})
        assert PASSWORD not in json.dumps(result)
        return result

    return call


def changes(calico: ControlPlane, since: int) -> list[str]:
    return [
        f"{event.verb} {event.resource}"
        for event in calico.audit(since)
        if event.verb in ("create", "patch", "delete") and event.resource not in ("nodes", objects.STATUSES)
    ]


def answer(calico: ControlPlane, name: str = "", **query: str) -> int:
    """The HTTP status when calico-node asks for secrets; confd asks for a list of one name, and watches it."""
    reader = connect(calico.kubeconfig_for(CALICO_NODE))
    response = reader.request("GET", f"{SECRETS}/{name}" if name else SECRETS, query=query, allow=(403, 404))
    reader.close()
    return response.status


def test_passwords_come_before_the_peers_and_go_after_them(
    calico: ControlPlane, api: Cluster, peers: str, keep: Call
) -> None:
    refused = keep(PASSWORD, kubeconfig=_operator_without_secrets(calico, api))
    assert refused["failed"] is True
    assert "secrets" in refused["msg"]
    assert api.list(peers) == []

    mark = calico.audit_mark()
    done = keep(PASSWORD)
    assert done.get("msg", "") == ""
    written = changes(calico, mark)
    for access in ("create secrets", "create roles", "create rolebindings"):
        assert written.index(access) < written.index("create bgppeers")
    assert written.count("create bgppeers") == 4
    stored = api.get(f"{SECRETS}/{NAME}")
    assert stored is not None
    assert {key: b64decode(value).decode() for key, value in stored["data"].items()} == {
        "r1-tor1": PASSWORD,
        "r2-tor2": PASSWORD,
    }
    for check in (True, False):
        again = keep(PASSWORD, check=check)
        assert (again["changed"], again["steps"]) == (False, [])
    assert keep(PASSWORD, bgp_info)["steps"] == []
    peer = api.get(f"{peers}/lab-r1-tor1")
    assert peer is not None
    assert peer["spec"]["password"] == {"secretKeyRef": {"name": NAME, "key": "r1-tor1"}}
    # This Calico's schema has no such field, so the API server would drop it without a word.
    assert "keepaliveTime" not in peer["spec"]

    only = f"metadata.name={NAME}"
    assert answer(calico, fieldSelector=only) == answer(calico, NAME) == 200
    assert answer(calico, fieldSelector=only, watch="true", timeoutSeconds="1") == 200
    assert answer(calico) == answer(calico, "another") == answer(calico, fieldSelector="metadata.name=another") == 403

    mark = calico.audit_mark()
    assert keep("")["changed"] is True
    assert changes(calico, mark) == [
        "patch bgppeers",
        "patch bgppeers",
        "delete rolebindings",
        "delete roles",
        "delete secrets",
    ]
    assert keep("")["changed"] is False


def _operator_without_secrets(calico: ControlPlane, api: Cluster) -> dict[str, object]:
    """Somebody who may do everything but write secrets."""
    rules = [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]},
        {
            "apiGroups": ["crd.projectcalico.org", "projectcalico.org", "rbac.authorization.k8s.io"],
            "resources": ["*"],
            "verbs": ["*"],
        },
    ]
    rbac = f"/apis/{objects.RBAC}"
    head = {"apiVersion": objects.RBAC, "metadata": {"name": "no-secrets"}}
    if api.get(f"{rbac}/clusterroles/no-secrets") is None:
        api.create(f"{rbac}/clusterroles", {**head, "kind": "ClusterRole", "rules": rules})
        binding = {
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "no-secrets"},
            "subjects": [{"kind": "User", "name": "operator"}],
        }
        api.create(f"{rbac}/clusterrolebindings", {**head, **binding})
    return calico.kubeconfig_for("operator")


PLAY = """
- hosts: kubernetes
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: hybridk8s.estate.bgp
      run_once: true
"""


def test_no_output_of_a_play_holds_a_password(calico: ControlPlane, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    shutil.copytree(REPOSITORY / "inventories/lab", inventory)
    all_of_it = inventory / "group_vars/all/estate.yml"
    text = all_of_it.read_text(encoding="utf-8").replace("  as: 64512\n", f"  as: 64512\n  password: {PASSWORD}\n")
    all_of_it.write_text(text, encoding="utf-8")
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    kubeconfig = private_file(tmp_path / "admin.conf", calico.kubeconfig)
    run = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", str(inventory), "-e", f"estate_kubeconfig={kubeconfig}", "-vvvv", "--check", "--diff"),
            str(tmp_path / "play.yml"),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    assert PASSWORD not in output
    assert b64encode(PASSWORD.encode()).decode() not in output
    assert f"create Secret/{NAME}" in output
    assert "wait for all-sessions" in output
    assert "; traffic: none: it waits, and takes nothing away" in output


@pytest.fixture
def confd(calico: ControlPlane, api: Cluster, tmp_path: Path) -> Callable[[str], str]:
    """What the real confd makes of the cluster for a node, with the rights that Calico's manifest gives calico-node."""
    component = ensure_component("calico")
    for found in manifest_of_calico():
        if found["kind"] in ("ClusterRole", "ClusterRoleBinding") and found["metadata"]["name"] == "calico-node":
            path = f"/apis/{objects.RBAC}/{found['kind'].lower()}s"
            if api.get(f"{path}/calico-node") is None:
                api.create(path, found)
    kubeconfig = private_file(tmp_path / "calico-node.conf", calico.kubeconfig_for(CALICO_NODE))
    directory = tmp_path / "confd"
    shutil.copytree(component / "share/confd/etc/calico/confd", directory)
    (directory / "config").mkdir(exist_ok=True)
    for template in (directory / "conf.d").iterdir():
        lines = template.read_text(encoding="utf-8").replace("/etc/calico/confd", str(directory)).splitlines()
        kept = [line for line in lines if not line.startswith(("check_cmd", "reload_cmd"))]
        template.write_text("\n".join(kept), encoding="utf-8")

    def render(node: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "DATASTORE_TYPE": "kubernetes",
            "KUBECONFIG": str(kubeconfig),
            "NODENAME": node,
            "CALICO_NETWORKING_BACKEND": "bird",
        }
        command = [component / "bin/calico-node", "-confd", "-confd-run-once", "-confd-confdir", directory]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        return (directory / "config/bird.cfg").read_text(encoding="utf-8")

    return render


# This Calico reads the classic group only.
@pytest.mark.parametrize("calico", [objects.Mode.CLASSIC], ids=["classic"], indirect=True)
def test_calico_itself_finds_the_password_by_our_objects_and_not_without_the_role(
    api: Cluster, keep: Call, confd: Callable[[str], str]
) -> None:
    assert "failed" not in keep(PASSWORD)
    assert session(confd("w1"), "10.20.1.1").count(f'password "{PASSWORD}";') == 1
    assert "password" not in session(confd("w1"), "10.20.2.21")
    api.delete(f"/apis/{objects.RBAC}/namespaces/kube-system/roles/{NAME}")
    assert "password" not in session(confd("w1"), "10.20.1.1")
    assert [step["target"] for step in keep(PASSWORD)["steps"]] == [f"Role/{NAME}"]
    assert "password" in session(confd("w1"), "10.20.1.1")


def session(configuration: str, peer: str) -> str:
    """The protocol of a session in BIRD's configuration."""
    return next(part for part in configuration.split("\nprotocol ") if f"neighbor {peer} as" in part)
