# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm reset leaves on a host, each thing observed before it is removed; private to this collection.

kubeadm says itself that it cleans neither CNI nor packet filters. Only what is plainly Kubernetes' is touched, by
name: no table is flushed, no chain, route or file of others is changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_host import Host
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm_state import (
    ETCD_DATA,
    KUBEADM_FILES,
    KUBELET_CONFIG,
    Failure,
)

KUBEADM_PATHS = (*KUBEADM_FILES, "/etc/kubernetes/pki")
KUBEADM_CONTENTS = ("/var/lib/kubelet", "/var/lib/etcd")
_CNI_CONF = "/etc/cni/net.d"
_CNI_NAMES = re.compile(r"calico|terway|flannel|cilium")
_STATE_DIRECTORIES = ("/var/lib/cni", "/run/calico", "/var/lib/calico")
_MOUNT_PARENTS = ("/var/lib/kubelet", "/run/calico")
_BPF = ("/sys/fs/bpf/calico", "/sys/fs/bpf/tc")
_LINKS = re.compile(r"^(cali[0-9a-f]+|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|kube-ipvs0)$")
_TUNNEL = "tunl0"
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
        *(Leftover("delete link", name) for name in links if _LINKS.match(name)),
        *([Leftover("clear link", _TUNNEL)] if _tunnel_is_up(host, links) else []),
        *(Leftover("flush routes", family) for family in _bird_routes(host, links)),
        *(Leftover("delete chains", program) for program in _packet_filters(host) if _removal(host, program)),
        *(Leftover("delete nft table", table) for table in _nft_tables(host)),
        *(Leftover("destroy ipset", name) for name in _ipsets(host)),
        *(Leftover("remove", path) for path in _paths(host, whole)),
        *(Leftover("empty", path) for path in KUBEADM_CONTENTS if host.entries(path)),
    ]


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
    return [path for path in (*cni, *_STATE_DIRECTORIES, *_BPF, *kubernetes) if _holds(host, path)]


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
    r"Cannot find device|does not exist|No such (file|process|device)|not mounted|not found|no mount point", re.I
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


_REMOVERS: dict[str, Callable[[Host, str], None]] = {
    "unmount below": _unmount,
    "delete link": _command("ip", "link", "delete", "{}"),
    "clear link": _clear_tunnel,
    "flush routes": _command("ip", "{}", "route", "flush", "proto", "bird"),
    "delete chains": _delete_chains,
    "delete nft table": _command("nft", "delete", "table", "{*}"),
    "destroy ipset": _command("ipset", "destroy", "{}"),
    "remove": _remove,
    "empty": _empty,
}
