# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM as it is looked at: its files, what ip prints, and a metadata service that insists on its token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, Ran
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway import observe
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.host import Rule
from ansible_collections.hybridk8s.estate.plugins.modules import terway_host

from tests.unit.plugins.modules.cluster_fake import run

ANSWERS = {
    "region-id": "cn-lab",
    "zone-id": "cn-lab-a",
    "instance-id": "i-1",
    "instance/instance-type": "ecs.g7.xlarge",
    "vswitch-id": "vsw-n1",
    "mac": "00:16:3e:00:00:01",
    "ram/security-credentials/": "NodeRole\n",
}
PRINTED = {
    "route show default": [{"dst": "default", "gateway": "172.20.1.253", "dev": "eth0"}],
    "link show dev eth0": [{"ifname": "eth0", "address": "00:16:3E:00:00:01"}],
    "rule show": [
        {"priority": 0, "src": "all", "table": "local"},
        {"priority": 512, "src": "all", "dst": "172.20.2.1", "table": "main"},
        {"priority": 2048, "src": "172.20.2.1", "table": "1003"},
    ],
    "route show table 1003": [{"dst": "default", "gateway": "172.20.2.253", "dev": "eth1"}],
}


class Service(BaseHTTPRequestHandler):
    """Alibaba's metadata service: no token, no answer."""

    answers: dict[str, str]

    def do_PUT(self) -> None:
        self.answer(200 if "X-aliyun-ecs-metadata-token-ttl-seconds" in self.headers else 400, "t0ken")

    def do_GET(self) -> None:
        if self.headers["X-aliyun-ecs-metadata-token"] != "t0ken":
            return self.answer(403, "")
        text = self.answers.get(self.path.removeprefix("/latest/meta-data/"))
        return self.answer(404 if text is None else 200, text or "")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, str]]]:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    answers = dict(ANSWERS)
    handler = type("Handler", (Service,), {"answers": answers})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", answers
        server.shutdown()


PROGRAMS = ("opt/cni/bin/terway", "usr/local/lib/cni/loopback")


@pytest.fixture
def vm(tmp_path: Path) -> Host:
    for name in (*PROGRAMS, "etc/cni/net.d/10-terway.conflist", "etc/cni/net.d/calico-kubeconfig"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def ip(argv: Sequence[str], _timeout: float) -> Ran:
        assert argv[:3] == ["ip", "-j", "-4"]
        return Ran(0, json.dumps(PRINTED.get(" ".join(argv[3:]), [])))

    return Host(str(tmp_path), ip)


def test_what_a_vm_shows(vm: Host, service: tuple[str, dict[str, str]]) -> None:
    seen = observe.observe(vm, observe.Metadata(service[0]), tables=True)
    assert seen.programs == {"terway", "loopback"}
    assert seen.configurations == ("10-terway.conflist",), "a kubeconfig is no configuration of a network"
    assert seen.metadata["zone"] == "cn-lab-a"
    assert (seen.silent, seen.ram_roles) == ({}, ("NodeRole",))
    assert seen.default_mac == "00:16:3e:00:00:01"
    assert seen.rules == (
        Rule(0, "", "", "local"),
        Rule(512, "", "172.20.2.1", "main"),
        Rule(2048, "172.20.2.1", "", "1003"),
    )
    assert seen.tables["1003"] == ("default",)


def test_a_vm_without_a_role_is_no_silence(vm: Host, service: tuple[str, dict[str, str]]) -> None:
    del service[1]["ram/security-credentials/"]
    seen = observe.observe(vm, observe.Metadata(service[0]))
    assert (seen.silent, seen.ram_roles) == ({}, ())


def test_what_does_not_answer_is_named(vm: Host, service: tuple[str, dict[str, str]]) -> None:
    del service[1]["zone-id"]
    assert observe.observe(vm, observe.Metadata(service[0])).silent == {"zone-id": "HTTP 404"}
    nobody = observe.observe(vm, observe.Metadata("http://127.0.0.1:1"))
    assert list(nobody.silent) == ["api/token"]
    assert "refused" in nobody.silent["api/token"]


def test_a_bare_machine_is_told_all_at_once(
    tmp_path: Path, service: tuple[str, dict[str, str]], monkeypatch: Any
) -> None:
    monkeypatch.setattr(terway_host, "Host", lambda: Host(str(tmp_path), lambda _argv, _timeout: Ran(127)))
    options = {"region": "cn-lab", "vswitches": {"cn-lab-b": {"id": "vsw-p"}}, "ram_role": "Other"}
    result = run(terway_host, monkeypatch, metadata=service[0], **options)
    assert [finding["code"] for finding in result["findings"]] == [
        "TW102-no-cni-program",
        "TW106-zone-without-pod-vswitch",
        "TW108-other-ram-role",
    ]
    assert "estate_cloud.pod_vswitches.cn-lab-a" in result["msg"]


def test_a_good_vm_says_what_it_is(vm: Host, service: tuple[str, dict[str, str]], monkeypatch: Any) -> None:
    monkeypatch.setattr(terway_host, "Host", lambda: vm)
    limits = {"ecs.g7.xlarge": {"interfaces": 4, "addresses": 15}}
    options = {"region": "cn-lab", "vswitches": {"cn-lab-a": {"id": "vsw-p"}}, "instance_types": limits}
    result = run(terway_host, monkeypatch, metadata=service[0], running=True, pods=["172.20.2.1"], **options)
    assert (result.get("failed"), result["changed"], result["max_pods"]) == (None, False, 47)
    assert result["instance"]["provider_id"] == "cn-lab.i-1"


def test_options_that_make_no_sense(service: tuple[str, dict[str, str]], monkeypatch: Any) -> None:
    result = run(terway_host, monkeypatch, metadata=service[0], region="cn-lab", vswitches={"cn-lab-a": "vsw-p"})
    assert "vswitches or instance_types are not as they should be" in result["msg"]
