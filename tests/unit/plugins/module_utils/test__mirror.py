# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._mirror import rewrite

MIRROR = "http://10.98.0.1:8080"


@pytest.mark.parametrize(
    ("url", "mirror", "expected"),
    [
        ("https://dl.k8s.io/v1/bin/kubeadm", MIRROR, f"{MIRROR}/dl.k8s.io/v1/bin/kubeadm"),
        ("https://dl.k8s.io/v1/bin/kubeadm", f"{MIRROR}/", f"{MIRROR}/dl.k8s.io/v1/bin/kubeadm"),
        ("http://host:8443/a?b=c", MIRROR, f"{MIRROR}/host:8443/a?b=c"),
        ("https://dl.k8s.io/v1", None, "https://dl.k8s.io/v1"),
        ("https://dl.k8s.io/v1", "", "https://dl.k8s.io/v1"),
        (f"{MIRROR}/dl.k8s.io/v1", MIRROR, f"{MIRROR}/dl.k8s.io/v1"),
        ("http://10.98.0.1:80801/v1", MIRROR, f"{MIRROR}/10.98.0.1:80801/v1"),
        ("/srv/files/x.yaml", MIRROR, "/srv/files/x.yaml"),
        ("file:///srv/x.yaml", MIRROR, "file:///srv/x.yaml"),
    ],
)
def test_rewrite(url, mirror, expected):
    assert rewrite(url, mirror) == expected
