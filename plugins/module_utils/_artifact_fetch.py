# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Downloads that resume, retry and prove their bytes; private to this collection.

Imported only when something must be fetched: the network modules cost more time than telling that nothing is to do.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable
from urllib.parse import urlsplit

from ansible_collections.hybridk8s.estate.plugins.module_utils._artifact import Limits, hash_file
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import HostError, problem

CHUNK = 1 << 18
PROGRESS = 1 << 20
"""An attempt that brought this many bytes was worth it: a slow line is not a failing one."""
CHECKSUM_BYTES = 1 << 20
SPARE_BYTES = 64 << 20
LONGEST_PAUSE = 30.0
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHECKSUM = re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{128}")
_SHA512_DIGITS = 128


@dataclass(frozen=True)
class Download:
    """One thing to fetch. ``name`` is the file's name in checksum lists; ``room`` how often its size must be free."""

    url: str
    sha256: str
    sha256_url: str
    name: str
    option: str
    room: int = 1


@dataclass(frozen=True)
class Fetched:
    """Bytes on disk that are proven to be the wanted ones."""

    path: str
    sha256: str


class _Refused(Exception):
    """Trying again would not help."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class _Interrupted(Exception):
    """Trying again may help, after ``pause`` seconds if the server named a time."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


def fetch_all(downloads: Iterable[Download], directory: str, library: str, limits: Limits) -> dict[Download, Fetched]:
    """Fetches everything, several at once, into ``directory``, where unfinished downloads wait to be resumed.

    ``library`` is a directory on the file system that the files go to. Raises :class:`HostError` naming every download
    that failed; the others are complete by then and the next call finds them.
    """
    wanted = list(dict.fromkeys(downloads))
    os.makedirs(directory, mode=0o700, exist_ok=True)
    space = _Space((directory, library), limits.free)
    connections = (_Http(limits.window), _Https(limits.window, ssl.create_default_context()))
    opener = urllib.request.build_opener(*connections, _SecureRedirects())
    fetcher = _Fetcher(directory, limits, space, opener, {})
    with ThreadPoolExecutor(max_workers=max(1, min(limits.parallel, len(wanted)))) as pool:
        outcomes = list(pool.map(fetcher.fetch, wanted))
    findings = [outcome for outcome in outcomes if isinstance(outcome, Finding)]
    if findings:
        raise HostError(findings)
    return {download: outcome for download, outcome in zip(wanted, outcomes) if isinstance(outcome, Fetched)}


def published_checksum(text: str, name: str) -> str:
    """The checksum of the file ``name`` in a published list: one bare digest, or lines of digest and name. It may be a
    SHA-256 or a SHA-512.

    Raises ``ValueError`` when the list does not have it.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    digests = [(line[0].lower(), line[1:]) for line in lines if _CHECKSUM.fullmatch(line[0])]
    if len(digests) == 1 and not digests[0][1]:
        return digests[0][0]
    for digest, rest in digests:
        if rest and rest[-1].lstrip("*").rpartition("/")[2] == name:
            return digest
    raise ValueError(f"it has {len(digests)} checksums, none of them for {name}")


class _Space:
    """Free room on disk, less what running downloads will still write."""

    def __init__(self, directories: Sequence[str], free: Callable[[str], int]) -> None:
        self._directories = directories
        self._free = free
        self._lock = threading.Lock()
        self._promised = 0

    def reserve(self, size: int) -> None:
        with self._lock:
            for directory in self._directories:
                free = self._free(directory) - self._promised
                if free < size + SPARE_BYTES:
                    raise _Refused(
                        f"{size >> 20} MiB and {SPARE_BYTES >> 20} MiB to spare are needed,"
                        f" and {max(free, 0) >> 20} MiB are free in {directory}",
                        "make room there and run again: what is complete is kept.",
                    )
            self._promised += size

    def release(self, size: int) -> None:
        with self._lock:
            self._promised -= size


class _Http(urllib.request.HTTPHandler):
    """Connections on which the kernel takes in no more than ``window`` bytes ahead."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self._connect = _narrowed(http.client.HTTPConnection, window)

    def http_open(self, req: Any) -> Any:
        return self.do_open(self._connect, req)


