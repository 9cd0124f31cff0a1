# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _images
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Completed

from tests.unit.plugins.module_utils.kubeadm_machine import Machine

PROXY = "registry.k8s.io/kube-proxy:v1.36.3"
CALICO = "quay.io/calico/node:v3.31.0"


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("calico/node:v3.31.0", "docker.io/calico/node:v3.31.0"),
        (PROXY, PROXY),
        ("10.98.0.1:5000/pause", "10.98.0.1:5000/pause:latest"),
        ("localhost/pause:1", "localhost/pause:1"),
        ("quay.io/a/b@sha256:12", "quay.io/a/b@sha256:12"),
    ],
)
def test_an_image_has_one_full_name(given, full):
    assert _images.reference(given) == full


def test_only_what_is_not_there_is_missing_and_once():
    assert _images.missing([PROXY, "nginx", CALICO, "nginx"], [PROXY]) == ["docker.io/library/nginx:latest", CALICO]


def pulls(machine):
    return [call.argv for call in machine.calls]


def test_images_come_by_the_mirrors_that_containerd_has(machine):
    machine.put({"/etc/containerd/certs.d/_default/hosts.toml": ""})
    base = "ctr --namespace k8s.io images pull --hosts-dir /etc/containerd/certs.d"
    machine.commands = {f"{base} {PROXY}": Completed(0), f"{base} {CALICO}": Completed(0)}

    done = _images.pull(machine.host(), [PROXY, CALICO], 60)

    assert [step.target for step in done.steps] == [PROXY, CALICO]
    assert done.warnings == ()


def test_what_does_not_come_in_time_is_left_to_the_kubelet(machine):
    def slow(argv, *, timeout, **_options):
        machine.time += 40
        return Completed(0) if timeout >= 40 else Completed(-1)

    host = _images.Host(root=machine.root, run=slow, clock=lambda: machine.time)

    done = _images.pull(host, ["a.io/a:1", "a.io/b:1", "a.io/c:1"], 60)

    assert [step.target for step in done.steps] == ["a.io/a:1"]
    assert done.warnings == ("not here after 60 s, the kubelet goes on with them: a.io/b:1, a.io/c:1",)


def test_no_time_left_starts_no_pull(machine):
    assert _images.pull(machine.host(), [PROXY], 0).warnings
    assert machine.calls == []


def test_an_image_that_cannot_be_had_is_named_with_the_reason(machine):
    machine.commands[f"ctr --namespace k8s.io images pull {PROXY}"] = Completed(1, "", "fetching\nctr: not found: 404")

    done = _images.pull(machine.host(), [PROXY, CALICO], 60)

    assert done.steps == ()
    assert done.warnings == (f"{PROXY} could not be pulled: ctr: not found: 404",)


def test_present_reads_the_kubelets_namespace(machine):
    machine.commands["ctr --namespace k8s.io images list --quiet"] = Completed(0, f"{PROXY}\nsha256:12\n")
    assert _images.present(machine.host()) == [PROXY, "sha256:12"]


def test_a_containerd_that_is_silent_is_named(machine):
    machine.commands["ctr --namespace k8s.io images list --quiet"] = Completed(1, "", "connection refused")
    with pytest.raises(_images.ImagesError, match=r"refused\. Role container_runtime starts it"):
        _images.present(machine.host())
