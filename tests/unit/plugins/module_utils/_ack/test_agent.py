# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import copy
from dataclasses import replace
from typing import Any

import pytest
import yaml
from ansible_collections.hybridk8s.estate.plugins.module_utils._ack.agent import (
    Endpoint,
    endpoint,
    is_trusted,
    judge,
    secrets,
    settled,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._ack.service import Wanted

from tests.fakecloud import cs, world
from tests.fakecloud.model import Cluster

ACCOUNT = "1000000000000001"
CLUSTER = Cluster("c1", 1, ACCOUNT, "cn-shenzhen", 0.0, name="shenzhen-1", agent_token="a-token-of-the-agent")
RESTRICTED = Wanted("lab", "shenzhen-1", "vpc-1", ("vsw-1",))
ADMIN = replace(RESTRICTED, agent_mode="admin")
RBAC = "rbac.authorization.k8s.io"
MORE = "AK504-more-than-documented"
TAKES = "AK505-more-than-a-connection"


def manifest(wanted: Wanted = RESTRICTED) -> list[Any]:
    restricted = wanted.agent_mode == "restricted"
    known = world.parse({"agent_address": "10.98.0.100:5533", "agent_authority": "-----BEGIN CERTIFICATE-----"})
    text = cs.agent_manifest(CLUSTER, known, restricted=restricted, internal=wanted.private)
    return list(yaml.safe_load_all(text))


def codes(documents: list[Any], wanted: Wanted = RESTRICTED, registries: tuple[str, ...] = ()) -> list[str]:
    return [finding.code for finding in judge(documents, wanted, "c1", registries)]


def with_document(**changes: Any) -> list[Any]:
    """The good manifest and one document more: a role of the agent's with changes."""
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "ack-more"}, "rules": []}
    return [*manifest(), {**role, **changes}]


def with_rule(**rule: Any) -> list[Any]:
    return with_document(rules=[{"apiGroups": [""], **rule}])


def binding(role: str, **subject: Any) -> list[Any]:
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    return with_document(kind="ClusterRoleBinding", roleRef=reference, subjects=[subject])


def with_pod(**changes: Any) -> list[Any]:
    documents = manifest()
    documents[-1]["spec"]["template"]["spec"].update(changes)
    return documents


def with_container(**changes: Any) -> list[Any]:
    documents = manifest()
    documents[-1]["spec"]["template"]["spec"]["containers"][0].update(changes)
    return documents


def with_environment(name: str, value: str) -> list[Any]:
    documents = manifest()
    for entry in documents[-1]["spec"]["template"]["spec"]["containers"][0]["env"]:
        if entry["name"] == name:
            entry["value"] = value
    return documents


def ours(kind: str, name: str = "ack", namespace: str = "kube-system") -> dict[str, str]:
    return {"kind": kind, "name": name, "namespace": namespace}


@pytest.mark.parametrize("wanted", [RESTRICTED, ADMIN, replace(RESTRICTED, private=False)])
def test_what_ack_documents_is_in_order(wanted: Wanted) -> None:
    assert codes(manifest(wanted), wanted) == []


def test_an_administrator_is_not_wanted_in_restricted_mode() -> None:
    assert codes(manifest(ADMIN), RESTRICTED) == [MORE, MORE], "its right, and the user that has it"


