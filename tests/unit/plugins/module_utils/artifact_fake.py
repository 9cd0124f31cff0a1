# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server on loopback that fails in every way that downloads meet."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Page:
    """What is served at a path: its bytes, and how badly. ``cut`` lists after how many bytes successive answers end;
    ``statuses`` what successive answers are instead."""

    body: bytes
    cut: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    length: bool = True
    wrong_range: bool = False
    redirect: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Web:
    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def put(self, path: str, body: bytes, **options: object) -> str:
        """Serves ``body`` at ``path``; returns its SHA-256."""
        self.pages[path] = Page(body, **options)  # type: ignore[arg-type]
        return hashlib.sha256(body).hexdigest()

    def count(self, path: str) -> int:
        return sum(1 for requested, _range in self.requests if requested == path)


@contextmanager
def serve() -> Iterator[Web]:
    web = Web("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            web.requests.append((self.path, wanted))
            page = web.pages.get(self.path)
            if page is None:
                self.send_error(404)
            elif page.redirect:
                self.send_response(302)
                self.send_header("Location", page.redirect)
                self.end_headers()
            elif page.statuses:
                self.send_response(page.statuses.pop(0))
                for name, value in page.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._send(page, wanted)

        def _send(self, page: Page, wanted: str) -> None:
            match = re.fullmatch(r"bytes=(\d+)-", wanted) if page.ranges else None
            start = int(match.group(1)) if match else 0
            if match and start >= len(page.body):
                self.send_error(416)
                return
            body = page.body[start:]
            self.send_response(206 if match else 200)
            if match:
                first = 0 if page.wrong_range else start
                self.send_header("Content-Range", f"bytes {first}-{len(page.body) - 1}/{len(page.body)}")
            if page.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: page.cut.pop(0)] if page.cut else body)
            self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            return

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that refuses the bytes hangs up; that is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
