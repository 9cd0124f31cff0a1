# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import ssl
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils import _artifact_fetch as fetch_module
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import Limits
from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact_fetch import (
    Download,
    Fetched,
    fetch_all,
    published_checksum,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError

from tests.unit.plugins.module_utils.artifact_fake import Web, serve

BODY = bytes(range(256)) * 12_000
"""3 MB: more than one MiB of progress, and more than one chunk."""
SHA = hashlib.sha256(BODY).hexdigest()
SHA512 = hashlib.sha512(BODY).hexdigest()


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serve() as web:
        yield web


@pytest.fixture
def web(server: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.pages.clear()
    server.requests.clear()
    return server


def download(web: Web, path: str = "/f", sha256: str = SHA, **options: Any) -> Download:
    return Download(
        web.url + path, sha256, options.pop("sha256_url", ""), path.rpartition("/")[2], "artifacts[0]", **options
    )


def fetch(tmp_path: Path, *downloads: Download, **limits: Any) -> dict[Download, Fetched]:
    naps: list[float] = limits.pop("naps", [])
    limits.setdefault("retries", 2)
    return fetch_all(downloads, str(tmp_path / "partial"), str(tmp_path), Limits(sleep=naps.append, **limits))


def refused(tmp_path: Path, *downloads: Download, **limits: Any) -> str:
    with pytest.raises(HostError) as caught:
        fetch(tmp_path, *downloads, **limits)
    assert all(finding.remedy for finding in caught.value.findings)
    return str(caught.value)


class TestGood:
    def test_bytes_come_and_are_proven(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY)
        done = fetch(tmp_path, download(web))
        assert list(done.values()) == [Fetched(str(tmp_path / "partial" / SHA), SHA)]
        assert (tmp_path / "partial" / SHA).read_bytes() == BODY

    def test_what_is_complete_is_not_fetched_again(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY)
        fetch(tmp_path, download(web))
        fetch(tmp_path, download(web))
        assert web.count("/f") == 1

    def test_the_same_bytes_are_fetched_once(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY)
        web.put("/g", BODY)
        done = fetch(tmp_path, download(web), download(web), download(web, "/g"))
        assert len(done) == 2
        assert len(web.requests) == 1

    def test_an_empty_file_is_a_file(self, web: Web, tmp_path: Path) -> None:
        sha = web.put("/f", b"")
        fetch(tmp_path, download(web, sha256=sha))
        assert (tmp_path / "partial" / sha).read_bytes() == b""

    def test_redirects_are_followed(self, web: Web, tmp_path: Path) -> None:
        web.put("/g", BODY)
        web.put("/f", b"", redirect=web.url + "/g")
        fetch(tmp_path, download(web))

    def test_many_run_at_once_and_no_more_than_allowed(
        self, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workers = []
        really = fetch_module.ThreadPoolExecutor

        def pool(max_workers: int) -> Any:
            workers.append(max_workers)
            return really(max_workers)

        monkeypatch.setattr(fetch_module, "ThreadPoolExecutor", pool)
        shas = [web.put(f"/{n}", str(n).encode() * 1000) for n in range(9)]
        done = fetch(tmp_path, *(download(web, f"/{n}", sha) for n, sha in enumerate(shas)), parallel=3)
        assert (len(done), workers) == (9, [3])


class TestBroken:
    def test_a_cut_connection_is_resumed_where_it_ended(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY, cut=[1_000_000, 500_000])
        fetch(tmp_path, download(web))
        assert web.requests == [("/f", ""), ("/f", "bytes=1000000-"), ("/f", "bytes=1500000-")]

    def test_the_next_run_resumes_too(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY, cut=[1_000_000, 0, 0, 0])
        assert "the connection ended after 1000000 of 3072000 bytes" in refused(tmp_path, download(web))
        web.put("/f", BODY)
        web.requests.clear()
        fetch(tmp_path, download(web))
        assert web.requests == [("/f", "bytes=1000000-")]

    def test_a_server_without_ranges_starts_over(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY, cut=[1_000_000], ranges=False)
        fetch(tmp_path, download(web))
        assert (tmp_path / "partial" / SHA).read_bytes() == BODY

    def test_another_range_than_asked_for_is_not_believed(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY, cut=[1_000_000], wrong_range=True)
        fetch(tmp_path, download(web))
        assert web.requests[-1] == ("/f", "")

    def test_a_partial_of_something_else_is_thrown_away(self, web: Web, tmp_path: Path) -> None:
        (tmp_path / "partial").mkdir()
        for rest in (b"x" * 10, b"x" * len(BODY), BODY + b"x"):
            web.put("/f", BODY)
            (tmp_path / "partial" / SHA).write_bytes(rest)
            fetch(tmp_path, download(web))
            assert (tmp_path / "partial" / SHA).read_bytes() == BODY

    def test_a_line_that_is_slow_but_works_is_not_given_up(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY * 3, cut=[1_100_000] * 8)
        naps: list[float] = []
        fetch(tmp_path, download(web, sha256=hashlib.sha256(BODY * 3).hexdigest()), retries=1, naps=naps)
        assert len(naps) == 8

    def test_an_answer_without_length_is_judged_by_its_bytes(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY, length=False)
        fetch(tmp_path, download(web))

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_busy_server_is_asked_again_after_growing_pauses(self, web: Web, tmp_path: Path, status: int) -> None:
        web.put("/f", BODY, statuses=[status, status])
        naps: list[float] = []
        fetch(tmp_path, download(web), naps=naps)
        assert 0.4 <= naps[0] <= 0.6
        assert 0.8 <= naps[1] <= 1.2

    def test_a_server_that_names_a_time_is_given_it_within_reason(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY, statuses=[503], headers={"Retry-After": "7"})
        naps: list[float] = []
        fetch(tmp_path, download(web), naps=naps)
        web.put("/g", BODY[1:], statuses=[503], headers={"Retry-After": "7000"})
        fetch(tmp_path, download(web, "/g", hashlib.sha256(BODY[1:]).hexdigest()), naps=naps)
        assert naps == [7.0, 30.0]

    def test_it_gives_up_with_the_url_and_the_remedy(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY, statuses=[500] * 9)
        message = refused(tmp_path, download(web))
        assert f"{web.url}/f: HTTP status 500" in message
        assert "after 3 tries" in message
        assert web.count("/f") == 3

    @pytest.mark.parametrize(
        ("status", "words"), [(404, "see that the version and the URL exist"), (403, "asks of this host")]
    )
    def test_a_clear_no_is_not_asked_again(self, web: Web, tmp_path: Path, status: int, words: str) -> None:
        web.put("/f", BODY, statuses=[status] * 9)
        assert words in refused(tmp_path, download(web))
        assert web.count("/f") == 1

    def test_wrong_bytes_are_never_kept(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", b"evil" * 1000)
        message = refused(tmp_path, download(web))
        assert SHA in message
        assert hashlib.sha256(b"evil" * 1000).hexdigest() in message
        assert (tmp_path / "partial" / SHA).read_bytes() == b""
        assert web.count("/f") == 1

    def test_wrong_bytes_after_a_resume_are_fetched_afresh_once(self, web: Web, tmp_path: Path) -> None:
        (tmp_path / "partial").mkdir()
        (tmp_path / "partial" / SHA).write_bytes(b"xyz")
        web.put("/f", b"evil" * 1000)
        refused(tmp_path, download(web))
        assert web.requests == [("/f", "bytes=3-"), ("/f", "")]

    def test_nobody_listens(self, tmp_path: Path) -> None:
        gone = Download("http://127.0.0.1:9/f", SHA, "", "f", "artifacts[0]")
        assert "set mirror" in refused(tmp_path, gone)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:bad/f", "http://127.0.0.1/é", "http://127.0.0.1/a b"])
    def test_an_odd_url_is_a_finding_and_no_traceback(self, tmp_path: Path, url: str) -> None:
        assert url in refused(tmp_path, Download(url, SHA, "", "f", "artifacts[0]"))

    def test_all_failures_are_told_and_what_is_complete_is_kept(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY)
        bad = [download(web, "/none", "0" * 64), download(web, "/none2", "1" * 64)]
        message = refused(tmp_path, bad[0], download(web), bad[1])
        assert "/none:" in message
        assert "/none2:" in message
        web.requests.clear()
        fetch(tmp_path, download(web))
        assert web.requests == []

    def test_https_does_not_lead_to_http(self, tmp_path: Path) -> None:
        request = fetch_module.urllib.request.Request("https://a/f")
        with pytest.raises(fetch_module._Refused, match="redirects from https"):
            fetch_module._SecureRedirects().redirect_request(request, None, 302, "", {}, "http://b/f")

    def test_an_untrusted_certificate_is_told_and_not_tried_again(self) -> None:
        error = ssl.SSLCertVerificationError("no")
        error.verify_message = "self-signed certificate"
        refusal = fetch_module._connection_error(urllib.error.URLError(error).reason)
        assert isinstance(refusal, fetch_module._Refused)
        assert "self-signed certificate" in str(refusal)
        assert "trust store" in refusal.remedy


class TestSpace:
    def test_a_full_disk_is_found_before_the_bytes_come(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY)
        message = refused(tmp_path, download(web), free=lambda _path: 66 << 20)
        assert "2 MiB and 64 MiB to spare are needed, and 66 MiB are free" in message
        assert "make room" in message
        assert (tmp_path / "partial" / SHA).read_bytes() == b""

    def test_downloads_at_once_do_not_count_on_the_same_room(self) -> None:
        space = fetch_module._Space(("/a",), lambda _path: (64 + 15) << 20)
        space.reserve(10 << 20)
        with pytest.raises(fetch_module._Refused):
            space.reserve(10 << 20)
        space.release(10 << 20)
        space.reserve(10 << 20)

    def test_an_archive_needs_room_for_its_content_too(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY)
        assert "14 MiB and 64 MiB to spare are needed" in refused(
            tmp_path, download(web, room=5), free=lambda _path: 64 << 20
        )

    def test_all_room_is_given_back(self, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spaces = []
        really = fetch_module._Space

        def space(*arguments: Any) -> Any:
            spaces.append(really(*arguments))
            return spaces[-1]

        monkeypatch.setattr(fetch_module, "_Space", space)
        web.put("/f", BODY, cut=[1_000_000], ranges=False)
        fetch(tmp_path, download(web, room=5))
        assert spaces[0]._promised == 0


class TestPublished:
    A, B = "a" * 64, "B" * 64

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (A, A),
            (f"{A}\n", A),
            (f"{B}\n", B.lower()),
            (f"{A}  f.tgz\n", A),
            (f"{B}  other\n{A} *f.tgz\n", A),
            (f"# list\n{B}  x-f.tgz\n\n{A}  ./dist/f.tgz\n", A),
        ],
    )
    def test_the_checksum_of_a_file_is_found(self, text: str, expected: str) -> None:
        assert published_checksum(text, "f.tgz") == expected

    @pytest.mark.parametrize(
        "text", ["", "<html>404</html>", f"{A}  other.tgz\n", f"{A}\n{B}\n", A[:63], f"{A}x  f.tgz"]
    )
    def test_a_list_without_it_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"none of them for f\.tgz"):
            published_checksum(text, "f.tgz")

    def test_it_is_fetched_first_and_proves_the_bytes(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY)
        web.put("/f.sha256", f"{SHA}  f\n".encode(), statuses=[503])
        done = fetch(tmp_path, download(web, sha256="", sha256_url=web.url + "/f.sha256"))
        assert [fetched.sha256 for fetched in done.values()] == [SHA]

    def test_a_sha512_proves_them_too_and_the_sha256_is_remembered(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY)
        web.put("/f.sha512", f"{SHA512}  f\n".encode())
        done = fetch(tmp_path, download(web, sha256="", sha256_url=web.url + "/f.sha512"))
        assert [fetched.sha256 for fetched in done.values()] == [SHA]

    def test_other_bytes_than_those_of_the_sha512_are_refused(self, web: Web, tmp_path: Path) -> None:
        web.put("/f", BODY[:-1])
        web.put("/f.sha512", f"{SHA512}  f\n".encode())
        message = refused(tmp_path, download(web, sha256="", sha256_url=web.url + "/f.sha512"))
        assert f"not {SHA512}" in message
        assert "the SHA-512" in message

    def test_a_useless_list_names_its_url(self, web: Web, tmp_path: Path) -> None:
        web.put("/f.sha256", b"nothing")
        message = refused(tmp_path, download(web, sha256="", sha256_url=web.url + "/f.sha256"))
        assert "/f.sha256 is of no use" in message
        assert web.count("/f") == 0

    def test_a_checksum_that_does_not_exist_names_both_urls(self, web: Web, tmp_path: Path) -> None:
        message = refused(tmp_path, download(web, sha256="", sha256_url=web.url + "/f.sha256"))
        assert web.url + "/f.sha256" in message


def test_proxies_come_from_the_environment(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.put("http://upstream.example/f", BODY)  # a proxy is asked for the whole URL
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.setenv("no_proxy", "")
    fetch(tmp_path, Download("http://upstream.example/f", SHA, "", "f", "artifacts[0]"))
    assert web.requests == [("http://upstream.example/f", "")]


def test_partial_downloads_are_private(web: Web, tmp_path: Path) -> None:
    web.put("/f", BODY)
    fetch(tmp_path, download(web))
    assert os.stat(tmp_path / "partial").st_mode & 0o777 == 0o700