@pytest.mark.parametrize(
    ("documents", "code"),
    [
        (with_document(apiVersion="apps/v1", kind="DaemonSet"), "AK501-unexpected-kind"),
        (with_document(apiVersion="v1", kind="Pod"), "AK501-unexpected-kind"),
        (
            with_document(apiVersion="admissionregistration.k8s.io/v1", kind="MutatingWebhookConfiguration"),
            "AK501-unexpected-kind",
        ),
        (with_document(apiVersion="v2", kind="ConfigMap"), "AK501-unexpected-kind"),
        (
            with_document(apiVersion="v1", kind="ConfigMap", metadata={"name": "ack-a", "namespace": "default"}),
            "AK502-other-namespace",
        ),
        (with_document(apiVersion="v1", kind="Secret", metadata={"name": "kubeadm-certs"}), "AK510-other-name"),
        (with_document(apiVersion="v1", kind="ConfigMap", metadata={"name": "coredns"}), "AK510-other-name"),
        (with_document(metadata={"name": "cluster-admin"}), "AK510-other-name"),
        (with_document(apiVersion="v1", kind="ServiceAccount", metadata={"name": "default"}), "AK510-other-name"),
        (with_document(apiVersion="v1", kind="ServiceAccount", metadata={"name": "ack-2"}), "AK510-other-name"),
        (with_rule(resources=["*"], verbs=["*"]), MORE),
        (with_rule(apiGroups=["metrics.k8s.io"], resources=["nodes"], verbs=["list"]), MORE),
        (with_rule(resources=["nodes"], nonResourceURLs=["/debug/*"], verbs=["get"]), MORE),
        (with_rule(resources=["secrets"], verbs=["get"]), MORE),
        (with_rule(resources=["configmaps"], verbs=["get"]), MORE),
        (with_rule(resources=["configmaps"], verbs=["get"], resourceNames=["kubeadm-config"]), MORE),
        (with_rule(resources=["configmaps"], verbs=["delete"], resourceNames=["provider"]), MORE),
        (with_rule(resources=["nodes"], verbs=["patch"]), MORE),
        (with_rule(resources=["nodes", "pods"], verbs=["list"]), MORE),
        (with_rule(resources=["users"], verbs=["impersonate"]), MORE),
        (with_rule(resources=["users"], verbs=["impersonate"], resourceNames=["system:admin"]), MORE),
        (with_rule(resources=["groups"], verbs=["impersonate"], resourceNames=["1"]), MORE),
        (with_document(rules=[{"nonResourceURLs": ["*"], "verbs": ["get"]}]), MORE),
        (binding("ack-connector-default", **ours("ServiceAccount", "default")), MORE),
        (binding("ack-connector-default", **ours("ServiceAccount", namespace="default")), MORE),
        (binding("ack-connector-default", kind="Group", name="system:authenticated"), MORE),
        (binding("ack-connector-default", kind="User", name=ACCOUNT), MORE),
        (binding("cluster-admin", **ours("ServiceAccount")), MORE),
        (binding("view", **ours("ServiceAccount")), MORE),
        (with_pod(serviceAccountName="clusterrole-aggregation-controller"), MORE),
        (with_pod(serviceAccountName=None), MORE),
        (with_container(image="acs/ack-cluster-agent:v1"), "AK503-image-of-another-registry"),
        (with_container(image=None), "AK503-image-of-another-registry"),
        (with_pod(initContainers=[{"name": "a", "image": "busybox"}]), "AK503-image-of-another-registry"),
        (with_pod(hostNetwork=True), TAKES),
        (with_pod(hostPID=True), TAKES),
        (with_container(securityContext={"privileged": True}), TAKES),
        (with_container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}), TAKES),
        (with_pod(volumes=[{"name": "a", "hostPath": {"path": "/"}}]), TAKES),
        (with_pod(volumes=[{"name": "a", "secret": {"secretName": "kubeadm-certs"}}]), TAKES),
        (with_pod(volumes=[{"name": "a", "projected": {"sources": [{"secret": {"name": "other"}}]}}]), TAKES),
        (with_pod(volumes=[{"name": "a", "csi": {"driver": "x"}}]), TAKES),
        (with_container(envFrom=[{"secretRef": {"name": "kubeadm-certs"}}]), TAKES),
        (manifest()[:-1], "AK506-no-agent"),
        (with_environment("ALI_STUB_REGISTER_ADDR", "nowhere"), "AK506-no-agent"),
        (with_environment("KUBERNETES_CLUSTER_ID", "c2"), "AK507-other-cluster"),
        (with_environment("INTERNAL_ENDPOINT", "false"), "AK508-other-way"),
        (
            with_document(
                apiVersion="v1", kind="Secret", metadata={"name": "ack-more"}, stringData={"url": "http://10.98.0.100"}
            ),
            "AK509-unencrypted",
        ),
    ],
)
def test_anything_else_is_found(documents: list[Any], code: str) -> None:
    assert codes(documents) == [code]


def test_a_secret_in_the_environment_that_is_not_the_agent_s_is_found() -> None:
    documents = manifest()
    environment = documents[-1]["spec"]["template"]["spec"]["containers"][0]["env"]
    environment.append({"name": "A", "valueFrom": {"secretKeyRef": {"name": "ack-credentials", "key": "token"}}})
    assert codes(documents) == []
    environment.append({"name": "B", "valueFrom": {"secretKeyRef": {"name": "another", "key": "token"}}})
    assert codes(documents) == [TAKES]


