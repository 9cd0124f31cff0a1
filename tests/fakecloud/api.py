"""The front of the API: a request comes in, is checked, limited, troubled, performed, written down and answered."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakecloud import (
    cs,
    ecs_catalogue,
    ecs_disks,
    ecs_instances,
    ecs_interfaces,
    ecs_launch_templates,
    ecs_power,
    ecs_subscriptions,
    ecs_tags,
    lifecycle,
    vpc,
)
from tests.fakecloud.access import Identity, authorize, identify
from tests.fakecloud.actions import ACTIONS, VERSIONS, perform
from tests.fakecloud.cloud import Cloud
from tests.fakecloud.errors import ApiError, throttled
from tests.fakecloud.faults import Fault
from tests.fakecloud.metadata import PREFIX, Metadata
from tests.fakecloud.signature import Signed
from tests.fakecloud.store import LoggedRequest

REGISTERED = (
    cs,
    ecs_catalogue,
    ecs_disks,
    ecs_instances,
    ecs_interfaces,
    ecs_launch_templates,
    ecs_power,
    ecs_subscriptions,
    ecs_tags,
    vpc,
)
# Parameters of the protocol; an action does not see them.
PROTOCOL = frozenset(
    (
        "Action",
        "Version",
        "Format",
        "AccessKeyId",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
        "SignatureNonce",
        "SignatureType",
        "Timestamp",
        "SecurityToken",
        "BearerToken",
    )
)
BUG = "FakeCloud.Bug"
HIDDEN = frozenset(("Password", "UserData"))


@dataclass(frozen=True)
class Reply:
    """What goes back. `cut`: nothing does."""

    status: int
    body: Any
    cut: bool = False


@dataclass
class Limiter:
    """So many calls of an action a second, by account; what was not used of the last second may be used at once."""

    spent: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def allows(self, account: str, action: str, rate: float | None, now: float) -> bool:
        if rate is None:
            return True
        recent = [moment for moment in self.spent.get((account, action), []) if now - moment < 1.0]
        if len(recent) >= rate:
            self.spent[account, action] = recent
            return False
        self.spent[account, action] = [*recent, now]
        return True


@dataclass(frozen=True)
class Asked:
    """A request, understood so far that it can be written down."""

    product: str
    action: str
    flat: Mapping[str, str]
    request_id: str


class Api:
    """The API of a cloud, and its metadata service."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._limiter = Limiter()
        self._metadata = Metadata(cloud)

    def answer(self, request: Signed) -> Reply:
        asked = _understand(request)
        return self._handle(asked, lambda fault: self._reply(request, asked, fault))

    def metadata(self, request: Signed, asker: str) -> Reply:
        asked = Asked("meta", request.path.removeprefix(PREFIX), {}, "")

        def reply(fault: Fault | None) -> tuple[str, Reply]:
            if fault is not None and fault.code:
                return asker, Reply(fault.status, fault.message)
            page = self._metadata.answer(request.method, request.path, request.headers, asker)
            return asker, Reply(page.status, page.text)

        return self._handle(asked, reply)

    def _handle(self, asked: Asked, reply_to: Callable[[Fault | None], tuple[str, Reply]]) -> Reply:
        """Do as the faults say, answer, and write it down with what it changed."""
        begin = time.monotonic()
        fault = self.cloud.faults.strike(asked.product, asked.action)
        if fault is not None and fault.delay:
            time.sleep(fault.delay)
        with self.cloud.lock:
            lifecycle.tick(self.cloud)
            key, reply = "", Reply(0, {}, cut=True)
            if fault is None or fault.drop != "before":
                key, reply = reply_to(fault)
            if fault is not None and fault.drop:
                reply = Reply(0, {}, cut=True)
            self.cloud.log(_entry(asked, key, reply, self.cloud.now(), time.monotonic() - begin))
            self.cloud.commit()
        return reply

    def _reply(self, request: Signed, asked: Asked, fault: Fault | None) -> tuple[str, Reply]:
        key = ""
        try:
            identity = identify(self.cloud, request)
            key = identity.key
            if fault is not None and fault.code:
                raise ApiError(fault.status, fault.code, fault.message)
            return key, Reply(200, self._perform(asked, identity))
        except ApiError as error:
            return key, Reply(error.status, _refusal(asked, error))
        except Exception:
            traceback.print_exc()
            return key, Reply(500, _refusal(asked, ApiError(500, BUG, "The simulated cloud itself is at fault.")))

    def _perform(self, asked: Asked, identity: Identity) -> Any:
        made = ACTIONS.get((asked.product, asked.action))
        if made is None:
            text = f"Specified api {asked.product}:{asked.action} is not found, please check your url and method."
            raise ApiError(404, "InvalidAction.NotFound", text)
        authorize(identity, asked.product, asked.action)
        rate = self.cloud.world.rates.get(asked.action)
        if not self._limiter.allows(identity.account, asked.action, rate, time.monotonic()):
            raise throttled()
        cause = f"{asked.action} {asked.request_id} by {identity.key}"
        body = perform(made, self.cloud, identity, asked.flat, cause)
        return {"request_id" if asked.product == "cs" else "RequestId": asked.request_id, **body}


def _entry(asked: Asked, key: str, reply: Reply, now: float, seconds: float) -> LoggedRequest:
    made = ACTIONS.get((asked.product, asked.action))
    refusal = reply.body if isinstance(reply.body, dict) and reply.status >= 400 else {}
    return LoggedRequest(
        time=now,
        product=asked.product,
        action=asked.action,
        parameters={name: "(hidden)" if name in HIDDEN else value for name, value in asked.flat.items()},
        key=key,
        status=reply.status,
        code=str(refusal.get("Code") or refusal.get("code") or ""),
        request_id=asked.request_id,
        seconds=seconds,
        writes=bool(made and made.writes),
    )


def _understand(request: Signed) -> Asked:
    request_id = str(uuid.uuid4()).upper()
    values = {**request.query, **request.form}
    version = request.headers.get("x-acs-version") or values.get("Version", "")
    product = VERSIONS.get(version, "")
    if product == "cs":
        return Asked(product, *cs.route(request), request_id)
    action = request.headers.get("x-acs-action") or values.get("Action", "")
    flat = {name: value for name, value in values.items() if name not in PROTOCOL}
    return Asked(product, action, flat, request_id)


def _refusal(asked: Asked, error: ApiError) -> dict[str, Any]:
    if asked.product == "cs":
        return {"code": error.code, "message": error.message, "requestId": asked.request_id, "status": error.status}
    body = {
        "RequestId": asked.request_id,
        "HostId": f"{asked.product}.aliyuncs.com",
        "Code": error.code,
        "Message": error.message,
    }
    return {**body, "Recommend": ""}
