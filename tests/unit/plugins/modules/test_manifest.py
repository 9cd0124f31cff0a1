# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.hybridk8s.estate.plugins.modules import manifest

from tests.unit.plugins.modules.cluster_fake import run

TEXT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: 1}\n"
CHECKSUM = hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.fixture
def src(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(TEXT)
    return str(file)


@pytest.mark.parametrize("checksum", [None, CHECKSUM, CHECKSUM.upper(), f"sha256:{CHECKSUM}"])
def test_a_plan_against_no_cluster(monkeypatch, src, checksum):
    overlay = {"kind": "ConfigMap", "name": "a", "overlay": {"data": {"x": None, "y": "2"}}}
    result = run(manifest, monkeypatch, check=True, diff=True, src=src, checksum=checksum, overlays=[overlay], set="s")
    assert (result["changed"], result["objects"], result["requests"]) == (True, 1, 0)
    (shown,) = result["diff"]
    assert "y: '2'" in shown["after"]
    assert "x:" not in shown["after"]
    assert "estate.hybridk8s.io/set: s" in shown["after"]


def test_a_wrong_checksum_shows_both(monkeypatch, src):
    result = run(manifest, monkeypatch, check=True, src=src, checksum="sha256:00")
    assert f"has the SHA-256 {CHECKSUM} and not 00" in result["msg"]


def test_an_overlay_that_breaks_a_document_is_found(monkeypatch, src):
    overlay = {"kind": "ConfigMap", "name": "a", "overlay": {"metadata": None}}
    result = run(manifest, monkeypatch, check=True, src=src, overlays=[overlay])
    assert result["msg"] == "document 1 of what the overlays made, a ConfigMap, has no metadata.name."


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "one of the following is required: documents, src, chart"),
        ({"documents": [], "prune": True}, "prune is True but all of the following are missing: set"),
        ({"documents": []}, "kubeconfig is not set"),
        (
            {"src": "http://127.0.0.1:1/x", "checksum": CHECKSUM, "kubeconfig": {"x": 1}},
            "the kubeconfig cannot be used",
        ),
    ],
)
def test_what_is_missing(monkeypatch, params, said):
    result = run(manifest, monkeypatch, **params)
    assert result["failed"] is True
    assert said in result["msg"]
    assert "exception" not in result


def test_what_cannot_be_fetched(monkeypatch):
    result = run(manifest, monkeypatch, check=True, src="http://127.0.0.1:1/x", checksum=CHECKSUM)
    assert result["msg"].startswith("src: http://127.0.0.1:1/x cannot be fetched: ")
