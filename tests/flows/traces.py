"""Everything that a host shows of Kubernetes: files, packet filters, links, routes, mounts, processes, settings. Two
recordings of a host are compared line by line; what a reset keeps on purpose is listed in ``docs/reset.md``."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

from tests.flows.drive import REPOSITORY, ssh

DOCUMENT = REPOSITORY / "docs" / "reset.md"
_ROW = re.compile(r"^\| `(?P<pattern>[^`]+)` \|", re.MULTILINE)
# Each line begins with what kind of thing it is. What a machine moves by itself is left out: journals, times, the
# session that records this, a link's own address, which comes some seconds after the link. What containerd stores is
# named as containerd names it.
_SCRIPT = r"""
exec 2>/dev/null
export LC_ALL=C
cd /
find / \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /var/lib/containerd \
  -o -path /run/containerd -o -path /var/log/journal -o -path /run/log -o -path /run/systemd -o -path /run/user \
  -o -path /root/.ansible -o -path /run/udev -o -path /run/credentials \) -prune -o -printf 'file %p\n'
find /sys/fs/bpf -mindepth 1 -printf 'file %p\n'
find /etc -xdev -type f -exec sha256sum {} + | awk '{print "content", $2, substr($1, 1, 8)}'
find /sys/fs/cgroup -type d \( -name '*kubepods*' -o -name '*cri-containerd*' \) -printf 'cgroup %P\n'
for family in iptables ip6tables; do
  for kind in nft legacy; do
    command -v "$family-$kind-save" >/dev/null || continue
    [ "$kind" = nft ] || [ -s "/proc/net/${family%tables}_tables_names" ] || continue
    "$family-$kind-save" | sed -n "/^#/d; s/ \[[0-9:]*\]\$//; s/^[^C]/$family-$kind &/p"
  done
done
nft list ruleset | sed 's/counter packets [0-9]* bytes [0-9]*/counter/; s/^[[:space:]]*//; /^$/d; s/^/nft /'
ipset list -n | sed 's/^/ipset /'
ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/link \1/'
ip -o address | awk '{print "address", $2, $4}'
ip -4 route show table all | sed 's/ *$//; s/^/route /'
ip -6 route show table all | grep -v '^local fe80:' | sed 's/ *$//; s/^/route6 /'
{ ip rule; ip -6 rule; } | sed 's/^/rule /'
awk '{print "mount", $5, $(NF-2)}' /proc/self/mountinfo
sysctl -a -r '^net\.' | grep -Ev 'random|nf_conntrack_count|\.stable_secret' | sed 's/^/sysctl /'
ss --no-header --listening --tcp --udp --numeric | awk '{print "socket", $1, $5}' | sort -u
for task in /proc/[0-9]*; do
  [ "$task" = /proc/$$ ] || tr '\0' ' ' < "$task/cmdline" | sed 's/ *$//; s/^/process /; s/$/\n/'
done | grep -Ev '^process (sshd|/lib/systemd/systemd (--user|-)|\(sd-pam\)|bash|sh|find|sed|awk|sort|tr|grep)' | sort -u
systemctl list-unit-files --no-legend --no-pager --state=enabled | awk '{print "enabled", $1}'
systemctl list-units --no-legend --no-pager --plain --type=service --state=active | awk '{print "active", $1}'
if command -v ctr >/dev/null; then
  ctr --namespace k8s.io containers list --quiet | sed 's/^/container /'
  ctr --namespace k8s.io tasks list --quiet | sed 's/^/task /'
  ctr --namespace k8s.io images list --quiet | sed 's/^/image /'
  ctr --namespace k8s.io leases list --quiet | sed 's/^/lease /'
  echo "snapshots $(ctr --namespace k8s.io snapshots list | wc -l)"
fi
true
"""


@dataclass(frozen=True)
class Difference:
    """Lines that only one of two recordings has."""

    gone: tuple[str, ...]
    new: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([*(f"- {line}" for line in self.gone), *(f"+ {line}" for line in self.new)])

    def __bool__(self) -> bool:
        return bool(self.gone or self.new)


def record(host: str) -> list[str]:
    """What the host shows now."""
    lines = ssh(host, _SCRIPT, timeout=300).splitlines()
    return sorted({line for line in lines if line.strip()})


def kept() -> tuple[str, ...]:
    """The patterns of what a reset keeps, as the document for people lists them."""
    return tuple(match["pattern"] for match in _ROW.finditer(DOCUMENT.read_text()))


def difference(before: list[str], after: list[str], patterns: tuple[str, ...] = ()) -> Difference:
    """What two recordings differ in, without what a pattern of kind and name (``file /etc/hosts``) stands for."""

    def open_lines(one: list[str], other: list[str]) -> tuple[str, ...]:
        known = set(other)
        only = [line for line in one if line not in known]
        return tuple(line for line in only if not any(fnmatch.fnmatchcase(line, pattern) for pattern in patterns))

    return Difference(open_lines(before, after), open_lines(after, before))
