# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_options import Wanted, parse


def variables(error: HostError) -> list[str]:
    return [finding.variable for finding in error.findings]


@pytest.mark.parametrize(
    ("options", "variable", "words"),
    [
        ({"name": "Kube"}, "name", "lower case"),
        ({"name": "a/b"}, "name", "lower case"),
        ({"files": [{"path": "etc/x", "content": ""}]}, "files[0].path", "start it with /"),
        ({"files": [{"path": "/etc/../x", "content": ""}]}, "files[0].path", "without . or .."),
        ({"files": [{"path": "/etc/x/", "content": ""}]}, "files[0].path", "a / at the end"),
        ({"files": [{"path": "//etc/x", "content": ""}]}, "files[0].path", "absolute"),
        ({"files": [{"path": "/etc/x"}]}, "files[0].content", "no content is given"),
        ({"files": [{"path": "/etc/x", "content": {"a": 1}}]}, "files[0].content", "is a dict, not text"),
        ({"files": [{"path": "/etc/x", "content": 3}]}, "files[0].content", "is a int, not text"),
        ({"files": [{"path": "/etc/x", "state": "directory", "content": ""}]}, "files[0].content", "state directory"),
        ({"files": [{"path": "/etc/x", "state": "link"}]}, "files[0].target", "go together"),
        ({"files": [{"path": "/etc/x", "content": "", "target": "/y"}]}, "files[0].target", "go together"),
        ({"files": [{"path": "/etc/x", "content": "", "mode": "420"}]}, "files[0].mode", '"0644"'),
        ({"files": [{"path": "/etc/x", "content": "", "mode": "u=rw"}]}, "files[0].mode", '"0644"'),
        ({"files": [{"path": "/etc/x", "content": "", "owner": "nobody-here"}]}, "files[0].owner", "knows no"),
        ({"files": [{"path": "/etc/x", "content": "", "group": "nobody-here"}]}, "files[0].group", "knows no"),
        ({"files": [{"path": "/etc/x", "content": "", "validate": ["check"]}]}, "files[0].validate", "{path}"),
        ({"files": [{"path": "/etc", "state": "absent"}]}, "files[0].path", "top directory"),
        (
            {"files": [{"path": "/etc/x", "content": ""}, {"path": "/etc/x", "content": "1"}]},
            "files",
            "/etc/x is there more than once",
        ),
        (
            {"files": [{"path": "/etc/x", "state": "absent"}, {"path": "/etc/x/y", "content": ""}]},
            "files[0].path",
            "/etc/x/y shall be in it",
        ),
        (
            {"files": [{"path": "/etc/h", "content": ""}], "blocks": [{"path": "/etc/h", "marker": "m"}]},
            "blocks[0].path",
            "in files too",
        ),
        ({"blocks": [{"path": "/etc/h", "marker": "two words"}]}, "blocks[0].marker", "one word"),
        ({"blocks": [{"path": "h", "marker": "m"}]}, "blocks[0].path", "start it with /"),
        ({"sysctls": {"net.ipv4.ip_forward": True}}, "sysctls.net.ipv4.ip_forward", "1 for on"),
        ({"sysctls": {"net.ipv4.ip_forward": None}}, "sysctls.net.ipv4.ip_forward", "no value"),
        ({"sysctls": {"a.b": "1\n2"}}, "sysctls.a.b", "no value"),
        ({"sysctls": {"a.b": {"val": 1}}}, "sysctls.a.b", "has the keys val"),
        ({"sysctls": {"ip_forward": 1}}, "sysctls.ip_forward", "no sysctl name"),
        ({"sysctls": {"net.ipv4.*": 1}}, "sysctls.net.ipv4.*", "no sysctl name"),
        ({"sysctls": {"net/../../etc/x": 1}}, "sysctls.net/../../etc/x", "no sysctl name"),
        ({"kernel_modules": ["over lay"]}, "kernel_modules", "no name"),
        ({"kernel_modules": ["-r"]}, "kernel_modules", "no name"),
        ({"units": [{"name": "kubelet"}]}, "units[0].name", "kubelet.service"),
        ({"units": [{"name": "--now.service x.service"}]}, "units[0].name", "no full unit name"),
        ({"units": [{"name": "a.service"}, {"name": "a.service"}]}, "units", "more than once"),
        ({"units": [{"name": "a.service", "watch": ["etc"]}]}, "units[0].watch", "start it with /"),
        (
            {"units": [{"name": "a.service", "state": "stopped", "watch": ["/etc/a"]}]},
            "units[0].watch",
            "shall be stopped",
        ),
    ],
)
def test_a_wrong_option_is_named_with_its_remedy(options: dict[str, Any], variable: str, words: str) -> None:
    with pytest.raises(HostError) as caught:
        parse({"name": "x", **options})
    assert variable in variables(caught.value)
    assert words in str(caught.value)
    assert all(finding.remedy for finding in caught.value.findings)


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(HostError) as caught:
        parse(
            {
                "name": "X",
                "files": [{"path": "x", "content": "", "mode": "7"}],
                "sysctls": {"a": 1},
                "units": [{"name": "u"}],
            }
        )
    assert variables(caught.value) == ["name", "files[0].path", "files[0].mode", "sysctls.a", "units[0].name"]


def test_options_become_typed() -> None:
    wanted = parse(
        {
            "name": "x",
            "files": [{"path": "/etc/x", "content": "é\n", "mode": "0640", "owner": "root", "group": "0"}],
            "sysctls": {"net.ipv4.tcp_rmem": "4096\t87380  6291456", "vm.swappiness": {"value": 0, "optional": True}},
            "kernel_modules": ["overlay", "overlay"],
            "swap": "off",
            "units": [{"name": "kubelet@1.service", "watch": ["/etc/kubernetes/", "/usr/local/bin/kube*"]}],
        }
    )
    file = wanted.files[0]
    assert (file.content, file.mode, file.uid, file.gid) == ("é\n".encode(), 0o640, 0, 0)
    assert [(sysctl.key, sysctl.value, sysctl.optional) for sysctl in wanted.sysctls] == [
        ("net.ipv4.tcp_rmem", "4096 87380 6291456", False),
        ("vm.swappiness", "0", True),
    ]
    assert wanted.kernel_modules == ("overlay",)
    assert wanted.swap_off
    assert wanted.units[0].watch == ("/etc/kubernetes/", "/usr/local/bin/kube*")


def test_what_shall_be_absent_may_keep_its_other_options() -> None:
    """``state: "{{ 'file' if x else 'absent' }}"`` is how a role says that a file depends on a variable."""
    file = {"path": "/etc/x", "state": "absent", "content": "x", "target": "/y", "mode": "0644"}
    assert parse({"name": "x", "files": [file]}).files[0].state == "absent"


def test_a_name_alone_asks_for_nothing() -> None:
    assert parse({"name": "x"}) == Wanted("x")
