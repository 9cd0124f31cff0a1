# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm reset leaves on a host, each thing observed before it is removed; private to this collection.

kubeadm says itself that it cleans neither CNI nor packet filters. Only what is plainly Kubernetes' is touched, by
name: no table is flushed, no chain, route or file of others is changed.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import (
    CA,
    ETCD_DATA,
    KUBEADM_FILES,
    KUBELET_CONFIG,
    Failure,
)

KUBEADM_PATHS = (*KUBEADM_FILES, "/etc/kubernetes/pki")
KUBEADM_CONTENTS = ("/var/lib/kubelet", "/var/lib/etcd")
_CNI_CONF = "/etc/cni/net.d"
_CNI_NAMES = re.compile(r"calico|terway|flannel|cilium")
_CNI_PROGRAMS = "/opt/cni/bin"
# What the network's own pod puts there; it brings the reference plugins along.
_CNI_INSTALLED = {
    "calico": (
        "bandwidth",
        "calico",
        "calico-ipam",
        "flannel",
        "host-local",
        "install",
        "loopback",
        "portmap",
        "tuning",
    ),
    "terway": ("cilium-cni", "terway"),
}
_STATE_DIRECTORIES = ("/var/lib/cni", "/run/calico", "/var/lib/calico", "/run/nodeagent", "/run/eni")
# Drivers of volumes that people install; without any the kubelet leaves empty directories.
_VOLUME_DRIVERS = "/usr/libexec/kubernetes"
_CGROUPS = "/sys/fs/cgroup"
_CGROUP = "kubepods"
_LOGS = ("/var/log/pods", "/var/log/containers", "/var/log/calico")
_HOMES = "/home"
_KUBECTL = ".kube"
_MOUNT_PARENTS = ("/var/lib/kubelet", "/run/calico")
_BPF = ("/sys/fs/bpf/calico", "/sys/fs/bpf/tc")
_LINKS = re.compile(r"^(cali[0-9a-f]+|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|kube-ipvs0)$")
_TUNNEL = "tunl0"
_IPVS_LINK = "kube-ipvs0"
# Terway's rules of a pod: toward it, and from it by a table of its network interface.
_TERWAY_TO_POD = 512
_TERWAY_FROM_POD = 2048
_TERWAY_TABLES = 1000
_NFT_TABLES = frozenset(["kube-proxy", "calico"])
_IPSETS = re.compile(r"^(KUBE-|cali[46]0)")
_OUR_CHAIN = re.compile(r"^(KUBE-|cali-)")
_OUR_RULE = re.compile(r'\s-[jg] (KUBE-|cali-)|--comment "?cali:')
_OCTAL = re.compile(r"\\([0-7]{3})")
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Leftover:
    """One thing to remove; ``action`` is the verb that removes it."""

    action: str
    target: str

    @property
    def key(self) -> str:
        """A name for it in the marker."""
        return f"{self.action} {self.target}"


def leftovers(host: Host, whole: bool = False) -> list[Leftover]:
    """What is here, in the order in which it goes. ``whole`` takes all of /etc/kubernetes, not only kubeadm's files.

    Routes go before Calico's files: these are the evidence that the routes are Calico's.
    """
    links = _links(host)
    return [
        *(Leftover("unmount below", path) for path in _MOUNT_PARENTS if _mounted(host, path)),
        *(Leftover("delete virtual service", service) for service in _virtual_services(host, links)),
        *(Leftover("delete link", name) for name in links if _LINKS.match(name)),
        *([Leftover("clear link", _TUNNEL)] if _tunnel_is_up(host, links) else []),
        *(Leftover("flush routes", family) for family in _bird_routes(host, links)),
        *_terway_rules(host),
        *(Leftover("delete chains", program) for program in _packet_filters(host) if _removal(host, program)),
        *(Leftover("delete nft table", table) for table in _nft_tables(host)),
        *(Leftover("destroy ipset", name) for name in _ipsets(host)),
        *(Leftover("remove", path) for path in _paths(host, whole)),
        *(Leftover("remove cgroup", path) for path in (_cgroups(host) if whole else ())),
        *(Leftover("empty", path) for path in KUBEADM_CONTENTS if host.entries(path)),
    ]


