# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Kubernetes API as raw JSON; private to this collection, runs on the controller.

Configuration, authentication and the connection pool come from the ``kubernetes`` package where ``_kubeconfig`` needs
it. Its models are left out: they cost four times the CPU of the JSON they wrap.
"""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable, Generic, Protocol, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

from ansible_collections.hybridk8s.estate.plugins.module_utils import _kubeconfig

with contextlib.suppress(ImportError):  # _kubeconfig names it before anything here is used
    import urllib3

FIELD_MANAGER = "hybridk8s.estate"
OWN_PREFIX = "estate.hybridk8s.io/"
MANAGED_BY = {"app.kubernetes.io/managed-by": FIELD_MANAGER}

CLUSTER_ARGUMENTS: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "raw", "no_log": True},
    "api_servers": {"type": "list", "elements": "str"},
}

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"

WORKERS = 8
# The server ends a watch after so many seconds. One that is silent is opened again: its connection may be half dead.
_WATCH_SECONDS = 300
_WATCH_SILENCE = 30.0
_PART_BYTES = 65536
_RETRIED = frozenset({429, 500, 502, 503, 504})
_SECRET_KEYS = frozenset(
    {"client-key-data", "token", "password", "id-token", "refresh-token", "access-token", "client-secret"}
)

Object = dict[str, Any]
Item = TypeVar("Item")
Value = TypeVar("Value")


class KubeError(Exception):
    """The API server refused, or could not be asked. ``status`` is the HTTP status, 0 when no answer came."""

    def __init__(self, message: str, status: int = 0, target: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.target = target
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.target}: " if self.target else ""
        return f"{where}{self.message}" + (f" {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class Response:
    """An answer: HTTP status, raw body, and the seconds the server asked to wait (``Retry-After``), if it did."""

    status: int
    data: bytes
    retry_after: float | None = None

    def json(self) -> Any:
        """The body as JSON; an empty body is an empty mapping."""
        try:
            return json.loads(self.data) if self.data else {}
        except ValueError as error:
            raise _no_json(self.data) from error

    def message(self) -> str:
        """What a Kubernetes Status object in the body says, else the start of the body."""
        try:
            body = self.json()
        except KubeError:
            return self.data[:200].decode("utf-8", "replace").strip()
        return str(body.get("message") or body.get("reason") or "") if isinstance(body, dict) else str(body)


@dataclass(frozen=True)
class Patience:
    """How long a request that fails for a passing reason is tried again, in seconds.

    An API server that is gone for half a minute, as while a load balancer moves, is outlived with tries to spare.
    """

    total: float = 60.0
    first: float = 0.2
    longest: float = 4.0

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds before attempt number ``attempt + 1``: what the server asked for, else doubling with jitter."""
        if retry_after is not None:
            return min(retry_after, self.total)
        return min(self.longest, self.first * float(2**attempt)) * random.uniform(0.75, 1.0)


class Pool(Protocol):
    """The part of ``urllib3.PoolManager`` that is used here."""

    def request(self, method: str, url: str, **options: Any) -> Any: ...

    def clear(self) -> None: ...


@dataclass(frozen=True)
class Credentials:
    """Who we are to the API server: the client certificate of a pool's connections, or a header of each request."""

    pool: Pool
    authorization: Callable[[], Mapping[str, str]]