class _Https(urllib.request.HTTPSHandler):
    """The same with TLS, its certificates verified."""

    def __init__(self, window: int, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._connect = _narrowed(http.client.HTTPSConnection, window)
        self._verifying = context

    def https_open(self, req: Any) -> Any:
        return self.do_open(self._connect, req, context=self._verifying)


def _narrowed(kind: Any, window: int) -> Any:
    class Narrowed(kind):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            if window:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)

    return Narrowed


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise _Refused(f"it redirects from https to {newurl}", "use a URL that stays on https.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Partial:
    """The bytes that have come so far, on disk, and their hash, of the kind that the wanted ``checksum`` has."""

    def __init__(self, path: str, checksum: str) -> None:
        self.path = path
        self.kind = "SHA-512" if len(checksum) == _SHA512_DIGITS else "SHA-256"
        self._stream = open(path, "ab+")  # noqa: SIM115 - closed by the context
        self._stream.seek(0)
        self._hasher = hashlib.new(self.kind.replace("-", ""))
        self.size = 0
        for chunk in iter(lambda: self._stream.read(1 << 20), b""):
            self._hasher.update(chunk)
            self.size += len(chunk)
        self.resumed = self.size > 0

    def __enter__(self) -> _Partial:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stream.close()

    @property
    def digest(self) -> str:
        return self._hasher.hexdigest()

    def add(self, chunk: bytes) -> None:
        try:
            self._stream.write(chunk)
        except OSError as error:
            raise _Refused(f"writing {self.path} fails: {error.strerror}", "make room there and run again.") from error
        self._hasher.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        self._stream.truncate(0)
        self._hasher = hashlib.new(self.kind.replace("-", ""))
        self.size = 0
        self.resumed = False

    def sync(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())


@dataclass(frozen=True)
class _Fetcher:
    directory: str
    limits: Limits
    space: _Space
    opener: urllib.request.OpenerDirector
    locks: dict[str, threading.Lock]

    def fetch(self, download: Download) -> Fetched | Finding:
        try:
            checksum = download.sha256 or self._published(download)
            # Two downloads of the same bytes share one partial file.
            with (
                self.locks.setdefault(checksum, threading.Lock()),
                _Partial(os.path.join(self.directory, checksum), checksum) as partial,
            ):
                self._complete(download, checksum, partial)
                partial.sync()
                return Fetched(partial.path, hash_file(partial.path) if len(checksum) == _SHA512_DIGITS else checksum)
        except _Refused as error:
            return problem("download", download.option, f"{download.url}: {error}.", error.remedy)
        except (OSError, ValueError) as error:
            return problem(
                "download", download.option, f"{download.url}: {error}.", f"look at {self.directory} on the host."
            )

    def _published(self, download: Download) -> str:
        try:
            text = self._retry(lambda: self._read_small(download.sha256_url), lambda: 0)
            return published_checksum(text, download.name)
        except _Refused as error:
            raise _Refused(f"its checksum {download.sha256_url}: {error}", error.remedy) from error
        except ValueError as error:
            raise _Refused(
                f"its checksum {download.sha256_url} is of no use: {error}", "correct sha256_url, or give sha256."
            ) from error

    def _read_small(self, url: str) -> str:
        with self._open(url, 0) as response:
            return str(_read(response, CHECKSUM_BYTES).decode(errors="replace"))

    def _complete(self, download: Download, checksum: str, partial: _Partial) -> None:
        while partial.digest != checksum:
            self._retry(lambda: self._receive(download, partial, checksum), lambda: partial.size)
            if partial.digest == checksum:
                return
            got, resumed = partial.digest, partial.resumed
            partial.restart()
            if not resumed:
                raise _Refused(
                    f"its bytes have the {partial.kind} {got}, not {checksum}",
                    "correct the checksum if the file was published anew; otherwise the mirror, a proxy or the line is "
                    "not to be trusted.",
                )

    def _retry(self, attempt: Callable[[], Any], size: Callable[[], int]) -> Any:
        """Tries until it works. Attempts that bring nothing are counted, with growing pauses between them."""
        failures = 0
        while True:
            before = size()
            try:
                return attempt()
            except _Interrupted as error:
                failures = 1 if size() - before >= PROGRESS else failures + 1
                if failures > self.limits.retries:
                    raise _Refused(
                        f"{error}, after {failures} tries",
                        "see that this host reaches it (DNS, routes, firewall, http_proxy, no_proxy), or set mirror.",
                    ) from error
                pause = error.pause or 0.5 * 2 ** (failures - 1) * random.uniform(0.8, 1.2)
                self.limits.sleep(min(pause, LONGEST_PAUSE))

    def _receive(self, download: Download, partial: _Partial, checksum: str) -> None:
        """One attempt: asks for what is missing and adds it to ``partial``."""
        with self._open(download.url, partial.size) as response:
            total = _total(response, partial)
            left = 0 if total is None else max(total - partial.size, 0) * download.room
            self.space.reserve(left)
            try:
                while True:
                    chunk = _read(response, CHUNK)
                    if not chunk:
                        break
                    partial.add(chunk)
                    written = min(len(chunk), left)
                    left -= written
                    self.space.release(written)
                    self.limits.pace(len(chunk))
            finally:
                self.space.release(left)
        if total is not None and partial.size < total and partial.digest != checksum:
            raise _Interrupted(f"the connection ended after {partial.size} of {total} bytes")

    def _open(self, url: str, start: int) -> Any:
        headers = {"User-Agent": "hybridk8s.estate", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            return self.opener.open(urllib.request.Request(url, headers=headers), timeout=self.limits.timeout)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416:
                    return _Nothing()
                raise _status_error(error) from error
        except urllib.error.URLError as error:
            raise _connection_error(error.reason) from error
        except (OSError, http.client.HTTPException) as error:
            raise _connection_error(error) from error


class _Nothing:
    """The answer to a request for bytes beyond the end: the partial file is no beginning of what is there now."""

    status = 416
    headers: dict[str, str] = {}

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def read(self, _size: int) -> bytes:
        return b""


def _total(response: Any, partial: _Partial) -> int | None:
    """The size of the whole file, None when the server does not say. Starts over when it does not send the rest."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None or int(match.group(1)) != partial.size:
            partial.restart()
            raise _Interrupted("the server answered with another part of the file than asked for")
        return None if match.group(2) == "*" else int(match.group(2))
    if response.status == 416:
        partial.restart()
        raise _Interrupted("the server has fewer bytes than came before")
    partial.restart()
    length = response.headers.get("Content-Length")
    return int(length) if length and length.isdigit() else None


def _read(response: Any, size: int) -> Any:
    try:
        return response.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise _connection_error(error) from error


def _status_error(error: urllib.error.HTTPError) -> Exception:
    said = f"HTTP status {error.code} {error.reason}".strip()
    if error.code in RETRIED_STATUS:
        after = error.headers.get("Retry-After", "")
        return _Interrupted(said, float(after) if after.isdigit() else 0.0)
    if error.code in (401, 403, 407):
        return _Refused(said, "see what the server, the mirror or the proxy asks of this host.")
    return _Refused(said, "see that the version and the URL exist, and that the mirror holds them.")


def _connection_error(reason: object) -> Exception:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _Refused(
            f"its certificate is not to be trusted: {reason.verify_message}",
            "add the authority to this host's trust store, and see that its clock is right.",
        )
    return _Interrupted(str(reason) or type(reason).__name__)
