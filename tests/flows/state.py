"""What an estate is, in a form that two runs can be compared by: of hosts that were never touched, and of a finished
cluster without what differs from one installation to the next (names of pods, certificates, times)."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.flows.drive import booted, objects, ssh

_TOUCHED = "/etc /usr/local /opt /var/lib/hybridk8s /var/lib/kubelet /var/lib/etcd"
_UNTOUCHED_LINES = f"""
exec 2>/dev/null
find {_TOUCHED} -xdev -printf '%y %m %u:%g %p -> %l\\n' | sort
find {_TOUCHED} -xdev -type f -print0 | sort -z | xargs -0 sha256sum
sysctl -a -r '^(net|vm|kernel)\\..*(forward|bridge|overcommit|panic|max|rp_filter)' | grep -Ev 'random|_cur|nr_|ns_last'
systemctl list-unit-files --no-legend --no-pager
cat /proc/swaps
true
"""
_RESULT_LINES = """
exec 2>/dev/null
cd /
find etc/kubernetes etc/containerd etc/cni etc/sysctl.d etc/modules-load.d etc/systemd/system \
  usr/local var/lib/hybridk8s -xdev ! -type d ! -path '*/tmp*' -printf '%y %m %u:%g %p -> %l\\n' | sort
systemctl is-enabled kubelet containerd
systemctl is-active kubelet containerd
true
"""
_CALICO_KINDS = ("bgpconfigurations", "bgppeers", "bgpfilters", "ippools")


def untouched(hosts: tuple[str, ...]) -> dict[str, list[str]]:
    """What the collection could change on hosts, line by line: files with content and mode, sysctls, units, swap."""
    return _by_host(hosts, _UNTOUCHED_LINES)


def finished() -> dict[str, Any]:
    """The end state of an installation: nodes, Calico's resources, the switches' configuration, the hosts' files."""
    return {
        "nodes": {node["metadata"]["name"]: reduce_node(node) for node in objects("nodes")},
        "calico": {kind: _specs(f"{kind}.crd.projectcalico.org") for kind in _CALICO_KINDS},
        "workloads": _workloads(),
        "tokens": _lasting_tokens(),
        "switches": _by_host(booted("switches"), "vtysh -c 'show running-config no-header'"),
        "hosts": _by_host(booted("kubernetes"), _RESULT_LINES),
    }


def reduce_node(node: dict[str, Any]) -> dict[str, Any]:
    """Of a Node object, what an inventory decides."""
    metadata, spec = node["metadata"], node["spec"]
    return {
        "labels": metadata.get("labels", {}),
        "annotations": {
            key: value
            for key, value in metadata.get("annotations", {}).items()
            if "projectcalico.org" not in key or key.endswith("RouteReflectorClusterID")
        },
        "taints": sorted(f"{one['key']}={one.get('value', '')}:{one['effect']}" for one in spec.get("taints", ())),
        "ready": [one["status"] for one in node["status"]["conditions"] if one["type"] == "Ready"],
        "version": node["status"]["nodeInfo"]["kubeletVersion"],
    }


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two states differ, a line a place."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in sorted({*one, *other})
            for line in differences(one.get(key), other.get(key), f"{where}/{key}")
        ]
    if isinstance(one, list) and isinstance(other, list):
        gone = [f"{where}: - {item}" for item in one if item not in other]
        return gone + [f"{where}: + {item}" for item in other if item not in one]
    return [] if one == other else [f"{where}: {one!r} != {other!r}"]


def _lasting_tokens() -> list[str]:
    """Bootstrap tokens that never expire. A killed run cannot revoke its own, but it must have given it an end."""
    tokens = objects("secrets", "--namespace=kube-system", "--field-selector=type=bootstrap.kubernetes.io/token")
    return [token["metadata"]["name"] for token in tokens if "expiration" not in token["data"]]


def _specs(kind: str) -> dict[str, Any]:
    return {item["metadata"]["name"]: item["spec"] for item in objects(kind)}


def _workloads() -> dict[str, int]:
    found = objects("daemonsets,deployments", "--namespace=kube-system")
    return {f"{one['kind']}/{one['metadata']['name']}": one["spec"].get("replicas", 0) for one in found}


def _by_host(hosts: tuple[str, ...], script: str) -> dict[str, list[str]]:
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(hosts, pool.map(lambda host: ssh(host, script).splitlines(), hosts)))


def main(target: str) -> None:
    """Write the state of untouched hosts to a file, for a comparison after."""
    Path(target).write_text(json.dumps(untouched(booted("all"))))


if __name__ == "__main__":
    main(sys.argv[1])
