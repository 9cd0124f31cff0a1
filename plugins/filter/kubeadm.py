# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm's configuration from inventory values, and who may create a cluster; thin over ``_kubeadm``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeadm


def kubeadm_init(node: Mapping[str, Any], cluster: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _asked(lambda: _kubeadm.init_documents(_kubeadm.cluster_from(cluster), _kubeadm.node_from(node)))


def kubeadm_join(node: Mapping[str, Any], control_plane: bool = False) -> list[dict[str, Any]]:
    return _asked(lambda: _kubeadm.join_documents(_kubeadm.node_from(node), control_plane))


def kubeadm_discovery(kubeconfig: Mapping[str, Any], server: str = "") -> dict[str, Any]:
    return _asked(lambda: _kubeadm.discovery_from_kubeconfig(kubeconfig, server))


def kubeadm_initializer(observations: Mapping[str, str]) -> dict[str, str]:
    return asdict(_kubeadm.initializer(observations))


def _asked(build: Callable[[], Any]) -> Any:
    try:
        return build()
    except _kubeadm.SpecError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filters of the same names, each documented in a file beside this one."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "kubeadm_init": kubeadm_init,
            "kubeadm_join": kubeadm_join,
            "kubeadm_discovery": kubeadm_discovery,
            "kubeadm_initializer": kubeadm_initializer,
        }
