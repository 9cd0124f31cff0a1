# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._manifest import overlaid, select
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.chart import (
    CRD,
    Rendering,
    Settings,
    TerwayError,
    rendering_of,
)

from tests.unit.plugins.module_utils._estate.cloud_cases import CLOUD, ZONE_E
from tests.unit.plugins.module_utils._estate.samples import GONE, Edits, estate

SETTINGS: dict[str, Any] = {"version": "1.17.5", "image": "r/terway", "control_plane_image": "r/controlplane"}


def rendered(edits: Edits | None = None, **settings: Any) -> Rendering:
    return rendering_of(estate(edits or {}), Settings(**{**SETTINGS, **settings}))


def overlay(found: Rendering, kind: str) -> dict[str, Any]:
    (entry,) = (entry for entry in found.overlays if entry["kind"] == kind)
    whole: dict[str, Any] = entry["overlay"]
    return whole


def eni_conf(found: Rendering) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(overlay(found, "ConfigMap")["data"]["eni_conf"])
    return read


def daemon(found: Rendering) -> dict[str, Any]:
    pod: dict[str, Any] = overlay(found, "DaemonSet")["spec"]["template"]
    return pod


def test_every_zone_has_its_pod_vswitch() -> None:
    assert eni_conf(rendered(ZONE_E))["vswitches"] == {"cn-shenzhen-d": ["vsw-p1"], "cn-shenzhen-e": ["vsw-p2"]}
    assert rendered(ZONE_E).values["terway"]["vSwitchIDs"] == eni_conf(rendered(ZONE_E))["vswitches"]


def test_interfaces_are_tagged_whatever_else_is_configured() -> None:
    given = {"eni_tags": {"team": "a", "estate.hybridk8s.io/estate": "other"}, "max_pool_size": 2}
    found = eni_conf(rendered(eni_conf=given))
    assert found["eni_tags"] == {"team": "a", "estate.hybridk8s.io/estate": "sample"}
    assert found["max_pool_size"] == 2


def test_no_access_key_goes_into_the_cluster() -> None:
    credentials = {"access_key_id": "AKPLANTED", "access_key_secret": "planted-secret"}
    found = rendered({(*CLOUD, "credentials"): credentials}, ipam=CRD)
    assert "planted" not in json.dumps(found.as_dict()).lower()


def test_another_configuration_is_another_annotation() -> None:
    one, same, other = rendered(), rendered(), rendered(eni_conf={"max_eni": 1})
    assert daemon(one)["metadata"] == daemon(same)["metadata"] != daemon(other)["metadata"]


def test_endpoints_are_given_only_where_the_inventory_has_them() -> None:
    def environment(edits: Edits) -> dict[str, str]:
        (container,) = daemon(rendered(edits))["spec"]["containers"]
        return {entry["name"]: entry["value"] for entry in container["env"]}

    assert environment({}) == {"ALICLOUD_CLIENT_SCHEME": "HTTPS"}
    given = {"ecs": "10.0.0.1:80", "scheme": "http"}
    assert environment({(*CLOUD, "endpoints"): given}) == {
        "ECS_ENDPOINT": "10.0.0.1:80",
        "ALICLOUD_CLIENT_SCHEME": "HTTP",
    }


@pytest.mark.parametrize("settings", [{}, {"ipam": CRD}])
def test_calico_s_definitions_are_left_out_and_terway_s_stay(settings: dict[str, Any]) -> None:
    def definition(name: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}}

    names = ["ippools.crd.projectcalico.org", "new.crd.projectcalico.org", "nodes.network.alibabacloud.com"]
    omit = [entry for entry in rendered(**settings).omit if entry["kind"] == "CustomResourceDefinition"]
    (left,) = select([definition(name) for name in names], omit)
    assert left["metadata"]["name"] == "nodes.network.alibabacloud.com"


@pytest.mark.parametrize("settings", [{}, {"ipam": CRD}])
def test_nothing_may_be_done_to_calico_s_objects(settings: dict[str, Any]) -> None:
    role = {"apiVersion": "v1", "kind": "ClusterRole", "metadata": {"name": "terway-pod-reader"}, "rules": ["upstream"]}
    entries = [entry for entry in rendered(**settings).overlays if entry["kind"] == "ClusterRole"]
    (patched,) = overlaid([role], entries)
    groups = {group for rule in patched["rules"] for group in rule["apiGroups"]}
    assert groups.isdisjoint({"crd.projectcalico.org", "cilium.io"})


@pytest.mark.parametrize(
    ("edits", "settings", "said"),
    [
        ({CLOUD: GONE, ("groups", "cloud_vms"): [], ("vm1", "rack"): "r1"}, {}, "estate_cloud is not set"),
        ({(*CLOUD, "pod_vswitches"): {}}, {}, "estate_cloud.pod_vswitches: there is none"),
        ({}, {"ipam": "both"}, "terway_ipam: 'both' is none of local, crd"),
    ],
)
def test_what_is_missing_is_named(edits: Edits, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(TerwayError, match=said):
        rendered(edits, **settings)