class Cluster:
    """A cluster's API: methods take and return objects as plain JSON, ``path`` starts with ``/api`` or ``/apis``.

    Every method raises :class:`KubeError`. Answers 429 and 5xx and lost connections are tried again within
    ``patience``; 409 is the caller's matter (see :func:`until_settled`). Where the credentials may have been replaced,
    ``renew`` gives them as they are now, and a request that got 401 is tried with them once. Safe to use from several
    threads.
    """

    empty = False

    def __init__(
        self,
        pool: Pool,
        servers: Sequence[str],
        authorization: Callable[[], Mapping[str, str]],
        patience: Patience = Patience(),
        sleep: Callable[[float], None] = time.sleep,
        renew: Callable[[], Credentials] | None = None,
    ) -> None:
        self._credentials = Credentials(pool, authorization)
        self._renew = renew
        self._renewing = threading.Lock()
        self._servers = [server.rstrip("/") for server in servers]
        self._patience = patience
        self._sleep = sleep
        self._lock = threading.Lock()
        self._server = self._servers[0]
        self._elected = len(self._servers) == 1
        self.requests = 0

    def get(self, path: str, accept: str = JSON) -> Object | None:
        """The object at ``path``, or None when there is none."""
        response = self.request("GET", path, accept=accept, allow=(404,))
        return None if response.status == 404 else response.json()

    def list(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        page: int = 500,
        keep: Callable[[Object], Any] | None = None,
        accept: str = JSON,
    ) -> list[Any]:
        """All items of the collection at ``path``, ``page`` a request; ``keep`` reduces each one as its page comes.

        A collection that the server does not serve (a CRD that is not there yet) has none. A page that is asked for
        after the snapshot has expired (410) starts the list again.
        """
        items: list[Any] = []
        token = ""
        while True:
            asked = {**(query or {}), "limit": page, **({"continue": token} if token else {})}
            response = self.request("GET", path, query=asked, accept=accept, allow=(404, 410) if token else (404,))
            if response.status == 410:
                items, token = [], ""
                continue
            if response.status == 404:
                return items
            try:
                envelope = _read_page(response.data, items, keep)
            except (ValueError, IndexError) as error:
                raise _no_json(response.data) from error
            token = envelope.get("metadata", {}).get("continue", "")
            if not token:
                return items

    def create(self, path: str, body: Object) -> Object:
        """Create ``body`` in the collection at ``path``; 409 when it exists."""
        return self._object("POST", path, query={"fieldManager": FIELD_MANAGER}, body=body)

    def merge(self, path: str, patch: Object) -> None:
        """Apply a JSON merge patch (RFC 7386); 404 when there is no object, 409 when its resourceVersion is old."""
        query = {"fieldManager": FIELD_MANAGER}
        self.request("PATCH", path, query=query, body=patch, content=MERGE_PATCH, accept=METADATA_ONLY)

    def apply(self, path: str, body: Object, dry_run: bool = False) -> Object:
        """Server-side apply ``body`` as our field manager, taking over fields of other managers."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        return self._object("PATCH", path, query=query, body=body, content=APPLY_PATCH)

    def delete(self, path: str, uid: str = "") -> bool:
        """Delete the object, only when it has ``uid`` if that is given; False when it was not there."""
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        return self.request("DELETE", path, body=body, accept=METADATA_ONLY, allow=(404,)).status != 404

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Object | Sequence[Object] | None = None,
        content: str = JSON,
        accept: str = JSON,
        allow: Collection[int] = (),
    ) -> Response:
        """One request, tried again for passing failures; statuses in ``allow`` are returned at once."""
        url = f"{path}?{urlencode(query)}" if query else path
        payload = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": FIELD_MANAGER}
        deadline = time.monotonic() + self._patience.total
        attempt = 0
        renewed = False
        while True:
            self._elect(deadline)
            server, credentials = self._server, self._credentials
            answer = self._once(server, method, url, payload, headers)
            if isinstance(answer, Response):
                if answer.status < 400 or answer.status in allow:
                    return answer
                if answer.status == 401 and not renewed and self._renewed(credentials):
                    renewed = True
                    continue
                error = _refusal(answer, path)
            else:
                error = answer
            passing = error.status in _RETRIED or (error.status == 0 and not error.remedy)
            pause = self._patience.pause(attempt, answer.retry_after if isinstance(answer, Response) else None)
            if not passing or time.monotonic() + pause > deadline:
                raise error if error.status or error.remedy else self._unreachable(error)
            if error.status != 429:
                self._leave(server)
            self._sleep(pause)
            attempt += 1

    def watch(self, path: str, version: str) -> Watch:
        """The changes of the collection at ``path`` since ``version``, as the API server reports them.

        Not tried again when it fails: what was missed meanwhile is the caller's matter. An old ``version`` gives 410.
        """
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": _WATCH_SECONDS,
        }
        self._elect(time.monotonic() + self._patience.total)
        credentials = self._credentials
        raw = self._open_watch(f"{path}?{urlencode(query)}", credentials)
        if raw.status == 401 and self._renewed(credentials):
            raw = self._open_watch(f"{path}?{urlencode(query)}", self._credentials)
        if raw.status < 400:
            return Watch(raw, self._server)
        raise _refusal(Response(raw.status, raw.read()), path)

    def _open_watch(self, url: str, credentials: Credentials) -> Any:
        with self._lock:
            self.requests += 1
        server = self._server
        try:
            return credentials.pool.request(
                "GET",
                server + url,
                headers={"Accept": JSON, "User-Agent": FIELD_MANAGER, **credentials.authorization()},
                timeout=urllib3.Timeout(connect=5.0, read=_WATCH_SILENCE),
                preload_content=False,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            self._leave(server)
            raise _broken(error, server) from error

    def close(self) -> None:
        """Give the connections back."""
        self._credentials.pool.clear()

    def _renewed(self, refused: Credentials) -> bool:
        """Whether there may be others than the ``refused`` ones now; of several threads one reads them."""
        if self._renew is None:
            return False
        with self._renewing:
            if self._credentials is refused:
                self._credentials = self._renew()
        return True

    def _object(self, method: str, path: str, **options: Any) -> Object:
        parsed: Object = self.request(method, path, **options).json()
        return parsed

    def _once(
        self,
        server: str,
        method: str,
        url: str,
        payload: bytes | None,
        headers: Mapping[str, str],
        connect: float = 5.0,
        wait: float = 60.0,
    ) -> Response | KubeError:
        with self._lock:
            self.requests += not self.empty
        credentials = self._credentials
        try:
            raw = credentials.pool.request(
                method,
                server + url,
                body=payload,
                headers={**headers, **credentials.authorization()},
                timeout=urllib3.Timeout(connect=connect, read=wait),
                retries=False,
                redirect=False,
            )
            return Response(raw.status, raw.data, _seconds(raw.headers.get("Retry-After")))
        except urllib3.exceptions.HTTPError as error:
            return _broken(error, server)

    def _elect(self, deadline: float) -> None:
        """Settle on the first server that answers /readyz; a single server is simply used."""
        if self._elected:
            return
        with self._lock:
            start = self._servers.index(self._server)
        attempt = 0
        while not self._elected:
            said: list[str] = []
            for server in self._servers[start:] + self._servers[:start]:
                answer = self._once(server, "GET", "/readyz", None, {"Accept": "*/*"}, connect=3.0, wait=5.0)
                if isinstance(answer, KubeError) and answer.remedy:
                    raise answer
                if isinstance(answer, Response) and answer.status < 500:
                    with self._lock:
                        self._server, self._elected = server, True
                    return
                said.append(f"{server}: {answer.message() if isinstance(answer, Response) else answer.message}")
            pause = self._patience.pause(attempt, None)
            if time.monotonic() + pause > deadline:
                raise KubeError("no API server answers: " + "; ".join(said), remedy=_UNREACHABLE_REMEDY)
            self._sleep(pause)
            attempt += 1

    def _leave(self, server: str) -> None:
        """Have the next request look for another server, unless another thread has moved on already."""
        with self._lock:
            if self._server != server or len(self._servers) == 1:
                return
            self._server = self._servers[(self._servers.index(server) + 1) % len(self._servers)]
            self._elected = False

    def _unreachable(self, error: KubeError) -> KubeError:
        return KubeError(f"no answer within {self._patience.total:g} s: {error.message}", remedy=_UNREACHABLE_REMEDY)


class Watch:
    """Lines of a watch, each one event as JSON; ends when the server ends it. ``end`` may come from another thread."""

    def __init__(self, raw: Any, server: str) -> None:
        self._raw = raw
        self._server = server

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        try:
            for part in self._parts():
                *lines, rest = (rest + part).split(b"\n")
                yield from lines
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # The last two: what a connection that `end` shut down under the reader may raise.
            raise _broken(error, self._server) from error
        finally:
            self._raw.close()

    def _parts(self) -> Iterator[bytes]:
        read = getattr(self._raw, "read1", None)
        if read is None:  # urllib3 1.26, which gives what has come only if the server sends it in chunks
            yield from self._raw.stream()
            return
        while part := read(_PART_BYTES):
            yield part

    def end(self) -> None:
        """Have the reader stop at once where urllib3 can do that; else it stops with the connection's silence."""
        shutdown = getattr(self._raw, "shutdown", None)
        with contextlib.suppress(Exception):
            if shutdown is not None:
                shutdown()