def copied_credentials(host: Host) -> list[Leftover]:
    """Copies of this cluster's kubeconfig that people made, told by the cluster's authority. They go before kubeadm
    removes that."""
    authority = host.read(CA).encode()
    if not authority:
        return []
    mark = base64.b64encode(authority).decode()
    copies = [f"{home}/{_KUBECTL}/config" for home in _homes(host)]
    return [Leftover("remove", path) for path in copies if mark in host.read(path)]


def kubeadm_was_here(host: Host) -> bool:
    """Whether there is something that only ``kubeadm reset`` undoes well: containers, kubelet mounts, etcd."""
    return any(host.has(path) for path in (*KUBEADM_FILES, KUBELET_CONFIG, ETCD_DATA))


def remove_leftover(host: Host, leftover: Leftover) -> None:
    """Remove it; gone already is fine. Raises Failure."""
    _REMOVERS[leftover.action](host, leftover.target)


def iptables_removal(saved: str) -> str:
    """Input for ``iptables-restore --noflush`` that takes our chains, and the rules that lead to them, out of what
    ``iptables-save`` printed; empty when there is nothing. Restore applies a table at once, and with --noflush it
    leaves alone what is not named."""
    out: list[str] = []
    for table in re.split(r"^(?=\*)", saved, flags=re.MULTILINE):
        lines = table.splitlines()
        chains = [line[1:].split()[0] for line in lines if line.startswith(":") and _OUR_CHAIN.match(line[1:])]
        rules = [
            "-D" + line[2:]
            for line in lines
            if line.startswith("-A ") and not _OUR_CHAIN.match(line[3:]) and _OUR_RULE.search(line)
        ]
        if not chains and not rules:
            continue
        flushed = [f":{chain} - [0:0]" for chain in chains]
        out += [lines[0], *flushed, *rules, *(f"-X {chain}" for chain in chains), "COMMIT"]
    return "\n".join(out) + "\n" if out else ""


def _mounted(host: Host, directory: str) -> list[str]:
    """Mount points below a directory, deepest first; the directory itself may be a mount of the machine's owner."""
    return sorted(set(_below(host, directory)), key=lambda point: (-point.count("/"), point))


def _below(host: Host, directory: str) -> list[str]:
    lines = [line.split() for line in host.read("/proc/self/mountinfo").splitlines()]
    points = [_OCTAL.sub(lambda code: chr(int(code.group(1), 8)), words[4]) for words in lines if len(words) > 4]
    return [point for point in points if point.startswith(f"{directory}/")]


def _json(host: Host, argv: Sequence[str]) -> list[dict[str, object]]:
    done = host.run(argv, timeout=_TIMEOUT)
    try:
        found = json.loads(done.stdout or "[]") if done.rc == 0 else []
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _links(host: Host) -> list[str]:
    return [str(link.get("ifname", "")) for link in _json(host, ["ip", "-j", "link", "show"])]


def _tunnel_is_up(host: Host, links: Sequence[str]) -> bool:
    """tunl0 belongs to the kernel and cannot be deleted, only taken down and emptied."""
    if _TUNNEL not in links:
        return False
    shown = _json(host, ["ip", "-j", "address", "show", "dev", _TUNNEL])
    return any(link.get("addr_info") or "UP" in str(link.get("flags", "")) for link in shown)


def _bird_routes(host: Host, links: Sequence[str]) -> list[str]:
    """Families with routes of BIRD, provided that Calico was here: others run BIRD too."""
    calico = (
        any(name.startswith("cali") for name in links)
        or host.has("/var/lib/calico")
        or any("calico" in name for name in host.entries(_CNI_CONF))
    )
    if not calico:
        return []
    return [family for family in ("-4", "-6") if _json(host, ["ip", "-j", family, "route", "show", "proto", "bird"])]


