# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit's drop-in that the role lxcfs writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles/lxcfs"


@pytest.mark.parametrize("in_containers", [True, False])
def test_the_unit_runs_where_it_is_wanted_and_keeps_its_hooks(in_containers: bool) -> None:
    loader = DataLoader()
    files = [
        loader.load_from_file(str(ROLE / kind / "main.yml"), trusted_as_template=True) for kind in ("defaults", "vars")
    ]
    variables = {**files[0], **files[1], "lxcfs_in_containers": in_containers}

    text = Templar(loader=loader, variables=variables).template(trust_as_template("{{ __lxcfs_unit }}"))

    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
    assert lines[0] == "Before=kubelet.service"
    assert ("ConditionVirtualization=" in lines) == in_containers
    assert "ExecStart=/usr/bin/lxcfs --enable-cfs --enable-loadavg /var/lib/lxcfs" in lines
    assert all("=" in line and "\\" not in line and "{" not in line for line in lines), text
    hooks = [line.partition("=")[0] for line in lines if "lxcfs_views.py" in line]
    assert hooks == ["ExecStartPost", "ExecStop", "ExecStopPost"]