def test_rights_of_others_are_found_in_admin_mode_too() -> None:
    stranger = binding("cluster-admin", kind="User", name="1000000000000002")
    assert codes([*manifest(ADMIN), stranger[-1]], ADMIN) == [MORE]
    acting = with_rule(resources=["users"], verbs=["impersonate"], resourceNames=["system:admin"])
    known = binding("cluster-admin", kind="User", name="system:admin")
    assert codes([*manifest(ADMIN), acting[-1], known[-1]], ADMIN) == [MORE]
    assert codes([*manifest(ADMIN), binding("cluster-admin", **ours("ServiceAccount"))[-1]], ADMIN) == []


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("registry-cn-shenzhen-vpc.ack.aliyuncs.com/acs/ack-cluster-agent:v1.13.1.105", True),
        ("registry-cn-hangzhou.ack.aliyuncs.com/acs/terway:v1", True),
        ("registry.cn-hangzhou.aliyuncs.com/acs/ack-cluster-agent:v1", True),
        ("registry-vpc.cn-shenzhen.aliyuncs.com/acs/ack-cluster-agent@sha256:00", True),
        ("registry.cn-hangzhou.aliyuncs.com/somebody/ack-cluster-agent:v1", False),
        ("somebody-registry.cn-hangzhou.cr.aliyuncs.com/acs/ack-cluster-agent:v1", False),
        ("registry-somebody.cn-hangzhou.cr.aliyuncs.com/acs/ack-cluster-agent:v1", False),
        ("registry.cn-hangzhou.aliyuncs.com.example/acs/ack-cluster-agent:v1", False),
        ("registryXcn-hangzhou.aliyuncs.com/acs/ack-cluster-agent:v1", False),
        ("docker.io/acs/ack-cluster-agent:v1", False),
        ("mirror.example/acs/ack-cluster-agent:v1", False),
    ],
)
def test_images_of_ack_are_told_from_those_of_its_customers(image: str, expected: bool) -> None:
    assert is_trusted(image) is expected
    assert is_trusted("mirror.example/acs/ack-cluster-agent:v1", ("mirror.example/acs/",))


def test_the_endpoint_and_its_authority_are_read() -> None:
    assert endpoint(manifest()) == Endpoint("10.98.0.100", 5533, "-----BEGIN CERTIFICATE-----")
    assert endpoint([]) is None


def test_secrets_are_known_as_they_stand_and_decoded() -> None:
    encoded = base64.b64encode(b"a-token-of-the-agent").decode()
    assert secrets(manifest()) == {"a-token-of-the-agent", encoded}
    text = {"kind": "Secret", "stringData": {"token": "a-token-of-the-agent", "url": "https://10.98.0.100", "n": "1"}}
    assert secrets([text]) == {"a-token-of-the-agent", encoded}


def live(data: dict[str, str], *owned: str) -> dict[str, Any]:
    fields = {"f:data": {f"f:{key}": {} for key in owned}}
    entry = {"manager": "hybridk8s.estate", "operation": "Apply", "fieldsV1": fields}
    return {"metadata": {"name": "a", "managedFields": [entry]}, "data": data}


def of(kind: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "data": data}


def test_what_others_wrote_is_neither_replaced_nor_claimed() -> None:
    document = of("ConfigMap", provider="", new="x")
    assert settled(document, None, False) == document
    assert settled(document, live({"provider": "idc"}, "provider"), False)["data"] == {"provider": "idc", "new": "x"}
    assert settled(document, live({"provider": "idc"}), False)["data"] == {"new": "x"}
    assert "data" not in settled(of("ConfigMap", provider=""), live({"provider": "idc"}), False)


def test_credentials_are_replaced_until_they_work() -> None:
    document, there = of("Secret", token="bmV3"), live({"token": "b2xk"}, "token")
    assert settled(document, there, False)["data"] == {"token": "bmV3"}
    assert settled(document, there, True)["data"] == {"token": "b2xk"}


def test_text_of_a_secret_is_encoded_as_it_is_kept() -> None:
    document = {**of("Secret", a="YQ=="), "stringData": {"token": "new"}}
    before = copy.deepcopy(document)
    assert settled(document, None, True) == of("Secret", a="YQ==", token="bmV3")
    assert document == before
