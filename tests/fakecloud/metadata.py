"""The metadata service, as an instance sees it: it knows its askers by their addresses."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from tests.fakecloud import moments
from tests.fakecloud.cloud import Cloud
from tests.fakecloud.model import Eni, Instance, Session

PREFIX = "/latest/"
TOKEN_PATH = "api/token"
TOKEN_HEADER = "x-aliyun-ecs-metadata-token"
LIFETIME_HEADER = "x-aliyun-ecs-metadata-token-ttl-seconds"
LONGEST_TOKEN = 21600
SESSION_SECONDS = 6 * 3600.0
RENEWED_BEFORE_SECONDS = 1800.0


@dataclass(frozen=True)
class Page:
    """An answer in plain text."""

    status: int
    text: str = ""


class Metadata:
    """The service; the tokens it gave are gone when it restarts, and are asked for again."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._tokens: dict[str, tuple[str, float]] = {}

    def answer(self, method: str, path: str, headers: Mapping[str, str], asker: str) -> Page:
        """The answer to somebody with this address. The cloud's lock is held."""
        instance = self._instance(asker)
        if instance is None:
            return Page(404, f"no instance has the address {asker}")
        wanted = path.removeprefix(PREFIX).strip("/")
        if wanted == TOKEN_PATH:
            return self._give_token(method, headers, instance)
        if method != "GET":
            return Page(405)
        refused = self._check_token(headers, instance)
        return refused or self._content(wanted, instance)

    def _instance(self, asker: str) -> Instance | None:
        for vswitch in self._cloud.world.vswitches:
            eni = self._cloud.enis.get(self._cloud.owner_of_address(vswitch, asker) or "")
            if eni is not None and eni.instance in self._cloud.instances:
                return self._cloud.instances[eni.instance]
        return None

    def _give_token(self, method: str, headers: Mapping[str, str], instance: Instance) -> Page:
        lifetime = headers.get(LIFETIME_HEADER, "")
        if method != "PUT":
            return Page(405)
        if not lifetime.isdigit() or not 1 <= int(lifetime) <= LONGEST_TOKEN:
            return Page(400)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = (instance.id, self._cloud.now() + int(lifetime))
        return Page(200, token)

    def _check_token(self, headers: Mapping[str, str], instance: Instance) -> Page | None:
        token = headers.get(TOKEN_HEADER)
        if token is None:
            return Page(403) if instance.http_tokens == "required" else None
        owner, until = self._tokens.get(token, ("", 0.0))
        return None if owner == instance.id and self._cloud.now() < until else Page(401)

    def _content(self, wanted: str, instance: Instance) -> Page:
        values = self._values(instance)
        if wanted in values:
            return Page(200, values[wanted])
        below = [path[len(wanted) + 1 :] for path in values if path.startswith(f"{wanted}/")]
        names = {f"{name}/" if rest else name for name, _slash, rest in (path.partition("/") for path in below)}
        return Page(200, "\n".join(sorted(names))) if names else Page(404)

    def _values(self, instance: Instance) -> dict[str, str]:
        world, enis = self._cloud.world, self._cloud.enis_of(instance.id)
        vpc, vswitch, primary = world.vpcs[instance.vpc], world.vswitches[instance.vswitch], enis[0]
        general = {
            "region-id": instance.region,
            "zone-id": instance.zone,
            "instance-id": instance.id,
            "instance/instance-type": instance.instance_type,
            "instance/instance-name": instance.name,
            "hostname": instance.host_name,
            "image-id": instance.image,
            "owner-account-id": instance.account,
            "vpc-id": vpc.id,
            "vpc-cidr-block": vpc.cidr,
            "vswitch-id": vswitch.id,
            "vswitch-cidr-block": vswitch.cidr,
            "mac": primary.mac,
            "private-ipv4": primary.addresses[0],
            "network-type": "vpc",
        }
        if instance.ram_role:
            session = self._session(instance)
            general[f"ram/security-credentials/{instance.ram_role}"] = json.dumps(_credentials(session))
        for eni in enis:
            if eni.status == "InUse":
                general.update(self._interface(eni))
        values = {f"meta-data/{path}": value for path, value in general.items()}
        if instance.user_data:
            values["user-data"] = base64.b64decode(instance.user_data).decode(errors="replace")
        return values

    def _interface(self, eni: Eni) -> dict[str, str]:
        vswitch, vpc = self._cloud.world.vswitches[eni.vswitch], self._cloud.world.vpcs[eni.vpc]
        base = f"network/interfaces/macs/{eni.mac}"
        return {
            f"{base}/network-interface-id": eni.id,
            f"{base}/primary-ip-address": eni.addresses[0],
            f"{base}/private-ipv4s": json.dumps(eni.addresses),
            f"{base}/gateway": vswitch.gateway,
            f"{base}/netmask": str(vswitch.network.netmask),
            f"{base}/vswitch-id": vswitch.id,
            f"{base}/vswitch-cidr-block": vswitch.cidr,
            f"{base}/vpc-id": vpc.id,
            f"{base}/vpc-cidr-block": vpc.cidr,
        }

    def _session(self, instance: Instance) -> Session:
        """The credentials of the instance's role: the same until they end soon."""
        cloud, now = self._cloud, self._cloud.now()
        for session in list(cloud.sessions.values()):
            if session.expires <= now:
                cloud.remove(session)
            elif (session.instance, session.role) == (instance.id, instance.ram_role) and (
                session.expires - now > RENEWED_BEFORE_SECONDS
            ):
                return session
        session = Session(
            id=f"STS.{secrets.token_urlsafe(16)}",
            number=cloud.number(),
            account=instance.account,
            region=instance.region,
            created=now,
            secret=secrets.token_urlsafe(32),
            security_token=secrets.token_urlsafe(96),
            role=instance.ram_role,
            instance=instance.id,
            expires=now + SESSION_SECONDS,
        )
        cloud.save(session)
        return session


def _credentials(session: Session) -> dict[str, str]:
    return {
        "Code": "Success",
        "AccessKeyId": session.id,
        "AccessKeySecret": session.secret,
        "SecurityToken": session.security_token,
        "LastUpdated": moments.seconds(session.created),
        "Expiration": moments.seconds(session.expires),
    }
