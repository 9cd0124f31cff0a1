"""What two recordings of a host differ in, and what the document for people lets pass."""

from __future__ import annotations

import pytest

from tests.flows import traces


def test_lines_of_one_side_only_are_the_difference():
    difference = traces.difference(["file /a", "link eth0"], ["file /b", "link eth0"])

    assert (difference.gone, difference.new) == (("file /a",), ("file /b",))
    assert str(difference) == "- file /a\n+ file /b"
    assert not traces.difference(["file /a"], ["file /a"])


def test_what_is_kept_is_no_difference():
    before, after = ["content /etc/hosts 1", "file /a"], ["content /etc/hosts 2", "file /a"]

    assert not traces.difference(before, after, ("content /etc/hosts *",))
    assert traces.difference(before, [*after, "file /etc/hosts2"], ("content /etc/hosts *",)).new == (
        "file /etc/hosts2",
    )


@pytest.mark.parametrize(
    "leftover",
    [
        "iptables-nft :KUBE-SERVICES -",
        "iptables-nft :cali-OUTPUT -",
        "iptables-nft -A FORWARD -j cali-FORWARD",
        "nft chain cali-OUTPUT {",
        "nft table ip kube-proxy {",
        "ipset cali40all-ipam-pools",
        "link cali61b99c7de0c",
        "route blackhole 10.21.64.0/26 proto bird",
        "rule 512: from all to 172.20.1.5 lookup main",
        "process /usr/local/bin/kubelet --config=/var/lib/kubelet/config.yaml",
        "process /usr/local/bin/containerd-shim-runc-v2 -namespace k8s.io",
        "mount /var/lib/kubelet/pods/x tmpfs",
        "cgroup memory/kubepods",
        "container 0123",
        "active kubelet.service",
        "file /etc/cni/net.d/10-calico.conflist",
        "file /etc/kubernetes/pki/ca.crt",
        "file /var/lib/kubelet/config.yaml",
        "file /opt/cni/bin/calico",
        "file /root/.kube/config",
    ],
)
def test_no_leftover_is_on_the_list(leftover):
    assert traces.difference([], [leftover], traces.kept())
