# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import Record, Source, parse
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError

SHA = "a" * 64
FILE = {"url": "https://dl.k8s.io/kubelet", "sha256": SHA, "dest": "kubelet"}


def artifact(**options: Any) -> dict[str, Any]:
    return {"name": "kubernetes", "version": "1.36.3", "files": [FILE], **options}


@pytest.mark.parametrize(
    ("options", "variable", "words"),
    [
        ({"name": "a/b"}, "artifacts[0].name", "letters, digits"),
        ({"name": ".hidden"}, "artifacts[0].name", "letters, digits"),
        ({"version": ".."}, "artifacts[0].version", "letters, digits"),
        ({"version": ""}, "artifacts[0].version", "letters, digits"),
        ({"files": []}, "artifacts[0]", "neither files nor an archive"),
        ({"files": [FILE, FILE]}, "artifacts[0].files", "more than once"),
        ({"files": [{**FILE, "dest": "../x"}]}, "artifacts[0].files[0].dest", "inside"),
        ({"files": [{**FILE, "dest": "/x"}]}, "artifacts[0].files[0].dest", "inside"),
        ({"files": [{**FILE, "dest": "a/./b"}]}, "artifacts[0].files[0].dest", "inside"),
        ({"files": [{**FILE, "dest": ".installed.json"}]}, "artifacts[0].files[0].dest", "record"),
        ({"files": [{**FILE, "mode": "493"}]}, "artifacts[0].files[0].mode", '"0755"'),
        ({"files": [{**FILE, "sha256": "abc"}]}, "artifacts[0].files[0].sha256", "64 hexadecimal"),
        ({"files": [{**FILE, "sha256": None}]}, "artifacts[0].files[0]", "must be pinned once"),
        (
            {"files": [{**FILE, "sha256_url": "https://dl.k8s.io/kubelet.sha256"}]},
            "artifacts[0].files[0]",
            "must be pinned once",
        ),
        ({"files": [{**FILE, "sha256": {"arm64": SHA}}]}, "artifacts[0].files[0].sha256", "no checksum for amd64"),
        (
            {"files": [{**FILE, "sha256": None, "sha256_url": "http://dl.k8s.io/kubelet.sha256"}]},
            "artifacts[0].files[0].sha256_url",
            "plain http pins nothing",
        ),
        ({"files": [{**FILE, "url": "ftp://x/y"}]}, "artifacts[0].files[0].url", "no http(s) URL"),
        ({"files": [{**FILE, "url": "/etc/passwd"}]}, "artifacts[0].files[0].url", "no http(s) URL"),
        ({"links": {"usr/bin/x": "kubelet"}}, "artifacts[0].links", "absolute"),
        ({"links": {"/usr/bin/../x": "kubelet"}}, "artifacts[0].links", "absolute"),
        ({"links": {"/usr/bin/x": "../kubelet"}}, "artifacts[0].links", "inside"),
        ({"links": {"/usr/bin/x": "kubectl"}}, "artifacts[0].links", "no dest of files"),
        ({"keep": -1}, "artifacts[0].keep", "0 or more"),
        ({"archive": {"url": "https://x/y.tgz"}}, "artifacts[0].archive", "must be pinned once"),
    ],
)
def test_a_wrong_option_is_named_with_its_remedy(options: dict[str, Any], variable: str, words: str) -> None:
    with pytest.raises(HostError) as caught:
        parse({"artifacts": [artifact(**options)]}, "x86_64")
    assert variable in [finding.variable for finding in caught.value.findings]
    assert words in str(caught.value)


def test_all_wrong_options_are_told_at_once() -> None:
    twice = artifact(links={"/usr/bin/kubelet": "kubelet"})
    with pytest.raises(HostError) as caught:
        parse({"artifacts": [twice, twice, artifact(name="?", version="!")]}, "x86_64")
    assert [finding.variable for finding in caught.value.findings] == [
        "artifacts[2].name",
        "artifacts[2].version",
        "artifacts",
        "artifacts",
    ]


@pytest.mark.parametrize(
    ("machine", "architecture"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")]
)
def test_the_architecture_chooses_url_and_checksum(machine: str, architecture: str) -> None:
    file = {
        "url": "https://dl.k8s.io/{arch}/kubelet-{arch}.{machine}",
        "sha256": {"amd64": "A" * 64, "arm64": "b" * 64, "riscv64": "c" * 64},
        "dest": "kubelet",
    }
    [wanted] = parse({"artifacts": [artifact(files=[file])]}, machine)
    source = wanted.files[0].source
    assert source.url == f"https://dl.k8s.io/{architecture}/kubelet-{architecture}.{machine}"
    assert source.sha256 == {"amd64": "a", "arm64": "b", "riscv64": "c"}[architecture] * 64


def test_a_mirror_may_be_plain_http() -> None:
    file = {**FILE, "sha256": None, "sha256_url": "http://dl.k8s.io/kubelet.sha256"}
    parse({"artifacts": [artifact(files=[file])], "mirror": "http://mirror"}, "x86_64")


@pytest.mark.parametrize(
    ("source", "recorded", "same"),
    [
        (Source("https://a", SHA, ""), {"url": "https://a", "sha256": SHA}, True),
        (Source("https://a", SHA, ""), {"url": "https://a", "sha256": "b" * 64}, False),
        (Source("https://a", "", "https://s"), {"url": "https://a", "sha256": SHA}, True),
        (Source("https://a", SHA, ""), {"url": "https://b", "sha256": SHA}, False),
        (Source("https://a", SHA, ""), {}, False),
    ],
)
def test_a_source_is_told_by_url_and_bytes(source: Source, recorded: dict[str, str], same: bool) -> None:
    assert source.is_that_of(recorded) is same


@pytest.mark.parametrize("raw", [{}, {"sources": 1, "archive": [], "entries": {"x": 3}}, {"entries": None}])
def test_a_damaged_record_is_empty(raw: dict[str, Any]) -> None:
    assert Record.from_dict(raw) == Record({}, {}, {})