class EmptyCluster(Cluster):
    """A cluster that holds nothing: what a plan is made against before the first control plane exists."""

    empty = True

    def __init__(self) -> None:
        super().__init__(pool=_Nothing(), servers=["https://cluster.invalid"], authorization=dict)


class _Nothing:
    """A pool whose server has no object."""

    status = 404
    data = b"{}"
    headers: Mapping[str, str] = {}

    def request(self, method: str, url: str, **_options: Any) -> _Nothing:
        if method != "GET":
            raise AssertionError(f"{method} {url} on an empty cluster")
        return self

    def clear(self) -> None:
        return None


class Module(Protocol):
    """What is used of an AnsibleModule."""

    params: dict[str, Any]
    check_mode: bool
    no_log_values: set[str]


def open_cluster(module: Module) -> Cluster:
    """The cluster that a module's ``kubeconfig`` and ``api_servers`` name.

    In check mode with no kubeconfig it is an :class:`EmptyCluster`, so that a first run can be planned. The module's
    list of values to hide is narrowed to the secrets in the kubeconfig: hiding every word of it would blot out words
    such as ``v1`` in results.
    """
    kubeconfig = module.params["kubeconfig"]
    module.no_log_values -= set(leaves(kubeconfig))
    module.no_log_values |= secrets_of(kubeconfig)
    if kubeconfig:
        return connect(kubeconfig, module.params["api_servers"] or ())
    if module.check_mode:
        return EmptyCluster()
    raise KubeError("kubeconfig is not set.", remedy="Give the path of a kubeconfig, or its content as a mapping.")


