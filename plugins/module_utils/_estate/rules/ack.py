# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registration with ACK: what it takes of the cluster, and where its end of the connection lies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import ERROR, Problem, rule
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import shown

_CREATE = "Alibaba Cloud ACK: CreateCluster"
_NETWORK = "Alibaba Cloud ACK: plan CIDR blocks of a registered cluster"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_SERVICES = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_LARGEST_SERVICES_PREFIX, _SMALLEST_SERVICES_PREFIX = 16, 24
_PEM = "-----BEGIN CERTIFICATE-----"


@rule("ES871-ack-name", ERROR, "the provider refuses the registration", _CREATE)
def ack_name(estate: model.Estate) -> Iterator[Problem]:
    registration = _wanted(estate)
    if registration is None:
        return
    name = registration.name or estate.name
    if name and not _NAME.fullmatch(name):
        variable = "estate_cloud.ack.name" if registration.name else "estate_name"
        yield Problem(
            "",
            variable,
            f"{shown(name)} cannot be a cluster's name in ACK.",
            "Set estate_cloud.ack.name to letters, digits, '-' and '_', at most 63, not beginning with '-' or '_'.",
        )


@rule("ES872-ack-vswitch", ERROR, "the provider's end of the connection needs addresses of the VPC", _CREATE)
def ack_vswitch(estate: model.Estate) -> Iterator[Problem]:
    registration = _wanted(estate)
    if registration is None or estate.cloud is None:
        return
    if not estate.cloud.vpc:
        yield Problem("", "estate_cloud.vpc", "a registration with ACK needs it, and it is not set.", "Add the VPC.")
    if not registration.vswitches and not estate.cloud.node_vswitches:
        yield Problem(
            "",
            "estate_cloud.ack.vswitches",
            "there is none, and estate_cloud.node_vswitches has none either.",
            "Name a vSwitch of the VPC.",
        )
    for index, name in enumerate(registration.vswitches):
        if not name.startswith("vsw-"):
            yield Problem(
                "",
                f"estate_cloud.ack.vswitches[{index}]",
                f"{shown(name)} does not begin with vsw-.",
                "Copy the identifier from the console.",
            )


@rule("ES873-ack-services", ERROR, "the provider refuses the registration, and the range cannot be changed", _NETWORK)
def ack_services(estate: model.Estate) -> Iterator[Problem]:
    services = estate.networks.services
    if _wanted(estate) is None or services is None:
        return
    fits = _LARGEST_SERVICES_PREFIX <= services.prefixlen <= _SMALLEST_SERVICES_PREFIX
    if not fits or not any(services.subnet_of(private) for private in _SERVICES):
        yield Problem(
            "",
            "estate_networks.services",
            f"{services} is not a /{_LARGEST_SERVICES_PREFIX} to /{_SMALLEST_SERVICES_PREFIX} of private addresses,"
            " as ACK wants services to be.",
            "Use such a range before the cluster is made; one that is there cannot be registered.",
        )


@rule("ES874-ack-authority", ERROR, "the agent's endpoint could not be verified", "TLS")
def ack_authority(estate: model.Estate) -> Iterator[Problem]:
    registration = _wanted(estate)
    if registration is not None and registration.authority and _PEM not in registration.authority:
        yield Problem(
            "",
            "estate_cloud.ack.authority",
            "it holds no certificate in PEM.",
            "Write the certificate itself, for instance with lookup('ansible.builtin.file', ...).",
        )


def _wanted(estate: model.Estate) -> model.Ack | None:
    registration = estate.cloud.ack if estate.cloud is not None else None
    return registration if registration is not None and registration.state == model.ACK_STATES[0] else None
