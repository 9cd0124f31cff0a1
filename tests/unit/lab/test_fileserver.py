from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.lab.fileserver import Handler, requested_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=4-", (4, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes=0-1,4-5", None),
        ("bytes=5-2", None),
        ("lines=1-2", None),
        ("bytes=-", None),
    ],
)
def test_a_range_of_ten_bytes(header: str, wanted: tuple[int, int] | None) -> None:
    assert requested_range(header, 10) == wanted


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_without_a_byte_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="no byte"):
        requested_range(header, 10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HTTPConnection]:
    (tmp_path / "dl.example").mkdir()
    (tmp_path / "dl.example" / "file").write_bytes(b"0123456789")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    yield connection
    connection.close()
    server.shutdown()
    server.server_close()
    thread.join()


def get(server: HTTPConnection, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    server.request(method, path, headers=headers)
    response = server.getresponse()
    return response, response.read()


def test_whole_part_and_head_on_one_kept_connection(server: HTTPConnection) -> None:
    whole, body = get(server, "/dl.example/file")
    assert (whole.status, body, whole.headers["Accept-Ranges"]) == (200, b"0123456789", "bytes")
    part, body = get(server, "/dl.example/file", Range="bytes=4-")
    assert (part.status, body, part.headers["Content-Range"]) == (206, b"456789", "bytes 4-9/10")
    head, body = get(server, "/dl.example/file", method="HEAD", Range="bytes=4-5")
    assert (head.status, body, head.headers["Content-Length"]) == (206, b"", "2")
    again, body = get(server, "/dl.example/file")
    assert (again.status, body) == (200, b"0123456789")


def test_a_finished_download_has_nothing_to_resume(server: HTTPConnection) -> None:
    response, _unused = get(server, "/dl.example/file", Range="bytes=10-")
    assert (response.status, response.headers["Content-Range"]) == (416, "bytes */10")


@pytest.mark.parametrize("path", ["/nosuch", "/dl.example/", "/../../etc/passwd"])
def test_only_files_below_the_directory(server: HTTPConnection, path: str) -> None:
    response, _unused = get(server, path)
    assert response.status == 404
