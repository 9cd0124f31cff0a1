# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """The options of every module that talks to the Kubernetes API."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The cluster and the credentials to use. Either the path of a kubeconfig file on the host the module runs on,
        or the content of a kubeconfig as a mapping. Content is never left in a file.
      - A file is read again when its credentials are no longer accepted, so that they may be rotated.
      - The server's certificate is always verified; a kubeconfig with V(insecure-skip-tls-verify) is refused.
      - Required, except in check mode. In check mode without it the module plans against a cluster that holds nothing,
        so that a first run can be planned before a cluster exists.
    type: raw
  api_servers:
    description:
      - URLs (V(https://)) of API servers to use instead of the kubeconfig's server. The first one that answers
        C(/readyz) is used; when it fails later, the next.
      - Their certificates are verified against the kubeconfig's authority, under the name of the kubeconfig's server
        when that is a name and not an address.
    type: list
    elements: str
requirements:
  - kubernetes (Python library)
"""