def _virtual_services(host: Host, links: Sequence[str]) -> list[str]:
    """IPVS services at the addresses of kube-proxy's own link; others balance with IPVS too."""
    if _IPVS_LINK not in links or not _installed(host, "ipvsadm"):
        return []
    shown = _json(host, ["ip", "-j", "address", "show", "dev", _IPVS_LINK])
    addresses = {entry.get("local") for link in shown for entry in _entries(link.get("addr_info"))}
    saved = host.run(["ipvsadm", "--save", "--numeric"], timeout=_TIMEOUT).stdout.splitlines()
    services = [line.split()[1:3] for line in saved if line.startswith("-A ")]
    return [" ".join(words) for words in services if words[1].rpartition(":")[0].strip("[]") in addresses]


def _entries(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def _terway_rules(host: Host) -> list[Leftover]:
    """The rules of Terway's pods and the tables that these lead to, provided that Terway was here."""
    if not any(host.has(path) for path in ("/run/eni", "/var/lib/cni/terway")):
        return []
    found: list[Leftover] = []
    for rule in _json(host, ["ip", "-j", "rule", "show"]):
        table = str(rule.get("table", ""))
        if rule.get("priority") == _TERWAY_TO_POD and table == "main" and "dst" in rule:
            found.append(Leftover("delete rule", f"priority {_TERWAY_TO_POD} to {rule['dst']} table main"))
        if rule.get("priority") == _TERWAY_FROM_POD and table.isdigit() and int(table) > _TERWAY_TABLES:
            found.append(Leftover("delete rule", f"priority {_TERWAY_FROM_POD} from {rule.get('src')} table {table}"))
            found.append(Leftover("flush table", table))
    return list(dict.fromkeys(found))


def _packet_filters(host: Host) -> list[str]:
    """The iptables programs to ask. The legacy ones create their tables when asked, so only where these exist."""
    programs: list[str] = []
    for base, names in (("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names")):
        variants = [f"{base}-nft"] if _installed(host, f"{base}-nft-save") else []
        if _installed(host, f"{base}-legacy-save") and host.read(f"/proc/net/{names}").strip():
            variants.append(f"{base}-legacy")
        if not variants and _installed(host, f"{base}-save"):
            variants = [base]
        programs += variants
    return programs


def _installed(host: Host, program: str) -> bool:
    return any(host.has(f"{directory}/{program}") for directory in ("/usr/sbin", "/sbin", "/usr/bin"))


def _removal(host: Host, program: str) -> str:
    saved = host.run([f"{program}-save"], timeout=_TIMEOUT)
    return iptables_removal(saved.stdout) if saved.rc == 0 else ""


def _nft_tables(host: Host) -> list[str]:
    if not _installed(host, "nft"):
        return []
    done = host.run(["nft", "list", "tables"], timeout=_TIMEOUT)
    tables = [line.split()[1:3] for line in done.stdout.splitlines() if line.startswith("table ")]
    return [" ".join(table) for table in tables if table[-1] in _NFT_TABLES]


def _ipsets(host: Host) -> list[str]:
    if not _installed(host, "ipset"):
        return []
    return [name for name in host.run(["ipset", "list", "-n"], timeout=_TIMEOUT).stdout.split() if _IPSETS.match(name)]


def _paths(host: Host, whole: bool) -> list[str]:
    cni = [f"{_CNI_CONF}/{name}" for name in host.entries(_CNI_CONF) if _CNI_NAMES.search(name)]
    kubernetes = ["/etc/kubernetes"] if whole else list(KUBEADM_PATHS)
    used = [*_cni_programs(host), *_LOGS, *_kubectl_remains(host), *_volume_drivers(host)] if whole else []
    return [path for path in (*cni, *_STATE_DIRECTORIES, *_BPF, *kubernetes, *used) if _holds(host, path)]


def _cni_programs(host: Host) -> list[str]:
    """What a network's pod installed, and the directory when it holds nothing else."""
    present = set(host.entries(_CNI_PROGRAMS))
    installed = {name for mark, names in _CNI_INSTALLED.items() if mark in present for name in names if name in present}
    if installed == present:
        return [_CNI_PROGRAMS]
    return [f"{_CNI_PROGRAMS}/{name}" for name in sorted(installed)]


def _kubectl_remains(host: Host) -> list[str]:
    """kubectl's caches; the whole directory where a person put nothing else into it."""
    directories = [f"{home}/{_KUBECTL}" for home in _homes(host)]
    return [path if set(host.entries(path)) <= {"cache"} else f"{path}/cache" for path in directories]


def _volume_drivers(host: Host) -> list[str]:
    """The directories for drivers of volumes, where there is none."""
    return [] if any(files for _path, _below, files in os.walk(host.path(_VOLUME_DRIVERS))) else [_VOLUME_DRIVERS]


def _cgroups(host: Host) -> list[str]:
    """The kubelet's control groups: one (version 2), or one a controller."""
    controllers = [_CGROUPS, *(f"{_CGROUPS}/{name}" for name in host.entries(_CGROUPS))]
    return [f"{path}/{name}" for path in controllers for name in host.entries(path) if name.startswith(_CGROUP)]


def _homes(host: Host) -> list[str]:
    return ["/root", *(f"{_HOMES}/{name}" for name in host.entries(_HOMES))]


def _holds(host: Host, path: str) -> bool:
    """Whether it is there and not an empty directory that is a mount point, which cannot go."""
    if not host.has(path):
        return False
    return not (os.path.ismount(host.path(path)) and not host.entries(path))


def _command(*argv: str) -> Callable[[Host, str], None]:
    """A remover that runs ``argv`` with ``{}`` replaced by the target and ``{*}`` by its words."""

    def run(host: Host, target: str) -> None:
        replaced = {"{}": [target], "{*}": target.split()}
        words = [word for part in argv for word in replaced.get(part, [part])]
        done = host.run(words, timeout=_TIMEOUT)
        if done.rc and not _GONE.search(done.output):
            raise Failure(f"`{' '.join(words)}` failed: {done.output.strip()}")

    return run


_GONE = re.compile(
    r"Cannot find device|does not exist|No such (file|process|device|service)|not mounted|not found|no mount point",
    re.I,
)


def _unmount(host: Host, target: str) -> None:
    for point in _mounted(host, target):
        _command("umount", "{}")(host, point)


def _clear_tunnel(host: Host, target: str) -> None:
    _command("ip", "address", "flush", "dev", "{}")(host, target)
    _command("ip", "link", "set", "{}", "down")(host, target)


def _delete_chains(host: Host, program: str) -> None:
    rules = _removal(host, program)
    if not rules:
        return
    done = host.run([f"{program}-restore", "-w", "10", "--noflush"], timeout=_TIMEOUT, stdin=rules)
    if done.rc:
        raise Failure(f"{program}-restore could not take Kubernetes' chains out: {done.stderr.strip()}")


def _empty(host: Host, target: str) -> None:
    for name in host.entries(target):
        _remove(host, f"{target}/{name}")


def _remove(host: Host, target: str) -> None:
    mounted = _below(host, target)
    if mounted:
        raise Failure(f"{target} is not removed: {mounted[0]} is still mounted below it, data of others may be there.")
    try:
        if os.path.ismount(host.path(target)):
            _empty(host, target)
            return
        host.remove(target)
    except OSError as error:
        raise Failure(f"{target} cannot be removed: {error}") from error


def _remove_cgroup(host: Host, target: str) -> None:
    """A group goes when it and those below it have no process; its files are the kernel's."""
    groups = [directory for directory, _below, _files in os.walk(host.path(target), topdown=False)]
    try:
        for group in groups:
            os.rmdir(group)
    except OSError as error:
        raise Failure(f"{target} still has processes; look at its cgroup.procs: {error}") from error


_REMOVERS: dict[str, Callable[[Host, str], None]] = {
    "unmount below": _unmount,
    "delete virtual service": _command("ipvsadm", "--delete-service", "{*}"),
    "delete rule": _command("ip", "rule", "delete", "{*}"),
    "flush table": _command("ip", "route", "flush", "table", "{}"),
    "delete link": _command("ip", "link", "delete", "{}"),
    "clear link": _clear_tunnel,
    "flush routes": _command("ip", "{}", "route", "flush", "proto", "bird"),
    "delete chains": _delete_chains,
    "delete nft table": _command("nft", "delete", "table", "{*}"),
    "destroy ipset": _command("ipset", "destroy", "{}"),
    "remove": _remove,
    "remove cgroup": _remove_cgroup,
    "empty": _empty,
}