def connect(
    kubeconfig: str | Mapping[str, Any], api_servers: Sequence[str] = (), patience: Patience = Patience()
) -> Cluster:
    """Open the cluster of a kubeconfig (a path, or its content); with ``api_servers`` those are tried in order instead.

    Servers are always verified against the kubeconfig's authority. Servers in ``api_servers`` are verified under the
    name of the kubeconfig's own server, when that is a name and not an address. A kubeconfig file is read again when
    its credentials are refused later. Not to be called from several threads at once.
    """
    _refuse_plain(api_servers)
    credentials, servers = _open(kubeconfig, api_servers)
    return Cluster(
        credentials.pool,
        servers,
        credentials.authorization,
        patience,
        renew=(lambda: _open(kubeconfig, api_servers)[0]) if _kubeconfig.may_change(kubeconfig) else None,
    )


def _open(kubeconfig: str | Mapping[str, Any], api_servers: Sequence[str]) -> tuple[Credentials, list[str]]:
    try:
        # Keys are in files only while the library that wants them there reads them.
        with tempfile.TemporaryDirectory(prefix="hybridk8s-") as private:
            access = _kubeconfig.read(kubeconfig, private)
            servers = list(api_servers) or [access.server]
            own_name = urlsplit(access.server).hostname or ""
            server_name = access.server_name or (own_name if api_servers and _is_name(own_name) else "")
            return Credentials(access.pool(servers[0], server_name, WORKERS), access.authorization), servers
    except _kubeconfig.KubeconfigError as error:
        raise KubeError(str(error), remedy=error.remedy) from error


def _refuse_plain(api_servers: Iterable[str]) -> None:
    for server in api_servers:
        if not server.startswith("https://"):
            raise KubeError(f"api_servers has {server!r}.", remedy="Each entry is an https:// URL.")


def _is_name(host: str) -> bool:
    return ":" not in host and not host.replace(".", "").isdigit()


def _read_page(data: bytes, items: list[Any], keep: Callable[[Object], Any] | None) -> Object:
    """Add the items of a list to ``items``, reduced by ``keep``, and return what is around them.

    The items are decoded one at a time: a page of 1,000 nodes is 10 MB as text and 50 MB as Python objects.
    """
    text = data.decode()
    head, found, rest = text.partition('"items":[')
    if not found:
        body = dict(json.loads(text or "{}"))
        items.extend(item if keep is None else keep(item) for item in body.get("items") or ())
        return body
    decode = json.JSONDecoder().raw_decode
    place = 0
    while rest[place] != "]":
        item, place = decode(rest, place)
        items.append(item if keep is None else keep(item))
        place += rest[place] == ","
    return dict(json.loads(f"{head}{found}{rest[place:]}"))


