"""Serve a directory over HTTP to many clients at once, with Range requests, so that an interrupted download resumes.

A program by itself: `python fileserver.py ADDRESS PORT DIRECTORY`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def requested_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last of a single-range header; None when it should be ignored (RFC 9110, 14.2).

    Raises ValueError when the file has no byte of the range.
    """
    match = RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise ValueError(f"no byte of {header} in {size}")
    return start, end


class Handler(SimpleHTTPRequestHandler):
    """GET and HEAD of files, whole or one range of them."""

    protocol_version = "HTTP/1.1"

    def send_head(self) -> BinaryIO | None:
        self._left = None
        path = Path(self.translate_path(self.path))
        header = self.headers.get("Range")
        if header is None or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        try:
            wanted = requested_range(header, size)
        except ValueError:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if wanted is None:
            return super().send_head()
        start, end = wanted
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        source = path.open("rb")
        source.seek(start)
        self._left = end - start
        return source

    _left: int | None = None

    def copyfile(self, source: Any, outputfile: Any) -> None:
        if self._left is None:
            shutil.copyfileobj(source, outputfile, 1 << 20)
            return
        left = self._left
        while left and (chunk := source.read(min(left, 1 << 20))):
            outputfile.write(chunk)
            left -= len(chunk)

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Only what fails is logged."""

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        del path
        self.send_error(HTTPStatus.NOT_FOUND, "No listing")


def serve(address: str, port: int, directory: str) -> None:
    server = ThreadingHTTPServer((address, port), partial(Handler, directory=directory))
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
