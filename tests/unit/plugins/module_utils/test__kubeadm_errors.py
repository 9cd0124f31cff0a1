# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm_errors as errors

PREFLIGHT = """[preflight] Running pre-flight checks
\t[WARNING Swap]: swap is supported for cgroup v2 only
error: error execution phase preflight: [preflight] Some fatal errors occurred:
\t[ERROR Port-10250]: Port 10250 is in use
\t[ERROR FileAvailable--etc-kubernetes-kubelet.conf]: /etc/kubernetes/kubelet.conf already exists
[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`
To see the stack trace of this error execute with --v=5 or higher
"""


def test_preflight_failures_are_named_with_remedies():
    message = errors.report("kubeadm join of w1", PREFLIGHT)
    assert "[ERROR Port-10250]: Port 10250 is in use" in message
    assert "--v=5" not in message
    assert "ss -ltnp" in message
    assert "hybridk8s.estate.reset" in message
    assert "ignore_preflight_errors: Port-10250, FileAvailable--etc-kubernetes-kubelet.conf" in message


def test_a_long_output_is_cut_to_its_last_relevant_lines():
    output = "\n".join(f"I1123 doing {n}" for n in range(200)) + "\n" + "\n".join(f"error: no {n}" for n in range(30))
    lines = errors.error_lines(output)
    assert len(lines) == errors.MAX_LINES
    assert lines[-1] == "error: no 29"
    assert not any("doing" in line for line in lines)


def test_output_without_any_known_word_keeps_its_end():
    assert errors.error_lines("a\nb\n\n c ") == ["a", "b", "c"]
    assert "(it said nothing)" in errors.report("x", "")


def test_repeated_lines_are_said_once():
    assert errors.error_lines("failed: a\nfailed: a\n") == ["failed: a"]


def test_tokens_and_keys_are_taken_out():
    shown = errors.report("x", f"error: token abcdef.0123456789abcdef and key {'ab' * 32} are bad")
    assert "0123456789abcdef" not in shown
    assert "abab" not in shown
    assert "<secret>" in shown


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('error: token id "abcdef" is invalid for this cluster or it has expired', "new one is made"),
        ("error: 401 Unauthorized", "new one is made"),
        ('error: Get "https://api:6443": dial tcp 10.0.0.1:6443: connect: connection refused', "cannot be reached"),
        ("error: dial tcp: lookup api.lab: no such host", "cannot be reached"),
        ("error: x509: certificate signed by unknown authority", "another CA"),
        ('error: a Node with name "w1" and status "Ready" already exists in the cluster', "ready node of this name"),
        ("[ERROR CRI]: could not connect to the container runtime", "systemctl status containerd"),
        ("[ERROR FileContent--proc-sys-net-ipv4-ip_forward]: contents are not set to 1", "forwarding"),
        ("[ERROR SystemVerification]: cgroups v1", "failCgroupV1"),
        ("[ERROR NumCPU]: 1 is less than 2", "smaller"),
        ("[ERROR ImagePull]: failed to pull image", "registry mirror"),
        ('error: error downloading the secret: Secret "kubeadm-certs" was not found', "uploaded anew"),
        ("error: etcd cluster is not healthy", "etcdctl endpoint health"),
        ("error: the HTTP call equal to curl 127.0.0.1:10248/healthz returned an error", "journalctl -u kubelet"),
    ],
)
def test_remedies(said, remedy):
    assert remedy in errors.report("kubeadm", said)


def test_no_remedy_is_invented():
    assert "Remedy" not in errors.report("kubeadm", "error: something never seen")
