# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles write for hosts with and without a runtime profile: variables and templates, rendered by Ansible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
WITHOUT_PROFILE = """\
version = 3

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'registry.k8s.io/pause:3.10.2'

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '/etc/containerd/certs.d'

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = false

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/opt/cni/bin', '/usr/local/lib/cni']

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '/usr/local/bin/runc'
  SystemdCgroup = true
"""
ESTATE: dict[str, Any] = {
    "estate_name": "lab",
    "estate_kubernetes_version": "1.36.3",
    "estate_networks": {"services": "10.22.0.0/16", "pods": {"bare_metal": "10.21.0.0/16"}},
    "estate_runtime_profiles": {
        "all": {"runtimes": ["gvisor", "crun", "kata", "nvidia"], "max_pods": 60},
        "runc": {"pod_pids_limit": 1000},
    },
    "container_runtime_sha256": {"crun": "0" * 64},
    "kubernetes_node_kubelet_config": {"failCgroupV1": False},
}
HOSTS: dict[str, dict[str, Any]] = {
    "w1": {},
    "w2": {"runtime_profile": "all"},
    "w3": {
        "runtime_profile": "all",
        "container_runtime_systemd_cgroup": False,
        "container_runtime_handlers": {
            "gvisor": {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": "/usr/local/bin/wrapper"}}
        },
        "container_runtime_gvisor_config": {"platform": "kvm", "debug": True},
        "kubernetes_node_kubelet_config": {"failCgroupV1": False, "maxPods": 99},
    },
    "w4": {"runtime_profile": "runc", "container_runtime_handlers": {"gvisor": {"runtime_type": "x"}}},
}
TASKS = """\
- ansible.builtin.set_fact:
    result:
      artifacts: "{{ __container_runtime_more_artifacts }}"
      files: "{{ wanted | map(attribute='path') }}"
      toml: "{{ lookup('ansible.builtin.template', 'hybridk8s.toml.j2') }}"
      runsc: "{{ lookup('ansible.builtin.template', 'runsc.toml.j2') }}"
      kubelet: "{{ __kubernetes_node_runtime.kubelet | to_nice_json }}\\n"
      requires: "{{ host_requires }}"
  vars:
    wanted: "{{ __container_runtime_gvisor_files if 'gvisor' in __container_runtime_profile_handlers else [] }}"
- ansible.builtin.copy:
    dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
    content: "{{ result | to_json }}"
  delegate_to: localhost
"""


def make_role(directory: Path) -> None:
    """A role with the variables and templates of ours, and tasks that only tell them."""
    (directory / "tasks").mkdir(parents=True)
    (directory / "tasks/main.yml").write_text(TASKS)
    (directory / "templates").symlink_to(ROLES / "container_runtime/templates")
    for kind in ("defaults", "vars"):
        (directory / kind).mkdir()
        files = [ROLES / role / kind / "main.yml" for role in ("host", "container_runtime", "kubernetes_node")]
        merged = {
            name: value for file in files if file.exists() for name, value in yaml.safe_load(file.read_text()).items()
        }
        (directory / kind / "main.yml").write_text(yaml.safe_dump(merged))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("runtime")
    hosts = {
        name: {"ansible_host": f"10.20.1.{number}", "ansible_connection": "local", **variables}
        for number, (name, variables) in enumerate(HOSTS.items(), 20)
    }
    inventory = {"all": {"vars": ESTATE, "children": {"kubernetes": {"children": {"workers": {"hosts": hosts}}}}}}
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
    make_role(directory / "roles/probe")
    (directory / "play.yml").write_text("- {hosts: all, gather_facts: false, roles: [probe]}\n")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", "play.yml"],
        cwd=directory,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROLES.parent / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return {name: json.loads((directory / f"{name}.json").read_text()) for name in hosts}


def runtimes(result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(result["toml"])["plugins"]["io.containerd.cri.v1.runtime"]["containerd"][
        "runtimes"
    ]
    return found


def test_without_a_profile_nothing_is_as_if_there_were_profiles(results: dict[str, dict[str, Any]]) -> None:
    assert results["w1"]["toml"] == WITHOUT_PROFILE
    kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "failCgroupV1": False, "kind": "KubeletConfiguration"}
    assert results["w1"]["kubelet"] == json.dumps(kubelet, indent=4) + "\n"
    assert [results["w1"][key] for key in ("artifacts", "files", "requires")] == [[], [], []]


def test_a_profile_without_runtimes_leaves_containerd_as_it_is(results: dict[str, dict[str, Any]]) -> None:
    assert results["w4"]["toml"] == WITHOUT_PROFILE
    assert json.loads(results["w4"]["kubelet"])["podPidsLimit"] == 1000
    assert results["w4"]["artifacts"] == []


def test_the_runtimes_of_a_profile_are_beside_runc(results: dict[str, dict[str, Any]]) -> None:
    assert results["w2"]["toml"].startswith(WITHOUT_PROFILE)
    assert runtimes(results["w2"]) == {
        "runc": {
            "runtime_type": "io.containerd.runc.v2",
            "options": {"BinaryName": "/usr/local/bin/runc", "SystemdCgroup": True},
        },
        "gvisor": {
            "runtime_type": "io.containerd.runsc.v1",
            "options": {"TypeUrl": "io.containerd.runsc.v1.options", "ConfigPath": "/etc/containerd/runsc.toml"},
        },
        "crun": {
            "runtime_type": "io.containerd.runc.v2",
            "options": {"BinaryName": "/usr/local/bin/crun", "SystemdCgroup": True},
        },
        "kata": {
            "runtime_type": "io.containerd.kata.v2",
            "privileged_without_host_devices": True,
            "options": {},
        },
        "nvidia": {
            "runtime_type": "io.containerd.runc.v2",
            "options": {"BinaryName": "/usr/bin/nvidia-container-runtime", "SystemdCgroup": True},
        },
    }


def test_what_a_site_says_of_a_handler_wins(results: dict[str, dict[str, Any]]) -> None:
    assert runtimes(results["w3"])["gvisor"] == {
        "runtime_type": "io.containerd.runc.v2",
        "options": {"BinaryName": "/usr/local/bin/wrapper", "SystemdCgroup": False},
    }
    assert runtimes(results["w3"])["crun"]["options"]["SystemdCgroup"] is False


def test_the_flags_of_runsc(results: dict[str, dict[str, Any]]) -> None:
    binary = {"binary_name": "/usr/local/bin/runsc"}
    assert results["w2"]["files"] == ["/etc/containerd/runsc.toml"]
    assert tomllib.loads(results["w2"]["runsc"]) == {
        **binary,
        "runsc_config": {"platform": "systrap", "systemd-cgroup": "true"},
    }
    assert tomllib.loads(results["w3"]["runsc"]) == {
        **binary,
        "runsc_config": {"debug": "true", "platform": "kvm", "systemd-cgroup": "false"},
    }


def test_programs_are_pinned_by_the_checksums_that_there_are(results: dict[str, dict[str, Any]]) -> None:
    gvisor, crun = results["w2"]["artifacts"]
    base = "https://storage.googleapis.com/gvisor/releases/release/20260209.1/{machine}"
    assert [(file["url"], file["sha256_url"], "sha256" in file) for file in gvisor["files"]] == [
        (f"{base}/{name}", f"{base}/{name}.sha512", False) for name in ("runsc", "containerd-shim-runsc-v1")
    ]
    assert [(file["url"].rpartition("/")[2], file["sha256"]) for file in crun["files"]] == [
        ("crun-1.27-linux-{arch}", "0" * 64)
    ]


def test_the_kubelets_own_variable_wins_over_the_profile(results: dict[str, dict[str, Any]]) -> None:
    assert json.loads(results["w2"]["kubelet"])["maxPods"] == 60
    assert json.loads(results["w3"]["kubelet"])["maxPods"] == 99


def test_hosts_must_have_what_their_runtimes_need(results: dict[str, dict[str, Any]]) -> None:
    needs = [need.get("path") or need.get("kernel") for need in results["w2"]["requires"]]
    assert needs == ["4.14.77", "/dev/kvm", "/usr/local/bin/containerd-shim-kata-v2"]
