# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm says when it fails, in a few lines a person can act on; pure; private to this collection."""

from __future__ import annotations

import re

MAX_LINES = 12

_RELEVANT = re.compile(
    r"\[ERROR |^error|error:|fatal|failed|couldn't|could not|unable to|timed out|refused|not healthy|unhealthy|x509",
    re.IGNORECASE,
)
_NOISE = re.compile(r"--v=5 or higher|^To see the stack trace|can be made non-fatal|make a check non-fatal")
_SECRETS = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|\b[0-9a-f]{64}\b")

# kubernetes:cmd/kubeadm/app/preflight/checks.go and discovery, join, etcd phases.
_HINTS = (
    (r"\[ERROR Port-", "The port is taken: another kubelet or control plane runs here. Find it with `ss -ltnp`."),
    (
        r"\[ERROR (FileAvailable|DirAvailable)-",
        "Files of an earlier cluster are here. Run hybridk8s.estate.reset with --limit on this host.",
    ),
    (
        r"\[ERROR FileContent--proc-sys-net-ipv",
        "IP forwarding is off. Role kubernetes_node turns it on; run it first.",
    ),
    (r"\[ERROR FileExisting-", "A program that kubeadm needs is missing. Install its package on the host."),
    (r"\[ERROR Swap", "Swap is on. Turn it off, or let the kubelet tolerate it (kubelet setting failSwapOn: false)."),
    (r"\[ERROR (NumCPU|Mem)\]", "The host is smaller than kubeadm asks for."),
    (
        r"\[ERROR SystemVerification\]",
        "The kernel lacks what kubeadm asks for. On cgroup v1 set the kubelet's failCgroupV1: false and name"
        " SystemVerification in ignore_preflight_errors.",
    ),
    (r"\[ERROR CRI\]", "containerd does not answer on the CRI socket. Look at `systemctl status containerd`."),
    (r"\[ERROR ImagePull\]", "An image cannot be pulled. Check the registry mirror and its TLS from this host."),
    (r"\[ERROR KubeletVersion\]", "The kubelet is newer than the control plane. Install the cluster's version."),
    (r"\[ERROR IsPrivilegedUser\]", "kubeadm needs root. Use become."),
    (
        r"Unauthorized|token id .* is invalid|invalid bearer token|could not find a JWS",
        "The bootstrap token is unknown or has expired. Run again: a new one is made for each run.",
    ),
    (
        r"connection refused|no route to host|i/o timeout|no such host|network is unreachable|deadline exceeded",
        "The API cannot be reached from this host through the cluster's endpoint. Check the endpoint's name, the local"
        " load balancer and the route to the control planes.",
    ),
    (
        r"x509|certificate signed by unknown authority",
        "The endpoint answers with a certificate of another CA, or without its own name: it may be another cluster.",
    ),
    (
        r"a Node with name .* already exists",
        "A ready node of this name is in the cluster. Remove it first, or give this host another name.",
    ),
    (
        r"kubeadm-certs|error downloading the secret|decrypt",
        "The uploaded certificates are gone or were encrypted by another key. Run again: they are uploaded anew.",
    ),
    (
        r"etcd cluster is not healthy|etcdserver:|learner|failed to add etcd member|check-etcd",
        "etcd did not accept the member. Check `etcdctl endpoint health --cluster` on a control plane.",
    ),
    (
        r"kubelet is not running|kubelet is not healthy|healthz",
        "The kubelet does not become healthy. Look at `journalctl -u kubelet`.",
    ),
)


def error_lines(output: str, limit: int = MAX_LINES) -> list[str]:
    """The last lines that say what went wrong (the last lines at all when none does), without secrets."""
    lines = [_SECRETS.sub("<secret>", line.strip()) for line in output.splitlines() if line.strip()]
    lines = list(dict.fromkeys(line for line in lines if not _NOISE.search(line)))
    relevant = [line for line in lines if _RELEVANT.search(line)]
    return (relevant or lines)[-limit:]


def failed_checks(output: str) -> list[str]:
    """The names of failed preflight checks, as ``ignorePreflightErrors`` takes them."""
    return list(dict.fromkeys(re.findall(r"\[ERROR ([^\]\s]+)\]", output)))


def hints(output: str) -> list[str]:
    """Remedies for what is recognised in kubeadm's output."""
    found = [hint for pattern, hint in _HINTS if re.search(pattern, output)]
    checks = failed_checks(output)
    if checks:
        found.append(f"A check known to be harmless here can be named in ignore_preflight_errors: {', '.join(checks)}.")
    return found


def report(action: str, output: str) -> str:
    """One message: what failed, kubeadm's own words, and what to do."""
    said = "\n".join(f"  {line}" for line in error_lines(output)) or "  (it said nothing)"
    advice = "".join(f"\nRemedy: {hint}" for hint in hints("\n".join(error_lines(output, 50))))
    return f"{action} failed. kubeadm said:\n{said}{advice}"