_UNREACHABLE_REMEDY = "Check that the API server runs and that the controller reaches it; api_servers may name others."
_REMEDIES = {
    401: "The credentials are not accepted: use a kubeconfig of this cluster whose certificate or token is valid.",
    403: "Use a kubeconfig whose user may do this.",
}


def _refusal(response: Response, path: str) -> KubeError:
    message = response.message() or "no reason given"
    return KubeError(
        f"{message} (HTTP {response.status}).", response.status, object_of(path), _REMEDIES.get(response.status, "")
    )


def _no_json(data: bytes) -> KubeError:
    start = data[:80].decode("utf-8", "replace").strip()
    return KubeError(f"the answer is not JSON: {start!r}.", remedy="Check that the server is a Kubernetes API server.")


def _broken(error: Exception, server: str) -> KubeError:
    text = f"{server}: {error}"
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        return KubeError(
            f"the server's certificate is not valid for this kubeconfig: {text}",
            remedy="Use this cluster's kubeconfig; its authority and server name must match the server's certificate.",
        )
    return KubeError(text)


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def object_of(path: str) -> str:
    """What ``path`` names, for messages: ``/api/v1/nodes/w1`` is ``nodes/w1``."""
    parts = path.strip("/").split("/")
    return "/".join(parts[2:] if parts[0] == "api" else parts[3:]) or path


def segment(name: str) -> str:
    """``name`` as one segment of a path."""
    return quote(name, safe="")


def leaves(value: Any) -> Iterable[str]:
    """Every scalar inside ``value`` as text, empty ones left out."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from leaves(inner)
    elif value is not None and str(value):
        yield str(value)


def secrets_of(kubeconfig: Any) -> set[str]:
    """The values of a kubeconfig's content that nobody may read: keys, tokens, passwords, a plugin's environment."""
    if isinstance(kubeconfig, Mapping):
        found: set[str] = set()
        for key, inner in kubeconfig.items():
            found |= set(leaves(inner)) if key in _SECRET_KEYS else secrets_of(inner)
            if key == "exec" and isinstance(inner, Mapping):
                found |= {str(entry.get("value", "")) for entry in inner.get("env") or () if entry.get("value")}
        return found
    if isinstance(kubeconfig, (list, tuple)):
        return {secret for inner in kubeconfig for secret in secrets_of(inner)}
    return set()


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """What became of one item of :func:`parallel`: a value, or the error that took its place."""

    item: Item
    value: Value | None = None
    error: KubeError | None = None


def parallel(
    work: Callable[[Item], Value], items: Sequence[Item], workers: int = WORKERS
) -> list[Outcome[Item, Value]]:
    """Do ``work`` for each item on a bounded pool of threads, in the items' order; a KubeError stays with its item."""

    def attempt(item: Item) -> Outcome[Item, Value]:
        try:
            return Outcome(item, work(item))
        except KubeError as error:
            return Outcome(item, error=error)

    if len(items) < 2:
        return [attempt(item) for item in items]
    with ThreadPoolExecutor(max_workers=min(workers, len(items))) as pool:
        return list(pool.map(attempt, items))


def all_parallel(work: Callable[[Item], Value], items: Sequence[Item]) -> list[tuple[Item, Value]]:
    """The items of :func:`parallel`, each with its value. Raises the first KubeError when all are done."""
    outcomes = parallel(work, items)
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
    return [(outcome.item, cast("Value", outcome.value)) for outcome in outcomes]


def until_settled(attempt: Callable[[bool], Value], tries: int = 10) -> Value:
    """Do ``attempt`` again while it ends in a conflict (409); it is told whether to read the object afresh first."""
    for number in range(tries - 1):
        try:
            return attempt(number > 0)
        except KubeError as error:
            if error.status != 409:
                raise
            time.sleep(random.uniform(0.01, 0.02) * float(2**number))
    return attempt(True)
