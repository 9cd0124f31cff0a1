"""What exists in the simulated cloud. Times are seconds since the epoch; `due` is when the next step of its life is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

InstanceStatus = Literal["Pending", "Starting", "Running", "Stopping", "Stopped"]
EniStatus = Literal["Available", "Attaching", "InUse", "Detaching", "Deleting"]
ChargeType = Literal["PostPaid", "PrePaid"]


@dataclass
class Resource:
    """One object. `number` orders objects by their birth."""

    kind: ClassVar[str] = ""

    id: str
    number: int
    account: str
    region: str
    created: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Instance(Resource):
    """A virtual machine."""

    kind: ClassVar[str] = "instance"

    zone: str = ""
    vpc: str = ""
    vswitch: str = ""
    instance_type: str = ""
    image: str = ""
    name: str = ""
    host_name: str = ""
    description: str = ""
    security_groups: list[str] = field(default_factory=list)
    key_pair: str = ""
    ram_role: str = ""
    user_data: str = ""
    http_tokens: str = "optional"
    tags: dict[str, str] = field(default_factory=dict)
    status: InstanceStatus = "Pending"
    due: float | None = None
    visible: float = 0.0
    started: float | None = None
    job: Literal["", "boot", "reboot", "stop", "delete"] = ""
    trouble: str = ""
    deleting: str = ""
    charge_type: ChargeType = "PostPaid"
    expires: float | None = None
    auto_release: float | None = None
    renewal: str = "Normal"
    renewal_period: int = 1
    renewal_unit: str = "Month"
    stopped_mode: str = "Not-applicable"
    locks: list[str] = field(default_factory=list)
    spot_strategy: str = "NoSpot"
    deletion_protection: bool = False
    resource_group: str = ""

    @property
    def is_deleting(self) -> bool:
        return bool(self.deleting)


@dataclass
class Disk(Resource):
    """A disk. It goes with its instance unless that is said otherwise."""

    kind: ClassVar[str] = "disk"

    instance: str = ""
    zone: str = ""
    role: Literal["system", "data"] = "data"
    category: str = ""
    size: int = 0
    device: str = ""
    delete_with_instance: bool = True
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Eni(Resource):
    """A network interface. The first of its addresses is the primary one."""

    kind: ClassVar[str] = "eni"

    role: Literal["Primary", "Secondary"] = "Secondary"
    instance: str = ""
    zone: str = ""
    vpc: str = ""
    vswitch: str = ""
    mac: str = ""
    name: str = ""
    description: str = ""
    security_groups: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    status: EniStatus = "Available"
    due: float | None = None
    job: Literal["", "plug", "unplug"] = ""
    trouble: str = ""
    cause: str = ""
    delete_with_instance: bool = False
    source_dest_check: bool = True
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Cluster(Resource):
    """A cluster that is registered with the container service."""

    kind: ClassVar[str] = "cluster"

    name: str = ""
    cluster_type: str = ""
    vpc: str = ""
    vswitches: list[str] = field(default_factory=list)
    security_group: str = ""
    service_cidr: str = ""
    public_endpoint: bool = False
    state: str = "initial"
    due: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    deletion_protection: bool = False
    agent_token: str = ""


@dataclass
class LaunchTemplate(Resource):
    """A launch template: its name is unique in a region."""

    kind: ClassVar[str] = "launch_template"

    name: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Token(Resource):
    """A client token that was used: who asks the same again gets the same answer."""

    kind: ClassVar[str] = "token"

    fingerprint: str = ""
    answer: dict[str, Any] = field(default_factory=dict)


@dataclass
class Session(Resource):
    """Credentials that a role gave for a while."""

    kind: ClassVar[str] = "session"

    secret: str = ""
    security_token: str = ""
    role: str = ""
    instance: str = ""
    expires: float = 0.0


KINDS: tuple[type[Resource], ...] = (Instance, Disk, Eni, Cluster, LaunchTemplate, Token, Session)
