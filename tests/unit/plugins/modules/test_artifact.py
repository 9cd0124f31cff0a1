# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hybridk8s.estate.plugins.modules import artifact

from tests.unit.plugins.module_utils.artifact_fake import Web, serve


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.delenv("http_proxy", raising=False)
    with serve() as web:
        yield web


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    umask = os.umask(0o077)

    def run(options: dict[str, Any], **internal: Any) -> tuple[int, dict[str, Any]]:
        arguments = {"root": str(tmp_path), **options, **{f"_ansible_{key}": value for key, value in internal.items()}}
        with patch_module_args(arguments), pytest.raises(SystemExit) as caught:
            artifact.main()
        return int(caught.value.code or 0), json.loads(capsys.readouterr().out)

    yield run
    os.umask(umask)


def options(web: Web) -> dict[str, Any]:
    file = {
        "url": "https://dl.k8s.io/{arch}/kubelet",
        "sha256": web.put("/dl.k8s.io/amd64/kubelet", b"k"),
        "dest": "kubelet",
    }
    kubernetes = {"name": "kubernetes", "version": "1", "files": [file], "links": {"/usr/local/bin/kubelet": "kubelet"}}
    return {"artifacts": [kubernetes], "mirror": web.url, "retries": 0}


def test_check_then_install_then_nothing(web: Web, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", "6", "1", "x86_64")))
    rc, planned = call(options(web), check_mode=True, diff=True)
    assert (rc, planned["changed"], os.listdir(tmp_path)) == (0, True, [])
    rc, done = call(options(web), diff=True)
    assert (rc, done["changed"], done["switched"]) == (0, True, ["kubernetes"])
    assert (done["steps"], done["diff"]) == (planned["steps"], planned["diff"])
    assert done["diff"][1]["after"] == "link to /usr/local/lib/hybridk8s/kubernetes/1/kubelet\n"
    rc, again = call(options(web), diff=True)
    assert (rc, again["changed"], again["steps"], again["switched"]) == (0, False, [], [])


def test_all_may_run_what_is_installed_whatever_the_umask(web: Web, call: Any, tmp_path: Path) -> None:
    web.put("/dl.k8s.io/arm64/kubelet", b"k")
    call(options(web))
    for path in ("usr", "usr/local/lib/hybridk8s/kubernetes/1", "usr/local/lib/hybridk8s/kubernetes/1/kubelet"):
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o755, path


def test_a_failure_says_what_and_changes_nothing(web: Web, call: Any, tmp_path: Path) -> None:
    wanted = options(web)
    web.pages.clear()
    rc, failed = call(wanted)
    assert (rc, failed["failed"], failed["changed"], failed["steps"]) == (1, True, False, [])
    assert f"{web.url}/dl.k8s.io/" in failed["msg"]
    assert "Remedy:" in failed["msg"]
    assert not (tmp_path / "usr/local/bin").exists()


def test_wrong_options_are_told_at_once(web: Web, call: Any) -> None:
    wanted = options(web)
    wanted["artifacts"][0].update(version="a/b", links={"x": "y"})
    rc, failed = call(wanted)
    assert rc == 1
    assert ["artifacts[0].version" in failed["msg"], "artifacts[0].links" in failed["msg"]] == [True, True]
