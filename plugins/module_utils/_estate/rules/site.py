# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site around the cluster: mirror, API endpoint, secrets."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules import ranges
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import shown

_ENDPOINT = "kubeadm: controlPlaneEndpoint"
_MIRROR = "containerd hosts.toml; the role container_runtime"


@rule(
    "ES601-mirror-in-cluster-range",
    ERROR,
    "hosts would look for the mirror inside the cluster",
    "Kubernetes: cluster networking, ranges must not overlap",
)
def mirror_in_cluster_range(estate: model.Estate) -> Iterator[Problem]:
    for variable, url in _mirror_urls(estate):
        found = ranges.holder(estate, urlsplit(url).hostname or "")
        if found is not None:
            yield Problem(
                "",
                variable,
                f"{shown(url)} lies in {found.network} ({found.variable}).",
                "Move the mirror or the range.",
            )


@rule("ES602-credentials-in-url", ERROR, "a URL is printed in logs and stored in clear on every host", "docs: secrets")
def credentials_in_url(estate: model.Estate) -> Iterator[Problem]:
    for variable, url in _mirror_urls(estate):
        if "@" in urlsplit(url).netloc:
            yield Problem("", variable, "the URL holds credentials.", "Remove what stands before the @.")


@rule("ES603-half-a-mirror", WARNING, "a site without internet access needs both files and images", _MIRROR)
def half_a_mirror(estate: model.Estate) -> Iterator[Problem]:
    mirror = estate.mirror
    if mirror is None or bool(mirror.downloads) == bool(mirror.registry):
        return
    missing = "registry" if mirror.downloads else "downloads"
    yield Problem(
        "",
        f"estate_mirror.{missing}",
        f"the mirror has no {missing}; these still come from the internet.",
        f"Add {missing}, if the site has it.",
    )


@rule("ES604-mirror-is-loopback", ERROR, "each host would ask itself", _MIRROR)
def mirror_is_loopback(estate: model.Estate) -> Iterator[Problem]:
    for variable, url in _mirror_urls(estate):
        if _is_loopback(urlsplit(url).hostname or ""):
            yield Problem(
                "", variable, f"{shown(url)} is the host itself, on every host.", "Write the mirror's own address."
            )


@rule("ES611-endpoint-is-loopback", ERROR, "each node would talk to itself", _ENDPOINT)
def endpoint_is_loopback(estate: model.Estate) -> Iterator[Problem]:
    endpoint = estate.api_endpoint
    if endpoint is not None and _is_loopback(endpoint.host):
        yield Problem(
            "",
            "estate_api_endpoint",
            f"{endpoint} is the node itself, on every node.",
            "Write the load balancer's address, or leave the variable out to have a local proxy.",
        )


@rule(
    "ES612-endpoint-in-cluster-range", ERROR, "the API must be reachable before there are pods and services", _ENDPOINT
)
def endpoint_in_cluster_range(estate: model.Estate) -> Iterator[Problem]:
    endpoint = estate.api_endpoint
    found = ranges.holder(estate, endpoint.host) if endpoint is not None else None
    if found is not None:
        yield Problem(
            "",
            "estate_api_endpoint",
            f"{endpoint} lies in {found.network} ({found.variable}).",
            "Write an address outside the cluster's ranges.",
        )


@rule("ES613-endpoint-is-no-control-plane", ERROR, "no API server listens there", _ENDPOINT)
def endpoint_is_no_control_plane(estate: model.Estate) -> Iterator[Problem]:
    endpoint = estate.api_endpoint
    for host in estate.hosts.values():
        if endpoint is not None and str(host.address) == endpoint.host and not host.is_control_plane:
            yield Problem(
                host.name,
                "estate_api_endpoint",
                f"{endpoint} is the address of {host.name}, which is no control plane.",
                "Write the load balancer's address, or leave the variable out.",
            )


@rule("ES614-endpoint-is-one-of-many", WARNING, "the cluster would depend on that one control plane", _ENDPOINT)
def endpoint_is_one_of_many(estate: model.Estate) -> Iterator[Problem]:
    endpoint = estate.api_endpoint
    if endpoint is None or len(estate.control_planes) < 2:
        return
    for host in estate.control_planes:
        if str(host.address) == endpoint.host:
            yield Problem(
                host.name,
                "estate_api_endpoint",
                f"{endpoint} is one of {len(estate.control_planes)} control planes; without it, none is reached.",
                "Write a load balancer's address, or leave the variable out to have a proxy on every node.",
            )


@rule("ES621-secret-in-clear", ERROR, "everybody who can read the inventory, or its history, has it", "docs: secrets")
def secret_in_clear(estate: model.Estate) -> Iterator[Problem]:
    for secret in estate.clear_secrets:
        yield Problem(
            secret.host,
            secret.variable,
            "it looks like a secret and stands in clear text.",
            "Encrypt it with ansible-vault or look it up (lookup('ansible.builtin.env', ...)), and change it.",
        )


@rule(
    "ES622-become-on-the-controller", WARNING, "tasks for the API run there and need no other user", "docs: connection"
)
def become_on_the_controller(estate: model.Estate) -> Iterator[Problem]:
    if estate.controller_becomes:
        yield Problem(
            "",
            "ansible_become",
            "it is set for every host, so it holds for the controller as well.",
            "Set it for the groups kubernetes and switches instead of all.",
        )


def _mirror_urls(estate: model.Estate) -> Iterator[tuple[str, str]]:
    if estate.mirror is None:
        return
    for variable, url in (
        ("estate_mirror.downloads", estate.mirror.downloads),
        ("estate_mirror.registry", estate.mirror.registry),
    ):
        if url:
            yield variable, url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return IPv4Address(host).is_loopback
    except ValueError:
        return False
