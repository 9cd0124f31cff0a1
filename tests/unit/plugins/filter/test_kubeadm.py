# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.filter.kubeadm import FilterModule

FILTERS = FilterModule().filters()
NODE = {"name": "cp1", "ip": "10.20.1.11"}
CLUSTER = {"name": "lab", "version": "1.36.3", "endpoint": "api:6443", "service_cidr": "10.22.0.0/16"}


def test_init():
    documents = FILTERS["kubeadm_init"](NODE, CLUSTER)
    assert [document["kind"] for document in documents] == [
        "InitConfiguration",
        "ClusterConfiguration",
        "KubeletConfiguration",
        "KubeProxyConfiguration",
    ]


def test_join():
    assert "controlPlane" not in FILTERS["kubeadm_join"](NODE)[0]
    assert "controlPlane" in FILTERS["kubeadm_join"](NODE, control_plane=True)[0]


def test_discovery():
    kubeconfig = {"clusters": [{"name": "k", "cluster": {"server": "https://x", "certificate-authority-data": "Q0E="}}]}
    made = FILTERS["kubeadm_discovery"](kubeconfig, "https://api:6443")
    assert made["clusters"][0]["cluster"] == {"server": "https://api:6443", "certificate-authority-data": "Q0E="}


def test_initializer():
    assert FILTERS["kubeadm_initializer"]({"cp1": "none"}) == {"host": "cp1", "refusal": ""}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("kubeadm_init", ({"name": "x"}, CLUSTER)),
        ("kubeadm_init", (NODE, {**CLUSTER, "endpoint": "x"})),
        ("kubeadm_join", ({**NODE, "nme": 1},)),
        ("kubeadm_discovery", ({},)),
    ],
)
def test_wrong_input_is_ansibles_error(name, arguments):
    with pytest.raises(AnsibleFilterError):
        FILTERS[name](*arguments)
